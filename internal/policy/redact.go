package policy

import (
	"bytes"
	"math"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// redaction replaces parts of strings. What it looks for is a literal (in
// several spellings) or an expression; with neither it replaces whole values.
type redaction struct {
	literals [][]byte // as given, and as JSON writes it within text
	re       *regexp.Regexp
	needles  [][]byte // one of them is in every match, if any; in lower case when fold
	fold     bool
	oneOf    []byte // one of these bytes is in every match, if any
	run      run
	anchored bool // a match may depend on where a value begins or ends
	minimum  int  // bytes of the shortest match
	replace  []byte
	expand   bool // replace names groups
	fields   []schema.Resolution
}

func (r *Redact) compile(id string) (*redaction, error) {
	out := &redaction{replace: []byte(r.Replace)}
	if r.Replace == "" {
		out.replace = []byte("[redacted:" + id + "]")
	}
	for _, f := range r.Fields {
		out.fields = append(out.fields, schema.Resolve(f))
	}
	switch {
	case r.Literal != "":
		out.minimum = len(r.Literal)
		out.literals = [][]byte{[]byte(r.Literal)}
		quoted := match.AppendQuoted(nil, r.Literal)
		if quoted = quoted[1 : len(quoted)-1]; string(quoted) != r.Literal {
			out.literals = append(out.literals, quoted)
		}
	case r.Pattern != "":
		tree, err := syntax.Parse(r.Pattern, syntax.Perl)
		if err == nil {
			out.re, err = regexp.Compile(r.Pattern)
		}
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "compile redaction %s: %w", id, err)
		}
		out.expand = bytes.IndexByte(out.replace, '$') >= 0
		out.run, out.oneOf = runOf(tree), oneOf(tree)
		tree = tree.Simplify()
		out.needles, out.fold = required(tree)
		out.anchored = anchored(tree)
		out.minimum = minimum(tree)
	}
	return out, nil
}

// covers reports whether the redaction looks at a field of this name.
func (r *redaction) covers(name string) bool {
	if len(r.fields) == 0 {
		return true
	}
	for i := range r.fields {
		if _, _, ok := r.fields[i].Match(name); ok {
			return true
		}
	}
	return false
}

// mayMatch is the cheap test of a whole column's bytes: false means that no
// value in it matches.
func (r *redaction) mayMatch(data []byte) bool {
	switch {
	case r.literals != nil:
		for _, l := range r.literals {
			if bytes.Contains(data, l) {
				return true
			}
		}
		return false
	case r.re == nil:
		return true
	case !hasOne(data, r.oneOf):
		return false
	case len(r.needles) > 0:
		for _, n := range r.needles {
			if contains(data, n, r.fold) {
				return true
			}
		}
		return false
	case r.run.n > 0:
		return r.run.in(data)
	case !r.anchored:
		return r.re.Match(data)
	}
	return true
}

// apply appends v with its matches replaced, or nothing when there are none.
func (r *redaction) apply(dst, v []byte) ([]byte, bool) {
	switch {
	case r.literals != nil:
		found := false
		for _, l := range r.literals {
			if bytes.Contains(v, l) {
				v, found = bytes.ReplaceAll(v, l, r.replace), true
			}
		}
		if found {
			dst = append(dst, v...)
		}
		return dst, found
	case r.re == nil:
		return append(dst, r.replace...), true
	}
	if len(v) < r.minimum || (len(r.needles) > 0 || r.run.n > 0) && !r.mayMatch(v) {
		return dst, false
	}
	all := r.re.FindAllSubmatchIndex(v, -1)
	if len(all) == 0 {
		return dst, false
	}
	end := 0
	for _, m := range all {
		dst = append(dst, v[end:m[0]]...)
		if r.expand {
			dst = r.re.Expand(dst, r.replace, v, m)
		} else {
			dst = append(dst, r.replace...)
		}
		end = m[1]
	}
	return append(dst, v[end:]...), true
}

// redact applies every redaction, in the order of the rules.
func (p *Policy) redact(s *session, b *record.Batch) {
	if !p.redacts {
		return
	}
	p.mark(s, b)
	for i := range p.rules {
		r := &p.rules[i]
		if r.redact == nil {
			continue
		}
		only := s.only(i, r)
		cols := b.Columns()
		for _, c := range cols[:len(cols):len(cols)] {
			if len(c.Rows) == 0 || !s.covers(i, r.redact, c.Name) {
				continue
			}
			if c.Kind == record.String {
				s.redacted[i] += s.values(r.redact, c, only)
			} else {
				s.redacted[i] += s.numbers(r.redact, b, c, only)
			}
		}
		if len(r.redact.fields) == 0 && r.when == nil {
			s.redacted[i] += s.names(r.redact, b)
		}
	}
}

// maxCovered bounds the names that one rule remembers: a sender may invent a new
// one with every record.
const maxCovered = 4096

// covers is redaction.covers, which resolves names, asked once for each.
func (s *session) covers(rule int, r *redaction, name string) bool {
	if len(r.fields) == 0 {
		return true
	}
	known := s.covered[rule]
	is, ok := known[name]
	if !ok {
		is = r.covers(name)
		if known == nil || len(known) >= maxCovered {
			known = make(map[string]bool)
			s.covered[rule] = known
		}
		known[name] = is
	}
	return is
}

// values rewrites the values of a string column.
func (s *session) values(r *redaction, c *record.Column, only func(uint32) bool) (n uint64) {
	if !r.mayMatch(c.Data) {
		return 0
	}
	s.dst = s.dst[:0]
	start, changed := uint32(0), false
	for i := range c.Ends {
		v := c.Data[start:c.Ends[i]]
		start = c.Ends[i]
		hit := false
		if only == nil || only(c.Rows[i]) {
			s.dst, hit = r.apply(s.dst, v)
		}
		if hit {
			n, changed = n+1, true
		} else {
			s.dst = append(s.dst, v...)
		}
		c.Ends[i] = uint32(len(s.dst))
	}
	if changed {
		c.Data, s.dst = s.dst, c.Data // the old bytes become scratch
	}
	return n
}

// numbers looks at the digits of numbers and booleans. One that matches becomes a
// string, because no number could say that it was redacted.
func (s *session) numbers(r *redaction, b *record.Batch, c *record.Column, only func(uint32) bool) (n uint64) {
	if r.minimum > 32 || len(r.needles) > 0 && !r.digits() {
		return 0
	}
	var text [40]byte
	small := int64(0) // an integer below it has fewer bytes than any match
	if r.minimum > 2 && r.minimum < 20 {
		small = int64(math.Pow10(r.minimum - 2))
	}
	for i := 0; i < len(c.Rows); {
		if n := int64(c.Nums[i]); c.Kind == record.Int && n < small && n > -small {
			i++
			continue
		}
		v := c.Value(i).AppendText(text[:0])
		if len(v) < r.minimum || only != nil && !only(c.Rows[i]) {
			i++
			continue
		}
		out, hit := r.apply(nil, v)
		if !hit {
			i++
			continue
		}
		row := int(c.Rows[i])
		c.Remove(i)
		b.SetStringAt(row, c.Name, string(out))
		n++
	}
	return n
}

// digits reports whether a needle could be in a number's text.
func (r *redaction) digits() bool {
	for _, n := range r.needles {
		if strings.Trim(string(n), "0123456789.+-einfatrusl") == "" {
			return true
		}
	}
	return false
}

// names renames the columns whose name matches.
func (s *session) names(r *redaction, b *record.Batch) (n uint64) {
	for _, c := range b.Columns() {
		if len(c.Rows) == 0 || len(c.Name) < r.minimum || !r.mayMatch([]byte(c.Name)) {
			continue
		}
		if out, hit := r.apply(nil, []byte(c.Name)); hit {
			b.Rename(c, string(out))
			n++
		}
	}
	return n
}

// mark holds the conditions of redacting rules against every record, before any
// redaction changes what they see.
func (p *Policy) mark(s *session, b *record.Batch) {
	for i := range p.rules {
		if p.rules[i].redact == nil || p.rules[i].when == nil {
			continue
		}
		hits := s.hits[i][:0]
		for row := range b.Len() {
			hits = append(hits, s.matchers[i].MatchRow(b, row))
		}
		s.hits[i] = hits
	}
}

// only returns which records a rule redacts; nil means all.
func (s *session) only(i int, r *rule) func(uint32) bool {
	if r.when == nil {
		return nil
	}
	hits := s.hits[i]
	return func(row uint32) bool { return hits[row] }
}
