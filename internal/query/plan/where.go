package plan

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// Select plans a log query. A text comparison takes an absent field for "";
// a number comparison never holds for a field that is absent or no number,
// != included.
func Select(l *logql.Log) (*Log, error) {
	out := &Log{}
	var all match.And
	for _, m := range l.Matchers {
		p, err := out.text(m)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	for _, s := range l.Stages {
		p, err := out.stage(s)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	out.Where = match.Simplify(all)
	return out, nil
}

func (l *Log) stage(s logql.Stage) (match.Predicate, error) {
	switch s := s.(type) {
	case *logql.Parser:
		return match.True{}, nil
	case *logql.LabelFilter:
		return l.cond(s.Cond)
	case *logql.LineFilter:
		return line(s)
	}
	return nil, fault.Errorf(fault.Internal, "stage %T is unknown", s)
}

func line(f *logql.LineFilter) (match.Predicate, error) {
	var any match.Or
	for _, v := range f.Values {
		var p match.Predicate = match.Contains{Field: match.Line, Value: v.Text}
		if v.Text == "" {
			p = match.True{}
		} else if f.Op == logql.OpHasRegex || f.Op == logql.OpNotRegex {
			var err error
			if p, err = match.Unanchored(match.Line, v.Text); err != nil {
				return nil, err
			}
		}
		any = append(any, p)
	}
	if f.Op == logql.OpNotEq || f.Op == logql.OpNotRegex {
		return match.Not{P: any}, nil
	}
	return any, nil
}

// text plans a text comparison.
func (l *Log) text(m logql.Matcher) (match.Predicate, error) {
	p, err := l.equal(m)
	if err != nil {
		return nil, err
	}
	if m.Op == logql.OpNotEq || m.Op == logql.OpNotRegex {
		return match.Not{P: p}, nil
	}
	return p, nil
}

// auditClass is access.AuditClass, which a plan does not know.
const auditClass = "audit"

// equal plans the positive form of m. The name class means the retention class,
// and a field that happens to be called class: but for audit, so that no sender
// can put a record of its own among those that say who asked what.
func (l *Log) equal(m logql.Matcher) (match.Predicate, error) {
	if m.Name == match.Class {
		l.class(m)
	}
	own, err := equal(m.Name, m.Op, m.Value)
	if err != nil || m.Name != ClassName {
		return own, err
	}
	l.class(m)
	kept, err := equal(match.Class, m.Op, m.Value)
	if err != nil || m.Value == "" || m.Value == auditClass {
		return kept, err
	}
	return match.Or{kept, match.And{own, match.Not{P: match.Eq{Field: ClassName, Value: auditClass}}}}, nil
}

func (l *Log) class(m logql.Matcher) {
	l.NamesClass = true
	if m.Op == logql.OpEq && !slices.Contains(l.WantsClass, m.Value) {
		l.WantsClass = append(l.WantsClass, m.Value)
	}
}

func equal(name string, op logql.Op, value string) (match.Predicate, error) {
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

func (l *Log) cond(c logql.Cond) (match.Predicate, error) {
	switch c := c.(type) {
	case *logql.TextCond:
		return l.text(c.Matcher)
	case *logql.NumberCond:
		return number(c), nil
	case *logql.IPCond:
		r, err := c.Addresses()
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "read addresses %q: %w", c.Net, err)
		}
		var nets match.Or
		for _, net := range r.Prefixes() {
			nets = append(nets, match.CIDR{Field: c.Name, Net: net})
		}
		var p match.Predicate = nets
		if len(nets) == 1 {
			p = nets[0]
		}
		if c.Op == logql.OpNotEq {
			p = match.Not{P: p}
		}
		return p, nil
	case logql.All:
		parts, err := l.conds(c)
		return match.And(parts), err
	case logql.Any:
		parts, err := l.conds(c)
		return match.Or(parts), err
	}
	return nil, fault.Errorf(fault.Internal, "condition %T is unknown", c)
}

func (l *Log) conds(cs []logql.Cond) ([]match.Predicate, error) {
	out := make([]match.Predicate, 0, len(cs))
	for _, c := range cs {
		p, err := l.cond(c)
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
