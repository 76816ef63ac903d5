package kuma

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"2021-09-29T08:49:31.149Z\tINFO\tkuma-cp.run\tstarting\t{\"a\": 1, \"mesh\": \"x\"}", "2021-09-29T08:49:31.149Z        INFO    kuma-dp.run     a b     {\"a\": {\"b\":[1]}}",
		"2021-09-29T08:49:31.149+0800\tERROR\tkds.a\tm\t{", "2021-09-29T08:49:31.149Z INFO plugins.authn.api-server.tokens x", "2021-09-29T08:49:31.149Z\tINFO\t",
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
