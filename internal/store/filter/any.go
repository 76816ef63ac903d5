package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// maxMust is the number of texts of which a value must hold one, up to which they
// are sought in a column's alphabet.
const maxMust = 16

// prepareAny makes a leaf on match.AnyField ready.
func (l *leaf) prepareAny() {
	l.inLine, l.exact = lineTexts(l.p)
	switch p := l.p.(type) {
	case match.Word:
		// Beside a value or a name stands no part of a word in JSON, so a word without
		// the line's own signs is in the line when it is in one of these as JSON writes
		// them. That the value as it is holds it counts as well, unlike for the line.
		if match.LineText(p.Value) {
			l.inLine, l.exact = []string{p.Value}, true
		}
		l.must = []string{p.Value}
		for _, sign := range []string{"", "-"} {
			if _, ok := intText(sign + p.Value); ok && digits(p.Value) {
				l.ints = append(l.ints, &leaf{p: match.Eq{Field: match.AnyField, Value: sign + p.Value}})
			}
		}
	case match.Contains:
		l.must = []string{p.Value}
	case match.Eq:
		l.must = []string{p.Value}
	case match.Prefix:
		l.must = []string{p.Value}
	case match.In:
		l.must = p.Values
	case match.Regex:
		l.must = l.needles
	}
	if len(l.must) > maxMust || slices.Contains(l.must, "") {
		l.must = nil
	}
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// lacksAll reports whether none of the texts that a value must hold one of can be
// made of the bytes of a column.
func (l *leaf) lacksAll(set *block.ByteSet) bool {
	fold := folded(l.p)
	for _, text := range l.must {
		lacks := false
		for i := 0; i < len(text) && !lacks; i++ {
			lacks = !set.Has(text[i]) && !(fold && set.Has(otherCase(text[i])))
		}
		if !lacks {
			return false
		}
	}
	return len(l.must) > 0
}

// mayBeNumber reports whether the text form of a number from lo to hi, or of a
// bool, may hold a match.
func (l *leaf) mayBeNumber(kind record.Kind, lo, hi uint64) bool {
	switch kind {
	case record.Bool:
		return l.text("false", &l.own) || l.text("true", &l.own)
	case record.Float:
		return l.must == nil || slices.ContainsFunc(l.must, numeric)
	}
	switch p := l.p.(type) {
	case match.Eq:
		return inInts(p.Value, int64(lo), int64(hi))
	case match.Word:
		if digits(p.Value) {
			return inInts(p.Value, int64(lo), int64(hi)) || inInts("-"+p.Value, int64(lo), int64(hi))
		}
	}
	most := max(len(strconv.FormatInt(int64(lo), 10)), len(strconv.FormatInt(int64(hi), 10)))
	return l.must == nil || slices.ContainsFunc(l.must, func(s string) bool {
		return len(s) <= most && strings.Trim(s, "-0123456789") == ""
	})
}

// An anywhere is the search of one block for a leaf on match.AnyField.
type anywhere struct {
	l      *leaf
	bare   Bitmap // rows whose line is JSON and not yet settled; nil without such
	left   Bitmap // rows that are not known to match
	bodies int    // columns that hold bodies
}

// anyField evaluates a leaf on the records' lines and on all their fields, column
// by column: bodies first, then what the header tells entries of, then the others.
// It ends when no row is left. JSON is rendered only for a leaf that single values
// and names do not settle.
func (e *Evaluator) anyField(l *leaf, s Source, want, out Bitmap) error {
	bare, left := e.get(s.Rows()), e.get(s.Rows())
	defer e.put(bare)
	defer e.put(left)
	copy(bare, want)
	bodies, err := e.bodies(l, s, bare, out)
	if err != nil {
		return err
	}
	a := anywhere{l: l, bare: bare, left: left, bodies: bodies}
	if copy(left, want); a.done(out) {
		return nil
	}
	loose, own, err := restOf(s)
	if err != nil {
		return err
	}
	for _, coded := range []bool{true, false} {
		for i := range own {
			if (s.Columns()[i].Head() != nil) != coded {
				continue
			}
			if err := e.anyColumn(&a, s, i, out); err != nil {
				return err
			}
			if a.done(out) {
				return nil
			}
		}
	}
	e.anyLoose(&a, loose, out)
	if a.done(out) || l.exact || a.bare == nil {
		return nil
	}
	return e.jsonLines(l, s, a.bare, out)
}

// done takes the rows that match out of those that are left, and reports whether
// none is.
func (a *anywhere) done(out Bitmap) bool {
	a.left.AndNot(out)
	if a.bare != nil {
		if a.bare.AndNot(out); a.bare.Empty() {
			a.bare = nil
		}
	}
	return a.left.Empty()
}

// rows returns the rows in which the values of a stored field are looked at, false
// for none.
func (a *anywhere) rows(name string) (rows Bitmap, ok bool) {
	switch {
	case name == record.Labels, name == record.Body && a.bodies < 2:
		return nil, false
	case match.Sought(name):
		return a.left, true
	}
	return a.bare, a.inJSON()
}

// inJSON reports whether names, and values as JSON writes them, settle the lines
// that are JSON.
func (a *anywhere) inJSON() bool { return a.l.exact && a.bare != nil }

// anyColumn evaluates the leaf on one column.
func (e *Evaluator) anyColumn(a *anywhere, s Source, i int, out Bitmap) error {
	l, c := a.l, &s.Columns()[i]
	rows, ok := a.rows(c.Name)
	if !ok {
		return nil
	}
	if a.inJSON() && inText(l.p, c.Name) {
		v, err := s.Load(i)
		if err != nil {
			return err
		}
		if e.present(v, a.bare, out); a.done(out) {
			return nil
		}
	}
	if !match.Sought(c.Name) {
		v, err := s.Load(i)
		if err == nil {
			e.asJSON(l, v, rows, out)
		}
		return err
	}
	var set *block.ByteSet
	if x, ok := s.(Alphabets); ok && c.Kind == record.String {
		set = x.Alphabet(i)
	}
	asJSON := c.Kind == record.String && a.inJSON() && (set == nil || escapes(set))
	if !asJSON && (c.Kind == record.String && set != nil && l.lacksAll(set) ||
		c.Kind != record.String && !l.mayBeNumber(c.Kind, c.Min, c.Max)) {
		return nil
	}
	if _, ranged := l.p.(match.Range); ranged && c.Kind != record.String {
		v, err := s.Load(i)
		if err == nil {
			e.body(l, v, rows, out)
		}
		return err
	}
	hits := -1
	if head := c.Head(); head != nil {
		e.table = slices.Grow(e.table[:0], head.Entries())[:head.Entries()]
		if hits = l.entries(head, l.own, e.table, &e.buf); hits == 0 && !asJSON {
			return nil
		}
	}
	if !asJSON && hits < 0 {
		if parts, err := l.splitOf(s, i); err != nil {
			return err
		} else if parts != nil {
			return e.split(l, parts, rows, out)
		}
	}
	v, err := s.Load(i)
	if err != nil {
		return err
	}
	switch {
	case hits >= 0 && v.Form == block.Dict:
		if hits > 0 {
			e.coded(v, e.table, rows, out)
		}
	case v.Kind == record.Int && v.Form != block.Const && v.Form != block.Dict && len(l.ints) > 0:
		for _, x := range l.ints {
			e.ints(x, v, nil, rows, out)
		}
	default:
		e.vector(l, v, 1, rows, out)
	}
	if asJSON && escapes(alphabet(s, i, v)) {
		e.escaped(l, v, a.bare, out)
	}
	return nil
}

// asJSON evaluates the leaf on values as JSON writes them, and on nothing else.
func (e *Evaluator) asJSON(l *leaf, v *block.Vector, want, out Bitmap) {
	e.table = slices.Grow(e.table[:0], v.Entries())[:v.Entries()]
	for i := range e.table {
		e.buf = appendNumber(e.buf[:0], v, i)
		e.table[i] = inText(l.p, view(e.buf))
	}
	for i := range v.N {
		if row := v.Row(i); e.table[v.Entry(i)] && want.Has(row) {
			out.Set(row)
		}
	}
}

// anyLoose evaluates the leaf on the fields of a rest.
func (e *Evaluator) anyLoose(a *anywhere, rest *block.Rest, out Bitmap) {
	if rest == nil {
		return
	}
	l := a.l
	var v block.Vector
	for i := range rest.Len() {
		name, kind, _ := rest.Name(i)
		rows, ok := a.rows(name)
		if !ok {
			continue
		}
		rest.Read(i, &v)
		if a.inJSON() && inText(l.p, name) {
			e.present(&v, a.bare, out)
		}
		if !match.Sought(name) {
			e.asJSON(l, &v, rows, out)
			continue
		}
		asJSON := kind == record.String && a.inJSON() && match.Escapes(v.Data)
		if kind != record.String && !l.mayBeNumber(kind, 1<<63, 1<<63-1) || kind == record.String && !asJSON && !l.mayHold(v.Data) {
			continue
		}
		for k := range v.N {
			row := v.Row(k)
			if !rows.Has(row) || out.Has(row) {
				continue
			}
			e.buf = appendNumber(e.buf[:0], &v, v.Entry(k))
			if e.text(l, view(e.buf), &l.own) || asJSON && a.bare.Has(row) && inText(l.p, view(e.buf)) {
				out.Set(row)
			}
		}
	}
}

// mayHold reports whether data, some values one after the other, hold one of the
// texts that a matching value must.
func (l *leaf) mayHold(data []byte) bool {
	fold := folded(l.p)
	return l.must == nil || slices.ContainsFunc(l.must, func(text string) bool {
		return match.HoldsText(match.Contains{Value: text, Fold: fold}, view(data))
	})
}

// anyField prunes by what the line of a record holds, and by the tokens of every
// column: bodies first, because they hold most words.
func (p *pruner) anyField(l *leaf, set []uint64) error {
	cols := p.r.Directory.Columns
	bodied := bodied(p.r)
	if !bodied && len(l.inLine) == 0 {
		return nil // a line may be anything
	}
	order := make([]int, 0, len(cols))
	for i := range cols {
		if cols[i].Name == record.Body {
			order = append(order, i)
		}
	}
	for i := range cols {
		if cols[i].Name != record.Body {
			order = append(order, i)
		}
	}
	return p.any(set, len(cols), func(i int, some []uint64) error {
		c := &cols[order[i]]
		switch {
		case isRest(c):
			and(some, c.Blocks)
			return p.hashes(l.loose(bodied), segment.RestHash, some)
		case c.Name == record.Labels, bodied && !match.Sought(c.Name):
			clear(some)
			return nil
		}
		and(some, c.Blocks)
		switch {
		case !bodied && c.Name != record.Body:
			return p.inJSON(l, c, some)
		case c.Kind == record.String:
			return p.tokens(c.Name, l.want, some)
		case !l.mayBeNumber(c.Kind, c.Min, c.Max):
			clear(some)
		}
		return nil
	})
}

// loose returns the tokens that the rest of a block must hold for a match in it.
func (l *leaf) loose(bodied bool) alternatives {
	if bodied {
		return l.want
	}
	return alternativesOf([][]piece{{l.firstInLine()}})
}

// bodied reports whether every record of a segment is known to have a body: a
// column of one kind has one of each. The sum over several kinds would not do,
// because a record may have several.
func bodied(r *segment.Reader) bool {
	return slices.ContainsFunc(r.Directory.Columns, func(c segment.Column) bool {
		return c.Name == record.Body && !isRest(&c) && c.Values >= r.Records
	})
}
