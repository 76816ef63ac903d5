package kv

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func read(b string, style Style) string {
	s := Scan([]byte(b), style)
	var out []string
	for {
		p, ok := s.Next()
		if !ok {
			return strings.Join(out, "|")
		}
		if p.Flag {
			out = append(out, "!"+string(p.Key))
			continue
		}
		out = append(out, string(p.Key)+"="+string(p.Text(new([]byte))))
	}
}

func TestScan(t *testing.T) {
	f := func(style Style, in, want string) {
		t.Helper()
		if got := read(in, style); got != want {
			t.Errorf("%q is read as\n%s, want\n%s", in, got, want)
		}
	}
	f(Words, `level=info msg="two words" n=1 empty= q="" flag`, "level=info|msg=two words|n=1|empty=|q=|!flag")
	f(Words, "\ta=1\tb=\"x=y \\\"z\\\"\\n\"\t", "a=1|b=x=y \"z\"\n")
	f(Words, `src.addr=10.0.0.1:1 dst.identity="spiffe://c/ns/a/sa/b" duration="12ms"`, "src.addr=10.0.0.1:1|dst.identity=spiffe://c/ns/a/sa/b|duration=12ms")
	f(Words, `a="never closed b=1`, `a="never|!closed|b=1`)
	f(Words, `a="x"b=1`, "a=x|b=1")
	f(Words, `=1 "quoted word" a=1`, `!=1|!"quoted|!word"|a=1`)
	f(Nested, `addrs=["{10.0.0.1 }"] list=[a b] open=[a b=c`, `addrs=["{10.0.0.1 }"]|list=[a b]|open=[a|b=c`)
	f(Loose, `error=connect timed out after 1s error.sources=[connect timed out, x y]`, "error=connect timed out after 1s|error.sources=[connect timed out, x y]")
	f(Loose, `client.tls=Some(Established { client_id: Some(ClientId("a b")) }) client.ip=::1 `, `client.tls=Some(Established { client_id: Some(ClientId("a b")) })|client.ip=::1`)
	f(Loose, `route.group= route.kind=default`, "route.group=|route.kind=default")
	f(Loose, `error=a ) b ] c k=1`, "error=a ) b ] c|k=1")
	f(Audit, "a='b c=\"d\"' e=f\x1dG=\"h\"", "a=b c=\"d\"|e=f|G=h")
	f(Words, "", "")
	f(Words, strings.Repeat("k", 200)+"=1", "!"+strings.Repeat("k", 200)+"=1")
}

func TestMessage(t *testing.T) {
	f := func(in, message, pairs string) {
		t.Helper()
		m, p := Message([]byte(in))
		if string(m) != message || string(p) != pairs {
			t.Errorf("%q: %q and %q", in, m, p)
		}
	}
	f("Failed to connect error=x y", "Failed to connect", "error=x y")
	f("no pairs here", "no pairs here", "")
	f("a=1 b=2", "", "a=1 b=2")
	f("1 == 2 is false k=v", "1 == 2 is false", "k=v")
	f("", "", "")
	f("x\tk=v", "x", "k=v")
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`a\nb\t\"\\\'`: "a\nb\t\"\\'", `\u00e9\u{e9}\U000000e9`: "ééé", `\x41\xff`: `A\xff`, `\q\`: `\q\`, `\ud800`: `\ud800`, `\u{}`: `\u{}`, `\u12`: `\u12`,
	} {
		if got := string(Unescape(nil, []byte(in))); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestValue(t *testing.T) {
	if p, ok := Value([]byte(`a b=1 c="2 3"`), "c", Words); !ok || string(p.Value) != "2 3" {
		t.Errorf("%q %v", p.Value, ok)
	}
	if _, ok := Value([]byte(`a b=1`), "a", Words); ok {
		t.Error("a flag is a pair")
	}
}

func TestNoAllocations(t *testing.T) {
	line := []byte(`src.addr=10.0.0.1:1 error="a \"b\"" list=[a b] x=y`)
	scratch := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		s := Scan(line, Nested)
		for p, ok := s.Next(); ok; p, ok = s.Next() {
			p.Text(&scratch)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`a=1 b="c d\"" e=[f {g (h)}] i`, `=`, `a="`, `a='b`, `a=[[[[`, "k=v\x1dK=\"V\""} {
		f.Add([]byte(s), uint8(Loose))
	}
	f.Fuzz(func(t *testing.T, b []byte, style uint8) {
		s := Scan(b, Style(style%4))
		for n, before := 0, len(b)+1; ; n++ {
			p, ok := s.Next()
			if !ok {
				break
			}
			if len(s.Rest()) >= before {
				t.Fatalf("%q: no progress", b)
			}
			before = len(s.Rest())
			if utf8.Valid(p.Value) && !utf8.Valid(p.Text(new([]byte))) {
				t.Fatalf("%q: %q", b, p.Value)
			}
		}
		Message(b)
	})
}

func BenchmarkScan(b *testing.B) {
	line := []byte(`src.addr=10.244.0.118:38098 src.workload="cars-v1-6c869ff769-4hk27" src.namespace="travel-agency" src.identity="spiffe://cluster.local/ns/travel-agency/sa/default" dst.addr=10.244.0.117:15008 direction="outbound" bytes_sent=206 bytes_recv=250 duration="1ms"`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		s := Scan(line, Words)
		for _, ok := s.Next(); ok; _, ok = s.Next() {
		}
	}
}
