package normalise

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestServiceOfTheProtocol takes the protocol's word for the service of a record
// that names none, by no name that a query would find it by.
func TestServiceOfTheProtocol(t *testing.T) {
	n, b := New(), &record.Batch{}
	f := func(want, payload string, attrs ...record.Field) {
		t.Helper()
		raw := record.Raw{Payload: []byte(payload), Attrs: attrs, Service: "batch-job"}
		if err := n.Append(b, &raw, &Options{Source: "test", Now: 1, Class: "app"}); err != nil {
			t.Fatal(err)
		}
		r := b.Record(b.Len() - 1)
		got := ""
		for _, f := range r.Fields {
			if _, _, ok := serviceName.Match(f.Name); ok {
				got += f.Name + "=" + f.Value.Text() + " "
			}
		}
		if got != want {
			t.Errorf("%s %v: %s, want %s", payload, attrs, got, want)
		}
	}
	label := func(name string) record.Field { return record.Field{Name: name, Value: record.StringValue("cart")} }
	for range 2 { // with and without the columns of the batch
		f("service.name=batch-job ", "plain text")
		f("service.name=batch-job ", `{"msg":"hello","app":"web"}`)
		f("service.name=catalog ", `[2022-07-20T09:52:24.955Z] "GET /details/0 HTTP/1.1" 200 - via_upstream - "-" 0 178 2 1 "-" "Mozilla/5.0" "785918d6-06b6-9312-bf77-6d9bd968dc21" "catalog:9080" "10.68.2.10:9080" inbound|9080|| 127.0.0.6:47889 10.68.2.10:9080 10.68.1.7:39696 outbound_.9080_._.catalog.default.svc.cluster.local default`)
		f("service=cart ", `{"msg":"hello","service":"cart"}`)
		f("serviceName=cart ", `{"msg":"hello","serviceName":"cart"}`)
		f("service_name=cart ", "plain text", label("service_name"))
		f("workload=cart ", "plain text", label("workload"))
		f("service.name=cart ", "plain text", label("service.name"))
		f("service.name=batch-job ", "plain text", label("job"))
		b.Reset()
	}
	*b = record.Batch{}
	f("service.name=batch-job ", "plain text")
}

// TestLevelOfTheProtocol does the same for the severity.
func TestLevelOfTheProtocol(t *testing.T) {
	n, b := New(), &record.Batch{}
	f := func(want, payload string, attrs ...record.Field) {
		t.Helper()
		raw := record.Raw{Payload: []byte(payload), Attrs: attrs, Level: "error"}
		if err := n.Append(b, &raw, &Options{Source: "test", Now: 1, Class: "app"}); err != nil {
			t.Fatal(err)
		}
		r := b.Record(b.Len() - 1)
		got := ""
		for _, f := range r.Fields {
			if _, _, ok := levelName.Match(f.Name); ok {
				got += f.Name + "=" + f.Value.Text() + " "
			}
		}
		if got != want {
			t.Errorf("%s %v: %s, want %s", payload, attrs, got, want)
		}
	}
	number := record.Field{Name: "severity_number", Value: record.IntValue(17)}
	f("severity_text=error ", "plain text", number)
	f("level=warn ", `{"msg":"hello","level":"warn"}`, number)
	f("log.level=warn ", `{"msg":"hello"}`, number, record.Field{Name: "log.level", Value: record.StringValue("warn")})
	f("severity_text=error ", "plain text", number)
}
