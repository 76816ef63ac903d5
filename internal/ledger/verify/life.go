package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/ledger"
)

// fate is what became of a segment.
type fate uint8

const (
	live fate = iota
	compacted
	destroyed
)

// partKey names a tenant, class and day.
func partKey(tenant, class, day string) string {
	return strings.Join([]string{tenant, class, day}, "\x00")
}

// ranged is what segments have in common that hold the same records.
type ranged struct {
	records                                  uint64
	minTime, maxTime                         int64
	minIngest, maxIngest                     int64
	firstOrd, lastOrd                        uint64
	journalAfter, journalUpto                uint64
	tenant, class, day, keyID, keyCommitment string
}

func rangeOf(s *ledger.Segment) ranged {
	return ranged{s.Records, s.MinTime, s.MaxTime, s.MinIngest, s.MaxIngest, s.FirstOrd, s.LastOrd, s.JournalAfter, s.JournalUpto,
		s.Tenant, s.Class, s.Day, s.KeyID, s.KeyCommitment}
}

// join widens r by what another segment of the same place holds.
func (r *ranged) join(o ranged) {
	r.records += o.records
	r.minTime, r.maxTime = min(r.minTime, o.minTime), max(r.maxTime, o.maxTime)
	r.minIngest, r.maxIngest = min(r.minIngest, o.minIngest), max(r.maxIngest, o.maxIngest)
	r.firstOrd, r.lastOrd = min(r.firstOrd, o.firstOrd), max(r.lastOrd, o.lastOrd)
	r.journalAfter, r.journalUpto = min(r.journalAfter, o.journalAfter), max(r.journalUpto, o.journalUpto)
}

// expectation is the output that the leaf after a compact leaf must be.
type expectation struct {
	at   place
	id   string
	want ranged
}

// compact takes the inputs of a compaction out of the live segments and says
// what its output must be. Nothing is expected of a leaf that names inputs
// which are not there: that is a finding already.
func (b *book) compact(at place, c ledger.Compact) *expectation {
	e := &expectation{at: at, id: c.Output}
	bad := func(format string, args ...any) *expectation {
		b.find(KindLeaf, at, c.Output, "the compaction into %s "+format, append([]any{c.Output}, args...)...)
		return nil
	}
	if len(c.Inputs) == 0 {
		return bad("has no inputs")
	}
	chosen := map[string]bool{}
	for i, id := range c.Inputs {
		n, known := b.byID[id]
		switch {
		case chosen[id]:
			return bad("names %s twice", id)
		case !known:
			return bad("takes records of %s, which the ledger does not list", id)
		case b.segments[n].fate != live:
			return bad("takes records of %s, which %s", id, b.segments[n].fate)
		}
		chosen[id] = true
		s := rangeOf(&b.segments[n].Segment)
		switch {
		case s.tenant != c.Tenant || s.class != c.Class || s.day != c.Day:
			return bad("of %s/%s/%s takes records of %s, which is of %s/%s/%s", c.Tenant, c.Class, c.Day, id, s.tenant, s.class, s.day)
		case i == 0:
			e.want = s
		case s.keyID != e.want.keyID || s.keyCommitment != e.want.keyCommitment:
			return bad("mixes segments of the keys %s and %s", e.want.keyID, s.keyID)
		default:
			e.want.join(s)
		}
	}
	if c.Records != e.want.records || c.Reencoded > c.Records {
		return bad("says that it has %d records, %d of them encoded anew, but its inputs have %d", c.Records, c.Reencoded, e.want.records)
	}
	for _, n := range b.parts[partKey(c.Tenant, c.Class, c.Day)] {
		s := &b.segments[n].Segment
		if !chosen[s.ID] && b.segments[n].fate == live && s.JournalAfter < e.want.journalUpto && s.JournalUpto > e.want.journalAfter {
			return bad("encloses the journal frames of %s, which is no input", s.ID)
		}
	}
	for id := range chosen {
		b.remove(id, compacted)
	}
	b.rep.Segments.Compacted += len(chosen)
	return e
}

func (f fate) String() string {
	switch f {
	case compacted:
		return "was compacted before"
	case destroyed:
		return "was destroyed before"
	}
	return "is live"
}

// remove ends the life of a segment that is live.
func (b *book) remove(id string, f fate) {
	n := b.byID[id]
	b.segments[n].fate = f
	key := partKey(b.segments[n].Tenant, b.segments[n].Class, b.segments[n].Day)
	b.parts[key] = slices.DeleteFunc(b.parts[key], func(m int) bool { return m == n })
}

// output checks the segment leaf behind a compact leaf.
func (b *book) output(at place, e *expectation, s ledger.Segment) {
	if got := rangeOf(&s); got != e.want {
		b.find(KindLeaf, at, s.ID, "segment %s is the output of a compaction, and has not what its inputs had: %d records of %s/%s/%s from %s to %s, not %d of %s/%s/%s from %s to %s (or other ranges, or another key)",
			s.ID, got.records, got.tenant, got.class, got.day, stamp(got.minTime), stamp(got.maxTime), e.want.records, e.want.tenant, e.want.class, e.want.day, stamp(e.want.minTime), stamp(e.want.maxTime))
	}
}

// certificate is what the book keeps of destructions.
type certificate struct {
	at   place
	what string
}

// destruction takes the segments of a certificate out of the live ones.
func (b *book) destruction(at place, d ledger.Destruction) {
	what := fmt.Sprintf("%s/%s/%s", d.Tenant, d.Class, d.Day)
	bad := func(format string, args ...any) {
		b.find(KindLeaf, at, "", "the destruction of %s "+format, append([]any{what}, args...)...)
	}
	if last := b.cutting; last != nil && (d.Part != last.Part+1 || d.Parts != last.Parts || d.Tenant != last.Tenant || d.Class != last.Class || d.Day != last.Day) || last == nil && d.Part != 1 {
		bad("is part %d of %d, which follows nothing", d.Part, d.Parts)
	}
	b.cutting = nil
	if d.Part < d.Parts {
		b.cutting = &d
	}
	for _, id := range slices.Sorted(maps.Keys(b.holds)) {
		if h := b.holds[id]; h.Covers(d.Tenant, d.Class, d.Day) {
			bad("happened under the legal hold %q", h.ID)
		}
	}
	if d.End > d.At {
		bad("happened at %s, and its retention ends at %s", stamp(d.At), stamp(d.End))
	}
	var records uint64
	var bytes int64
	for _, id := range d.Segments {
		n, known := b.byID[id]
		if !known || b.segments[n].fate != live {
			bad("names segment %s, which is not live", id)
			continue
		}
		s := &b.segments[n]
		if s.Tenant != d.Tenant || s.Class != d.Class || s.Day != d.Day {
			bad("names segment %s, which is of %s/%s/%s", id, s.Tenant, s.Class, s.Day)
			continue
		}
		if !slices.Contains(d.KeyIDs, s.KeyID) && d.Parts == 1 {
			bad("names segment %s, but not its key %s", id, s.KeyID)
		}
		records, bytes = records+s.Records, bytes+s.Size
		b.remove(id, destroyed)
		b.rep.Segments.Destroyed++
		b.gone[d.Tenant] += s.Records
	}
	if records != d.Records || bytes != d.Bytes {
		bad("says %d records in %d bytes, its segments had %d in %d", d.Records, d.Bytes, records, bytes)
	}
	b.rep.Segments.DestroyedRecords += records
	for _, key := range d.KeyIDs {
		b.doomed[key] = certificate{at, what}
	}
	if rest := b.parts[partKey(d.Tenant, d.Class, d.Day)]; d.Part >= d.Parts && len(rest) > 0 {
		bad("leaves %d of its segments, the first is %s", len(rest), b.segments[rest[0]].ID)
	}
}

// key notes a data key that was destroyed. One that no certificate names is
// data made unreadable.
func (b *book) key(at place, k ledger.Key) {
	if k.Action != "destroyed" {
		return
	}
	if _, ok := b.doomed[k.ID]; !ok && !b.shredded[k.ID] {
		b.find(KindLeaf, at, "", "the data key %s of %s/%s/%s was destroyed without a certificate", k.ID, k.Tenant, k.Class, k.Day)
	}
	delete(b.doomed, k.ID)
	b.shredded[k.ID] = true
}

// hold notes a legal hold.
func (b *book) hold(at place, h ledger.Hold) {
	_, placed := b.holds[h.ID]
	switch {
	case h.Action == "placed" && !placed:
		b.holds[h.ID] = h
	case h.Action == "released" && placed:
		delete(b.holds, h.ID)
	default:
		b.find(KindLeaf, at, "", "the legal hold %q is %s, which does not follow what it was before", h.ID, h.Action)
	}
}

// balance holds what is kept and what was destroyed against what was stored,
// and reports certificates whose keys live on.
func (b *book) balance() {
	end := place{file: ledgerDir + "/" + ledger.CheckpointFile, index: b.cp.Size - 1}
	if b.expect != nil {
		b.find(KindLeaf, b.expect.at, b.expect.id, "a compaction without its output, which would be the next leaf")
	}
	if b.cutting != nil {
		b.find(KindLeaf, end, "", "the destruction of %s/%s/%s lacks its last parts", b.cutting.Tenant, b.cutting.Class, b.cutting.Day)
	}
	stored, kept := map[string]uint64{}, map[string]uint64{}
	for key, a := range b.accounts {
		stored[key[0]] += a.Stored
	}
	for i := range b.segments {
		if s := &b.segments[i]; s.fate == live {
			kept[s.Tenant] += s.Records
			b.rep.Segments.Listed++
		}
	}
	for tenant, n := range b.gone {
		kept[tenant] += n
	}
	for _, tenant := range slices.Sorted(maps.Keys(kept)) {
		if kept[tenant] > stored[tenant] {
			b.find(KindAccount, end, "", "tenant %q: segments hold %d records, of which %d were destroyed, but only %d were ever stored", tenant, kept[tenant], b.gone[tenant], stored[tenant])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.doomed)) {
		c := b.doomed[id]
		b.find(KindDestruction, c.at, "", "%s was to be destroyed, and nothing says that its data key %s was; the next start of the server finishes it", c.what, id)
	}
}
