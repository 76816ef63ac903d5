// Package httpjson receives records without an envelope over HTTP: what Fluentd's
// out_http, Fluent Bit's http output in all its formats, Vector's and Logstash's
// http outputs, and curl send.
//
// A body is JSON objects (each on a line, over several, in an array, or without
// anything between them), lines of text, or MessagePack as Fluent Bit writes it
// when no format is set. What a record says is for the pipeline to find out.
// Parameters of the URL become fields of all records of the request.
//
// Answers are made for what these clients do: 200 when durable. A transient fault
// is 503, the only code that Fluentd tries again on; Fluent Bit tries again on
// 408, 429 and 5xx. A request of which some records are bad is a success, because
// neither could send the others alone; how many were refused is in the answer.
//
// Raw records alias the request's body until Ingest returns.
package httpjson

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Name is the receiver's name in sources and metrics.
const Name = "httpjson"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "JSON, lines or MessagePack over HTTP (Fluentd, Fluent Bit, Vector, Logstash, curl)", Versions: "NDJSON, arrays, objects in a row, text, Fluent Bit's msgpack",
		Over: "HTTP: /api/v1/ingest", Ack: "200 when durable; a repetition is seen once with Idempotency-Key",
		Credential: "token (Bearer, Basic)", Limits: "those of receive:; 32 parameters as fields",
		Tested: []string{"Fluent Bit 5.1.1 (msgpack, json, json_stream, json_lines): 0 lost, 380 twice", "Fluentd 1.16.11: 0 lost, 4,820 twice", "curl"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver takes records without an envelope.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the one route. PUT is Logstash's and Vector's other method.
func (h *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	for _, method := range []string{"POST", "PUT"} {
		routes = append(routes, httpd.Route{
			Pattern: method + " /api/v1/ingest", Need: access.LogsWrite, MaxBody: h.inlet.Limits.Body, Handle: h.ingest, Fail: h.fail,
		})
	}
	return routes
}

// fail answers in the house's own form, with the codes of a receiver.
func (h *Receiver) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := h.inlet.Failed(w, err, receive.AskBasic)
	write(w, code, fmt.Appendf(nil, `{"error":{"kind":%q,"message":%s,"requestId":%q}}`,
		fault.KindOf(err).String(), jsontext.AppendString(nil, []byte(receive.Reason(err))), httpd.RequestID(r.Context())))
}

func write(w http.ResponseWriter, code int, body []byte) error {
	return receive.Answer(w, code, "application/json", body)
}

func (h *Receiver) ingest(w http.ResponseWriter, r *http.Request) error {
	kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	d := decoder{lim: h.inlet.Limits}
	return h.inlet.Receive(r, r.Header.Get("Content-Encoding"), func(body *receive.Body, set *receive.Set) error {
		d.set = set
		if err := d.parameters(r); err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(kind, "msgpack"):
			return d.msgpack(body.Bytes)
		case strings.HasPrefix(kind, "text/"):
			return d.lines(body.Bytes)
		}
		return jsontext.Split(body.Bytes, d.lim.Depth, set, d.add)
	}, func(t *receive.Taken) error {
		bad, first := t.RefusedTotal()
		total := t.Set.Total()
		if bad > 0 && bad == total {
			return fault.Errorf(fault.Invalid, "none of %d records was kept; first: %s", bad, first)
		}
		out := fmt.Appendf(nil, `{"accepted":%d,"refused":%d`, total-bad, bad)
		if bad > 0 {
			out = fmt.Appendf(out, `,"first":%s`, jsontext.AppendString(nil, []byte(first)))
		}
		return write(w, http.StatusOK, append(out, '}'))
	})
}

// maxParameters bounds the fields that a URL may give to every record.
const maxParameters = 32

// parameters makes the fields that all records share.
func (d *decoder) parameters(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	q := r.URL.Query()
	if len(q) > maxParameters {
		return fault.Errorf(fault.Invalid, "the URL has %d parameters, more than %d", len(q), maxParameters)
	}
	names := make([]string, 0, len(q))
	for name := range q {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	d.set.Open()
	for _, name := range names {
		d.set.Field(name, strings.Join(q[name], ","))
	}
	d.shared = d.set.Close()
	return nil
}

// A decoder turns one request into raw records.
type decoder struct {
	set    *receive.Set
	lim    receive.Limits
	shared []record.Field
	size   int64 // of text that was made
	last   int
}

func (d *decoder) add(payload []byte, json bool) error { return d.at(payload, json, 0) }

func (d *decoder) at(payload []byte, json bool, when int64) error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "request has more than %d records", len(d.set.Raws))
	}
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: payload, JSON: json, Time: when, Attrs: d.shared})
	return nil
}
