// Package kv reads pairs of key=value in text lines: logfmt, hclog, ztunnel,
// the fields of Rust's tracing, auditd, zap's console. It is one hand-written
// scanner for all of them; what their writers do differently is told by Style.
//
// Nothing is allocated. What it returns aliases the line. It knows no platform and
// never panics on bytes from outside.
package kv

import (
	"bytes"
	"unicode/utf8"
)

// A Style says how a writer ends values that it does not quote.
type Style uint8

// The styles.
const (
	// Words end at white space: logfmt, ztunnel.
	Words Style = iota
	// Nested is Words, but white space within brackets and braces that a value
	// begins with or has (addrs=[a b], client=Some(Id { name: x })) is the value's:
	// hclog, Go's %v, Rust's Debug. A bracket that nothing closes is a byte as any.
	Nested
	// Loose is Nested, but an unquoted value goes on until the next " key=": Rust's
	// tracing writes errors so (error=connect timed out after 1s error.sources=[…]).
	Loose
	// Audit is Words, and a value may stand in single quotes, within which nothing
	// is escaped: auditd.
	Audit
)

// maxKey bounds a key; a longer word is no key.
const maxKey = 128

// A Pair is one key and its value. Value is without the quotes that stood around
// it, its escapes as they are.
type Pair struct {
	Key, Value []byte
	Quoted     bool // the value stood in quotes
	Escaped    bool // it holds a backslash: use Text
	Flag       bool // a word without =; Value is nil
}

// Text returns the value without escapes: itself if it has none, else *scratch,
// which is overwritten.
func (p *Pair) Text(scratch *[]byte) []byte {
	if !p.Escaped {
		return p.Value
	}
	*scratch = Unescape((*scratch)[:0], p.Value)
	return *scratch
}

// A Scanner reads the pairs of a line, one after the other.
type Scanner struct {
	rest  []byte
	style Style
}

// Scan returns a Scanner of the pairs in b.
func Scan(b []byte, style Style) Scanner { return Scanner{rest: b, style: style} }

// Rest returns what was not read yet.
func (s *Scanner) Rest() []byte { return s.rest }

// Next returns the next pair, or false at the end. Words that are no pair, such as
// those of a message, are returned as flags.
func (s *Scanner) Next() (p Pair, ok bool) {
	b := s.rest
	i := 0
	for i < len(b) && (b[i] <= ' ' || b[i] == 0x1d) {
		i++
	}
	b = b[i:]
	if len(b) == 0 {
		s.rest = nil
		return p, false
	}
	n := 0
	for n < len(b) && b[n] > ' ' && b[n] != '=' && b[n] != '"' {
		n++
	}
	if n == 0 || n == len(b) || b[n] != '=' || n > maxKey {
		for n < len(b) && b[n] > ' ' {
			n++
		}
		s.rest = b[n:]
		return Pair{Key: b[:n], Flag: true}, true
	}
	p.Key = b[:n]
	s.rest = b[n+1:]
	s.value(&p)
	return p, true
}

// Goon makes the words behind a pair that are no pairs themselves part of its
// value: "op=change password id=1". p is the last pair of Next, not quoted.
func (s *Scanner) Goon(p *Pair) {
	for len(s.rest) > 1 && s.rest[0] == ' ' && s.rest[1] > ' ' && s.rest[1] != ':' && s.rest[1] != '(' && !IsPair(s.rest[1:]) {
		n := 1
		for n < len(s.rest) && s.rest[n] > ' ' {
			n++
		}
		p.Value, s.rest = p.Value[:len(p.Value)+n], s.rest[n:]
	}
}

// value reads the value that the rest begins with.
func (s *Scanner) value(p *Pair) {
	b := s.rest
	if len(b) == 0 || b[0] <= ' ' {
		p.Value = b[:0]
		return
	}
	if b[0] == '"' {
		if end, escaped := Quote(b); end > 0 {
			p.Value, p.Quoted, p.Escaped = b[1:end-1], true, escaped
			s.rest = b[end:]
			return
		}
	}
	if b[0] == '\'' && s.style == Audit {
		if end := bytes.IndexByte(b[1:], '\''); end >= 0 {
			p.Value, p.Quoted = b[1:end+1], true
			s.rest = b[end+2:]
			return
		}
	}
	end := s.bare(b)
	p.Value, s.rest = b[:end], b[end:]
}

// Quote returns where the double-quoted text that b begins with ends, its quotes
// included, and whether it holds a backslash; 0 if nothing closes it.
func Quote(b []byte) (end int, escaped bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			return i + 1, escaped
		}
	}
	return 0, false
}

// bare returns where a value ends that is not in quotes.
func (s *Scanner) bare(b []byte) int {
	if s.style == Words || s.style == Audit {
		for i, c := range b {
			if c <= ' ' || c == 0x1d {
				return i
			}
		}
		return len(b)
	}
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '[' || c == '{' || c == '(':
			if n := balanced(b[i:]); n > 0 {
				i += n - 1
			}
		case c == '\t' || c == '\n' || c == '\r':
			return i
		case c == ' ' && (s.style == Nested || IsPair(b[i+1:])):
			return i
		}
	}
	return len(bytes.TrimRight(b, " "))
}

// maxDepth bounds brackets within brackets.
const maxDepth = 32

// balanced returns the length of the bracketed text that b begins with, or 0 when
// its brackets do not match. Brackets in double quotes are text.
func balanced(b []byte) int {
	var stack [maxDepth]byte
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '[', '{', '(':
			if depth == maxDepth {
				return 0
			}
			stack[depth] = c + 2
			if c == '(' {
				stack[depth] = ')'
			}
			depth++
		case ']', '}', ')':
			if stack[depth-1] != c {
				return 0
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			n, _ := Quote(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		}
	}
	return 0
}

// IsPair reports whether b begins with a pair: a key as programs name them, of
// letters, digits and _ . - / @ : and $, and a =.
func IsPair(b []byte) bool {
	for i, c := range b {
		if c == '=' {
			return i > 0 && (i+1 == len(b) || b[i+1] != '=')
		}
		if i > maxKey || !keyByte(c) {
			return false
		}
	}
	return false
}

func keyByte(c byte) bool {
	switch {
	case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		return true
	}
	return c == '_' || c == '.' || c == '-' || c == '/' || c == '@' || c == ':' || c == '$'
}

// Message splits a line that is a message and pairs behind it: "a message k=v".
// pairs is empty when there are none. A message may itself be empty.
func Message(b []byte) (message, pairs []byte) {
	if IsPair(b) {
		return nil, b
	}
	for i := 0; i < len(b); i++ {
		if (b[i] == ' ' || b[i] == '\t') && IsPair(b[i+1:]) {
			return bytes.TrimRight(b[:i], " \t"), b[i+1:]
		}
	}
	return b, nil
}

// Value returns the value of the first pair with this key, and whether there is
// one. It reads the line from its start: for a few keys of a short line.
func Value(b []byte, key string, style Style) (Pair, bool) {
	s := Scan(b, style)
	for {
		p, ok := s.Next()
		if !ok {
			return p, false
		}
		if !p.Flag && string(p.Key) == key {
			return p, true
		}
	}
}

// Unescape appends v to dst without its escapes: those of Go, of Rust and of JSON
// (\n \t \r \" \\ \' \/ \b \f \a \v \0 \xHH \uHHHH \u{H…} \UHHHHHHHH). Any other
// backslash stays. What it appends is valid UTF-8 if v is.
func Unescape(dst, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c != '\\' || i+1 == len(v) {
			dst = append(dst, c)
			continue
		}
		i++
		switch v[i] {
		case '"', '\\', '\'', '/':
			dst = append(dst, v[i])
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'a':
			dst = append(dst, '\a')
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'v':
			dst = append(dst, '\v')
		case '0':
			dst = append(dst, 0)
		case 'x', 'u', 'U':
			r, n := rune16(v[i:])
			if n == 0 {
				dst = append(dst, '\\', v[i])
				continue
			}
			dst = utf8.AppendRune(dst, r)
			i += n - 1
		default:
			dst = append(dst, '\\', v[i])
		}
	}
	return dst
}

// rune16 reads xHH below 0x80, uHHHH, u{H…} or UHHHHHHHH, and returns how many
// bytes it took; 0 for none. xHH of more is a byte, not a character: it stays.
func rune16(b []byte) (r rune, n int) {
	digits := 2
	switch b[0] {
	case 'u':
		digits = 4
		if len(b) > 1 && b[1] == '{' {
			end := bytes.IndexByte(b[:min(len(b), 10)], '}')
			if end < 3 {
				return 0, 0
			}
			r, ok := hex(b[2:end])
			return r, okLen(r, ok, end+1)
		}
	case 'U':
		digits = 8
	}
	if len(b) < 1+digits {
		return 0, 0
	}
	r, ok := hex(b[1 : 1+digits])
	if b[0] == 'x' && r >= utf8.RuneSelf {
		return 0, 0
	}
	return r, okLen(r, ok, 1+digits)
}

func okLen(r rune, ok bool, n int) int {
	if !ok || !utf8.ValidRune(r) {
		return 0
	}
	return n
}

func hex(b []byte) (r rune, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, len(b) > 0
}
