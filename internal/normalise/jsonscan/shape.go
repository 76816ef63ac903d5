package jsonscan

import (
	"bytes"
	"encoding/binary"
)

// A sender writes its names in one order and with the same white space, so what
// stands between the values of an object is the same bytes in every object of
// one shape: names, quotes, colons, commas, braces, and nulls, which are no
// values here. Shapes are held as a tree of these leads. An object of a known
// shape is read by comparing leads and reading values: no name is looked up, and
// what the names mean as a whole was found out when the shape was learned.
//
//	{"a":1,"b":{"c":"x","d":null}}    leads  {"a":   ,"b":{"c":   and the tail  ,"d":null}}
//
// A tree is learned from the objects that were read without it, so the leads are
// known to be correct; an object that leaves the tree is read without it.

// A Shape is what all objects have in common that are the same but for their
// values. It belongs to the Names.
type Shape struct {
	// Note is for whoever owns the Names: what it found out of the shape.
	Note any

	tail          string // after the last value, white space included
	nulls         []*Name
	marks, counts uint64
}

// node is one value's place in a shape. It fills one line of the cache.
type node struct {
	lead  string // what stands before the value
	name  *Name
	next  *node // what followed last time
	more  *branches
	depth int // of nesting around the value
}

// branches is what may follow a value.
type branches struct {
	next []*node
	ends []*Shape
}

// Limits of the tree of one Names. A sender of ever new shapes costs the time
// that it took before there was a tree, and this memory.
const (
	maxNodes   = 4096
	maxLeads   = 512 << 10 // bytes of leads and tails
	maxFan     = 32        // leads that may follow one value
	maxLearn   = 256       // values of a shape that is learned
	forgetting = 1 << 16   // objects outside a full tree, until it starts anew
)

// shapes is the tree.
type shapes struct {
	root   node
	nodes  int
	bytes  int
	misses int
}

// span is where a value stands in the object, while a shape is learned.
type span struct{ from, to, depth int }

// leads reports whether the node's lead stands in d at i and a value follows
// that belongs to this node: no null, no white space and no object with members,
// for they are part of other leads.
func (n *node) leads(d []byte, i int) bool {
	end := i + len(n.lead)
	return end+1 < len(d) && string(d[i:end]) == n.lead && (d[end] == '"' || d[end] > ' ' && d[end] != 'n' && (d[end] != '{' || d[end+1] == '}'))
}

// walk reads an object of a known shape and reports whether it was one. If it
// was not, nothing of the Object may be used. d is valid UTF-8.
func (o *Object) walk(d []byte, t *shapes) bool {
	if o.slots == nil {
		o.slots = new([maxLearn]Member)
	}
	o.data = d
	plain := bytes.IndexByte(d, '\\') < 0
	slots, at, i, count := o.slots, &t.root, 0, 0
	for count < maxLearn {
		next := at.next
		if next == nil || !next.leads(d, i) {
			if next = at.follow(d, i); next == nil {
				break
			}
		}
		at = next
		i += len(next.lead)
		m := &slots[count]
		count++
		m.Name = next.name
		if d[i] == '"' {
			n := bytes.IndexByte(d[i+1:], '"')
			if n < 0 {
				return false
			}
			if end := i + 1 + n; plain || bytes.IndexByte(d[i+1:end], '\\') < 0 {
				m.Kind, m.Text = String, d[i+1:end:end]
				i = end + 1
				continue
			}
		} else if n := m.integer(d[i:]); n > 0 {
			i += n
			continue
		}
		m.Kind, m.Text, m.Int, m.Float = String, nil, 0, 0
		var err error
		if i, err = o.value(m, i, next.depth); err != nil {
			return false
		}
	}
	if at.more == nil {
		return false
	}
	for _, s := range at.more.ends {
		if string(d[i:]) == s.tail {
			o.Members, o.Nulls = slots[:count], append(o.Nulls, s.nulls...)
			o.Marks, o.Counts, o.Shape = s.marks, s.counts, s
			return true
		}
	}
	return false
}

// integer reads a whole number of few digits that a comma or a brace follows,
// and returns how many bytes it took, or 0 for anything else.
func (m *Member) integer(d []byte) int {
	v := int64(0)
	for i, c := range d {
		if c -= '0'; c < 10 {
			v = v*10 + int64(c)
			continue
		}
		if c += '0'; c != ',' && c != '}' || i > 18 || i > 1 && d[0] == '0' {
			return 0
		}
		if i > 0 {
			m.Kind, m.Int, m.Text = Int, v, d[:i:i]
		}
		return i
	}
	return 0
}

// follow returns the node whose lead stands in d at i, or nil.
func (n *node) follow(d []byte, i int) *node {
	if n.more == nil {
		return nil
	}
	for _, next := range n.more.next {
		if next != n.next && next.leads(d, i) {
			n.next = next
			return next
		}
	}
	return nil
}

// learn adds the shape of what was just read to the tree, if it may.
func (o *Object) learn(t *shapes) {
	n := len(o.Members)
	if n == 0 || n > maxLearn || len(o.spans) != n || o.Escaped || len(o.Overflow) > 0 {
		return
	}
	if t.nodes+n > maxNodes || t.bytes+len(o.data) > maxLeads {
		if t.misses++; t.misses < forgetting {
			return
		}
		*t = shapes{}
	}
	if t.root.more == nil {
		t.root.more = &branches{}
	}
	at, i := &t.root, 0
	for k := range o.spans {
		s := o.spans[k]
		lead := o.data[i:s.from]
		next := at.more.find(lead)
		if next == nil {
			if len(at.more.next) == maxFan {
				return
			}
			next = &node{lead: string(lead), name: o.Members[k].Name, more: &branches{}, depth: s.depth}
			at.more.next = append(at.more.next, next)
			t.nodes, t.bytes = t.nodes+1, t.bytes+len(lead)
		}
		at, i = next, s.to
	}
	tail := string(o.data[i:])
	for _, s := range at.more.ends {
		if s.tail == tail {
			o.Shape = s
			return
		}
	}
	if len(at.more.ends) == maxFan {
		return
	}
	t.bytes += len(tail)
	o.Shape = &Shape{tail: tail, nulls: append([]*Name(nil), o.Nulls...), marks: o.Marks, counts: o.Counts}
	at.more.ends = append(at.more.ends, o.Shape)
}

func (b *branches) find(lead []byte) *node {
	for _, next := range b.next {
		if next.lead == string(lead) {
			return next
		}
	}
	return nil
}

// ascii reports whether no byte has its high bit.
func ascii(d []byte) bool {
	const high = 0x8080808080808080
	for len(d) >= 64 {
		p := d[:64]
		a := binary.LittleEndian.Uint64(p) | binary.LittleEndian.Uint64(p[8:]) | binary.LittleEndian.Uint64(p[16:]) | binary.LittleEndian.Uint64(p[24:])
		b := binary.LittleEndian.Uint64(p[32:]) | binary.LittleEndian.Uint64(p[40:]) | binary.LittleEndian.Uint64(p[48:]) | binary.LittleEndian.Uint64(p[56:])
		if (a|b)&high != 0 {
			return false
		}
		d = d[64:]
	}
	for ; len(d) >= 8; d = d[8:] {
		if binary.LittleEndian.Uint64(d)&high != 0 {
			return false
		}
	}
	for _, c := range d {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
