package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func example() *shown {
	return &shown{
		raw: []byte("{\"x\":1}\n"), time: 1767323045678900000, class: "app", line: "[2026] \"GET /pay HTTP/1.1\" 503\x1b[31m",
		names: []string{"severity_text", "http.request.method", "url.path", "http.response.status_code", "mesh.response_flags", "mesh.destination.workload", "mesh.source.workload", "mesh.duration_ns", "parse.format", "k8s.namespace.name"},
		fields: map[string]any{
			"http.request.method": "GET", "url.path": "/pay", "http.response.status_code": json.Number("503"), "mesh.response_flags": "UH",
			"mesh.destination.workload": "payments", "mesh.source.workload": "checkout", "mesh.duration_ns": json.Number("1530000"),
			"parse.format": "istio-text", "k8s.namespace.name": "shop\u202e",
		},
	}
}

func render(t *testing.T, form string, fields []string, records ...*shown) string {
	t.Helper()
	var out bytes.Buffer
	p, err := newPrinter(&terminal{out: &out}, form, fields, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := p.record(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOutputs(t *testing.T) {
	pretty := render(t, "pretty", []string{"mesh.response_flags"}, example())
	for _, want := range []string{"503 ", `shop\u202e/payments`, "GET /pay 503 UH checkout → payments 1.53ms", "mesh.response_flags=UH\n"} {
		if !strings.Contains(pretty, want) {
			t.Errorf("pretty lacks %q: %q", want, pretty)
		}
	}
	if got := render(t, "raw", nil, example()); got != example().line+"\n" {
		t.Errorf("raw into a file is not as it was: %q", got)
	}
	if got := render(t, "jsonl", nil, example(), example()); got != "{\"x\":1}\n{\"x\":1}\n" {
		t.Errorf("jsonl: %q", got)
	}
	if got, want := render(t, "logfmt", []string{"url.path", "nosuch", "k8s.namespace.name"}, example()), "time=2026-01-02T03:04:05.6789Z url.path=/pay k8s.namespace.name=shop\u202e\n"; got != want {
		t.Errorf("logfmt: %q, want %q", got, want)
	}
	csv := render(t, "csv", []string{"url.path"}, example(), example())
	if !strings.HasPrefix(csv, "time,url.path,line\n2026-01-02T03:04:05.6789Z,/pay,") || strings.Count(csv, "\n") != 3 {
		t.Errorf("csv: %q", csv)
	}
	if err := checkOutput("xml", outputs); err == nil || err.(*exitError).code != exitUsage {
		t.Errorf("output xml: %v", err)
	}
}

// TestJSONWithSomeFields keeps the kinds of the values and the names as asked.
func TestJSONWithSomeFields(t *testing.T) {
	s := example()
	s.raw = []byte(`{"line":"x","ord":"18446744073709551615","fields":{"a":1}}`)
	if got, want := render(t, "jsonl", []string{"response_code", "duration", "nosuch", "url_path"}, s), `{"fields":{"duration":1.53,"response_code":503,"url_path":"/pay"},"line":"x","ord":"18446744073709551615"}`+"\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPrettyPrefersTheOwnLine(t *testing.T) {
	s := &shown{line: "order placed\nsecond", severity: "ERROR", fields: map[string]any{"service.name": "cart"}}
	if got := render(t, "pretty", nil, s); !strings.Contains(got, `ERROR  cart  order placed\nsecond`) {
		t.Errorf("%q", got)
	}
}

func TestPrettySpansAndServices(t *testing.T) {
	f := func(want, line string, fields map[string]any) {
		t.Helper()
		s := &shown{line: line, fields: fields}
		for n := range fields {
			s.names = append(s.names, n)
		}
		if got := render(t, "pretty", nil, s); !strings.HasSuffix(got, want+"\n") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("        web  full", "full", map[string]any{"service": "web"})
	f("        cart  span get 1.5ms client → db error trace=0af7", "{}", map[string]any{
		"record.kind": "span", "service.name": "cart", "span.name": "get", "mesh.duration_ns": json.Number("1500000"),
		"span.kind": "client", "peer.service": "db", "span.status": "error", "trace_id": "0af7",
	})
	f("        span get trace=0af7", "{}", map[string]any{"record.kind": "span", "span.name": "get", "span.kind": "internal", "trace_id": "0af7"})
}

// TestAskedNamesAreThoseOfQueries shows a field by any of its names, in the unit
// of the name.
func TestAskedNamesAreThoseOfQueries(t *testing.T) {
	s := example()
	s.names = append(s.names, "level")
	s.fields["level"] = "warn"
	for name, want := range map[string]string{
		"url_path": "/pay", "response_code": "503", "duration": "1.53", "mesh_duration_ns": "1530000", "severity_text": "warn", "nosuch": "",
	} {
		if got := s.asked(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestPrettyNumbersStandBelowOneAnother(t *testing.T) {
	var out bytes.Buffer
	points, err := flatten([]series{
		{Labels: map[string]string{"service": "a"}, Points: []struct{ Time, Value string }{{"2026-01-02T03:04:05Z", "7"}}},
		{Labels: map[string]string{"service": "b"}, Points: []struct{ Time, Value string }{{"2026-01-02T03:04:05Z", "12.5"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	show := prettyNumbers(&out, points)
	for _, p := range points {
		if err := show(p); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.HasSuffix(lines[0], "     7  {service=\"a\"}") || !strings.HasSuffix(lines[1], "  12.5  {service=\"b\"}") {
		t.Errorf("%q", lines)
	}
	if got := columns([]series{{Labels: map[string]string{"b": "", "a": ""}}, {Labels: map[string]string{"c": ""}}}); strings.Join(got, ",") != "a,b,c,value" {
		t.Errorf("columns %v", got)
	}
}

func TestCSVCellsAreNoFormulas(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "=1+1": "'=1+1", "+x": "'+x", "-x": "'-x", "@x": "'@x", "\tx": "'\tx", "-5": "-5", "+5.2": "+5.2", "-": "'-",
	} {
		if got := csvCell(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestLogfmtQuotes(t *testing.T) {
	s := &shown{names: []string{"a b", "c"}, fields: map[string]any{"a b": "x y", "c": ""}}
	if got := render(t, "logfmt", nil, s); got != "time=1970-01-01T00:00:00Z a_b=\"x y\" c=\"\"\n" {
		t.Errorf("%q", got)
	}
}

func TestSafeWriterEscapesWholeLines(t *testing.T) {
	var out bytes.Buffer
	w := &safeWriter{w: &out, safe: true}
	for _, b := range []byte("é\x1b[31m\nrest\x07") {
		w.Write([]byte{b})
	}
	w.flush()
	if got := out.String(); got != "é\\x1b[31m\nrest\\x07" {
		t.Errorf("%q", got)
	}
}

func TestQuoteArg(t *testing.T) {
	for in, want := range map[string]string{"/a/b.c": "/a/b.c", "a b": "'a b'", "it's": `'it'\''s'`, "": "''"} {
		if got := quoteArg(in); got != want {
			t.Errorf("%q gives %s", in, got)
		}
	}
}
