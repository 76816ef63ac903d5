package comply

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
)

// sourceKey names a source.
type sourceKey struct{ tenant, source string }

func (k sourceKey) compare(o sourceKey) int {
	return cmp.Or(cmp.Compare(k.tenant, o.tenant), cmp.Compare(k.source, o.source))
}

// at is a leaf with the place where it stands.
type at[T any] struct {
	index int64
	leaf  T
}

// history is what the ledger says about a period. Cumulative accounts become
// those of the period by subtraction.
type history struct {
	in     Inputs
	end    int64 // ns, exclusive
	bucket time.Duration

	genesis  ledger.Genesis
	epochs   []int64                     // times of the epochs in the period
	before   int64                       // time of the last epoch at or before From; 0 if none
	newest   int64                       // time of the newest epoch of all
	start    map[sourceKey]ledger.Source // at the start
	last     map[sourceKey]ledger.Source // at the end, or as far as epochs tell
	closed   bool                        // an epoch at or after the end was read
	head     map[sourceKey]ledger.Source // newest of all
	received map[sourceKey][]uint64      // by bucket
	covered  []bool                      // buckets in which an epoch was written

	segments  []ledger.Segment // sealed before end and neither compacted nor destroyed by then
	removed   map[string]bool  // ids compacted or destroyed before end
	keys      []at[ledger.Key] // in the period, as all below
	configs   []at[ledger.Config]
	reports   []at[ledger.Report]
	damages   []at[ledger.Damage]
	gone      []at[ledger.Destruction]
	holds     []at[ledger.Hold]
	policies  []at[ledger.Policy] // that are not the one before
	certified map[string]bool     // keys that a certificate names, of any time
	config    string              // SHA-256 in force when the period began

	parts []ledger.Source // of the epoch being read
}

// The lengths of a bucket. Each is longer than two epochs may be apart, or a
// bucket could hold none.
const (
	fine   = 5 * time.Minute // up to shortPeriod
	hourly = time.Hour
	daily  = 24 * time.Hour // beyond longPeriod

	shortPeriod = 3 * time.Hour
	longPeriod  = 14 * 24 * time.Hour
)

func readHistory(in Inputs, end time.Time, size int64) (*history, error) {
	h := &history{in: in, end: end.UnixNano(), bucket: hourly,
		start: map[sourceKey]ledger.Source{}, last: map[sourceKey]ledger.Source{}, head: map[sourceKey]ledger.Source{},
		received: map[sourceKey][]uint64{}, removed: map[string]bool{}, certified: map[string]bool{}}
	switch length := in.To.Sub(in.From); {
	case length <= shortPeriod:
		h.bucket = fine
	case length > longPeriod:
		h.bucket = daily
	}
	h.covered = make([]bool, (in.To.Sub(in.From)+h.bucket-1)/h.bucket)
	err := in.Ledger.Entries(0, size, func(i int64, data []byte) error {
		leaf, err := ledger.Decode(data)
		if err != nil {
			return err
		}
		h.take(i, leaf)
		return nil
	})
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "read the history: %w", err)
	}
	h.segments = slices.DeleteFunc(h.segments, func(s ledger.Segment) bool { return h.removed[s.ID] })
	return h, nil
}

// remove takes segments out of what was kept at the end of the period.
func (h *history) remove(ids []string, ns int64) {
	if ns >= h.end {
		return
	}
	for _, id := range ids {
		h.removed[id] = true
	}
}

// within reports whether a time lies in the part of the period that is over.
func (h *history) within(ns int64) bool { return h.in.From.UnixNano() <= ns && ns < h.end }

func (h *history) ours(tenant string) bool { return h.in.Tenant == "" || h.in.Tenant == tenant }

func (h *history) take(i int64, leaf ledger.Leaf) {
	switch v := leaf.Value.(type) {
	case ledger.Genesis:
		h.genesis = v
	case ledger.Epoch:
		h.parts = append(h.parts, v.Sources...)
		if v.Part >= v.Parts {
			h.epoch(v.At, h.parts)
			h.parts = nil
		}
	case ledger.Segment:
		if v.SealedAt < h.end && h.ours(v.Tenant) {
			h.segments = append(h.segments, v)
		}
	case ledger.Key:
		h.keys = keep(h, h.keys, i, v, v.At, h.ours(v.Tenant))
	case ledger.Config:
		if v.At < h.in.From.UnixNano() {
			h.config = v.SHA256
		}
		h.configs = keep(h, h.configs, i, v, v.At, true)
	case ledger.Policy:
		if v.SHA256 != v.Was {
			h.policies = keep(h, h.policies, i, v, v.At, true)
		}
	case ledger.Report:
		h.reports = keep(h, h.reports, i, v, v.At, true)
	case ledger.Damage:
		h.damages = keep(h, h.damages, i, v, v.At, true)
	case ledger.Compact:
		h.remove(v.Inputs, v.At)
	case ledger.Destruction:
		h.remove(v.Segments, v.At)
		for _, id := range v.KeyIDs {
			h.certified[id] = true
		}
		h.gone = keep(h, h.gone, i, v, v.At, h.ours(v.Tenant))
	case ledger.Hold:
		h.holds = keep(h, h.holds, i, v, v.At, v.Tenant == "" || h.ours(v.Tenant))
	}
}

func keep[T any](h *history, list []at[T], i int64, leaf T, ns int64, ours bool) []at[T] {
	if ours && h.within(ns) {
		list = append(list, at[T]{i, leaf})
	}
	return list
}

// epoch takes in the accounts of all sources at one time. The account at either
// end of the period is that of the first epoch at or after it, so that periods
// which follow one another share their boundary.
func (h *history) epoch(ns int64, sources []ledger.Source) {
	from, inside := h.in.From.UnixNano(), h.within(ns)
	bucket := -1 // in which what came since the last epoch is counted
	switch {
	case ns < from:
		h.before = ns
	case h.closed:
	case inside:
		bucket = int((ns - from) / int64(h.bucket))
		h.covered[bucket] = true
		if len(h.epochs) == 0 && h.begins() {
			bucket = -1 // the boundary: what came before it belongs to the period before
		}
		h.epochs = append(h.epochs, ns)
	default:
		bucket = int((h.end - 1 - from) / int64(h.bucket))
	}
	opens := ns < from || inside && len(h.epochs) == 1 && h.begins()
	for _, s := range sources {
		if !h.ours(s.Tenant) {
			continue
		}
		key := sourceKey{s.Tenant, s.Source}
		if bucket >= 0 {
			if h.received[key] == nil {
				h.received[key] = make([]uint64, len(h.covered))
			}
			if was := h.head[key].Received; s.Received > was {
				h.received[key][bucket] += s.Received - was
			}
		}
		h.head[key] = s
		if opens {
			h.start[key] = s
		}
		if !h.closed {
			h.last[key] = s
		}
	}
	h.newest = ns
	h.closed = h.closed || ns >= h.end
}

// accounts returns what became of the records of each source in the period.
func (h *history) accounts() []Account {
	final := maps.Clone(h.last)
	live := map[sourceKey]uint64{} // received since the newest epoch
	if !h.closed {
		for _, s := range h.in.Live {
			if key := (sourceKey{s.Tenant, s.Source}); h.ours(s.Tenant) {
				final[key] = s
				if was := h.head[key].Received; s.Received > was {
					live[key] = s.Received - was
				}
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(final), sourceKey.compare)
	out := make([]Account, 0, len(keys))
	for _, key := range keys {
		a := h.account(key, h.start[key], final[key])
		a.Unanchored = live[key]
		out = append(out, a)
	}
	return out
}

func (h *history) account(key sourceKey, from, to ledger.Source) Account {
	a := Account{Tenant: key.tenant, Source: key.source,
		Received: to.Received - from.Received, Stored: to.Stored - from.Stored, Deduplicated: to.Deduplicated - from.Deduplicated,
		Rejected: minus(to.Rejected, from.Rejected), Dropped: minus(to.Dropped, from.Dropped),
		FirstSeen: stampNs(to.FirstSeen), LastSeen: stampNs(to.LastSeen)}
	a.Difference = int64(a.Received - a.Stored - sum(a.Rejected) - sum(a.Dropped) - a.Deduplicated)
	a.Timeline = h.timeline(key, to.FirstSeen)
	a.Silent = gaps(a.Timeline, h.bucket)
	return a
}

// timeline cuts the period into buckets.
func (h *history) timeline(key sourceKey, firstSeen int64) []Bucket {
	out := make([]Bucket, len(h.covered))
	for i := range out {
		from := h.in.From.Add(time.Duration(i) * h.bucket)
		out[i] = Bucket{From: stamp(from), State: Unknown}
		if counts := h.received[key]; counts != nil {
			out[i].Received = counts[i]
		}
		switch {
		case out[i].Received > 0:
			out[i].State = Data
		case from.Add(h.bucket).UnixNano() <= firstSeen:
			out[i].State = Before
		case h.covered[i]:
			out[i].State = Silence
		}
	}
	return out
}

// gaps joins silent buckets.
func gaps(line []Bucket, length time.Duration) []Gap {
	out := []Gap{}
	for i := 0; i < len(line); i++ {
		if line[i].State != Silence {
			continue
		}
		n := 1
		for i+n < len(line) && line[i+n].State == Silence {
			n++
		}
		from, _ := time.Parse(time.RFC3339Nano, line[i].From)
		out = append(out, Gap{From: line[i].From, To: stamp(from.Add(time.Duration(n) * length)), Buckets: n})
		i += n - 1
	}
	return out
}

// outages returns the stretches of the period in which no epoch was written for
// longer than is allowed, from the birth of the history on.
func (h *history) outages() []Gap {
	out := []Gap{}
	last := max(h.in.From.UnixNano(), h.genesis.At)
	if h.before > 0 {
		last = max(h.before, last-int64(h.in.EpochEvery))
	}
	for _, ns := range append(slices.Clone(h.epochs), h.end) {
		if ns-last > int64(h.in.EpochEvery) {
			out = append(out, Gap{From: stampNs(max(last, h.in.From.UnixNano())), To: stampNs(ns)})
		}
		last = ns
	}
	return out
}

// begins reports whether the history covers the period from its start.
func (h *history) begins() bool { return h.genesis.At <= h.in.From.UnixNano() }

func minus(a, b []ledger.Count) []ledger.Count {
	was := map[string]uint64{}
	for _, c := range b {
		was[c.Name] = c.N
	}
	out := []ledger.Count{}
	for _, c := range a {
		if n := c.N - was[c.Name]; n != 0 {
			out = append(out, ledger.Count{Name: c.Name, N: n})
		}
	}
	slices.SortFunc(out, func(a, b ledger.Count) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func sum(counts []ledger.Count) (n uint64) {
	for _, c := range counts {
		n += c.N
	}
	return n
}
