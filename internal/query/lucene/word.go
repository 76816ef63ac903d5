package lucene

import "strings"

// word reads text up to the next space, parenthesis or quote into t: a phrase, a
// word with wildcards, or for a lone * exists. Where it may be a name it ends
// before a colon and a comparison as well. Escaped reports a backslash in it.
func (p *parser) word(t *term, name bool) (escaped bool, err error) {
	start := p.pos
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			t.pieces = append(t.pieces, piece{text: text.String()})
			text.Reset()
		}
	}
	for ; p.pos < len(p.src); p.pos++ {
		c := p.src[p.pos]
		if p.delimiter(p.pos) || c == '<' || c == '>' || p.ends(c) || name && c == ':' && p.named(start, escaped) {
			break
		}
		switch c {
		case '\\':
			if p.pos++; p.pos == len(p.src) {
				return escaped, p.errorAt(p.pos-1, `a backslash is written \\`, "nothing follows the backslash")
			}
			escaped = true
			text.WriteByte(p.src[p.pos])
		case '*', '?':
			flush()
			if n := len(t.pieces); c != '*' || n == 0 || t.pieces[n-1].wild != '*' {
				t.pieces = append(t.pieces, piece{wild: c})
			}
		default:
			text.WriteByte(c)
		}
	}
	flush()
	switch {
	case len(t.pieces) == 0:
		return escaped, p.errorAt(p.pos, `quote text with < and >`, "a word is wanted here")
	case len(t.pieces) == 1 && t.pieces[0].wild == 0:
		t.kind, t.text, t.pieces = phrase, t.pieces[0].text, nil
	case len(t.pieces) == 1 && t.pieces[0].wild == '*':
		t.kind, t.pieces = exists, nil
	default:
		t.kind = word
	}
	return escaped, nil
}

// ends reports whether a boost or what looks like a fuzzy search begins here.
func (p *parser) ends(c byte) bool {
	if c != '^' && c != '~' {
		return false
	}
	end := p.number(p.pos + 1)
	return p.delimiter(end) && (c == '~' || end > p.pos+1)
}

// named reports whether the colon here ends the name of a field: no address
// (fe80::1), URL (http://) or time of day (12:30).
func (p *parser) named(start int, escaped bool) bool {
	if next := p.peek(1); next == ':' || next == '/' && p.peek(2) == '/' {
		return false
	}
	s := p.src[start:p.pos]
	return s == "*" || escaped || nameLike(s)
}

// quoted reads "…", in which a backslash makes the next byte mean itself.
func (p *parser) quoted() (string, error) {
	open := p.pos
	var b strings.Builder
	for p.pos++; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; c {
		case '"':
			p.pos++
			return b.String(), nil
		case '\\':
			if p.pos++; p.pos == len(p.src) {
				break
			}
			b.WriteByte(p.src[p.pos])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorAt(open, `a quote within quotes is written \"`, "this quote is never closed")
}

// interval reads [a TO b], {a TO b} or a mixture.
func (p *parser) interval(t *term) error {
	open := p.pos
	t.kind = interval
	inclusive := p.src[p.pos] == '['
	p.pos++
	var err error
	if t.lo, err = p.end(inclusive); err != nil {
		return err
	}
	p.skip()
	if p.pos+2 > len(p.src) || !strings.EqualFold(p.src[p.pos:p.pos+2], "TO") || p.pos+2 < len(p.src) && !space(p.src[p.pos+2]) && p.src[p.pos+2] != '"' {
		return p.errorAt(p.pos, "a range is written [100 TO 500], without its ends {100 TO 500}", "TO is wanted here")
	}
	p.pos += 2
	if t.hi, err = p.end(true); err != nil {
		return err
	}
	p.skip()
	switch p.peek(0) {
	case ']':
	case '}':
		t.hi.inclusive = false
	default:
		return p.errorAt(open, "a range ends in ], or in } without its end", "this range is never closed")
	}
	p.pos++
	if !t.lo.set && !t.hi.set {
		t.kind = exists
	}
	return nil
}

// comparison reads >, >=, < or <= and a value.
func (p *parser) comparison(t *term) error {
	t.kind = interval
	less := p.src[p.pos] == '<'
	p.pos++
	inclusive := p.peek(0) == '='
	if inclusive {
		p.pos++
	}
	e, err := p.end(inclusive)
	if err != nil {
		return err
	}
	if !e.set {
		return p.errorAt(e.at, "", "a comparison needs a value")
	}
	if less {
		t.hi = e
	} else {
		t.lo = e
	}
	return nil
}

// end reads one end of an interval; * is none.
func (p *parser) end(inclusive bool) (end, error) {
	p.skip()
	e := end{at: p.pos, set: true, inclusive: inclusive}
	if p.peek(0) == '"' {
		var err error
		e.text, err = p.quoted()
		return e, err
	}
	if p.peek(0) == '*' {
		p.pos++
		return end{at: e.at}, nil
	}
	start := p.pos
	for p.pos < len(p.src) {
		if c := p.src[p.pos]; !isName(c) && c != '+' && c != ':' && c < 0x80 {
			break
		}
		p.pos++
	}
	if e.text = p.src[start:p.pos]; e.text == "" {
		return e, p.errorAt(start, "write a number, a duration (250ms), a size (5KB), an address, or * for no end", "a value is wanted here")
	}
	return e, nil
}
