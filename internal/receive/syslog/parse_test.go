package syslog

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

var update = flag.Bool("update", false, "write the golden files")

// captured is when testdata was captured.
var captured = time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)

func newDecoder(set *receive.Set) *decoder {
	d := &decoder{set: set, walls: walls{loc: time.UTC}}
	d.at(captured)
	return d
}

// show writes records one a line.
func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		when := "-"
		if r.Time != 0 {
			when = time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&b, "%s %s service=%q", when, r.Level, r.Service)
		for _, f := range r.Attrs {
			if f.Value.Kind == record.String {
				fmt.Fprintf(&b, " %s=%q", f.Name, f.Value.Str)
			} else {
				fmt.Fprintf(&b, " %s=%d", f.Name, f.Value.Int)
			}
		}
		fmt.Fprintf(&b, "\n  %q\n", r.Payload)
	}
	return b.String()
}

// cut feeds b to framing in pieces, as reads would bring them.
func cut(f *framing, b []byte, piece func() int, each func(msg []byte)) (large int) {
	var buf []byte
	for len(b) > 0 || len(buf) > 0 {
		for {
			msg, n, big := f.next(buf)
			if n == 0 {
				break
			}
			if big {
				large++
			} else if len(msg) > 0 {
				each(msg)
			}
			buf = buf[n:]
		}
		if len(b) == 0 {
			if rest := f.rest(buf); len(rest) > 0 {
				each(rest)
			}
			return large
		}
		n := min(piece(), len(b))
		buf, b = append(buf[:len(buf):len(buf)], b[:n]...), b[n:]
	}
	return large
}

// TestCaptured decodes what real programs sent, and what devices are known to
// send.
func TestCaptured(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files: %v", len(files), err)
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
		set := receive.NewSet()
		d := newDecoder(set)
		switch kind {
		case ".stream":
			f := framing{max: maxMessage}
			cut(&f, data, func() int { return len(data) }, func(m []byte) { d.decode(m) })
		case ".datagrams":
			for len(data) > 0 {
				size, head, _ := length(data)
				d.decode(data[head : head+size])
				data = data[head+size:]
			}
		case ".txt":
			for line := range bytes.Lines(data) {
				d.decode(line)
			}
		}
		got := show(set.Raws)
		set.Release()
		golden := path + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
		}
	}
}

// TestPieces: however a connection is read, its messages are the same.
func TestPieces(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.stream")
	files = append(files, "testdata/devices.txt")
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		messages := func(piece func() int) (out []string) {
			f := framing{max: maxMessage}
			cut(&f, data, piece, func(m []byte) { out = append(out, string(m)) })
			return out
		}
		whole := messages(func() int { return len(data) })
		for range 20 {
			if got := messages(func() int { return 1 + rnd.IntN(40) }); fmt.Sprint(got) != fmt.Sprint(whole) {
				t.Fatalf("%s: in pieces\n%q\nwhole\n%q", path, got, whole)
			}
		}
	}
}

func TestFraming(t *testing.T) {
	f := func(in string, large int, want ...string) {
		t.Helper()
		for _, size := range []int{1, 3, 1000} {
			fr := framing{max: 20}
			var got []string
			n := cut(&fr, []byte(in), func() int { return size }, func(m []byte) { got = append(got, string(m)) })
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || n != large {
				t.Errorf("%q in pieces of %d: %q and %d too large, want %q and %d", in, size, got, n, want, large)
			}
		}
	}
	f("<1>a\n<1>b\n", 0, "<1>a", "<1>b")
	f("<1>a\n<1>b", 0, "<1>a", "<1>b")
	f("<1>a\x00<1>b\x00", 0, "<1>a", "<1>b")
	f("4 <1>a5 <1>b\n", 0, "<1>a", "<1>b\n")
	f("4 <1>a\n4 <1>b\r\n", 0, "<1>a", "<1>b")
	f("4 <1>a<1>b\n6 <1>c\nd", 0, "<1>a", "<1>b", "<1>c\nd")
	f("4 <1>a3 abc", 0, "<1>a", "abc")                                   // a connection that counts
	f("3 blind mice\n2026-11-21 x\n", 0, "3 blind mice", "2026-11-21 x") // one that does not
	f("9 <1>cut", 0, "<1>cut")
	f("21 <1>aaaaaaaaaaaaaaaaaa4 <1>b", 1, "<1>b")
	f("<1>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n<1>b\n", 1, "<1>b")
	f("999999999 <1>lies", 1)
	f("9999999999 <1>x\n", 0, "9999999999 <1>x")
	f("0 <1>x\n", 0, "0 <1>x")
	f("12", 0, "12")
	f("\n\r\n\x00", 0)
}

func TestTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no zoneinfo here: ", err)
	}
	f := func(now, in, want string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		set := receive.NewSet()
		defer set.Release()
		d := &decoder{set: set, walls: walls{loc: berlin}}
		d.at(at)
		d.decode([]byte(in))
		got := "none"
		if ns := set.Raws[0].Time; ns != 0 {
			got = time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q at %s: %s, want %s", in, now, got, want)
		}
	}
	f("2026-01-01T00:00:05Z", "<13>Dec 31 23:59:59 h a: x", "2025-12-31T22:59:59Z")
	f("2025-12-31T22:59:58Z", "<13>Jan  1 00:00:01 h a: x", "2025-12-31T23:00:01Z")
	f("2026-12-31T23:30:00Z", "<13>Jan  1 00:30:00 h a: x", "2026-12-31T23:30:00Z")
	f("2026-07-01T00:00:00Z", "<13>Jul  1 02:00:00 h a: x", "2026-07-01T00:00:00Z")
	f("2028-03-01T00:00:00Z", "<13>Feb 29 12:00:00 h a: x", "2028-02-29T11:00:00Z")
	f("2026-03-01T00:00:00Z", "<13>Feb 29 12:00:00 h a: x", "2024-02-29T11:00:00Z") // the last one
	f("2026-11-21T00:00:00Z", "<13>Mar  1 12:00:00 h a: x", "2026-03-01T11:00:00Z") // not of the future
	f("2026-07-01T00:00:00Z", "<13>Feb 30 12:00:00 h a: x", "none")
	f("2026-07-01T00:00:00Z", "<13>Jul  1 02:00:00.25 h a: x", "2026-07-01T00:00:00.25Z")
	f("2026-07-01T00:00:00Z", "<13>Jul 01 2024 02:00:00 h a: x", "2024-07-01T00:00:00Z")
	f("2026-07-01T00:00:00Z", "<13>2024 Jul 01 02:00:00 h a: x", "2024-07-01T00:00:00Z")
	f("2026-07-01T00:00:00Z", "<13>1: Jul  1 02:00:00 UTC: %A-1-B: x", "2026-07-01T02:00:00Z")
	f("2026-07-01T00:00:00Z", "<13>1: Jul  1 02:00:00 CEST: %A-1-B: x", "2026-07-01T00:00:00Z")
	f("2026-07-01T00:00:00Z", "<13>2026-07-01T02:00:00 h a: x", "2026-07-01T00:00:00Z")
	f("2026-07-01T00:00:00Z", "<13>2026-07-01T02:00:00.123456789Z h a: x", "2026-07-01T02:00:00.123456789Z")
	f("2026-07-01T00:00:00Z", "<13>1 2026-07-01T02:00:60-05:30 h a - - - x", "2026-07-01T07:31:00Z")
	f("2026-07-01T00:00:00Z", "<13>Jul 32 02:00:00 h a: x", "none")
	f("2026-07-01T00:00:00Z", "<13>1 2026-02-30T02:00:00Z h a - - - x", "none")
	f("2026-07-01T00:00:00Z", "<13>1 1500-02-20T02:00:00Z h a - - - x", "none")
}

func TestMessageWithoutHost(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	d := newDecoder(set)
	d.from = netip.MustParseAddr("192.0.2.7")
	d.decode([]byte("<13>Nov 21 17:40:38 app: x"))
	d.decode([]byte("<13>Nov 21 17:40:38 h app: x"))
	if got := show(set.Raws); !strings.Contains(got, `host.name="192.0.2.7"`) || !strings.Contains(got, `host.name="h"`) {
		t.Error(got)
	}
}

// TestAllocations: no record costs an allocation.
func TestAllocations(t *testing.T) {
	for _, in := range inputs() {
		t.Run(in.name, func(t *testing.T) {
			receivetest.Allocates(t, 4, 1000, func(set *receive.Set) error {
				d := newDecoder(set)
				f := framing{max: maxMessage}
				for b := in.data; ; {
					msg, n, _ := f.next(b)
					if n == 0 {
						return nil
					}
					d.decode(msg)
					b = b[n:]
				}
			})
		})
	}
}

type input struct {
	name string
	data []byte
}

func inputs() []input {
	repeat := func(format string, counted bool) []byte {
		var b bytes.Buffer
		for i := range 1000 {
			m := fmt.Sprintf(format, i%60)
			if counted {
				fmt.Fprintf(&b, "%d ", len(m))
			}
			b.WriteString(m)
		}
		return b.Bytes()
	}
	const text = `127.0.0.1 - - [21/Nov/2026:17:40:17 +0000] "GET /shop?a=b HTTP/1.1" 200 2 "-" "curl/7.88.1"`
	return []input{
		{"rfc3164", repeat("<190>Nov 21 17:40:%02d web-1 nginx[12]: "+text+"\n", false)},
		{"rfc5424", repeat("<190>1 2026-11-21T17:40:%02d.163926+00:00 web-1 nginx 12 - - "+text+"\n", true)},
		{"rfc5424-sd", repeat("<190>1 2026-11-21T17:40:%02d.163926+00:00 web-1 nginx 12 ID47 "+`[timeQuality tzKnown="1" isSynced="0"][ex@32473 iut="3" src="App\"x\]"] `+text+"\n", true)},
		{"forwardformat", repeat("<190>2026-11-21T17:40:%02d.163926+00:00 web-1 nginx[12]: "+text+"\n", false)},
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, in := range inputs() {
		b.Run(in.name, func(b *testing.B) {
			b.SetBytes(int64(len(in.data)))
			b.ReportAllocs()
			for b.Loop() {
				set := receive.NewSet()
				d := newDecoder(set)
				f := framing{max: maxMessage}
				for p := in.data; ; {
					msg, n, _ := f.next(p)
					if n == 0 {
						break
					}
					d.decode(msg)
					p = p[n:]
				}
				set.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}

// FuzzStream: no connection, however it is cut into reads, panics, loses its
// place, or makes other records than when it is read at once.
func FuzzStream(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.stream")
	for _, path := range append(files, "testdata/devices.txt") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 600)], uint8(7))
	}
	f.Add([]byte("4 <1>a21 <1>aaaaaaaaaaaaaaaaaa4 <1>b\x00<13>1 - - - - - [a b=\"\\\"]\"] x"), uint8(1))
	f.Add([]byte(strings.Repeat("a", 400)+"\x00<13>b\n"), uint8(99)) // too large until NUL
	f.Add([]byte("4 <1>a"+strings.Repeat("a", 400)+"\n8 \n<13>b\n"), uint8(99))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		read := func(size int) (string, int) {
			set := receive.NewSet()
			defer set.Release()
			d := newDecoder(set)
			fr := framing{max: 300}
			large := cut(&fr, bytes.Clone(b), func() int { return size }, func(m []byte) { d.decode(m) })
			for _, r := range set.Raws {
				if len(r.Payload) > len(b) || len(r.Attrs) > maxParams+16 {
					t.Fatalf("a record larger than what was sent: %d bytes, %d fields", len(r.Payload), len(r.Attrs))
				}
			}
			return show(set.Raws), large
		}
		whole, n := read(len(b) + 1)
		pieces, m := read(int(piece) + 1)
		if whole != pieces || n != m {
			t.Fatalf("at once\n%s%d\nin pieces of %d\n%s%d", whole, n, piece+1, pieces, m)
		}
	})
}
