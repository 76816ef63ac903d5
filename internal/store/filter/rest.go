package filter

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// Wide is a Source that may have a rest (block.Rest): fields that Columns does
// not list until they are asked for. A field of the rest may be a better meaning
// of a name than a listed column, or one that no column has, so whoever resolves
// a name on a source calls Widen first.
type Wide interface {
	// InRest reports whether the rest may hold a field that an asked name means.
	InRest(res *schema.Resolution) bool
	// Widen lists the fields of the rest that an asked name means, nil for all of
	// them, behind the columns that are listed already: their numbers stay.
	Widen(res *schema.Resolution) error
	// Rest returns the rest, which may be nil, and how many of the columns are not
	// of it.
	Rest() (rest *block.Rest, own int, err error)
}

// inRest reports whether the rest of s may hold a field that a name means.
func inRest(s Source, res *schema.Resolution) bool {
	w, ok := s.(Wide)
	return ok && w.InRest(res)
}

// Widen makes s list all that a name may mean; nil stands for every name.
func Widen(s Source, res *schema.Resolution) error {
	if w, ok := s.(Wide); ok && (res == nil || w.InRest(res)) {
		return w.Widen(res)
	}
	return nil
}

// restOf returns the rest of s, or nil, and how many of its columns are not of it.
func restOf(s Source) (rest *block.Rest, own int, err error) {
	if w, ok := s.(Wide); ok {
		return w.Rest()
	}
	return nil, len(s.Columns()), nil
}

// inRest is inJSON for the fields of a rest, of which there may be many with few
// values each.
func (e *Evaluator) inRest(p match.Predicate, rest *block.Rest, want, out Bitmap) {
	x := p.(match.Contains)
	var v block.Vector
	for i := range rest.Len() {
		name, kind, _ := rest.Name(i)
		if name == record.Labels {
			continue
		}
		rest.Read(i, &v)
		if inText(p, name) {
			e.present(&v, want, out)
			continue
		}
		if !x.Fold && (kind != record.String && !numeric(x.Value) ||
			kind == record.String && !strings.Contains(view(v.Data), x.Value) && !match.Escapes(v.Data)) {
			continue
		}
		for k := range v.N {
			row := v.Row(k)
			if !want.Has(row) || out.Has(row) {
				continue
			}
			e.buf = appendNumber(e.buf[:0], &v, k)
			if match.HoldsText(p, view(e.buf)) || kind == record.String && inText(p, view(e.buf)) {
				out.Set(row)
			}
		}
	}
}

// Fields are the asked names whose values are wanted; nil are all.
type Fields []schema.Resolution

// FieldsOf returns what a list of names asks for.
func FieldsOf(names []string) Fields {
	if names == nil {
		return nil
	}
	out := make(Fields, len(names))
	for i, n := range names {
		out[i] = schema.Resolve(n)
	}
	return out
}

// widen makes s list all that is wanted by name.
func (f Fields) widen(s Source) error {
	for i := range f {
		if err := Widen(s, &f[i]); err != nil {
			return err
		}
	}
	return nil
}

// Has reports whether a stored column is wanted.
func (f Fields) Has(column string) bool {
	for i := range f {
		if _, _, ok := f[i].Match(column); ok {
			return true
		}
	}
	return f == nil
}

// body means the columns in which records keep their line.
var body = schema.Resolve(record.Body)

// rest keeps the blocks whose rest may hold a match: a field that is called so,
// and the tokens of its value, if not in that field then in another.
func (p *pruner) rest(l *leaf, c *segment.Column, set []uint64) error {
	and(set, c.Blocks)
	if err := p.restNames(&l.res, set); err != nil {
		return err
	}
	return p.hashes(l.want, segment.RestHash, set)
}

// restNames keeps the blocks whose rest may hold what a name means.
func (p *pruner) restNames(res *schema.Resolution, set []uint64) error {
	if p.bounds {
		return nil
	}
	names := res.Names()
	return p.any(set, len(names), func(i int, some []uint64) error {
		return p.r.Probe(segment.RestToken(names[i]), some, p.cost)
	})
}

// restLine keeps the blocks where the line of a record may be a body in the
// rest, or JSON with a text in the rest. Bodied says that all have a body.
func (p *pruner) restLine(l *leaf, c *segment.Column, bodied bool, set []uint64) error {
	and(set, c.Blocks)
	if bodied {
		if err := p.restNames(&body, set); err != nil || empty(set) {
			return err
		}
	}
	want := l.want
	if len(l.inLine) > 0 { // a body holds it as well
		want = alternativesOf([][]piece{{l.firstInLine()}})
	}
	return p.hashes(want, segment.RestHash, set)
}

// folded reports whether a leaf takes letters of either case as equal.
func folded(p match.Predicate) bool {
	switch p := p.(type) {
	case match.Contains:
		return p.Fold
	case match.Word:
		return p.Fold
	}
	return false
}

// isRest reports whether a column of a directory stands for the rest.
func isRest(c *segment.Column) bool { return c.Kind == block.RestKind }

// Widened is the list of columns of a Wide source: at first those of the block,
// then also fields of its rest. The zero Widened lists nothing.
type Widened struct {
	Columns []block.Column

	own    int // columns of the block
	rest   *block.Rest
	groups []int32 // of rest, by column behind own
	listed []bool  // by group
}

// Start lists the columns of the block.
func (w *Widened) Start(columns []block.Column) {
	*w = Widened{Columns: columns[:len(columns):len(columns)], own: len(columns)}
}

// List adds the fields of rest that a name means, or all, which are not listed.
// The rest is the same in every call.
func (w *Widened) List(rest *block.Rest, res *schema.Resolution) {
	if w.rest = rest; w.listed == nil {
		w.listed = make([]bool, rest.Len())
	}
	for i := range w.listed {
		if w.listed[i] {
			continue
		}
		name, _, _ := rest.Name(i)
		if res != nil {
			if _, _, ok := res.Match(name); !ok {
				continue
			}
		}
		w.listed[i] = true
		w.Columns, w.groups = append(w.Columns, rest.Column(i)), append(w.groups, int32(i))
	}
}

// Vector returns the values of a field of the rest; ok is false for a column of
// the block itself.
func (w *Widened) Vector(column int) (v *block.Vector, ok bool) {
	if w.rest == nil || column < w.own {
		return nil, false
	}
	return w.rest.Vector(int(w.groups[column-w.own])), true
}

// Means reports whether rest holds a field that an asked name means.
func Means(rest *block.Rest, res *schema.Resolution) bool {
	for i, name := range res.Names() {
		if rest.Holds(name, i == 0) {
			return true
		}
	}
	return false
}
