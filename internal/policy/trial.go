package policy

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Limits of a trial.
const (
	maxSamples    = 3
	maxSampleText = 400 // bytes of one side
)

// A Trial tells what a policy would do to records, and does it to none: hashes
// are under a key that is forgotten, tokens are made up and kept nowhere. It is
// not safe for concurrent use.
type Trial struct {
	p      *Policy
	s      *session
	out    TrialResult
	moves  map[TrialMove]uint64 // without N
	ofRule []map[TrialMove]uint64
	origin []int    // rows of the batch at hand, before what is dropped left
	seen   []rowSet // by rule: rows that it changed
	sizes  []uint64 // by row
	before []string // by row: as JSON, while a rule wants samples
	b      record.Batch
}

type rowSet map[int]bool

// TrialResult is what a policy would do.
type TrialResult struct {
	SHA256  string      `json:"sha256"` // of the policy
	Records uint64      `json:"records"`
	Bytes   uint64      `json:"bytes"` // of names and values, as text
	Dropped uint64      `json:"dropped"`
	Freed   uint64      `json:"freed"` // bytes of what is dropped
	Rules   []TrialRule `json:"rules"` // of those in force, in order
	Classes []TrialMove `json:"classes"`
	Notes   []string    `json:"notes"`
}

// TrialRule is what one rule would do.
type TrialRule struct {
	ID         string        `json:"id"`
	Why        string        `json:"why,omitempty"`
	Dropped    uint64        `json:"dropped"`    // records
	Kept       uint64        `json:"kept"`       // records that it keeps or samples in
	Classified uint64        `json:"classified"` // records
	Labelled   uint64        `json:"labelled"`   // owners and classifications
	Records    uint64        `json:"records"`    // in which it changes values
	Values     uint64        `json:"values"`     // that it changes, names among them
	Bytes      uint64        `json:"bytes"`      // of what it drops, and of the values that it changes
	Classes    []TrialMove   `json:"classes,omitempty"`
	Samples    []TrialSample `json:"samples,omitempty"`
}

// TrialMove counts records whose class would be another, or the same.
type TrialMove struct {
	From string `json:"from"` // "" of a record that has none yet
	To   string `json:"to"`
	N    uint64 `json:"n"`
}

// TrialSample is a record that a rule drops, or a value that it changes.
type TrialSample struct {
	Field  string `json:"field,omitempty"`
	Before string `json:"before"`
	After  string `json:"after,omitempty"` // "": dropped
}

// NewTrial compiles a policy for a trial. Its errors are those of Validate.
func NewTrial(c Config) (*Trial, error) {
	p, err := compile(c, Secrets{}, true)
	if err != nil {
		return nil, err
	}
	t := &Trial{p: p, s: p.session(), moves: map[TrialMove]uint64{}, ofRule: make([]map[TrialMove]uint64, len(p.rules)), seen: make([]rowSet, len(p.rules))}
	t.out.SHA256 = p.SHA256()
	for _, r := range c.all() {
		t.out.Rules = append(t.out.Rules, TrialRule{ID: r.ID, Why: r.Why})
	}
	return t, nil
}

// Add tries some records. Their class is the one that they have now, "" of one
// that was not classified yet. Records of class audit are the house's own, to
// which no policy is applied: they are passed over.
func (t *Trial) Add(tenant record.TenantID, records []record.Record) {
	t.b.Reset()
	t.b.Tenant = tenant
	t.sizes, t.before, t.origin = t.sizes[:0], t.before[:0], t.origin[:0]
	for i := range records {
		r := &records[i]
		if r.Class == "audit" {
			continue
		}
		t.b.AddRecord(r)
		size := uint64(0)
		for _, f := range r.Fields {
			size += uint64(len(f.Name) + len(f.Value.Text()))
		}
		t.sizes = append(t.sizes, size)
		t.before = append(t.before, clip(match.AppendJSON(nil, r.Fields)))
		t.origin = append(t.origin, len(t.origin))
		t.out.Bytes += size
	}
	t.out.Records += uint64(t.b.Len())
	t.apply(&t.b)
}

func (t *Trial) apply(b *record.Batch) {
	s, p := t.s, t.p
	from := make([]string, b.Len())
	for i := range from {
		from[i] = string(b.ClassAt(i))
	}
	for _, list := range s.counts.lists() {
		clear(list)
	}
	clear(t.seen)
	s.tenant, s.key, s.err = b.Tenant, nil, nil
	s.memo.reset()
	s.decided = func(row int, fate int32, class record.Class, by int) { t.decided(row, from[row], fate, class, by) }
	s.note = func(rule, row int, name string, before, after []byte) {
		t.changed(rule, t.origin[row], name, before, after)
	}
	s.bind(b)
	s.decide(b, p.def)
	kept := t.origin[:0]
	for i := range b.Len() {
		if s.fate[i] < 0 {
			kept = append(kept, i)
		}
	}
	if t.origin = kept; len(kept) < b.Len() {
		b.Keep(func(i int) bool { return s.fate[i] < 0 })
		s.bind(b)
	}
	s.mark(b)
	s.label(b)
	s.change(b)
	for i := range t.out.Rules {
		r, c := &t.out.Rules[i], &s.counts
		r.Kept += c.kept[i]
		r.Classified += c.classified[i]
		r.Labelled += c.labelled[i]
		r.Records += uint64(len(t.seen[i]))
	}
}

func (t *Trial) decided(row int, from string, fate int32, class record.Class, by int) {
	if fate >= 0 {
		r := &t.out.Rules[fate]
		r.Dropped++
		r.Bytes += t.sizes[row]
		t.out.Dropped++
		t.out.Freed += t.sizes[row]
		if len(r.Samples) < maxSamples {
			r.Samples = append(r.Samples, TrialSample{Before: t.before[row]})
		}
		return
	}
	if class == "" {
		class = t.p.def
	}
	m := TrialMove{From: from, To: string(class)}
	t.moves[m]++
	if by >= 0 {
		if t.ofRule[by] == nil {
			t.ofRule[by] = map[TrialMove]uint64{}
		}
		t.ofRule[by][m]++
	}
}

func (t *Trial) changed(rule, row int, name string, before, after []byte) {
	r := &t.out.Rules[rule]
	r.Values++
	r.Bytes += uint64(len(before))
	if t.seen[rule] == nil {
		t.seen[rule] = rowSet{}
	}
	t.seen[rule][row] = true
	if len(r.Samples) < maxSamples {
		r.Samples = append(r.Samples, TrialSample{Field: name, Before: clip(before), After: clip(after)})
	}
}

// Result returns what was found so far.
func (t *Trial) Result() *TrialResult {
	out := t.out
	out.Rules = slices.Clone(t.out.Rules)
	out.Classes = moves(t.moves)
	for i := range out.Rules {
		out.Rules[i].Classes = moves(t.ofRule[i])
	}
	out.Notes = append(slices.Clone(t.out.Notes), "hashes and tokens are made up: the policy in force would write others")
	return &out
}

func moves(counts map[TrialMove]uint64) []TrialMove {
	out := make([]TrialMove, 0, len(counts))
	for m, n := range counts {
		m.N = n
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b TrialMove) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return out
}

// clip shortens a text to what a sample may show.
func clip(p []byte) string {
	if len(p) <= maxSampleText {
		return string(p)
	}
	end := maxSampleText
	for end > 0 && !utf8.RuneStart(p[end]) {
		end--
	}
	return string(p[:end]) + "…"
}

// Document renders the policy that is tried.
func (t *Trial) Document(who Readers) *Document { return t.p.Document(who) }
