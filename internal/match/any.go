package match

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// AnyField is the field name that stands for a record's line and for each of its
// fields: a leaf on it holds when it holds for the line, or for the text form of
// the value of some field that Sought names. Like Line it is no stored column, and
// it has no value of its own: nothing can be shown or counted by it.
const AnyField = "__any__"

// parsePrefix begins the names of what intake notes of how it understood a record.
const parsePrefix = "parse."

// Sought reports whether a stored field is one of those that AnyField stands for:
// all but the house's own notes, which name the stream and how it was understood.
// In a line that is JSON the latter are found like everything that it shows.
func Sought(column string) bool {
	return column != record.Labels && !strings.HasPrefix(column, parsePrefix)
}

// holdsAny is the definition of a leaf on AnyField. Numbers are sought by their
// text form, as they are in a line.
func holdsAny(p Predicate, r *record.Record) bool {
	res := schema.Resolve(AnyField)
	own := numbersOf(p, &res, 1)
	for i := range r.Fields {
		f := &r.Fields[i]
		if Sought(f.Name) && holds(p, record.StringValue(f.Value.Text()), own) {
			return true
		}
	}
	return holds(p, record.StringValue(string(AppendLine(nil, r))), own)
}

// anyOf is holdsAny for a record of a leaf made ready. The line is made only when
// it is not one of the fields.
func (m *Matcher) anyOf(n *node, r *record.Record) bool {
	bodied := false
	for i := range r.Fields {
		f := &r.Fields[i]
		if !Sought(f.Name) {
			continue
		}
		bodied = bodied || f.Name == record.Body
		if f.Value.Kind == record.String {
			if holds(n.leaf, f.Value, n.own) {
				return true
			}
			continue
		}
		if m.line = f.Value.AppendText(m.line[:0]); n.text(m.line) {
			return true
		}
	}
	if bodied {
		return false
	}
	m.line = AppendJSON(m.line[:0], r.Fields)
	return n.text(m.line)
}

// anyOfRow is anyOf for record i of the bound batch.
func (m *Matcher) anyOfRow(n *node, b *record.Batch, i int) bool {
	bodied := false
	for j := range n.bound {
		c := n.bound[j].col
		k, ok := c.Find(uint32(i))
		if !ok {
			continue
		}
		bodied = bodied || c.Name == record.Body
		if c.Kind == record.String {
			if n.text(c.Bytes(k)) {
				return true
			}
			continue
		}
		if m.line = c.Value(k).AppendText(m.line[:0]); n.text(m.line) {
			return true
		}
	}
	if bodied {
		return false
	}
	r := b.Record(i)
	m.line = AppendJSON(m.line[:0], r.Fields)
	return n.text(m.line)
}
