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
	// Escaped reports that bytes which are not UTF-8 were rewritten.
	Escaped bool

	data  []byte
	arena []byte // decoded strings
	path  []byte // flattened name of the object being read
	clean []byte // the input with its bad bytes rewritten
	names *Names
	last  *Name
	gen   uint32

	element Member // lent by Elements; a local one would escape
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
	o.Members, o.Nulls, o.Overflow, o.arena, o.path = o.Members[:0], o.Nulls[:0], o.Overflow[:0], o.arena[:0], o.path[:0]
	o.Escaped, o.names, o.last = false, names, &names.head
	o.gen = names.generation()
	if !utf8.Valid(data) {
		o.clean = EscapeUTF8(o.clean[:0], data, `\\x`)
		data, o.Escaped = o.clean, true
	}
	o.data = data
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return o.fail(i, "no object")
	}
	i, err := o.object(i+1, 1)
	if err == nil {
		if i = space(data, i); i < len(data) {
			err = o.bad(i, "bytes after the object")
		}
	}
	if err != nil {
		o.Members, o.Nulls, o.Overflow = o.Members[:0], o.Nulls[:0], o.Overflow[:0]
		return err
	}
	if len(o.Overflow) > 0 {
		o.Overflow = append(o.Overflow, '}')
	}
	return nil
}

func (o *Object) fail(at int, what string) error { return o.bad(at, what) }

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
	outer := len(o.path)
	if d[i] == '{' {
		if depth >= MaxDepth {
			return i, o.deep(i)
		}
		start := i
		if i = space(d, i+1); i < len(d) && d[i] == '}' {
			o.add(key, Member{Kind: JSON, Text: d[start : i+1]})
			return i + 1, nil
		}
		o.path = append(append(o.path, key...), '.')
		i, err := o.object(i, depth+1)
		o.path = o.path[:outer]
		return i, err
	}
	m := Member{}
	next, present, err := o.value(&m, i, depth)
	switch {
	case err != nil:
	case present:
		o.add(key, m)
	case len(o.Nulls) < MaxMembers && len(o.path) == 0 && len(key) <= MaxName:
		o.last = o.names.find(o.last, key)
		o.Nulls = append(o.Nulls, o.last)
	}
	return next, err
}

// value reads a value that is not an object.
func (o *Object) value(m *Member, i, depth int) (next int, present bool, err error) {
	d := o.data
	switch c := d[i]; {
	case c == '"':
		m.Text, next, err = o.str(i + 1)
		return next, true, err
	case c == '-' || c >= '0' && c <= '9':
		next, err = o.number(m, i)
		return next, true, err
	case c == '[':
		if next, err = o.skip(i, depth); err == nil {
			m.Kind, m.Text = JSON, d[i:next]
		}
		return next, true, err
	case c == 't' && has(d, i, "true"):
		m.Kind, m.Int = Bool, 1
		return i + 4, true, nil
	case c == 'f' && has(d, i, "false"):
		m.Kind = Bool
		return i + 5, true, nil
	case c == 'n' && has(d, i, "null"):
		return i + 4, false, nil
	}
	return i, false, o.bad(i, "no value")
}

func has(d []byte, i int, word string) bool {
	return len(d)-i >= len(word) && string(d[i:i+len(word)]) == word
}

// add appends m under the current path and key.
func (o *Object) add(key []byte, m Member) {
	full := key
	if len(o.path) > 0 {
		n := len(o.path)
		o.path = append(o.path, key...)
		full = o.path
		o.path = o.path[:n]
	}
	if len(o.Members) >= MaxMembers || len(full) > MaxName || len(full) == 0 {
		o.overflow(string(full), &m)
		return
	}
	n := o.names.find(o.last, full)
	o.last, m.Name = n, n
	if n.seen == o.gen {
		o.overflow(n.Text, &o.Members[n.at])
		o.Members[n.at] = m
		return
	}
	n.seen, n.at = o.gen, int32(len(o.Members))
	o.Members = append(o.Members, m)
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
