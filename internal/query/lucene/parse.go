package lucene

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A parser reads a query by recursive descent, straight from its text: what a
// byte means depends on where it stands.
type parser struct {
	src   string
	o     *Options
	pos   int
	depth int
	terms int
	field string // of the terms within name:( … )
}

// query reads the whole text.
func (p *parser) query() (node, error) {
	if p.skip(); p.pos == len(p.src) {
		return all{}, nil
	}
	n, err := p.anyOf()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) { // anyOf stops at nothing else
		return nil, p.errorAt(p.pos, `quote text that has parentheses: "f(x)"`, "this ) closes nothing")
	}
	return n, nil
}

func (p *parser) skip() {
	for p.pos < len(p.src) && space(p.src[p.pos]) {
		p.pos++
	}
}

// peek returns the byte at an offset from here, 0 behind the end.
func (p *parser) peek(n int) byte {
	if p.pos+n < len(p.src) {
		return p.src[p.pos+n]
	}
	return 0
}

// delimiter reports whether a word ends before offset i.
func (p *parser) delimiter(i int) bool {
	return i >= len(p.src) || space(p.src[i]) || p.src[i] == '(' || p.src[i] == ')' || p.src[i] == '"'
}

// operatorWord returns 'a', 'o' or 'n' for and, or, not.
func operatorWord(s string, upper bool) byte {
	for _, w := range []string{"AND", "OR", "NOT"} {
		if s == w || !upper && strings.EqualFold(s, w) {
			return w[0] | 0x20
		}
	}
	return 0
}

// operator returns the operator that stands here and its length.
func (p *parser) operator() (op byte, size int) {
	switch {
	case p.peek(0) == '&' && p.peek(1) == '&':
		return 'a', 2
	case p.peek(0) == '|' && p.peek(1) == '|':
		return 'o', 2
	}
	for n := 2; n <= 3; n++ {
		if p.pos+n <= len(p.src) && p.delimiter(p.pos+n) {
			if op := operatorWord(p.src[p.pos:p.pos+n], p.o.UpperCase); op != 0 {
				return op, n
			}
		}
	}
	return 0, 0
}

// take passes over operator op if it stands here.
func (p *parser) take(op byte) bool {
	p.skip()
	got, size := p.operator()
	if got != op {
		return false
	}
	p.pos += size
	return true
}

// anyOf reads what OR joins.
func (p *parser) anyOf() (node, error) {
	var parts []node
	for {
		n, err := p.sequence()
		if err != nil {
			return nil, err
		}
		parts = append(parts, n)
		if !p.take('o') {
			return joined(orOf(parts)), nil
		}
	}
}

// sequence reads what stands side by side.
func (p *parser) sequence() (node, error) {
	var must, mustNot, may []node
	for {
		n, sign, err := p.allOf()
		if err != nil {
			return nil, err
		}
		switch {
		case p.o.DefaultOperator == And || sign == '+':
			must = append(must, n)
		case sign == '-':
			mustNot = append(mustNot, n)
		default:
			may = append(may, n)
		}
		p.skip()
		if op, _ := p.operator(); op == 'o' || p.pos == len(p.src) || p.src[p.pos] == ')' {
			break
		}
	}
	if len(must) == 0 && len(may) > 0 {
		must = []node{joined(orOf(may))}
	}
	return joined(andOf(append(must, mustNot...))), nil
}

// allOf reads what AND joins; a single clause keeps its sign.
func (p *parser) allOf() (n node, sign byte, err error) {
	var parts []node
	for {
		n, sign, err = p.clause()
		if err != nil {
			return nil, 0, err
		}
		parts = append(parts, n)
		if !p.take('a') {
			break
		}
	}
	if len(parts) > 1 {
		sign = 0
	}
	return joined(andOf(parts)), sign, nil
}

// clause reads a term or what is in parentheses, with what is before it: '-'
// stands for every form of not.
func (p *parser) clause() (n node, sign byte, err error) {
	if p.depth++; p.depth > maxDepth {
		return nil, 0, p.errorAt(p.pos, "", "the query is nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	p.skip()
	if p.pos == len(p.src) {
		return nil, 0, p.errorAt(p.pos, "", "the query ends where a term is wanted")
	}
	op, size := p.operator()
	switch c := p.src[p.pos]; {
	case op == 'n':
		p.pos += size
		return p.negated()
	case op != 0:
		return nil, 0, p.errorAt(p.pos, `quote the word to search for it: "and"`, "%s joins nothing here: a term is wanted before it", p.src[p.pos:p.pos+size])
	case c == '!' || c == '-' || c == '+':
		if p.delimiter(p.pos+1) && p.peek(1) != '(' && p.peek(1) != '"' {
			return nil, 0, p.errorAt(p.pos, "- and + stand directly before what they belong to; quote them to search for them", "nothing follows %c", c)
		}
		p.pos++
		if c != '+' {
			return p.negated()
		}
		n, _, err = p.clause()
		return n, '+', err
	case c == '(':
		n, err = p.group()
		return n, 0, err
	case c == ')':
		return nil, 0, p.errorAt(p.pos, `quote text that has parentheses: "f(x)"`, "a term is wanted before )")
	}
	n, err = p.term()
	return n, 0, err
}

func (p *parser) negated() (node, byte, error) {
	n, _, err := p.clause()
	if err != nil {
		return nil, 0, err
	}
	if x, twice := n.(not); twice {
		return x.x, 0, nil
	}
	return not{n}, '-', nil
}

// group reads ( … ).
func (p *parser) group() (node, error) {
	open := p.pos
	p.pos++
	n, err := p.anyOf()
	if err != nil {
		return nil, err
	}
	if p.pos == len(p.src) {
		return nil, p.errorAt(open, `quote text that has parentheses: "f(x)"`, "this ( is never closed")
	}
	p.pos++
	return n, p.suffix()
}

// term reads one condition, or several on one field.
func (p *parser) term() (node, error) {
	if p.terms++; p.terms > maxTerms {
		return nil, p.errorAt(p.pos, "", "the query has more than %d terms", maxTerms)
	}
	t := &term{at: p.pos, field: p.field}
	c := p.src[p.pos]
	switch {
	case c == '"':
		text, err := p.quoted()
		if err != nil {
			return nil, err
		}
		if p.peek(0) == ':' && text != "" {
			p.pos++
			return p.of(text, t.at)
		}
		t.kind, t.text = phrase, text
		return t, p.suffix()
	case (c == '[' || c == '{' || c == '<' || c == '>') && p.field == "":
		hint := "a range is written duration:[100 TO 500], a comparison duration:>250ms; quote text that begins like this"
		if c == '{' {
			hint = "this looks like LogQL: choose that language; a range is written bytes:{1 TO 5}"
		}
		return nil, p.errorAt(p.pos, hint, "%c needs a field before it", c)
	case c == '|':
		return nil, p.errorAt(p.pos, "this looks like LogQL: choose that language, or write OR, or quote the text", "| means nothing here")
	case p.field != "":
		return p.value(t)
	}
	if p.expression(t) {
		return t, p.suffix()
	}
	return p.bare(t)
}

// bare reads a word that may turn out to be the name of a field.
func (p *parser) bare(t *term) (node, error) {
	escaped, err := p.word(t, true)
	if err != nil {
		return nil, err
	}
	if t.kind == phrase && (escaped || nameLike(t.text)) {
		at := p.pos
		p.skip()
		switch c := p.peek(0); {
		case c == ':' && p.peek(1) != ':' && !(p.peek(1) == '/' && p.peek(2) == '/'):
			p.pos++
			return p.of(t.text, t.at)
		case c == '<' || c == '>':
			return p.of(t.text, t.at)
		}
		p.pos = at
	}
	if t.kind == exists {
		if p.peek(0) == ':' {
			p.pos++
			return p.of("*", t.at)
		}
		return all{}, p.suffix()
	}
	if c := p.peek(0); c == '<' || c == '>' {
		return nil, p.errorAt(p.pos, "quote text with < and >", "%s is no field to compare", clip(p.src[t.at:p.pos]))
	}
	return t, p.suffix()
}

// of reads what is asked of a field.
func (p *parser) of(name string, at int) (node, error) {
	p.skip()
	t := &term{at: p.pos, field: name}
	if p.pos == len(p.src) || p.src[p.pos] == ')' {
		return nil, p.errorAt(p.pos, `quote text that ends in a colon: "error:"`, "a value for the field %s is wanted", clip(name))
	}
	if name == "_exists_" {
		if _, err := p.value(t); err != nil {
			return nil, err
		}
		if t.kind != phrase {
			return nil, p.errorAt(t.at, "", "the name of a field is wanted after _exists_:")
		}
		return &term{at: at, field: t.text, kind: exists}, nil
	}
	if name == "*" {
		name, t.field = "", ""
	}
	if p.src[p.pos] == '(' {
		outer := p.field
		p.field = name
		n, err := p.group()
		p.field = outer
		return n, err
	}
	return p.value(t)
}

// value reads one value of a field.
func (p *parser) value(t *term) (node, error) {
	var err error
	switch c := p.src[p.pos]; {
	case c == '"':
		t.kind = phrase
		t.text, err = p.quoted()
	case c == '[' || c == '{':
		err = p.interval(t)
	case c == '<' || c == '>':
		err = p.comparison(t)
	default:
		if !p.expression(t) {
			_, err = p.word(t, false)
		}
	}
	if err != nil {
		return nil, err
	}
	if t.field == "" && t.kind == exists {
		return all{}, p.suffix()
	}
	return t, p.suffix()
}

// expression reads /…/, if the text here is one: no path that only begins with a
// slash, and none with slashes within.
func (p *parser) expression(t *term) bool {
	if p.src[p.pos] != '/' {
		return false
	}
	for i := p.pos + 1; i < len(p.src); i++ {
		switch p.src[i] {
		case '\\':
			i++
		case '/':
			if i == p.pos+1 || !p.delimiter(i+1) && p.src[i+1] != '^' && p.src[i+1] != '~' {
				return false
			}
			t.kind, t.text = regex, p.src[p.pos+1:i]
			p.pos = i + 1
			return true
		}
	}
	return false
}

// suffix passes over a boost, which is about scores, and refuses what makes a
// match approximate.
func (p *parser) suffix() error {
	for {
		c := p.peek(0)
		if c != '^' && c != '~' {
			return nil
		}
		end := p.number(p.pos + 1)
		if c == '^' && end == p.pos+1 || !p.delimiter(end) && p.src[end] != '^' && p.src[end] != '~' {
			return p.errorAt(p.pos, `quote text with ^ or ~`, "%c means nothing here", c)
		}
		if c == '~' && !p.o.Lenient {
			return p.errorAt(p.pos, `for parts of words write check*, for words near each other "one" AND "two"`, "fuzzy and proximity searches are not supported")
		}
		p.pos = end
	}
}

// number returns where digits and a fraction end.
func (p *parser) number(i int) int {
	for i < len(p.src) && (p.src[i] >= '0' && p.src[i] <= '9' || p.src[i] == '.') {
		i++
	}
	return i
}

var errInternal = fault.Errorf(fault.Internal, "search query of an unknown form")
