package sensitive

import (
	"sync"
	"unicode/utf8"
)

// scratch is what decoding needs. One is in use per layer.
type scratch struct {
	text  []byte
	pos   []uint32 // where each byte of text came from
	found []Finding
	both  []Finding
}

var pool = sync.Pool{New: func() any {
	return &scratch{text: make([]byte, 0, 4096), pos: make([]uint32, 0, 4096), found: make([]Finding, 0, 32), both: make([]Finding, 0, 32)}
}}

// put keeps a scratch for later, unless one large value blew it up.
func (s *scratch) put() {
	if cap(s.text) <= 1<<18 && cap(s.found) <= 1<<12 {
		pool.Put(s)
	}
}

// sextet is the value of a byte in base64, of either alphabet; 64 or more of none.
var sextet = func() (t [256]uint8) {
	for b := range t {
		switch {
		case b >= 'A' && b <= 'Z':
			t[b] = uint8(b - 'A')
		case b >= 'a' && b <= 'z':
			t[b] = uint8(b-'a') + 26
		case b >= '0' && b <= '9':
			t[b] = uint8(b-'0') + 52
		case b == '+' || b == '-':
			t[b] = 62
		case b == '/' || b == '_':
			t[b] = 63
		default:
			t[b] = 255
		}
	}
	return t
}()

// ascii tells of a byte of base64 whether text in ASCII may have it as the first,
// the second and the third of four.
var ascii = func() (t [256]uint8) {
	for b := range t {
		s := sextet[b]
		if s >= 64 {
			continue
		}
		if s < 32 {
			t[b] |= 1
		}
		if s&8 == 0 {
			t[b] |= 2
		}
		if s&2 == 0 {
			t[b] |= 4
		}
	}
	return t
}()

func asciiQuad(v []byte) bool {
	return ascii[v[0]]&1 != 0 && ascii[v[1]]&2 != 0 && ascii[v[2]]&4 != 0
}

// hex looks through what the word v[start:end] is the hexadecimal of, if that is
// text: auditd writes so what a user typed. What separates its words may be NUL.
func (c *scan) hex(start, end int) {
	w := c.v[start:end]
	if len(w)&1 != 0 {
		return
	}
	for i := 0; i < len(w); i += 2 {
		if !isHex(w[i]) || !isHex(w[i+1]) {
			return
		}
		if h := hexValue(w[i])<<4 | hexValue(w[i+1]); (h < ' ' || h > '~') && h != 0 && h != '\n' && h != '\t' && h != '\r' {
			return
		}
	}
	sc := pool.Get().(*scratch)
	sc.text = sc.text[:0]
	for i := 0; i < len(w); i += 2 {
		sc.text = append(sc.text, max(byte(hexValue(w[i])<<4|hexValue(w[i+1])), ' '))
	}
	sc.found = c.s.find(sc.found[:0], Field{}, sc.text, c.layer+1)
	if len(sc.found) > 0 {
		c.emit(sc.found[0].Kind, start, end)
	}
	sc.put()
}

// phase returns at which of the first four bytes of a word base64 of ASCII text
// begins, or -1. Chance lets one word in some dozens through.
func phase(w []byte) int {
	need := 3
	if len(w) < 16 {
		need = 2
	}
	for p := range min(4, len(w)) {
		run := 0
		for i := p; i+4 <= len(w); i += 4 {
			if asciiQuad(w[i:]) {
				if run++; run >= need {
					return p
				}
			} else {
				run = 0
			}
		}
	}
	return -1
}

// base64 looks through what the word v[start:end] is the base64 of, together with
// what continues it after a plus, a slash or a line's end.
func (c *scan) base64(start, end int) {
	v := c.v
	p := phase(v[start:end])
	if p < 0 {
		return
	}
	from, to := start+p, end
	for p == 0 && from >= c.end+4 && from == start && (v[from-1] == '+' || v[from-1] == '/') && asciiQuad(v[from-4:]) && ascii[v[from-4]]&1 != 0 {
		from -= 4
		start = from
	}
	to = run64(v, from, to)
	c.b64 = to
	sc := pool.Get().(*scratch)
	sc.text = decode64(sc.text[:0], v[from:to])
	sc.found = c.s.find(sc.found[:0], Field{}, sc.text, c.layer+1)
	if len(sc.found) > 0 {
		for to < len(v) && v[to] == '=' && to-c.b64 < 2 {
			to++
		}
		c.emit(sc.found[0].Kind, from, to)
	}
	sc.put()
}

// run64 returns where the base64 that begins at v[from], and goes to v[to] at
// least, ends.
func run64(v []byte, from, to int) int {
	line := from
	for to < len(v) {
		switch b := v[to]; {
		case class[b] != 0:
			to++
		case (b == '+' || b == '/') && (to-line)%4 == 3: // of ASCII text, nowhere else
			to++
		case b == '\n' && to-line >= 60 && to+1 < len(v) && sextet[v[to+1]] < 64:
			to++
			line = to
		case b == '\r' && to-line >= 60 && to+2 < len(v) && v[to+1] == '\n' && sextet[v[to+2]] < 64:
			to += 2
			line = to
		default:
			return to
		}
	}
	return to
}

// decode64 appends what v is the base64 of, in either alphabet, with or without
// padding. Line ends are skipped, and of an incomplete end what there is.
func decode64(dst, v []byte) []byte {
	acc, n := uint32(0), 0
	for _, b := range v {
		s := sextet[b]
		if s >= 64 {
			continue
		}
		acc = acc<<6 | uint32(s)
		if n++; n == 4 {
			dst = append(dst, byte(acc>>16), byte(acc>>8), byte(acc))
			acc, n = 0, 0
		}
	}
	switch n {
	case 2:
		dst = append(dst, byte(acc>>4))
	case 3:
		dst = append(dst, byte(acc>>10), byte(acc>>2))
	}
	return dst
}

// jwt returns where the JSON web token ends whose header is v[start:dot], or 0.
func jwt(v []byte, start, dot int) int {
	if dot-start < 10 || dot-start > 2048 {
		return 0
	}
	var buf [1536]byte
	head := decode64(buf[:0], v[start:dot])
	if len(head) < 8 || head[0] != '{' {
		return 0
	}
	alg := false
	for i := 0; i+5 <= len(head) && !alg; i++ {
		alg = string(head[i:i+5]) == `"alg"`
	}
	if !alg {
		return 0
	}
	end := dot
	for parts := 0; parts < 4 && end < len(v) && v[end] == '.'; parts++ {
		i := end + 1
		for i < len(v) && class[v[i]] != 0 {
			i++
		}
		if i == end+1 && parts == 0 {
			return 0
		}
		end = i
	}
	for end > dot && v[end-1] == '.' && end < len(v) {
		end--
	}
	return end
}

// escapes reports whether a backslash before b begins an escape.
func escapes(b byte) bool {
	switch b {
	case '"', '\\', '/', '\'', 'n', 'r', 't', 'u', 'x', 'b', 'f':
		return true
	}
	return false
}

// joined returns the width of what joins two strings at the quote v[i]: of "a""b"
// and "a" + "b"; 0 when nothing does.
func joined(v []byte, i int) int {
	if i == 0 || class[v[i-1]] == 0 {
		return 0
	}
	quote, j, plus := v[i], i+1, false
	for j < len(v) && j-i < 8 && (v[j] == ' ' || v[j] == '+' || v[j] == '.' || v[j] == '\\' || v[j] == '\n') {
		plus = plus || v[j] != ' '
		j++
	}
	if j+1 >= len(v) || v[j] != quote || class[v[j+1]] == 0 || j > i+1 && !plus {
		return 0
	}
	return j + 1 - i
}

// entity decodes the character of HTML and XML at v[i], as escape does.
func entity(v []byte, i int) (r rune, width int) {
	stop := min(len(v), i+9)
	end := i + 1
	for end < stop && v[end] != ';' {
		end++
	}
	if end == stop {
		return 0, 0
	}
	switch name := string(v[i+1 : end]); name {
	case "quot":
		return '"', 6
	case "apos":
		return '\'', 6
	case "amp":
		return '&', 5
	}
	if v[i+1] != '#' || end < i+3 {
		return 0, 0
	}
	digits, base := v[i+2:end], rune(10)
	if digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	for _, b := range digits {
		if !isHex(b) || base == 10 && class[b] != digit {
			return 0, 0
		}
		r = r*base + rune(hexValue(b))
	}
	if len(digits) == 0 || r > utf8.MaxRune {
		return 0, 0
	}
	return r, end + 1 - i
}

// escape decodes the escape at v[i]: its rune, or -1 for nothing, and its width; 0
// when there is none.
func escape(v []byte, i int) (r rune, width int) {
	switch v[i] {
	case '%':
		if i+2 < len(v) && isHex(v[i+1]) && isHex(v[i+2]) {
			return rune(hexValue(v[i+1])<<4 | hexValue(v[i+2])), 3
		}
		if i+5 < len(v) && v[i+1] == 'u' && isHex(v[i+2]) && isHex(v[i+3]) && isHex(v[i+4]) && isHex(v[i+5]) {
			return rune(hexValue(v[i+2])<<12 | hexValue(v[i+3])<<8 | hexValue(v[i+4])<<4 | hexValue(v[i+5])), 6
		}
	case '&':
		return entity(v, i)
	case '"', '\'':
		return -1, joined(v, i)
	case '\\':
		if i+1 >= len(v) {
			return 0, 0
		}
		switch b := v[i+1]; b {
		case '"', '\\', '/', '\'':
			return rune(b), 2
		case 'n':
			return '\n', 2
		case 'r':
			return '\r', 2
		case 't':
			return '\t', 2
		case 'b', 'f':
			return ' ', 2
		case 'x':
			if i+3 < len(v) && isHex(v[i+2]) && isHex(v[i+3]) {
				return rune(hexValue(v[i+2])<<4 | hexValue(v[i+3])), 4
			}
		case 'u':
			if i+5 < len(v) && isHex(v[i+2]) && isHex(v[i+3]) && isHex(v[i+4]) && isHex(v[i+5]) {
				return rune(hexValue(v[i+2])<<12 | hexValue(v[i+3])<<8 | hexValue(v[i+4])<<4 | hexValue(v[i+5])), 6
			}
		}
	}
	return 0, 0
}

// unescaped looks through the text with its escapes undone, and merges what it
// finds there.
func (c *scan) unescaped() {
	v := c.v
	sc := pool.Get().(*scratch)
	text, pos := sc.text[:0], sc.pos[:0]
	changed := false
	for i := 0; i < len(v); {
		b := v[i]
		if b == '%' || b == '\\' || b == '"' || b == '\'' || b == '&' {
			if r, width := escape(v, i); width > 0 {
				n := len(text)
				switch {
				case r < 0:
				case b == '%' && width == 3 || r < utf8.RuneSelf || b == '\\' && width == 4:
					text = append(text, byte(r))
				default:
					text = utf8.AppendRune(text, r)
				}
				for range len(text) - n {
					pos = append(pos, uint32(i))
				}
				i += width
				changed = true
				continue
			}
		}
		text, pos = append(text, b), append(pos, uint32(i))
		i++
	}
	sc.text, sc.pos = text, pos
	if changed {
		f := c.f
		f.any, f.whole = false, 0
		sc.found = c.s.find(sc.found[:0], f, text, c.layer+1)
		for i := range sc.found {
			x := &sc.found[i]
			last := int(pos[x.End-1])
			x.Start, x.End = int(pos[x.Start]), last+1
			if _, width := escape(v, last); width > 0 && v[last] != '"' && v[last] != '\'' {
				x.End = last + width
			}
		}
		c.merge(sc)
	}
	sc.put()
}

// merge puts sc.found, which is in order, among the findings.
func (c *scan) merge(sc *scratch) {
	if len(sc.found) == 0 {
		return
	}
	ours, theirs, both := c.dst[c.base:], sc.found, sc.both[:0]
	for len(ours)+len(theirs) > 0 {
		var x Finding
		if len(theirs) == 0 || len(ours) > 0 && ours[0].Start <= theirs[0].Start {
			x, ours = ours[0], ours[1:]
		} else {
			x, theirs = theirs[0], theirs[1:]
		}
		if n := len(both); n > 0 && x.Start < both[n-1].End {
			if last := &both[n-1]; x.End > last.End {
				last.End = x.End
				if x.Start == last.Start {
					last.Kind = x.Kind
				}
			}
			continue
		}
		both = append(both, x)
	}
	c.dst = append(c.dst[:c.base], both...)
	sc.both = both
}
