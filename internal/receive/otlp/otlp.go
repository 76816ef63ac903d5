// Package otlp receives OpenTelemetry logs over HTTP: POST /v1/logs with a
// protobuf or JSON ExportLogsServiceRequest (OTLP specification 1.x).
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
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Name is the receiver's name in sources and metrics.
const Name = "otlp"

// Config of the receiver. The zero Config is complete.
type Config struct {
	// Limits bound a request.
	Limits receive.Limits `yaml:"limits"`
	// Bodies, when set, is shared with other receivers and replaces Limits.
	Bodies *receive.Bodies `yaml:"-"`
}

// A Receiver answers OTLP/HTTP.
type Receiver struct {
	in     pipeline.Intake
	bodies *receive.Bodies
	lim    receive.Limits
	meter  *receive.Meter
}

// New returns a receiver that hands records to in. m and log may be nil.
func New(cfg Config, in pipeline.Intake, m *telemetry.Metrics, log *slog.Logger) (*Receiver, error) {
	if cfg.Bodies == nil {
		cfg.Bodies = receive.NewBodies(cfg.Limits)
	}
	return &Receiver{in: in, bodies: cfg.Bodies, lim: cfg.Bodies.Limits(), meter: receive.NewMeter(m, log, Name)}, nil
}

// Routes returns the route for logs.
func (o *Receiver) Routes() []httpd.Route {
	return []httpd.Route{{
		Pattern: "POST /v1/logs", Need: access.LogsWrite, MaxBody: o.lim.Body, Handle: o.logs, Fail: o.fail,
	}}
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
	o.meter.Failed(err)
	code := receive.Status(err)
	receive.SetRetry(w, code, err)
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	rpc, message := rpcCode(code), strings.ToValidUTF8(receive.Reason(err), "\ufffd")
	kind, _ := contentType(r)
	if kind == typeJSON {
		write(w, code, kind, fmt.Appendf(nil, `{"code":%d,"message":%s}`, rpc, receive.AppendString(nil, []byte(message))))
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
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	w.Write(body)
}

func (o *Receiver) logs(w http.ResponseWriter, r *http.Request) error {
	kind, err := contentType(r)
	if err != nil {
		return err
	}
	from, err := receive.Identify(r, Name)
	if err != nil {
		return err
	}
	body, err := o.bodies.Read(r, r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	defer body.Release()
	id, err := receive.RequestID(r, from, Name, body.Bytes)
	if err != nil {
		return err
	}
	set := receive.NewSet()
	defer set.Release()
	d := decoder{set: set, lim: o.lim}
	if kind == typeJSON {
		err = d.json(body.Bytes)
	} else {
		err = d.proto(body.Bytes)
	}
	if err != nil {
		return err
	}
	if set.Total() == 0 { // an empty request is a success
		write(w, http.StatusOK, kind, success(kind, 0, ""))
		return nil
	}
	out, err := o.meter.Ingest(r.Context(), o.in, &pipeline.Request{
		Tenant: from.Tenant, Source: from.Source, ID: id, Raws: set.Raws, Rejected: set.Rejected,
	}, body)
	if err != nil {
		return err
	}
	bad := int(set.RejectedTotal()) + len(out.Refused)
	detail := set.First
	if detail == "" && len(out.Refused) > 0 {
		detail = out.Refused[0].Reason + ": " + out.Refused[0].Detail
	}
	write(w, http.StatusOK, kind, success(kind, bad, detail))
	return nil
}

// success returns an ExportLogsServiceResponse. partial_success is left out when
// every record was kept, as the specification wants it.
func success(kind string, rejected int, detail string) []byte {
	detail = strings.ToValidUTF8(detail, "\ufffd")
	switch {
	case kind == typeJSON && rejected == 0:
		return []byte("{}")
	case kind == typeJSON:
		return fmt.Appendf(nil, `{"partialSuccess":{"rejectedLogRecords":"%d","errorMessage":%s}}`, rejected, receive.AppendString(nil, []byte(detail)))
	case rejected == 0:
		return nil
	}
	p := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(rejected))
	p = protowire.AppendString(protowire.AppendTag(p, 2, protowire.BytesType), detail)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), p)
}
