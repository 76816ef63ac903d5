package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/als"
	"github.com/meshtrail/meshtrail/internal/receive/fluent"
	"github.com/meshtrail/meshtrail/internal/receive/httpjson"
	"github.com/meshtrail/meshtrail/internal/receive/jaeger"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/loki"
	"github.com/meshtrail/meshtrail/internal/receive/otlp"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/receive/zipkin"
)

// Protobuf by hand: a message is what its fields append.

func text(b []byte, n protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func inner(b []byte, n protowire.Number, m []byte) []byte { return text(b, n, string(m)) }

func number(b []byte, n protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
}

func fixed(b []byte, n protowire.Number, v int) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), uint64(v))
}

const (
	startedAt = 1_795_000_000 // s
	manyWays  = 2000          // records of a request
)

func numbered(n, i int) []byte { return binary.BigEndian.AppendUint64(make([]byte, n-8), uint64(i)+1) }

func many(one func(i int) []byte) []byte {
	var b []byte
	for i := range manyWays {
		b = append(b, one(i)...)
	}
	return b
}

// repeated is a list of messages, each field n.
func repeated(n protowire.Number, one func(i int) []byte) []byte {
	return many(func(i int) []byte { return inner(nil, n, one(i)) })
}

func call(m []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

func otlpAttributes(n protowire.Number, i int) []byte {
	b := inner(nil, n, inner(text(nil, 1, "path"), 2, text(nil, 1, fmt.Sprint("/cart/", i))))
	b = inner(b, n, inner(text(nil, 1, "response_code"), 2, number(nil, 3, 200)))
	return inner(b, n, inner(text(nil, 1, "service.name"), 2, text(nil, 1, "own")))
}

func otlpWay(one func(i int) []byte) []byte {
	resource := inner(nil, 1, inner(text(nil, 1, "service.name"), 2, text(nil, 1, "cart")))
	return inner(nil, 1, inner(inner(nil, 1, resource), 2, repeated(2, one)))
}

func msgpackText(b []byte, v string) []byte { return append(append(b, 0xd9, byte(len(v))), v...) }

func msgpackEntry(at, i int) []byte {
	b := append([]byte{0x92, 0xce}, binary.BigEndian.AppendUint32(nil, uint32(at))...)
	b = msgpackText(msgpackText(append(b, 0x82), "msg"), fmt.Sprint("number ", i))
	return append(msgpackText(b, "response_code"), 0xcc, 200)
}

// packed are the ways of packed binary protocols: bodies of so many records.
var packed = []struct {
	name, path, kind, encoding string
	body                       func(at int) []byte // at: s
}{
	{"loki", "/loki/api/v1/push", "application/x-protobuf", "snappy", func(at int) []byte {
		lines := repeated(2, func(i int) []byte {
			return text(inner(nil, 1, number(nil, 1, at)), 2, fmt.Sprintf(`{"pod":"another","msg":"number %d","method":"GET"}`, i))
		})
		return snappy.Encode(nil, inner(nil, 1, append(text(nil, 1, `{pod="a", namespace="b"}`), lines...)))
	}},
	{"otlp logs", "/v1/logs", "application/x-protobuf", "", func(at int) []byte {
		return otlpWay(func(i int) []byte {
			return append(inner(fixed(nil, 1, at*1e9+i), 5, text(nil, 1, "hello")), otlpAttributes(6, i)...)
		})
	}},
	{"otlp spans", "/v1/traces", "application/x-protobuf", "", func(at int) []byte {
		return otlpWay(func(i int) []byte {
			b := text(inner(inner(nil, 1, numbered(16, i)), 2, numbered(8, i)), 5, "GET /")
			return append(fixed(fixed(b, 7, at*1e9), 8, at*1e9+i), otlpAttributes(9, i)...)
		})
	}},
	{"zipkin", "/api/v2/spans", "application/x-protobuf", "", func(at int) []byte {
		return repeated(1, func(i int) []byte {
			b := text(inner(inner(nil, 1, numbered(16, i)), 3, numbered(8, i)), 5, "get /")
			b = inner(number(fixed(b, 6, at*1e6), 7, i), 8, text(nil, 1, "cart"))
			return inner(b, 11, text(text(nil, 1, "http.path"), 2, fmt.Sprint("/cart/", i)))
		})
	}},
	{"jaeger", "/jaeger.api_v2.CollectorService/PostSpans", "application/grpc", "", func(at int) []byte {
		spans := repeated(1, func(i int) []byte {
			b := text(inner(inner(nil, 1, numbered(16, i)), 2, numbered(8, i)), 3, "GET /")
			b = inner(inner(b, 6, number(nil, 1, at)), 7, number(nil, 2, i))
			return inner(b, 8, text(text(nil, 1, "http.path"), 3, fmt.Sprint("/cart/", i)))
		})
		return call(inner(nil, 1, inner(spans, 2, text(nil, 1, "cart"))))
	}},
	{"als", "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", "application/grpc", "", func(at int) []byte {
		entries := repeated(1, func(i int) []byte {
			common := text(inner(nil, 5, number(nil, 1, at)), 15, "outbound|80||cart.shop.svc.cluster.local")
			b := inner(inner(nil, 1, common), 3, text(number(nil, 1, 1), 5, fmt.Sprint("/cart/", i)))
			return inner(b, 4, inner(nil, 1, number(nil, 1, 200)))
		})
		return call(inner(inner(nil, 1, inner(nil, 1, text(nil, 1, "proxy"))), 2, entries))
	}},
	{"msgpack", "/api/v1/ingest", "application/msgpack", "", func(at int) []byte { return many(func(i int) []byte { return msgpackEntry(at, i) }) }},
}

// TestPackedWaysAllocateNothingEach holds the whole way of a request of 2,000
// records to an allocation for each ten records, for the protocols of protobuf
// and MessagePack, once the names of their fields are known.
func TestPackedWaysAllocateNothingEach(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	_, behind := newIntake(t)
	in := &stored{Intake: behind}
	shared := receive.Shared{Intake: in}
	var routes []httpd.Route
	add := func(r interface{ Routes() []httpd.Route }, err error) {
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, r.Routes()...)
	}
	add(loki.New(loki.Config{}, shared))
	add(otlp.New(otlp.Config{}, shared))
	add(zipkin.New(zipkin.Config{}, shared))
	add(jaeger.New(jaeger.Config{}, shared))
	add(als.New(als.Config{}, shared))
	add(httpjson.New(httpjson.Config{}, shared))
	door := receivetest.Handler(routes)
	for _, p := range packed {
		var bodies [][]byte // each another: a repetition would be seen once
		for i := range warmUps + runs {
			bodies = append(bodies, p.body(startedAt+i))
		}
		fewAllocations(t, in, p.name, func() {
			req := httptest.NewRequest("POST", p.path, bytes.NewReader(bodies[0]))
			bodies = bodies[1:]
			req.ProtoMajor = 2
			req.Header.Set("Content-Type", p.kind)
			req.Header.Set("Content-Encoding", p.encoding)
			got := httptest.NewRecorder()
			door.ServeHTTP(got, req)
			if status := got.Result().Trailer.Get("Grpc-Status"); got.Code >= http.StatusMultipleChoices || status != "" && status != "0" {
				t.Fatalf("%s: %d, %q: %.300s", p.name, got.Code, status, got.Body)
			}
		})
	}
}

// TestForwardAllocatesNothingEach is the same of Fluentd's protocol.
func TestForwardAllocatesNothingEach(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	_, behind := newIntake(t)
	in := &stored{Intake: behind}
	r, err := fluent.New(fluent.Config{Config: listen.Config{Listen: "127.0.0.1:0"}}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	l := r.Listeners()[0]
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	defer func() { stop(); <-done }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	entries := many(func(i int) []byte { return msgpackEntry(startedAt, i) })
	chunk := 0
	fewAllocations(t, in, "forward", func() {
		chunk++ // a repetition would be seen once
		id := fmt.Sprintf("%020d", chunk)
		b := binary.BigEndian.AppendUint32(append(msgpackText([]byte{0x93}, "tag"), 0xc6), uint32(len(entries)))
		b = msgpackText(msgpackText(append(append(b, entries...), 0x81), "chunk"), id)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		ack := make([]byte, 1+1+len("ack")+1+len(id))
		if _, err := io.ReadFull(c, ack); err != nil || !bytes.HasSuffix(ack, []byte(id)) {
			t.Fatalf("acknowledged %q: %v", ack, err)
		}
	})
}

// stored counts what is stored.
type stored struct {
	pipeline.Intake
	n atomic.Int64
}

func (s *stored) Ingest(ctx context.Context, r *pipeline.Request) (pipeline.Outcome, error) {
	out, err := s.Intake.Ingest(ctx, r)
	s.n.Add(int64(out.Stored))
	return out, err
}

// How often fewAllocations calls send: columns, names and buffers are made first.
const (
	warmUps = 4
	runs    = 11 // one of them not measured
)

// fewAllocations runs send, which hands in 2,000 records.
func fewAllocations(t *testing.T, in *stored, name string, send func()) {
	t.Helper()
	before := in.n.Load()
	for range warmUps {
		send()
	}
	n := testing.AllocsPerRun(runs-1, send)
	if t.Logf("%s: a request of 2,000 records allocates %.0f times", name, n); n > manyWays/10 {
		t.Errorf("%s: a request of 2,000 records allocates %.0f times, want %d at most", name, n, manyWays/10)
	}
	if got := in.n.Load() - before; got != (warmUps+runs)*manyWays {
		t.Errorf("%s: %d records are stored of %d", name, got, (warmUps+runs)*manyWays)
	}
}
