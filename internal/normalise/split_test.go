package normalise

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestSplit takes containers apart and leaves everything else whole.
func TestSplit(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		got := Split(nil, &record.Raw{Payload: []byte(in), Time: 5, JSON: true})
		if len(got) != len(want) {
			t.Errorf("%s: %d records, want %d", in, len(got), len(want))
			return
		}
		for i := range got {
			if string(got[i].Payload) != want[i] || got[i].Time == 5 {
				t.Errorf("%s: %s, want %s", in, got[i].Payload, want[i])
			}
		}
	}
	f(`{"Records":[{"a":1},{"b":{"c":[1,"]}"]}}]}`, `{"a":1}`, `{"b":{"c":[1,"]}"]}}`)
	f(" {\n\t\"Records\" : [ {\"a\" : \"\\\"\"} , {} ] } \r\n", `{"a" : "\""}`, `{}`)
	f(`{"records":[{"a":1}]}`, `{"a":1}`)
	f(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"auditID":"1"},{"auditID":"2"}]}`, `{"auditID":"1"}`, `{"auditID":"2"}`)
	f(`{"apiVersion":"v1","items":[{"involvedObject":{"kind":"Pod"}},{"x":1}],"kind":"List","metadata":{"resourceVersion":""}}`, `{"involvedObject":{"kind":"Pod"}}`, `{"x":1}`)
	f(`{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":7,"message":"a \"b\"\n"},{"id":"2","timestamp":8,"message":"{}"}]}`, `a "b"`, `{}`)
	for _, whole := range []string{
		``, `{`, `{}`, `[]`, `{"Records":[]}`, `{"Records":[1,2]}`, `{"Records":[{"a":1}],"next":"x"}`, `{"Records":[{"a":1},]}`, `{"Records":[{"a":1}`, `{"Records":{"a":1}}`,
		`{"Records":[{"a":1}]} x`, `{"Records":[{"a":1]}]}`, `{"records":[{"a":1}],"msg":"read"}`, `{"records":[{"a":` + strings.Repeat("[", 80) + strings.Repeat("]", 80) + `}]}`,
		`{"kind":"PodList","apiVersion":"v1","items":[{"a":1}]}`, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","items":[{"a":1}]}`, `{"apiVersion":"v1","kind":"List","items":[{"spec":{}}]}`,
		`{"messageType":"CONTROL_MESSAGE","owner":"1","logGroup":"","logStream":"","logEvents":[{"id":"1","timestamp":7,"message":"m"}]}`,
		`{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","timestamp":7}]}`, `{"messageType":"DATA_MESSAGE","extra":1,"logEvents":[{"id":"1","timestamp":7,"message":"m"}]}`,
	} {
		f(whole)
	}
}

// TestSplitKeepsWhoItIsOf holds what stands around an array.
func TestSplitKeepsWhoItIsOf(t *testing.T) {
	attrs := []record.Field{{Name: "env", Value: record.StringValue("prod")}}
	got := Split(nil, &record.Raw{Attrs: attrs, Payload: []byte(`{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/eks/\"c\"/cluster","logStream":"s","logEvents":[{"id":"1","timestamp":1700000000123,"message":"m"}]}`)})
	if len(got) != 1 || got[0].Time != 1700000000123e6 || len(got[0].Attrs) != 4 || got[0].Attrs[0].Name != "env" || got[0].Attrs[2].Value.Str != `/aws/eks/"c"/cluster` {
		t.Fatalf("%+v", got)
	}
	if got = Split(nil, &record.Raw{Attrs: attrs, Payload: []byte(`{"Records":[{"a":1}]}`)}); len(got) != 1 || len(got[0].Attrs) != 1 {
		t.Fatalf("%+v", got)
	}
}

// FuzzSplit holds containers to this: every element is an object of the payload,
// and where the payload is JSON each is, and none is missing.
func FuzzSplit(f *testing.F) {
	f.Add([]byte(`{"Records":[{"a":1},{"b":[{}]}]}`))
	f.Add([]byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":"1"}]}`))
	f.Add([]byte(`{"messageType":"DATA_MESSAGE","owner":"1","logEvents":[{"timestamp":7,"message":"m"}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		got := Split(nil, &record.Raw{Payload: in})
		if len(got) == 0 || bytes.Contains(in, []byte("messageType")) {
			return
		}
		for _, r := range got {
			if len(r.Payload) < 2 || r.Payload[0] != '{' || !bytes.Contains(in, r.Payload) {
				t.Fatalf("%q: %q", in, r.Payload)
			}
		}
		var m map[string]any
		if json.Unmarshal(in, &m) != nil {
			return
		}
		n := 0
		for _, v := range m {
			if list, ok := v.([]any); ok {
				n = max(n, len(list))
			}
		}
		for _, r := range got {
			if !json.Valid(r.Payload) {
				t.Fatalf("%q: %q is no JSON", in, r.Payload)
			}
		}
		if n > 0 && n < len(got) {
			t.Fatalf("%q: %d records of %d", in, len(got), n)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	for i, raw := range raws() {
		b.Run(shapes[i].name, func(b *testing.B) {
			var dst []record.Raw
			for b.Loop() {
				dst = Split(dst[:0], &raw)
			}
		})
	}
}
