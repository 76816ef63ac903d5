package filter

import (
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// line evaluates a leaf on the records' lines: the body where there is one,
// else the JSON of all fields.
func (e *Evaluator) line(l *leaf, s Source, want, out Bitmap) error {
	rest := e.get(s.Rows())
	defer e.put(rest)
	copy(rest, want)
	if _, err := e.bodies(l, s, rest, out); err != nil || rest.Empty() {
		return err
	}
	return e.jsonLines(l, s, rest, out)
}

// bodies evaluates a leaf on the rows of rest that have a body, and takes them out
// of it. It returns how many columns hold bodies.
func (e *Evaluator) bodies(l *leaf, s Source, rest, out Bitmap) (n int, err error) {
	if err := Widen(s, &body); err != nil {
		return 0, err
	}
	cols := s.Columns()
	var bodies []int
	for i := range cols {
		if cols[i].Name == record.Body {
			bodies = append(bodies, i)
		}
	}
	slices.SortFunc(bodies, func(a, b int) int { return int(cols[a].Kind) - int(cols[b].Kind) })
	for _, i := range bodies {
		if rest.Empty() {
			break
		}
		if parts, err := l.splitOf(s, i); err != nil {
			return 0, err
		} else if parts != nil {
			if err := e.split(l, parts, rest, out); err != nil {
				return 0, err
			}
			removeRows(rest, parts.Rows)
			continue
		}
		v, err := s.Load(i)
		if err != nil {
			return 0, err
		}
		e.body(l, v, rest, out)
		remove(rest, v)
	}
	return len(bodies), nil
}

// jsonLines evaluates a leaf on the lines of rows without a body, which rest keeps
// some of. What can be sought in single values and names is; else candidates are
// rendered.
func (e *Evaluator) jsonLines(l *leaf, s Source, rest, out Bitmap) error {
	if x, ok := l.p.(match.Contains); ok && l.exact {
		return e.inJSON(s, x.Value, x.Fold, rest, out)
	}
	some := e.get(s.Rows())
	defer e.put(some)
	for _, text := range l.inLine {
		clear(some)
		if err := e.inJSON(s, text, folded(l.p), rest, some); err != nil {
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
	loose, own, err := restOf(s)
	if err != nil {
		return err
	}
	cols := s.Columns()[:own]
	in := &leaf{p: match.Contains{Field: match.Line, Value: text, Fold: fold}}
	in.preparePatterns()
	e.inRest(in.p, loose, want, out)
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
		if !named && lacks(s, i, text, fold) {
			continue
		}
		if !named && unescaped(s, i) {
			if parts, err := in.splitOf(s, i); err != nil {
				return err
			} else if parts != nil {
				if err := e.split(in, parts, rest, out); err != nil {
					return err
				}
				continue
			}
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
// none of its values as JSON writes them; with fold, in letters of either case.
func lacks(s Source, column int, text string, fold bool) bool {
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
		if b := text[i]; !set.Has(b) && !(fold && set.Has(otherCase(b))) {
			return true
		}
	}
	head := c.Head() // text in it may be of two entries: then one has to look
	return head != nil && !match.HoldsText(match.Contains{Value: text, Fold: fold}, view(head.Data))
}

// otherCase returns an ASCII letter in the other case, and another byte as it is.
func otherCase(b byte) byte {
	if b|0x20 >= 'a' && b|0x20 <= 'z' {
		return b ^ 0x20
	}
	return b
}

// unescaped reports whether it is known, without loading the column, that JSON
// writes its values as they are.
func unescaped(s Source, column int) bool {
	a, ok := s.(Alphabets)
	if !ok {
		return false
	}
	set := a.Alphabet(column)
	return set != nil && !escapes(set)
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
	want  Fields
	ready bool        // order is known
	order []int       // columns in the order that lines show them
	rest  *block.Rest // fields that are wanted beside them, or nil
	vecs  []*block.Vector
}

// Reset begins with a block, of which only the columns that are wanted are read.
func (r *Rows) Reset(s Source, want Fields) {
	r.s, r.want, r.ready, r.rest = s, want, false, nil
	r.order, r.vecs = r.order[:0], r.vecs[:0]
}

// begin finds the columns that are read.
func (r *Rows) begin() error {
	if err := r.want.widen(r.s); err != nil {
		return err
	}
	cols := r.s.Columns()
	if r.want == nil {
		rest, own, err := restOf(r.s)
		if err != nil {
			return err
		}
		r.rest, cols = rest, cols[:own]
	}
	r.ready = true
	for i := range cols {
		if r.want.Has(cols[i].Name) {
			r.order = append(r.order, i)
		}
	}
	slices.SortFunc(r.order, func(a, b int) int {
		return match.CompareFields(cols[a].Name, cols[a].Kind, cols[b].Name, cols[b].Kind)
	})
	return nil
}

// Load reads the columns ahead of Fields.
func (r *Rows) Load() error {
	if !r.ready {
		if err := r.begin(); err != nil {
			return err
		}
	}
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
	start := len(dst)
	for k, v := range r.vecs {
		if i, ok := v.Find(row); ok {
			dst = append(dst, record.Field{Name: cols[r.order[k]].Name, Value: ValueOf(v, v.Entry(i))})
		}
	}
	loose := len(dst)
	if dst = r.Loose(dst, row); len(dst) > loose {
		InOrder(dst[start:])
	}
	return dst, nil
}

// InOrder sorts the fields of a record as lines show them.
func InOrder(fields []record.Field) {
	slices.SortFunc(fields, func(a, b record.Field) int {
		return match.CompareFields(a.Name, a.Value.Kind, b.Name, b.Value.Kind)
	})
}

// Loose appends the fields that a row has in the rest, of which Columns says
// nothing. Strings alias the block.
func (r *Rows) Loose(dst []record.Field, row int) []record.Field {
	if r.rest == nil {
		return dst
	}
	values := r.rest.Row(row)
	for _, i := range values {
		name, kind, n, text := r.rest.Value(i)
		f := record.Field{Name: name}
		switch kind {
		case record.String:
			f.Value = record.StringValue(view(text))
		case record.Int:
			f.Value = record.IntValue(int64(n))
		case record.Float:
			f.Value = record.FloatValue(math.Float64frombits(n))
		default:
			f.Value = record.BoolValue(n != 0)
		}
		dst = append(dst, f)
	}
	return dst
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
