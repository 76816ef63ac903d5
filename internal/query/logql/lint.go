package logql

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// A Finding is something about a query that its author may not have meant, or
// that could be asked with less work.
type Finding struct {
	Pos       int // byte offset in the query
	Line, Col int // the same place, from 1, Col in characters
	// Severity is "error" for a query that cannot be read, "warning" for one that
	// does needless work or hardly means what it says, "info" for style.
	Severity   string
	Text       string // what was found
	Suggestion string // what to write instead; may be empty
}

// The severities.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityInfo    = "info"
)

// longRange is the window from which a selector should name something.
const longRange = int64(time.Hour)

// Lint reports findings in the order of the query's text. A query that does not
// parse has one, the error.
func Lint(query string) []Finding {
	p, err := newParser(query)
	var e Expr
	if err == nil {
		e, err = p.query()
	}
	if err != nil {
		f := Finding{Severity: SeverityError, Text: err.Error(), Suggestion: fault.HintOf(err), Line: 1, Col: 1}
		var at *Error
		if errors.As(err, &at) {
			f.Pos, f.Line, f.Col, f.Text = at.Pos, at.Line, at.Col, at.Msg
		}
		return []Finding{f}
	}
	l := &linter{query: query}
	for _, pos := range p.mixed {
		l.add(pos, SeverityInfo, "a comma takes all that follows it, or included: a, b or c is a and (b or c)", "write and, and parentheses")
	}
	l.expr(e, context{outermost: true})
	slices.SortStableFunc(l.out, func(a, b Finding) int { return a.Pos - b.Pos })
	places(query, l.out)
	return l.out
}

// places fills in lines and columns of findings in order.
func places(query string, out []Finding) {
	line, col, at := 1, 1, 0
	for i := range out {
		for _, r := range query[at:out[i].Pos] {
			if col++; r == '\n' {
				line, col = line+1, 1
			}
		}
		at = out[i].Pos
		out[i].Line, out[i].Col = line, col
	}
}

type linter struct {
	query string
	out   []Finding
}

// context is what surrounds an expression.
type context struct {
	outermost bool
	// grouped says that an aggregation keeps labels by name, or all but some: then
	// what a parser makes can be one of them. aggregated says that there is one.
	grouped, aggregated bool
}

func (l *linter) add(pos int, severity, text, suggestion string) {
	l.out = append(l.out, Finding{Pos: pos, Severity: severity, Text: text, Suggestion: suggestion})
}

func (l *linter) expr(e Expr, c context) {
	inner := context{grouped: c.grouped, aggregated: c.aggregated}
	switch e := e.(type) {
	case *Log:
		l.log(e, nil, c)
	case *RangeAgg:
		l.rangeAgg(e, c)
	case *VectorAgg:
		l.vectorAgg(e, c)
		switch {
		case takesCount(e.Op) || strings.HasPrefix(e.Op, "sort"):
			// The series pass with all their labels.
		default:
			inner = context{aggregated: true, grouped: e.Grouping != nil && (e.Grouping.Without || len(e.Grouping.Names) > 0)}
		}
		l.expr(e.X, inner)
	case *LabelReplace:
		l.labelReplace(e)
		inner.grouped = true // it reads a label
		l.expr(e.X, inner)
	case *Binary:
		if e.Matching != nil {
			inner.grouped = true
		}
		l.expr(e.L, inner)
		l.expr(e.R, inner)
	}
}

func (l *linter) rangeAgg(e *RangeAgg, c context) {
	if e.Op == "quantile_over_time" && (e.Param < 0 || e.Param > 1) {
		l.add(e.At, SeverityWarning, fmt.Sprintf("the quantile %s is not between 0 and 1", formatNumber(e.Param)), "0.99 is the 99th percentile")
	}
	if e.Range >= longRange && everything(e.Log) {
		l.add(e.Log.At, SeverityWarning, "the selector names nothing, so every record of "+formatDuration(e.Range)+" is read at every point", `name what is wanted: {service="cart"}`)
	}
	if e.Grouping != nil {
		c = context{aggregated: true, grouped: true}
	}
	l.log(e.Log, e, c)
}

// everything reports whether the braces of a query hold for a record without any
// field.
func everything(q *Log) bool {
	for _, m := range q.Matchers {
		switch m.Op {
		case OpEq:
			if m.Value != "" {
				return false
			}
		case OpNotEq:
			if m.Value == "" {
				return false
			}
		default:
			re, err := match.CompileRegexp("^(?:" + m.Value + ")$")
			if err == nil && re.MatchString("") == (m.Op == OpNotRegex) {
				return false
			}
		}
	}
	return true
}

func (l *linter) vectorAgg(e *VectorAgg, c context) {
	if strings.HasPrefix(e.Op, "sort") && !c.outermost {
		l.add(e.At, SeverityWarning, e.Op+" has no effect inside another function: what is around it orders anew", "sort last, or leave it out")
	}
	if x, ok := e.X.(*VectorAgg); ok && takesCount(e.Op) && x.Op == e.Op && x.Grouping == nil {
		l.add(x.At, SeverityWarning, e.Op+" of "+x.Op+" takes the smaller of both numbers", fmt.Sprintf("%s(%d, …)", e.Op, min(e.Param, x.Param)))
	}
}

var groupRef = regexp.MustCompile(`\$\{?([0-9]+)`)

func (l *linter) labelReplace(e *LabelReplace) {
	re, err := syntax.Parse(e.Regex, syntax.Perl)
	if err != nil {
		return
	}
	for _, m := range groupRef.FindAllStringSubmatch(e.Replacement, -1) {
		if len(m[1]) > 3 || atoi(m[1]) > re.MaxCap() {
			l.add(e.At, SeverityWarning, fmt.Sprintf("the replacement uses $%s, and the expression has %d groups", clip(m[1]), re.MaxCap()), "")
			return
		}
	}
}

func atoi(s string) (n int) {
	for i := 0; i < len(s); i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// log looks at a selector and its pipeline; e is the function around it, if any.
func (l *linter) log(q *Log, e *RangeAgg, c context) {
	equal := map[string]string{}
	for _, m := range q.Matchers {
		l.matcher(m)
		if m.Op != OpEq {
			continue
		}
		if v, ok := equal[m.Name]; ok && v != m.Value {
			l.add(m.At, SeverityWarning, fmt.Sprintf("%s is to be two texts at once: nothing is selected", quoteName(m.Name)), quoteName(m.Name)+"=~"+quote(regexp.QuoteMeta(v)+"|"+regexp.QuoteMeta(m.Value)))
		}
		equal[m.Name] = m.Value
	}
	var parser *Parser // the last one, while the line is as it came
	for i, s := range q.Stages {
		switch s := s.(type) {
		case *LineFilter:
			l.lineFilter(s)
			if parser != nil {
				l.add(s.At, SeverityWarning, "a line filter after | "+parser.Name+" makes the parser read lines that are then dropped", "move "+clip(s.String())+" before | "+parser.Name)
			}
		case *LabelFilter:
			l.cond(s.Cond)
		case *Parser:
			if parser = s; s.Name == "unpack" { // it replaces the line
				parser = nil
			}
			l.unused(q, i, e, c)
		case *LineFormat:
			parser = nil
			if e != nil && !strings.HasPrefix(e.Op, "bytes_") && !readsLine(q.Stages[i+1:]) {
				l.add(s.At, SeverityWarning, "nothing reads the line that | line_format makes", "leave it out")
			}
		case *Decolorize:
			parser = nil
		}
	}
	if e != nil && e.Unwrap != nil {
		for _, f := range e.Unwrap.Filters {
			l.cond(f)
		}
	}
}

// readsLine reports whether a stage depends on the line.
func readsLine(stages []Stage) bool {
	return slices.ContainsFunc(stages, func(s Stage) bool {
		switch s := s.(type) {
		case *LineFilter, *Parser:
			return true
		case *LineFormat:
			return strings.Contains(s.Template, "__line__")
		case *LabelFormat:
			return slices.ContainsFunc(s.Sets, func(set LabelSet) bool { return strings.Contains(set.Template, "__line__") })
		}
		return false
	})
}

// unused reports a parser at index i whose fields nothing asks for.
func (l *linter) unused(q *Log, i int, e *RangeAgg, c context) {
	s := q.Stages[i].(*Parser)
	for _, later := range q.Stages[i+1:] {
		switch later.(type) {
		case *LineFilter, *Decolorize, *Parser:
		default:
			return
		}
	}
	if s.Name == "unpack" && (e == nil || readsLine(q.Stages[i+1:]) || strings.HasPrefix(e.Op, "bytes_")) {
		return
	}
	switch {
	case e == nil && len(s.Fields) == 0 && (s.Name == "json" || s.Name == "logfmt"):
		l.add(s.At, SeverityInfo, "the fields of a record are parsed when it arrives: | "+s.Name+" without a stage that uses them only shows them", "leave | "+s.Name+" out")
	case e != nil && e.Unwrap == nil && c.aggregated && !c.grouped:
		l.add(s.At, SeverityWarning, "nothing uses the fields that | "+s.Name+" makes: the sum around it drops them all", "leave | "+s.Name+" out")
	case e != nil && e.Unwrap == nil && !c.aggregated && !c.grouped:
		l.add(s.At, SeverityWarning, "every field that | "+s.Name+" makes parts the series once more, and none is asked for", "leave | "+s.Name+" out, or sum by (…) the fields that are wanted")
	}
}

func (l *linter) cond(c Cond) {
	switch c := c.(type) {
	case *TextCond:
		l.matcher(c.Matcher)
		l.number(c.Matcher)
	case All:
		for _, part := range c {
			l.cond(part)
		}
	case Any:
		for _, part := range c {
			l.cond(part)
		}
	}
}

var hundreds = regexp.MustCompile(`^[1-9](\.\.|\[0-9\]\[0-9\]|\\d\\d|\[0-9\]\{2\}|\\d\{2\})$`)

// number looks for numbers that are compared as texts.
func (l *linter) number(m Matcher) {
	switch m.Op {
	case OpEq, OpNotEq:
		op := map[Op]string{OpEq: " == ", OpNotEq: " != "}[m.Op]
		if _, _, _, ok := match.ParseNumber(m.Value); ok {
			l.add(m.At, SeverityInfo, quoteName(m.Name)+string(m.Op)+quote(m.Value)+" compares texts: 1.0 is not 1", quoteName(m.Name)+op+m.Value)
		} else if _, ok := match.ParseDuration(m.Value); ok {
			l.add(m.At, SeverityInfo, quoteName(m.Name)+string(m.Op)+quote(m.Value)+" compares texts: 1000ms is not 1s", quoteName(m.Name)+op+m.Value)
		}
	case OpRegex, OpNotRegex:
		if !hundreds.MatchString(m.Value) {
			return
		}
		n, d := quoteName(m.Name), m.Value[:1]
		fix := fmt.Sprintf("%s >= %s00 and %s <= %s99", n, d, n, d)
		if m.Op == OpNotRegex {
			fix = fmt.Sprintf("%s < %s00 or %s > %s99", n, d, n, d)
		}
		l.add(m.At, SeverityInfo, "an expression over the digits of a number", fix)
	}
}

// matcher looks at a comparison of a whole text.
func (l *linter) matcher(m Matcher) {
	if m.Op != OpRegex && m.Op != OpNotRegex {
		return
	}
	name, yes, no := quoteName(m.Name), "=", "!="
	if m.Op == OpNotRegex {
		yes, no = no, yes
	}
	re, err := syntax.Parse(m.Value, syntax.Perl)
	if err != nil {
		return
	}
	re = re.Simplify()
	switch text, ok := literalOf(re); {
	case ok:
		l.add(m.At, SeverityWarning, "the expression "+quote(clip(m.Value))+" is one plain text", name+yes+quote(text))
	case m.Value == ".*" && m.Op == OpRegex:
		l.add(m.At, SeverityWarning, name+`=~".*" holds for every record`, "leave it out")
	case m.Value == ".*":
		l.add(m.At, SeverityWarning, name+`!~".*" holds for no record`, name+`=""`)
	case m.Value == ".+":
		l.add(m.At, SeverityInfo, "the expression \".+\" asks whether there is a value", name+no+`""`)
	}
}

// literalOf returns the one text that an expression matches, letters as they are.
func literalOf(re *syntax.Regexp) (string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return "", true
	case syntax.OpLiteral:
		return string(re.Rune), re.Flags&syntax.FoldCase == 0
	case syntax.OpCapture:
		return literalOf(re.Sub[0])
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			s, ok := literalOf(sub)
			if !ok {
				return "", false
			}
			b.WriteString(s)
		}
		return b.String(), true
	}
	return "", false
}

// lineFilter looks at what is sought in the line.
func (l *linter) lineFilter(f *LineFilter) {
	op := map[Op]Op{OpHasRegex: OpHas, OpNotRegex: OpNotEq}[f.Op]
	if op == "" {
		if slices.Contains(f.Values, LineValue{}) && (f.Op == OpHas || f.Op == OpNotEq) {
			holds := map[Op]string{OpHas: "every", OpNotEq: "no"}[f.Op]
			l.add(f.At, SeverityWarning, "the empty text is in every line: the filter holds for "+holds+" record", "leave it out")
		}
		return
	}
	var texts []LineValue
	for _, v := range f.Values {
		alts, ok := alternatives(v.Text)
		if !ok {
			return
		}
		texts = append(texts, alts...)
	}
	fix := (&LineFilter{Op: op, Values: texts}).String()
	l.add(f.At, SeverityWarning, "the expression "+quote(clip(f.Values[0].Text))+" is plain text: looking for that is faster", clip(fix))
}

// alternatives returns the texts of an expression that is sought anywhere in the
// line and is nothing but texts: a, a|b, .*a.*.
func alternatives(expr string) ([]LineValue, bool) {
	if len(expr) > 1024 {
		return nil, false
	}
	trimmed := strings.TrimPrefix(strings.TrimSuffix(expr, ".*"), ".*")
	if trimmed != expr && strings.Contains(expr, "|") {
		return nil, false // .*a|b: the parts differ
	}
	var out []LineValue
	for _, s := range strings.Split(trimmed, "|") {
		re, err := syntax.Parse(s, syntax.Perl)
		if err != nil {
			return nil, false // the bar stood in a group
		}
		text, ok := literalOf(re.Simplify())
		if !ok || text == "" {
			return nil, false
		}
		out = append(out, LineValue{Text: text})
	}
	return out, true
}
