package sensitive

import "encoding/binary"

// Classes of bytes. A word is a longest run of bytes that have one.
const (
	digit uint8 = 1 << iota
	upper
	hexLow // a to f
	low    // g to z
	under
	dash
)

const (
	shortest = 6  // bytes of the shortest finding and its evidence
	hexLong  = 22 // bytes of the shortest word that is looked through as hexadecimal
	long     = 11 // bytes of the shortest word that is looked at for its own sake
	layers   = 3  // encodings within each other that are looked through
)

// Reasons to look at a short word: what follows it, and how it ends.
const (
	asName  uint8 = 1 << iota // it may be the name of what follows
	asStart                   // it may be a token's first part, before a dot
	asGroup                   // it may begin an IPv6 address, or an account's number in groups
)

var (
	class = classes()
	hint  = hints()
	after = followers()
	tail  = tails()
	marks = markers()
)

func classes() (t [256]uint8) {
	for b := range t {
		switch {
		case b >= '0' && b <= '9':
			t[b] = digit
		case b >= 'A' && b <= 'Z':
			t[b] = upper
		case b >= 'a' && b <= 'f':
			t[b] = hexLow
		case b >= 'g' && b <= 'z':
			t[b] = low
		case b == '_':
			t[b] = under
		case b == '-':
			t[b] = dash
		}
	}
	return t
}

// hints are the bytes without which there is no finding of any kind.
func hints() (t [256]uint8) {
	for b := range t {
		t[b] = class[b] & (digit | upper)
	}
	for _, b := range []byte("@=:%\\>-&") {
		t[b] = 1
	}
	return t
}

// followers are the bytes after a word that give reason to look at it.
func followers() (t [256]uint8) {
	for _, b := range []byte("=:\"'\\ \t\n\r]>`%") {
		t[b] = asName
	}
	t['.'] = asStart
	t[':'] |= asGroup
	t[' '] |= asGroup
	return t
}

// tails are the last bytes of words that may be such.
func tails() (t [256]uint8) {
	for _, b := range []byte("dDeEtTnNyYsSlLgGcCrRxXpPvVoOhHmMwWu12") {
		t[b] |= asName
	}
	for _, b := range []byte("Gsbr91") {
		t[b] |= asStart
	}
	for _, b := range []byte("0123456789abcdefABCDEF") {
		t[b] |= asGroup
	}
	return t
}

// markers are the bytes outside of words that give reason to look around them.
func markers() (t [256]bool) {
	for _, b := range []byte("@:%\\~'\"&") {
		t[b] = true
	}
	return t
}

// scan is one reading of one text. It lives on the stack, or in a Cursor.
type scan struct {
	s       *Scanner
	set     Set
	f       Field
	v       []byte
	dst     []Finding
	base    int // findings in dst before this reading
	end     int // where the last finding ends
	b64     int // base64 was looked through up to here
	card    int // a name before here speaks of a card
	reread  int // bytes of values that names were given
	layer   int
	escaped bool // an escape was seen
	secret  bool // "kind":"Secret" was seen
}

// find appends the findings in v, which is what so many encodings hid.
func (s *Scanner) find(dst []Finding, f Field, v []byte, layer int) []Finding {
	c := scan{s: s, set: s.set, f: f, layer: layer}
	return c.read(dst, v)
}

// read appends the findings in v. What c says besides its scanner, field and layer
// is of the reading before.
func (c *scan) read(dst []Finding, v []byte) []Finding {
	c.v, c.dst, c.base, c.end, c.b64, c.card, c.reread, c.escaped, c.secret = v, dst, len(dst), 0, 0, 0, 0, false, false
	if c.f.any && c.layer == 0 {
		c.wholly()
	}
	c.words()
	if c.secret && c.set.Has(K8sSecret) {
		c.bodies()
	}
	if c.escaped && c.layer < layers {
		c.unescaped()
	}
	return c.dst
}

// words reads the text from its start to its end.
func (c *scan) words() {
	v := c.v
	for i := c.end; i < len(v); {
		m := class[v[i]]
		if m == 0 {
			if marks[v[i]] {
				i = c.mark(i)
			} else {
				i++
			}
			continue
		}
		start := i
		for i++; i < len(v); i++ {
			k := class[v[i]]
			if k == 0 {
				break
			}
			m |= k
		}
		if i < len(v) {
			if why := after[v[i]] & tail[v[i-1]]; why != 0 && (why != asGroup || i-start == 4) {
				if c.short(start, i, why); c.end > i {
					i = c.end
					continue
				}
			}
		}
		if m&^(digit|dash) == 0 {
			if c.number(start, i, m); c.end > i {
				i = c.end
			}
		} else if i-start >= long {
			if c.long(start, i, m); c.end > i {
				i = c.end
			}
		}
	}
}

// mark looks at a byte outside of words and returns where to go on.
func (c *scan) mark(i int) int {
	v := c.v
	switch v[i] {
	case '@':
		c.mail(i)
	case ':':
		if i+3 < len(v) && v[i+1] == '/' && v[i+2] == '/' {
			c.url(i)
		}
	case '%':
		c.escaped = c.escaped || i+2 < len(v) && (isHex(v[i+1]) || v[i+1] == 'u') && isHex(v[i+2])
	case '&':
		c.escaped = c.escaped || i+3 < len(v) && (v[i+1] == '#' || v[i+1] == 'q' || v[i+1] == 'a')
	case '\\':
		c.escaped = c.escaped || i+1 < len(v) && escapes(v[i+1])
	case '~':
		c.azure(i)
	case '"', '\'':
		c.escaped = c.escaped || joined(v, i) > 0
	}
	return max(i+1, c.end)
}

// emit notes v[start:end]. Earlier findings within it give way to it.
func (c *scan) emit(k Kind, start, end int) bool {
	if !c.set.Has(k) || start >= end {
		return false
	}
	for len(c.dst) > c.base {
		last := &c.dst[len(c.dst)-1]
		if last.End <= start {
			break
		}
		if last.Start < start {
			last.End = max(last.End, end)
			c.end = max(c.end, last.End)
			return true
		}
		end = max(end, last.End)
		c.dst = c.dst[:len(c.dst)-1]
	}
	c.dst = append(c.dst, Finding{start, end, k})
	c.end = max(c.end, end)
	return true
}

// long looks at a word of at least that many bytes, not all of them digits.
func (c *scan) long(start, end int, m uint8) {
	v := c.v
	if starts[v[start]] != nil && c.token(start, end) {
		return
	}
	if end+9 <= len(v) && string(v[end:end+9]) == ".atlasv1." {
		if c.dotted(start, end); c.end > end {
			return
		}
	}
	if m&(under|dash) != 0 && m&digit != 0 {
		if c.joints(start, end, m); c.end >= end {
			return
		}
	}
	if m&(low|under|dash) == 0 && end-start >= hexLong && c.layer < layers {
		if c.hex(start, end); c.end >= end {
			return
		}
	}
	if m&upper == 0 {
		return
	}
	if m == upper|digit|dash && end-start >= 18 && v[start+4] == '-' {
		if c.spacedIBAN(start); c.end > start {
			return
		}
	}
	if end-start >= 15 && end-start <= 34 && m == upper|digit && c.set.Has(IBAN) && isIBAN(v[start:end]) {
		c.emit(IBAN, start, end)
		return
	}
	if end < len(v) && v[end] == '.' && v[start] == 'e' && c.set.Has(JWT) {
		if e := jwt(v, start, end); e > 0 {
			c.emit(JWT, start, e)
			return
		}
	}
	if m&(hexLow|low) != 0 && c.layer < layers && start >= c.b64 {
		c.base64(start, end)
	}
}

// joints looks at the parts of a word between dashes and underscores: for numbers
// of cards, and tokens that stand after another word.
func (c *scan) joints(start, end int, m uint8) {
	v := c.v
	if end-start == 36 && v[start+8] == '-' && v[start+13] == '-' && v[start+18] == '-' && v[start+23] == '-' {
		return // a UUID
	}
	if c.set.Has(PAN) {
		for i := start + 12; i < end; i += 13 {
			if class[v[i]] != digit {
				continue
			}
			a, b := i, i+1
			for a > start && class[v[a-1]] == digit {
				a--
			}
			for b < end && class[v[b]] == digit {
				b++
			}
			i = b
			if b-a >= 13 && b-a <= 16 && (a == start || class[v[a-1]]&(under|dash) != 0) && (b == end || class[v[b]]&(under|dash) != 0) && c.apart(a, b) && isPAN(v[a:b], c.f.card || a < c.card) {
				c.emit(PAN, a, b)
			}
		}
	}
	if m&upper == 0 {
		return
	}
	for i := start + 1; i+long <= end; i++ {
		if class[v[i-1]]&(under|dash) != 0 && starts[v[i]] != nil && c.token(i, end) {
			return
		}
	}
}

// apart reports whether v[start:end] is a number of its own: not the digits of a
// fraction, and not after a plus.
func (c *scan) apart(start, end int) bool {
	v := c.v
	if start > 0 {
		if b := v[start-1]; b == '+' || b == '.' && start > 1 && class[v[start-2]] == digit {
			return false
		}
	}
	return end+1 >= len(v) || v[end] != '.' || class[v[end+1]] != digit
}

// isID reports whether v, of 32 or 36 bytes, is the id of a trace or a UUID in
// lower case, and hides no text: in such a value nothing is found. Of the ids in a
// column hardly one comes twice, so they are told from text eight bytes at a time.
func isID(v []byte) bool {
	half := binary.LittleEndian.Uint32
	var x [4]uint64
	if len(v) == 36 {
		if v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
			return false
		}
		x = [4]uint64{eight(v), uint64(half(v[9:])) | uint64(half(v[14:]))<<32, uint64(half(v[19:])) | uint64(half(v[24:]))<<32, eight(v[28:])}
	} else {
		x = [4]uint64{eight(v), eight(v[8:]), eight(v[16:]), eight(v[24:])}
	}
	valid, letters, beyond := uint64(highs), uint64(0), len(v) == 36
	for _, x := range x {
		digits, alpha := hexBytes(x)
		valid &= digits | alpha
		letters |= alpha
		// The first of two digits of a byte beyond ASCII is 8 to f.
		beyond = beyond || (alpha|(x|highs)-'8'*ones)&0x0080008000800080 != 0
	}
	return valid == highs && letters != 0 && beyond
}

const ones, highs = 0x0101010101010101, 0x8080808080808080

func eight(v []byte) uint64 { return binary.LittleEndian.Uint64(v) }

// hexBytes returns the high bits of those of eight bytes that are digits, and of
// those that are a to f.
func hexBytes(x uint64) (digits, alpha uint64) {
	a := x | highs // less n of each byte, a high bit tells that it is at least n
	digits = (a - '0'*ones) &^ (a - ':'*ones) &^ x & highs
	alpha = (a - 'a'*ones) &^ (a - 'g'*ones) &^ x & highs
	return digits, alpha
}

func isHex(b byte) bool { return class[b]&(digit|hexLow) != 0 || b >= 'A' && b <= 'F' }

func lower(b byte) byte {
	if class[b] == upper {
		return b | 0x20
	}
	return b
}
