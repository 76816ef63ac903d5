package lumberjack

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/elastic/go-lumber/client/v2"
	"github.com/klauspost/compress/zlib"
	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a receiver on a free port and returns its address.
func start(t testing.TB, cfg Config, in pipeline.Intake, lim receive.Limits) (*Receiver, string) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	r, err := New(cfg, receive.Shared{Intake: in, Bodies: receive.NewBodies(lim)})
	if err != nil {
		t.Fatal(err)
	}
	l := r.Listeners()[0]
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if held := r.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
	return r, l.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// talk sends bytes, closes the sending side, and returns what was answered.
func talk(t testing.TB, addr string, data []byte) string {
	t.Helper()
	c := dial(t, addr)
	c.Write(data) // the server may close before it has all
	c.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(c)
	return string(answer)
}

func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		fmt.Fprintf(&b, "%v %s %s\n", r.JSON, r.Payload, receivetest.Fields(&r))
	}
	return b.String()
}

// Frames.
func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func window(n int, frames ...[]byte) []byte {
	return append(append([]byte("2W"), u32(n)...), bytes.Join(frames, nil)...)
}

func doc(seq int, text string) []byte {
	return append(append(append([]byte("2J"), u32(seq)...), u32(len(text))...), text...)
}

func docs(n int, format string) (b []byte) {
	for i := range n {
		b = append(b, doc(i+1, fmt.Sprintf(format, i))...)
	}
	return b
}

func packed(frames ...[]byte) []byte {
	var z bytes.Buffer
	w, _ := zlib.NewWriterLevel(&z, zlib.BestSpeed)
	w.Write(bytes.Join(frames, nil))
	w.Close()
	return append(append([]byte("2C"), u32(z.Len())...), z.Bytes()...)
}

func ack(seqs ...int) (s string) {
	for _, n := range seqs {
		s += "2A" + string(u32(n))
	}
	return s
}

func TestFrames(t *testing.T) {
	const two = "true {\"n\":0} \ntrue {\"n\":1} \n"
	f := func(name string, in []byte, answer, want string) {
		t.Helper()
		store := &receivetest.Intake{}
		_, addr := start(t, Config{}, store, receive.Limits{})
		if got := talk(t, addr, in); got != answer {
			t.Errorf("%s: answered %q, want %q", name, got, answer)
		}
		if got := show(store.Raws()); got != want {
			t.Errorf("%s: records\n got %s\nwant %s", name, got, want)
		}
	}
	d := docs(2, `{"n":%d}`)
	f("window", window(2, d), ack(2), two)
	f("compressed", window(2, packed(d)), ack(2), two)
	f("compressed one by one", window(2, packed(doc(1, `{"n":0}`)), packed(doc(2, `{"n":1}`))), ack(1, 2), two)
	f("plain, then compressed", window(2, doc(1, `{"n":0}`), packed(doc(2, `{"n":1}`))), ack(1, 2), two)
	f("compressed, then plain", window(2, packed(doc(1, `{"n":0}`)), doc(2, `{"n":1}`)), ack(1, 2), two)
	f("three windows at once", bytes.Join([][]byte{window(2, d), window(2, packed(d)), window(1, doc(1, `{"n":0}`))}, nil), ack(2, 2, 1), two+two+"true {\"n\":0} \n")
	f("empty window", window(0, window(2, d)), ack(0, 2), two)
	f("numbers of its own", window(2, doc(71, `{"n":0}`), doc(72, `{"n":1}`)), ack(72), two)
	f("torn", window(3, d), "", "")
	f("torn within a frame", window(2, d[:len(d)-1]), "", "")
	f("nothing", nil, "", "")
	v1 := "1W" + string(u32(1)) + "1D" + string(u32(9)) + string(u32(3)) +
		string(u32(4)) + "line" + string(u32(5)) + "hello" + string(u32(4)) + "file" + string(u32(2)) + "/f" + string(u32(6)) + "offset" + string(u32(1)) + "7"
	f("version 1", []byte(v1), "1A"+string(u32(9)), "false hello file=/f offset=7\n")
	f("version 1, empty texts", []byte("1W\x00\x00\x00\x011D\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), "1A"+string(u32(1)), "false  =\n")
}

// TestNonsense closes the connection, and keeps what was whole before.
func TestNonsense(t *testing.T) {
	f := func(name string, in []byte) {
		t.Helper()
		store := &receivetest.Intake{}
		_, addr := start(t, Config{}, store, receive.Limits{Body: 1 << 20, Items: 1000})
		c := dial(t, addr)
		c.Write(append(window(1, doc(1, `{}`)), in...))
		b, err := io.ReadAll(c)
		if string(b) != ack(1) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if n := len(store.Raws()); n != 1 {
			t.Errorf("%s: %d records, want the one before", name, n)
		}
	}
	f("HTTP", []byte("GET / HTTP/1.1\r\n\r\n"))
	f("another version", []byte("1W\x00\x00\x00\x01"))
	f("no window", doc(1, `{}`))
	f("window in a window", window(2, window(1)))
	f("unknown frame", window(1, []byte("2X")))
	f("window that lies", []byte("2W\xff\xff\xff\xff"))
	f("record that lies", window(1, []byte("2J\x00\x00\x00\x01\xff\xff\xff\xff")))
	f("compressed frame that lies", window(1, []byte("2C\xff\xff\xff\xff")))
	f("not compressed", window(1, []byte("2C\x00\x00\x00\x04abcd")))
	f("compressed and torn", window(1, packed(doc(1, `{"a":1}`)[:12])))
	f("compressed twice", window(1, packed(packed(doc(1, `{}`)))))
	f("more than the window", window(1, packed(doc(1, `{}`)[:0], []byte("2J\x00\x00\x00\x01\xff\xff\xff\xff"))))
	f("bomb of one record", window(1, packed([]byte("2J\x00\x00\x00\x01\x7f\xff\xff\xff"), make([]byte, 1<<20))))
	f("pairs that lie", append([]byte("2W\x00\x00\x00\x01"), "2D\x00\x00\x00\x01\xff\xff\xff\xff"...))
	f("a pair that lies", append([]byte("2W\x00\x00\x00\x01"), "2D\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff"...))
}

// TestBomb inflates no more than the ratio allows, and holds no more than a part.
func TestBomb(t *testing.T) {
	var most atomic.Int64
	bodies := receive.NewBodies(receive.Limits{Memory: 64 << 20, Ratio: 16})
	store := pipelineFunc(func(context.Context, *pipeline.Request) (pipeline.Outcome, error) {
		most.Store(max(most.Load(), bodies.Held()))
		return pipeline.Outcome{}, nil
	})
	r := newReceiver(Config{}, receive.Shared{Intake: store, Bodies: bodies})
	s := &session{r: r, ctx: t.Context(), version: '2', count: 1 << 18, part: &part{}}
	blank := doc(1, strings.Repeat(" ", 1<<20))
	sc := &script{}
	s.c = listen.NewConn(sc, receive.Sender{Tenant: "default", Name: "x", Source: "lumberjack/x"}, listen.Config{}, receive.Shared{Bodies: bodies})
	err := s.compressed(packed(bytes.Repeat(blank, 30))[6:])
	if !fault.Is(err, fault.TooLarge) || !strings.Contains(err.Error(), "times larger") {
		t.Errorf("30 MiB of nothing: %v", err)
	}
	if most.Load() > 20<<20 || bodies.Held() != 0 {
		t.Errorf("%d bytes were held, %d still are", most.Load(), bodies.Held())
	}
}

type pipelineFunc func(context.Context, *pipeline.Request) (pipeline.Outcome, error)

func (f pipelineFunc) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	return f(ctx, req)
}

// TestClient is the client of Beats, in each of its forms.
func TestClient(t *testing.T) {
	event := func(i int) any {
		return map[string]any{"@timestamp": "2026-11-20T10:00:00.000Z", "message": "hello", "n": i, "@metadata": map[string]any{"beat": "filebeat"}}
	}
	batch := func(n int) (out []any) {
		for i := range n {
			out = append(out, event(i))
		}
		return out
	}
	for _, level := range []int{0, 3} {
		store := &receivetest.Intake{}
		_, addr := start(t, Config{}, store, receive.Limits{})
		cl, err := client.SyncDial(addr, client.CompressionLevel(level), client.Timeout(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 50, 2048} {
			if got, err := cl.Send(batch(n)); got != n || err != nil {
				t.Errorf("level %d: %d of %d acknowledged: %v", level, got, n, err)
			}
		}
		cl.Close()
		if n := len(store.Raws()); n != 2099 {
			t.Errorf("level %d: %d records", level, n)
		}
		async, err := client.AsyncDial(addr, 4, client.CompressionLevel(level), client.Timeout(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan string, 20)
		for range 20 {
			if err := async.Send(func(seq uint32, err error) { answers <- fmt.Sprint(seq, err) }, batch(30)); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			if a := <-answers; a != "30 <nil>" {
				t.Errorf("level %d: answer %s", level, a)
			}
		}
		async.Close()
		if n := len(store.Raws()); n != 2099+600 {
			t.Errorf("level %d: %d records", level, n)
		}
	}
}

// TestSeenOnce numbers what is sent again on another connection by its content,
// in whatever order its members come.
func TestSeenOnce(t *testing.T) {
	one := window(2, doc(1, `{"@timestamp":"t","a":{"b":1,"c":[{"x":1,"y":2}]},"m":"x"}`), doc(2, `{"@timestamp":"t"}`))
	again := window(2, packed(doc(1, `{"m":"x","a":{"c":[{"y":2,"x":1}],"b":1},"@timestamp":"t"}`), doc(2, `{"@timestamp":"t"}`)))
	f := func(name string, cfg Config, same bool, first, second []byte) {
		t.Helper()
		store := &receivetest.Intake{}
		_, addr := start(t, cfg, store, receive.Limits{})
		talk(t, addr, first)
		talk(t, addr, second)
		reqs := store.Requests()
		if len(reqs) != 2 || (reqs[0].ID == reqs[1].ID) != same {
			t.Errorf("%s: %d batches, the same %v, want %v", name, len(reqs), len(reqs) == 2 && reqs[0].ID == reqs[1].ID, same)
		}
	}
	f("the same", Config{}, true, one, one)
	f("another order", Config{}, true, one, again)
	f("another order of records", Config{}, false, one, window(2, doc(1, `{"@timestamp":"t"}`), doc(2, `{"@timestamp":"t","a":{"b":1,"c":[{"x":1,"y":2}]},"m":"x"}`)))
	f("members under another name", Config{}, false, window(1, doc(1, `{"@timestamp":"t","a":{"x":1},"b":{}}`)), window(1, doc(1, `{"@timestamp":"t","a":{},"b":{"x":1}}`)))
	f("another place in an array", Config{}, false, window(1, doc(1, `{"@timestamp":"t","a":[1,2]}`)), window(1, doc(1, `{"@timestamp":"t","a":[2,1]}`)))
	f("an element less", Config{}, false, window(1, doc(1, `{"@timestamp":"t","a":[]}`)), window(1, doc(1, `{"@timestamp":"t"}`)))
	f("values changed places", Config{}, false, window(1, doc(1, `{"@timestamp":"t","a":1,"b":2}`)), window(1, doc(1, `{"@timestamp":"t","a":2,"b":1}`)))
	f("no time", Config{}, false, window(1, doc(1, `{"m":"x"}`)), window(1, doc(1, `{"m":"x"}`)))
	f("a time within", Config{}, false, window(1, doc(1, `{"a":{"@timestamp":1}}`)), window(1, doc(1, `{"a":{"@timestamp":1}}`)))
	f("one without a time", Config{}, false, window(2, doc(1, `{"@timestamp":1}`), doc(2, `{}`)), window(2, doc(1, `{"@timestamp":1}`), doc(2, `{}`)))
	f("not wanted", Config{KeepRepeated: true}, false, one, one)
	// On one connection a client sends nothing twice that was acknowledged.
	store := &receivetest.Intake{}
	_, addr := start(t, Config{}, store, receive.Limits{})
	for range 2 {
		talk(t, addr, append(bytes.Clone(one), one...))
	}
	if r := store.Requests(); len(r) != 4 || r[0].ID == r[1].ID || r[0].ID != r[2].ID || r[1].ID != r[3].ID {
		t.Errorf("twice on one connection: %v", r)
	}
}

// TestParts hands a large window in in parts, each acknowledged, whichever way it
// comes, and what is sent again after one of them makes the same ones.
func TestParts(t *testing.T) {
	var frames [][]byte
	for i := range 20 {
		frames = append(frames, doc(i+1, fmt.Sprintf(`{"@timestamp":%d,"m":"%s"}`, i, strings.Repeat("x", 1<<20))))
	}
	rest := append([][]byte(nil), frames[16:]...)
	for i := range rest {
		rest[i] = append(append([]byte("2J"), u32(i+1)...), rest[i][6:]...)
	}
	for name, pack := range map[string]func(...[]byte) []byte{"plain": func(f ...[]byte) []byte { return bytes.Join(f, nil) }, "compressed": packed} {
		store := &receivetest.Intake{}
		_, addr := start(t, Config{}, store, receive.Limits{Body: 32 << 20, Ratio: 10_000})
		if got := talk(t, addr, window(20, pack(frames...))); got != ack(8, 16, 20) {
			t.Errorf("%s: answered %q", name, got)
		}
		if got := talk(t, addr, window(4, pack(rest...))); got != ack(4) {
			t.Errorf("%s: the rest: answered %q", name, got)
		}
		r := store.Requests()
		if len(r) != 4 || r[2].ID != r[3].ID || r[0].ID == r[1].ID {
			t.Errorf("%s: %d parts", name, len(r))
		}
	}
}

// TestHeldBack gives signs of life while records cannot be kept, in order, and
// no acknowledgement before they are.
func TestHeldBack(t *testing.T) {
	free := make(chan struct{})
	store := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error {
		select {
		case <-free:
			return nil
		default:
			return fault.Errorf(fault.Overload, "full")
		}
	}}
	r, addr := start(t, Config{}, store, receive.Limits{})
	r.pulse = 5 * time.Millisecond
	c := dial(t, addr)
	c.Write(append(window(2, docs(2, `{"n":%d}`)), window(1, doc(1, `{}`))...))
	b := make([]byte, 6)
	for range 3 {
		if _, err := io.ReadFull(c, b); err != nil || string(b) != ack(0) {
			t.Fatalf("sign of life %q, %v", b, err)
		}
	}
	close(free)
	for want := []int{2, 1}; len(want) > 0; {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		switch string(b) {
		case ack(0):
		case ack(want[0]):
			want = want[1:]
		default:
			t.Fatalf("answered %q", b)
		}
	}
	if n := len(store.Raws()); n != 3 {
		t.Errorf("%d records", n)
	}
}

func TestValidate(t *testing.T) {
	for want, cfg := range map[string]Config{
		"listen: is missing": {KeepRepeated: true},
		"refuse to listen":   {Config: listen.Config{Listen: "0.0.0.0:5044"}},
	} {
		if _, err := New(cfg, receive.Shared{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if r, err := New(Config{}, receive.Shared{}); err != nil || len(r.Listeners()) != 0 {
		t.Errorf("off: %v", err)
	}
}
