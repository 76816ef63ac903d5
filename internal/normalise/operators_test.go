package normalise

import (
	"reflect"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

func attributes(pairs ...string) (out []record.Field) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, record.Field{Name: pairs[i], Value: record.StringValue(pairs[i+1])})
	}
	return out
}

// istioAttributes are those of Istio's default JSON layout, as Envoy's
// OpenTelemetry access logger sends them when they are configured as attributes:
// text, and - for what there is not.
var istioAttributes = attributes(
	"authority", "cart.shop:8080", "bytes_received", "0", "bytes_sent", "30211", "connection_termination_details", "-",
	"downstream_local_address", "10.1.2.3:8080", "downstream_remote_address", "10.1.2.4:41231", "duration", "12", "method", "GET",
	"path", "/api/v1/cart?x=1", "protocol", "HTTP/1.1", "request_id", "0f8fad5b-d9cb-469f-a165-708677212345",
	"requested_server_name", "outbound_.8080_._.cart.shop.svc.cluster.local", "response_code", "200", "response_code_details", "via_upstream",
	"response_flags", "-", "route_name", "default", "upstream_cluster", "inbound|8080||", "upstream_host", "10.1.2.3:8080",
	"upstream_service_time", "11", "user_agent", "okhttp/4.12.0", "x_forwarded_for", "-")

func TestOperatorsAsAttributes(t *testing.T) {
	opt := &Options{Now: 1, Class: "app"}
	object := `{"authority":"cart.shop:8080","bytes_received":"0","bytes_sent":"30211","connection_termination_details":"-","downstream_local_address":"10.1.2.3:8080","downstream_remote_address":"10.1.2.4:41231","duration":"12","method":"GET","path":"/api/v1/cart?x=1","protocol":"HTTP/1.1","request_id":"0f8fad5b-d9cb-469f-a165-708677212345","requested_server_name":"outbound_.8080_._.cart.shop.svc.cluster.local","response_code":"200","response_code_details":"via_upstream","response_flags":"-","route_name":"default","upstream_cluster":"inbound|8080||","upstream_host":"10.1.2.3:8080","upstream_service_time":"11","user_agent":"okhttp/4.12.0","x_forwarded_for":"-"}`
	resource := attributes("service.name", "cart", "log_name", "otel")
	_, want := alone(&record.Raw{Payload: []byte(object), JSON: true, Time: 5, Attrs: resource}, opt)
	_, got := alone(&record.Raw{Time: 5, Attrs: append(resource, istioAttributes...)}, opt)
	if !reflect.DeepEqual(byName(got), byName(want)) {
		t.Errorf("\n got %v\nwant %v", byName(got), byName(want))
	}
	fields := map[string]record.Value{}
	for _, f := range got.Fields {
		fields[f.Name] = f.Value
	}
	for name, v := range map[string]record.Value{
		"http.response.status_code": record.IntValue(200), "mesh.duration_ns": record.IntValue(12e6), "url.path": record.StringValue("/api/v1/cart"),
		"mesh.type": record.StringValue("istio"), "service.name": record.StringValue("cart"), "log_name": record.StringValue("otel"),
	} {
		if fields[name] != v {
			t.Errorf("%s is %v, want %v", name, fields[name], v)
		}
	}
	for _, name := range []string{"response_code", "duration", "response_flags", "body"} {
		if v, ok := fields[name]; ok {
			t.Errorf("%s is there: %v", name, v)
		}
	}
	experienced(t, New(), &record.Batch{}, &record.Raw{Time: 5, Attrs: istioAttributes}, opt)
}

// TestAttributesThatAreNoOperators: what only has some of the names stays as it is.
func TestAttributesThatAreNoOperators(t *testing.T) {
	app := attributes("method", "GET", "path", "/a", "duration", "12", "user_agent", "x", "protocol", "p", "request_id", "r")
	broken := append(attributes("upstream_host", "\xff"), istioAttributes...)
	for name, c := range map[string]struct {
		raw  record.Raw
		opt  Options
		keep string
	}{
		"an application's":      {record.Raw{Attrs: app}, Options{}, "method"},
		"a record with a body":  {record.Raw{Attrs: istioAttributes, Payload: []byte("text")}, Options{}, "method"},
		"a span":                {record.Raw{Attrs: istioAttributes}, Options{Kind: "span"}, "method"},
		"what is no UTF-8":      {record.Raw{Attrs: broken}, Options{}, "method"},
		"nothing of the kind":   {record.Raw{Attrs: attributes("a", "b")}, Options{}, "a"},
		"an application's, too": {record.Raw{Attrs: app[:2]}, Options{Platform: "envoy"}, "method"},
	} {
		c.opt.Now, c.opt.Class = 1, "app"
		_, got := alone(&c.raw, &c.opt)
		kept := false
		for _, f := range got.Fields {
			kept = kept || f.Name == c.keep
		}
		if !kept {
			t.Errorf("%s: no field %s in %v", name, c.keep, got.Fields)
		}
	}
	if _, got := alone(&record.Raw{Attrs: app}, &Options{Now: 1, Class: "app", Platform: "envoy"}); len(got.Fields) == 0 || got.Fields[0].Name == "method" {
		t.Errorf("declared, it is Envoy's: %v", got.Fields)
	}
}
