package fluent

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	mp "github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a receiver on a free port and returns its address.
func start(t testing.TB, cfg Config, in pipeline.Intake, lim receive.Limits) string {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
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
	})
	return l.Addr().String()
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
		fmt.Fprintf(&b, "%d %s %s\n", r.Time, r.Payload, receivetest.Fields(&r))
	}
	return b.String()
}

// Pieces of messages.
const (
	at    = 1_700_000_000_000_000_005
	chunk = "p8n9gmxTQVC8/nh2wlKKeQ==\n" // Fluentd's, with the line feed of Base64.encode64
)

func entry(n int) []byte {
	b := mp.AppendEventTime(mp.AppendArray(nil, 2), at)
	return mp.AppendInt(mp.AppendStr(mp.AppendMap(b, 1), "n"), int64(n))
}

func entries(n int) (b []byte) {
	for i := range n {
		b = append(b, entry(i)...)
	}
	return b
}

func str32(b []byte) []byte {
	return append([]byte{0xdb, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// kv is a pair of an option.
type kv struct {
	key   string
	value any
}

func options(pairs ...kv) []byte {
	b := mp.AppendMap(nil, len(pairs))
	for _, p := range pairs {
		b = mp.AppendStr(b, p.key)
		switch v := p.value.(type) {
		case string:
			b = mp.AppendStr(b, v)
		case int:
			b = mp.AppendInt(b, int64(v))
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

// msg is a message with a tag and further elements as they are.
func msg(parts ...[]byte) []byte {
	b := mp.AppendStr(mp.AppendArray(nil, len(parts)+1), "app.x")
	return append(b, bytes.Join(parts, nil)...)
}

func list(parts ...[]byte) []byte {
	return append(mp.AppendArray(nil, len(parts)), bytes.Join(parts, nil)...)
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, nil)
}

func ack(chunk string) string {
	return string(mp.AppendStr(mp.AppendStr(mp.AppendMap(nil, 1), "ack"), chunk))
}

func TestModes(t *testing.T) {
	obj := mp.AppendStr(mp.AppendStr(mp.AppendMap(nil, 1), "log"), "a\"b\xff")
	one := fmt.Sprintf("%d {\"n\":0} fluent.tag=app.x\n", int64(at))
	two := one + fmt.Sprintf("%d {\"n\":1} fluent.tag=app.x\n", int64(at))
	v2 := func(meta []byte) []byte { return list(list(mp.AppendEventTime(nil, at), meta), obj) }
	none := mp.AppendMap(nil, 0)
	f := func(name string, in []byte, answer, want string) {
		t.Helper()
		store := &receivetest.Intake{}
		addr := start(t, Config{}, store, receive.Limits{})
		if got := talk(t, addr, in); got != answer {
			t.Errorf("%s: answered %q, want %q", name, got, answer)
		}
		if got := show(store.Raws()); got != want {
			t.Errorf("%s: records\n got %s\nwant %s", name, got, want)
		}
	}
	f("message", msg(mp.AppendInt(nil, 5), obj), "", "5000000000 {\"log\":\"a\\\"b\xff\"} fluent.tag=app.x\n")
	f("message, float", msg([]byte("\xcb\x41\xd9\x54\xfc\x40\x20\x00\x00"), obj), "", "1700000000500000000 {\"log\":\"a\\\"b\xff\"} fluent.tag=app.x\n")
	f("message, no time", msg(mp.AppendInt(nil, 0), obj, none), "", "0 {\"log\":\"a\\\"b\xff\"} fluent.tag=app.x\n")
	f("message, ack", msg(mp.AppendInt(nil, 5), obj, options(kv{"chunk", chunk})), ack(chunk), "5000000000 {\"log\":\"a\\\"b\xff\"} fluent.tag=app.x\n")
	f("message, metadata of Fluent Bit", msg(list(mp.AppendInt(nil, 5), options(kv{"k", "v"})), obj, options(kv{"fluent_signal", 0})), "",
		"5000000000 {\"log\":\"a\\\"b\xff\"} fluent.metadata={\"k\":\"v\"} fluent.tag=app.x\n")
	f("message, metadata as an option", msg(mp.AppendInt(nil, 5), obj, options(kv{"chunk", "c"}, kv{"metadata", options(kv{"k", "v"})})), ack("c"),
		"5000000000 {\"log\":\"a\\\"b\xff\"} fluent.metadata={\"k\":\"v\"} fluent.tag=app.x\n")
	f("forward", msg(list(entry(0), entry(1))), "", two)
	f("forward, empty", msg(list(), options(kv{"chunk", "c"})), ack("c"), "")
	f("forward, ack, unknown options", msg(list(entry(0), entry(1)), options(kv{"later", none}, kv{"size", 2}, kv{"chunk", "c"}, kv{"fluent_signal", 0})), ack("c"), two)
	f("packed as str", msg(str32(entries(2)), options(kv{"size", 2}, kv{"chunk", chunk})), ack(chunk), two)
	f("packed as bin, two elements", msg(mp.AppendBin(nil, entries(2))), "", two)
	f("packed, gzip", msg(str32(gz(entries(2))), options(kv{"compressed", "gzip"}, kv{"chunk", "c"})), ack("c"), two)
	f("packed, gzip in two members", msg(str32(append(gz(entry(0)), gz(entry(1))...)), options(kv{"compressed", "gzip"})), "", two)
	f("packed, zstd in two frames", msg(mp.AppendBin(nil, append(zst(entry(0)), zst(entry(1))...)), options(kv{"compressed", "zstd"}, kv{"chunk", "c"})), ack("c"), two)
	f("packed, text is no compression", msg(str32(entries(2)), options(kv{"compressed", "text"})), "", two)
	f("Fluent Bit's entries", msg(list(v2(none), v2(options(kv{"k", "v"})))), "",
		fmt.Sprintf("%d {\"log\":\"a\\\"b\xff\"} fluent.tag=app.x\n%d {\"log\":\"a\\\"b\xff\"} fluent.metadata={\"k\":\"v\"} fluent.tag=app.x\n", int64(at), int64(at)))
	f("many at once, nil between", bytes.Join([][]byte{msg(list(entry(0))), {0xc0}, msg(list(entry(1)), options(kv{"chunk", "c"})), msg(str32(gz(entry(0))), options(kv{"compressed", "gzip"})), msg(list(entry(0)))}, nil),
		ack("c"), two+one+one)
	f("heartbeat", nil, "", "")
}

// TestGroup gives the records of Fluent Bit's group what its resource says.
func TestGroup(t *testing.T) {
	mark := func(sec byte, body []byte) []byte {
		return list(list([]byte{0xd7, 0, 0xff, 0xff, 0xff, sec, 0, 0, 0, 0}, mp.AppendMap(nil, 0)), body)
	}
	group := options(
		kv{"resource", options(kv{"attributes", options(kv{"service.name", "cart"}, kv{"n", 5}, kv{"deep", list(mp.AppendInt(nil, 1))})})},
		kv{"scope", options(kv{"name", "lib"}, kv{"version", "2"})})
	store := &receivetest.Intake{}
	addr := start(t, Config{}, store, receive.Limits{})
	talk(t, addr, msg(str32(bytes.Join([][]byte{entry(0), mark(0xff, group), entry(1), mark(0xfe, mp.AppendMap(nil, 0)), entry(2)}, nil)), options(kv{"fluent_signal", 0})))
	want := fmt.Sprintf("%[1]d {\"n\":0} fluent.tag=app.x\n%[1]d {\"n\":1} deep=[1] fluent.tag=app.x n=5 otel.scope.name=lib otel.scope.version=2 service.name=cart\n%[1]d {\"n\":2} fluent.tag=app.x\n", int64(at))
	if got := show(store.Raws()); got != want {
		t.Errorf("records\n got %s\nwant %s", got, want)
	}
}

func TestJSON(t *testing.T) {
	f := func(name, in, answer, want string) {
		t.Helper()
		store := &receivetest.Intake{}
		addr := start(t, Config{}, store, receive.Limits{})
		if got := talk(t, addr, []byte(in)); got != answer {
			t.Errorf("%s: answered %q, want %q", name, got, answer)
		}
		if got := show(store.Raws()); got != want {
			t.Errorf("%s: records\n got %s\nwant %s", name, got, want)
		}
	}
	f("message", `["a.b",5,{"x":"]\"}"}]`, "", "5000000000 {\"x\":\"]\\\"}\"} fluent.tag=a.b\n")
	f("message, fraction, ack, spaces", "[\"a\\u002eb\" , 5.5 , {\"x\":1}, {\"chunk\":\"c\\n\",\"x\":[1]} ]\n", `{"ack":"c\n"}`, "5500000000 {\"x\":1} fluent.tag=a.b\n")
	f("forward", `["a",[[1,{"x":1}],[2,{"x":2}]],{"chunk":"c"}]`, `{"ack":"c"}`, "1000000000 {\"x\":1} fluent.tag=a\n2000000000 {\"x\":2} fluent.tag=a\n")
	f("two messages", `["a",1,{"x":1}] ["a",1,{"x":2}]`+"\r\n", "", "1000000000 {\"x\":1} fluent.tag=a\n1000000000 {\"x\":2} fluent.tag=a\n")
	f("bad entries keep the others", `["a",[[1],7,["x",{"x":1}],[1,5],[2,{"x":2}]],{"chunk":"c"}]`, `{"ack":"c"}`, "2000000000 {\"x\":2} fluent.tag=a\n")
	f("no message", `{"x":1}`, "", "")
	f("good, then nonsense", `["a",1,{"x":1}] x`, "", "1000000000 {\"x\":1} fluent.tag=a\n")
}

// TestBadEntries rejects what is wrong, keeps its neighbours, and acknowledges:
// to send it again would never help.
func TestBadEntries(t *testing.T) {
	f := func(name string, in []byte, records int, want ...record.Count) {
		t.Helper()
		store := &receivetest.Intake{}
		addr := start(t, Config{}, store, receive.Limits{Decoded: 1 << 20, Depth: 8})
		if got := talk(t, addr, in); got != ack("c") {
			t.Errorf("%s: answered %q", name, got)
		}
		if n := len(store.Raws()); n != records {
			t.Errorf("%s: %d records, want %d", name, n, records)
		}
		var got []record.Count
		for _, r := range store.Requests() {
			got = append(got, r.Rejected...)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: rejected %v, want %v", name, got, want)
		}
	}
	opts := func(more ...kv) []byte { return options(append([]kv{{"chunk", "c"}}, more...)...) }
	nobody := mp.AppendMap(nil, 0)
	deep := list(mp.AppendInt(nil, 1), options(kv{"a", bytes.Repeat([]byte{0x91}, 20)}, kv{"b", 1}))
	deep = append(deep[:0:0], bytes.Replace(deep, bytes.Repeat([]byte{0x91}, 20), append(bytes.Repeat([]byte{0x91}, 20), 1), 1)...)
	f("no array, no map, no time, too deep", msg(list(entry(0), mp.AppendInt(nil, 7), list(mp.AppendInt(nil, 1), mp.AppendInt(nil, 2)), list(mp.AppendStr(nil, "now"), nobody), list(nobody, nobody), deep, entry(1)), opts()), 2,
		record.Count{Name: "malformed_entry", N: 1}, record.Count{Name: "malformed_record", N: 1}, record.Count{Name: "malformed_time", N: 2}, record.Count{Name: "too_deep", N: 1})
	f("broken in the middle", msg(str32(append(entries(2), 0xc1, 0xc1, 0xc1)), opts(kv{"size", 5})), 2, record.Count{Name: "malformed_entry", N: 3})
	f("torn", msg(str32(entries(3)[:len(entries(3))-1]), opts(kv{"size", 1 << 40})), 2, record.Count{Name: "malformed_entry", N: 1})
	f("not gzip", msg(str32(entries(2)), opts(kv{"compressed", "gzip"}, kv{"size", 2})), 0, record.Count{Name: "malformed_compression", N: 2})
	f("unknown compression", msg(str32(entries(2)), opts(kv{"compressed", "lz4"})), 0, record.Count{Name: "malformed_compression", N: 1})
	f("gzip bomb", msg(str32(gz(make([]byte, 2<<20))), opts(kv{"compressed", "gzip"})), 0, record.Count{Name: "too_large", N: 1})
	f("zstd bomb", msg(str32(zst(make([]byte, 2<<20))), opts(kv{"compressed", "zstd"})), 0, record.Count{Name: "too_large", N: 1})
	f("metrics", msg(mp.AppendBin(nil, []byte("\xc1cmetrics")), opts(kv{"fluent_signal", 1})), 0, record.Count{Name: "not_logs", N: 1})
}

// TestNonsense closes the connection, and keeps what came before.
func TestNonsense(t *testing.T) {
	f := func(name string, in []byte) {
		t.Helper()
		store := &receivetest.Intake{}
		addr := start(t, Config{}, store, receive.Limits{Decoded: 1 << 20})
		c := dial(t, addr)
		c.Write(append(msg(list(entry(0))), in...))
		if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if n := len(store.Raws()); n != 1 {
			t.Errorf("%s: %d records, want the one before", name, n)
		}
	}
	f("HTTP", []byte("GET / HTTP/1.1\r\n\r\n"))
	f("no such byte", []byte{0xc1})
	f("a string that lies", append(mp.AppendStr([]byte{0x92}, "t"), 0xdb, 0xff, 0xff, 0xff, 0xff))
	f("an array that lies", append(mp.AppendStr([]byte{0x92}, "t"), 0xdd, 0xff, 0xff, 0xff, 0xff))
	f("no tag", []byte{0x92, 0x01, 0x90})
	f("no record", []byte{0x92, 0xa1, 't', 0x01})
	f("a long chunk", msg(list(entry(0)), options(kv{"chunk", strings.Repeat("c", 300)})))
}

// TestSeenOnce numbers a chunk so that its repetition on another connection is
// the same batch, and equal messages of one connection are not.
func TestSeenOnce(t *testing.T) {
	store := &receivetest.Intake{}
	addr := start(t, Config{}, store, receive.Limits{})
	a := msg(list(entry(0)), options(kv{"chunk", "c"}))
	b := msg(list(entry(1)), options(kv{"chunk", "c"}))
	twice := bytes.Join([][]byte{a, b, a}, nil)
	for range 2 {
		if got := talk(t, addr, twice); got != strings.Repeat(ack("c"), 3) {
			t.Fatalf("answered %q", got)
		}
	}
	reqs := store.Requests()
	if len(reqs) != 6 {
		t.Fatalf("%d batches", len(reqs))
	}
	for i := range 3 {
		if reqs[i].ID != reqs[i+3].ID || reqs[i].ID.IsZero() {
			t.Errorf("%d: another identity when sent again", i)
		}
		if reqs[i].ID == reqs[(i+1)%3].ID {
			t.Errorf("%d: the identity of another message", i)
		}
	}
}

// TestParts hands a large chunk in in parts, which are the same when it is sent
// again.
func TestParts(t *testing.T) {
	store := &receivetest.Intake{}
	addr := start(t, Config{}, store, receive.Limits{})
	big := mp.AppendStr(mp.AppendStr(mp.AppendMap(mp.AppendInt(mp.AppendArray(nil, 2), 1), 1), "log"), strings.Repeat("\x01", 1<<20))
	m := msg(str32(bytes.Repeat(big, 5)), options(kv{"chunk", "c"}))
	for range 2 {
		if got := talk(t, addr, m); got != ack("c") {
			t.Fatalf("answered %q", got)
		}
	}
	reqs := store.Requests()
	if len(reqs) != 6 || reqs[0].ID.Seq != 0 || reqs[1].ID.Seq != 2 || reqs[2].ID.Seq != 4 || reqs[0].ID != reqs[3].ID || reqs[2].ID != reqs[5].ID {
		for _, r := range reqs {
			t.Errorf("%v: %d records", r.ID, len(r.Raws))
		}
	}
	store = &receivetest.Intake{}
	addr = start(t, Config{}, store, receive.Limits{})
	if talk(t, addr, msg(str32(bytes.Repeat(big, 5)))); len(store.Raws()) != 5 || len(store.Requests()) < 2 {
		t.Errorf("without a chunk: %d records in %d batches", len(store.Raws()), len(store.Requests()))
	}
}

// TestHeldBack acknowledges nothing that is not durable, and tries until it is.
func TestHeldBack(t *testing.T) {
	tries := make(chan struct{}, 100)
	free := make(chan struct{})
	store := &receivetest.Intake{Before: func(ctx context.Context, _ *pipeline.Request) error {
		select {
		case <-free:
			return nil
		default:
			tries <- struct{}{}
			return fault.Errorf(fault.Overload, "full")
		}
	}}
	addr := start(t, Config{}, store, receive.Limits{})
	c := dial(t, addr)
	c.Write(msg(list(entry(0)), options(kv{"chunk", "c"})))
	<-tries
	<-tries
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("acknowledged before it was durable")
	}
	close(free)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 512)
	n, err := c.Read(got) // one read, as Fluent Bit does it
	if string(got[:n]) != ack("c") || err != nil {
		t.Errorf("%q, %v", got[:n], err)
	}
	if len(store.Raws()) != 1 {
		t.Errorf("%d records", len(store.Raws()))
	}
}

// TestUnixSocket takes what Docker's driver and Fluent Bit's unix_path send.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "f") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	store := &receivetest.Intake{}
	start(t, Config{Config: listen.Config{Listen: "unix:" + dir + "/s"}}, store, receive.Limits{})
	c, err := net.Dial("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(msg(list(entry(0)), options(kv{"chunk", "c"})))
	if got, err := readOne(c); got != ack("c") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if r := store.Requests(); len(r) != 1 || r[0].Source != "fluent/unix" {
		t.Errorf("%+v", r)
	}
}

func TestUDPHeartbeat(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- heartbeats(ctx, pc) }()
	c, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	for range 3 {
		c.Write([]byte{0})
		b := make([]byte, 10)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "\x00" {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
