package fluent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	mp "github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// containerEntry is what Fluent Bit sends of a container's line.
func containerEntry(n int) []byte {
	b := mp.AppendEventTime(mp.AppendArray(nil, 2), int64(at+n))
	b = mp.AppendMap(b, 4)
	b = mp.AppendStr(mp.AppendStr(b, "stream"), "stdout")
	b = mp.AppendStr(mp.AppendStr(b, "_p"), "F")
	b = mp.AppendStr(mp.AppendStr(b, "log"), fmt.Sprintf(`[2026-03-01T10:00:00.001Z] "GET /api/v1/cart/%d HTTP/1.1" 200 - via_upstream - "-" 0 30211 12 11 "-" "okhttp/4.12.0" "0f8fad5b-d9cb-469f-a165-7086772%05d" "cart.shop.svc.cluster.local:8080" "10.1.2.3:8080" outbound|8080||cart.shop.svc.cluster.local - 10.1.2.3:8080 10.1.2.4:41231 - default`, n, n))
	b = mp.AppendMap(mp.AppendStr(b, "kubernetes"), 5)
	b = mp.AppendStr(mp.AppendStr(b, "pod_name"), "cart-0a1b2c3d-00001")
	b = mp.AppendStr(mp.AppendStr(b, "namespace_name"), "shop")
	b = mp.AppendStr(mp.AppendStr(b, "container_name"), "istio-proxy")
	b = mp.AppendStr(mp.AppendStr(b, "host"), "node-17")
	b = mp.AppendMap(mp.AppendStr(b, "labels"), 2)
	b = mp.AppendStr(mp.AppendStr(b, "app"), "cart")
	return mp.AppendStr(mp.AppendStr(b, "version"), "v1")
}

func containerChunk(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, containerEntry(i)...)
	}
	return b
}

// decodeAll decodes a message as a session does, without handing it in.
func decodeAll(t testing.TB, s *session, data []byte, want int) {
	s.scan = mp.Scanner{}
	if done, err := s.scan.Scan(data); !done || err != nil {
		t.Fatal(done, err)
	}
	m, err := parse(data, s.scan.Top[:s.scan.Tops])
	if err != nil {
		t.Fatal(err)
	}
	b := &s.open
	if err := s.decode(&m, b); err != nil || len(b.set.Raws) != want {
		t.Fatal(err, len(b.set.Raws))
	}
	b.release()
}

func newSession() *session {
	s := &session{r: &Receiver{inlet: receive.NewInlet(Name, receive.Shared{}), max: 64 << 20}}
	s.open.s = s
	return s
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	list := append(mp.AppendArray(nil, 1000), containerChunk(1000)...)
	for name, data := range map[string][]byte{
		"packed":  msg(str32(containerChunk(1000)), options(kv{"size", 1000})),
		"forward": msg(list, options(kv{"size", 1000})),
	} {
		s := newSession()
		decodeAll(t, s, data, 1000)
		if n := testing.AllocsPerRun(20, func() { decodeAll(t, s, data, 1000) }); n > 12 {
			t.Errorf("%s: %v allocations for 1,000 records", name, n)
		}
	}
}

// TestMessagesAllocateNothingEach gathers messages of one record each, as loggers
// without acknowledgements send them.
func TestMessagesAllocateNothingEach(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	one := containerEntry(1)[1:] // time and record, without the head of their array
	in := bytes.Repeat(append(mp.AppendStr(mp.AppendArray(nil, 3), "app.x"), one...), 1000)
	records := 0
	nowhere := handler(func(_ context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
		records += len(req.Raws)
		return pipeline.Outcome{}, nil
	})
	sh := receive.Shared{Intake: nowhere, Bodies: receive.NewBodies(receive.Limits{})}
	r := &Receiver{inlet: receive.NewInlet(Name, sh), max: 64 << 20}
	run := func() {
		c := listen.NewConn(&script{in: in, piece: 1 << 20}, receive.Sender{Tenant: "default", Name: "x", Source: "fluent/x"}, listen.Config{}, sh)
		if err := r.serve(context.Background(), c); err != io.EOF {
			t.Fatal(err)
		}
		c.Release()
	}
	run()
	records = 0
	if n := testing.AllocsPerRun(10, run); n > 120 || records != 11_000 {
		t.Errorf("%v allocations for 1,000 messages; %d records of 11,000", n, records)
	}
}

type handler func(context.Context, *pipeline.Request) (pipeline.Outcome, error)

func (f handler) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	return f(ctx, req)
}

func BenchmarkDecode(b *testing.B) {
	const n = 2000
	for _, bench := range []struct {
		name string
		data []byte
	}{
		{"packed", msg(str32(containerChunk(n)), options(kv{"size", n}))},
		{"forward", msg(append(mp.AppendArray(nil, n), containerChunk(n)...), options(kv{"size", n}))},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSession()
			b.SetBytes(int64(len(bench.data)))
			b.ReportAllocs()
			for b.Loop() {
				decodeAll(b, s, bench.data, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
		})
	}
}

// TestSlowClients holds many connections that send a byte and wait, each within a
// message, while another one is served.
func TestSlowClients(t *testing.T) {
	store := &receivetest.Intake{}
	bodies := receive.NewBodies(receive.Limits{Memory: 1 << 20})
	r, err := New(Config{Config: listen.Config{Listen: "127.0.0.1:0"}}, receive.Shared{Intake: store, Bodies: bodies})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveOn(t, r)
	lying := append(mp.AppendStr([]byte{0x92}, "t"), 0xdb, 0x03, 0, 0, 0) // 48 MiB, it says
	for range 200 {
		dial(t, addr).Write(lying)
	}
	if got := talk(t, addr, msg(str32(entries(1000)), options(kv{"chunk", "c"}))); got != ack("c") {
		t.Fatalf("answered %q", got)
	}
	if held := bodies.Held(); held > 512<<10 {
		t.Errorf("%d bytes are held for those who only promise", held)
	}
}

func serveOn(t testing.TB, r *Receiver) string {
	t.Helper()
	l := r.Listeners()[0]
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr().String()
}

// script is a connection that says what it was told to, in pieces.
type script struct {
	in    []byte
	piece int
	out   bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(len(s.in), s.piece)])
	s.in = s.in[n:]
	return n, nil
}
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzSession sends whatever it is to a session, at once and byte by byte: it
// neither panics nor takes another record in one of the two, and never
// acknowledges more than it handed in.
func FuzzSession(f *testing.F) {
	for _, in := range captured(f) {
		f.Add(in)
	}
	f.Add(msg(list(entry(0), entry(1)), options(kv{"chunk", "c"})))
	f.Add(msg(str32(gz(entries(3))), options(kv{"compressed", "gzip"}, kv{"chunk", "c"}, kv{"size", 3})))
	f.Add(msg(str32(zst(entries(3))), options(kv{"compressed", "zstd"})))
	f.Add(msg(list(entry(0)), options(kv{"chunk", ""})))
	f.Add(msg(mp.AppendInt(nil, 5), options(kv{"log", "x"}), options(kv{"chunk", "c"}, kv{"metadata", options(kv{"k", "v"})})))
	f.Add([]byte(" [] \n[\"a\",1,{}] \n \n[\"a\",1,{\"x\":1}]"))
	f.Add([]byte("[\"a\",1,{}] \n \n[\"a\",1,{\"x\":1}]"))
	f.Add([]byte(`["a",[[1,{"x":1}],[2,{"x":2}]],{"chunk":"c"}]["a",1,{}]`))
	var store *receivetest.Intake // of the session at work
	sh := receive.Shared{Bodies: receive.NewBodies(receive.Limits{Decoded: 1 << 20, Body: 1 << 20}), Intake: handler(func(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
		return store.Ingest(ctx, req)
	})}
	r := &Receiver{inlet: receive.NewInlet(Name, sh), max: 1 << 20}
	f.Fuzz(func(t *testing.T, in []byte) {
		var seen [2]string
		for i, piece := range []int{len(in) + 1, 1} {
			if piece == 1 && len(in) > 2<<10 {
				return
			}
			store = &receivetest.Intake{}
			sc := &script{in: in, piece: piece}
			c := listen.NewConn(sc, receive.Sender{Tenant: "default", Name: "x", Source: "fluent/x"}, listen.Config{}, sh)
			err := r.serve(t.Context(), c)
			if fault.Is(err, fault.Internal) && err != io.EOF {
				t.Fatal(err)
			}
			c.Release()
			rejected := uint64(0)
			for _, req := range store.Requests() {
				for _, n := range req.Rejected {
					rejected += n.N
				}
			}
			seen[i] = fmt.Sprint(show(store.Raws()), rejected, sc.out.String())
			if held := sh.Bodies.Held(); held != 0 {
				t.Fatalf("%d bytes are still held", held)
			}
		}
		if seen[0] != seen[1] {
			t.Fatalf("at once:\n%s\nin pieces:\n%s", seen[0], seen[1])
		}
	})
}
