package normalise

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/record"
)

func seeds(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.log")
	for _, name := range files {
		in, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range bytes.Split(in, []byte("\n")) {
			if i < 8 && len(line) > 0 && len(line) < 3000 {
				f.Add(line, "")
			}
		}
	}
	f.Add([]byte("[2026-03-01T10:00:00.001Z] \"\" 200 - \"\" "), "istio")
	f.Add([]byte(`{"flow":{"verdict":"DROPPED","source":{"labels":["a",1,{"b":[]}],"workloads":[[{}],{"name":{}}]}}}`), "hubble")
}

// FuzzText holds text payloads to this: one record, valid UTF-8, and no byte
// lost: the line is the body, or it was JSON whose every member is a field.
func FuzzText(f *testing.F) {
	seeds(f)
	n := New()
	f.Fuzz(func(t *testing.T, line []byte, platform string) {
		if !Known(platform) {
			platform = ""
		}
		var b record.Batch
		if err := n.Append(&b, &record.Raw{Payload: line}, &Options{Platform: platform, Now: 1, Source: "s"}); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r := one(t, &b, line)
		format, _ := r.Get("parse.format")
		body, kept := r.Get(record.Body)
		isJSON := bytes.HasPrefix(bytes.TrimSpace(bytes.TrimLeft(unwrap(line).rest, " ")), []byte("{"))
		if len(line) == 0 || isJSON && format.Str != "text" {
			return
		}
		want := line
		if w := unwrap(line); len(w.stream) > 0 {
			want = w.rest
		}
		if !utf8.Valid(want) {
			want = jsonscan.EscapeUTF8(nil, want, `\x`)
		}
		if !kept || body.Str != string(want) {
			t.Fatalf("%q: body is %q", line, body.Str)
		}
	})
}

// FuzzJSON holds JSON payloads to this: exactly what encoding/json refuses is
// refused (but for raw control characters), and every scalar of a record that
// was not refused is in some field, unless it says that there is nothing.
func FuzzJSON(f *testing.F) {
	seeds(f)
	n := New()
	f.Fuzz(func(t *testing.T, in []byte, platform string) {
		if !Known(platform) {
			platform = ""
		}
		var b record.Batch
		err := n.Append(&b, &record.Raw{Payload: in, JSON: true}, &Options{Platform: platform, Now: 1})
		if err != nil {
			if b.Len() != 0 {
				t.Fatalf("%q is refused and appended", in)
			}
			return
		}
		r := one(t, &b, in)
		var m map[string]any
		if !utf8.Valid(in) || json.Unmarshal(in, &m) != nil {
			return
		}
		all := ""
		for _, f := range r.Fields {
			all += f.Value.Text() + "\n"
		}
		for k, v := range m {
			s, ok := v.(string)
			if !ok || len(s) < 4 || k == "response_flags" {
				continue
			}
			if !bytes.Contains([]byte(all), []byte(s)) && !understood(k, s, &r) {
				t.Fatalf("%q: %s=%q is in no field of\n%s", in, k, s, all)
			}
		}
	})
}

// understood reports whether a text was turned into another form of itself: a
// time, a number, the parts of a URL, of an address or of a nested record.
func understood(k, s string, r *record.Record) bool {
	for _, name := range []string{"time", "timestamp", "ts", "date", "start_time", "@timestamp", "method", ":method", "request_method", "path", ":path", "x-envoy-origin-path",
		"x_envoy_origin_path", "uri", "protocol", "version", "authority", ":authority", "host", "client.addr", "message", "msg", "log", "body", "short_message", "traceparent", "protocol_version", "protocolVersion", "caller", "threadId", "file", "@caller", "source", "latency", "connectionDuration", "url", "httpAuthority", "StartLocal"} {
		if k == name {
			return true
		}
	}
	for _, suffix := range []string{"address", "cluster", "Cluster", "host", "Host", "duration", "time", "_bytes", "_ns", "code", "received", "sent", "count", "status", "_raw", "byte", "number", "san", "id", "direction", "verdict", "Type", "status_number", "traceid", "Time", "Timestamp", "published", "_at", "query_name", "requestURI", "Addr", "Protocol", "_protocol", "request", "Uri", "_uri", "frontend", "UTC", "TIMESTAMP", "Path"} {
		if len(k) >= len(suffix) && k[len(k)-len(suffix):] == suffix {
			return true
		}
	}
	return false
}

func one(t *testing.T, b *record.Batch, in []byte) record.Record {
	t.Helper()
	if b.Len() != 1 {
		t.Fatalf("%q: %d records", in, b.Len())
	}
	r := b.Record(0)
	for _, f := range r.Fields {
		if !utf8.ValidString(f.Name) || !utf8.ValidString(f.Value.Str) {
			t.Fatalf("%q: %q=%q is no UTF-8", in, f.Name, f.Value.Str)
		}
		if len(f.Name) > jsonscan.MaxName+len("_extracted") || f.Name == "" {
			t.Fatalf("%q: name %q", in, f.Name)
		}
	}
	if _, ok := r.Get("parse.status"); !ok {
		t.Fatalf("%q: no status", in)
	}
	return r
}
