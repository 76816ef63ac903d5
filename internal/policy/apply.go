package policy

import (
	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
	"github.com/meshtrail/meshtrail/internal/policy/vault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// session is the scratch of one Apply: matchers are not safe for concurrent use.
type session struct {
	p        *Policy
	matchers []*match.Matcher             // by rule; nil without a condition
	active   []int                        // rules that may decide of a record of the batch
	fate     []int32                      // by record: index of the dropping rule, or -1
	hits     [][]bool                     // by rule and record: the condition of a rule that changes or sets
	covered  []map[string]bool            // by rule: names of columns and whether it looks at them
	clean    []map[string]bool            // by step: names of columns that have no finding themselves
	fields   []map[string]sensitive.Field // by step and name of column
	touched  []int                        // rules that changed the value at hand
	counts   tally
	dst      []byte
	one      []byte
	finds    []sensitive.Finding
	found    []found
	cursor   sensitive.Cursor
	sampler  sampler
	dead     bool // of dead letters, whose fields nobody knows

	tenant  record.TenantID
	keys    map[record.TenantID]*keys
	key     *keys // of tenant; nil until it is needed
	memo    memo
	flights []*vault.Flight
	err     error // the first of the keys or the vault

	// note, when set, is told of every value and name that a rule changes. The
	// bytes are lent.
	note func(rule int, row int, name string, before, after []byte)
	// decided, when set, is told what became of each record: the rule that drops
	// it or -1, the class that it gets and the rule that gives it, or "" and -1.
	decided func(row int, fate int32, class record.Class, by int)
}

// keys are what rules need of one tenant.
type keys struct {
	mac    *crypt.MAC
	tokens *vault.Tenant
	index  vault.Hash
}

// tally counts by rule.
type tally struct {
	dropped, kept, classified, labelled, changed, untokened []uint64
}

func (t *tally) lists() [6][]uint64 {
	return [6][]uint64{t.dropped, t.kept, t.classified, t.labelled, t.changed, t.untokened}
}

func (p *Policy) session() *session {
	n := len(p.rules)
	all := make([]uint64, 6*n)
	part := func(i int) []uint64 { return all[i*n : (i+1)*n : (i+1)*n] }
	s := &session{
		p: p, matchers: make([]*match.Matcher, n), hits: make([][]bool, n), covered: make([]map[string]bool, n),
		fields: make([]map[string]sensitive.Field, len(p.steps)), clean: make([]map[string]bool, len(p.steps)), keys: map[record.TenantID]*keys{},
		counts: tally{part(0), part(1), part(2), part(3), part(4), part(5)},
	}
	for i := range p.rules {
		if p.rules[i].when != nil {
			s.matchers[i] = match.Compile(p.rules[i].when)
		}
	}
	return s
}

// Apply drops, samples, classifies, labels and changes the records of b, and adds
// what it dropped to b.Account.Dropped. A record to which no rule gives a class
// gets class, or the policy's default one when class is "". An error is that of
// the keys or the vault: then nothing of b may be written, and a retry may
// succeed.
func (p *Policy) Apply(b *record.Batch, class record.Class) (Effects, error) {
	if class == "" {
		class = p.def
	}
	s := p.begin(b)
	defer p.pool.Put(s)
	if dropped := s.decide(b, class); dropped > 0 {
		b.Keep(func(i int) bool { return s.fate[i] < 0 })
		if p.marks {
			s.bind(b)
		}
	}
	s.mark(b)
	s.label(b)
	s.change(b)
	if err := s.end(); err != nil {
		return Effects{}, err
	}
	b.Account.Dropped = p.list(b.Account.Dropped, s.counts.dropped)
	return s.effects(), nil
}

// Redact applies only what changes values, to dead letters: records of which
// nobody knows what their fields are. Conditions and the fields of rules that
// look for something do not limit them; the records keep their class.
func (p *Policy) Redact(b *record.Batch) (Effects, error) {
	s := p.begin(b)
	defer p.pool.Put(s)
	s.dead = true
	s.change(b)
	s.dead = false
	if err := s.end(); err != nil {
		return Effects{}, err
	}
	return s.effects(), nil
}

// Change applies what labels and changes, to records of which an agent's policy
// has decided whether and in which class they stay.
func (p *Policy) Change(b *record.Batch) (Effects, error) {
	s := p.begin(b)
	defer p.pool.Put(s)
	s.mark(b)
	s.label(b)
	s.change(b)
	if err := s.end(); err != nil {
		return Effects{}, err
	}
	return s.effects(), nil
}

func (p *Policy) begin(b *record.Batch) *session {
	s := p.pool.Get().(*session)
	for _, list := range s.counts.lists() {
		clear(list)
	}
	s.tenant, s.key, s.err, s.flights = b.Tenant, nil, nil, s.flights[:0]
	s.memo.reset()
	s.bind(b)
	return s
}

func (s *session) bind(b *record.Batch) {
	for _, m := range s.matchers {
		if m != nil {
			m.Bind(b)
		}
	}
	s.sampler.bind(b)
}

// end makes the tokens that were used durable.
func (s *session) end() error {
	for _, f := range s.flights {
		if err := f.Commit(); err != nil && s.err == nil {
			s.err = err
		}
	}
	if s.err != nil {
		return fault.Errorf(fault.KindOf(s.err), "apply the policy: %w", s.err)
	}
	return nil
}

func (s *session) effects() Effects {
	p, c := s.p, &s.counts
	return Effects{
		Kept: p.list(nil, c.kept), Classified: p.list(nil, c.classified), Labelled: p.list(nil, c.labelled),
		Redacted: p.list(nil, c.changed), Untokened: p.list(nil, c.untokened),
	}
}

// list appends what was counted, by rule.
func (p *Policy) list(to []record.Count, counts []uint64) []record.Count {
	for i, n := range counts {
		if n > 0 {
			to = append(to, record.Count{Name: p.rules[i].id, N: n})
		}
	}
	return to
}

// decide says of each record whether a rule drops it, and sets the class of the
// others. It returns how many will be dropped.
func (s *session) decide(b *record.Batch, class record.Class) (dropped int) {
	s.fate, s.active = s.fate[:0], s.active[:0]
	for j := range s.p.rules {
		r, m := &s.p.rules[j], s.matchers[j]
		if (r.verdict != stays || r.class != "") && (m == nil || !m.Never()) {
			s.active = append(s.active, j)
		}
	}
	for i := range b.Len() {
		fate, to, by := s.record(b, i)
		s.fate = append(s.fate, fate)
		if s.decided != nil {
			s.decided(i, fate, to, by)
		}
		if fate >= 0 {
			dropped++
			continue
		}
		if to == "" {
			to = class
		}
		b.SetClassAt(i, to)
	}
	return dropped
}

// record returns the rule that drops record i, or -1, and the class that a rule
// gives it, if any, and which.
func (s *session) record(b *record.Batch, i int) (fate int32, class record.Class, by int) {
	safe, by := false, -1
	for _, j := range s.active {
		r := &s.p.rules[j]
		removes := r.verdict == drops || r.verdict == samples
		if removes && safe || class != "" && r.verdict == stays {
			continue
		}
		if m := s.matchers[j]; m != nil && !m.MatchRow(b, i) {
			continue
		}
		if r.verdict == drops || r.verdict == samples && s.sampler.key(b, i) >= r.limit {
			s.counts.dropped[j]++
			return int32(j), "", -1
		}
		safe = true
		if r.verdict != stays {
			s.counts.kept[j]++
		}
		if class == "" && r.class != "" {
			class, by = r.class, j
		}
		if class != "" {
			break // nothing that comes can change anything
		}
	}
	if by >= 0 {
		s.counts.classified[by]++
	}
	return -1, class, by
}

// mark holds the conditions of rules that change or set against every record,
// before anything changes what they see.
func (s *session) mark(b *record.Batch) {
	if !s.p.marks {
		return
	}
	for i := range s.p.rules {
		r := &s.p.rules[i]
		if r.when == nil || r.change == nil && r.set == nil {
			continue
		}
		hits := s.hits[i][:0]
		for row := range b.Len() {
			hits = append(hits, s.matchers[i].MatchRow(b, row))
		}
		s.hits[i] = hits
	}
}

// holds reports whether a rule changes or sets something in a record.
func (s *session) holds(rule int, row uint32) bool {
	return s.dead || s.p.rules[rule].when == nil || s.hits[rule][row]
}

// label sets owner and classification.
func (s *session) label(b *record.Batch) {
	if !s.p.sets {
		return
	}
	s.fill(b, OwnerField, func(set *Set) string { return set.Owner })
	s.fill(b, ClassificationField, func(set *Set) string { return set.Classification })
}

// fill gives each record what the first rule that holds says for a field, in
// place of what the sender said.
func (s *session) fill(b *record.Batch, name string, of func(*Set) string) {
	first := func(row int) int {
		for j := range s.p.rules {
			if set := s.p.rules[j].set; set != nil && of(set) != "" && s.holds(j, uint32(row)) {
				return j
			}
		}
		return -1
	}
	for _, c := range b.Columns() {
		if c.Name != name {
			continue
		}
		for i := len(c.Rows) - 1; i >= 0; i-- { // rare: a sender that labels by itself
			if first(int(c.Rows[i])) >= 0 {
				c.Remove(i)
			}
		}
	}
	b.FillStrings(name, func(dst []byte, row int) ([]byte, bool) {
		j := first(row)
		if j < 0 {
			return dst, false
		}
		s.counts.labelled[j]++
		return append(dst, of(s.p.rules[j].set)...), true
	})
}
