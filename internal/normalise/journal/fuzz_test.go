package journal

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	f.Add([]byte("__CURSOR=s=a;i=1\n__REALTIME_TIMESTAMP=1729698775704404\nPRIORITY=3\nSYSLOG_FACILITY=4\n_PID=7\nMESSAGE=a\n"))
	f.Add([]byte("_CMDLINE=python3\nMESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00a\n"))
	f.Add([]byte("[72,101,255]"))
	var l Line
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 {
			return
		}
		bytesOf(nil, line)
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := facts.Out{B: &b, Cols: &cols, Now: 1}
		if l.Text(line, &o) != (o.Format != "") {
			t.Fatalf("%q: format %q", line, o.Format)
		}
	})
}
