package lumberjack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// filebeat is what Filebeat sends of a container's line.
const filebeat = `{"@timestamp":"2026-11-20T10:00:00.%03[1]dZ","@metadata":{"beat":"filebeat","type":"_doc","version":"8.17.0"},"stream":"stdout","input":{"type":"container"},"message":"[2026-03-01T10:00:00.001Z] \"GET /api/v1/cart/%[1]d HTTP/1.1\" 200 - via_upstream - \"-\" 0 30211 12 11 \"-\" \"okhttp/4.12.0\" \"0f8fad5b-d9cb-469f-a165-7086772%05[1]d\" \"cart.shop.svc.cluster.local:8080\" \"10.1.2.3:8080\" outbound|8080||cart.shop.svc.cluster.local - 10.1.2.3:8080 10.1.2.4:41231 - default","log":{"file":{"path":"/var/log/containers/cart.log"},"offset":%[1]d},"kubernetes":{"pod":{"name":"cart-0a1b2c3d-00001","uid":"1ab0a7e0"},"namespace":"shop","container":{"name":"istio-proxy"},"labels":{"app":"cart","version":"v1"}},"agent":{"type":"filebeat","version":"8.17.0","id":"0b7d8c86","name":"node-17"},"host":{"name":"node-17"},"ecs":{"version":"8.0.0"}}`

// gather cuts n records into a part.
func gather(t testing.TB, n int) (p part, buf []byte) {
	buf = docs(n, filebeat)
	for at := 0; at < len(buf); {
		h, need, err := readHead(buf[at:], '2', 1<<20)
		if need != 0 || err != nil {
			t.Fatal(need, err)
		}
		p.add(h, at)
		at += h.size
	}
	return p, buf
}

func TestAllocations(t *testing.T) {
	p, buf := gather(t, 1000)
	receivetest.Allocates(t, 12, 1000, func(set *receive.Set) error {
		p.build(buf, set, 64)
		if !p.digest.timed {
			return errors.New("records without times")
		}
		return nil
	})
}

func BenchmarkDecode(b *testing.B) {
	const n = 2000
	p, buf := gather(b, n)
	receivetest.Decodes(b, len(buf), n, func(set *receive.Set) error {
		p.frames = p.frames[:0]
		for at := 0; at < len(buf); {
			h, _, err := readHead(buf[at:], '2', 1<<20)
			if err != nil {
				return err
			}
			p.add(h, at)
			at += h.size
		}
		p.build(buf, set, 64)
		return nil
	})
}

// BenchmarkWindow is a whole compressed window, over a connection in memory.
func BenchmarkWindow(b *testing.B) {
	const n = 2000
	in := window(n, packed(docs(n, filebeat)))
	nowhere := pipelineFunc(func(context.Context, *pipeline.Request) (pipeline.Outcome, error) { return pipeline.Outcome{}, nil })
	sh := receive.Shared{Intake: nowhere, Bodies: receive.NewBodies(receive.Limits{})}
	r := newReceiver(Config{}, sh)
	b.SetBytes(int64(len(docs(n, filebeat))))
	b.ReportAllocs()
	for b.Loop() {
		sc := &script{in: in, piece: 64 << 10}
		c := listen.NewConn(sc, receive.Sender{Tenant: "default", Name: "x", Source: "lumberjack/x"}, listen.Config{}, sh)
		if err := r.serve(b.Context(), c); err != io.EOF || sc.out.Len() != 6 {
			b.Fatal(err, sc.out.Len())
		}
		c.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// TestCaptured reads what a real client sent (testdata/README.md).
func TestCaptured(t *testing.T) {
	names, _ := filepath.Glob("testdata/*.bin")
	if len(names) == 0 {
		t.Fatal("no captured traffic")
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		store := &receivetest.Intake{}
		_, addr := start(t, Config{}, store, receive.Limits{})
		if got := talk(t, addr, data); got != ack(3) {
			t.Errorf("%s: answered %q", name, got)
		}
		want, err := os.ReadFile("testdata/go-lumber.want")
		if got := show(store.Raws()); err != nil || got != string(want) {
			t.Errorf("%s: %v, records\n got %s\nwant %s", name, err, got, want)
		}
	}
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
// neither panics nor keeps memory, and takes the same records both times.
func FuzzSession(f *testing.F) {
	d := docs(2, `{"@timestamp":%d}`)
	f.Add(window(2, d))
	f.Add(window(2, packed(d)))
	f.Add(window(3, doc(1, `{}`), packed(d)))
	f.Add(append(window(0), window(2, d)...))
	f.Add([]byte("1W\x00\x00\x00\x011D\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x04line\x00\x00\x00\x01x"))
	var store *receivetest.Intake // of the session at work
	sh := receive.Shared{Bodies: receive.NewBodies(receive.Limits{Body: 1 << 20}), Intake: pipelineFunc(func(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
		return store.Ingest(ctx, req)
	})}
	r := newReceiver(Config{}, sh)
	f.Fuzz(func(t *testing.T, in []byte) {
		var seen [2]string
		for i, piece := range []int{len(in) + 1, 1} {
			if piece == 1 && len(in) > 2<<10 {
				return
			}
			store = &receivetest.Intake{}
			sc := &script{in: in, piece: piece}
			c := listen.NewConn(sc, receive.Sender{Tenant: "default", Name: "x", Source: "lumberjack/x"}, listen.Config{}, sh)
			err := r.serve(t.Context(), c)
			if fault.Is(err, fault.Internal) && err != io.EOF {
				t.Fatal(err)
			}
			c.Release()
			if held := sh.Bodies.Held(); held != 0 {
				t.Fatalf("%d bytes are still held", held)
			}
			seen[i] = fmt.Sprint(show(store.Raws()), sc.out.String())
		}
		if seen[0] != seen[1] {
			t.Fatalf("at once:\n%s\nin pieces:\n%s", seen[0], seen[1])
		}
	})
}
