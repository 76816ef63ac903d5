package exec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Label is one name and value of a series or stream.
type Label struct{ Name, Value string }

// Labels are sorted by name; names are unique and values never empty.
type Labels []Label

// Get returns the value of a label, or "".
func (l Labels) Get(name string) string {
	for i := range l {
		if l[i].Name == name {
			return l[i].Value
		}
	}
	return ""
}

// Key returns a text that equal labels, and only they, share.
func (l Labels) Key() string {
	var b []byte
	for i := range l {
		b = append(strconv.AppendInt(b, int64(len(l[i].Name)), 10), ':')
		b = append(b, l[i].Name...)
		b = append(strconv.AppendInt(b, int64(len(l[i].Value)), 10), ':')
		b = append(b, l[i].Value...)
	}
	return string(b)
}

// Compare orders labels by names and values.
func (l Labels) Compare(o Labels) int {
	return slices.CompareFunc(l, o, func(x, y Label) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Value, y.Value))
	})
}

// String renders the labels as Loki does: {a="b", c="d"}.
func (l Labels) String() string {
	b := []byte{'{'}
	for i := range l {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendQuote(append(append(b, l[i].Name...), '='), l[i].Value)
	}
	return string(append(b, '}'))
}

// Clone returns labels that share no memory with l.
func (l Labels) Clone() Labels {
	if l == nil {
		return nil
	}
	out := make(Labels, len(l))
	for i := range l {
		out[i] = Label{strings.Clone(l[i].Name), strings.Clone(l[i].Value)}
	}
	return out
}

// Map returns the labels as a map.
func (l Labels) Map() map[string]string {
	m := make(map[string]string, len(l))
	for i := range l {
		m[l[i].Name] = l[i].Value
	}
	return m
}

// sorted puts labels in order, drops empty values and all but the first of
// equal names.
func sorted(l Labels) Labels {
	out := l[:0]
	for i := range l {
		if l[i].Value != "" {
			out = append(out, l[i])
		}
	}
	slices.SortStableFunc(out, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b Label) bool { return a.Name == b.Name })
}

// keep returns the labels that are in names (or, with drop, are not).
func (l Labels) keep(names []string, drop bool) Labels {
	out := make(Labels, 0, len(l))
	for i := range l {
		if slices.Contains(names, l[i].Name) != drop {
			out = append(out, l[i])
		}
	}
	return out
}

// A Labeler finds the stream labels of records: the schema's, where a record
// has them, and the fields that its sender declared to be labels. It is not
// safe for concurrent use.
type Labeler struct {
	asked []schema.Resolution // of the schema's stream labels
	names []string
	cols  map[string][]labelOf
	best  []candidate
}

// labelOf says that a column may give label i, with what rank.
type labelOf struct{ i, rank int }

type candidate struct {
	field *record.Field
	rank  int
}

// NewLabeler returns a Labeler.
func NewLabeler() *Labeler {
	l := &Labeler{cols: map[string][]labelOf{}}
	for _, s := range schema.StreamLabels() {
		l.asked = append(l.asked, schema.Resolve(s.Label))
		l.names = append(l.names, s.Label)
	}
	l.best = make([]candidate, len(l.asked))
	return l
}

// maxColumns bounds the column names that a Labeler remembers.
const maxColumns = 4096

func (l *Labeler) column(name string) []labelOf {
	c, ok := l.cols[name]
	if ok {
		return c
	}
	for i := range l.asked {
		if _, rank, ok := l.asked[i].Match(name); ok {
			c = append(c, labelOf{i, rank})
		}
	}
	if len(l.cols) < maxColumns {
		l.cols[name] = c
	}
	return c
}

// Labels returns the stream labels of r.
func (l *Labeler) Labels(r *record.Record) Labels {
	clear(l.best)
	declared := ""
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Name == record.Labels {
			declared = f.Value.Text()
			continue
		}
		for _, c := range l.column(f.Name) {
			b := &l.best[c.i]
			if b.field == nil || c.rank < b.rank || c.rank == b.rank &&
				cmp.Or(cmp.Compare(f.Name, b.field.Name), cmp.Compare(f.Value.Kind, b.field.Value.Kind)) < 0 {
				*b = candidate{f, c.rank}
			}
		}
	}
	out := make(Labels, 0, 8)
	for i, b := range l.best {
		if b.field != nil {
			out = append(out, Label{l.names[i], b.field.Value.Text()})
		}
	}
	for name := range split(declared) {
		if v, ok := match.Value(name, r); ok {
			out = append(out, Label{schema.Identifier(name), v.Text()})
		}
	}
	return sorted(out)
}

// split cuts the value of stream.labels into names.
func split(declared string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if declared == "" {
			return
		}
		for name := range strings.SplitSeq(declared, ",") {
			if name != "" && !yield(name) {
				return
			}
		}
	}
}
