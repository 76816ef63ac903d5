package logql

// conditions reads the conditions of one stage, and bounds their nesting.
func (p *parser) conditions() (Cond, error) {
	pos := p.tok.pos
	c, err := p.conds()
	if err != nil {
		return nil, err
	}
	if condDepth(c) > maxDepth {
		return nil, p.errorAt(pos, "", "query is nested deeper than %d levels", maxDepth)
	}
	return c, nil
}

// conds reads conditions at one level of parentheses. and binds tighter than or.
// As in Loki, a comma (or nothing) means and too, but all that follows it is one
// side of it: a, b or c is a and (b or c).
func (p *parser) conds() (Cond, error) {
	// parts[i][j] are the conditions that and joins, parts[i] what or joins, and
	// a comma stands between parts[i] and parts[i+1].
	parts := [][]All{{nil}}
	var commas []int // where they stand
	for more := true; more; {
		c, err := p.cond()
		if err != nil {
			return nil, err
		}
		last := &parts[len(parts)-1]
		(*last)[len(*last)-1] = and((*last)[len(*last)-1], c)
		pos := p.tok.pos
		switch {
		case p.word("and"):
		case p.word("or"):
			*last = append(*last, nil)
		case p.op(","):
			parts, commas = append(parts, []All{nil}), append(commas, pos)
		case p.tok.kind == kIdent || p.tok.kind == kString || p.op("("):
			parts, commas = append(parts, []All{nil}), append(commas, pos)
			continue
		default:
			more = false
			continue
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	var right Cond
	for i := len(parts) - 1; i >= 0; i-- {
		alts := parts[i]
		if right != nil {
			if len(parts[i+1]) > 1 {
				p.mixed = append(p.mixed, commas[i])
			}
			alts[len(alts)-1] = and(alts[len(alts)-1], right)
		}
		var any Any
		for _, a := range alts {
			switch c := a.one().(type) {
			case Any:
				any = append(any, c...)
			default:
				any = append(any, c)
			}
		}
		if right = any; len(any) == 1 {
			right = any[0]
		}
	}
	return right, nil
}

// and adds a condition, whose own parts count if it is an All.
func and(all All, c Cond) All {
	if sub, ok := c.(All); ok {
		return append(all, sub...)
	}
	return append(all, c)
}

// one returns the only condition of c, or c.
func (c All) one() Cond {
	if len(c) == 1 {
		return c[0]
	}
	return c
}

// condDepth returns how deep parentheses are nested when c is printed.
func condDepth(c Cond) int {
	deepest := 0
	switch c := c.(type) {
	case All:
		for _, part := range c {
			deepest = max(deepest, condDepth(part))
		}
	case Any:
		for _, part := range c {
			deepest = max(deepest, condDepth(part))
		}
		deepest++
	}
	return deepest
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
		c, err := p.conds()
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
	if !comparisonAhead(p.tok) {
		return nil, p.unexpected("", "=", "!=", "=~", "!~", ">", ">=", "<", "<=", "==")
	}
	op := Op(p.tok.text)
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
		m := Matcher{At: at, Name: name, Op: op}
		err := p.matcherValue(&m)
		return &TextCond{m}, err
	case t.kind == kString:
		return nil, p.unexpected(quotedHint(name, op, t.text), "NUMBER", "DURATION", "BYTES")
	case op == OpRegex || op == OpNotRegex:
		return nil, p.unexpected("", "STRING")
	case p.word("ip") && (op == OpEq || op == OpNotEq):
		net, err := p.ip()
		return &IPCond{At: at, Name: name, Op: op, Net: net}, err
	}
	if p.word("ip") {
		return nil, p.unexpected("addresses are compared with = and !=", "NUMBER", "DURATION", "BYTES")
	}
	q, err := p.quantity(name, op)
	if op == "==" {
		op = OpEq
	}
	return &NumberCond{At: at, Name: name, Op: op, Value: q}, err
}

// quotedHint says how to write the comparison of a number with a quoted text.
func quotedHint(name string, op Op, text string) string {
	l := lexer{src: text}
	if t, err := l.next(); err == nil && l.pos == len(text) && (t.kind == kNumber || t.kind == kDuration || t.kind == kBytes) {
		return "numbers are not quoted: " + quoteName(name) + " " + string(op) + " " + clip(text)
	}
	if op == "==" {
		return "text is compared with one =: " + quoteName(name) + "=" + quote(clip(text))
	}
	return "texts have no order; numbers are not quoted: " + quoteName(name) + " " + string(op) + " 5"
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
