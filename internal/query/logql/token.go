package logql

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/match"
)

type kind uint8

const (
	kEnd kind = iota
	kIdent
	kString
	kNumber
	kDuration
	kBytes
	kOp // everything else, told apart by its text
)

// token is one lexical element. pos is its byte offset in the query.
type token struct {
	kind kind
	text string // an operator's or identifier's text; a string's value
	pos  int
	num  float64 // kNumber
	ns   int64   // kDuration; bytes of kBytes
}

// name returns what an error calls the token.
func (t token) name() string {
	switch t.kind {
	case kEnd:
		return "$end"
	case kIdent:
		if isKeyword(t.text) {
			return strings.ToLower(t.text)
		}
		return "IDENTIFIER"
	case kString:
		return "STRING"
	case kNumber:
		return "NUMBER"
	case kDuration:
		return "DURATION"
	case kBytes:
		return "BYTES"
	}
	return t.text
}

// isKeyword reports whether the word has a meaning of its own, in any case.
// Where only a name can stand, every word but and, or and unless is one.
func isKeyword(s string) bool {
	s = strings.ToLower(s)
	switch s {
	case "by", "without", "on", "ignoring", "bool", "offset", "and", "or", "unless", "group_left", "group_right",
		"json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "decolorize", "drop", "keep", "distinct", "unwrap",
		"vector", "label_replace":
		return true
	}
	return isRangeOp(s) || isVectorOp(s)
}

// reserved reports whether a name is quoted when it is printed: the words that
// stand between other words. Functions and stages print bare.
func reserved(s string) bool {
	switch strings.ToLower(s) {
	case "by", "without", "on", "ignoring", "bool", "offset", "and", "or", "unless", "group_left", "group_right":
		return true
	}
	return false
}

// operators, longest first.
var operators = []string{
	"=~", "!~", "!=", "==", ">=", "<=", "|=", "|~", "|>", "!>",
	"{", "}", "(", ")", "[", "]", ",", "=", "<", ">", "|", "+", "-", "*", "/", "%", "^",
}

// lexer cuts a query into tokens.
type lexer struct {
	src string
	pos int
}

func (l *lexer) next() (token, error) {
	l.skipSpace()
	t := token{pos: l.pos}
	if l.pos >= len(l.src) {
		return t, nil
	}
	c := l.src[l.pos]
	switch {
	case c == '"' || c == '`':
		return l.quoted(c)
	case c >= '0' && c <= '9' || c == '.' && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]):
		return l.number()
	case letterAt(l.src[l.pos:], false) > 0:
		end := l.pos
		for {
			n := letterAt(l.src[end:], end > l.pos)
			if n == 0 && end+1 < len(l.src) && l.src[end] == '.' && letterAt(l.src[end+1:], true) > 0 {
				n = 1
			}
			if n == 0 {
				break
			}
			end += n
		}
		t.kind, t.text = kIdent, l.src[l.pos:end]
		l.pos = end
		return t, nil
	case strings.HasPrefix(l.src[l.pos:], "/*"):
		return t, l.errorAt(l.pos, "", "syntax error: comment is not terminated")
	case c == '\'':
		return t, l.errorAt(l.pos, `write "..." or a raw string between backquotes`, "syntax error: strings are not written in single quotes")
	}
	for _, op := range operators {
		if strings.HasPrefix(l.src[l.pos:], op) {
			t.kind, t.text = kOp, op
			l.pos += len(op)
			return t, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.src[l.pos:])
	return t, l.errorAt(l.pos, characterHint(r), "syntax error: unexpected character %s", strconv.QuoteRune(r))
}

// characterHint says what was meant by a character that queries do not have.
func characterHint(r rune) string {
	switch r {
	case '$':
		return "variables are filled in by the dashboard: here, write the value, such as [5m]"
	case ':':
		return "there are no sub-queries: a range is [5m]"
	case '@':
		return "there is no @: ask for another time range, or write offset 1h"
	case '“', '”', '„', '‘', '’':
		return `quotes are straight: "..."`
	case '&':
		return "write and"
	}
	return ""
}

// skipSpace passes over white space and comments, which run from # or // to the
// end of the line, or between /* and */.
func (l *lexer) skipSpace() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch c := rest[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.pos++
		case c == '#' || strings.HasPrefix(rest, "//"):
			if l.pos = len(l.src); strings.Contains(rest, "\n") {
				l.pos -= len(rest) - strings.IndexByte(rest, '\n')
			}
		case strings.HasPrefix(rest, "/*") && strings.Contains(rest[2:], "*/"):
			l.pos += 2 + strings.Index(rest[2:], "*/") + 2
		default:
			return
		}
	}
}

func (l *lexer) quoted(q byte) (token, error) {
	t := token{kind: kString, pos: l.pos}
	for i := l.pos + 1; i < len(l.src); i++ {
		switch c := l.src[i]; {
		case c == q:
			raw := l.src[l.pos : i+1]
			l.pos = i + 1
			if q == '`' {
				t.text = raw[1 : len(raw)-1]
				return t, nil
			}
			s, err := strconv.Unquote(raw)
			if err != nil {
				return t, l.errorAt(t.pos+badEscape(raw), "a backslash in \"...\" starts an escape as in Go; write \\\\ for one backslash, or use backquotes", "syntax error: invalid escape in string %s", clip(raw))
			}
			t.text = s
			return t, nil
		case c == '\\' && q == '"':
			i++
		case c == '\n' && q == '"':
			return t, l.errorAt(t.pos, "", "syntax error: string is not terminated before the end of the line")
		}
	}
	return t, l.errorAt(t.pos, "", "syntax error: string is not terminated")
}

// badEscape returns the offset of the escape that makes raw no string.
func badEscape(raw string) int {
	for at := 1; at < len(raw); {
		_, _, rest, err := strconv.UnquoteChar(raw[at:], '"')
		if err != nil {
			return at
		}
		at = len(raw) - len(rest)
	}
	return 0
}

// number reads a number, or one with units: a duration or a size.
func (l *lexer) number() (token, error) {
	t := token{pos: l.pos}
	end := l.pos
	for end < len(l.src) {
		c := l.src[end]
		if isIdentPart(c) || c == '.' || c >= utf8.RuneSelf {
			end++
			continue
		}
		// The sign of an exponent: 1e-3.
		if (c == '-' || c == '+') && end > l.pos && (l.src[end-1] == 'e' || l.src[end-1] == 'E') &&
			end+1 < len(l.src) && isDigit(l.src[end+1]) && plain(l.src[l.pos:end-1]) {
			end++
			continue
		}
		break
	}
	t.text = l.src[l.pos:end]
	l.pos = end
	if _, f, _, ok := match.ParseNumber(t.text); ok {
		t.kind, t.num = kNumber, f
		return t, nil
	}
	if ns, ok := match.ParseDuration(t.text); ok {
		t.kind, t.ns = kDuration, ns
		return t, nil
	}
	if n, ok := match.ParseBytes(t.text); ok {
		t.kind, t.ns = kBytes, n
		return t, nil
	}
	hint := "durations are written 250ms, 5m, 1h30m, 7d; sizes 5KB, 2MiB"
	if strings.Count(t.text, ".") > 1 {
		hint = "addresses are quoted: ip(" + quote(clip(t.text)) + ")"
	}
	return t, l.errorAt(t.pos, hint, "syntax error: %s is neither a number, a duration nor a size", clip(t.text))
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) && s[i] != '.' {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// letterAt returns the length of the letter, or with digits the digit, that s
// starts with; 0 if it starts with something else. Names have the letters of all
// scripts, and are printed as strings where they are not ASCII.
func letterAt(s string, digits bool) int {
	if s == "" {
		return 0
	}
	if c := s[0]; c < utf8.RuneSelf {
		if isIdentStart(c) || digits && isDigit(c) {
			return 1
		}
		return 0
	}
	r, n := utf8.DecodeRuneInString(s)
	if unicode.IsLetter(r) || digits && unicode.IsDigit(r) {
		return n
	}
	return 0
}

func isIdentStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isIdentPart(c byte) bool { return isIdentStart(c) || isDigit(c) }
