package filter

import (
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// line evaluates a leaf on the records' lines: the body where there is one,
// else the JSON of all fields. What can be sought in single values and names
// is; else candidates are rendered.
func (e *Evaluator) line(l *leaf, s Source, want, out Bitmap) error {
	rest := e.get(s.Rows())
	defer e.put(rest)
	copy(rest, want)
	cols := s.Columns()
	var bodies []int
	for i := range cols {
		if cols[i].Name == record.Body {
			bodies = append(bodies, i)
		}
	}
	slices.SortFunc(bodies, func(a, b int) int { return int(cols[a].Kind) - int(cols[b].Kind) })
	for _, i := range bodies {
		v, err := s.Load(i)
		if err != nil {
			return err
		}
		e.body(l, v, rest, out)
		if remove(rest, v); rest.Empty() {
			return nil
		}
	}
	if l.exact {
		x := l.p.(match.Contains)
		return e.inJSON(s, x.Value, x.Fold, rest, out)
	}
	some := e.get(s.Rows())
	defer e.put(some)
	for _, text := range l.inLine {
		clear(some)
		if err := e.inJSON(s, text, false, rest, some); err != nil {
			return err
		}
		if copy(rest, some); rest.Empty() {
			return nil
		}
	}
	return e.rendered(l, s, rest, out)
}

// body evaluates a leaf on the text of a body. A number's text is a text here.
func (e *Evaluator) body(l *leaf, v *block.Vector, want, out Bitmap) {
	if v.Kind == record.String {
		e.vector(l, v, 1, want, out)
		return
	}
	for i := range v.N {
		if row := v.Row(i); want.Has(row) {
			e.buf = appendNumber(e.buf[:0], v, v.Entry(i))
			if l.text(view(e.buf), &l.own) {
				out.Set(row)
			}
		}
	}
}

// inJSON sets in out the rows of want, which have no body, where a value or a
// name as it stands in the JSON line contains text (match.LineText).
func (e *Evaluator) inJSON(s Source, text string, fold bool, want, out Bitmap) error {
	cols := s.Columns()
	in := &leaf{p: match.Contains{Field: match.Line, Value: text, Fold: fold}}
	rest := e.get(s.Rows())
	defer e.put(rest)
	for i := range cols {
		if cols[i].Name == record.Labels {
			continue
		}
		copy(rest, want)
		if rest.AndNot(out); rest.Empty() {
			return nil
		}
		named := inText(in.p, cols[i].Name)
		if !named && !fold && lacks(s, i, text) {
			continue
		}
		v, err := s.Load(i)
		if err != nil {
			return err
		}
		if named {
			e.present(v, rest, out)
			continue
		}
		e.vector(in, v, 1, rest, out)
		if v.Kind == record.String && escapes(alphabet(s, i, v)) {
			e.escaped(in, v, rest, out)
		}
	}
	return nil
}

// inText reports whether p holds for s as JSON writes it.
func inText(p match.Predicate, s string) bool {
	if match.Escapes(s) {
		s = quoted(s)
	}
	return match.HoldsText(p, s)
}

// lacks reports whether it is known, without loading the column, that text is in
// none of its values as JSON writes them.
func lacks(s Source, column int, text string) bool {
	c := &s.Columns()[column]
	if c.Kind != record.String {
		return !numeric(text)
	}
	a, ok := s.(Alphabets)
	if !ok {
		return false
	}
	set := a.Alphabet(column)
	if set == nil || escapes(set) {
		return false
	}
	for i := range len(text) {
		if !set.Has(text[i]) {
			return true
		}
	}
	head := c.Head() // text in it may be of two entries: then one has to look
	return head != nil && !strings.Contains(view(head.Data), text)
}

// alphabet returns the bytes of a loaded string column.
func alphabet(s Source, column int, v *block.Vector) *block.ByteSet {
	a, ok := s.(Alphabets)
	if !ok {
		return block.BytesOf(v.Data)
	}
	if set := a.Alphabet(column); set != nil {
		return set
	}
	return a.Learn(column, v)
}

// escaped looks into the values that JSON writes in another way.
func (e *Evaluator) escaped(in *leaf, v *block.Vector, want, out Bitmap) {
	for i := range v.N {
		row := v.Row(i)
		if !want.Has(row) || out.Has(row) {
			continue
		}
		if b := v.Bytes(v.Entry(i)); match.Escapes(b) && match.HoldsText(in.p, quoted(view(b))) {
			out.Set(row)
		}
	}
}

// quoted returns s as JSON writes it, without the quotes.
func quoted(s string) string {
	q := match.AppendQuoted(nil, s)
	return string(q[1 : len(q)-1])
}

// escapes reports whether values of these bytes may be written in another way by
// JSON.
func escapes(set *block.ByteSet) bool {
	const controls = 1<<0x20 - 1
	return set[0]&controls != 0 || set.Has('"') || set.Has('\\') || set[2]|set[3] != 0
}

// rendered evaluates a leaf on the rendered lines of the rows of want.
func (e *Evaluator) rendered(l *leaf, s Source, want, out Bitmap) error {
	if want.Empty() {
		return nil
	}
	e.rows.Reset(s, nil)
	var r record.Record
	var err error
	want.Each(func(row int) {
		if err != nil {
			return
		}
		if r.Fields, err = e.rows.Fields(r.Fields[:0], row); err != nil {
			return
		}
		e.buf = match.AppendSorted(e.buf[:0], r.Fields)
		if l.text(view(e.buf), &l.own) {
			out.Set(row)
		}
	})
	return err
}

// Rows reads whole records out of a block, column by column loaded on demand.
type Rows struct {
	s     Source
	order []int // columns in the order that lines show them
	vecs  []*block.Vector
}

// Reset begins with a block, of which only the columns that want holds for are
// read; nil means all.
func (r *Rows) Reset(s Source, want func(column string) bool) {
	cols := s.Columns()
	r.s, r.order, r.vecs = s, r.order[:0], r.vecs[:0]
	for i := range cols {
		if want == nil || want(cols[i].Name) {
			r.order = append(r.order, i)
		}
	}
	slices.SortFunc(r.order, func(a, b int) int {
		return match.CompareFields(cols[a].Name, cols[a].Kind, cols[b].Name, cols[b].Kind)
	})
}

// Load reads the columns ahead of Fields.
func (r *Rows) Load() error {
	for len(r.vecs) < len(r.order) {
		v, err := r.s.Load(r.order[len(r.vecs)])
		if err != nil {
			return err
		}
		r.vecs = append(r.vecs, v)
	}
	return nil
}

// Fields appends the fields of a row. Strings alias the block.
func (r *Rows) Fields(dst []record.Field, row int) ([]record.Field, error) {
	if err := r.Load(); err != nil {
		return dst, err
	}
	cols := r.s.Columns()
	for k, v := range r.vecs {
		if i, ok := v.Find(row); ok {
			dst = append(dst, record.Field{Name: cols[r.order[k]].Name, Value: ValueOf(v, v.Entry(i))})
		}
	}
	return dst, nil
}

// Columns returns the names and vectors that Load read, in the order in which
// records show them. They are good until the next Reset.
func (r *Rows) Columns() (names []string, vecs []*block.Vector) {
	cols := r.s.Columns()
	names = make([]string, len(r.vecs))
	for k := range names {
		names[k] = cols[r.order[k]].Name
	}
	return names, r.vecs
}
