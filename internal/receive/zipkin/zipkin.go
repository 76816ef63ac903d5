// Package zipkin receives what Zipkin's collector receives over HTTP: version 2
// in JSON and protobuf on /api/v2/spans, version 1 in JSON and Thrift on
// /api/v1/spans, all of it below /zipkin too.
//
// A span's local endpoint is its resource, the remote one its peer; an annotation
// is an event of the span; tags are text, as Zipkin has them. A span of version 1
// that both sides reported is two spans, the server's shared, as Zipkin's own
// conversion has it (openzipkin/zipkin, V1SpanConverter).
//
// Answers are Zipkin's: 202 without a body when everything is durable, 400 with a
// text for a body of another format. A span that is wrong in itself is counted
// and its neighbours are kept. The same bytes again are the same request
// (receive.Set.Once). Nothing here survives a crash.
package zipkin

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// Name is the receiver's name in sources and metrics.
const Name = "zipkin"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Zipkin", Versions: "2 in JSON and protobuf, 1 in JSON and Thrift",
		Over:       "HTTP: /api/v2/spans, /api/v1/spans, also below /zipkin",
		Ack:        "202 when durable; the same request again is seen once",
		Credential: "token (Bearer, Basic)",
		Tested:     []string{"zipkin-go 0.4.3 (HTTP reporter, JSON and protobuf): 0 lost, 0 twice", "zipkin-transport-http 0.22.0 of npm: 5,040 lost, for it forgets what it could not send", "OpenTelemetry Go SDK (Zipkin exporter)"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers Zipkin's reporters.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the routes.
func (z *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	for _, prefix := range []string{"", "/zipkin"} {
		for _, v := range []string{"1", "2"} {
			routes = append(routes, httpd.Route{
				Pattern: "POST " + prefix + "/api/v" + v + "/spans", Need: access.LogsWrite, MaxBody: z.inlet.Limits.Body,
				Handle: z.handle(v), Fail: z.fail,
			})
		}
	}
	return routes
}

// A format is one of those that Zipkin decodes, by Zipkin's name of it.
type format string

const (
	jsonV1 format = "JSON_V1"
	jsonV2 format = "JSON_V2"
	proto3 format = "PROTO3"
	thrift format = "THRIFT"
)

// formatOf returns what a request says to hold. What says nothing is JSON.
func formatOf(version, contentType string) format {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case version == "2" && (kind == "application/x-protobuf" || kind == "application/protobuf"):
		return proto3
	case version == "2":
		return jsonV2
	case kind == "application/x-thrift" || strings.HasPrefix(kind, "application/vnd.apache.thrift"):
		return thrift
	}
	return jsonV1
}

func (z *Receiver) handle(version string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		encoding := r.Header.Get("Content-Encoding")
		if strings.Contains(encoding, "gzip") {
			encoding = "gzip"
		}
		form := formatOf(version, r.Header.Get("Content-Type"))
		decode := func(body *receive.Body, set *receive.Set) error {
			return decodeSpans(body.Bytes, form, set, z.inlet.Limits)
		}
		return z.inlet.Receive(r, encoding, decode, func(*receive.Taken) error {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusAccepted)
			return nil
		})
	}
}

// fail answers an error as text.
func (z *Receiver) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := z.inlet.Failed(w, err, receive.AskBearer)
	text := receive.Reason(err)
	if code == http.StatusBadRequest && strings.HasPrefix(text, "decode gzip") {
		text = "Cannot gunzip spans"
	}
	text += "\n"
	receive.Answer(w, code, "text/plain; charset=utf-8", []byte(text))
}

// decodeSpans fills set with the spans of a list, whose bytes they alias.
func decodeSpans(b []byte, form format, set *receive.Set, lim receive.Limits) error {
	if trimmed := bytes.TrimSpace(b); len(trimmed) == 0 || string(trimmed) == "[]" {
		return nil
	}
	if got := detect(b); got == "" {
		return fault.Errorf(fault.Invalid, "Expected a %s encoded list", form)
	}
	if other := unexpected(b, form); other != "" {
		return fault.Errorf(fault.Invalid, "Expected a %s encoded list, but received: %s", form, other)
	}
	d := newDecoder(set, lim)
	defer d.release()
	switch form {
	case proto3:
		return d.proto(b)
	case thrift:
		return d.thrift(b)
	case jsonV1:
		return d.jsonV1(b)
	}
	return d.jsonV2(b)
}

// detect returns the kind of list that b begins as (SpanBytesDecoderDetector), ""
// if it is none.
func detect(b []byte) format {
	switch c := bytes.TrimLeft(b, " \t\r\n"); {
	case len(b) >= 5 && b[0] == 12: // the type of a Thrift list's elements: a structure
		return thrift
	case len(c) > 0 && c[0] == '[':
		return jsonV2
	case len(b) > 2 && b[0] == 1<<3|2:
		return proto3
	}
	return ""
}

// unexpected returns the format that b has where it is not the one it was
// declared to have, "" where both may be one.
func unexpected(b []byte, form format) format {
	switch got := detect(b); {
	case form == proto3 && len(b) > 2 && b[0] == 1<<3|2: // the length that follows may look like the [ of a JSON list
	case form == proto3 || form == thrift:
		if got != form {
			return got
		}
	case got != jsonV2:
		return got
	case form == jsonV2 && bytes.Contains(b, []byte(`yAnnotations"`)):
		return jsonV1
	case form == jsonV1 && (bytes.Contains(b, []byte(`Endpoint"`)) || bytes.Contains(b, []byte(`"tags"`))):
		return jsonV2
	}
	return ""
}
