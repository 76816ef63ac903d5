// Package msgpack reads MessagePack (github.com/msgpack/msgpack/blob/master/spec.md)
// where it lies: no tree, no allocation, nothing copied.
//
// A Reader pulls tokens out of a slice; what they say of bytes aliases it. A
// Scanner finds where a value ends while its bytes still arrive. AppendJSON writes
// a value as JSON, which is how the pipeline takes objects.
//
// Strings are bytes: senders put binary into str (Fluentd its whole chunks), so
// nothing here asks for UTF-8. Lengths are not believed: a container may not
// have more elements than there are bytes left, because each takes at least one,
// and a string no more bytes. Nesting is bounded where values are followed.
//
// The package knows no protocol. It owns no memory, and nothing survives.
package msgpack

import (
	"encoding/binary"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Kind is the type of a value.
type Kind uint8

// The kinds. Uint is an integer beyond int64 only.
const (
	None Kind = iota // no value: the end of the data, or an error
	Nil
	Bool
	Int
	Uint
	Float
	Str
	Bin
	Array
	Map
	Ext
)

var kindNames = [...]string{"nothing", "nil", "a boolean", "an integer", "an integer", "a float", "a string", "binary", "an array", "a map", "an extension"}

// String names the kind, for errors.
func (k Kind) String() string { return kindNames[k] }

// A Token is one value, or the head of a container: its elements follow.
type Token struct {
	Kind  Kind
	Type  int8    // Ext: the application's type
	N     int     // Array: elements; Map: pairs
	Int   int64   // Int; Bool as 0 or 1; Uint: the bits
	Float float64 // Float
	Bytes []byte  // Str, Bin, Ext: aliases the data
}

// IsText reports whether the token is a string in either of its two kinds.
func (t *Token) IsText() bool { return t.Kind == Str || t.Kind == Bin }

// ErrShort says that the data ends within a value.
var ErrShort = fault.Errorf(fault.Invalid, "msgpack: the data ends within a value")

// errKey is a key that has no text.
var errKey = fault.Errorf(fault.Invalid, "msgpack: a container is the key of a map")

// errByte is the one byte that begins nothing.
var errByte = fault.Errorf(fault.Invalid, "msgpack: 0xc1 begins no value")

// ErrDeep says that values nest deeper than the reader may follow.
var ErrDeep = fault.Errorf(fault.TooLarge, "msgpack: nested too deep")

// A Reader pulls values out of data. Its first error sticks.
type Reader struct {
	data []byte
	pos  int
	err  error
}

// NewReader returns a reader of data, which it aliases.
func NewReader(data []byte) Reader { return Reader{data: data} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Pos returns the offset of the next value.
func (r *Reader) Pos() int { return r.pos }

// Seek goes to an offset that Pos gave, and forgets an error: to pass over a value
// that could not be followed.
func (r *Reader) Seek(pos int) { r.pos, r.err = pos, nil }

// More reports whether bytes are left and no error was met.
func (r *Reader) More() bool { return r.err == nil && r.pos < len(r.data) }

// head says of each first byte what it begins: how many bytes of a number follow
// (a length, or the value itself).
var head = func() (t [256]struct {
	kind Kind
	size uint8 // bytes of the number after the first byte
	fix  int16 // without a number: the length, or the value
}) {
	set := func(b int, k Kind, size uint8, fix int16) { t[b].kind, t[b].size, t[b].fix = k, size, fix }
	for i := range 128 {
		set(i, Int, 0, int16(i))
	}
	for i := range 16 {
		set(0x80+i, Map, 0, int16(i))
		set(0x90+i, Array, 0, int16(i))
	}
	for i := range 32 {
		set(0xa0+i, Str, 0, int16(i))
		set(0xe0+i, Int, 0, int16(i-32))
	}
	set(0xc0, Nil, 0, 0)
	set(0xc2, Bool, 0, 0)
	set(0xc3, Bool, 0, 1)
	for i, size := range []uint8{1, 2, 4} {
		set(0xc4+i, Bin, size, 0)
		set(0xc7+i, Ext, size, 0)
		set(0xd9+i, Str, size, 0)
	}
	set(0xca, Float, 4, 0)
	set(0xcb, Float, 8, 0)
	for i, size := range []uint8{1, 2, 4, 8} {
		set(0xcc+i, Uint, size, 0)
		set(0xd0+i, Int, size, 0)
	}
	for i := range 5 {
		set(0xd4+i, Ext, 0, int16(1)<<i)
	}
	set(0xdc, Array, 2, 0)
	set(0xdd, Array, 4, 0)
	set(0xde, Map, 2, 0)
	set(0xdf, Map, 4, 0)
	return t
}()

// number reads a big-endian number of 1, 2, 4 or 8 bytes.
func number(b []byte, size uint8) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// Next returns the next token; Kind None at the end of the data or after an
// error.
func (r *Reader) Next() (t Token) {
	if r.err != nil || r.pos >= len(r.data) {
		return t
	}
	b := r.data[r.pos:]
	h := &head[b[0]]
	at := 1 + int(h.size)
	if len(b) < at {
		r.err = ErrShort
		return t
	}
	n := uint64(int64(h.fix))
	if h.size > 0 {
		n = number(b[1:], h.size)
	}
	switch h.kind {
	case None:
		r.err = errByte
		return t
	case Nil:
	case Bool:
		t.Int = int64(n)
	case Int:
		t.Int = signed(n, h.size)
	case Uint:
		if t.Int = int64(n); n <= math.MaxInt64 {
			t.Kind = Int
			r.pos += at
			return t
		}
	case Float:
		if t.Float = math.Float64frombits(n); h.size == 4 {
			t.Float = float64(math.Float32frombits(uint32(n)))
		}
	case Array, Map:
		if n > uint64(len(b)-at) {
			r.err = ErrShort
			return t
		}
		t.N = int(n)
	default:
		if h.kind == Ext {
			n++ // the type
		}
		if n > uint64(len(b)-at) {
			r.err = ErrShort
			return t
		}
		end := at + int(n)
		if h.kind == Ext {
			t.Type = int8(b[at])
			at++
		}
		t.Bytes = b[at:end:end]
		at = end
	}
	t.Kind = h.kind
	r.pos += at
	return t
}

func signed(n uint64, size uint8) int64 {
	switch size {
	case 1:
		return int64(int8(n))
	case 2:
		return int64(int16(n))
	case 4:
		return int64(int32(n))
	}
	return int64(n)
}

// Skip passes over the next value with all that is in it, and returns its bytes;
// nil after an error or at the end.
func (r *Reader) Skip() []byte {
	start := r.pos
	for left := 1; left > 0; left-- {
		switch t := r.Next(); t.Kind {
		case None:
			if r.err == nil {
				r.err = ErrShort
			}
			return nil
		case Array:
			left += t.N
		case Map:
			left += 2 * t.N
		}
		if left > len(r.data)-r.pos+1 { // each takes at least one byte
			r.err = ErrShort
			return nil
		}
	}
	return r.data[start:r.pos:r.pos]
}

// maxTop is how many elements of the outermost array a Scanner remembers.
const maxTop = 8

// A Scanner finds the end of one value while its bytes arrive. The zero Scanner is
// ready; its owner calls Scan with all bytes so far until it is done.
type Scanner struct {
	pos  int    // of the next token; may be behind the bytes
	left uint64 // values to come
	low  uint64 // the fewest that were to come
	// Top are the offsets of the elements of the outermost array, as far as they
	// were reached, Tops how many.
	Top  [maxTop]int
	Tops int
	on   bool
}

// Scan goes on reading data, which holds the value's bytes from its first one,
// and reports whether it is whole. End then returns its size. Need is the size
// that data must at least have for the next call to get further.
func (f *Scanner) Scan(data []byte) (done bool, err error) {
	if !f.on {
		if len(data) == 0 {
			return false, nil
		}
		f.on, f.left = true, 1
		if h := &head[data[0]]; h.kind == Array && h.size == 0 {
			f.low = uint64(h.fix) + 1
		} else {
			f.low = 0 // only short arrays are messages; no elements are remembered
		}
	}
	for f.left > 0 {
		if f.pos >= len(data) {
			return false, nil
		}
		b := data[f.pos:]
		h := &head[b[0]]
		at := 1 + int(h.size)
		if h.kind == None {
			return false, errByte
		}
		if len(b) < at {
			return false, nil
		}
		n := uint64(h.fix)
		if h.size > 0 {
			n = number(b[1:], h.size)
		}
		if f.left < f.low && f.pos > 0 {
			f.low = f.left
			if f.Tops < maxTop {
				f.Top[f.Tops] = f.pos
				f.Tops++
			}
		}
		f.left--
		switch h.kind {
		case Array:
			f.left += n
		case Map:
			f.left += 2 * n
		case Str, Bin:
			at += int(n)
		case Ext:
			at += int(n) + 1
		}
		f.pos += at
	}
	return f.pos <= len(data), nil
}

// End returns the size of the value once it was scanned, or of what is known of
// it.
func (f *Scanner) End() int { return f.pos }

// Least returns how many bytes the whole value has at least.
func (f *Scanner) Least() int64 { return int64(f.pos) + int64(min(f.left, 1<<40)) }
