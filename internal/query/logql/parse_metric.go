package logql

import (
	"math"
	"regexp"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
)

// A rangeRule says what a range function allows.
type rangeRule struct{ bare, unwrap, group bool }

// rangeOps are the functions over a window: whether they count records, take the
// values of an unwrap, and may be grouped.
var rangeOps = map[string]rangeRule{
	"count_over_time":    {bare: true},
	"bytes_over_time":    {bare: true},
	"bytes_rate":         {bare: true},
	"rate":               {bare: true, unwrap: true},
	"absent_over_time":   {bare: true, unwrap: true},
	"rate_counter":       {unwrap: true},
	"sum_over_time":      {unwrap: true},
	"avg_over_time":      {unwrap: true, group: true},
	"min_over_time":      {unwrap: true, group: true},
	"max_over_time":      {unwrap: true, group: true},
	"stddev_over_time":   {unwrap: true, group: true},
	"stdvar_over_time":   {unwrap: true, group: true},
	"quantile_over_time": {unwrap: true, group: true},
	"first_over_time":    {unwrap: true, group: true},
	"last_over_time":     {unwrap: true, group: true},
}

// functions are all names that may stand before a parenthesis.
var functions = []string{
	"count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time", "rate_counter", "sum_over_time", "avg_over_time",
	"min_over_time", "max_over_time", "stddev_over_time", "stdvar_over_time", "quantile_over_time", "first_over_time", "last_over_time",
	"sum", "count", "min", "max", "avg", "stddev", "stdvar", "topk", "bottomk", "approx_topk", "sort", "sort_desc", "label_replace", "vector",
}

func isRangeOp(s string) bool {
	_, ok := rangeOps[s]
	return ok
}

func isVectorOp(s string) bool {
	switch s {
	case "sum", "count", "min", "max", "avg", "stddev", "stdvar", "topk", "bottomk", "approx_topk", "sort", "sort_desc":
		return true
	}
	return false
}

// takesCount reports whether an aggregation has the parameter k.
func takesCount(op string) bool { return op == "topk" || op == "bottomk" || op == "approx_topk" }

// call reads a function: rate(…), sum by (a) (…), vector(1).
func (p *parser) call() (Expr, error) {
	t := p.tok
	switch word := strings.ToLower(t.text); {
	case isRangeOp(word):
		return p.rangeAgg(word)
	case isVectorOp(word):
		return p.vectorAgg(word)
	case word == "label_replace":
		return p.labelReplace()
	case word == "vector":
		return p.vector()
	}
	next, err := p.peek()
	if err == nil && next.kind == kOp && next.text == "(" {
		hint := "functions: " + strings.Join(functions, ", ")
		if near := nearest(t.text, functions); near != "" {
			hint = "did you mean " + near + "(…)?"
		}
		return nil, p.errorAt(t.pos, hint, "syntax error: unknown function %s", clip(t.text))
	}
	return nil, p.unexpected("a field is written in braces with its value in quotes: {service=\"cart\"}", "{", "(", "NUMBER", "a function")
}

func (p *parser) vector() (Expr, error) {
	at := p.tok.pos
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
	return &Vector{At: at, Value: n}, p.expect(")")
}

func (p *parser) rangeAgg(op string) (Expr, error) {
	e := &RangeAgg{At: p.tok.pos, Op: op}
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
	if err := p.quantile(e); err != nil {
		return nil, err
	}
	if err := p.logRange(e); err != nil {
		return nil, err
	}
	if err := p.checkUnwrap(e); err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if !p.word("by") && !p.word("without") {
		return e, nil
	}
	if !rangeOps[op].group {
		return nil, p.errorAt(p.tok.pos, "write sum "+p.tok.text+" (…) ("+op+"(…))", "grouping not allowed for %s aggregation", op)
	}
	var err error
	e.Grouping, err = p.grouping()
	return e, err
}

// quantile reads the parameter of quantile_over_time, which no other range
// function has.
func (p *parser) quantile(e *RangeAgg) (err error) {
	pos := p.tok.pos
	if e.Op != "quantile_over_time" {
		if p.tok.kind == kNumber {
			return p.errorAt(pos, "only quantile_over_time has a parameter", "parameter %s not supported for operation %s", p.tok.text, e.Op)
		}
		return nil
	}
	if p.op("{") || p.op("(") {
		return p.errorAt(pos, "write quantile_over_time(0.99, {…} | unwrap latency [5m])", "parameter required for operation %s", e.Op)
	}
	if e.Param, err = p.number(); err != nil {
		return err
	}
	return p.expect(",")
}

// checkUnwrap says whether the function and the pipeline fit.
func (p *parser) checkUnwrap(e *RangeAgg) error {
	rule := rangeOps[e.Op]
	switch {
	case e.Unwrap != nil && !rule.unwrap:
		return p.errorAt(e.Unwrap.At, e.Op+" counts records; sum_over_time and the like take the values of an unwrap", "invalid aggregation %s with unwrap", e.Op)
	case e.Unwrap == nil && !rule.bare:
		return p.errorAt(e.At, "say which field holds the numbers: "+e.Op+"("+map[bool]string{true: "0.99, "}[e.Op == "quantile_over_time"]+"{…} | unwrap latency [5m])", "invalid aggregation %s without unwrap", e.Op)
	}
	return nil
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
	if p.tok.kind == kIdent && isKeyword(p.tok.text) {
		return p.unexpected("functions of series stand outside: sum by (…) ("+e.Op+"({…}[5m]))", "{")
	}
	if !p.op("{") {
		return p.unexpected("inside "+e.Op+" stands a log query with a range: {service=\"cart\"}[5m]", "{")
	}
	l, err := p.selector()
	if err != nil {
		return err
	}
	e.Log = l
	// Stages stand before the window or after it, and inside the parentheses.
	closed, split := false, false
	for {
		switch {
		case p.op("[") && e.Range == 0:
			if err := p.window(e); err != nil {
				return err
			}
			split = len(l.Stages) > 0 || e.Unwrap != nil
		case p.op(")") && open > 0:
			open--
			closed = e.Range != 0 || len(l.Stages) > 0
			if err := p.advance(); err != nil {
				return err
			}
		case p.stageAhead() && split:
			return p.unexpected("the range stands after the last stage, or right after the braces", ")")
		case p.stageAhead() && closed:
			return p.unexpected("move the stage into the parentheses", "[", ")")
		case p.stageAhead():
			if err := p.stage(l, e); err != nil {
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

// windowForm is how Prometheus, and so Loki, writes the range in brackets; other
// durations may have fractions and microseconds.
var windowForm = regexp.MustCompile(`^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$`)

func (p *parser) window(e *RangeAgg) (err error) {
	if err := p.advance(); err != nil {
		return err
	}
	pos, text := p.tok.pos, p.tok.text
	if p.tok.kind == kDuration && !windowForm.MatchString(text) {
		return p.errorAt(pos, "a range has whole numbers of y, w, d, h, m, s and ms, the largest first: 1h30m, 7d, 250ms", "not a valid range: %s", clip(text))
	}
	if e.Range, err = p.duration(false); err != nil {
		return err
	}
	if e.Range == 0 {
		return p.errorAt(pos, "", "the range must be longer than zero")
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

func (p *parser) vectorAgg(op string) (Expr, error) {
	e := &VectorAgg{At: p.tok.pos, Op: op}
	if err := p.node(e.At); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.vectorGrouping(e); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if err := p.param(e); err != nil {
		return nil, err
	}
	x, err := p.series(op + " aggregates")
	if err != nil {
		return nil, err
	}
	e.X = x
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if e.Grouping == nil {
		return e, p.vectorGrouping(e)
	}
	return e, nil
}

// series reads an argument that must be a metric query with series; what is said
// of it opens the error.
func (p *parser) series(what string) (Expr, error) {
	x, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if _, ok := x.(*Log); ok {
		return nil, p.errorAt(x.Pos(), "wrap the log query, for example count_over_time({…}[5m])", "%s a metric query, not a log query", what)
	}
	if isScalar(x) {
		return nil, p.errorAt(x.Pos(), "write vector(n)", "%s series, not a scalar", what)
	}
	return x, nil
}

// vectorGrouping reads by (…) or without (…), where it is allowed.
func (p *parser) vectorGrouping(e *VectorAgg) (err error) {
	if !p.word("by") && !p.word("without") {
		return nil
	}
	pos := p.tok.pos
	if e.Grouping, err = p.grouping(); err != nil {
		return err
	}
	switch {
	case e.Op == "approx_topk":
		return p.errorAt(pos, "topk may be grouped", "grouping not allowed for approx_topk aggregation")
	case (e.Op == "sort" || e.Op == "sort_desc") && len(e.Grouping.Names) > 0:
		return p.errorAt(pos, "group what is sorted: "+e.Op+"(sum by (…) (…))", "sort and sort_desc doesn't allow grouping by")
	}
	return nil
}

func (p *parser) grouping() (*Grouping, error) {
	g := &Grouping{Without: p.word("without")}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err error
	g.Names, err = p.names()
	return g, err
}

// param reads the parameter of topk, bottomk and approx_topk.
func (p *parser) param(e *VectorAgg) error {
	t := p.tok
	if !takesCount(e.Op) {
		if t.kind != kNumber {
			return nil
		}
		next, err := p.peek()
		if err == nil && next.kind == kOp && next.text == "," {
			err = p.errorAt(t.pos, "topk, bottomk and approx_topk have one", "unsupported parameter for operation %s(%s,", e.Op, t.text)
		} else {
			err = nil
		}
		return err
	}
	if t.kind != kNumber && !p.op("-") && !p.op("+") {
		return p.errorAt(t.pos, "say how many series: "+e.Op+"(5, …)", "parameter required for operation %s", e.Op)
	}
	n, err := p.number()
	if err != nil {
		return err
	}
	if n != math.Trunc(n) || n < 1 || n > 1e6 {
		return p.errorAt(t.pos, "", "the parameter of %s must be a whole number from 1 to 1000000", e.Op)
	}
	e.Param = int64(n)
	return p.expect(",")
}

// labelReplace reads label_replace(X, "dst", "replacement", "src", "regex").
func (p *parser) labelReplace() (Expr, error) {
	e := &LabelReplace{At: p.tok.pos}
	if err := p.node(e.At); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var err error
	if e.X, err = p.series("label_replace changes"); err != nil {
		return nil, err
	}
	for _, to := range []*string{&e.Dst, &e.Replacement, &e.Src, &e.Regex} {
		if !p.op(",") {
			return nil, p.unexpected(`write label_replace(X, "new", "$1", "old", "(.*)")`, ",")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != kString {
			return nil, p.unexpected(`write label_replace(X, "new", "$1", "old", "(.*)")`, "STRING")
		}
		*to = p.tok.text
		switch {
		case to == &e.Dst && e.Dst == "":
			return nil, p.errorAt(p.tok.pos, "", "label_replace: the name of the new label is empty")
		case to == &e.Regex:
			if err := p.regexp("invalid regex in label_replace: "); err != nil {
				return nil, err
			}
			if _, err := match.CompileRegexp("^(?:" + e.Regex + ")$"); err != nil {
				return nil, p.errorAt(p.tok.pos, "", "invalid regex in label_replace: %s", err)
			}
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return e, p.expect(")")
}
