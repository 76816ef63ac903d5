package facts

import (
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Attributes remembers the names of what receivers give beside payloads: where
// each is kept, and which of them the open record has, so that neither costs a
// look-up or a comparison of names for a value. It is not safe for concurrent use.
type Attributes struct {
	mark   func(name string) uint8
	m      map[string]*Attribute
	head   Attribute
	record uint64 // numbers the records, from 1
	fields [field.Count]*Attribute
	epoch  int // changes when a name is added
}

// An Attribute is one name. Name and Mark never change.
type Attribute struct {
	Name string
	Mark uint8 // what the owner of the Attributes wants to know of the name

	seen   uint64     // number of the last record that had it
	next   *Attribute // the name that followed it last time
	layout uint64     // of the batch whose columns are remembered
	cols   [record.Bool + 1]*record.Column
}

// maxAttributes bounds the table, between two records: a sender of ever new names
// costs allocations, not memory.
const maxAttributes = 8192

// NewAttributes returns an empty table. mark computes Attribute.Mark.
func NewAttributes(mark func(name string) uint8) *Attributes {
	return &Attributes{mark: mark, m: make(map[string]*Attribute)}
}

// Begin forgets which names the record before had. It returns what to give Next
// for the first name.
func (t *Attributes) Begin() *Attribute {
	if len(t.m) > maxAttributes {
		*t = Attributes{mark: t.mark, m: make(map[string]*Attribute), record: t.record, epoch: t.epoch + 1}
	}
	t.record++
	return &t.head
}

// Next returns the name, which the open record has from now on. Senders write
// names in one order, so the one that followed prev last time is tried first.
func (t *Attributes) Next(prev *Attribute, name string) *Attribute {
	a := prev.next
	if a == nil || a.Name != name {
		var ok bool
		if a, ok = t.m[name]; !ok {
			a = t.add(name)
		}
		prev.next = a
	}
	a.seen = t.record
	return a
}

func (t *Attributes) add(name string) *Attribute {
	name = string([]byte(name)) // it outlives the request
	a := &Attribute{Name: name, Mark: t.mark(name)}
	t.m[name] = a
	if f, ok := field.Of(name); ok {
		t.fields[f] = a
	}
	t.epoch++
	return a
}

// Put writes a value of the open record under the name.
func (a *Attribute) Put(b *record.Batch, v *record.Value) {
	if v.Kind == 0 || int(v.Kind) >= len(a.cols) {
		return
	}
	if l := b.Layout(); a.layout != l {
		a.layout, a.cols = l, [len(a.cols)]*record.Column{}
	}
	c := a.cols[v.Kind]
	if c == nil {
		c = b.Open(a.Name, v.Kind)
		a.cols[v.Kind] = c
	}
	b.PutValue(c, v)
}

// has reports whether the open record has an attribute of this name.
func (t *Attributes) has(name string) bool {
	a := t.m[name]
	return a != nil && a.seen == t.record
}

// A Place remembers which attribute has the name of a member. The zero Place has
// to ask for it.
type Place struct {
	a     *Attribute
	epoch int // of the Attributes, and one more
}

// Holds reports whether the open record has an attribute of this name; p is the
// name's alone.
func (t *Attributes) Holds(p *Place, name string) bool {
	if p.epoch != t.epoch+1 {
		p.a, p.epoch = t.m[name], t.epoch+1
	}
	return p.a != nil && p.a.seen == t.record
}
