package store

import (
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// A sieve lets go of hits that do not matter (ScanRequest.Keep) before all of
// their fields are read. While it keeps most of what it is given it is not worth
// its while, and looks only now and then.
type sieve struct {
	keep func(*record.Record) (bool, error)
	want filter.Fields
	most int // hits to look at next
	idle int // hits to let through unseen
}

// How many hits a sieve takes at a time: few at first, as they may be enough.
const (
	fewSifted  = firstRows
	manySifted = 8 * emitRows
)

func newSieve(req *ScanRequest) *sieve {
	names := req.KeepFields
	if names == nil {
		names = []string{}
	}
	return &sieve{keep: req.Keep, want: filter.FieldsOf(names), most: fewSifted}
}

// sift returns the hits that matter, in their order and the memory of hits.
func (e *emitter) sift(hits []hit) ([]hit, error) {
	s := e.sieve
	s.most = min(2*s.most, manySifted)
	if s.idle > 0 {
		s.idle -= len(hits)
		return hits, nil
	}
	kept := hits[:0]
	looked := len(hits)
	for len(hits) > 0 {
		n := min(len(hits), emitRows)
		out, _, err := e.fill(hits[:n], s.want)
		for err == errLarge {
			n = max(1, n/8)
			out, _, err = e.fill(hits[:n], s.want)
		}
		if err != nil {
			return nil, err
		}
		for i := range out {
			if out[i].Ord == lostOrd {
				continue
			}
			ok, err := s.keep(&out[i])
			if err != nil {
				return nil, err
			}
			if ok {
				kept = append(kept, hits[i])
			}
		}
		hits = hits[n:]
	}
	if 2*len(kept) > looked {
		s.idle = 8 * looked
	}
	return kept, nil
}
