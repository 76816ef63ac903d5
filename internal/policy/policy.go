// Package policy decides what of a record may be kept, and for how long: which
// records are dropped, what is redacted, and the retention class of the rest.
// Every decision is counted under the rule that made it.
//
// Rules are ordered, yours before the built-in ones. The first rule that drops a
// record, or gives it a class, ends the search for that record; redactions do
// not end it, and every redaction whose condition holds is done. Conditions see
// the record as normalise made it, before any redaction.
//
// Redaction reaches every string of a batch, values and field names alike, and
// numbers whose digits match. It is applied once, by pipeline, before the first
// write: what it covers is in no file.
//
// The package sees records and never a protocol's bytes. It owns nothing of a
// batch and keeps nothing of it beyond a call.
package policy

import (
	"sync"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Policy is a compiled Config. It is safe for concurrent use.
type Policy struct {
	rules   []rule
	classes map[record.Class]Retention
	byEvent bool // retention counts from the event time alone
	def     record.Class
	redacts bool
	pool    sync.Pool // *session
}

type rule struct {
	id     string
	when   match.Predicate // nil: every record
	drop   bool
	class  record.Class // "": none
	redact *redaction   // nil: none
}

// Effects say what policy did besides dropping, which is in the batch's Account.
type Effects struct {
	Classified []record.Count // records, by rule
	Redacted   []record.Count // values and names, by rule
}

// New compiles a Config. Its errors are those of Validate.
func New(c Config) (*Policy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Policy{classes: c.retentions(), def: DefaultClass, byEvent: c.RetentionFrom == fromEvent}
	if c.DefaultClass != "" {
		p.def = record.Class(c.DefaultClass)
	}
	list := c.Rules
	if !c.NoBuiltin {
		list = append(append([]Rule(nil), list...), Builtin()...)
	}
	for _, r := range list {
		compiled, err := r.compile()
		if err != nil {
			return nil, err
		}
		p.redacts = p.redacts || compiled.redact != nil
		p.rules = append(p.rules, compiled)
	}
	p.pool.New = func() any { return p.session() }
	return p, nil
}

// Retention returns how long records of a class are kept. A class that the
// policy does not name is kept as long as the default class.
func (p *Policy) Retention(c record.Class) Retention {
	if r, ok := p.classes[c]; ok {
		return r
	}
	return p.classes[p.def]
}

// Classes returns the retention of every class that the policy names.
func (p *Policy) Classes() map[record.Class]Retention {
	out := make(map[record.Class]Retention, len(p.classes))
	for c, r := range p.classes {
		out[c] = r
	}
	return out
}

// session is the scratch of one Apply: matchers are not safe for concurrent use.
type session struct {
	matchers []*match.Matcher  // by rule; nil without a condition
	fate     []int32           // by record: index of the deciding rule, or -1
	counts   []uint64          // by rule: records it decided
	redacted []uint64          // by rule: values and names
	hits     [][]bool          // by rule and record: a redaction's condition
	covered  []map[string]bool // by rule: names of columns and whether it looks at them
	dst      []byte
}

func (p *Policy) session() *session {
	s := &session{matchers: make([]*match.Matcher, len(p.rules)), counts: make([]uint64, len(p.rules)), redacted: make([]uint64, len(p.rules)), hits: make([][]bool, len(p.rules)), covered: make([]map[string]bool, len(p.rules))}
	for i := range p.rules {
		if p.rules[i].when != nil {
			s.matchers[i] = match.Compile(p.rules[i].when)
		}
	}
	return s
}

// Apply drops, classifies and redacts the records of b, and adds what it
// dropped to b.Account.Dropped. A record to which no rule gives a class gets
// class, or the policy's default one when class is "".
func (p *Policy) Apply(b *record.Batch, class record.Class) Effects {
	if class == "" {
		class = p.def
	}
	s := p.begin(b)
	defer p.pool.Put(s)
	dropped := p.decide(s, b, class)
	p.redact(s, b)
	var e Effects
	for i := range p.rules {
		if n := s.counts[i]; n > 0 {
			if p.rules[i].drop {
				b.Account.Dropped = append(b.Account.Dropped, record.Count{Name: p.rules[i].id, N: n})
			} else {
				e.Classified = append(e.Classified, record.Count{Name: p.rules[i].id, N: n})
			}
		}
		if n := s.redacted[i]; n > 0 {
			e.Redacted = append(e.Redacted, record.Count{Name: p.rules[i].id, N: n})
		}
	}
	if dropped > 0 {
		b.Keep(func(i int) bool { f := s.fate[i]; return f < 0 || !p.rules[f].drop })
	}
	return e
}

// Redact applies only the redactions; the records keep their class.
func (p *Policy) Redact(b *record.Batch) Effects {
	s := p.begin(b)
	defer p.pool.Put(s)
	p.redact(s, b)
	var e Effects
	for i := range p.rules {
		if n := s.redacted[i]; n > 0 {
			e.Redacted = append(e.Redacted, record.Count{Name: p.rules[i].id, N: n})
		}
	}
	return e
}

func (p *Policy) begin(b *record.Batch) *session {
	s := p.pool.Get().(*session)
	clear(s.counts)
	clear(s.redacted)
	for _, m := range s.matchers {
		if m != nil {
			m.Bind(b)
		}
	}
	return s
}

// decide finds the deciding rule of each record and sets its class, or the given
// one where no rule decides. It returns how many will be dropped.
func (p *Policy) decide(s *session, b *record.Batch, class record.Class) (dropped int) {
	s.fate = s.fate[:0]
	for i := range b.Len() {
		fate := int32(-1)
		for j := range p.rules {
			r := &p.rules[j]
			if !r.drop && r.class == "" {
				continue
			}
			if m := s.matchers[j]; m == nil || m.MatchRow(b, i) {
				fate = int32(j)
				break
			}
		}
		s.fate = append(s.fate, fate)
		switch {
		case fate < 0:
			b.SetClassAt(i, class)
		case p.rules[fate].drop:
			s.counts[fate]++
			dropped++
		default:
			s.counts[fate]++
			b.SetClassAt(i, p.rules[fate].class)
		}
	}
	return dropped
}
