package otlp

import (
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
)

// collector is the package of OTLP's services.
const collector = "opentelemetry.proto.collector."

// calls returns the routes of OTLP over gRPC: the same decoders as over HTTP. Of a
// status exporters retry UNAVAILABLE and give up on INVALID_ARGUMENT and
// RESOURCE_EXHAUSTED without RetryInfo, which is what rpc answers.
func (o *Receiver) calls() []httpd.Route {
	return rpc.Routes(access.LogsWrite,
		o.export("logs.v1.LogsService", func(body *receive.Body, set *receive.Set) error {
			d := decoder{set: set, lim: o.inlet.Limits}
			return d.proto(body.Bytes)
		}),
		o.export("trace.v1.TraceService", func(body *receive.Body, set *receive.Set) error {
			return decodeTraces(body.Bytes, false, set, o.inlet.Limits)
		}),
		o.inlet.Service(collector+"metrics.v1.MetricsService", rpc.Method{Name: "Export", Handle: func(s *rpc.Stream) error {
			body, err := o.inlet.Message(s)
			if err != nil {
				return err
			}
			defer body.Release()
			n, err := dataPoints(body.Bytes)
			if err != nil {
				return err
			}
			return s.Send(success(typeProto, "", n, noMetrics))
		}}),
	)
}

// export returns a service whose one method takes records. success is, for a
// response in protobuf, the same for all of them.
func (o *Receiver) export(name string, decode func(*receive.Body, *receive.Set) error) rpc.Service {
	return o.inlet.Service(collector+name, rpc.Method{Name: "Export", Handle: func(s *rpc.Stream) error {
		return o.inlet.Call(s, decode, func(t *receive.Taken) error {
			bad, detail := t.RefusedTotal()
			return s.Send(success(typeProto, "", bad, detail))
		})
	}})
}

// noMetrics is what a sender of metrics is told. That none was kept is a partial
// success: exporters do not send again after it, and show the text.
const noMetrics = "metrics are not kept here: leave this exporter out of the metrics pipelines"

// metrics answers POST /v1/metrics.
func (o *Receiver) metrics(w http.ResponseWriter, r *http.Request) error {
	kind, err := contentType(r)
	if err != nil {
		return err
	}
	body, err := o.inlet.Bodies.Read(r, r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	defer body.Release()
	n := 1 // JSON is not counted
	if kind == typeProto {
		if n, err = dataPoints(body.Bytes); err != nil {
			return err
		}
	}
	write(w, http.StatusOK, kind, success(kind, "rejectedDataPoints", n, noMetrics))
	return nil
}

// dataPoints counts the points of an ExportMetricsServiceRequest { repeated
// ResourceMetrics = 1 { repeated ScopeMetrics = 2 { repeated Metric = 2 { oneof
// Gauge = 5, Sum = 7, Histogram = 9, ExponentialHistogram = 10, Summary = 11 {
// repeated points = 1 } } } } }.
func dataPoints(b []byte) (int, error) {
	return count(b, []func(int) bool{is(1), is(2), is(2), func(tag int) bool {
		switch tag {
		case 5<<3 | pb.Length, 7<<3 | pb.Length, 9<<3 | pb.Length, 10<<3 | pb.Length, 11<<3 | pb.Length:
			return true
		}
		return false
	}, is(1)})
}

func is(field protowire.Number) func(int) bool {
	return func(tag int) bool { return tag == int(field)<<3|pb.Length }
}

// count counts the messages at the end of a path of fields.
func count(b []byte, path []func(int) bool) (n int, err error) {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return 0, err
		}
		b = rest
		switch {
		case !path[0](f.Tag):
		case len(path) == 1:
			n++
		default:
			inner, err := count(f.V, path[1:])
			if err != nil {
				return 0, err
			}
			n += inner
		}
	}
	return n, nil
}
