package logql

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of a query, so that a hostile one costs nothing.
const (
	maxLength = 64 << 10 // bytes of text
	maxDepth  = 256      // parentheses and nested expressions
	maxTerms  = 1000     // matchers, filters and conditions
	maxNodes  = 100      // aggregations and operators
	maxNames  = 100      // labels in one list
	maxWindow = int64(10 * 365 * 24 * time.Hour)
)

// Parse reads a query. Errors are fault.Invalid around an *Error.
func Parse(query string) (Expr, error) {
	p, err := newParser(query)
	if err != nil {
		return nil, err
	}
	return p.query()
}

func (p *parser) query() (Expr, error) {
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != kEnd {
		return nil, p.unexpected(p.afterHint(e))
	}
	return e, nil
}

// afterHint says what was meant by what follows a whole query.
func (p *parser) afterHint(e Expr) string {
	l, log := e.(*Log)
	switch {
	case p.op("[") && log:
		return "a range stands inside a function: count_over_time({…}[5m])"
	case p.op("["):
		return "the range stands after the braces, inside the function: rate({…}[5m])"
	case p.word("offset"):
		return "offset stands after the range, inside the function: rate({…}[5m] offset 1h)"
	case p.tok.kind == kIdent && isKeyword(p.tok.text):
		return ""
	case log && p.tok.kind == kIdent && len(l.Stages) > 0:
		return "a stage starts with |"
	case log && (p.tok.kind == kString || p.tok.kind == kIdent):
		return "to look for a text write |= " + quote(clip(p.tok.text))
	case log:
		return ""
	case p.op("="):
		return "series are compared with =="
	case p.op("=~"), p.op("!~"):
		return "the values of series are numbers: expressions stand in the braces, or after |"
	case p.op("|"):
		return "stages stand inside the function, before or after its range: rate({…} | json [5m])"
	}
	return ""
}

// ParseLog reads a query that must be a log query.
func ParseLog(query string) (*Log, error) {
	e, err := Parse(query)
	if err != nil {
		return nil, err
	}
	l, ok := e.(*Log)
	if !ok {
		return nil, newError(query, e.Pos(), `write a selector such as {service="cart"}`, "a log query is wanted here, not a metric query")
	}
	return l, nil
}

type parser struct {
	lexer
	tok   token
	ahead token // the token after tok, when peeked
	full  bool  // ahead is filled
	depth int
	terms int
	nodes int
	mixed []int // where a comma takes an or after it, for Lint
}

func newParser(query string) (*parser, error) {
	if len(query) > maxLength {
		return nil, newError(query, maxLength, "", "query of %d bytes is longer than %d", len(query), maxLength)
	}
	if !utf8.ValidString(query) {
		pos := 0
		for r, n := rune(0), 0; r != utf8.RuneError || n != 1; pos += n {
			r, n = utf8.DecodeRuneInString(query[pos:])
		}
		return nil, newError(query, pos-1, "write such bytes as escapes: \"\\xff\"", "invalid UTF-8 encoding")
	}
	p := &parser{lexer: lexer{src: query}}
	return p, p.advance()
}

func (p *parser) advance() (err error) {
	if p.full {
		p.tok, p.full = p.ahead, false
		return nil
	}
	p.tok, err = p.next()
	return err
}

func (p *parser) peek() (token, error) {
	if !p.full {
		t, err := p.next()
		if err != nil {
			return t, err
		}
		p.ahead, p.full = t, true
	}
	return p.ahead, nil
}

func (p *parser) op(text string) bool { return p.tok.kind == kOp && p.tok.text == text }

// word reports whether the token at hand is the keyword, in any case.
func (p *parser) word(text string) bool {
	return p.tok.kind == kIdent && strings.EqualFold(p.tok.text, text)
}

// expect passes over an operator.
func (p *parser) expect(op string) error {
	if !p.op(op) {
		return p.unexpected("", op)
	}
	return p.advance()
}

// unexpected says what is wrong with the token at hand.
func (p *parser) unexpected(hint string, wanted ...string) error {
	msg := "syntax error: unexpected " + p.tok.name()
	if len(wanted) > 0 {
		msg += ", expecting " + strings.Join(wanted, " or ")
	}
	return p.errorAt(p.tok.pos, hint, "%s", msg)
}

// enter counts nesting; every enter is followed by leave.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.errorAt(p.tok.pos, "", "query is nested deeper than %d levels", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) term() error {
	if p.terms++; p.terms > maxTerms {
		return p.errorAt(p.tok.pos, "a regular expression with alternatives (a|b|c) is one term", "query has more than %d matchers and filters", maxTerms)
	}
	return nil
}

func (p *parser) node(pos int) error {
	if p.nodes++; p.nodes > maxNodes {
		return p.errorAt(pos, "", "query has more than %d operators and aggregations", maxNodes)
	}
	return nil
}

// precedence of the binary operators; ^ is the only right-associative one.
func precedence(t token) int {
	if t.kind != kOp && t.kind != kIdent {
		return 0
	}
	switch strings.ToLower(t.text) {
	case "or":
		return 1
	case "and", "unless":
		return 2
	case "==", "!=", ">", ">=", "<", "<=":
		return 3
	case "+", "-":
		return 4
	case "*", "/", "%":
		return 5
	case "^":
		return 6
	}
	return 0
}

// expr reads operators that bind at least as tight as min.
func (p *parser) expr(min int) (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.primary()
	if err != nil {
		return nil, err
	}
	for {
		prec := precedence(p.tok)
		if prec == 0 || prec < min {
			return left, nil
		}
		if left, err = p.binary(left, prec); err != nil {
			return nil, err
		}
	}
}

func (p *parser) binary(left Expr, prec int) (Expr, error) {
	b := &Binary{At: left.Pos(), Op: strings.ToLower(p.tok.text), L: left}
	pos := p.tok.pos
	if err := p.node(pos); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.modifiers(b); err != nil {
		return nil, err
	}
	next := prec + 1
	if b.Op == "^" {
		next = prec
	}
	right, err := p.expr(next)
	if err != nil {
		return nil, err
	}
	b.R = right
	for _, side := range []Expr{left, right} {
		if _, ok := side.(*Log); ok {
			return nil, p.errorAt(pos, "wrap the log query, for example count_over_time({…}[5m])", "operator %s joins metric queries, not log queries", b.Op)
		}
		if isScalar(side) && IsSet(b.Op) {
			return nil, p.errorAt(pos, "write vector(n)", "operator %s joins series, not scalars", b.Op)
		}
	}
	return b, nil
}

// isScalar reports whether e has a value without labels: a number, or numbers
// joined.
func isScalar(e Expr) bool {
	switch e := e.(type) {
	case *Number:
		return true
	case *Binary:
		return isScalar(e.L) && isScalar(e.R)
	}
	return false
}

// modifiers reads bool, on and ignoring.
func (p *parser) modifiers(b *Binary) error {
	if p.word("bool") {
		if !IsComparison(b.Op) {
			return p.errorAt(p.tok.pos, "", "bool follows comparisons only, not %s", b.Op)
		}
		b.Bool = true
		if err := p.advance(); err != nil {
			return err
		}
	}
	if p.word("on") || p.word("ignoring") {
		m := &Matching{On: p.word("on")}
		if err := p.advance(); err != nil {
			return err
		}
		var err error
		if m.Names, err = p.names(); err != nil {
			return err
		}
		b.Matching = m
	}
	return p.manySide(b)
}

// manySide reads group_left (a, b), group_right.
func (p *parser) manySide(b *Binary) (err error) {
	if !p.word("group_left") && !p.word("group_right") {
		return nil
	}
	word := strings.ToLower(p.tok.text)
	switch {
	case b.Matching == nil:
		return p.unexpected("write on(…) or ignoring(…) before " + word)
	case IsSet(b.Op):
		return p.errorAt(p.tok.pos, "and, or and unless match many series to many", "%s is not allowed for %s", word, b.Op)
	}
	b.Matching.Many = strings.TrimPrefix(word, "group_")
	if err = p.advance(); err != nil || !p.includeAhead() {
		return err
	}
	names, err := p.names()
	if len(names) > 0 {
		b.Matching.Include = names
	}
	return err
}

// includeAhead tells the labels of group_left (a, b) from a right side that
// starts with a parenthesis.
func (p *parser) includeAhead() bool {
	if !p.op("(") {
		return false
	}
	l := p.lexer // a copy: nothing has been read ahead here
	t, err := l.next()
	if err == nil && (t.kind == kIdent || t.kind == kString) {
		t, err = l.next()
	}
	return err == nil && t.kind == kOp && (t.text == ")" || t.text == ",")
}

func (p *parser) primary() (Expr, error) {
	t := p.tok
	switch {
	case p.op("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		if l, ok := e.(*Log); ok { // ({a="b"}) |= "c"
			return e, p.stages(l, nil)
		}
		return e, nil
	case p.op("{"):
		return p.log()
	case p.op("-"), p.op("+"), t.kind == kNumber:
		n, err := p.number()
		return &Number{At: t.pos, Value: n}, err
	case t.kind == kIdent:
		return p.call()
	}
	return nil, p.unexpected("a query starts with a selector such as {service=\"cart\"} or with a function such as rate(", "{", "(", "NUMBER", "a function")
}

// number reads a plain number with its sign.
func (p *parser) number() (float64, error) {
	sign := 1.0
	if p.op("-") || p.op("+") {
		if p.tok.text == "-" {
			sign = -1
		}
		if err := p.advance(); err != nil {
			return 0, err
		}
	}
	if p.tok.kind != kNumber {
		return 0, p.unexpected("", "NUMBER")
	}
	n := p.tok.num
	return sign * n, p.advance()
}

// names reads (a, b, "c.d").
func (p *parser) names() ([]string, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	names := []string{}
	for !p.op(")") {
		if len(names) > 0 {
			if !p.op(",") {
				return nil, p.unexpected("", ",", ")")
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		if len(names) == maxNames {
			return nil, p.errorAt(p.tok.pos, "", "more than %d labels in one list", maxNames)
		}
		n, err := p.name()
		if err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, p.advance()
}

// name reads a field name: an identifier, with dots if need be, or a string.
func (p *parser) name() (string, error) {
	if p.tok.kind != kIdent && p.tok.kind != kString {
		return "", p.unexpected("", "IDENTIFIER")
	}
	if p.tok.text == "" {
		return "", p.errorAt(p.tok.pos, "", "a field name is empty")
	}
	name := p.tok.text
	return name, p.advance()
}
