package jaeger

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"math"
	"strconv"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// The gRPC APIs: jaeger.api_v3.QueryService (and api_v2, see v2.go), and jaeger.storage.v2, by which a
// Jaeger reads from us (jaeger-idl, proto/api_v3 and proto/storage/v2). The two
// have the same messages but for the form of ids and attributes, so they are read
// and written here field by field.

func (d *door) calls() []httpd.Route {
	unary := func(name string, h func(context.Context, trace.Asker, message) (message, error)) rpc.Method {
		return rpc.Method{Name: name, Handle: func(s *rpc.Stream) error {
			who, in, err := request(s)
			if err != nil {
				return err
			}
			out, err := h(s.Context(), who, in)
			if err != nil {
				return err
			}
			return s.Send(out)
		}}
	}
	stream := func(name string, h func(*rpc.Stream, trace.Asker, message) error) rpc.Method {
		return rpc.Method{Name: name, Stream: true, Handle: func(s *rpc.Stream) error {
			who, in, err := request(s)
			if err != nil {
				return err
			}
			return h(s, who, in)
		}}
	}
	return rpc.Routes(access.LogsRead,
		rpc.Service{Name: "jaeger.api_v3.QueryService", Methods: []rpc.Method{
			stream("GetTrace", d.getTrace),
			stream("FindTraces", func(s *rpc.Stream, who trace.Asker, in message) error { return d.findTraces(s, who, in, queryV3) }),
			stream("FindTraceSummaries", func(s *rpc.Stream, who trace.Asker, in message) error { return d.findSummaries(s, who, in, queryV3) }),
			unary("GetServices", d.getServices),
			unary("GetOperations", func(ctx context.Context, who trace.Asker, in message) (message, error) {
				return d.getOperations(ctx, who, in, true)
			}),
			unary("GetDependencies", d.getDependencies),
		}},
		rpc.Service{Name: "jaeger.api_v2.QueryService", Methods: []rpc.Method{
			stream("GetTrace", d.getTraceV2),
			stream("FindTraces", d.findTracesV2),
			unary("GetServices", d.getServices),
			unary("GetOperations", d.getOperationsV2),
			unary("GetDependencies", d.getDependencies),
		}},
		rpc.Service{Name: "jaeger.storage.v2.TraceReader", Methods: []rpc.Method{
			stream("GetTraces", d.getTraces),
			stream("FindTraces", func(s *rpc.Stream, who trace.Asker, in message) error { return d.findTraces(s, who, in, queryStorage) }),
			stream("FindTraceSummaries", func(s *rpc.Stream, who trace.Asker, in message) error {
				return d.findSummaries(s, who, in, queryStorage)
			}),
			unary("FindTraceIDs", d.findTraceIDs),
			unary("GetServices", d.getServices),
			unary("GetOperations", func(ctx context.Context, who trace.Asker, in message) (message, error) {
				return d.getOperations(ctx, who, in, false)
			}),
		}},
		rpc.Service{Name: "jaeger.storage.v2.DependencyReader", Methods: []rpc.Method{unary("GetDependencies", d.getDependencies)}},
		rpc.Service{Name: "jaeger.storage.v2.Capabilities", Methods: []rpc.Method{unary("GetCapabilities", capabilities)}},
	)
}

// request reads who asks, and the message of a call that has one.
func request(s *rpc.Stream) (trace.Asker, message, error) {
	scope, err := access.ReadScope(httpd.PrincipalFrom(s.Context()))
	if err != nil {
		return trace.Asker{}, nil, err
	}
	var b []byte
	if err := s.Recv(&b); err != nil && err != io.EOF {
		return trace.Asker{}, nil, err
	}
	return trace.Asker{Scope: scope, Remote: s.Request().RemoteAddr}, b, nil
}

// capabilities answers GetCapabilitiesResponse { SearchCapabilities search = 1 {
// without_service_name = 1; same_span_conjunction = 2 } }: both are true.
func capabilities(context.Context, trace.Asker, message) (message, error) {
	return message(nil).bytes(1, message(nil).number(1, 1).number(2, 1)), nil
}

// A message is an encoded protobuf message.
type message []byte

func (m message) bytes(num protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, num, protowire.BytesType), v)
}

func (m message) text(num protowire.Number, v string) message {
	if v == "" {
		return m
	}
	return protowire.AppendString(protowire.AppendTag(m, num, protowire.BytesType), v)
}

func (m message) number(num protowire.Number, n uint64) message {
	if n == 0 {
		return m
	}
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), n)
}

func (m message) fixed(num protowire.Number, n uint64) message {
	if n == 0 {
		return m
	}
	return protowire.AppendFixed64(protowire.AppendTag(m, num, protowire.Fixed64Type), n)
}

func (m message) stamp(num protowire.Number, ns int64) message {
	return m.bytes(num, message(nil).number(1, uint64(ns/1e9)).number(2, uint64(ns%1e9)))
}

// each calls f with every field: v of a length-delimited one, n of the others.
func (m message) each(f func(num protowire.Number, v message, n uint64) error) error {
	for len(m) > 0 {
		num, typ, size := protowire.ConsumeTag(m)
		if size < 0 {
			return errMessage
		}
		m = m[size:]
		var v []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(m)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(m)
		case protowire.Fixed64Type:
			n, size = protowire.ConsumeFixed64(m)
		default:
			size = protowire.ConsumeFieldValue(num, typ, m)
		}
		if size < 0 {
			return errMessage
		}
		m = m[size:]
		if err := f(num, v, n); err != nil {
			return err
		}
	}
	return nil
}

var errMessage = fault.Errorf(fault.Invalid, "not a message of the expected shape")

// nanos reads a Timestamp or a Duration { seconds = 1; nanos = 2 }.
func (m message) nanos() (int64, error) {
	var seconds, nanos int64
	err := m.each(func(num protowire.Number, _ message, n uint64) error {
		switch num {
		case 1:
			seconds = int64(n)
		case 2:
			nanos = int64(int32(n))
		}
		return nil
	})
	if seconds < -62135596800 || seconds > math.MaxInt64/1_000_000_000-1 {
		return 0, fault.Errorf(fault.Invalid, "a time or duration is out of range")
	}
	if seconds < 0 { // 0001-01-01: a zero time of Go
		return 0, err
	}
	return seconds*1e9 + nanos, err
}

// A reading of a query: what differs between the APIs is their attributes.
type reading func(v message) (trace.Attribute, error)

// queryV3 reads an entry of a map<string, string>.
func queryV3(v message) (a trace.Attribute, err error) {
	err = v.each(func(num protowire.Number, v message, _ uint64) error {
		switch num {
		case 1:
			a.Key = string(v)
		case 2:
			a.Value = string(v)
		}
		return nil
	})
	return a, err
}

// queryStorage reads KeyValue { string key = 1; AnyValue value = 2 }.
func queryStorage(v message) (a trace.Attribute, err error) {
	err = v.each(func(num protowire.Number, v message, _ uint64) error {
		switch num {
		case 1:
			a.Key = string(v)
		case 2:
			return v.each(func(num protowire.Number, v message, n uint64) error {
				a.Value = anyText(num, v, n)
				return nil
			})
		}
		return nil
	})
	return a, err
}

// anyText returns the text form of AnyValue { string = 1; bool = 2; int = 3; double
// = 4; bytes = 7 }.
func anyText(num protowire.Number, v message, n uint64) string {
	switch num {
	case 2:
		return strconv.FormatBool(n != 0)
	case 3:
		return strconv.FormatInt(int64(n), 10)
	case 4:
		return strconv.FormatFloat(math.Float64frombits(n), 'g', -1, 64)
	case 7:
		return base64.StdEncoding.EncodeToString(v)
	}
	return string(v)
}

// findOf reads FindTracesRequest { TraceQueryParameters query = 1 { service_name = 1;
// operation_name = 2; attributes = 3; start_time_min = 4; start_time_max = 5;
// duration_min = 6; duration_max = 7; search_depth = 8; raw_traces = 9 } }.
func findOf(in message, attribute reading, now int64) (f trace.FindRequest, raw bool, err error) {
	f.Limit = 100
	err = in.each(func(num protowire.Number, query message, _ uint64) error {
		if num != 1 {
			return nil
		}
		return query.each(func(num protowire.Number, v message, n uint64) (err error) {
			switch num {
			case 1:
				f.Services = list(string(v))
			case 2:
				f.Names = list(string(v))
			case 3:
				var a trace.Attribute
				a, err = attribute(v)
				f.Attributes = append(f.Attributes, a)
			case 4:
				f.From, err = v.nanos()
			case 5:
				f.To, err = v.nanos()
			case 6:
				f.MinDuration, err = v.nanos()
			case 7:
				f.MaxDuration, err = v.nanos()
			case 8:
				if n > 0 && n < 1<<31 {
					f.Limit = int(n)
				}
			case 9, 10: // a filter is 10 in version 3 and 9 in storage
				if raw = n != 0; len(v) == 0 {
					break
				}
				err = rpc.WithCode(rpc.Unimplemented, fault.Errorf(fault.Invalid, "filters are not known here"))
			}
			return err
		})
	})
	if f.To <= 0 {
		f.To = now
	}
	if f.To++; f.From <= 0 {
		f.From = f.To - int64(defaultLookback)
	}
	return f, raw, err
}

// chunk is about how many bytes of spans one message of a stream holds.
const chunk = 1 << 20

// sendTrace sends a trace in one or more messages TracesData { repeated
// ResourceSpans = 1 }, each of this trace only.
func sendTrace(s *rpc.Stream, t *trace.Trace) error {
	for start := 0; start < len(t.Spans); {
		end, size := start, 0
		for end < len(t.Spans) && size < chunk {
			size += sizeOf(&t.Spans[end])
			end++
		}
		if err := s.SendMsg(&otlp.TracesData{ResourceSpans: toOTLP(t.Spans[start:end])}); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// sizeOf is about how large a span is when encoded.
func sizeOf(s *trace.Span) int {
	return 64 + proto.Size(spanToOTLP(s))
}

// getTrace answers GetTraceRequest { string trace_id = 1; start_time = 2; end_time =
// 3; raw_traces = 4 }.
func (d *door) getTrace(s *rpc.Stream, who trace.Asker, in message) error {
	t, raw, err := d.asked(s, who, in, func(v message) (string, error) { return traceID(string(v)) })
	if err != nil {
		return err
	}
	if !raw {
		t.Unshare()
	}
	return sendTrace(s, t)
}

// asked returns the trace that a GetTraceRequest of either version names, and
// whether it is wanted as it was sent; id reads its trace_id. It fails with
// fault.NotFound when there is none.
func (d *door) asked(s *rpc.Stream, who trace.Asker, in message, id func(message) (string, error)) (t *trace.Trace, raw bool, err error) {
	var name string
	var from, to int64
	err = in.each(func(num protowire.Number, v message, n uint64) (err error) {
		switch num {
		case 1:
			name, err = id(v)
		case 2:
			from, err = v.nanos()
		case 3:
			to, err = v.nanos()
		case 4:
			raw = n != 0
		}
		return err
	})
	if err == nil && name == "" {
		err = fault.Errorf(fault.Invalid, "trace_id is missing")
	}
	if err != nil {
		return nil, false, err
	}
	traces, _, err := d.traces.Get(s.Context(), who, []string{name}, from, to)
	if err == nil && len(traces) == 0 {
		err = fault.Errorf(fault.NotFound, "trace not found")
	}
	if err != nil {
		return nil, false, err
	}
	return &traces[0], raw, nil
}

// getTraces answers GetTracesRequest { repeated GetTraceParams query = 1 { bytes
// trace_id = 1; start_time = 2; end_time = 3 } }. One that is not there is skipped.
func (d *door) getTraces(s *rpc.Stream, who trace.Asker, in message) error {
	var ids []string
	var first, last int64
	open := false // one of them was not bounded
	err := in.each(func(num protowire.Number, query message, _ uint64) error {
		if num != 1 {
			return nil
		}
		var from, to int64
		err := query.each(func(num protowire.Number, v message, _ uint64) (err error) {
			switch num {
			case 1:
				var id string
				if id, err = trace.ParseID(hex.EncodeToString(v)); err == nil {
					ids = append(ids, id)
				}
			case 2:
				from, err = v.nanos()
			case 3:
				to, err = v.nanos()
			}
			return err
		})
		if open = open || from == 0 || to == 0; first == 0 || from < first {
			first = from
		}
		last = max(last, to)
		return err
	})
	if err != nil {
		return err
	}
	if open {
		first, last = 0, 0
	}
	traces, _, err := d.traces.Get(s.Context(), who, ids, first, last)
	if err != nil {
		return err
	}
	for i := range traces {
		if err := sendTrace(s, &traces[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *door) findTraces(s *rpc.Stream, who trace.Asker, in message, attribute reading) error {
	f, raw, err := findOf(in, attribute, d.traces.Now().UnixNano())
	if err != nil {
		return err
	}
	traces, _, err := d.traces.Find(s.Context(), who, f)
	if err != nil {
		return err
	}
	for i := range traces {
		if !raw && isV3(s) {
			traces[i].Unshare()
		}
		if err := sendTrace(s, &traces[i]); err != nil {
			return err
		}
	}
	return nil
}

// isV3 tells the query API from the storage API, whose reader adjusts traces
// itself.
func isV3(s *rpc.Stream) bool {
	return len(s.Request().URL.Path) > 15 && s.Request().URL.Path[:15] == "/jaeger.api_v3."
}

// findSummaries answers FindTraceSummariesResponse { repeated TraceSummary = 1 }; the
// id is text in version 3 and bytes in storage.
func (d *door) findSummaries(s *rpc.Stream, who trace.Asker, in message, attribute reading) error {
	f, _, err := findOf(in, attribute, d.traces.Now().UnixNano())
	if err != nil {
		return err
	}
	traces, _, err := d.traces.Find(s.Context(), who, f)
	if err != nil {
		return err
	}
	var out message
	for i := range traces {
		m := traces[i].Summary()
		var b message
		if isV3(s) {
			b = b.text(1, m.ID)
		} else {
			b = b.bytes(1, id(m.ID))
		}
		b = b.text(2, m.RootService).text(3, m.RootName).fixed(4, uint64(m.Start)).fixed(5, uint64(m.End)).
			number(6, uint64(m.Spans)).number(7, uint64(m.Failed)).number(8, uint64(m.Orphans))
		for _, sv := range m.Services {
			b = b.bytes(9, message(nil).text(1, sv.Name).number(2, uint64(sv.Spans)).number(3, uint64(sv.Failed)))
		}
		out = out.bytes(1, b)
	}
	if len(out) == 0 {
		return nil
	}
	return s.Send(out)
}

// findTraceIDs answers FindTraceIDsResponse { repeated FoundTraceID trace_ids = 1 {
// bytes trace_id = 1 } }.
func (d *door) findTraceIDs(ctx context.Context, who trace.Asker, in message) (message, error) {
	f, _, err := findOf(in, queryStorage, d.traces.Now().UnixNano())
	if err != nil {
		return nil, err
	}
	ids, _, err := d.traces.FindIDs(ctx, who, f)
	var out message
	for _, t := range ids {
		out = out.bytes(1, message(nil).bytes(1, id(t)))
	}
	return out, err
}

// getServices answers GetServicesResponse { repeated string services = 1 }.
func (d *door) getServices(ctx context.Context, who trace.Asker, _ message) (message, error) {
	names, err := d.traces.Services(ctx, who)
	var out message
	for _, n := range names {
		out = out.text(1, n)
	}
	return out, err
}

// getOperations answers GetOperationsRequest { service = 1; span_kind = 2 } with
// GetOperationsResponse { repeated Operation operations = 1 { name = 1; span_kind = 2 } }.
func (d *door) getOperations(ctx context.Context, who trace.Asker, in message, v3 bool) (message, error) {
	var service, kind string
	err := in.each(func(num protowire.Number, v message, _ uint64) error {
		switch num {
		case 1:
			service = string(v)
		case 2:
			kind = kindOf(string(v))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ops, err := d.traces.Operations(ctx, who, service, kind)
	var out message
	for _, op := range ops {
		if v3 && op.Kind == "" {
			op.Kind = "internal"
		}
		out = out.bytes(1, message(nil).text(1, op.Name).text(2, op.Kind))
	}
	return out, err
}

// getDependencies answers GetDependenciesRequest { start_time = 1; end_time = 2 }
// with a list of { parent = 1; child = 2; call_count = 3 } under 1.
func (d *door) getDependencies(ctx context.Context, who trace.Asker, in message) (message, error) {
	var from, to int64
	err := in.each(func(num protowire.Number, v message, _ uint64) (err error) {
		switch num {
		case 1:
			from, err = v.nanos()
		case 2:
			to, err = v.nanos()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if to <= 0 {
		to = d.traces.Now().UnixNano()
	}
	if from <= 0 {
		from = to - int64(24*time.Hour)
	}
	links, _, err := d.traces.Dependencies(ctx, who, from, to+1)
	var out message
	for _, l := range links {
		out = out.bytes(1, message(nil).text(1, l.Parent).text(2, l.Child).number(3, l.Calls))
	}
	return out, err
}
