package verify

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/ledger"
)

// place is where a leaf stands.
type place struct {
	index  int64
	file   string
	offset int64
	length int64
}

// listed is a segment leaf and where it stands.
type listed struct {
	ledger.Segment
	at   place
	fate fate
}

// book is what the leaves say, read in order, and what contradicts it.
type book struct {
	rep    *Report
	cp     ledger.Checkpoint
	types  map[string]int64
	unread map[string]int64 // what this version does not know, and how often

	segments []listed
	byPath   map[string]int // places in segments
	byID     map[string]int
	parts    map[string][]int          // places of live segments by tenant, class and day
	ranges   map[string]ledger.Segment // newest sealed one by tenant, class and day
	sealed   uint64                    // journal seq up to which records are in segments

	expect   *expectation           // the leaf that must come next
	cutting  *ledger.Destruction    // of which parts are missing
	doomed   map[string]certificate // keys that a certificate names and that no key leaf says are destroyed
	shredded map[string]bool        // keys that one says are
	gone     map[string]uint64      // destroyed records by tenant
	holds    map[string]ledger.Hold // by id
	tokens   ledger.Tokens          // newest

	accounts map[[2]string]ledger.Source
	epoch    ledger.Epoch       // newest, or the parts of it so far
	seen     map[[2]string]bool // sources of the newest epoch
	epochs   int
	open     bool // parts are missing
}

func newBook(rep *Report, cp ledger.Checkpoint) *book {
	return &book{rep: rep, cp: cp, types: map[string]int64{}, unread: map[string]int64{},
		byPath: map[string]int{}, byID: map[string]int{}, parts: map[string][]int{}, ranges: map[string]ledger.Segment{},
		doomed: map[string]certificate{}, shredded: map[string]bool{}, gone: map[string]uint64{}, holds: map[string]ledger.Hold{},
		accounts: map[[2]string]ledger.Source{}, seen: map[[2]string]bool{}}
}

func (b *book) find(kind string, at place, segment, format string, args ...any) {
	b.rep.add(Finding{Kind: kind, File: at.file, Offset: at.offset, Length: at.length, Segment: segment,
		Detail: fmt.Sprintf("leaf %d: ", at.index) + fmt.Sprintf(format, args...)})
}

// leaf takes in one leaf that is under the checkpoint.
func (b *book) leaf(at place, data []byte) {
	l, err := ledger.Decode(data)
	if err != nil {
		b.find(KindLeaf, at, "", "%v", err)
		return
	}
	b.types[l.Type]++
	if l.Value == nil {
		b.unread["leaf type "+l.Type]++
	}
	for _, name := range l.Unknown {
		b.unread["member "+name+" of "+l.Type+" leaves"]++
	}
	if (at.index == 0) != (l.Type == ledger.TypeGenesis) {
		b.find(KindGenesis, at, "", "a %s leaf; the genesis is leaf 0 and no other", l.Type)
	}
	if b.open && l.Type != ledger.TypeEpoch {
		b.find(KindEpoch, at, "", "a %s leaf between the parts of an epoch", l.Type)
		b.open = false
	}
	expect := b.expect
	b.expect = nil
	s, isSegment := l.Value.(ledger.Segment)
	if expect != nil && (!isSegment || s.ID != expect.id) {
		b.find(KindLeaf, at, expect.id, "a %s leaf behind the compaction into %s, whose segment leaf must stand here", l.Type, expect.id)
		expect = nil
	}
	if _, ok := l.Value.(ledger.Destruction); b.cutting != nil && !ok {
		b.find(KindLeaf, at, "", "a %s leaf between the parts of a destruction", l.Type)
		b.cutting = nil
	}
	switch v := l.Value.(type) {
	case ledger.Genesis:
		if v.Origin != b.cp.Origin {
			b.find(KindGenesis, at, "", "the genesis of %q under a checkpoint of %q", v.Origin, b.cp.Origin)
		}
	case ledger.Segment:
		b.segment(at, v, expect)
	case ledger.Epoch:
		b.takeEpoch(at, v)
	case ledger.Damage:
		b.find(KindDamage, at, "", "the server found damage in %s at byte %d and moved it to %q: %s", v.File, v.Offset, v.Moved, v.Detail)
	case ledger.Key:
		b.key(at, v)
	case ledger.Compact:
		b.expect = b.compact(at, v)
	case ledger.Destruction:
		b.destruction(at, v)
	case ledger.Hold:
		b.hold(at, v)
	case ledger.Tokens:
		if v.Seq < b.tokens.Seq {
			b.find(KindLeaf, at, "", "the token vault reaches to frame %d, and reached to %d before", v.Seq, b.tokens.Seq)
		}
		b.tokens = v
	}
}

// segment notes a segment: the output of a compaction, or a sealed one. Sealed
// segments of one tenant, class and day take their records from ranges of the
// journal that follow one another; those of one seal share a range.
func (b *book) segment(at place, s ledger.Segment, e *expectation) {
	_, path := b.byPath[s.Path]
	_, id := b.byID[s.ID]
	switch {
	case !fs.ValidPath(s.Path) || !strings.HasPrefix(s.Path, segmentsDir+"/"):
		b.find(KindLeaf, at, s.ID, "segment %s has the path %q outside the segments", s.ID, s.Path)
		return
	case path || id:
		b.find(KindLeaf, at, s.ID, "segment %s at %s is listed twice", s.ID, s.Path)
		return
	case s.JournalAfter > s.JournalUpto:
		b.find(KindLeaf, at, s.ID, "segment %s claims journal frames %d to %d", s.ID, s.JournalAfter+1, s.JournalUpto)
	}
	key := partKey(s.Tenant, s.Class, s.Day)
	b.byPath[s.Path], b.byID[s.ID] = len(b.segments), len(b.segments)
	b.parts[key] = append(b.parts[key], len(b.segments))
	b.segments = append(b.segments, listed{Segment: s, at: at})
	if _, doomed := b.doomed[s.KeyID]; doomed || b.shredded[s.KeyID] {
		b.find(KindLeaf, at, s.ID, "segment %s is under the data key %s, which was destroyed before", s.ID, s.KeyID)
	}
	if e != nil {
		b.output(at, e, s)
		return
	}
	last, again := b.ranges[key]
	same := s.JournalAfter == last.JournalAfter && s.JournalUpto == last.JournalUpto
	if again && !same && s.JournalAfter < last.JournalUpto {
		b.find(KindLeaf, at, s.ID, "segment %s claims journal frames from %d on, but %s has them up to %d", s.ID, s.JournalAfter+1, last.ID, last.JournalUpto)
	}
	b.ranges[key] = s
	b.sealed = max(b.sealed, s.JournalUpto)
}

// clockStep is how far a clock may be set back without it being a finding:
// machines resume, and clocks are corrected. The order of leaves is not that of
// clocks.
const clockStep = 5 * time.Minute

// takeEpoch checks that an epoch follows the one before: time and journal
// ascend, no source disappears, no number shrinks, and every account adds up.
func (b *book) takeEpoch(at place, e ledger.Epoch) {
	last := b.epoch
	first := e.Part <= 1
	switch {
	case b.open && (e.Part != last.Part+1 || e.Parts != last.Parts || e.At != last.At || e.JournalSeq != last.JournalSeq):
		b.find(KindEpoch, at, "", "part %d of %d does not follow part %d of %d", e.Part, e.Parts, last.Part, last.Parts)
	case !b.open && !first:
		b.find(KindEpoch, at, "", "part %d of %d without the parts before it", e.Part, e.Parts)
	case !b.open && b.epochs > 0 && e.At < last.At-int64(clockStep):
		b.find(KindEpoch, at, "", "written at %s, before the epoch before it at %s", stamp(e.At), stamp(last.At))
	case !b.open && b.epochs > 0 && e.JournalSeq < last.JournalSeq:
		b.find(KindEpoch, at, "", "the journal went back from frame %d to %d", last.JournalSeq, e.JournalSeq)
	case !b.open && b.epochs > 0 && e.JournalSeq == last.JournalSeq && e.JournalHash != last.JournalHash:
		b.find(KindEpoch, at, "", "journal frame %d has another chain value than in the epoch before", e.JournalSeq)
	}
	if !b.open && b.epochs > 0 && e.At < last.At && e.At >= last.At-int64(clockStep) {
		b.find(KindClock, at, "", "the clock was set back from %s to %s", stamp(last.At), stamp(e.At))
	}
	if first {
		b.seen = map[[2]string]bool{}
		b.epochs++
	}
	for _, s := range e.Sources {
		b.account(at, s)
	}
	if e.Reason == "seal" {
		b.sealed = max(b.sealed, e.JournalSeq)
	}
	b.epoch, b.open = e, e.Part < e.Parts
	if b.open {
		return
	}
	for _, key := range sortedKeys(b.accounts) {
		if !b.seen[key] {
			b.find(KindAccount, at, "", "source %q of tenant %q disappeared from the account", key[1], key[0])
		}
	}
}

// account holds the cumulative account of a source against itself and against
// the one before.
func (b *book) account(at place, s ledger.Source) {
	key := [2]string{s.Tenant, s.Source}
	if b.seen[key] {
		b.find(KindAccount, at, "", "source %q of tenant %q stands twice in one epoch", s.Source, s.Tenant)
	}
	b.seen[key] = true
	if sum := s.Stored + total(s.Rejected) + total(s.Dropped) + s.Deduplicated; sum != s.Received {
		b.find(KindAccount, at, "", "source %q of tenant %q: received %d, but stored, rejected, dropped and deduplicated are %d", s.Source, s.Tenant, s.Received, sum)
	}
	last, known := b.accounts[key]
	if known && (s.Received < last.Received || s.Stored < last.Stored || s.Deduplicated < last.Deduplicated ||
		shrinks(last.Rejected, s.Rejected) || shrinks(last.Dropped, s.Dropped)) {
		b.find(KindAccount, at, "", "the account of source %q of tenant %q shrank", s.Source, s.Tenant)
	}
	b.accounts[key] = s
}

func total(counts []ledger.Count) (n uint64) {
	for _, c := range counts {
		n += c.N
	}
	return n
}

// shrinks reports whether a count of before is smaller in after, or gone.
func shrinks(before, after []ledger.Count) bool {
	now := map[string]uint64{}
	for _, c := range after {
		now[c.Name] += c.N
	}
	was := map[string]uint64{}
	for _, c := range before {
		was[c.Name] += c.N
	}
	for name, n := range was {
		if now[name] < n {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[[2]string]V) [][2]string {
	keys := make([][2]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return keys
}

// finish fills in the report when all leaves are read.
func (b *book) finish() {
	if b.open {
		b.find(KindEpoch, place{file: ledgerDir + "/" + ledger.CheckpointFile, index: b.cp.Size - 1}, "", "the newest epoch lacks its last parts")
	}
	for name, n := range b.types {
		b.rep.Ledger.Leaves = append(b.rep.Ledger.Leaves, Count{name, n})
	}
	names := make([]string, 0, len(b.unread))
	for name := range b.unread {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.rep.add(Finding{Kind: KindUnknown, File: ledgerDir, Detail: fmt.Sprintf("%s (%d times) is not known to this version and was not looked at", name, b.unread[name])})
	}
	b.rep.Epochs, b.rep.Sources = b.epochs, len(b.accounts)
	b.balance()
}

// vault returns the position of the newest tokens leaf, nil without one.
func (b *book) vault() *journal.Position {
	p := journal.Position{Seq: b.tokens.Seq}
	if p.Seq == 0 {
		return nil
	}
	if !unhex(p.Hash[:], b.tokens.Hash) {
		b.find(KindLeaf, place{file: ledgerDir, index: b.cp.Size - 1}, "", "the token vault's chain value %q is no hash", b.tokens.Hash)
		return nil
	}
	return &p
}

// anchor returns the journal position of the newest epoch, nil without one.
func (b *book) anchor() *journal.Position {
	if b.epochs == 0 {
		return nil
	}
	p := journal.Position{Seq: b.epoch.JournalSeq}
	if !unhex(p.Hash[:], b.epoch.JournalHash) {
		b.find(KindEpoch, place{file: ledgerDir, index: b.cp.Size - 1}, "", "the journal's chain value %q is no hash", b.epoch.JournalHash)
		return nil
	}
	return &p
}
