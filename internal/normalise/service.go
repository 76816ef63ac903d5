package normalise

import (
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// services remembers which columns of the batch that is being written answer to
// the name of the service, whatever the sender called it.
type services struct {
	b      *record.Batch
	layout uint64
	seen   int // columns of b that were looked at
	cols   []*record.Column
}

var serviceName = schema.Resolve("service_name")

// bind makes b the batch that is asked about.
func (s *services) bind(b *record.Batch) {
	if l := b.Layout(); s.b != b || s.layout != l {
		*s = services{b: b, layout: l, cols: s.cols[:0]}
	}
}

// named reports whether the open record names its service.
func (s *services) named() bool {
	all := s.b.Columns()
	for _, c := range all[s.seen:] {
		if _, _, ok := serviceName.Match(c.Name); ok {
			s.cols = append(s.cols, c)
		}
	}
	s.seen = len(all)
	for _, c := range s.cols {
		if s.b.Holds(c) {
			return true
		}
	}
	return false
}
