package normalise

import (
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// What the protocol knows of a record is written when no field of it answers to
// these names, whatever the sender called it.
var (
	serviceName = schema.Resolve("service_name")
	levelName   = schema.Resolve("detected_level")
)

// answering remembers which columns of the batch that is being written answer to
// a name. The zero answering is ready to use, for one name.
type answering struct {
	b      *record.Batch
	layout uint64
	seen   int // columns of b that were looked at
	cols   []*record.Column
}

// named reports whether the open record of b has a field that answers to name.
func (a *answering) named(b *record.Batch, name *schema.Resolution) bool {
	if l := b.Layout(); a.b != b || a.layout != l {
		*a = answering{b: b, layout: l, cols: a.cols[:0]}
	}
	all := b.Columns()
	for _, c := range all[a.seen:] {
		if _, _, ok := name.Match(c.Name); ok {
			a.cols = append(a.cols, c)
		}
	}
	a.seen = len(all)
	for _, c := range a.cols {
		if b.Holds(c) {
			return true
		}
	}
	return false
}
