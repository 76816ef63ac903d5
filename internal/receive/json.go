package receive

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// JSON pulls values out of a JSON text without building a tree. Its first error
// sticks: every later call returns nothing, and Err tells. Strings without
// escapes alias the text; others are written to the Set's scratch.
//
// It is for envelopes, whose shape the protocol fixes. Records inside are handed
// on as they are.
type JSON struct {
	data  []byte
	pos   int
	depth int
	max   int
	first bool // no member of the innermost container was read yet
	err   error
	set   *Set
}

// NewJSON returns a reader of data that refuses to enter more than depth
// containers.
func NewJSON(data []byte, depth int, set *Set) JSON {
	return JSON{data: data, max: depth, set: set}
}

// Err returns the first error.
func (j *JSON) Err() error { return j.err }

// Adopt takes over the first error of a reader that At returned.
func (j *JSON) Adopt(err error) {
	if j.err == nil {
		j.err = err
	}
}

// Fail makes what was found wrong the reader's error, with the position.
func (j *JSON) Fail(what string) {
	if j.err == nil {
		j.err = fault.Errorf(fault.Invalid, "JSON at byte %d: %s", j.pos, what)
	}
}

func (j *JSON) space() {
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
func (j *JSON) Peek() byte {
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
func (j *JSON) End() {
	if j.Peek() != 0 {
		j.Fail("text after the value")
	}
}

// Begin enters a container that opens with c, { or [.
func (j *JSON) Begin(c byte) bool {
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
func (j *JSON) more(end byte) bool {
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
func (j *JSON) Field() ([]byte, bool) {
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
func (j *JSON) Elem() bool { return j.more(']') }

// String returns a string value.
func (j *JSON) String() []byte {
	if j.Peek() != '"' {
		j.Fail("expected a string")
		return nil
	}
	start := j.pos + 1
	rest := j.data[start:]
	q := bytes.IndexByte(rest, '"')
	if q < 0 {
		j.Fail("string without an end")
		return nil
	}
	if e := bytes.IndexByte(rest[:q], '\\'); e >= 0 {
		return j.escaped(start, e)
	}
	j.pos = start + q + 1
	return rest[:q:q]
}

// escaped reads a string whose first escape is e bytes after start.
func (j *JSON) escaped(start, e int) []byte {
	end := stringEnd(j.data, start+e)
	if end < 0 {
		j.Fail("string without an end")
		return nil
	}
	out, ok := AppendUnescaped(j.set.Text(end-start+8), j.data[start:end])
	if !ok {
		j.Fail("bad escape in a string")
		return nil
	}
	j.pos = end + 1
	return j.set.Keep(out)
}

// equal has the highest bit of the first byte of w that is c set, and perhaps
// bits above it; 0 if no byte is (Hacker's Delight, 6-1).
func equal(w uint64, c byte) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	x := w ^ ones*uint64(c)
	return (x - ones) &^ x & highs
}

// stringEnd returns where the string ends of which i is inside, or -1: the offset
// of the quote that no backslash escapes.
func stringEnd(b []byte, i int) int {
	for i < len(b) {
		if i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			n := bits.TrailingZeros64(equal(w, '"')|equal(w, '\\')) / 8
			if i += n; n == 8 {
				continue
			}
		}
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
		i++
	}
	return -1
}

// AppendUnescaped appends the text that the inside of a JSON string stands for.
// It is never longer than s. A lone surrogate becomes U+FFFD.
func AppendUnescaped(dst, s []byte) ([]byte, bool) {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			// Where JSON stands in JSON there is an escape every few bytes: eight
			// bytes at a time are copied, and counted as far as the next one.
			if i+8 <= len(s) && cap(dst)-len(dst) >= 8 {
				w := binary.LittleEndian.Uint64(s[i:])
				binary.LittleEndian.PutUint64(dst[len(dst):len(dst)+8], w)
				n := bits.TrailingZeros64(equal(w, '\\')) / 8
				dst = dst[:len(dst)+n]
				i += n
				continue
			}
			n := bytes.IndexByte(s[i:], '\\')
			if n < 0 {
				n = len(s) - i
			}
			dst = append(dst, s[i:i+n]...)
			i += n
			continue
		}
		if i+1 >= len(s) {
			return dst, false
		}
		c := s[i+1]
		i += 2
		switch c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(s[i:])
			if !ok {
				return dst, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if i+1 < len(s) && s[i] == '\\' && s[i+1] == 'u' {
					if l, ok := hex4(s[i+2:]); ok {
						low = l
					}
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
	return dst, true
}

func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// Scalar returns the text of a number, true, false or null.
func (j *JSON) Scalar() []byte {
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
		if n, err := strconv.ParseInt(Str(b), 10, 64); err == nil {
			return record.IntValue(n)
		}
	}
	if f, err := strconv.ParseFloat(Str(b), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return record.FloatValue(f)
	}
	return record.StringValue(Str(b))
}

var scalar = func() (t [256]bool) {
	for _, c := range "+-.0123456789abcdefghijklmnopqrstuvwxyzE" {
		t[c] = true
	}
	return t
}()

// Text returns a string's text, or a scalar's: for numbers that may be quoted.
func (j *JSON) Text() []byte {
	if j.Peek() == '"' {
		return j.String()
	}
	return j.Scalar()
}

// Pos returns the offset of the next value.
func (j *JSON) Pos() int {
	j.Peek()
	return j.pos
}

// At returns a reader of the text at an offset that Pos gave in a container which
// j has left: one deeper than j.
func (j *JSON) At(pos int) JSON {
	return JSON{data: j.data, pos: pos, depth: j.depth + 1, max: j.max, set: j.set}
}

// Past stands behind the value that another reader of the text has read whole:
// one that At returned for where j stands.
func (j *JSON) Past(other *JSON) { j.pos = other.pos }

// Raw skips the next value and returns its text. It does not recurse, so depth
// is no matter, and it checks no more than where the value ends.
func (j *JSON) Raw() []byte {
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

func (j *JSON) since(start int) []byte {
	if j.err != nil {
		return nil
	}
	return j.data[start:j.pos:j.pos]
}

func (j *JSON) skipString() bool {
	end := stringEnd(j.data, j.pos+1)
	if end < 0 {
		j.Fail("string without an end")
		return false
	}
	j.pos = end + 1
	return true
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, so that an answer is always valid JSON.
func AppendString(dst []byte, s []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		plain := i
		for i < len(s) && asIs[s[i]] {
			i++
		}
		if dst = append(dst, s[plain:i]...); i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			r, n := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}

// asIs are the bytes that a JSON string holds as they are: ASCII but the quote,
// the backslash and control characters.
var asIs = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()
