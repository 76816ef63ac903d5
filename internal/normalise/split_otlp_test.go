package normalise

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

func TestSplitOTLP(t *testing.T) {
	in := `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}},{"key":"n","value":{"intValue":"7"}}]},"scopeLogs":[{"scope":{"name":"lib"},"logRecords":[` +
		`{"timeUnixNano":"1700000000000000000","severityNumber":13,"severityText":"WARN","body":{"stringValue":"type=BPF msg=audit(1734636080.974:4487): prog-id=2292 op=LOAD"},"traceId":"5B8aa5a2d2c872e8321cf37308d69df2","spanId":"0000000000000000"},` +
		`{"observedTimeUnixNano":"1700000001000000000","body":{"kvlistValue":{"values":[{"key":"msg","value":{"stringValue":"a\"b"}},{"key":"l","value":{"arrayValue":{"values":[{"intValue":1},{"boolValue":true},{}]}}}]}}}]}]}]}`
	raws := Split(nil, &record.Raw{Payload: []byte(in)})
	if len(raws) != 2 {
		t.Fatalf("%d records", len(raws))
	}
	n := New()
	var b record.Batch
	for i := range raws {
		if err := n.Append(&b, &raws[i], &Options{Now: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []map[string]string{
		{"service.name": "pay", "n": "7", "otel.scope.name": "lib", "severity_text": "WARN", "severity_number": "13", "trace_id": "5b8aa5a2d2c872e8321cf37308d69df2", "span_id": "", "event.action": "LOAD", "parse.format": "auditd"},
		{"service.name": "pay", "body": `a"b`, "l": "[1,true,null]", "parse.format": "json"},
	} {
		r := b.Record(i)
		for name, v := range want {
			if got, _ := r.Get(name); got.Text() != v && !(v == "" && got.Kind == 0) {
				t.Errorf("record %d: %s is %q, want %q", i, name, got.Text(), v)
			}
		}
	}
	if raws[0].Time != 1700000000000000000 || raws[1].Time != 1700000001000000000 {
		t.Errorf("times %d %d", raws[0].Time, raws[1].Time)
	}
	for _, whole := range []string{`{"resourceLogs":[{"more":1}]}`, `{"resourceLogs":[]}`, `{"resourceLogs":7,"a":1}`, `{"resourceLogs":[],"a":{"b":1}}`, `{"resourceLogs":`} {
		if got := Split(nil, &record.Raw{Payload: []byte(whole)}); len(got) != 0 {
			t.Errorf("%s is split into %d", whole, len(got))
		}
	}
}
