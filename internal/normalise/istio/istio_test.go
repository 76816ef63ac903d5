package istio

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"2026-03-01T10:00:00.820192Z\tinfo\taccess\tconnection complete\tsrc.addr=10.244.0.5:45896 src.workload=\"a-7656cf8794-r7zb9\" dst.hbone_addr=a:1 error=\"connection closed due to policy rejection: explicitly denied by: a/b\\\"\"",
		"2026-03-01T10:00:00.820192Z\tdebug\tenvoy rbac a/b.cc:1\tshadow denied, matched policy ns[a]-policy[b]-rule[0]\tthread=30",
		"2026-03-01T10:00:00.820192Z debug envoy rbac enforced denied", "2026-03-01T10:00:00.820192Z  info  a  b=c", "2026-03-01T10:00:00.820192Z\tinfo\t\t\t",
		"2026-03-01T10:00:00.820192Z\twarn\ta::b:c{d=e}\ta.go:7\tmsg\tk=v",
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
