package schema

import "strings"

// Resolve returns what an asked name means. It never fails: an unknown name
// means the column of that name, or one that LogQL writes the same way. It
// allocates nothing; the references belong to the dictionary.
//
// A name that the dictionary knows, be it canonical, an alias, or the LogQL form
// of either, means the canonical column first, in the unit of the asked name,
// and then the columns in which unknown JSON keeps the same thing (Field.Also).
func Resolve(name string) Resolution {
	r := Resolution{Asked: name}
	if m, ok := dictionary.meanings[name]; ok {
		r.Unit, r.refs = m.unit, m.refs
	}
	return r
}

// Lookup returns the field with this canonical name. The Field belongs to the
// dictionary and MUST NOT be changed.
func Lookup(name string) (*Field, bool) {
	i, ok := dictionary.rank[name]
	if !ok {
		return nil, false
	}
	return &dictionary.fields[i], true
}

// Answers reports whether a column of this name answers when a field of the
// dictionary is asked for: it is the field's, or one in which JSON that no parser
// knows keeps the same thing (Field.Also).
func Answers(column string) bool { return dictionary.columns[column] }

// Fields returns every field in the order of the dictionary. The slice belongs
// to the dictionary and MUST NOT be changed.
func Fields() []Field { return dictionary.fields }

// Ranks of names that have no place of their own in the dictionary.
const (
	orderUnknown = 1 << 16
	orderParse   = 1 << 17
)

// Order returns the place of a name when fields are shown: known fields in the
// order of the dictionary, then all others, then what the parser says of itself.
// Names of equal place are ordered by the caller.
func Order(name string) int {
	if strings.HasPrefix(name, "parse.") {
		return orderParse
	}
	if i, ok := dictionary.rank[name]; ok {
		return i
	}
	return orderUnknown
}

// A StreamLabel is a short name that groups records in Loki-shaped answers.
type StreamLabel struct {
	Label string // as shown: "namespace"
	Field string // canonical field: "k8s.namespace.name"
}

// StreamLabels returns the labels of Loki-shaped answers, most significant
// first. Ask for a record's value by the label's name, which Resolve knows, so
// that a column of exactly that name counts as well. The slice belongs to the
// dictionary and MUST NOT be changed.
func StreamLabels() []StreamLabel { return streamLabels }

type meaning struct {
	unit Unit
	refs []Ref
}

type index struct {
	fields   []Field
	rank     map[string]int
	meanings map[string]meaning
	columns  map[string]bool // that answer for a field
}

var dictionary = build(fields)

// build turns the table into the maps that Resolve and Lookup read. An alias of
// two fields means both, in the order of the table.
func build(fields []Field) *index {
	x := &index{fields: fields, rank: make(map[string]int, len(fields)), meanings: make(map[string]meaning, 4*len(fields)), columns: make(map[string]bool, 2*len(fields))}
	for i := range fields {
		x.rank[fields[i].Name] = i
		x.columns[fields[i].Name] = true
		for _, also := range fields[i].Also {
			x.columns[also] = true
		}
	}
	for i := range fields { // canonical names first: they outrank aliases
		f := &fields[i]
		x.add(f.Name, f.Unit, f)
		x.add(Identifier(f.Name), f.Unit, f)
	}
	for i := range fields {
		f := &fields[i]
		for _, a := range f.Aliases {
			x.add(a.Name, a.Unit, f)
			x.add(Identifier(a.Name), a.Unit, f)
		}
	}
	return x
}

func (x *index) add(name string, unit Unit, f *Field) {
	m, known := x.meanings[name]
	if !known {
		m.unit = unit
	}
	mul := 1.0
	if a, c := unit.Nanos(), f.Unit.Nanos(); a > 0 && c > 0 {
		mul = a / c
	}
	m.add(f.Name, mul)
	for _, also := range f.Also {
		m.add(also, 1)
	}
	x.meanings[name] = m
}

func (m *meaning) add(column string, mul float64) {
	for _, r := range m.refs {
		if r.Column == column {
			return
		}
	}
	m.refs = append(m.refs, Ref{Column: column, Mul: mul})
}
