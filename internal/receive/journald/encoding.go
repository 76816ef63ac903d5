package journald

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// acceptEncoding is what an answer offers: systemd-journal-upload 258 compresses
// the next upload with the first of them that its Compression= names. It makes a
// frame of each piece that it sends; its lz4 pieces do not say how long they are,
// and can be told apart by their HTTP chunks alone, so lz4 is not among them.
const acceptEncoding = "zstd, gzip"

// Bounds of compressed uploads. A decoder is counted as its window, whatever it
// has read: systemd's pieces are 64 KiB at most.
const (
	maxWindow  = 1 << 20
	gzipWindow = 64 << 10
	ratioFloor = 8 << 20 // bytes below which no ratio is asked
)

// A wire is the body of an upload as it is received.
type wire struct {
	u   *upload
	n   int64
	err error // why it could not be read
}

// Read implements io.Reader. A client may be silent for a while between two reads.
func (w *wire) Read(p []byte) (int, error) {
	w.u.rc.SetReadDeadline(w.u.r.now().Add(silence)) // not every connection has one
	n, err := w.u.req.Body.Read(p)
	w.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		kind := fault.Unavailable
		if fault.Is(err, fault.TooLarge) {
			kind = fault.TooLarge
		}
		err = fault.Errorf(kind, "read upload: %w", err)
		w.err = err
	}
	return n, err
}

// A decoded body is the content of a compressed one.
type decoded struct {
	from  *wire
	in    io.Reader
	n     int64
	ratio int64
}

// Read implements io.Reader.
func (d *decoded) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	d.n += int64(n)
	switch {
	case d.n > ratioFloor && d.n > d.ratio*d.from.n:
		return n, fault.Errorf(fault.TooLarge, "upload is more than %d times larger than what was sent", d.ratio)
	case d.from.err != nil:
		return n, d.from.err
	case err != nil && !errors.Is(err, io.EOF):
		err = fault.WithHint(fault.Errorf(fault.Invalid, "decompress upload: %w", err), "a window may be 1 MiB at most")
	}
	return n, err
}

// open makes u read the body without its content encoding. What it takes of the
// common memory, release gives back.
func (u *upload) open(encoding string) error {
	w := &wire{u: u}
	u.in = w
	d := &decoded{from: w, ratio: u.r.inlet.Limits.Ratio}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return nil
	case "gzip", "x-gzip":
		if err := u.reserve(gzipWindow); err != nil {
			return err
		}
		d.in = &gunzip{from: w}
	case "zstd":
		if err := u.reserve(maxWindow); err != nil {
			return err
		}
		// One decoder thread: it then owns no goroutine.
		z, err := zstd.NewReader(w, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return fault.Wrap(fault.Internal, err)
		}
		u.close = z.Close
		d.in = z
	default:
		return receive.WithStatus(http.StatusUnsupportedMediaType, fault.WithHint(fault.Errorf(fault.Invalid, "Content-Encoding %.40q is not one of %s", encoding, acceptEncoding),
			"set Compression=zstd in journal-upload.conf, or to nothing"))
	}
	u.in = d
	return nil
}

func (u *upload) reserve(n int64) error {
	err := u.r.inlet.Bodies.Wait(n, memoryWait)
	if err == nil {
		u.window = n
	}
	return err
}

// gunzip begins when the first byte is asked for: to make a gzip.Reader is to read.
type gunzip struct {
	from io.Reader
	z    *gzip.Reader
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.from); err != nil {
			g.z = nil
			return 0, err
		}
	}
	return g.z.Read(p)
}
