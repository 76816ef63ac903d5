package store

import (
	"cmp"
	"slices"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
)

// totals is the account of every source since the history began.
type totals map[sourceKey]*account

type sourceKey struct {
	tenant record.TenantID
	source string
}

type account struct {
	received, stored, deduplicated uint64
	rejected, dropped              map[string]uint64
	first, last                    int64
}

func sum(list []record.Count) (n uint64) {
	for _, c := range list {
		n += c.N
	}
	return n
}

// add counts a batch of which stored or deduplicated records count as such. The
// received records are counted from what became of them, so that the account
// is in balance whatever the batch says of itself.
func (t totals) add(b *record.Batch, stored, deduplicated uint64) {
	k := sourceKey{b.Tenant, b.Source}
	a := t[k]
	if a == nil {
		a = &account{rejected: map[string]uint64{}, dropped: map[string]uint64{}, first: b.Ingest, last: b.Ingest}
		t[k] = a
	}
	deduplicated += b.Account.Deduplicated
	a.stored += stored
	a.deduplicated += deduplicated
	a.received += stored + deduplicated + sum(b.Account.Rejected) + sum(b.Account.Dropped)
	for _, c := range b.Account.Rejected {
		addCount(a.rejected, c)
	}
	for _, c := range b.Account.Dropped {
		addCount(a.dropped, c)
	}
	a.first, a.last = min(a.first, b.Ingest), max(a.last, b.Ingest)
}

// Limits of the names that one account tells apart, so that it always fits into
// a leaf of the ledger. The rest is counted under otherName.
const (
	maxNames  = 64
	maxName   = 64
	otherName = "other"
)

func addCount(m map[string]uint64, c record.Count) {
	name := c.Name
	if _, ok := m[name]; !ok && (len(m) >= maxNames || len(name) > maxName) {
		name = otherName
	}
	m[name] += c.N
}

func compareKeys(a, b sourceKey) int {
	return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.source, b.source))
}

func (t totals) keys() []sourceKey {
	keys := make([]sourceKey, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func (t totals) list() []SourceTotals {
	out := make([]SourceTotals, 0, len(t))
	for _, k := range t.keys() {
		a := t[k]
		out = append(out, SourceTotals{
			Tenant: k.tenant, Source: k.source, Received: a.received, Stored: a.stored,
			Rejected: countsOf[record.Count](a.rejected), Dropped: countsOf[record.Count](a.dropped),
			Deduplicated: a.deduplicated, FirstSeen: a.first, LastSeen: a.last,
		})
	}
	return out
}

func (t totals) leaf() []ledger.Source {
	out := make([]ledger.Source, 0, len(t))
	for _, k := range t.keys() {
		a := t[k]
		out = append(out, ledger.Source{
			Tenant: string(k.tenant), Source: k.source, Received: a.received, Stored: a.stored,
			Rejected: countsOf[ledger.Count](a.rejected), Dropped: countsOf[ledger.Count](a.dropped),
			Deduplicated: a.deduplicated, FirstSeen: a.first, LastSeen: a.last,
		})
	}
	return out
}

func countsOf[C record.Count | ledger.Count](m map[string]uint64) []C {
	var out []C
	for name, n := range m {
		if n > 0 {
			out = append(out, C{Name: name, N: n})
		}
	}
	slices.SortFunc(out, func(a, b C) int { return cmp.Compare(record.Count(a).Name, record.Count(b).Name) })
	return out
}

// totalsOf continues from the newest epoch.
func totalsOf(sources []ledger.Source) totals {
	t := make(totals, len(sources))
	for i := range sources {
		s := &sources[i]
		a := &account{
			received: s.Received, stored: s.Stored, deduplicated: s.Deduplicated,
			rejected: map[string]uint64{}, dropped: map[string]uint64{}, first: s.FirstSeen, last: s.LastSeen,
		}
		for _, c := range s.Rejected {
			a.rejected[c.Name] = c.N
		}
		for _, c := range s.Dropped {
			a.dropped[c.Name] = c.N
		}
		t[sourceKey{record.TenantID(s.Tenant), s.Source}] = a
	}
	return t
}
