package pipe

import (
	"fmt"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// Text returns the predicate of a text comparison on stored fields. It takes an
// absent field for "". The name class means the retention class, and a field
// that happens to be called class: but for audit, so that no sender can put a
// record of its own among those that say who asked what.
func Text(m logql.Matcher) (match.Predicate, error) {
	p, err := equal(m)
	if err != nil {
		return nil, err
	}
	if m.Op == logql.OpNotEq || m.Op == logql.OpNotRegex {
		return match.Not{P: p}, nil
	}
	return p, nil
}

// auditClass is access.AuditClass, which a pipeline does not know.
const auditClass = "audit"

// equal returns the positive form of m.
func equal(m logql.Matcher) (match.Predicate, error) {
	own, err := equalField(m.Name, m.Op, m.Value)
	if err != nil || m.Name != ClassName {
		return own, err
	}
	kept, err := equalField(match.Class, m.Op, m.Value)
	if err != nil || m.Value == "" || m.Value == auditClass {
		return kept, err
	}
	return match.Or{kept, match.And{own, match.Not{P: match.Eq{Field: ClassName, Value: auditClass}}}}, nil
}

func equalField(name string, op logql.Op, value string) (match.Predicate, error) {
	if op == logql.OpEq || op == logql.OpNotEq {
		if value == "" {
			return match.Not{P: match.Exists{Field: name}}, nil
		}
		return match.Eq{Field: name, Value: value}, nil
	}
	p, err := match.Anchored(name, value)
	if err != nil {
		return nil, err
	}
	// What matches "" matches an absent field.
	if match.HoldsEmpty(p) {
		return match.Or{match.Not{P: match.Exists{Field: name}}, p}, nil
	}
	return p, nil
}

// Cond returns the predicate of a condition on stored fields. A number
// comparison never holds for a field that is absent or no number, != included.
func Cond(c logql.Cond) (match.Predicate, error) {
	switch c := c.(type) {
	case *logql.TextCond:
		return Text(c.Matcher)
	case *logql.NumberCond:
		return number(c), nil
	case *logql.IPCond:
		nets, err := Nets(c.Net)
		if err != nil {
			return nil, err
		}
		any := make(match.Or, len(nets))
		for i := range nets {
			any[i] = match.CIDR{Field: c.Name, Net: nets[i]}
		}
		if c.Op == logql.OpNotEq {
			return match.Not{P: any}, nil
		}
		return any, nil
	case logql.All:
		parts, err := conds(c)
		return match.And(parts), err
	case logql.Any:
		parts, err := conds(c)
		return match.Or(parts), err
	}
	return nil, fault.Errorf(fault.Internal, "condition %T is unknown", c)
}

func conds(cs []logql.Cond) ([]match.Predicate, error) {
	out := make([]match.Predicate, 0, len(cs))
	for _, c := range cs {
		p, err := Cond(c)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func number(c *logql.NumberCond) match.Predicate {
	r := match.Range{Field: c.Name}
	switch c.Value.Unit {
	case logql.Duration:
		r.Unit = match.Duration
	case logql.Bytes:
		r.Unit = match.Bytes
	}
	switch c.Op {
	case logql.OpGt, logql.OpGe:
		r.Min = bound(c.Value, c.Op == logql.OpGe)
	case logql.OpLt, logql.OpLe:
		r.Max = bound(c.Value, c.Op == logql.OpLe)
	case logql.OpEq, logql.OpNotEq:
		r.Min, r.Max = bound(c.Value, true), bound(c.Value, true)
	}
	if c.Op == logql.OpNotEq {
		return match.And{match.Range{Field: c.Name, Unit: r.Unit}, match.Not{P: r}}
	}
	return r
}

func bound(q logql.Quantity, inclusive bool) match.Bound {
	if q.Unit != logql.Plain {
		return match.IntBound(q.Int, inclusive)
	}
	if i, _, isInt, ok := match.ParseNumber(q.Text); ok && isInt {
		return match.IntBound(i, inclusive)
	}
	return match.FloatBound(q.Num, inclusive)
}

// A test is one condition of a labelFilter: all or any of parts, or a leaf.
type test struct {
	parts []test
	any   bool
	leaf  *leaf
}

// A leaf compares one field. Where no stage made the field, the stored one
// decides, by stored; else the text that was made, by made.
type leaf struct {
	ref     *ref
	stored  match.Predicate
	matcher *match.Matcher
	made    match.Predicate
	// number, when set, holds for any number in the comparison's unit.
	number *match.Range
}

type labelFilter struct{ root test }

func newLabelFilter(c logql.Cond) (stage, error) {
	t, err := newTest(c)
	return labelFilter{t}, err
}

func newTest(c logql.Cond) (test, error) {
	var parts []logql.Cond
	t := test{}
	switch c := c.(type) {
	case logql.All:
		parts = c
	case logql.Any:
		parts, t.any = c, true
	default:
		l, err := newLeaf(c)
		return test{leaf: l}, err
	}
	t.parts = make([]test, 0, len(parts))
	for _, p := range parts {
		u, err := newTest(p)
		if err != nil {
			return test{}, err
		}
		t.parts = append(t.parts, u)
	}
	return t, nil
}

func newLeaf(c logql.Cond) (*leaf, error) {
	p, err := Cond(c)
	if err != nil {
		return nil, err
	}
	l := &leaf{stored: p, made: p}
	name := ""
	switch c := c.(type) {
	case *logql.TextCond:
		name = c.Name
		if name == ClassName { // a made field of that name is no retention class
			if l.made, err = equalField(name, c.Op, c.Value); err != nil {
				return nil, err
			}
			if c.Op == logql.OpNotEq || c.Op == logql.OpNotRegex {
				l.made = match.Not{P: l.made}
			}
		}
	case *logql.NumberCond:
		name = c.Name
		r := number(c)
		if and, ok := r.(match.And); ok {
			r = and[0]
		}
		any := match.Range{Field: name, Unit: r.(match.Range).Unit}
		l.number = &any
	case *logql.IPCond:
		name = c.Name
	}
	l.ref = newRef(name)
	return l, nil
}

// fresh gives a Run matchers of its own: they remember columns.
func (f labelFilter) fresh(*Run) stage { return labelFilter{f.root.fresh()} }

func (t test) fresh() test {
	if t.leaf != nil {
		l := *t.leaf
		l.matcher = match.Compile(match.Simplify(l.stored))
		return test{leaf: &l}
	}
	out := test{any: t.any, parts: make([]test, len(t.parts))}
	for i := range t.parts {
		out.parts[i] = t.parts[i].fresh()
	}
	return out
}

func (f labelFilter) needs() needs { return needs{names: f.root.names(nil)} }

func (t *test) names(out []string) []string {
	if t.leaf != nil {
		return append(out, t.leaf.ref.name)
	}
	for i := range t.parts {
		out = t.parts[i].names(out)
	}
	return out
}

func (f labelFilter) do(w *Row) bool { return f.root.holds(w) }

func (t *test) holds(w *Row) bool {
	if t.leaf != nil {
		return t.leaf.holds(w)
	}
	for i := range t.parts {
		if t.parts[i].holds(w) == t.any {
			return t.any
		}
	}
	return !t.any
}

// holds keeps, like Loki, a record whose made field is no number, with an error.
func (l *leaf) holds(w *Row) bool {
	text, made := w.madeText(l.ref)
	switch {
	case !made && l.ref.error >= 0:
		return holdsOn(l.made, "", false, l.ref)
	case !made:
		return l.matcher.Match(w.base)
	case l.number != nil && l.ref.error < 0 && text != "" && !l.number.HasText(text, l.number.Numbers(&l.ref.res, l.ref.mul)):
		w.fail(ErrFilter, fmt.Sprintf("%s is %q, which cannot be compared with a number of that unit", l.ref.name, clip(text)))
		return true
	}
	return holdsOn(l.made, text, true, l.ref)
}

// holdsOn evaluates a predicate on one field whose text is given.
func holdsOn(p match.Predicate, text string, present bool, r *ref) bool {
	switch p := p.(type) {
	case nil, match.True:
		return true
	case match.False:
		return false
	case match.Not:
		return !holdsOn(p.P, text, present, r)
	case match.And:
		return !slices.ContainsFunc(p, func(q match.Predicate) bool { return !holdsOn(q, text, present, r) })
	case match.Or:
		return slices.ContainsFunc(p, func(q match.Predicate) bool { return holdsOn(q, text, present, r) })
	case match.Range:
		return present && p.HasText(text, p.Numbers(&r.res, r.mul))
	}
	return present && match.HoldsText(p, text)
}

// clip shortens a text for an error's details.
func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "…"
	}
	return s
}

// A lineFilter keeps lines in which a value is found, or with not set in which
// none is.
type lineFilter struct {
	not    bool
	values []func(line string) bool
}

func newLineFilter(s *logql.LineFilter) (stage, error) {
	f := lineFilter{not: s.Op == logql.OpNotEq || s.Op == logql.OpNotRegex || s.Op == logql.OpNotPat}
	for _, v := range s.Values {
		has, err := lineTest(s.Op, v)
		if err != nil {
			return nil, err
		}
		f.values = append(f.values, has)
	}
	return f, nil
}

func lineTest(op logql.Op, v logql.LineValue) (func(string) bool, error) {
	if v.IP {
		nets, err := Nets(v.Text)
		return func(line string) bool { return hasAddress(line, nets) }, err
	}
	p, err := LineValue(op, v.Text)
	return func(line string) bool { return holdsOn(p, line, true, nil) }, err
}

// LineValue returns the predicate, on match.Line, that one value of a line
// filter stands for (of a negative filter, the positive one).
func LineValue(op logql.Op, text string) (match.Predicate, error) {
	switch op {
	case logql.OpHasRegex, logql.OpNotRegex:
		if text == "" {
			return match.True{}, nil
		}
		return match.Unanchored(match.Line, text)
	case logql.OpPattern, logql.OpNotPat:
		return linePattern(text)
	}
	if text == "" {
		return match.True{}, nil
	}
	return match.Contains{Field: match.Line, Value: text}, nil
}

func (f lineFilter) needs() needs { return needs{line: true} }

func (f lineFilter) do(w *Row) bool {
	line := w.Line()
	for _, has := range f.values {
		if has(line) {
			return !f.not
		}
	}
	return f.not
}
