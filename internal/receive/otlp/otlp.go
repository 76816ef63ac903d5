// Package otlp receives OpenTelemetry logs and traces (OTLP specification 1.x):
// over HTTP, POST /v1/logs with a protobuf or JSON ExportLogsServiceRequest and
// POST /v1/traces with an ExportTraceServiceRequest, and the same over gRPC.
// Metrics are answered with a partial success that says they are not kept.
//
// It knows the protocol's envelope: resource, scope and log attributes become
// fields under their own names, and the body becomes the payload. What a body
// holds is for the pipeline to find out. A record that is wrong for good is
// counted in partial_success and the others are kept; exporters do not send
// again after it. Transient faults are 503 with Retry-After, and so are our own:
// exporters give up on a 500.
//
// Raw records alias the request's body until Ingest returns; nothing survives a
// crash because success is only answered for what is durable.
package otlp

import (
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Name is the receiver's name in sources and metrics.
const Name = "otlp"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "OpenTelemetry (OTLP) logs and traces", Versions: "1.x, protobuf and JSON",
		Over: "HTTP: /v1/logs, /otlp/v1/logs, /v1/traces; gRPC: LogsService, TraceService", Ack: "200 or OK when durable, partial_success for refused records; the same export again is seen once, for logs if every record has a time and one of them is finer than a millisecond",
		Credential: "token (Bearer, Basic)",
		Tested: []string{
			"OpenTelemetry Collector 0.149.0 (filelog, queue on disk) over HTTP and gRPC: 0 lost, 0 twice", "Fluent Bit 5.1.1 over HTTP: 0 lost, 0 twice",
			"telemetrygen 0.149.0: over gRPC 0 lost, 0 twice; over HTTP 5,200 lost, for it gives up when nobody listens",
			"OpenTelemetry SDK for JavaScript 0.223.1: 0 lost, 100 twice", "OpenTelemetry SDK for Go, log exporters 0.22.0 over gRPC and HTTP",
		},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers OTLP/HTTP.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the routes for logs and traces, over HTTP and gRPC. Metrics are
// answered too, and not kept.
func (o *Receiver) Routes() []httpd.Route {
	route := func(path string, handle func(http.ResponseWriter, *http.Request) error) httpd.Route {
		return httpd.Route{Pattern: "POST " + path, Need: access.LogsWrite, MaxBody: o.inlet.Limits.Body, Handle: handle, Fail: o.fail}
	}
	return append(o.calls(), route("/v1/logs", o.logs), route("/otlp/v1/logs", o.logs), // the latter is Loki's path
		route("/v1/traces", o.traces), route("/v1/metrics", o.metrics))
}

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

// contentType returns the form of the request, which is the answer's as well.
func contentType(r *http.Request) (string, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case typeJSON:
		return typeJSON, nil
	case typeProto, "application/protobuf", "":
		return typeProto, nil
	}
	return typeProto, receive.WithStatus(http.StatusUnsupportedMediaType,
		fault.Errorf(fault.Invalid, "content type %.60q is neither %s nor %s", kind, typeProto, typeJSON))
}

// fail answers an error as google.rpc.Status { int32 code = 1; string message = 2 }.
func (o *Receiver) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := o.inlet.Failed(w, err, receive.AskBearer)
	rpc, message := rpcCode(code), strings.ToValidUTF8(receive.Reason(err), "\ufffd")
	kind, _ := contentType(r)
	if kind == typeJSON {
		write(w, code, kind, fmt.Appendf(nil, `{"code":%d,"message":%s}`, rpc, jsontext.AppendString(nil, []byte(message))))
		return
	}
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), rpc)
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), message)
	write(w, code, kind, b)
}

// rpcCode returns the google.rpc.Code beside an HTTP status.
func rpcCode(status int) uint64 {
	switch status {
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusNotFound:
		return 5 // NOT_FOUND
	case http.StatusRequestEntityTooLarge:
		return 11 // OUT_OF_RANGE
	case http.StatusServiceUnavailable:
		return 14 // UNAVAILABLE
	}
	return 3 // INVALID_ARGUMENT
}

func write(w http.ResponseWriter, code int, kind string, body []byte) {
	receive.Answer(w, code, kind, body)
}

func (o *Receiver) logs(w http.ResponseWriter, r *http.Request) error {
	kind, err := contentType(r)
	if err != nil {
		return err
	}
	decode := func(body *receive.Body, set *receive.Set) error {
		d := decoder{set: set, lim: o.inlet.Limits}
		if kind == typeJSON {
			return d.json(body.Bytes)
		}
		return d.proto(body.Bytes)
	}
	return o.inlet.Receive(r, r.Header.Get("Content-Encoding"), decode, func(t *receive.Taken) error {
		bad, detail := t.RefusedTotal() // an empty request is a success
		write(w, http.StatusOK, kind, success(kind, "rejectedLogRecords", bad, detail))
		return nil
	})
}

// success returns an ExportLogsServiceResponse or an ExportTraceServiceResponse,
// which differ in the JSON name of what they count. partial_success is left out when
// every record was kept, as the specification wants it.
func success(kind, member string, rejected int, detail string) []byte {
	detail = strings.ToValidUTF8(detail, "\ufffd")
	switch {
	case kind == typeJSON && rejected == 0:
		return []byte("{}")
	case kind == typeJSON:
		return fmt.Appendf(nil, `{"partialSuccess":{"%s":"%d","errorMessage":%s}}`, member, rejected, jsontext.AppendString(nil, []byte(detail)))
	case rejected == 0:
		return nil
	}
	p := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(rejected))
	p = protowire.AppendString(protowire.AppendTag(p, 2, protowire.BytesType), detail)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), p)
}
