// Package victorialogs receives what vlagent sends, and what VictoriaLogs sends to
// another VictoriaLogs: its native protocol, POST /internal/insert?version=v1. A
// body, under zstd or as it is, is records without anything between them:
//
//	| account u32 | project u32 | stream bytes | time i64 ns | fields uvarint | (name bytes, value bytes) … |
//
// Numbers are big-endian; bytes are a uvarint length and so many bytes. The field
// without a name is the message. The stream repeats some of the fields in another
// form, and account and project are the sender's tenant: none of them is kept, the
// tenant comes from the credential. (VictoriaLogs: lib/logstorage/log_rows.go,
// InsertRow; app/vlinsert/internalinsert.)
//
// vlagent tries a block again until it is answered with 2xx, in the same bytes: the
// body is its own key. It throws a block away on 400 and 404, so only what can never
// be read is answered with 400; a version of the protocol that is not known is 501,
// for another server may know it.
//
// Raw records alias the request's body until Ingest returns.
package victorialogs

import (
	"encoding/binary"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Name is the receiver's name in sources and metrics.
const Name = "victorialogs"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "VictoriaLogs native (vlagent)", Versions: "v1",
		Over: "HTTP: /internal/insert", Ack: "200 when durable; the same block again is seen once",
		Credential: "token (Bearer, Basic)", Limits: "2,000 fields a record",
		Tested: []string{"vlagent of VictoriaLogs at 7c0626e: 0 lost, 0 twice"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver takes blocks of rows.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the one route.
func (v *Receiver) Routes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "POST /internal/insert", Need: access.LogsWrite, MaxBody: v.inlet.Limits.Body, Handle: v.insert, Fail: v.fail},
	}
}

func (v *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := v.inlet.Failed(w, err, "")
	http.Error(w, receive.Reason(err), code)
}

func (v *Receiver) insert(w http.ResponseWriter, r *http.Request) error {
	if version := r.URL.Query().Get("version"); version != "v1" {
		return receive.WithStatus(http.StatusNotImplemented, fault.Errorf(fault.Invalid, "version %.20q of the protocol is not known, v1 is", version))
	}
	decode := func(body *receive.Body, set *receive.Set) error {
		set.Once = true
		return rows(body.Bytes, set, v.inlet.Limits)
	}
	return v.inlet.Receive(r, r.Header.Get("Content-Encoding"), decode, func(*receive.Taken) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
}

// maxFields is VictoriaLogs's own bound of the fields of a row.
const maxFields = 2000

// rows adds the records of a body to set.
func rows(b []byte, set *receive.Set, lim receive.Limits) error {
	for n := 0; len(b) > 0; n++ {
		if len(set.Raws) >= lim.Items || set.Full() {
			return fault.Errorf(fault.TooLarge, "a block of more than %d records", n)
		}
		rest, ok := row(b, set)
		if !ok {
			return fault.Errorf(fault.Invalid, "row %d of the block cannot be read", n)
		}
		b = rest
	}
	return nil
}

// row adds the record at the beginning of b and returns what follows it.
func row(b []byte, set *receive.Set) (rest []byte, ok bool) {
	if len(b) < 8 {
		return nil, false
	}
	if _, b, ok = cut(b[8:]); !ok || len(b) < 8 {
		return nil, false
	}
	raw := record.Raw{Time: int64(binary.BigEndian.Uint64(b))}
	fields, n := binary.Uvarint(b[8:])
	if n <= 0 || fields > maxFields {
		return nil, false
	}
	b = b[8+n:]
	set.Open()
	for range fields {
		var name, value []byte
		if name, b, ok = cut(b); !ok {
			return nil, false
		}
		if value, b, ok = cut(b); !ok {
			return nil, false
		}
		if len(name) == 0 {
			raw.Payload = value
		} else {
			set.Field(receive.Str(name), receive.Str(value))
		}
	}
	raw.Attrs = set.Close()
	set.Raws = append(set.Raws, raw)
	return b, true
}

// cut returns the bytes at the beginning of b and what follows them.
func cut(b []byte) (p, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}
