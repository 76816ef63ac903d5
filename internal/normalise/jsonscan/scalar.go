package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// stop returns the index of the first quote or backslash at or after i, or
// len(d). Eight bytes are looked at together: (v-0x01…) &^ v & 0x80… marks the
// zero bytes of v, and the lowest mark is always exact.
func stop(d []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(d); i += 8 {
		x := binary.LittleEndian.Uint64(d[i:])
		q, b := x^(ones*'"'), x^(ones*'\\')
		if m := ((q - ones) &^ q & highs) | ((b - ones) &^ b & highs); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(d); i++ {
		if d[i] == '"' || d[i] == '\\' {
			return i
		}
	}
	return i
}

// str reads a string; i is after the opening quote, next after the closing one.
func (o *Object) str(i int) (s []byte, next int, err error) {
	d := o.data
	end := stop(d, i)
	if end >= len(d) {
		return nil, end, o.bad(end, "end within a string")
	}
	if d[end] == '"' {
		return d[i:end:end], end + 1, nil
	}
	from := len(o.arena)
	for {
		o.arena = append(o.arena, d[i:end]...)
		if i, err = o.escape(end + 1); err != nil {
			return nil, i, err
		}
		if end = stop(d, i); end >= len(d) {
			return nil, end, o.bad(end, "end within a string")
		}
		if d[end] == '"' {
			o.arena = append(o.arena, d[i:end]...)
			return o.arena[from:len(o.arena):len(o.arena)], end + 1, nil
		}
	}
}

// escape decodes one escape into the arena; i is after the backslash.
func (o *Object) escape(i int) (next int, err error) {
	d := o.data
	if i >= len(d) {
		return i, o.bad(i, "end within an escape")
	}
	switch c := d[i]; c {
	case '"', '\\', '/':
		o.arena = append(o.arena, c)
	case 'b':
		o.arena = append(o.arena, '\b')
	case 'f':
		o.arena = append(o.arena, '\f')
	case 'n':
		o.arena = append(o.arena, '\n')
	case 'r':
		o.arena = append(o.arena, '\r')
	case 't':
		o.arena = append(o.arena, '\t')
	case 'u':
		return o.unicode(i + 1)
	default:
		return i, o.bad(i, "unknown escape")
	}
	return i + 1, nil
}

// unicode decodes the four digits of a \u escape, and the second half of a surrogate
// pair. A lone surrogate is no character: its escape is kept as text.
func (o *Object) unicode(i int) (next int, err error) {
	d := o.data
	r, ok := hex4(d, i)
	if !ok {
		return i, o.bad(i, "no four hexadecimal digits")
	}
	if utf16.IsSurrogate(r) {
		if has(d, i+4, `\u`) {
			if low, ok := hex4(d, i+6); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					o.arena = utf8.AppendRune(o.arena, pair)
					return i + 10, nil
				}
			}
		}
		o.arena = append(append(o.arena, `\u`...), d[i:i+4]...)
		return i + 4, nil
	}
	o.arena = utf8.AppendRune(o.arena, r)
	return i + 4, nil
}

func hex4(d []byte, i int) (rune, bool) {
	if len(d)-i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range d[i : i+4] {
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

// number reads a number: Int when it is integral and fits, else Float; what
// neither can hold keeps its text as a String.
func (o *Object) number(m *Member, i int) (next int, err error) {
	d, start := o.data, i
	if d[i] == '-' {
		i++
	}
	first := i
	var n uint64
	for i < len(d) && d[i]-'0' < 10 {
		n = n*10 + uint64(d[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 || digits > 1 && d[first] == '0' {
		return first, o.bad(first, "no number")
	}
	integral := true
	if i < len(d) && d[i] == '.' {
		integral = false
		if i, err = o.digits(i + 1); err != nil {
			return i, err
		}
	}
	if i < len(d) && d[i]|0x20 == 'e' {
		integral = false
		if i++; i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		if i, err = o.digits(i); err != nil {
			return i, err
		}
	}
	m.Text = d[start:i:i]
	switch {
	case integral && digits <= 18:
		m.Kind, m.Int = Int, int64(n)
		if first > start {
			m.Int = -m.Int
		}
	case integral:
		v, bad := strconv.ParseInt(string(m.Text), 10, 64)
		if bad == nil {
			m.Kind, m.Int = Int, v
		}
	default:
		v, bad := strconv.ParseFloat(string(m.Text), 64)
		if bad == nil {
			m.Kind, m.Float = Float, v
		}
	}
	return i, nil
}

func (o *Object) digits(i int) (int, error) {
	d, start := o.data, i
	for i < len(d) && d[i]-'0' < 10 {
		i++
	}
	if i == start {
		return i, o.bad(i, "no digit")
	}
	return i, nil
}

// skip checks an array or object and returns where it ends; i is at its opening
// bracket, depth the nesting around it.
func (o *Object) skip(i, depth int) (int, error) {
	d := o.data
	if depth >= MaxDepth {
		return i, o.deep(i)
	}
	closing, named := byte(']'), false
	if d[i] == '{' {
		closing, named = '}', true
	}
	if i = space(d, i+1); i < len(d) && d[i] == closing {
		return i + 1, nil
	}
	for {
		var err error
		if named {
			if i, err = o.skipName(i); err != nil {
				return i, err
			}
		}
		if i, err = o.skipValue(i, depth); err != nil {
			return i, err
		}
		if i = space(d, i); i >= len(d) {
			return i, o.bad(i, "end within a value")
		}
		if d[i] == closing {
			return i + 1, nil
		}
		if d[i] != ',' {
			return i, o.bad(i, "neither comma nor bracket")
		}
		i = space(d, i+1)
	}
}

func (o *Object) skipName(i int) (int, error) {
	d := o.data
	if i >= len(d) || d[i] != '"' {
		return i, o.bad(i, "no name")
	}
	mark := len(o.arena)
	_, i, err := o.str(i + 1)
	o.arena = o.arena[:mark]
	if err != nil {
		return i, err
	}
	if i = space(d, i); i >= len(d) || d[i] != ':' {
		return i, o.bad(i, "no colon")
	}
	return space(d, i+1), nil
}

func (o *Object) skipValue(i, depth int) (int, error) {
	d := o.data
	switch {
	case i >= len(d):
		return i, o.bad(i, "no value")
	case d[i] == '{':
		return o.skip(i, depth+1)
	case d[i] == 'n' && has(d, i, "null"):
		return i + 4, nil
	}
	mark := len(o.arena)
	var m Member
	next, err := o.value(&m, i, depth+1)
	o.arena = o.arena[:mark]
	return next, err
}

// EscapeUTF8 appends src with each byte that is not part of valid UTF-8 as two
// hexadecimal digits after prefix.
func EscapeUTF8(dst, src []byte, prefix string) []byte {
	const hex = "0123456789abcdef"
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		if r == utf8.RuneError && n == 1 {
			dst = append(append(dst, prefix...), hex[src[0]>>4], hex[src[0]&15])
		} else {
			dst = append(dst, src[:n]...)
		}
		src = src[n:]
	}
	return dst
}

// Elements calls each with the elements of an array that a Scan kept as JSON:
// a scalar as a Member without a name, an object or array as its text (Kind
// JSON), null not at all. It uses o's memory, so o MUST NOT be the Object whose
// member raw is. A raw that is no valid array ends the calls.
func (o *Object) Elements(raw []byte, each func(m *Member)) {
	o.data, o.arena = raw, o.arena[:0]
	i := space(raw, 0)
	if i >= len(raw) || raw[i] != '[' {
		return
	}
	i = space(raw, i+1)
	for i < len(raw) && raw[i] != ']' {
		if has(raw, i, "null") {
			i += 4
		} else {
			o.element = Member{}
			next, err := o.value(&o.element, i, 1)
			if err != nil {
				return
			}
			i = next
			each(&o.element)
		}
		if i = space(raw, i); i < len(raw) && raw[i] == ',' {
			i = space(raw, i+1)
		}
	}
}
