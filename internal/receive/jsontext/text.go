package jsontext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

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

// near is how far a string is looked through by the word: most end before.
const near = 64

// special returns the offset of the first quote or backslash from i on, or -1.
func special(b []byte, i int) int {
	for stop := min(i+near, len(b)-7); i < stop; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := equal(w, '"') | equal(w, '\\'); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	q := bytes.IndexByte(b[i:], '"')
	if q < 0 {
		return -1
	}
	if e := bytes.IndexByte(b[i:i+q], '\\'); e >= 0 {
		return i + e
	}
	return i + q
}

// How unescape ended.
const (
	ended     = iota // at the quote
	unended          // at the end of the text
	noRoom           // before something that does not fit
	badEscape        // before it
)

// room is what unescape needs at the most for what it writes at once.
const room = 8

// unescape appends the text that the inside of a JSON string stands for, up to
// its quote, without ever growing dst. n is how much of s was read. A lone
// surrogate becomes U+FFFD.
func unescape(dst, s []byte) (out []byte, n, state int) {
	i := 0
	for i < len(s) {
		if cap(dst)-len(dst) < room {
			return dst, i, noRoom
		}
		// Where JSON stands in JSON there is an escape every few bytes: eight bytes
		// at a time are copied, and counted as far as the next one.
		if i+8 <= len(s) {
			w := binary.LittleEndian.Uint64(s[i:])
			binary.LittleEndian.PutUint64(dst[len(dst):len(dst)+8], w)
			k := bits.TrailingZeros64(equal(w, '\\')|equal(w, '"')) / 8
			dst = dst[:len(dst)+k]
			if i += k; k == 8 {
				continue
			}
		}
		c := s[i]
		switch {
		case c == '"':
			return dst, i, ended
		case c != '\\':
			dst = append(dst, c)
			i++
			continue
		case i+1 >= len(s):
			return dst, i, unended
		}
		if c = plain[s[i+1]]; c != 0 {
			dst = append(dst, c)
			i += 2
			continue
		}
		r, size := rune(0), 0
		if s[i+1] == 'u' {
			r, size = unicodeEscape(s[i:])
		}
		if size == 0 {
			return dst, i, badEscape
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst, i, unended
}

// plain is what an escape of one character stands for; 0: it is none.
var plain = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unicodeEscape reads the escape that s begins with, or the two of a pair of
// surrogates. A size of 0 says that it is none.
func unicodeEscape(s []byte) (r rune, size int) {
	r, ok := hex4(s[2:])
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low := rune(utf8.RuneError)
	if len(s) > 7 && s[6] == '\\' && s[7] == 'u' {
		if l, ok := hex4(s[8:]); ok {
			low = l
		}
	}
	if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
		return r, 12
	}
	return r, 6
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
