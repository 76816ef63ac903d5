// Package jsontext reads and writes JSON as receivers need it: a Reader pulls the
// members of an envelope out of a text without a tree and without allocating;
// Split finds the records of a text that has no envelope; AppendString writes.
//
// It knows no protocol. What a Reader returns aliases the text it was given, or
// the Set's memory, and lives as long as both. Errors are fault.Invalid, and
// fault.TooLarge for what nests too deep; nothing recurses.
package jsontext

import (
	"bytes"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Reader pulls values out of a JSON text without building a tree. Its first error
// sticks: every later call returns nothing, and Err tells. Strings without
// escapes alias the text; others are written to the Set's scratch.
//
// It is for envelopes, whose shape the protocol fixes. Records inside are handed
// on as they are.
type Reader struct {
	data  []byte
	pos   int
	depth int
	max   int
	first bool // no member of the innermost container was read yet
	err   error
	set   *receive.Set
}

// NewReader returns a reader of data that refuses to enter more than depth
// containers.
func NewReader(data []byte, depth int, set *receive.Set) Reader {
	return Reader{data: data, max: depth, set: set}
}

// Err returns the first error.
func (j *Reader) Err() error { return j.err }

// Adopt takes over the first error of a reader that At returned.
func (j *Reader) Adopt(err error) {
	if j.err == nil {
		j.err = err
	}
}

// Fail makes what was found wrong the reader's error, with the position.
func (j *Reader) Fail(what string) {
	if j.err == nil {
		j.err = fault.Errorf(fault.Invalid, "JSON at byte %d: %s", j.pos, what)
	}
}

func (j *Reader) space() {
	for j.pos < len(j.data) {
		switch j.data[j.pos] {
		case ' ', '\t', '\n', '\r':
			j.pos++
		default:
			return
		}
	}
}

// Peek returns the first byte of the next value: { [ " t f n - or a digit; 0 at
// the end of the text or after an error.
func (j *Reader) Peek() byte {
	if j.err != nil {
		return 0
	}
	j.space()
	if j.pos >= len(j.data) {
		return 0
	}
	return j.data[j.pos]
}

// End demands that nothing but space follows.
func (j *Reader) End() {
	if j.Peek() != 0 {
		j.Fail("text after the value")
	}
}

// Begin enters a container that opens with c, { or [.
func (j *Reader) Begin(c byte) bool {
	if j.Peek() != c {
		if c == '{' {
			j.Fail("expected an object")
		} else {
			j.Fail("expected an array")
		}
		return false
	}
	if j.depth++; j.depth > j.max {
		if j.err == nil {
			j.err = fault.Errorf(fault.TooLarge, "JSON at byte %d: nested deeper than %d", j.pos, j.max)
		}
		return false
	}
	j.pos++
	j.first = true
	return true
}

// more stands before the next member of a container, or behind its end.
func (j *Reader) more(end byte) bool {
	c := j.Peek()
	switch {
	case c == end:
		j.pos++
		j.depth--
		j.first = false
		return false
	case j.first:
		j.first = false
	case c == ',':
		j.pos++
	default:
		j.Fail("expected a comma or the end of the container")
	}
	return j.err == nil
}

// Field returns the next member's name in an object and stands before its value;
// false at the end of the object.
func (j *Reader) Field() ([]byte, bool) {
	if !j.more('}') {
		return nil, false
	}
	key := j.String()
	if j.Peek() != ':' {
		j.Fail("expected a colon")
		return nil, false
	}
	j.pos++
	return key, true
}

// Elem stands before the next element of an array; false at its end.
func (j *Reader) Elem() bool { return j.more(']') }

// String returns a string value.
func (j *Reader) String() []byte {
	if j.pos >= len(j.data) || j.data[j.pos] != '"' || j.err != nil {
		if j.Peek() != '"' {
			j.Fail("expected a string")
			return nil
		}
	}
	start := j.pos + 1
	end := special(j.data, start)
	if end < 0 {
		j.Fail("string without an end")
		return nil
	}
	if j.data[end] == '\\' {
		return j.escaped(start, end)
	}
	j.pos = end + 1
	return j.data[start:end:end]
}

// escaped reads a string that begins at start, and whose first escape is at e.
func (j *Reader) escaped(start, e int) []byte {
	out := append(j.set.Text(max(e-start+8, 1<<10)), j.data[start:e]...)
	out, n, state := unescape(out, j.data[e:])
	if state == noRoom {
		end := stringEnd(j.data, e+n)
		if end < 0 {
			j.Fail("string without an end")
			return nil
		}
		done := len(out)
		out = append(j.set.Text(done+end-e-n+8), out...)
		e += n
		out, n, state = unescape(out, j.data[e:])
	}
	switch state {
	case badEscape:
		j.Fail("bad escape in a string")
		return nil
	case ended:
		j.pos = e + n + 1
		return j.set.Keep(out)
	}
	j.Fail("string without an end")
	return nil
}

// Scalar returns the text of a number, true, false or null.
func (j *Reader) Scalar() []byte {
	j.Peek()
	start := j.pos
	for j.pos < len(j.data) && scalar[j.data[j.pos]] {
		j.pos++
	}
	if j.pos == start {
		j.Fail("expected a value")
		return nil
	}
	return j.data[start:j.pos:j.pos]
}

// Number returns a number or a truth value as it is written, and the text of
// anything else.
func Number(b []byte) record.Value {
	switch string(b) {
	case "true", "false":
		return record.BoolValue(len(b) == 4)
	}
	if bytes.IndexByte(b, '.') < 0 && len(b) < 20 { // an error would cost an allocation
		if n, err := strconv.ParseInt(receive.Str(b), 10, 64); err == nil {
			return record.IntValue(n)
		}
	}
	if f, err := strconv.ParseFloat(receive.Str(b), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return record.FloatValue(f)
	}
	return record.StringValue(receive.Str(b))
}

var scalar = func() (t [256]bool) {
	for _, c := range "+-.0123456789abcdefghijklmnopqrstuvwxyzE" {
		t[c] = true
	}
	return t
}()

// Text returns a string's text, or a scalar's: for numbers that may be quoted.
func (j *Reader) Text() []byte {
	if j.Peek() == '"' {
		return j.String()
	}
	return j.Scalar()
}

// Pos returns the offset of the next value.
func (j *Reader) Pos() int {
	j.Peek()
	return j.pos
}

// At returns a reader of the text at an offset that Pos gave in a container which
// j has left: one deeper than j.
func (j *Reader) At(pos int) Reader {
	return Reader{data: j.data, pos: pos, depth: j.depth + 1, max: j.max, set: j.set}
}

// Literal passes what the text goes on with, if it is exactly this: for members
// that nearly all senders write in the same bytes.
func (j *Reader) Literal(s string) bool {
	if end := j.pos + len(s); j.err == nil && end <= len(j.data) && string(j.data[j.pos:end]) == s {
		j.pos = end
		return true
	}
	return false
}

// Back returns to the value at an offset that Pos gave in the same container. An
// error stays.
func (j *Reader) Back(pos int) { j.pos = pos }

// Past stands behind the value that another reader of the text has read whole:
// one that At returned for where j stands.
func (j *Reader) Past(other *Reader) { j.pos = other.pos }

// Raw skips the next value and returns its text. It does not recurse, so depth
// is no matter, and it checks no more than where the value ends.
func (j *Reader) Raw() []byte {
	c := j.Peek()
	start, depth := j.pos, 0
	switch c {
	case '{', '[':
	case '"':
		j.skipString()
		return j.since(start)
	default:
		return j.Scalar()
	}
	for j.pos < len(j.data) {
		switch j.data[j.pos] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				j.pos++
				return j.since(start)
			}
		case '"':
			if !j.skipString() {
				return nil
			}
			continue
		}
		j.pos++
	}
	j.Fail("container without an end")
	return nil
}

func (j *Reader) since(start int) []byte {
	if j.err != nil {
		return nil
	}
	return j.data[start:j.pos:j.pos]
}

func (j *Reader) skipString() bool {
	end := stringEnd(j.data, j.pos+1)
	if end < 0 {
		j.Fail("string without an end")
		return false
	}
	j.pos = end + 1
	return true
}

// Object calls f for each member of an object whose value is not null. f must
// read the value, or pass it with Raw.
func (j *Reader) Object(f func(key []byte)) {
	if !j.Begin('{') {
		return
	}
	for {
		key, ok := j.Field()
		if !ok {
			return
		}
		if j.Peek() == 'n' {
			j.Scalar()
			continue
		}
		f(key)
	}
}

// Array calls f before each element of an array. f must read it.
func (j *Reader) Array(f func()) {
	if !j.Begin('[') {
		return
	}
	for j.Elem() {
		f()
	}
}
