package filetail

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func newParser(format Format, limit int) *parser {
	l := makeLabels("/var/log/x.log", nil)
	return &parser{format: format, record: limit, set: receive.NewSet(), labels: &l}
}

func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		fmt.Fprintf(&b, "%d %q", r.Time, r.Payload)
		for _, a := range r.Attrs {
			if a.Name != fieldPath {
				fmt.Fprintf(&b, " %s=%s", a.Name, a.Value.Text())
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestParse(t *testing.T) {
	f := func(name string, format Format, data string, force bool, taken int, want string) {
		t.Helper()
		p := newParser(format, 20)
		defer p.set.Release()
		n := p.parse([]byte(data), force)
		if got := show(p.set.Raws); got != want || n != taken {
			t.Errorf("%s: took %d of %d, want %d\n got %s\nwant %s", name, n, len(data), taken, got, want)
		}
	}
	const at = "1970-01-01T00:00:00.000000005Z "
	f("plain", Auto, "one\ntwo\r\n\nthr", false, 10, "0 \"one\"\n0 \"two\"\n")
	f("plain, forced", Auto, "one\nthr", true, 7, "0 \"one\"\n0 \"thr\" log.partial=true\n")
	f("cri", Auto, at+"stdout F one\n"+at+"stderr F two\n", false, 2*len(at+"stdout F one\n"), "5 \"one\" log.iostream=stdout\n5 \"two\" log.iostream=stderr\n")
	f("cri, empty and tags", CRI, at+"stdout F \n"+at+"stdout F:x:y text\n"+at+"stdout F\n", false, len(at+"stdout F \n"+at+"stdout F:x:y text\n"+at+"stdout F\n"), "5 \"text\" log.iostream=stdout\n")
	joined := at + "stdout P on\n" + at + "stderr F two\n" + at + "stdout P e,\n" + at + "stdout F three\n"
	f("cri, parts", Auto, joined+at+"stdout P four\n"+at+"stderr F five\n", false, len(joined), "5 \"two\" log.iostream=stderr\n5 \"one,three\" log.iostream=stdout\n")
	f("cri, a part without its end", Auto, at+"stdout P one\n", false, 0, "")
	f("cri, a part without its end, forced", Auto, at+"stdout P one\n", true, len(at+"stdout P one\n"), "5 \"one\" log.iostream=stdout log.partial=true\n")
	f("cri, long", Auto, at+"stdout P 1234567890\n"+at+"stdout P 1234567890abc\n"+at+"stdout F d\n", false, 2*len(at+"stdout P 1234567890\n")+3+len(at+"stdout F d\n"),
		"5 \"12345678901234567890\" log.iostream=stdout log.partial=true\n5 \"abcd\" log.iostream=stdout\n")
	f("not quite cri", Auto, "1970-01-01T00:00:00Z out F x\n", false, 29, "0 \"1970-01-01T00:00:00Z\" log.partial=true\n0 \" out F x\"\n")
	f("cri as it is", None, at+"stdout F one\n", false, len(at)+13, "0 \"1970-01-01T00:00:00.\" log.partial=true\n0 \"000000005Z stdout F \" log.partial=true\n0 \"one\"\n")
	docker := func(log, stream string) string {
		return `{"log":"` + log + `","stream":"` + stream + `","time":"1970-01-01T00:00:00.000000005Z"}` + "\n"
	}
	f("docker", Auto, docker(`q\"\n`, "stdout")+docker(`on`, "stdout")+docker(`x\n`, "stderr")+docker(`e\n`, "stdout"), false,
		len(docker(`q\"\n`, "stdout")+docker(`on`, "stdout")+docker(`x\n`, "stderr")+docker(`e\n`, "stdout")),
		"5 \"q\\\"\" log.iostream=stdout\n5 \"x\" log.iostream=stderr\n5 \"one\" log.iostream=stdout\n")
	f("docker, not quite", Docker, "{\"log\":1}\n", false, 10, "0 \"{\\\"log\\\":1}\"\n")
	f("long line", Auto, strings.Repeat("é", 25)+"\nx\n", false, 53, "0 \"éééééééééé\" log.partial=true\n0 \"éééééééééé\" log.partial=true\n0 \"ééééé\"\n0 \"x\"\n")
	f("long line without an end", Auto, strings.Repeat("x", 45), false, 40, "0 \"xxxxxxxxxxxxxxxxxxxx\" log.partial=true\n0 \"xxxxxxxxxxxxxxxxxxxx\" log.partial=true\n")
}

func TestParseTime(t *testing.T) {
	f := func(s string) {
		t.Helper()
		got, ok := parseTime([]byte(s))
		want, err := time.Parse(time.RFC3339Nano, s)
		if ok != (err == nil) || ok && got != want.UnixNano() {
			t.Errorf("%s: %d %v, want %d %v", s, got, ok, want.UnixNano(), err)
		}
	}
	f("1970-01-01T00:00:00Z")
	f("2016-10-06T00:17:09.669794202Z")
	f("2024-02-29T23:59:59.1+05:30")
	f("2100-02-28T23:59:59.12-11:00")
	f("1999-12-31T23:59:59.123456Z")
	f("2016-10-06T00:17:09")
	f("2016-13-06T00:17:09Z")
	f("2016-10-06T24:17:09Z")
	f("2016-10-06 00:17:09Z")
	f("2016-10-06T00:17:09.Z")
}

// FuzzParse holds that what parse took is made again by the same range alone:
// the redo after a crash rests on it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nthree"), 10, 0)
	f.Add([]byte("1970-01-01T00:00:00.000000005Z stdout P on\n1970-01-01T00:00:00.000000005Z stderr F two\n1970-01-01T00:00:00.000000005Z stdout F e\n"), 12, 1)
	f.Add([]byte(`{"log":"a\u00e9","stream":"stdout","time":"1970-01-01T00:00:00Z"}`+"\n"), 5, 2)
	for _, text := range traces {
		f.Add([]byte(text+"next\n"+text), 900, 0)
		f.Add([]byte(ofCRI(text, "stderr")+ofCRI("a\n", "stdout")+ofCRI(text, "stdout")), 60, 0)
	}
	formats := []Format{Auto, CRI, Docker, None}
	f.Fuzz(func(t *testing.T, data []byte, limit, format int) {
		limit = 8 + limit&1023
		p := newParser(formats[format&3], limit)
		defer p.set.Release()
		taken := p.parse(data, false)
		first := show(p.set.Raws)
		again := newParser(formats[format&3], limit)
		defer again.set.Release()
		again.parse(data[:taken], true)
		if got := show(again.set.Raws); got != first {
			t.Fatalf("took %d of %d\nfirst %s\nagain %s", taken, len(data), first, got)
		}
		for _, r := range p.set.Raws {
			if len(r.Payload) > limit {
				t.Fatalf("a payload of %d bytes", len(r.Payload))
			}
		}
	})
}

func FuzzTime(f *testing.F) {
	f.Add("2016-10-06T00:17:09.669794202Z")
	f.Add("2024-02-29T23:59:59.1+05:30")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime([]byte(s))
		want, err := time.Parse(time.RFC3339Nano, s)
		if ok && err == nil && got != want.UnixNano() {
			t.Fatalf("%q: %d, want %d", s, got, want.UnixNano())
		}
	})
}

func TestKubernetesPaths(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		got := ""
		for _, fl := range kubernetes(path) {
			got += fl.Name + "=" + fl.Value.Text() + " "
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	f("/var/log/pods/shop_cart-7d9f_0ab1-22/app/3.log", "k8s.namespace.name=shop k8s.pod.name=cart-7d9f k8s.pod.uid=0ab1-22 k8s.container.name=app k8s.container.restart_count=3 ")
	f("/var/log/pods/shop_cart-7d9f_0ab1-22/app/0.log.20260102-030405", "k8s.namespace.name=shop k8s.pod.name=cart-7d9f k8s.pod.uid=0ab1-22 k8s.container.name=app k8s.container.restart_count=0 ")
	f("/var/log/containers/cart-7d9f_shop_app-c0ffee.log", "k8s.pod.name=cart-7d9f k8s.namespace.name=shop k8s.container.name=app container.id=c0ffee ")
	f("/var/log/pods/odd/app/0.log", "")
	f("/var/log/nginx/access.log", "")
}

func criLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "2026-11-21T08:00:00.%09dZ stdout F {\"level\":\"info\",\"path\":\"/api/v1/items/%d\",\"status\":200,\"duration_ms\":12,\"user\":\"u%d\",\"msg\":\"%s\"}\n", i, i, i%100, strings.Repeat("m", 80))
	}
	return b.Bytes()
}

func TestParseAllocatesNothingPerRecord(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	data := criLines(1000)
	p := newParser(Auto, 1<<20)
	run := func() {
		if p.parse(data, false) != len(data) {
			t.Fatal("not all was taken")
		}
		p.set.Raws = p.set.Raws[:0]
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 0 {
		t.Errorf("%v allocations for 1,000 records", n)
	}
}

func BenchmarkParseCRI(b *testing.B) {
	data := criLines(5000)
	p := newParser(Auto, 1<<20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.parse(data, false)
		p.set.Raws = p.set.Raws[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/record")
}
