package osm

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzFinish(f *testing.F) {
	f.Add([]byte(`{"level":"info","component":"a","time":"2026-03-01T10:00:00Z","file":"a.go:1","message":"m"}`))
	f.Add([]byte(`{"level":"error","component":"a","time":1,"file":"a.go:x","message":"m"}`))
	x := table.NewIndex(Tables...)
	names := jsonscan.NewNames(func(name string) (uint64, uint64, any) { return 0, 0, x.Meanings(name) })
	f.Fuzz(func(t *testing.T, in []byte) {
		var o jsonscan.Object
		if o.Scan(in, names) != nil {
			return
		}
		for _, found := range x.Find(nil, &o) {
			var b record.Batch
			var cols facts.Columns
			cols.Bind(&b)
			b.Begin(1, "app")
			out := facts.Out{B: &b, Cols: &cols, Now: 1, Format: JSON}
			var s table.Slots
			s.Reset(&o)
			for i := range o.Members {
				if r := x.Rule(found, o.Members[i].Name); r != nil {
					if r.Slot() != 0 {
						s.Set(r.Slot(), &o.Members[i])
					}
					r.Put(&out, &o.Members[i])
				}
			}
			if found.Match(&s) {
				found.Finish(&out, &s)
			}
		}
	})
}
