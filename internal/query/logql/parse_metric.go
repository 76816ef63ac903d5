package logql

import "math"

// later lists what the language has and this version does not.
var later = map[string]bool{
	"absent_over_time": true, "avg_over_time": true, "first_over_time": true, "last_over_time": true,
	"max_over_time": true, "min_over_time": true, "quantile_over_time": true, "rate_counter": true,
	"stddev_over_time": true, "stdvar_over_time": true, "sum_over_time": true,
	"approx_topk": true, "label_replace": true, "sort": true, "sort_desc": true, "stddev": true, "stdvar": true,
	"line_format": true, "label_format": true, "unwrap": true, "pattern": true, "regexp": true, "unpack": true,
	"decolorize": true, "drop": true, "keep": true, "distinct": true, "variants": true,
}

// call reads a function: rate(…), sum by (a) (…), vector(1).
func (p *parser) call() (Expr, error) {
	t := p.tok
	switch {
	case isRangeOp(t.text):
		return p.rangeAgg()
	case isVectorOp(t.text):
		return p.vectorAgg()
	case t.text == "vector":
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.expect("("); err != nil {
			return nil, err
		}
		n, err := p.number()
		if err != nil {
			return nil, err
		}
		return &Vector{At: t.pos, Value: n}, p.expect(")")
	case later[t.text]:
		return nil, p.unsupported(t.pos, t.text)
	}
	next, err := p.peek()
	if err == nil && next.kind == kOp && next.text == "(" {
		return nil, p.errorAt(t.pos, "functions: count_over_time, rate, bytes_over_time, bytes_rate, sum, count, min, max, avg, topk, bottomk, vector", "syntax error: unknown function %s", clip(t.text))
	}
	return nil, p.unexpected("a field is written in braces with its value in quotes: {service=\"cart\"}", "{", "(", "NUMBER", "a function")
}

func (p *parser) rangeAgg() (Expr, error) {
	e := &RangeAgg{At: p.tok.pos, Op: p.tok.text}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if err := p.node(e.At); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if err := p.logRange(e); err != nil {
		return nil, err
	}
	if !p.op(")") {
		return nil, p.unexpected("", ")")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.word("by") || p.word("without") {
		return nil, p.errorAt(p.tok.pos, "write sum "+p.tok.text+" (…) ("+e.Op+"(…))", "grouping is not allowed for %s", e.Op)
	}
	return e, nil
}

// logRange reads {…} | … [5m] offset 1h; Loki also allows [5m] before the
// pipeline, and parentheses around the log query.
func (p *parser) logRange(e *RangeAgg) error {
	open := 0
	for p.op("(") {
		if open++; open > maxDepth {
			return p.errorAt(p.tok.pos, "", "query is nested deeper than %d levels", maxDepth)
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	if !p.op("{") {
		return p.unexpected("inside "+e.Op+" stands a log query with a range: {service=\"cart\"}[5m]", "{")
	}
	l, err := p.selector()
	if err != nil {
		return err
	}
	e.Log = l
	for {
		switch {
		case p.op("[") && e.Range == 0:
			if err := p.window(e); err != nil {
				return err
			}
		case p.op(")") && open > 0:
			open--
			if err := p.advance(); err != nil {
				return err
			}
		case p.stageAhead():
			if err := p.stage(l); err != nil {
				return err
			}
		default:
			if open > 0 {
				return p.unexpected("", ")")
			}
			if e.Range == 0 {
				return p.unexpected("give the window to count over: {…}[5m]", "[")
			}
			return nil
		}
	}
}

func (p *parser) window(e *RangeAgg) (err error) {
	if err := p.advance(); err != nil {
		return err
	}
	if e.Range, err = p.duration(false); err != nil {
		return err
	}
	if e.Range == 0 {
		return p.errorAt(p.tok.pos, "", "the range must be longer than zero")
	}
	if err := p.expect("]"); err != nil {
		return err
	}
	if p.word("offset") {
		if err := p.advance(); err != nil {
			return err
		}
		e.Offset, err = p.duration(true)
	}
	return err
}

func (p *parser) duration(signed bool) (int64, error) {
	sign := int64(1)
	if signed && (p.op("-") || p.op("+")) {
		if p.tok.text == "-" {
			sign = -1
		}
		if err := p.advance(); err != nil {
			return 0, err
		}
	}
	if p.tok.kind != kDuration {
		return 0, p.unexpected("durations are written 250ms, 5m, 1h30m, 7d", "DURATION")
	}
	if p.tok.ns > maxWindow {
		return 0, p.errorAt(p.tok.pos, "", "duration is longer than ten years")
	}
	ns := p.tok.ns
	return sign * ns, p.advance()
}

func (p *parser) vectorAgg() (Expr, error) {
	e := &VectorAgg{At: p.tok.pos, Op: p.tok.text}
	if err := p.node(e.At); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.grouping(e); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if e.Op == "topk" || e.Op == "bottomk" {
		if err := p.param(e); err != nil {
			return nil, err
		}
	}
	x, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	switch x.(type) {
	case *Log:
		return nil, p.errorAt(x.Pos(), "wrap the log query, for example "+e.Op+"(count_over_time({…}[5m]))", "%s aggregates a metric query, not a log query", e.Op)
	case *Number:
		return nil, p.errorAt(x.Pos(), "write vector(n)", "%s aggregates series, not a scalar", e.Op)
	}
	e.X = x
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if e.Grouping == nil {
		return e, p.grouping(e)
	}
	return e, nil
}

func (p *parser) grouping(e *VectorAgg) error {
	if !p.word("by") && !p.word("without") {
		return nil
	}
	g := &Grouping{Without: p.tok.text == "without"}
	if err := p.advance(); err != nil {
		return err
	}
	var err error
	g.Names, err = p.names()
	e.Grouping = g
	return err
}

func (p *parser) param(e *VectorAgg) error {
	pos := p.tok.pos
	n, err := p.number()
	if err != nil {
		return err
	}
	if n != math.Trunc(n) || n < 1 || n > 1e6 {
		return p.errorAt(pos, "", "the parameter of %s must be a whole number from 1 to 1000000", e.Op)
	}
	e.Param = int64(n)
	return p.expect(",")
}
