package policy

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
)

// attributePrefix begins the names of the attributes of dead letters.
const attributePrefix = "deadletter.attribute."

// covers reports whether the change looks at a field of this name.
func (c *change) covers(name string) bool {
	if len(c.fields) == 0 {
		return true
	}
	name = strings.TrimPrefix(name, attributePrefix)
	for i := range c.fields {
		if _, _, ok := c.fields[i].Match(name); ok {
			return true
		}
	}
	return false
}

// mayMatch is the cheap test of a whole column's bytes: false means that no
// value in it matches.
func (c *change) mayMatch(data []byte) bool {
	switch {
	case c.literals != nil:
		for _, l := range c.literals {
			if bytes.Contains(data, l) {
				return true
			}
		}
		return false
	case c.re == nil:
		return true
	case !hasOne(data, c.oneOf):
		return false
	case len(c.needles) > 0:
		for _, n := range c.needles {
			if contains(data, n, c.fold) {
				return true
			}
		}
		return false
	case c.run.n > 0:
		return c.run.in(data)
	case !c.anchored:
		return c.re.Match(data)
	}
	return true
}

// change applies every rule that changes values, in order.
func (s *session) change(b *record.Batch) {
	for i := range s.p.steps {
		if s.err != nil {
			return
		}
		if s.p.steps[i].detect != nil {
			s.detect(i, b)
		} else {
			s.rule(s.p.steps[i].rules[0], b)
		}
	}
}

// rule applies one rule that does not detect.
func (s *session) rule(i int, b *record.Batch) {
	r := &s.p.rules[i]
	cols := b.Columns()
	for _, c := range cols[:len(cols):len(cols)] {
		if len(c.Rows) == 0 || !s.covers(i, c.Name) {
			continue
		}
		if c.Kind == record.String {
			s.values(i, c)
		} else {
			s.numbers(i, b, c)
		}
	}
	if len(r.change.fields) == 0 {
		s.names(i, b)
	}
}

// maxCovered bounds the names that one rule remembers: a sender may invent a new
// one with every record.
const maxCovered = 4096

// covers reports whether a rule looks at the columns of a name. The names are
// resolved once. Of a dead letter only whole fields are chosen by name.
func (s *session) covers(rule int, name string) bool {
	c := s.p.rules[rule].change
	if len(c.fields) == 0 || s.dead && !c.whole() {
		return true
	}
	known := s.covered[rule]
	is, ok := known[name]
	if !ok {
		is = c.covers(name)
		if known == nil || len(known) >= maxCovered {
			known = make(map[string]bool)
			s.covered[rule] = known
		}
		known[name] = is
	}
	return is
}

// values rewrites the values of a string column.
func (s *session) values(rule int, c *record.Column) {
	ch := s.p.rules[rule].change
	if !ch.mayMatch(c.Data) {
		return
	}
	s.dst = s.dst[:0]
	start, changed := uint32(0), false
	for i := range c.Ends {
		v := c.Data[start:c.Ends[i]]
		start = c.Ends[i]
		hit := false
		if s.holds(rule, c.Rows[i]) {
			from := len(s.dst)
			if s.dst, hit = s.apply(ch, s.dst, v); hit && s.note != nil {
				s.note(rule, int(c.Rows[i]), c.Name, v, s.dst[from:])
			}
		}
		if hit {
			s.counts.changed[rule]++
			changed = true
		} else {
			s.dst = append(s.dst, v...)
		}
		c.Ends[i] = uint32(len(s.dst))
	}
	if changed {
		c.Data, s.dst = s.dst, c.Data // the old bytes become scratch
		c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
	}
}

// apply appends v with its matches changed, or nothing when there are none.
func (s *session) apply(ch *change, dst, v []byte) ([]byte, bool) {
	switch {
	case ch.literals != nil:
		found := false
		for _, l := range ch.literals {
			if bytes.Contains(v, l) {
				v, found = bytes.ReplaceAll(v, l, ch.replace), true
			}
		}
		if found {
			dst = append(dst, v...)
		}
		return dst, found
	case ch.re == nil:
		if len(v) == 0 && ch.does != redacts || s.p.left[string(v)] {
			return dst, false // nothing is nobody's, and a detector's mark says more
		}
		return s.replace(ch, dst, v, 0), true
	}
	if len(v) < ch.minimum || (len(ch.needles) > 0 || ch.run.n > 0) && !ch.mayMatch(v) {
		return dst, false
	}
	all := ch.re.FindAllSubmatchIndex(v, -1)
	if len(all) == 0 {
		return dst, false
	}
	end := 0
	for _, m := range all {
		from, to := m[0], m[1]
		if ch.group && m[2] >= 0 {
			from, to = m[2], m[3]
		}
		dst = append(dst, v[end:from]...)
		if ch.expand {
			dst = ch.re.Expand(dst, ch.replace, v, m)
		} else {
			dst = s.replace(ch, dst, v[from:to], 0)
		}
		end = to
	}
	return append(dst, v[end:]...), true
}

// numbers looks at the digits of numbers and booleans. One that matches becomes a
// string, because no number could say that it was changed.
func (s *session) numbers(rule int, b *record.Batch, c *record.Column) {
	ch := s.p.rules[rule].change
	if ch.minimum > 32 || len(ch.needles) > 0 && !ch.digits() {
		return
	}
	var text [40]byte
	small := int64(0) // an integer below it has fewer bytes than any match
	if ch.minimum > 2 && ch.minimum < 20 {
		small = int64(math.Pow10(ch.minimum - 2))
	}
	for i := 0; i < len(c.Rows); {
		if n := int64(c.Nums[i]); c.Kind == record.Int && n < small && n > -small {
			i++
			continue
		}
		v := c.Value(i).AppendText(text[:0])
		if len(v) < ch.minimum || !s.holds(rule, c.Rows[i]) {
			i++
			continue
		}
		out, hit := s.apply(ch, s.one[:0], v)
		s.one = out[:0]
		if !hit {
			i++
			continue
		}
		s.textify(rule, b, c, i, v, out)
	}
}

// textify replaces number i of a column by a text.
func (s *session) textify(rule int, b *record.Batch, c *record.Column, i int, before, after []byte) {
	row := int(c.Rows[i])
	if s.note != nil {
		s.note(rule, row, c.Name, before, after)
	}
	c.Remove(i)
	b.SetStringAt(row, c.Name, string(after))
	s.counts.changed[rule]++
}

// digits reports whether a needle could be in a number's text.
func (c *change) digits() bool {
	for _, n := range c.needles {
		if strings.Trim(string(n), "0123456789.+-einfatrusl") == "" {
			return true
		}
	}
	return false
}

// names renames the columns whose name matches.
func (s *session) names(rule int, b *record.Batch) {
	ch := s.p.rules[rule].change
	if ch.whole() {
		return
	}
	cols := b.Columns()
	for _, c := range cols[:len(cols):len(cols)] {
		if len(c.Rows) == 0 || len(c.Name) < ch.minimum || !ch.mayMatch([]byte(c.Name)) {
			continue
		}
		if out, hit := s.apply(ch, nil, []byte(c.Name)); hit {
			s.rename(rule, b, c, string(out))
		}
	}
}

// rename gives a column another name, in the records for which the rule's
// condition holds: in the others the field stays. A batch keeps its columns beyond
// its records, so a name that it has is not given to a second one.
func (s *session) rename(rule int, b *record.Batch, c *record.Column, name string) {
	all := true
	for _, row := range c.Rows {
		all = all && s.holds(rule, row)
	}
	if s.note != nil {
		for _, row := range c.Rows {
			if s.holds(rule, row) {
				s.note(rule, int(row), name, []byte(c.Name), []byte(name))
			}
		}
	}
	if all && !slices.ContainsFunc(b.Columns(), func(o *record.Column) bool { return o.Name == name }) {
		b.Rename(c, name)
		s.counts.changed[rule]++
		return
	}
	moved := false
	for i := 0; i < len(c.Rows); {
		if !s.holds(rule, c.Rows[i]) {
			i++
			continue
		}
		row, v := int(c.Rows[i]), c.Value(i)
		c.Remove(i)
		free := name // two names of one record may become one
		for n := 2; has(b, free, row); n++ {
			free = name + "#" + strconv.Itoa(n)
		}
		b.SetStringAt(row, free, v.Text())
		moved = true
	}
	if moved {
		s.counts.changed[rule]++
	}
}

// has reports whether a record has a string of a name.
func has(b *record.Batch, name string, row int) bool {
	c := stringColumn(b, name)
	if c == nil {
		return false
	}
	_, ok := c.Find(uint32(row))
	return ok
}
