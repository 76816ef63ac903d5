package logql

import "strings"

// log reads a selector and its pipeline.
func (p *parser) log() (*Log, error) {
	l, err := p.selector()
	if err != nil {
		return nil, err
	}
	return l, p.stages(l, nil)
}

// stages reads a pipeline; e is the range aggregation around it, if there is one.
func (p *parser) stages(l *Log, e *RangeAgg) error {
	for p.stageAhead() {
		if err := p.stage(l, e); err != nil {
			return err
		}
	}
	return nil
}

// selector reads {a="b", c!~"d"}.
func (p *parser) selector() (*Log, error) {
	l := &Log{At: p.tok.pos}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	for !p.op("}") {
		if len(l.Matchers) > 0 {
			if !p.op(",") {
				hint := ""
				if p.word("and") || p.word("or") || p.tok.kind == kIdent {
					hint = "matchers are separated by commas; alternatives are one expression: a=~\"b|c\""
				}
				return nil, p.unexpected(hint, "}", ",")
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
			if p.op("}") { // a trailing comma
				break
			}
		}
		m, err := p.matcher()
		if err != nil {
			return nil, err
		}
		l.Matchers = append(l.Matchers, m)
	}
	return l, p.advance()
}

func (p *parser) matcher() (Matcher, error) {
	m := Matcher{At: p.tok.pos}
	if err := p.term(); err != nil {
		return m, err
	}
	if p.tok.kind != kIdent && p.tok.kind != kString {
		return m, p.unexpected("", "IDENTIFIER", "}")
	}
	var err error
	if m.Name, err = p.name(); err != nil {
		return m, err
	}
	switch op := Op(p.tok.text); {
	case p.tok.kind == kOp && isTextOp(op):
		m.Op = op
	case p.op("=="):
		return m, p.unexpected("in braces equality is one =", "=", "=~", "!=", "!~")
	case p.tok.kind == kOp && isNumberOp(op):
		return m, p.unexpected("compare numbers after the braces: {…} | "+quoteName(m.Name)+" "+p.tok.text+" 5", "=", "=~", "!=", "!~")
	case p.op("|="), p.op("|~"), p.op("|>"):
		return m, p.unexpected("line filters stand after the braces: {…} "+p.tok.text+" \"…\"", "=", "=~", "!=", "!~")
	default:
		return m, p.unexpected("", "=", "=~", "!=", "!~")
	}
	if err := p.advance(); err != nil {
		return m, err
	}
	return m, p.matcherValue(&m)
}

// matcherValue reads the text that a matcher compares with.
func (p *parser) matcherValue(m *Matcher) error {
	if p.tok.kind != kString {
		hint := ""
		if p.tok.kind == kIdent || p.tok.kind == kNumber {
			hint = "values are quoted: " + quoteName(m.Name) + string(m.Op) + quote(p.tok.text)
		}
		return p.unexpected(hint, "STRING")
	}
	m.Value = p.tok.text
	if m.Op == OpRegex || m.Op == OpNotRegex {
		if err := p.regexp(""); err != nil {
			return err
		}
	}
	return p.advance()
}

func isTextOp(op Op) bool {
	return op == OpEq || op == OpNotEq || op == OpRegex || op == OpNotRegex
}

func isNumberOp(op Op) bool {
	return op == OpGt || op == OpGe || op == OpLt || op == OpLe || op == OpEq || op == OpNotEq || op == "=="
}

// comparisonAhead reports whether the token is an operator of a condition.
func comparisonAhead(t token) bool {
	return t.kind == kOp && (isNumberOp(Op(t.text)) || isTextOp(Op(t.text)))
}

func (p *parser) stageAhead() bool {
	if p.tok.kind != kOp {
		return false
	}
	switch p.tok.text {
	case "|", "|=", "|~", "|>", "!>", "!~":
		return true
	case "!=": // of a metric query it would be a comparison
		next, err := p.peek()
		return err != nil || next.kind == kString || next.kind == kIdent && strings.EqualFold(next.text, "ip")
	}
	return false
}

// bareStage reports whether the word is a stage that may stand without arguments.
func bareStage(word string) bool {
	switch strings.ToLower(word) {
	case "json", "logfmt", "unpack", "decolorize":
		return true
	}
	return false
}

func (p *parser) stage(l *Log, e *RangeAgg) error {
	if err := p.term(); err != nil {
		return err
	}
	if e != nil && e.Unwrap != nil {
		return p.unwrapFilter(e.Unwrap)
	}
	if !p.op("|") {
		f, err := p.lineFilter()
		l.Stages = append(l.Stages, f)
		return err
	}
	if err := p.advance(); err != nil {
		return err
	}
	if p.op("|") {
		return p.unexpected("conditions are joined by or and and", "IDENTIFIER")
	}
	if p.tok.kind == kIdent {
		next, err := p.peek()
		if err != nil {
			return err
		}
		// A field may be called json as well: then an operator follows. But after a
		// stage without arguments != and !~ start a line filter.
		if !comparisonAhead(next) || bareStage(p.tok.text) && (next.text == "!=" || next.text == "!~") {
			return p.keyword(l, e)
		}
	}
	c, err := p.conditions()
	l.Stages = append(l.Stages, &LabelFilter{c})
	return err
}

// lineFilter reads |= "a" or "b" or ip("c").
func (p *parser) lineFilter() (*LineFilter, error) {
	f := &LineFilter{At: p.tok.pos, Op: Op(p.tok.text)}
	if err := p.advance(); err != nil {
		return f, err
	}
	for {
		v, err := p.lineValue(f.Op)
		if err != nil {
			return f, err
		}
		f.Values = append(f.Values, v)
		if !p.word("or") {
			return f, nil
		}
		if err := p.advance(); err != nil {
			return f, err
		}
		if err := p.term(); err != nil {
			return f, err
		}
	}
}

func (p *parser) lineValue(op Op) (LineValue, error) {
	if p.word("ip") {
		if op != OpHas && op != OpNotEq {
			return LineValue{}, p.errorAt(p.tok.pos, `addresses are sought with |= ip("…") and != ip("…")`, "ip: invalid operation %s", op)
		}
		text, err := p.ip()
		return LineValue{Text: text, IP: true}, err
	}
	if p.tok.kind != kString {
		hint := ""
		if p.tok.kind == kIdent || p.tok.kind == kNumber {
			hint = "texts are quoted: " + string(op) + " " + quote(p.tok.text)
		}
		return LineValue{}, p.unexpected(hint, "STRING", "ip")
	}
	v := LineValue{Text: p.tok.text}
	switch op {
	case OpHasRegex, OpNotRegex:
		if err := p.regexp(""); err != nil {
			return v, err
		}
	case OpPattern, OpNotPat:
		if at, err := checkPattern(v.Text, true); err != nil {
			return v, p.errorAt(p.inside(p.tok, at), "a pattern is text with <_> for what may stand there: |> \"<_> took <_>ms\"", "invalid pattern: %s", err)
		}
	}
	return v, p.advance()
}

// ip reads ip("10.0.0.0/8") and returns the text.
func (p *parser) ip() (string, error) {
	if err := p.advance(); err != nil {
		return "", err
	}
	if err := p.expect("("); err != nil {
		return "", err
	}
	if p.tok.kind != kString {
		return "", p.unexpected("", "STRING")
	}
	text := p.tok.text
	if _, err := ParseAddresses(text); err != nil {
		return "", p.errorAt(p.tok.pos, "write an address, a network or a range: 10.1.2.3, 10.0.0.0/8, 2001:db8::/32, 10.0.0.1-10.0.0.9", "ip: invalid pattern %s: %s", quote(clip(text)), err)
	}
	if err := p.advance(); err != nil {
		return "", err
	}
	return text, p.expect(")")
}
