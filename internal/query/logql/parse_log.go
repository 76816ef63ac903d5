package logql

import (
	"net/netip"

	"github.com/meshtrail/meshtrail/internal/match"
)

// log reads a selector and its pipeline.
func (p *parser) log() (*Log, error) {
	l, err := p.selector()
	if err != nil {
		return nil, err
	}
	return l, p.stages(l)
}

func (p *parser) stages(l *Log) error {
	for p.stageAhead() {
		if err := p.stage(l); err != nil {
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
				return nil, p.unexpected("", "}", ",")
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
	default:
		return m, p.unexpected("", "=", "=~", "!=", "!~")
	}
	if err := p.advance(); err != nil {
		return m, err
	}
	if p.tok.kind != kString {
		hint := ""
		if p.tok.kind == kIdent || p.tok.kind == kNumber {
			hint = "values are quoted: " + quoteName(m.Name) + string(m.Op) + quote(p.tok.text)
		}
		return m, p.unexpected(hint, "STRING")
	}
	m.Value = p.tok.text
	if m.Op == OpRegex || m.Op == OpNotRegex {
		if err := p.regexp(); err != nil {
			return m, err
		}
	}
	return m, p.advance()
}

func isTextOp(op Op) bool {
	return op == OpEq || op == OpNotEq || op == OpRegex || op == OpNotRegex
}

func isNumberOp(op Op) bool {
	return op == OpGt || op == OpGe || op == OpLt || op == OpLe || op == OpEq || op == OpNotEq || op == "=="
}

// regexp checks the string at hand as an expression.
func (p *parser) regexp() error {
	if _, err := match.CompileRegexp(p.tok.text); err != nil {
		return p.errorAt(p.tok.pos, "expressions are RE2: no look-around and no back-references", "%s", err)
	}
	return nil
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
		return err != nil || next.kind == kString || next.kind == kIdent && next.text == "ip"
	}
	return false
}

func (p *parser) stage(l *Log) error {
	pos := p.tok.pos
	if err := p.term(); err != nil {
		return err
	}
	if p.op("|>") || p.op("!>") {
		return p.unsupported(pos, "the pattern filter "+p.tok.text)
	}
	if !p.op("|") {
		f, err := p.lineFilter()
		l.Stages = append(l.Stages, f)
		return err
	}
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.kind == kIdent {
		next, err := p.peek()
		if err != nil {
			return err
		}
		// A field may be called json as well: then an operator follows.
		if !(next.kind == kOp && (isNumberOp(Op(next.text)) || isTextOp(Op(next.text)))) {
			return p.keyword(l)
		}
	}
	c, err := p.anyCond()
	l.Stages = append(l.Stages, &LabelFilter{c})
	return err
}

func (p *parser) keyword(l *Log) error {
	t := p.tok
	switch {
	case t.text == "json" || t.text == "logfmt":
		if err := p.advance(); err != nil {
			return err
		}
		if p.tok.kind == kIdent && !p.word("and") && !p.word("or") && !p.word("unless") || p.op("-") && p.flagAhead() {
			return p.unsupported(p.tok.pos, "a parameter of "+t.text)
		}
		l.Stages = append(l.Stages, &Parser{At: t.pos, Name: t.text})
		return nil
	case later[t.text]:
		return p.unsupported(t.pos, "| "+t.text)
	}
	if err := p.advance(); err != nil {
		return err
	}
	return p.unexpected("after | stands json, logfmt, or a condition such as status >= 500", "=", "!=", "=~", "!~", ">", ">=", "<", "<=", "==")
}

// flagAhead tells | logfmt --strict from rate(…) - 1.
func (p *parser) flagAhead() bool {
	next, err := p.peek()
	return err == nil && next.kind == kOp && next.text == "-"
}

// lineFilter reads |= "a" or "b".
func (p *parser) lineFilter() (*LineFilter, error) {
	f := &LineFilter{At: p.tok.pos, Op: Op(p.tok.text)}
	if err := p.advance(); err != nil {
		return f, err
	}
	for {
		if p.word("ip") {
			return f, p.unsupported(p.tok.pos, "ip(…) in a line filter")
		}
		if p.tok.kind != kString {
			return f, p.unexpected("", "STRING")
		}
		if f.Op == OpHasRegex || f.Op == OpNotRegex {
			if err := p.regexp(); err != nil {
				return f, err
			}
		}
		f.Values = append(f.Values, LineValue{Text: p.tok.text})
		if err := p.advance(); err != nil {
			return f, err
		}
		if !p.word("or") {
			return f, nil
		}
		next, err := p.peek()
		if err != nil || next.kind != kString { // "or" may join two metric queries
			return f, err
		}
		if err := p.advance(); err != nil {
			return f, err
		}
		if err := p.term(); err != nil {
			return f, err
		}
	}
}

// anyCond reads conditions joined by or.
func (p *parser) anyCond() (Cond, error) {
	var parts Any
	for {
		c, err := p.allCond()
		if err != nil {
			return nil, err
		}
		if sub, ok := c.(Any); ok {
			parts = append(parts, sub...)
		} else {
			parts = append(parts, c)
		}
		if !p.word("or") {
			if len(parts) == 1 {
				return parts[0], nil
			}
			return parts, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// allCond reads conditions joined by and, or by a comma.
func (p *parser) allCond() (Cond, error) {
	var parts All
	for {
		c, err := p.cond()
		if err != nil {
			return nil, err
		}
		if sub, ok := c.(All); ok {
			parts = append(parts, sub...)
		} else {
			parts = append(parts, c)
		}
		if !p.word("and") && !p.op(",") {
			if len(parts) == 1 {
				return parts[0], nil
			}
			return parts, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) cond() (Cond, error) {
	if p.op("(") {
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		if err := p.advance(); err != nil {
			return nil, err
		}
		c, err := p.anyCond()
		if err != nil {
			return nil, err
		}
		return c, p.expect(")")
	}
	if err := p.term(); err != nil {
		return nil, err
	}
	at := p.tok.pos
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	op := Op(p.tok.text)
	if p.tok.kind != kOp || !isTextOp(op) && !isNumberOp(op) {
		return nil, p.unexpected("", "=", "!=", "=~", "!~", ">", ">=", "<", "<=", "==")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.comparison(at, name, op)
}

// comparison reads the right side of a condition.
func (p *parser) comparison(at int, name string, op Op) (Cond, error) {
	t := p.tok
	switch {
	case t.kind == kString && isTextOp(op):
		if op == OpRegex || op == OpNotRegex {
			if err := p.regexp(); err != nil {
				return nil, err
			}
		}
		return &TextCond{Matcher{At: at, Name: name, Op: op, Value: t.text}}, p.advance()
	case t.kind == kString && op == "==":
		return nil, p.unexpected("text is compared with one =; numbers are not quoted", "NUMBER", "DURATION", "BYTES")
	case t.kind == kString:
		return nil, p.unexpected("numbers are not quoted: "+quoteName(name)+" "+string(op)+" 5", "NUMBER", "DURATION", "BYTES")
	case op == OpRegex || op == OpNotRegex:
		return nil, p.unexpected("", "STRING")
	case p.word("ip") && (op == OpEq || op == OpNotEq):
		return p.ip(at, name, op)
	}
	q, err := p.quantity(name, op)
	if op == "==" {
		op = OpEq
	}
	return &NumberCond{At: at, Name: name, Op: op, Value: q}, err
}

func (p *parser) quantity(name string, op Op) (Quantity, error) {
	sign := 1.0
	if p.op("-") || p.op("+") {
		if p.tok.text == "-" {
			sign = -1
		}
		if err := p.advance(); err != nil {
			return Quantity{}, err
		}
	}
	t := p.tok
	q := Quantity{Int: int64(sign) * t.ns, Num: sign * t.num}
	switch t.kind {
	case kNumber:
	case kDuration:
		q.Unit = Duration
	case kBytes:
		q.Unit = Bytes
	default:
		hint := ""
		if t.kind == kIdent {
			hint = "text is quoted: " + quoteName(name) + string(op) + quote(t.text)
		}
		return q, p.unexpected(hint, "STRING", "NUMBER", "DURATION", "BYTES")
	}
	q.Text = t.text
	if sign < 0 {
		q.Text = "-" + q.Text
	}
	return q, p.advance()
}

// ip reads ip("10.0.0.0/8") or ip("10.1.2.3").
func (p *parser) ip(at int, name string, op Op) (Cond, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if p.tok.kind != kString {
		return nil, p.unexpected("", "STRING")
	}
	c := &IPCond{At: at, Name: name, Op: op, Net: p.tok.text}
	if _, err := c.Prefix(); err != nil {
		return nil, p.errorAt(p.tok.pos, "write an address or a network: 10.1.2.3, 10.0.0.0/8, 2001:db8::/32", "ip: %s is neither an address nor a network", quote(clip(c.Net)))
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return c, p.expect(")")
}

// Prefix returns the network; an address is the network of itself.
func (c *IPCond) Prefix() (netip.Prefix, error) {
	if n, err := netip.ParsePrefix(c.Net); err == nil {
		return n, nil
	}
	a, err := netip.ParseAddr(c.Net)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
}
