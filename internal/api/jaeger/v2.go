package jaeger

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// The gRPC API of version 2 (jaeger-idl, proto/api_v2/query.proto), which Kiali
// uses. Its spans are those of version 1 in protobuf (model.proto).

// getTraceV2 answers GetTraceRequest { bytes trace_id = 1; start_time = 2; end_time =
// 3; raw_traces = 4 } with SpansResponseChunks.
func (d *door) getTraceV2(s *rpc.Stream, who trace.Asker, in message) error {
	t, raw, err := d.asked(s, who, in, func(v message) (string, error) { return trace.ParseID(hex.EncodeToString(v)) })
	if err != nil {
		return err
	}
	return sendV2(s, t, raw)
}

func (d *door) findTracesV2(s *rpc.Stream, who trace.Asker, in message) error {
	f, raw, err := findOf(in, queryV3, d.traces.Now().UnixNano())
	if err != nil {
		return err
	}
	traces, _, err := d.traces.Find(s.Context(), who, f)
	if err != nil {
		return err
	}
	for i := range traces {
		if err := sendV2(s, &traces[i], raw); err != nil {
			return err
		}
	}
	return nil
}

// sendV2 sends a trace in messages SpansResponseChunk { repeated Span spans = 1 }.
func sendV2(s *rpc.Stream, t *trace.Trace, raw bool) error {
	if !raw {
		t.Unshare()
	}
	var out message
	for i := range t.Spans {
		if out = out.bytes(1, spanToV2(&t.Spans[i])); len(out) >= chunk || i == len(t.Spans)-1 {
			if err := s.Send(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}

// spanToV2 encodes Span { trace_id = 1; span_id = 2; operation_name = 3; references
// = 4; flags = 5; start_time = 6; duration = 7; tags = 8; logs = 9; process = 10 }.
func spanToV2(s *trace.Span) message {
	v1 := spanToV1(s, "")
	m := message(nil).bytes(1, id(s.TraceID)).bytes(2, id(s.SpanID)).text(3, s.Name)
	for _, ref := range v1.References {
		kind := uint64(0)
		if ref.RefType == "FOLLOWS_FROM" {
			kind = 1
		}
		long, _ := trace.ParseID(ref.TraceID)
		m = m.bytes(4, message(nil).bytes(1, id(long)).bytes(2, id(ref.SpanID)).number(3, kind))
	}
	m = m.number(5, uint64(v1.Flags)).stamp(6, s.Start).stamp(7, s.Duration)
	for i := range v1.Tags {
		m = m.bytes(8, tagToV2(&v1.Tags[i]))
	}
	for i, l := range v1.Logs {
		b := message(nil).stamp(1, s.Events[i].Time)
		for j := range l.Fields {
			b = b.bytes(2, tagToV2(&l.Fields[j]))
		}
		m = m.bytes(9, b)
	}
	p := processOf(s)
	b := message(nil).text(1, p.ServiceName)
	for i := range p.Tags {
		b = b.bytes(2, tagToV2(&p.Tags[i]))
	}
	return m.bytes(10, b)
}

// tagToV2 encodes KeyValue { key = 1; v_type = 2; v_str = 3; v_bool = 4; v_int64 = 5;
// v_float64 = 6; v_binary = 7 }.
func tagToV2(t *tagV1) message {
	m := message(nil).text(1, t.Key)
	switch v := t.Value.(type) {
	case bool:
		m = m.number(2, 1)
		if v {
			m = m.number(4, 1)
		}
	case int64:
		m = m.number(2, 2).number(5, uint64(v))
	case float64:
		m = m.number(2, 3).fixed(6, math.Float64bits(v))
	case string:
		if t.Type != "binary" {
			return m.text(3, v)
		}
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			b = []byte(v)
		}
		m = m.number(2, 4).bytes(7, b)
	}
	return m
}

// getOperationsV2 answers GetOperationsResponse { repeated string operationNames = 1;
// repeated Operation operations = 2 { name = 1; span_kind = 2 } }.
func (d *door) getOperationsV2(ctx context.Context, who trace.Asker, in message) (message, error) {
	inner, err := d.getOperations(ctx, who, in, false)
	if err != nil {
		return nil, err
	}
	var out message
	last := ""
	err = inner.each(func(_ protowire.Number, op message, _ uint64) error {
		return op.each(func(num protowire.Number, v message, _ uint64) error {
			if name := string(v); num == 1 && name != last {
				out, last = out.text(1, name), name
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	err = inner.each(func(_ protowire.Number, op message, _ uint64) error {
		out = out.bytes(2, op)
		return nil
	})
	return out, err
}
