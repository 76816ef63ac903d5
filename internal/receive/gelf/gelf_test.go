package gelf

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
)

var update = flag.Bool("update", false, "write the golden files")

var sender = receive.Sender{Tenant: "t", Name: "gelf/udp", Source: "gelf/udp"}

func receiver(t testing.TB, cfg Config, in pipeline.Intake) *Receiver {
	t.Helper()
	r, err := New(cfg, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// packets splits a file of datagrams.
func packets(t testing.TB, b []byte) (out []listen.Packet) {
	t.Helper()
	for len(b) > 0 {
		head, rest, _ := bytes.Cut(b, []byte(" "))
		n, err := strconv.Atoi(string(head))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, listen.Packet{Remote: netip.MustParseAddrPort("127.0.0.1:9"), Data: rest[:n]})
		b = rest[n:]
	}
	return out
}

func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		when := "-"
		if r.Time != 0 {
			when = time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&b, "%s %s", when, r.Level)
		for _, f := range r.Attrs {
			switch f.Value.Kind {
			case record.String:
				fmt.Fprintf(&b, " %s=%.120q", f.Name, f.Value.Str)
			case record.Float:
				fmt.Fprintf(&b, " %s=%v", f.Name, f.Value.Flt)
			default:
				fmt.Fprintf(&b, " %s=%d", f.Name, f.Value.Int)
			}
		}
		fmt.Fprintf(&b, "\n  %.3000q\n", r.Payload)
	}
	return b.String()
}

// pieces is a connection that brings what it holds, and then ends.
type pieces struct {
	net.Conn
	left [][]byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[0])
	if p.left[0] = p.left[0][n:]; len(p.left[0]) == 0 {
		p.left = p.left[1:]
	}
	return n, nil
}

func (p *pieces) SetReadDeadline(time.Time) error { return nil }

// converse lets the receiver read a connection.
func converse(t testing.TB, r *Receiver, data ...[]byte) {
	t.Helper()
	if err := speak(t, r, receive.Shared{}, data...); err != nil {
		t.Error(err)
	}
}

// speak returns what ended the connection before its end.
func speak(t testing.TB, r *Receiver, sh receive.Shared, data ...[]byte) error {
	c := listen.NewConn(&pieces{left: data}, sender, listen.Config{}, sh)
	defer c.Release()
	if err := r.stream(t.Context(), c); err != io.EOF {
		return err
	}
	return nil
}

// either is an intake that remembers what came since it was made anew, so that a
// fuzzer need not make a receiver each time.
type either struct{ *receivetest.Intake }

func (e *either) anew() { e.Intake = &receivetest.Intake{} }

func TestCaptured(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		kind := filepath.Ext(path)
		if kind == ".golden" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		in := &receivetest.Intake{}
		sources := sources.New(nil, nil)
		r, err := New(Config{}, receive.Shared{Intake: in, Sources: sources})
		if err != nil {
			t.Fatal(err)
		}
		if kind == ".stream" {
			converse(t, r, data)
		} else if err := r.datagrams()(t.Context(), sender, packets(t, data)); err != nil {
			t.Fatal(err)
		} else {
			size := 0
			for _, p := range packets(t, data) {
				size += len(p.Data)
			}
			if list := sources.List(); len(list) != 1 || list[0].Bytes != uint64(size) || list[0].Records == 0 {
				t.Errorf("%s: %d bytes are known as %+v", path, size, list)
			}
		}
		for _, req := range in.Requests() {
			if len(req.Rejected) > 0 {
				t.Errorf("%s: rejected %v", path, req.Rejected)
			}
		}
		got := show(in.Raws())
		if *update {
			if err := os.WriteFile(path+".golden", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path + ".golden")
		if err != nil || got != string(want) {
			t.Errorf("%s: got\n%.3000s\nwant\n%.3000s %v", path, got, want, err)
		}
	}
}

func TestMessages(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, depth: 8}
		d.decode([]byte(in))
		got := show(set.Raws)
		for _, c := range set.Rejected {
			got += "rejected " + c.Name
		}
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", in, got, want)
		}
	}
	f(`{"version":"1.1","host":"h","short_message":"s","timestamp":1385053862.3072,"level":1,"_user_id":9001,"_ratio":0.5,"_ok":true,"_none":null,"_list":[1, 2]}`,
		"2013-11-21T17:11:02.3072Z alert host.name=\"h\" user_id=9001 ratio=0.5 ok=1 list=\"[1, 2]\" severity_number=19\n  \"s\"\n")
	f(`{"short_message":"s","full_message":"f","level":"6","timestamp":"1385053862"}`, "2013-11-21T17:11:02Z info full_message=\"f\" severity_number=9\n  \"s\"\n")
	f(`{"short_message":"s","full_message":"s"}`, "- \n  \"s\"\n")
	f(`{"full_message":"f"}`, "- \n  \"f\"\n")
	f(`{"short_message":5,"host":["h"],"level":99,"timestamp":"soon","_x":1e400}`, "-  short_message=5 host=\"[\\\"h\\\"]\" level=99 timestamp=\"soon\" x=\"1e400\"\n  \"\"\n")
	f(`{"short_message":"s"`, "rejected malformed_json")
	f(`{"a":{"b":{"c":1}},"short_message":"s"}`, "-  a=\"{\\\"b\\\":{\\\"c\\\":1}}\"\n  \"s\"\n")
	f(`[]`, "rejected malformed_json")
	f(``, "rejected malformed_json")
	f(`{"_":"x","__y":"z"}`, "-  _=\"x\" _y=\"z\"\n  \"\"\n")
}

func TestSeconds(t *testing.T) {
	f := func(in string, want int64) {
		t.Helper()
		if got := seconds([]byte(in)); got != want {
			t.Errorf("%s: %d, want %d", in, got, want)
		}
	}
	f("1385053862.3072", 1385053862307200000)
	f("1385053862", 1385053862000000000)
	f("1385053862.123456789123", 1385053862123456789)
	f("1.385e9", 1385000000000000000)
	f("99999999999", 0)
	f("-5", 0)
	f("soon", 0)
	f("", 0)
}

func TestConnection(t *testing.T) {
	in := &receivetest.Intake{}
	r := receiver(t, Config{}, in)
	big := `{"short_message":"` + strings.Repeat("x", maxMessage) + `"}`
	converse(t, r, []byte("{\"short_message\":\"a\"}\x00{\"short_mess"), []byte("age\":\"b\"}\x00\n\x00"+big+"\x00"),
		[]byte("not JSON\x00{\"short_message\":\"c\"}"))
	var got []string
	rejected := map[string]uint64{}
	for _, req := range in.Requests() {
		for _, raw := range req.Raws {
			got = append(got, string(raw.Payload))
		}
		for _, c := range req.Rejected {
			rejected[c.Name] += c.N
		}
	}
	if fmt.Sprint(got) != "[a b c]" || rejected["too_large"] != 1 || rejected["malformed_json"] != 1 {
		t.Errorf("%.300q %v", got, rejected)
	}
}

func chunk(id, number, count byte, data string) []byte {
	return append([]byte{0x1e, 0x0f, id, 0, 0, 0, 0, 0, 0, 0, number, count}, data...)
}

func TestChunks(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Unix(1000, 0)
	var c chunks
	f := func(from netip.Addr, data []byte, want string, ok bool) {
		t.Helper()
		msg, got := c.add(from, data, now)
		if string(msg) != want || got != ok {
			t.Errorf("%q %v, want %q %v", msg, got, want, ok)
		}
	}
	f(a, chunk(1, 1, 2, "world"), "", true)
	f(b, chunk(1, 0, 2, "other "), "", true) // another sender's
	f(a, chunk(1, 1, 2, "again"), "", true)
	f(a, chunk(1, 0, 3, "lies"), "", false)
	f(a, chunk(1, 0, 2, "hello "), "hello world", true)
	f(a, chunk(2, 0, 1, "one"), "one", true)
	f(a, chunk(3, 2, 2, ""), "", false)
	f(a, chunk(3, 0, 0, ""), "", false)
	f(a, chunk(3, 0, 129, ""), "", false)
	f(a, []byte{0x1e, 0x0f, 1}, "", false)
	f(a, chunk(4, 0, 2, ""), "", true) // a chunk may be empty
	f(a, chunk(4, 1, 2, "x"), "x", true)
	now = now.Add(chunkTime)
	f(b, chunk(9, 0, 2, ""), "", true)
	if n := c.take(); n != 0 {
		t.Errorf("%d given up before their time", n)
	}
	now = now.Add(time.Millisecond)
	f(b, chunk(1, 1, 2, "late"), "", true)
	if n := c.take(); n != 1 || len(c.byKey) != 2 {
		t.Errorf("%d given up, %d pending", n, len(c.byKey))
	}
}

// TestChunksAreBounded: whatever is sent, the table stays within its bounds and
// counts what it gives up.
func TestChunksAreBounded(t *testing.T) {
	var c chunks
	now := time.Unix(1000, 0)
	data := strings.Repeat("x", 60_000)
	for i := range 3 * maxPending {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if _, ok := c.add(from, chunk(1, 0, 2, data), now); !ok {
			t.Fatal("refused")
		}
		if i%3 == 0 {
			c.add(from, chunk(1, 1, 2, ""), now)
		}
		if len(c.byKey) > maxPending || c.size > pendingBytes || len(c.order) > 4*maxPending+1 {
			t.Fatalf("%d messages, %d bytes, %d in order", len(c.byKey), c.size, len(c.order))
		}
	}
	if c.take() == 0 {
		t.Error("nothing was given up")
	}
	c.expire(now.Add(time.Hour))
	if len(c.byKey) != 0 || c.size != 0 || len(c.order) != 0 {
		t.Errorf("%d messages, %d bytes and %d in order are left", len(c.byKey), c.size, len(c.order))
	}
}

func gz(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

func zl(s string) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

func TestDatagrams(t *testing.T) {
	in := &receivetest.Intake{}
	r := receiver(t, Config{}, in)
	r.now = func() time.Time { return time.Unix(1000, 0) }
	take := r.datagrams()
	send := func(data ...[]byte) {
		t.Helper()
		var batch []listen.Packet
		for _, d := range data {
			batch = append(batch, listen.Packet{Data: d})
		}
		if err := take(context.Background(), sender, batch); err != nil {
			t.Fatal(err)
		}
	}
	bomb := gz(`{"short_message":"` + strings.Repeat("x", 30<<20) + `"}`)
	send([]byte(`{"short_message":"plain"}`), gz(`{"short_message":"gzip"}`), zl(`{"short_message":"zlib"}`), chunk(1, 0, 2, "lost"),
		bomb, []byte("\x1f\x8bnot gzip"), []byte("\x1e\x0f"), nil, []byte("{"))
	r.now = func() time.Time { return time.Unix(1006, 0) }
	send([]byte(`{"short_message":"last"}`))
	var got []string
	rejected := map[string]uint64{}
	for _, req := range in.Requests() {
		for _, raw := range req.Raws {
			got = append(got, string(raw.Payload))
		}
		for _, c := range req.Rejected {
			rejected[c.Name] += c.N
		}
	}
	want := map[string]uint64{"too_large": 1, "malformed_compression": 1, "bad_chunk": 1, "malformed_json": 1, "incomplete_chunks": 1}
	if fmt.Sprint(got) != "[plain gzip zlib last]" || fmt.Sprint(rejected) != fmt.Sprint(want) {
		t.Errorf("%q %v", got, rejected)
	}
}

func TestHTTP(t *testing.T) {
	f := func(code, records int, body []byte, headers ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		resp, text := receivetest.Call(receivetest.Handler(receiver(t, Config{}, in).Routes()), "POST", "/gelf", body, headers...)
		if resp.StatusCode != code || len(in.Raws()) != records {
			t.Errorf("%.60q: %d and %d records, want %d and %d: %s", body, resp.StatusCode, len(in.Raws()), code, records, text)
		}
	}
	f(http.StatusAccepted, 1, []byte(`{"version":"1.1","host":"h","short_message":"a"}`))
	f(http.StatusAccepted, 1, gz(`{"short_message":"a"}`), "Content-Encoding: gzip")
	f(http.StatusAccepted, 1, zl(`{"short_message":"a"}`), "Content-Encoding: deflate")
	f(http.StatusAccepted, 2, []byte("{\"short_message\":\"a\"}\n{\"short_message\":\"b\"}\n"))
	f(http.StatusAccepted, 1, []byte("{\"short_message\":\"a\"}\n[1]\n"))
	f(http.StatusBadRequest, 0, []byte("not JSON"))
	f(http.StatusBadRequest, 0, []byte(`{"short_message":"a"`))
	f(http.StatusBadRequest, 0, nil)
	f(http.StatusBadRequest, 0, []byte(`{"short_message":"a"}`), "Content-Encoding: gzip")
}

func numbered(i int) string {
	return fmt.Sprintf(`{"version":"1.1","host":"web-1","short_message":"number %d \"quoted\"","timestamp":1385053862.3072,"level":6,"_user_id":%d,"_some_info":"foo","_ratio":0.25}`, i, i)
}

func TestAllocations(t *testing.T) {
	var msgs [][]byte
	for i := range 1000 {
		msgs = append(msgs, []byte(numbered(i)))
	}
	receivetest.Allocates(t, 8, len(msgs), func(set *receive.Set) error {
		d := decoder{set: set, depth: 64}
		for _, m := range msgs {
			d.decode(m)
		}
		return nil
	})
}

func BenchmarkDecode(b *testing.B) {
	msg := []byte(numbered(7))
	receivetest.Decodes(b, len(msg)*1000, 1000, func(set *receive.Set) error {
		d := decoder{set: set, depth: 64}
		for range 1000 {
			d.decode(msg)
		}
		return nil
	})
}

// FuzzDatagrams: whatever comes in datagrams, each counts, and none panics.
func FuzzDatagrams(f *testing.F) {
	f.Add([]byte(numbered(1)), []byte(numbered(2)), uint8(1))
	f.Add(chunk(1, 1, 2, `e":"a"}`), chunk(1, 0, 2, `{"short_messag`), uint8(0))
	f.Add(gz(numbered(1)), zl(numbered(2)), uint8(9))
	in := &either{}
	r := receiver(f, Config{}, in)
	f.Fuzz(func(t *testing.T, a, b []byte, wait uint8) {
		in.anew()
		now := time.Unix(1000, 0)
		r.now = func() time.Time { return now }
		take := r.datagrams()
		for _, data := range [][]byte{a, b, a} {
			if err := take(t.Context(), sender, []listen.Packet{{Data: data}, {Data: data}}); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Duration(wait) * time.Second)
		}
		n := 0
		for _, req := range in.Requests() {
			n += len(req.Raws)
			for _, c := range req.Rejected {
				n += int(c.N)
			}
		}
		if n > 6+6 { // a chunk that is given up counts besides
			t.Fatalf("%d records of 6 datagrams", n)
		}
	})
}

// FuzzStream: however a connection is cut into reads, its records are the same.
func FuzzStream(f *testing.F) {
	f.Add([]byte(numbered(1)+"\x00"+numbered(2)), uint8(7))
	f.Add([]byte("\x16\x03\x01"), uint8(0)) // TLS
	in := &either{}
	sh := receive.Shared{Intake: in, Bodies: receive.NewBodies(receive.Limits{})}
	r, err := New(Config{}, sh)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		read := func(size int) string {
			in.anew()
			var pieces [][]byte
			for p := b; len(p) > 0; {
				n := min(size, len(p))
				pieces, p = append(pieces, p[:n]), p[n:]
			}
			err := speak(t, r, sh, pieces...)
			if held := sh.Bodies.Held(); held != 0 {
				t.Fatalf("%d bytes are still held", held)
			}
			return show(in.Raws()) + fmt.Sprint(err)
		}
		if whole, cut := read(len(b)+1), read(int(piece)+1); whole != cut && !bytes.HasPrefix(b, []byte("\x16\x03")) { // TLS is known by the first read
			t.Fatalf("at once\n%s\nin pieces of %d\n%s", whole, piece+1, cut)
		}
	})
}
