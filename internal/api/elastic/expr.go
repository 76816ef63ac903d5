package elastic

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// An expr is an arithmetic expression of bucket_script and bucket_selector:
// numbers, params.NAME, + - * / %, comparisons, && || !, parentheses, and
// Math.abs, sqrt, log, log10, exp, floor, ceil, round, min, max, pow. It is no
// script: there are no statements, and anything else is refused.
type expr struct {
	variables []string
	eval      func(vars map[string]float64) float64
}

const maxExpr = 2000

type exprParser struct {
	src   string
	at    int
	depth int
	vars  []string
}

type evalFunc = func(map[string]float64) float64

func parseExpr(src string) (*expr, error) {
	src = strings.TrimSuffix(strings.TrimSpace(src), ";")
	src = strings.TrimSpace(strings.TrimPrefix(src, "return "))
	if src == "" || len(src) > maxExpr {
		return nil, refuse("script ["+short(src)+"]", "an expression of 1 to 2000 characters was expected")
	}
	p := &exprParser{src: src}
	f := p.binary(0)
	p.space()
	if f == nil || p.at < len(p.src) {
		return nil, refuse("script ["+short(src)+"]", "only arithmetic with params is understood; it ends at character "+strconv.Itoa(p.at+1))
	}
	slices.Sort(p.vars)
	return &expr{variables: slices.Compact(p.vars), eval: f}, nil
}

// levels of operators, weakest first.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!="}, {"<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/", "%"}}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var operators = map[string]func(a, b float64) float64{
	"||": func(a, b float64) float64 { return truth(a != 0 || b != 0) },
	"&&": func(a, b float64) float64 { return truth(a != 0 && b != 0) },
	"==": func(a, b float64) float64 { return truth(a == b) },
	"!=": func(a, b float64) float64 { return truth(a != b) },
	"<=": func(a, b float64) float64 { return truth(a <= b) },
	">=": func(a, b float64) float64 { return truth(a >= b) },
	"<":  func(a, b float64) float64 { return truth(a < b) },
	">":  func(a, b float64) float64 { return truth(a > b) },
	"+":  func(a, b float64) float64 { return a + b },
	"-":  func(a, b float64) float64 { return a - b },
	"*":  func(a, b float64) float64 { return a * b },
	"/":  func(a, b float64) float64 { return a / b },
	"%":  math.Mod,
}

var functions = map[string]func(a, b float64) float64{
	"abs": func(a, _ float64) float64 { return math.Abs(a) }, "sqrt": func(a, _ float64) float64 { return math.Sqrt(a) },
	"log": func(a, _ float64) float64 { return math.Log(a) }, "log10": func(a, _ float64) float64 { return math.Log10(a) },
	"exp": func(a, _ float64) float64 { return math.Exp(a) }, "floor": func(a, _ float64) float64 { return math.Floor(a) },
	"ceil": func(a, _ float64) float64 { return math.Ceil(a) }, "round": func(a, _ float64) float64 { return math.Floor(a + 0.5) },
	"min": math.Min, "max": math.Max, "pow": math.Pow,
}

func twoArguments(name string) bool { return name == "min" || name == "max" || name == "pow" }

func (p *exprParser) space() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
}

// operator takes one of the operators if it comes next.
func (p *exprParser) operator(ops []string) string {
	p.space()
	for _, op := range ops {
		if strings.HasPrefix(p.src[p.at:], op) {
			p.at += len(op)
			return op
		}
	}
	return ""
}

// binary reads operators of a level and all stronger ones; nil is no expression.
func (p *exprParser) binary(level int) evalFunc {
	if level == len(levels) {
		return p.unary()
	}
	left := p.binary(level + 1)
	for left != nil {
		op := p.operator(levels[level])
		if op == "" {
			return left
		}
		right := p.binary(level + 1)
		if right == nil {
			return nil
		}
		a, f := left, operators[op]
		left = func(v map[string]float64) float64 { return f(a(v), right(v)) }
	}
	return nil
}

func (p *exprParser) unary() evalFunc {
	if p.depth++; p.depth > 50 {
		return nil
	}
	defer func() { p.depth-- }()
	switch p.operator([]string{"-", "!", "("}) {
	case "-":
		if f := p.unary(); f != nil {
			return func(v map[string]float64) float64 { return -f(v) }
		}
		return nil
	case "!":
		if f := p.unary(); f != nil {
			return func(v map[string]float64) float64 { return truth(f(v) == 0) }
		}
		return nil
	case "(":
		f := p.binary(0)
		if f == nil || p.operator([]string{")"}) == "" {
			return nil
		}
		return f
	}
	return p.atom()
}

func (p *exprParser) atom() evalFunc {
	start := p.at
	for p.at < len(p.src) {
		c := p.src[p.at]
		if c != '.' && c != '_' && c != '$' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		p.at++
	}
	word := p.src[start:p.at]
	if name, ok := strings.CutPrefix(word, "params."); ok && name != "" {
		p.vars = append(p.vars, name)
		return func(v map[string]float64) float64 { return v[name] }
	}
	if name, ok := strings.CutPrefix(word, "Math."); ok {
		return p.call(name)
	}
	if n, err := strconv.ParseFloat(word, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
		return func(map[string]float64) float64 { return n }
	}
	return nil
}

func (p *exprParser) call(name string) evalFunc {
	f, ok := functions[name]
	if !ok || p.operator([]string{"("}) == "" {
		return nil
	}
	a := p.binary(0)
	b := func(map[string]float64) float64 { return 0 }
	if twoArguments(name) && p.operator([]string{","}) != "" {
		b = p.binary(0)
	} else if twoArguments(name) {
		return nil
	}
	if a == nil || b == nil || p.operator([]string{")"}) == "" {
		return nil
	}
	return func(v map[string]float64) float64 { return f(a(v), b(v)) }
}
