// Package relay receives what agents forward: batches that were normalised,
// redacted and numbered where the records arose.
//
//	POST /api/v1/relay
//	body:    | len u32 | encoded batch (spec/batch.md) |  repeated, little-endian
//	answer:  {"acked":n}: the first n batches are durable
//
// It speaks to a record.Appender, pipeline.Relayed, which holds event times and
// classes to what is believed here: the rest of intake the agent did by itself.
// Nothing that an agent says about itself is trusted. The tenant is the
// credential's; source and origin are put under a prefix, so that no agent can
// speak for another source, in its records' log.source neither, or make another
// sender's batch look like a repetition; no record came in later than now; the
// class of audit records is refused, and so are records that claim to be evidence.
// A batch without an ID is refused, because it could not be sent again safely.
//
// On a failure the answer says how many batches came before it, and those need
// not come again. 400 is for bytes that no retry repairs; everything transient
// is 503. A batch belongs to the request until Append returned; nothing else is
// held.
package relay

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Name is the receiver's name in sources and metrics.
const Name = "relay"

// Path is where agents send to.
const Path = "/api/v1/relay"

// ContentType names the body's form.
const ContentType = "application/vnd.meshtrail.relay"

// MaxBody bounds a request: one batch of the largest size, packed badly, fits.
const MaxBody = 72 << 20

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Meshtrail agent", Versions: "1 (spec/batch.md)", Over: "HTTP: " + Path,
		Ack:        "acked counts the batches that are durable; every batch is numbered, so a repetition is seen once",
		Credential: "token (Bearer)", Limits: "72 MiB a request",
		Tested: []string{"meshtrail agent of the same version"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers agents.
type Receiver struct {
	to      record.Appender
	inlet   *receive.Inlet
	batches sync.Pool // *record.Batch
}

// New returns a receiver that appends to to; the intake of s is not asked.
// Bodies are larger than those of others, so they are bounded apart, to the same
// memory.
func New(_ Config, to record.Appender, s receive.Shared) (*Receiver, error) {
	lim := receive.Limits{Body: MaxBody, Decoded: MaxBody}
	if s.Bodies != nil {
		lim.Memory = s.Bodies.Limits().Memory
	}
	s.Bodies = receive.NewBodies(lim)
	return &Receiver{to: to, inlet: receive.NewInlet(Name, s)}, nil
}

// Routes returns the route.
func (v *Receiver) Routes() []httpd.Route {
	return []httpd.Route{{Pattern: "POST " + Path, Need: access.LogsWrite, MaxBody: MaxBody, Handle: v.relay, Fail: v.fail}}
}

// fail answers an error before any batch was appended.
func (v *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	v.refuse(w, 0, err)
}

// refuse answers that acked batches are durable and why the next one is not.
func (v *Receiver) refuse(w http.ResponseWriter, acked int, err error) {
	code := v.inlet.Failed(w, err, receive.AskBearer)
	answer(w, code, fmt.Appendf(nil, `{"acked":%d,"error":{"kind":%q,"reason":%s}}`,
		acked, fault.KindOf(err), jsontext.AppendString(nil, []byte(receive.Reason(err)))))
}

func answer(w http.ResponseWriter, code int, body []byte) {
	receive.Answer(w, code, "application/json", body)
}

func (v *Receiver) relay(w http.ResponseWriter, r *http.Request) error {
	from, err := v.inlet.Identify(r)
	if err != nil {
		return err
	}
	body, err := v.inlet.Bodies.Read(r, r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	defer body.Release()
	b, _ := v.batches.Get().(*record.Batch)
	if b == nil {
		b = new(record.Batch)
	}
	defer v.batches.Put(b)
	acked, records := 0, 0
	for rest := body.Bytes; len(rest) > 0; acked++ {
		var frame []byte
		if frame, rest, err = next(rest); err == nil {
			if err = accept(frame, from, time.Now(), b); err == nil {
				records += b.Len()
				if err = v.to.Append(r.Context(), b); err == nil {
					v.inlet.Appended(b, len(frame))
					v.inlet.Count(from, int64(len(frame)), int64(b.Len()))
				}
			}
		}
		if err != nil {
			v.refuse(w, acked, err)
			return nil
		}
	}
	if acked == 0 {
		return fault.Errorf(fault.Invalid, "relay request without a batch")
	}
	v.inlet.Meter.Took(records, body)
	answer(w, http.StatusOK, fmt.Appendf(nil, `{"acked":%d}`, acked))
	return nil
}

// next splits the first frame off.
func next(b []byte) (frame, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, fault.Errorf(fault.Invalid, "relay frame is cut off in its length")
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, fault.Errorf(fault.Invalid, "relay frame declares %d bytes, %d are left", n, len(b))
	}
	return b[:n], b[n:], nil
}

// accept decodes a frame that came in at now into b and makes it the sender's.
func accept(frame []byte, from receive.Sender, now time.Time, b *record.Batch) error {
	if err := record.Decode(frame, b); err != nil {
		return fault.Wrap(fault.Invalid, err)
	}
	if b.ID.IsZero() {
		return fault.Errorf(fault.Invalid, "relayed batch has no id")
	}
	for i := range b.Len() {
		if b.ClassAt(i) == access.AuditClass {
			return fault.Errorf(fault.Denied, "relayed batch holds a record of class %s", access.AuditClass)
		}
	}
	for _, c := range b.Columns() {
		if c.Name == schema.RecordKind && c.Kind == record.String && holds(c, schema.KindEvidence) {
			return fault.Errorf(fault.Denied, "relayed batch holds a record of %s %s", schema.RecordKind, schema.KindEvidence)
		}
	}
	b.Tenant = from.Tenant
	b.Source = receive.SourceName(from.Source + "/" + b.Source)
	b.SetAll("log.source", b.Source)
	// Of a time that is still to come retention would never end.
	b.Ingest = min(b.Ingest, now.UnixNano())
	b.ID.Origin = receive.SourceName("relay/" + string(from.Tenant) + "/" + url.PathEscape(from.Name) + "/" + b.ID.Origin)
	return nil
}

func holds(c *record.Column, value string) bool {
	for i := range c.Rows {
		if string(c.Bytes(i)) == value {
			return true
		}
	}
	return false
}
