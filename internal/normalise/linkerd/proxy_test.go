package linkerd

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzProxyLog(f *testing.F) {
	for _, s := range []string{
		`[  3002.281434s]  INFO ThreadId(01) inbound:server{port=16686}: linkerd_app_inbound::policy::http: Request denied server.kind=server server.name=a client.tls=Some(Established { client_id: Some(ClientId(Dns(Name("a.b")))) }) client.ip=1.1.1.1`,
		`[     1.000000s] DEBUG a{b=c}`, `[     1.000000s] INFO x: y: error="a\"b" k=v`, `2026-03-01T10:00:00Z  INFO linkerd_a: b`,
		`[{"name":"inbound"},{"port":16686,"name":"server"}]`, `[     1.000000s]  INFO ThreadId(01) a:b{c="}"}: d::e: unauthorized connection on`,
	} {
		f.Add([]byte(s))
	}
	var l ProxyLog
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 {
			return
		}
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := facts.Out{B: &b, Cols: &cols, Now: 1}
		if l.Text(line, &o) != (o.Format != "") {
			t.Fatalf("%q: format %q", line, o.Format)
		}
		var e event
		e.list(line)
	})
}
