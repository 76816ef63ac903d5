package lucene

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
)

// A node is all, and, or, not or *term. The set is closed.
type node interface {
	write(b *strings.Builder)
}

type (
	all struct{}
	and []node // two parts or more, none of them an and
	or  []node // two parts or more, none of them an or
	not struct{ x node }
)

type kind uint8

const (
	word     kind = iota // pieces, with wildcards
	phrase               // text as it stands
	regex                // text is an expression
	exists               // the field is there
	interval             // from lo to hi
)

// A term is one condition.
type term struct {
	at     int    // byte offset in the query
	field  string // "": the default fields
	kind   kind
	text   string
	pieces []piece // of a word: one wildcard at least, or it is a phrase
	lo, hi end
}

// A piece of a word is a text or a wildcard.
type piece struct {
	text string
	wild byte // '*', '?', or 0 for a text
}

// An end of an interval.
type end struct {
	at        int
	set       bool
	inclusive bool
	text      string
}

func andOf(parts []node) and {
	var out and
	for _, n := range parts {
		if a, ok := n.(and); ok {
			out = append(out, a...)
		} else {
			out = append(out, n)
		}
	}
	return out
}

func orOf(parts []node) or {
	var out or
	for _, n := range parts {
		if o, ok := n.(or); ok {
			out = append(out, o...)
		} else {
			out = append(out, n)
		}
	}
	return out
}

// joined opens a list of one part, and takes an empty one for everything.
func joined[L and | or](list L) node {
	switch len(list) {
	case 0:
		return all{}
	case 1:
		return list[0]
	}
	return any(list).(node)
}

func (all) write(b *strings.Builder) { b.WriteByte('*') }

func (n and) write(b *strings.Builder) {
	for i, x := range n {
		if i > 0 {
			b.WriteString(" AND ")
		}
		inner(b, x)
	}
}

func (n or) write(b *strings.Builder) {
	for i, x := range n {
		if i > 0 {
			b.WriteString(" OR ")
		}
		x.write(b) // and binds tighter
	}
}

func (n not) write(b *strings.Builder) {
	b.WriteString("NOT ")
	if a, ok := n.x.(and); ok {
		b.WriteByte('(')
		a.write(b)
		b.WriteByte(')')
		return
	}
	inner(b, n.x)
}

// inner writes a part that an or must not fall out of.
func inner(b *strings.Builder, x node) {
	if o, ok := x.(or); ok {
		b.WriteByte('(')
		o.write(b)
		b.WriteByte(')')
		return
	}
	x.write(b)
}

func (t *term) write(b *strings.Builder) {
	if t.field != "" {
		if nameLike(t.field) {
			b.WriteString(t.field)
		} else {
			quote(b, t.field)
		}
		b.WriteByte(':')
	}
	switch t.kind {
	case phrase:
		if plainWord(t.text) {
			b.WriteString(t.text)
		} else {
			quote(b, t.text)
		}
	case word:
		for i, p := range t.pieces {
			if p.wild != 0 {
				b.WriteByte(p.wild)
				continue
			}
			for j := 0; j < len(p.text); j++ {
				if c := p.text[j]; special(c) || i == 0 && j == 0 && leading(c) {
					b.WriteByte('\\')
				}
				b.WriteByte(p.text[j])
			}
		}
	case regex:
		b.WriteString("/" + t.text + "/")
	case exists:
		b.WriteByte('*')
	case interval:
		t.writeInterval(b)
	}
}

func (t *term) writeInterval(b *strings.Builder) {
	op := func(e end, strict, loose string) {
		if b.WriteString(strict); e.inclusive {
			b.WriteString(loose)
		}
		writeEnd(b, e)
	}
	switch {
	case !t.hi.set:
		op(t.lo, ">", "=")
	case !t.lo.set:
		op(t.hi, "<", "=")
	default:
		open, shut := "{", "}"
		if t.lo.inclusive {
			open = "["
		}
		if t.hi.inclusive {
			shut = "]"
		}
		b.WriteString(open)
		writeEnd(b, t.lo)
		b.WriteString(" TO ")
		writeEnd(b, t.hi)
		b.WriteString(shut)
	}
}

func writeEnd(b *strings.Builder, e end) {
	for i := 0; i < len(e.text); i++ {
		if c := e.text[i]; !isName(c) && c != '+' && c != ':' {
			quote(b, e.text)
			return
		}
	}
	b.WriteString(e.text)
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}

// plainWord reports whether a text reads as a term without quotes.
func plainWord(s string) bool {
	if s == "" || leading(s[0]) || operatorWord(s, false) != 0 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if special(s[i]) || s[i] == ':' {
			return false
		}
	}
	return true
}

// special reports whether a byte of a word means something unless it is escaped.
func special(c byte) bool {
	switch c {
	case '\\', '(', ')', '"', '*', '?', ':', '^', '~', '<', '>':
		return true
	}
	return space(c)
}

// leading reports whether a byte means something at the start of a word.
func leading(c byte) bool {
	switch c {
	case '+', '-', '!', '/', '[', '{', '|', '&':
		return true
	}
	return false
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isName reports whether a byte may be part of a name without quotes.
func isName(c byte) bool {
	return match.IsWord(c) && c < 0x80 || c == '.' || c == '-' || c == '@' || c == '/'
}

// nameLike reports whether s may stand before a colon without quotes.
func nameLike(s string) bool {
	if s == "" || s[0] != '@' && s[0] != '_' && (s[0]|0x20 < 'a' || s[0]|0x20 > 'z') {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isName(s[i]) {
			return false
		}
	}
	return true
}
