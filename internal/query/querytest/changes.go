package querytest

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/store"
)

// LastChange implements store.Reader: the number of a change is that of the batch.
func (s *Store) LastChange(of store.Extent) (last, now uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.records[of.Tenant] {
		r := &s.records[of.Tenant][i]
		if r.Time < of.From || r.Time >= of.To || of.Classes != nil && !slices.Contains(of.Classes, r.Class) {
			continue
		}
		if of.Without == "" || r.Class != of.Without {
			last = max(last, r.Ord>>20)
		}
	}
	return last, s.next
}
