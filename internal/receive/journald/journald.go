// Package journald receives what systemd-journal-upload sends: POST /upload with
// records of the journal in the export format, as systemd-journal-remote takes it.
//
// MESSAGE is the body, PRIORITY the severity, __REALTIME_TIMESTAMP the time.
// Fields that OpenTelemetry or syslog know get that name (the table is in
// record.go), all others keep theirs. What the message holds is for the pipeline to
// find out.
//
// An upload may be a whole journal: it is read, and made durable, in portions of
// about 1 MiB, and answered (202) when all of it is durable. Portions are cut by
// what they hold and by nothing else. A client whose upload was not answered sends
// it again from the last cursor that it knows: each portion of it that is the same
// as before, every record of it with its cursor, is seen once. Only the last
// portion may have grown meanwhile; if it was durable and only its answer was lost,
// its records are there twice, with the same log.record.uid.
//
// Raw records alias the buffer of the upload until Ingest returns. Nothing here
// survives a crash.
package journald

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Name is the receiver's name in sources and metrics.
const Name = "journald"

// contentType of the export format.
const contentType = "application/vnd.fdo.journal"

// Bounds of an upload. A portion ends with the record that makes it portionBytes
// or larger, or with the last of portionRecords; a record of more than maxRecord bytes is rejected.
const (
	portionBytes   = 1 << 20
	portionRecords = 8192
	maxRecord      = 2 << 20
	readBytes      = 64 << 10
	firstBytes     = 4 << 10
	uploadBytes    = 1 << 40
	patience       = 30 * time.Second // with which a portion is tried again
	silence        = time.Minute      // how long a client may send nothing
	memoryWait     = 2 * time.Second
)

// Info says what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "systemd journal upload", Versions: "Journal Export Format",
		Over:       "POST /upload",
		Ack:        "202 when all of the upload is durable; portions that are sent again are seen once by their cursors",
		Credential: "a client certificate (systemd-journal-upload can show nothing else), or a token",
		Limits:     "2 MiB and 1,024 fields a record; an upload of any length is read in portions of 1 MiB; zstd and gzip, no xz and lz4",
		Tested:     []string{"systemd-journal-upload 252"},
	}
}

// A Receiver takes uploads of journals.
type Receiver struct {
	inlet *receive.Inlet
	now   func() time.Time
}

// New returns a receiver.
func New(s receive.Shared) (*Receiver, error) {
	return &Receiver{inlet: receive.NewInlet(Name, s), now: time.Now}, nil
}

// Routes returns the one route.
func (r *Receiver) Routes() []httpd.Route {
	return []httpd.Route{{
		Pattern: "POST /upload", Need: access.LogsWrite, MaxBody: uploadBytes, Stream: true, Handle: r.upload, Fail: r.fail,
	}}
}

// fail answers an error in plain text, which systemd-journal-upload logs.
func (r *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := r.inlet.Failed(w, err, `Bearer realm="meshtrail"`)
	http.Error(w, receive.Reason(err), code)
}

func (r *Receiver) upload(w http.ResponseWriter, req *http.Request) error {
	if t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || t != contentType {
		return receive.WithStatus(http.StatusUnsupportedMediaType, fault.Errorf(fault.Invalid, "Content-Type: %s is required", contentType))
	}
	from, err := r.inlet.IdentifyStream(req)
	if err != nil {
		return err
	}
	u := upload{r: r, req: req, from: from, rc: http.NewResponseController(w)}
	defer u.release()
	w.Header().Set("Accept-Encoding", acceptEncoding)
	if err := u.open(req.Header.Get("Content-Encoding")); err != nil {
		return err
	}
	if err := u.run(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, "OK.\n")
	return nil
}

// upload is one request while it is read. buf[:done] are whole records, buf[done:]
// the beginning of one.
type upload struct {
	r    *Receiver
	req  *http.Request
	from receive.Sender
	rc   *http.ResponseController
	in   io.Reader

	window int64  // of the decoder, in Bodies
	close  func() // of the decoder; may be nil

	buf   []byte
	held  int64 // of buf, in Bodies
	done  int
	cut   cutter
	ends  []int // of the records in buf
	large int   // records that were too large
	skip  bool  // within one
}

func (u *upload) release() {
	if u.close != nil {
		u.close()
	}
	u.r.inlet.Bodies.Return(u.held + u.window)
}

// run reads the upload to its end.
func (u *upload) run() error {
	for {
		n, err := u.read()
		u.split(n)
		if u.done >= portionBytes || len(u.ends) >= portionRecords {
			if err := u.keep(false); err != nil {
				return err
			}
			if err := u.r.inlet.Hold(u.req.Context(), u.from); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return u.end()
		case err != nil:
			return err
		}
	}
}

// read appends what comes to buf and returns how much it was.
func (u *upload) read() (int, error) {
	if len(u.buf) == cap(u.buf) {
		// Of a client that sends little, little is held.
		want := min(max(8*cap(u.buf), firstBytes), max(2*cap(u.buf), 4*readBytes))
		if err := u.r.inlet.Bodies.Wait(int64(want)-u.held, memoryWait); err != nil {
			return 0, err
		}
		u.held = int64(want)
		u.buf = append(make([]byte, 0, want), u.buf...)
	}
	n, err := u.in.Read(u.buf[len(u.buf):min(len(u.buf)+readBytes, cap(u.buf))])
	u.buf = u.buf[:len(u.buf)+n]
	return n, err
}

// split looks at the last n bytes of buf for the ends of records. The bytes of one
// that is too large are taken out again.
func (u *upload) split(n int) {
	from := len(u.buf) - n // not looked at
	for from < len(u.buf) {
		took, ended := u.cut.next(u.buf[from:])
		from += took
		if from-u.done > maxRecord {
			u.skip = true
		}
		if u.skip {
			u.buf = append(u.buf[:u.done], u.buf[from:]...)
			from = u.done
			if ended {
				u.skip = false
				u.large++
			}
			continue
		}
		if ended {
			u.done = from
			u.ends = append(u.ends, from)
		}
	}
}

// keep hands in the portions that are whole; the last one, too, if nothing more
// comes. So portions are the same however the upload is cut into reads.
func (u *upload) keep(last bool) error {
	begin, first := 0, 0
	for i, end := range u.ends {
		whole := end-begin >= portionBytes || i-first+1 >= portionRecords
		if !whole && !(last && i == len(u.ends)-1) {
			continue
		}
		if err := u.portion(u.buf[begin:end], begin, u.ends[first:i+1]); err != nil {
			return err
		}
		begin, first = end, i+1
	}
	u.buf = append(u.buf[:0], u.buf[begin:]...)
	u.ends = append(u.ends[:0], u.ends[first:]...)
	for i := range u.ends {
		u.ends[i] -= begin
	}
	u.done -= begin
	return nil
}

// portion hands in records: b holds them, and ends says where each ends, from
// offset on.
func (u *upload) portion(b []byte, offset int, ends []int) error {
	set := receive.NewSet()
	defer set.Release()
	d := decoder{set: set}
	at := 0
	for _, end := range ends {
		d.decode(b[at : end-offset])
		at = end - offset
	}
	if u.large > 0 {
		set.Reject("too_large", "journal record is larger than "+strconv.Itoa(maxRecord)+" bytes", uint64(u.large))
		u.large = 0
	}
	var id record.BatchID
	if d.cursors > 0 && d.cursors == len(set.Raws) {
		id = receive.KeyID(u.from, Name, b)
	}
	_, err := u.r.inlet.IngestRetry(u.req.Context(), patience, u.from, id, set, &receive.Body{Bytes: b, Wire: int64(len(b))})
	return err
}

// end keeps the rest. A last record may lack its empty line; one that is cut off
// within a field is an error, as it is to systemd-journal-remote, and what came
// before it is durable.
func (u *upload) end() error {
	if tail := len(u.buf) - u.done; tail > 0 && !u.skip && u.cut.between() {
		u.done = len(u.buf)
		u.ends = append(u.ends, u.done)
	}
	lost := len(u.buf) - u.done
	if len(u.ends) == 0 && u.large > 0 { // nothing else tells of them
		u.ends = append(u.ends, u.done)
	}
	if err := u.keep(true); err != nil {
		return err
	}
	if lost > 0 || u.skip {
		return receive.WithStatus(http.StatusExpectationFailed, fault.Errorf(fault.Invalid, "premature end: the last record is cut off, the others are kept"))
	}
	return nil
}
