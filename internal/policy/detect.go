package policy

import (
	"math"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A detection is one walk of the detectors over all columns, for several rules.
// What is found belongs to the first rule that wants its kind, looks at its field
// and holds for its record.
type detection struct {
	kinds   sensitive.Set
	scanner *sensitive.Scanner
}

func (d *detection) add(kinds sensitive.Set) {
	d.kinds |= kinds
	d.scanner = sensitive.New(d.kinds)
}

// found is a value with findings.
type found struct {
	value    int // index in the column
	from, to int // in session.finds
}

// extracted ends the name of what a payload says under a name that the receiver
// gave already: a password_extracted is a password.
const extracted = "_extracted"

// least is the smallest whole number that any kind may be: a telephone's of seven
// digits.
const least = 1_000_000

func (s *session) detect(step int, b *record.Batch) {
	st := &s.p.steps[step]
	cols := b.Columns()
	for _, c := range cols[:len(cols):len(cols)] {
		if len(c.Rows) == 0 || c.Kind == record.Bool || !s.looks(st, c.Name) {
			continue
		}
		f := s.field(step, c.Name)
		if c.Kind == record.String {
			if kind := f.KindColumn(); kind != "" {
				s.bodies(st, stringColumn(b, kind), c)
				s.bodies(st, stringColumn(b, kind+extracted), c) // where another kind has its name
			}
			s.search(st, f, c)
		} else {
			s.digits(st, f, b, c)
		}
	}
	s.searchNames(step, b)
}

// stringColumn returns the column of strings of a name, or nil.
func stringColumn(b *record.Batch, name string) *record.Column {
	for _, c := range b.Columns() {
		if c.Kind == record.String && c.Name == name && len(c.Rows) > 0 {
			return c
		}
	}
	return nil
}

// bodies rewrites the values in c of records that are Kubernetes Secrets, or lists
// of them, which the column kind tells.
func (s *session) bodies(st *step, kind, c *record.Column) {
	if kind == nil || kind == c {
		return
	}
	s.finds, s.found = s.finds[:0], s.found[:0]
	start := uint32(0)
	for i, row := range c.Rows {
		v := c.Data[start:c.Ends[i]]
		start = c.Ends[i]
		at, ok := kind.Find(row)
		if !ok || len(v) == 0 {
			continue
		}
		n := len(s.finds)
		switch string(kind.Bytes(at)) {
		case "Secret":
			s.finds = append(s.finds, sensitive.Finding{End: len(v), Kind: sensitive.K8sSecret})
		case "SecretList":
			s.finds = st.detect.scanner.FindBodies(s.finds, v)
		}
		if len(s.finds) > n {
			s.found = append(s.found, found{i, n, len(s.finds)})
		}
	}
	if len(s.found) > 0 {
		s.rewrite(st, c)
	}
}

// looks reports whether a rule of the step looks at columns of a name.
func (s *session) looks(st *step, name string) bool {
	for _, r := range st.rules {
		if s.covers(r, name) {
			return true
		}
	}
	return false
}

// field is what a column's name tells the detectors, read once.
func (s *session) field(step int, name string) sensitive.Field {
	known := s.fields[step]
	f, ok := known[name]
	if !ok {
		if known == nil || len(known) >= maxCovered {
			known = make(map[string]sensitive.Field)
			s.fields[step] = known
		}
		as := name
		if len(name) > len(attributePrefix) && name[:len(attributePrefix)] == attributePrefix {
			as = name[len(attributePrefix):]
		}
		as = strings.TrimSuffix(as, extracted)
		f = s.p.steps[step].detect.scanner.Field(as)
		known[name] = f
	}
	return f
}

// search rewrites the values of a string column.
func (s *session) search(st *step, f sensitive.Field, c *record.Column) {
	scanner := st.detect.scanner
	if !f.Named() && !scanner.MayFindIn(c.Data, c.Ends) {
		return
	}
	s.finds, s.found = s.finds[:0], s.found[:0]
	s.cursor.Reset(scanner, f, c.Data, c.Ends)
	for {
		from := len(s.finds)
		var i int
		if i, s.finds = s.cursor.Next(s.finds); i < 0 {
			break
		}
		s.found = append(s.found, found{i, from, len(s.finds)})
	}
	if len(s.found) > 0 {
		s.rewrite(st, c)
	}
}

// rewrite puts what stands instead into the values that have findings.
func (s *session) rewrite(st *step, c *record.Column) {
	s.dst = s.dst[:0]
	var (
		next    int    // the first value whose end is not set
		done    uint32 // bytes of c.Data that are dealt with
		grown   uint32 // by how much ends have moved, modulo 2^32
		changed bool
	)
	for _, h := range s.found {
		start, end := done, c.Ends[h.value]
		if h.value > next {
			start = c.Ends[h.value-1]
		}
		for ; next < h.value; next++ {
			c.Ends[next] += grown
		}
		s.dst = append(s.dst, c.Data[done:start]...)
		if s.value(st, c.Name, c.Rows[h.value], c.Data[start:end], s.finds[h.from:h.to]) {
			changed = true
		}
		c.Ends[h.value] = uint32(len(s.dst))
		grown, done, next = uint32(len(s.dst))-end, end, h.value+1
	}
	if !changed {
		return // and no end has moved
	}
	for ; next < len(c.Ends); next++ {
		c.Ends[next] += grown
	}
	s.dst = append(s.dst, c.Data[done:]...)
	c.Data, s.dst = s.dst, c.Data // the old bytes become scratch
	c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
}

// value appends a value with its findings replaced.
func (s *session) value(st *step, name string, row uint32, v []byte, finds []sensitive.Finding) bool {
	from, end := len(s.dst), 0
	s.touched = s.touched[:0]
	for _, f := range finds {
		r := s.whose(st, name, row, f.Kind)
		if r < 0 {
			continue
		}
		s.dst = append(s.dst, v[end:f.Start]...)
		s.dst = s.replace(s.p.rules[r].change, s.dst, v[f.Start:f.End], f.Kind)
		end = f.End
		if !slices.Contains(s.touched, r) {
			s.touched = append(s.touched, r)
			s.counts.changed[r]++
		}
	}
	s.dst = append(s.dst, v[end:]...)
	if s.note != nil {
		for _, r := range s.touched {
			s.note(r, int(row), name, v, s.dst[from:])
		}
	}
	return len(s.touched) > 0
}

// searchNames renames the columns whose name itself has findings, for rules that
// are not limited to fields.
func (s *session) searchNames(step int, b *record.Batch) {
	st := &s.p.steps[step]
	cols := b.Columns()
	for _, c := range cols[:len(cols):len(cols)] {
		if len(c.Rows) == 0 || s.clean[step][c.Name] {
			continue
		}
		s.finds = st.detect.scanner.Find(s.finds[:0], "", []byte(c.Name))
		if len(s.finds) == 0 {
			if len(s.clean[step]) >= maxCovered || s.clean[step] == nil {
				s.clean[step] = make(map[string]bool)
			}
			s.clean[step][c.Name] = true
			continue
		}
		for _, r := range st.rules {
			ch := s.p.rules[r].change
			if len(ch.fields) > 0 && !s.dead {
				continue
			}
			name, out, end := c.Name, []byte(nil), 0
			for _, f := range s.finds {
				if ch.kinds.Has(f.Kind) {
					out = s.replace(ch, append(out, name[end:f.Start]...), []byte(name[f.Start:f.End]), f.Kind)
					end = f.End
				}
			}
			if end > 0 {
				s.rename(r, b, c, string(append(out, name[end:]...)))
				s.finds = st.detect.scanner.Find(s.finds[:0], "", []byte(c.Name))
			}
		}
	}
}

// digits looks at whole numbers.
func (s *session) digits(st *step, f sensitive.Field, b *record.Batch, c *record.Column) {
	scanner := st.detect.scanner
	var text [40]byte
	for i := 0; i < len(c.Rows); i++ {
		n, fraction := int64(c.Nums[i]), false
		if c.Kind == record.Float {
			x := math.Float64frombits(c.Nums[i])
			if fraction = math.Abs(x) >= 1<<63 || x != math.Trunc(x); fraction && !f.Named() {
				continue
			}
			n = int64(x)
		}
		if n < least && !f.Named() {
			continue
		}
		kind, is := f.Whole()
		if is = is && fraction; !is && !fraction {
			kind, is = scanner.FindInt(f, n)
		}
		if !is {
			continue
		}
		r := s.whose(st, c.Name, c.Rows[i], kind)
		if r < 0 {
			continue
		}
		v := record.IntValue(n).AppendText(text[:0])
		if fraction {
			v = c.Value(i).AppendText(text[:0])
		}
		out := s.replace(s.p.rules[r].change, s.one[:0], v, kind)
		s.one = out[:0]
		s.textify(r, b, c, i, v, out)
		i--
	}
}

// whose returns the rule that a finding belongs to, or -1.
func (s *session) whose(st *step, name string, row uint32, kind sensitive.Kind) int {
	for _, r := range st.rules {
		if s.p.rules[r].change.kinds.Has(kind) && s.covers(r, name) && s.holds(r, row) {
			return r
		}
	}
	return -1
}
