// Package jsonscan reads one JSON object in a single pass into a flat list of
// members, without allocating for shapes it has seen before.
//
//	{"a":{"b":1},"c":[1,2],"d":null}   →   a.b = 1, c = "[1,2]" (as JSON)
//
// Nested objects are flattened with dots; arrays and empty objects are kept as
// their JSON text; null is absent. A repeated name keeps its last value, and the
// earlier ones go to Overflow, where JSON can repeat a name. Nothing is lost: a
// number beyond int64 is kept as its text, a lone surrogate as its escape, a
// byte that is not UTF-8 as \xHH.
//
// It is lenient where real loggers are wrong (raw control characters in
// strings) and strict elsewhere (RFC 8259). Nesting, the number of members and
// the length of names are bounded. It knows nothing of platforms or records.
//
// An Object and its members belong to the caller and alias both the scanned
// bytes and the Object's own memory: they are valid until the next Scan.
package jsonscan

import (
	"fmt"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// Limits of one object.
const (
	MaxDepth   = 64   // nesting of objects and arrays together
	MaxMembers = 2000 // after flattening; more go to Overflow
	MaxName    = 256  // bytes of a flattened name; longer go to Overflow
)

// Kind is the type of a member's value.
type Kind uint8

// The kinds. JSON is an array or an empty object as text.
const (
	String Kind = iota
	Int
	Float
	Bool
	JSON
)

// A Member is one flattened name and its value.
type Member struct {
	Name  *Name
	Kind  Kind
	Text  []byte // String: decoded; JSON, Int, Float: as written
	Int   int64  // Int; Bool as 0 or 1
	Float float64
}

// An Object is the result of a Scan. The zero Object is ready to use.
type Object struct {
	Members []Member
	// Nulls are the outermost names whose value is null: absent, but part of the
	// shape.
	Nulls []*Name
	// Overflow is a JSON object of what Members does not hold, or empty.
	Overflow []byte
	// Marks and Counts sum up the names of Members and Nulls: the marks ORed, the
	// counts added.
	Marks, Counts uint64
	// Shape is that of the object; nil if it is not one that is remembered.
	Shape *Shape
	// Escaped reports that bytes which are not UTF-8 were rewritten.
	Escaped bool

	data  []byte
	arena []byte // decoded strings
	path  []byte // flattened name of the object being read
	clean []byte // the input with its bad bytes rewritten
	names *Names
	last  *Name
	gen   uint32
	spans []span            // of Members' values, as long as there is one for each
	slots *[maxLearn]Member // memory of Members when the shape was known
	list  []Member          // and when it was not

	element Member // lent by Elements; what goes to Overflow
}

// An Error says why bytes are not an object that can be kept.
type Error struct {
	Deep   bool // nested too deep, else malformed
	Offset int  // of the byte that is wrong
	What   string
}

// Error returns what is wrong and where.
func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.Offset) }

// Scan reads data, which must be exactly one JSON object, perhaps between white
// space. Errors are *Error within fault.Invalid or fault.TooLarge; the Object is
// then empty.
func (o *Object) Scan(data []byte, names *Names) error {
	o.reset(names)
	valid := ascii(data) || utf8.Valid(data)
	if valid && o.walk(data, &names.shapes) {
		return nil
	}
	o.reset(names)
	if !valid {
		o.clean = EscapeUTF8(o.clean[:0], data, `\\x`)
		data, o.Escaped = o.clean, true
	}
	err := o.scan(data)
	o.list = o.Members
	if err != nil {
		o.Members, o.Nulls, o.Overflow = o.Members[:0], o.Nulls[:0], o.Overflow[:0]
		return err
	}
	if len(o.Overflow) > 0 {
		o.Overflow = append(o.Overflow, '}')
	}
	o.learn(&names.shapes)
	return nil
}

func (o *Object) reset(names *Names) {
	o.Members, o.Nulls, o.Overflow, o.arena, o.path = o.list[:0], o.Nulls[:0], o.Overflow[:0], o.arena[:0], o.path[:0]
	o.Marks, o.Counts, o.Shape, o.Escaped = 0, 0, nil, false
	o.names = names
}

// scan reads an object of any shape.
func (o *Object) scan(data []byte) error {
	o.gen, o.last, o.data, o.spans = o.names.generation(), &o.names.head, data, o.spans[:0]
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return o.bad(i, "no object")
	}
	i, err := o.object(i+1, 1)
	if err == nil {
		if i = space(data, i); i < len(data) {
			err = o.bad(i, "bytes after the object")
		}
	}
	return err
}

func (o *Object) bad(at int, what string) error {
	return fault.Wrap(fault.Invalid, &Error{Offset: at, What: what})
}

func (o *Object) deep(at int) error {
	return fault.Wrap(fault.TooLarge, &Error{Deep: true, Offset: at, What: "nested deeper than 64"})
}

func space(d []byte, i int) int {
	for i < len(d) && (d[i] == ' ' || d[i] == '\n' || d[i] == '\t' || d[i] == '\r') {
		i++
	}
	return i
}

// object reads members up to and including the closing brace; i is after the
// opening one.
func (o *Object) object(i, depth int) (int, error) {
	d := o.data
	if i = space(d, i); i < len(d) && d[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(d) || d[i] != '"' {
			return i, o.bad(i, "no name")
		}
		key, next, err := o.str(i + 1)
		if err != nil {
			return next, err
		}
		if i = space(d, next); i >= len(d) || d[i] != ':' {
			return i, o.bad(i, "no colon")
		}
		if i, err = o.member(key, space(d, i+1), depth); err != nil {
			return i, err
		}
		if i = space(d, i); i >= len(d) {
			return i, o.bad(i, "end within an object")
		}
		switch d[i] {
		case ',':
			i = space(d, i+1)
		case '}':
			return i + 1, nil
		default:
			return i, o.bad(i, "neither comma nor brace")
		}
	}
}

// member reads one value and appends it under key, or its members under
// key and a dot.
func (o *Object) member(key []byte, i, depth int) (int, error) {
	d := o.data
	if i >= len(d) {
		return i, o.bad(i, "no value")
	}
	if c := d[i]; c == '{' {
		if j := space(d, i+1); j >= len(d) || d[j] != '}' {
			return o.nested(key, j, depth)
		}
	} else if c == 'n' {
		if !has(d, i, "null") {
			return i, o.bad(i, "no value")
		}
		if len(o.Nulls) < MaxMembers && len(o.path) == 0 && len(key) <= MaxName {
			o.last = o.names.find(o.last, key)
			o.Nulls = append(o.Nulls, o.last)
			o.count(o.last)
		}
		return i + 4, nil
	}
	full := key
	if n := len(o.path); n > 0 {
		o.path = append(o.path, key...)
		full, o.path = o.path, o.path[:n]
	}
	if len(o.Members) >= MaxMembers || len(full) > MaxName || len(full) == 0 {
		name := string(full)
		o.element = Member{}
		next, err := o.value(&o.element, i, depth)
		if err == nil {
			o.overflow(name, &o.element)
		}
		return next, err
	}
	next, err := o.value(o.slot(full), i, depth)
	o.spans = append(o.spans, span{i, next, depth})
	return next, err
}

// nested reads the members of an object that is not empty; i is after its brace.
func (o *Object) nested(key []byte, i, depth int) (int, error) {
	if depth >= MaxDepth {
		return i, o.deep(i)
	}
	outer := len(o.path)
	o.path = append(append(o.path, key...), '.')
	i, err := o.object(i, depth+1)
	o.path = o.path[:outer]
	return i, err
}

// slot returns the member to fill for a name. An earlier value of that name goes
// to Overflow.
func (o *Object) slot(full []byte) *Member {
	n := o.names.find(o.last, full)
	o.last = n
	if n.seen == o.gen {
		m := &o.Members[n.at]
		o.overflow(n.Text, m)
		*m = Member{Name: n}
		return m
	}
	n.seen, n.at = o.gen, int32(len(o.Members))
	o.Members = append(o.Members, Member{Name: n})
	o.count(n)
	return &o.Members[n.at]
}

func (o *Object) count(n *Name) {
	o.Marks |= n.Mark
	o.Counts += n.Count
}

// value reads a value that is neither an object with members nor null.
func (o *Object) value(m *Member, i, depth int) (next int, err error) {
	d := o.data
	switch c := d[i]; {
	case c == '"':
		m.Text, next, err = o.str(i + 1)
		return next, err
	case c == '-' || c >= '0' && c <= '9':
		return o.number(m, i)
	case c == '[' || c == '{':
		if next, err = o.skip(i, depth); err == nil {
			m.Kind, m.Text = JSON, d[i:next]
		}
		return next, err
	case c == 't' && has(d, i, "true"):
		m.Kind, m.Int = Bool, 1
		return i + 4, nil
	case c == 'f' && has(d, i, "false"):
		m.Kind = Bool
		return i + 5, nil
	}
	return i, o.bad(i, "no value")
}

func has(d []byte, i int, word string) bool {
	return len(d)-i >= len(word) && string(d[i:i+len(word)]) == word
}

func (o *Object) overflow(name string, m *Member) {
	if len(o.Overflow) == 0 {
		o.Overflow = append(o.Overflow, '{')
	} else {
		o.Overflow = append(o.Overflow, ',')
	}
	o.Overflow = append(match.AppendQuoted(o.Overflow, name), ':')
	switch m.Kind {
	case String:
		o.Overflow = match.AppendQuoted(o.Overflow, string(m.Text))
	case Bool:
		if m.Int != 0 {
			o.Overflow = append(o.Overflow, "true"...)
		} else {
			o.Overflow = append(o.Overflow, "false"...)
		}
	default:
		o.Overflow = append(o.Overflow, m.Text...)
	}
}
