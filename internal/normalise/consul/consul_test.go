package consul

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	for _, s := range []string{
		`2023-11-13T20:26:03.572Z [DEBUG] consul-dataplane.server-connection-manager: Resolved DNS name: name=a.b ip-addrs=["{10.108.169.129 }"]`,
		`    2021-01-23T23:27:20.602Z [ERROR] agent.http: Request error: method=GET url=/v1/a?b=c from=127.0.0.1:42968 error="ACL not \"found\""`,
		"2021-01-23T23:27:20.602+0100 [WARN]  agent/a.go:7: agent: x:\n  k=\n  | v", "2021-01-23T23:27:20Z [INFO] ", "2021-01-23T23:27:20Z [",
	} {
		f.Add([]byte(s), "")
	}
	var l Line
	f.Fuzz(func(t *testing.T, line []byte, declared string) {
		if len(line) == 0 {
			return
		}
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := facts.Out{B: &b, Cols: &cols, Now: 1, Declared: declared}
		if l.Text(line, &o) != (o.Format != "") {
			t.Fatalf("%q: format %q", line, o.Format)
		}
	})
}
