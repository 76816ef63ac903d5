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
