package plan

import (
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Select plans a log query: what a store can decide goes into Where, the stages
// from the first on that it cannot into Pipe. Filters behind such a stage are
// pushed as far as they can be (split).
func Select(l *logql.Log) (*Log, error) {
	out := &Log{}
	s := &split{plain: true}
	for _, m := range l.Matchers {
		p, err := pipe.Text(m)
		if err != nil {
			return nil, err
		}
		out.class(m)
		s.exact = append(s.exact, p)
	}
	for _, st := range l.Stages {
		if f, ok := st.(*logql.LabelFilter); ok {
			out.classes(f.Cond)
		}
		if err := s.stage(st); err != nil {
			return nil, err
		}
	}
	if len(s.rest) == 0 {
		out.Where = match.Simplify(s.exact)
		return out, nil
	}
	p, err := pipe.Compile(s.rest)
	if err != nil {
		return nil, err
	}
	out.Pipe = p
	s.finish(out)
	return out, nil
}

// class notes that a query speaks of the retention class.
func (l *Log) class(m logql.Matcher) {
	if m.Name != ClassName && m.Name != match.Class {
		return
	}
	l.NamesClass = true
	if m.Op == logql.OpEq && !slices.Contains(l.WantsClass, m.Value) {
		l.WantsClass = append(l.WantsClass, m.Value)
	}
}

func (l *Log) classes(c logql.Cond) {
	var parts []logql.Cond
	switch c := c.(type) {
	case *logql.TextCond:
		l.class(c.Matcher)
	case logql.All:
		parts = c
	case logql.Any:
		parts = c
	}
	for _, p := range parts {
		l.classes(p)
	}
}

// A split walks the stages of a query and sorts them into what the store
// decides and what runs per record.
//
// json, logfmt and decolorize do nothing to most records: they need a body that
// looks like JSON, has a '=', has an escape. As long as only these and filters
// stand in the pipeline (plain), the records are of three sorts, each with its
// own form of the filters:
//
//	odd                   a stage may change the record: what is filtered on is not known
//	not odd, and failed   json leaves its error in it, and nothing else
//	the others            the store decides, exactly
//
// With any other stage, a filter is pushed as "the stored field satisfies it, or
// a stage may have made a field of that name".
type split struct {
	exact match.And     // before the first stage of rest
	rest  []logql.Stage // what runs per record

	plain  bool
	odd    match.Or  // records that json, logfmt, decolorize may change
	json   bool      // a json came by
	sure   match.And // filters of rest, on records that no stage changes
	failed match.And // on those that json leaves its error in
	maybe  match.And // on odd ones

	weak    match.And // filters of rest, for any record, when not plain
	all     bool      // any name may have been made or dropped
	touched []string  // names that were
	line    bool      // the line may have been changed in any record
	oddLine bool      // and in odd ones
	fixed   bool      // no later filter may be pushed
}

func (s *split) stage(st logql.Stage) error {
	switch st := st.(type) {
	case *logql.LineFilter:
		p, known, err := linePredicate(st)
		if err != nil {
			return err
		}
		s.filter(st, p, known)
		return nil
	case *logql.LabelFilter:
		p, err := pipe.Cond(st.Cond)
		if err != nil {
			return err
		}
		s.filter(st, p, true)
		return nil
	}
	s.rest = append(s.rest, st)
	switch st := st.(type) {
	case *logql.Parser:
		s.parser(st)
	case *logql.Decolorize:
		s.odd = append(s.odd, match.Contains{Field: record.Body, Value: "\x1b"}, match.Contains{Field: record.Body, Value: "\u009b"})
		s.oddLine = true
	case *logql.LineFormat:
		s.plain, s.line = false, true
	case *logql.LabelFormat:
		s.plain = false
		for _, x := range st.Sets {
			s.touched = append(s.touched, x.Name)
			if x.Rename {
				s.touched = append(s.touched, x.From)
			}
		}
	case *logql.Names:
		s.plain = false
		s.all = s.all || st.Keep
		for _, m := range st.Items {
			s.touched = append(s.touched, m.Name)
		}
	case *logql.Distinct: // which record is the first depends on what came before
		s.plain, s.fixed = false, true
	default:
		return fault.Errorf(fault.Internal, "stage %T is unknown", st)
	}
	return nil
}

// spaces are what may stand before a JSON object.
var spaces = []string{"{", " ", "\t", "\r", "\n"}

func (s *split) parser(p *logql.Parser) {
	names, known := pipe.Makes(p)
	switch {
	case p.Name == "json" && !known:
		for _, c := range spaces {
			s.odd = append(s.odd, match.Prefix{Field: record.Body, Value: c})
		}
		s.json = true
	case p.Name == "logfmt" && !known && !p.Strict && !p.KeepEmpty:
		s.odd = append(s.odd, match.Contains{Field: record.Body, Value: "="})
	case known:
		s.plain = false
		for _, name := range names {
			s.touched = append(s.touched, name, name+"_extracted")
		}
	default:
		s.plain, s.all = false, true
		s.line = s.line || p.Name == "unpack"
	}
	if s.line && !known { // of what the line is now, no predicate speaks
		s.all = true
	}
}

// linePredicate returns what the store can say of a line filter; known is unset
// when that is only part of it.
func linePredicate(f *logql.LineFilter) (p match.Predicate, known bool, err error) {
	not := f.Op == logql.OpNotEq || f.Op == logql.OpNotRegex || f.Op == logql.OpNotPat
	any := match.Or{}
	known = true
	for _, v := range f.Values {
		var p match.Predicate
		if v.IP {
			nets, err := pipe.Nets(v.Text)
			if err != nil {
				return nil, false, err
			}
			known, p = false, match.True{}
			if lit := pipe.Literal(nets); lit != "" {
				p = match.Contains{Field: match.Line, Value: lit}
			}
		} else if p, err = pipe.LineValue(f.Op, v.Text); err != nil {
			return nil, false, err
		}
		any = append(any, p)
	}
	switch {
	case not && known:
		return match.Not{P: any}, true, nil
	case not:
		return match.True{}, false, nil
	}
	return any, known, nil
}

// filter adds a filter; known is unset when p holds for more records than the
// filter does.
func (s *split) filter(st logql.Stage, p match.Predicate, known bool) {
	if len(s.rest) == 0 && known {
		s.exact = append(s.exact, given(p, ""))
		return
	}
	s.rest = append(s.rest, st)
	if s.fixed {
		return
	}
	s.plain = s.plain && known && !speaksOf(p, pipe.DetailsName)
	s.sure = append(s.sure, given(p, ""))
	err := ""
	if s.json {
		err = pipe.ErrJSON
	}
	s.failed = append(s.failed, given(p, err))
	s.maybe = append(s.maybe, s.bound(p, true, true))
	s.weak = append(s.weak, s.bound(p, true, false))
}

// given decides what p says of errors.
func given(p match.Predicate, err string) match.Predicate {
	return match.Reduce(p, func(leaf match.Predicate) (holds, known bool) {
		switch match.FieldOf(leaf) {
		case pipe.ErrorName:
			if _, number := leaf.(match.Range); number || err == "" {
				return false, true
			}
			return match.HoldsText(leaf, err), true
		case pipe.DetailsName:
			return false, true
		}
		return false, false
	})
}

func speaksOf(p match.Predicate, field string) bool {
	found := false
	match.Reduce(p, func(leaf match.Predicate) (holds, known bool) {
		found = found || match.FieldOf(leaf) == field
		return false, false
	})
	return found
}

// bound returns a predicate that holds wherever a filter p may (up), or nowhere
// where it may not; on odd records or on any.
func (s *split) bound(p match.Predicate, up, odd bool) match.Predicate {
	switch p := p.(type) {
	case match.True, match.False:
		return p
	case match.Not:
		return match.Not{P: s.bound(p.P, !up, odd)}
	case match.And:
		out := make(match.And, len(p))
		for i := range p {
			out[i] = s.bound(p[i], up, odd)
		}
		return out
	case match.Or:
		out := make(match.Or, len(p))
		for i := range p {
			out[i] = s.bound(p[i], up, odd)
		}
		return out
	}
	changed, oddly := s.changed(match.FieldOf(p))
	switch {
	case !changed && !oddly:
		return p
	case (changed || odd) && up:
		return match.True{}
	case changed || odd:
		return match.False{}
	case up:
		return match.Or{p, s.odd}
	}
	return match.And{p, match.Not{P: s.odd}}
}

// changed reports whether a stage so far may have changed what a field says in
// any record, or in odd ones.
func (s *split) changed(field string) (any, odd bool) {
	switch {
	case field == match.Line:
		return s.line, s.oddLine
	case field == match.Class:
		return false, false
	case strings.HasPrefix(field, "__"):
		return len(s.rest) > 0, true
	}
	return s.all || slices.ContainsFunc(s.touched, func(t string) bool { return related(t, field) }), len(s.odd) > 0
}

// related reports whether two names may mean the same field.
func related(a, b string) bool {
	ra, rb := schema.Resolve(a), schema.Resolve(b)
	for _, n := range ra.Names() {
		if _, _, ok := rb.Match(n); ok {
			return true
		}
	}
	for _, n := range rb.Names() {
		if _, _, ok := ra.Match(n); ok {
			return true
		}
	}
	return schema.Identifier(a) == schema.Identifier(b)
}

func (s *split) finish(out *Log) {
	all := func(parts ...match.And) match.Predicate {
		var and match.And
		for _, p := range parts {
			and = append(and, p...)
		}
		return match.Simplify(and)
	}
	if !s.plain {
		out.Where = all(s.exact, s.weak)
		return
	}
	var even match.And // not odd
	if len(s.odd) > 0 {
		even = match.And{match.Not{P: s.odd}}
	}
	var wrong, right match.And // what json says of records that are not odd
	if s.json {
		bad := match.And{match.Eq{Field: "parse.status", Value: "none"}, match.Exists{Field: record.Body}}
		wrong, right = bad, match.And{match.Not{P: bad}}
	}
	out.Sure = all(s.exact, even, right, s.sure)
	unsure := match.Or{match.And{s.odd, all(s.maybe)}}
	where := match.Or{all(s.sure), unsure[0]}
	if s.json {
		unsure = append(unsure, all(even, wrong, s.failed))
		if failed := all(s.failed); failed.String() != where[0].String() {
			where = append(where, match.And{all(wrong), failed})
		}
	}
	out.Unsure = all(s.exact, match.And{unsure})
	out.Where = all(s.exact, match.And{where}) // Pipe looks at each record anyway
}
