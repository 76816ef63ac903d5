// Package loki receives Loki's push API: protobuf under snappy, and JSON, as
// Promtail, Alloy, Fluent Bit, Vector and Grafana's libraries send it.
//
// It knows the protocol's envelope: streams, their labels, and the timestamps
// and structured metadata of each line. Labels become fields, and the field
// record.Labels names them, so that readers can group lines by them. What a line
// holds is for the pipeline to find out.
//
// One bad line does not cost the good ones of its request: they are kept, and
// the answer is 400 with the first detail, as Loki does it (Promtail does not
// send again after a 400). A transient fault is never a 4xx.
//
// Raw records alias the request's body until Ingest returns; nothing survives a
// crash because 204 is only answered for what is durable.
package loki

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// Name is the receiver's name in sources and metrics.
const Name = "loki"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Loki push", Versions: "v1 (protobuf and JSON), /api/prom/push",
		Over: "HTTP: /loki/api/v1/push", Ack: "204 when durable; the same push again is seen once",
		Credential: "token (Bearer, Basic)", Limits: "one bad line does not cost the others: 400 with the count",
		Tested: []string{"Promtail 3.6.15: 0 lost, 0 twice", "Fluent Bit 5.1.1: 0 lost, 0 twice", "winston-loki 6.1.7: 0 lost, 0 twice"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers Loki's push API.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the routes: today's path and that of Loki before 1.0.
func (l *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	for _, path := range []string{"/loki/api/v1/push", "/api/prom/push"} {
		routes = append(routes, httpd.Route{
			Pattern: "POST " + path, Need: access.LogsWrite, MaxBody: l.inlet.Limits.Body, Handle: l.push, Fail: l.fail,
		})
	}
	return routes
}

// fail answers an error as Loki does, in plain text.
func (l *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := l.inlet.Failed(w, err, receive.AskBasic)
	text(w, code, receive.Reason(err))
}

func text(w http.ResponseWriter, code int, s string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	io.WriteString(w, strings.ToValidUTF8(s, "\ufffd")+"\n")
}

// noStreams is Loki's answer to a push without a stream.
var noStreams = receive.WithStatus(http.StatusUnprocessableEntity,
	fault.Errorf(fault.Invalid, "error at least one valid stream is required for ingestion"))

func (l *Receiver) push(w http.ResponseWriter, r *http.Request) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	json := strings.EqualFold(strings.TrimSpace(kind), "application/json")
	encoding := r.Header.Get("Content-Encoding")
	if !json && strings.EqualFold(encoding, "snappy") {
		encoding = "" // it names the snappy that protobuf has anyway
	}
	decode := func(body *receive.Body, set *receive.Set) error { return l.decode(body, set, json) }
	return l.inlet.Receive(r, encoding, decode, func(t *receive.Taken) error {
		if bad, detail := t.RefusedTotal(); bad > 0 {
			text(w, http.StatusBadRequest, fmt.Sprintf("%d of %d lines were refused, the others are kept; first: %s", bad, t.Set.Total(), detail))
			return nil
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// decode reads a push. Anything that does not declare itself to be JSON is protobuf
// under snappy, as in Loki, except that a body which can only be JSON is taken for it.
func (l *Receiver) decode(body *receive.Body, set *receive.Set, json bool) (err error) {
	// To Loki a line is one of its stream, time and text: what is pushed again is
	// no other line. So the same push again is what a client does that got no answer.
	set.Once = true
	d := decoder{set: set, lim: l.inlet.Limits}
	if json || looksJSON(body.Bytes) {
		err = d.json(body.Bytes)
	} else if err = body.Unsnap(); err == nil {
		err = d.proto(body.Bytes)
	}
	if err == nil && d.streams == 0 {
		return noStreams
	}
	return err
}

// looksJSON reports whether b starts as {"streams": a snappy block that declares
// 123 bytes and goes on like this does not decode.
func looksJSON(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{' && bytes.HasPrefix(bytes.TrimLeft(b[1:], " \t\r\n"), []byte(`"streams"`))
}
