package loki

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func newHandler(t testing.TB, in pipeline.Intake) (*Receiver, http.Handler) {
	t.Helper()
	l, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return l, receivetest.Handler(l.Routes())
}

// show renders records on one line each.
func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		fmt.Fprintf(&b, "%d %q", r.Time, r.Payload)
		for _, a := range r.Attrs {
			fmt.Fprintf(&b, " %s=%q", a.Name, a.Value.Text())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestRepetition: the same push is its own key; one that differs is another.
func TestRepetition(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newHandler(t, in)
	for _, line := range []string{"a", "a", "b"} {
		receivetest.Call(h, "POST", "/loki/api/v1/push", []byte(`{"streams":[{"stream":{"a":"1"},"values":[["5","`+line+`"]]}]}`), "Content-Type: application/json")
	}
	reqs := in.Requests()
	if reqs[0].ID.IsZero() || reqs[0].ID != reqs[1].ID || reqs[0].ID == reqs[2].ID {
		t.Errorf("identities %v, %v, %v", reqs[0].ID, reqs[1].ID, reqs[2].ID)
	}
}

type entry struct {
	sec, nanos int64
	line       string
	meta       []string
}

func msg(num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
}

func num(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func stream(labels string, es ...entry) []byte {
	b := msg(1, []byte(labels))
	for _, e := range es {
		m := msg(1, append(num(1, uint64(e.sec)), num(2, uint64(e.nanos))...))
		m = append(m, msg(2, []byte(e.line))...)
		for i := 0; i+1 < len(e.meta); i += 2 {
			m = append(m, msg(3, append(msg(1, []byte(e.meta[i])), msg(2, []byte(e.meta[i+1]))...))...)
		}
		b = append(b, msg(2, m)...)
	}
	return msg(1, append(b, num(3, 12345)...))
}

func TestProto(t *testing.T) {
	f := func(name string, body []byte, code int, answer, want string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newHandler(t, in)
		resp, got := receivetest.Call(h, "POST", "/loki/api/v1/push", snappy.Encode(nil, body), "Content-Type: application/x-protobuf")
		if resp.StatusCode != code || got != answer {
			t.Errorf("%s: %d %q, want %d %q", name, resp.StatusCode, got, code, answer)
		}
		if got := show(in.Raws()); got != want {
			t.Errorf("%s: records\n got %s\nwant %s", name, got, want)
		}
	}
	f("two streams", append(stream(`{b="2", a="1"}`, entry{1, 5, "one", nil}, entry{2, 0, "two", []string{"k", "v"}}), stream(`{x="y"}`, entry{3, 0, "three", nil})...), 204, "",
		`1000000005 "one" a="1" b="2" stream.labels="a,b"`+"\n"+`2000000000 "two" a="1" b="2" stream.labels="a,b" k="v"`+"\n"+`3000000000 "three" x="y" stream.labels="x"`+"\n")
	f("escapes", stream(`{a="q\"\\\n\u00e9\xff",b=`+"`raw\\n`"+`, "c.d"='x'}`, entry{1, 0, "l", nil}), 204, "",
		`1000000000 "l" a="q\"\\\né\xff" b="raw\\n" c.d="x" stream.labels="a,b,c.d"`+"\n")
	f("no labels", stream(`{}`, entry{1, 0, "l", nil}), 204, "", "1000000000 \"l\"\n")
	f("nothing", nil, 422, "error at least one valid stream is required for ingestion\n", "")
	f("stream without lines", stream(`{a="b"}`), 204, "", "")
	f("bad labels keep the others", append(stream(`{a=b}`, entry{1, 0, "bad", nil}), stream(`{a="b"}`, entry{2, 0, "good", nil})...), 400,
		"1 of 2 lines were refused, the others are kept; first: error parsing labels \"{a=b}\": expected a quoted string at \"b\"\n", "2000000000 \"good\" a=\"b\" stream.labels=\"a\"\n")
	f("label twice", stream(`{a="b",a="c"}`, entry{1, 0, "bad", nil}), 400,
		"1 of 1 lines were refused, the others are kept; first: label \"a\" appears twice in a stream\n", "")
	f("not protobuf", []byte{0xff, 0xff}, 400, "push request is not a protobuf message\n", "")
	f("absurd time", stream(`{a="b"}`, entry{1 << 60, 0, "l", nil}), 204, "", "0 \"l\" a=\"b\" stream.labels=\"a\"\n")
	late := msg(1, append(msg(2, msg(2, []byte("line"))), msg(1, []byte(`{a="b"}`))...))
	f("labels after lines", late, 204, "", "0 \"line\" a=\"b\" stream.labels=\"a\"\n")
}

func TestJSON(t *testing.T) {
	f := func(name, body string, code int, answer, want string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newHandler(t, in)
		resp, got := receivetest.Call(h, "POST", "/loki/api/v1/push", []byte(body), "Content-Type: application/json; charset=utf-8")
		if resp.StatusCode != code || got != answer {
			t.Errorf("%s: %d %q, want %d %q", name, resp.StatusCode, got, code, answer)
		}
		if got := show(in.Raws()); got != want {
			t.Errorf("%s: records\n got %s\nwant %s", name, got, want)
		}
	}
	f("plain", `{"streams":[{"stream":{"b":"2","a":"1"},"values":[["5","one"],["6","t\u00e9\n",{"k":"v"}]]}]}`, 204, "",
		`5 "one" a="1" b="2" stream.labels="a,b"`+"\n"+`6 "té\n" a="1" b="2" stream.labels="a,b" k="v"`+"\n")
	f("values first", `{"streams":[{"values":[["5","one"]],"stream":{"a":"1"}}],"other":[1,{"x":[]}]}`, 204, "", "5 \"one\" a=\"1\" stream.labels=\"a\"\n")
	f("old form", `{"streams":[{"labels":"{a=\"1\"}","entries":[{"ts":"1970-01-01T00:00:01.5Z","line":"x"}]}]}`, 204, "", "1500000000 \"x\" a=\"1\" stream.labels=\"a\"\n")
	f("no streams", `{"streams":[]}`, 422, "error at least one valid stream is required for ingestion\n", "")
	f("bad lines keep the others", `{"streams":[{"stream":{"a":"1"},"values":[[5,"number"],["6","good"],["7","nested",{"k":{}}],["8"],["9","good"]]}]}`, 400,
		"3 of 5 lines were refused, the others are kept; first: JSON at byte 43: expected a string\n", "6 \"good\" a=\"1\" stream.labels=\"a\"\n9 \"good\" a=\"1\" stream.labels=\"a\"\n")
	f("deep line", `{"streams":[{"stream":{"a":"1"},"values":[["1","x",`+strings.Repeat(`{"k":`, 10000)+`1`+strings.Repeat(`}`, 10000)+`],["2","good"]]}]}`, 400,
		"1 of 2 lines were refused, the others are kept; first: JSON at byte 56: expected a string\n", "2 \"good\" a=\"1\" stream.labels=\"a\"\n")
	f("torn", `{"streams":[{"stream":{"a":"1"},"values":[["5","one"]`, 400, "JSON at byte 53: expected a comma or the end of the container\n", "")
	f("not JSON", `hello`, 400, "JSON at byte 0: expected an object\n", "")
	f("invalid UTF-8 and NUL", "{\"streams\":[{\"stream\":{\"a\":\"\xff\"},\"values\":[[\"5\",\"\xff\x00\"]]}]}", 204, "", "5 \"\\xff\\x00\" a=\"\\xff\" stream.labels=\"a\"\n")
}

// TestServiceOfLabels takes the service from the label that Loki would take.
func TestServiceOfLabels(t *testing.T) {
	f := func(labels, want string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newHandler(t, in)
		pb := snappy.Encode(nil, stream(labels, entry{1, 0, "one", nil}, entry{2, 0, "two", []string{"job", "of the line"}}))
		js := fmt.Sprintf(`{"streams":[{"labels":%q,"values":[["1","one"],["2","two",{"app":"of the line"}]]}]}`, labels)
		receivetest.Call(h, "POST", "/loki/api/v1/push", pb, "Content-Type: application/x-protobuf")
		receivetest.Call(h, "POST", "/loki/api/v1/push", []byte(js), "Content-Type: application/json")
		raws := in.Raws()
		if len(raws) != 4 {
			t.Fatalf("%s: %d records", labels, len(raws))
		}
		for i, r := range raws {
			if r.Service != want {
				t.Errorf("%s: record %d: service %q, want %q", labels, i, r.Service, want)
			}
		}
	}
	f(`{job="j", container="c", app="a"}`, "a")
	f(`{job="j", container="c", app=""}`, "c")
	f(`{job="j", name="n"}`, "n")
	f(`{job="varlogs"}`, "varlogs")
	f(`{k8s_job_name="nightly", pod="p"}`, "nightly")
	f(`{env="test"}`, "unknown_service")
	f(`{}`, "unknown_service")
}

func TestForms(t *testing.T) {
	js := []byte(`{"streams":[{"stream":{"a":"1"},"values":[["5","one"]]}]}`)
	pb := snappy.Encode(nil, stream(`{a="1"}`, entry{0, 5, "one", nil}))
	gz := func(b []byte) []byte {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		w.Write(b)
		w.Close()
		return buf.Bytes()
	}
	f := func(name string, body []byte, headers ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newHandler(t, in)
		resp, text := receivetest.Call(h, "POST", "/api/prom/push", body, headers...)
		if got := show(in.Raws()); resp.StatusCode != 204 || got != "5 \"one\" a=\"1\" stream.labels=\"a\"\n" {
			t.Errorf("%s: %d %s, records %s", name, resp.StatusCode, text, got)
		}
	}
	f("protobuf", pb, "Content-Type: application/x-protobuf")
	f("protobuf named snappy", pb, "Content-Type: application/x-protobuf", "Content-Encoding: snappy")
	f("protobuf without a type", pb)
	f("protobuf in gzip", gz(pb), "Content-Encoding: gzip")
	f("json in gzip", gz(js), "Content-Type: application/json", "Content-Encoding: gzip")
	f("json in snappy", snappy.Encode(nil, js), "Content-Type: application/json", "Content-Encoding: snappy")
	f("json of another type", js, "Content-Type: text/plain")
}

func TestFailures(t *testing.T) {
	f := func(name string, ingest error, refuse bool, code int, retry, answer string) {
		t.Helper()
		in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return ingest }}
		if refuse {
			in.Refuse = func(r *record.Raw) (string, string) {
				if string(r.Payload) == "two" {
					return "too_large", "record has 2 MiB"
				}
				return "", ""
			}
		}
		_, h := newHandler(t, in)
		resp, got := receivetest.Call(h, "POST", "/loki/api/v1/push", []byte(`{"streams":[{"stream":{"a":"1"},"values":[["5","one"],["6","two"]]}]}`), "Content-Type: application/json")
		if resp.StatusCode != code || resp.Header.Get("Retry-After") != retry || got != answer {
			t.Errorf("%s: %d retry %q %q", name, resp.StatusCode, resp.Header.Get("Retry-After"), got)
		}
	}
	f("overload", fault.Errorf(fault.Overload, "full"), false, 503, "1", "full\n")
	f("bug", errors.New("secret detail"), false, 503, "5", "the request could not be kept (internal); send it again later\n")
	f("refused", nil, true, 400, "", "1 of 2 lines were refused, the others are kept; first: too_large: record has 2 MiB\n")
}

func TestHostile(t *testing.T) {
	l, h := newHandler(t, &receivetest.Intake{})
	f := func(name string, body []byte, code int, contains string, headers ...string) {
		t.Helper()
		resp, got := receivetest.Call(h, "POST", "/loki/api/v1/push", body, headers...)
		if resp.StatusCode != code || !strings.Contains(got, contains) {
			t.Errorf("%s: %d %.300q", name, resp.StatusCode, got)
		}
		if held := l.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
	f("length of 4 GiB", append(binary.AppendUvarint(nil, 1<<32-1), 0, 'x'), 413, "declares")
	f("length of 60 MiB", append(binary.AppendUvarint(nil, 60<<20), 0, 'x'), 400, "declares")
	f("length too short", append(binary.AppendUvarint(nil, 1), 4<<2, 'x', 'x', 'x', 'x', 'x'), 400, "snappy")
	f("text", []byte("hello"), 400, "snappy")
	f("line of 20 MB", snappy.Encode(nil, stream(`{a="b"}`, entry{1, 0, strings.Repeat("x", 20<<20), nil})), 204, "")
	f("deep JSON", []byte(strings.Repeat("[", 10000)), 400, "expected an object", "Content-Type: application/json")
	many := snappy.Encode(nil, bytes.Repeat(msg(1, append(msg(1, []byte(`{a="b"}`)), bytes.Repeat(msg(2, nil), 1000)...)), 300))
	f("too many lines", many, 413, "more than 262144 lines")
}

// TestManyOfNothing: what costs a sender a few bytes each is counted, and what it
// costs here is bounded, in memory too.
func TestManyOfNothing(t *testing.T) {
	const streams, lines, fields = "more than 16384 streams", "more than 16384 lines", "too many labels and fields"
	f := func(name string, json bool, head, each, tail, want string) {
		t.Helper()
		size := 1 << 20
		if want == fields {
			if receivetest.Race {
				return // it makes two million
			}
			size = 14 << 20
		}
		body := []byte(head + strings.Repeat(each, size/len(each)) + tail)
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{Items: 16 << 10}.WithDefaults()}
		run := d.proto
		if json {
			run = d.json
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		err := run(body)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %v, %d MiB, %d streams", name, time.Since(began), (after.TotalAlloc-before.TotalAlloc)>>20, d.streams)
		if !fault.Is(err, fault.TooLarge) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 700 {
			t.Errorf("%s: %d MiB", name, n)
		}
	}
	pb := func(name string, each []byte, want string) { f(name, false, "", string(each), "", want) }
	pb("empty streams", msg(1, nil), streams)
	pb("streams without lines", stream("{}"), streams)
	pb("bad labels, empty lines", msg(1, bytes.Repeat(msg(2, nil), 50)), lines)
	var labels strings.Builder
	for i := range 1000 { // from the last on: the worst order to sort
		fmt.Fprintf(&labels, `l%03d="",`, 999-i)
	}
	pb("labels and fields", stream("{"+labels.String()+"}", entry{meta: []string{"a", "b"}}), fields)
	f("empty streams", true, `{"streams":[`, `{},`, `{}]}`, streams)
	f("streams of one label", true, `{"streams":[`, `{"stream":{"a":""}},`, `{}]}`, streams)
	f("malformed lines", true, `{"streams":[{"stream":{"a":"b"},"values":[`, `[],`, `[]]}]}`, lines)
	f("lines of bad streams", true, `{"streams":[{"stream":{"":"b"},"values":[`, `[],`, `[]]}]}`, lines)
	f("a line of many fields", true, `{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"a":""`, `,"":""`, `}]]}]}`, fields)
}

func pushBody(lines int) []byte {
	var all []byte
	line := `{"cluster":"eu-1","namespace":"shop","msg":"` + strings.Repeat("m", 700) + `"}`
	for s := range 10 {
		var es []entry
		for i := range lines / 10 {
			e := entry{sec: 1700000000, nanos: int64(i), line: line}
			if i%2 == 0 {
				e.meta = []string{"trace_id", "0af7651916cd43dd8448eb211c80319c"}
			}
			es = append(es, e)
		}
		all = append(all, stream(fmt.Sprintf(`{cluster="eu-1", namespace="shop", pod="cart-%d", service="cart"}`, s), es...)...)
	}
	return all
}

func TestAllocations(t *testing.T) {
	body, lim := pushBody(1000), receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 8, 1000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.proto(body)
	})
}

func BenchmarkProto(b *testing.B) {
	body, lim := pushBody(2000), receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(body), 2000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.proto(body)
	})
}

func FuzzProto(f *testing.F) {
	f.Add(stream(`{a="1"}`, entry{1, 5, "one", []string{"k", "v"}}))
	f.Add(msg(1, append(msg(2, msg(2, []byte("line"))), msg(1, []byte("{a=\"\\x41\"}"))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{}.WithDefaults()}
		if d.proto(b) == nil {
			show(set.Raws)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"streams":[{"stream":{"b":"2","a":"1"},"values":[["5","one"],["6","t\u00e9\n",{"k":"v"}]]}]}`))
	f.Add([]byte(`{"streams":[{"labels":"{a=\"1\"}","entries":[{"ts":"1970-01-01T00:00:01.5Z","line":"x"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{}.WithDefaults()}
		if d.json(b) == nil {
			show(set.Raws)
		}
	})
}

func FuzzLabels(f *testing.F) {
	f.Add(`{a="b", c='d', "e.f"="\u00e9\x00\"",}`)
	f.Fuzz(func(t *testing.T, s string) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{}.WithDefaults()}
		fs, err := d.labels([]byte(s))
		if err != nil || len(fs) == 0 {
			return
		}
		// What was read, written down again, reads the same.
		var b strings.Builder
		b.WriteByte('{')
		for _, f := range fs[:len(fs)-1] {
			fmt.Fprintf(&b, "%q=%q,", f.Name, f.Value.Str)
		}
		b.WriteByte('}')
		again, err := d.labels([]byte(b.String()))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(fs) {
			t.Fatalf("%q: %v; %q: %v, %v", s, fs, b.String(), again, err)
		}
	})
}
