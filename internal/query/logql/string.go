package logql

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// String renders the query.
func (e *Log) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range e.Matchers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.String())
	}
	b.WriteByte('}')
	for _, s := range e.Stages {
		b.WriteByte(' ')
		b.WriteString(s.String())
	}
	return b.String()
}

// String renders the matcher.
func (m Matcher) String() string { return quoteName(m.Name) + string(m.Op) + quote(m.Value) }

// String renders the stage.
func (s *LineFilter) String() string {
	parts := make([]string, len(s.Values))
	for i, v := range s.Values {
		parts[i] = v.String()
	}
	return string(s.Op) + " " + strings.Join(parts, " or ")
}

// String renders the value.
func (v LineValue) String() string {
	if v.IP {
		return "ip(" + quote(v.Text) + ")"
	}
	return quote(v.Text)
}

// String renders the stage.
func (s *Parser) String() string {
	out := "| " + s.Name
	if s.Strict {
		out += " --strict"
	}
	if s.KeepEmpty {
		out += " --keep-empty"
	}
	if s.Name == "regexp" || s.Name == "pattern" {
		out += " " + quote(s.Expr)
	}
	for i, f := range s.Fields {
		if i > 0 {
			out += ","
		}
		out += " " + f.String()
	}
	return out
}

// String renders the parameter.
func (x Extraction) String() string { return quoteName(x.Name) + "=" + quote(x.Path) }

// String renders the stage.
func (s *LineFormat) String() string { return "| line_format " + quote(s.Template) }

// String renders the stage.
func (s *LabelFormat) String() string {
	parts := make([]string, len(s.Sets))
	for i, set := range s.Sets {
		parts[i] = set.String()
	}
	return "| label_format " + strings.Join(parts, ", ")
}

// String renders the assignment.
func (s LabelSet) String() string {
	if s.Rename {
		return quoteName(s.Name) + "=" + s.From
	}
	return quoteName(s.Name) + "=" + quote(s.Template)
}

// String renders the stage.
func (s *Decolorize) String() string { return "| decolorize" }

// String renders the stage.
func (s *Names) String() string {
	parts := make([]string, len(s.Items))
	for i, m := range s.Items {
		if parts[i] = quoteName(m.Name); m.Op != "" {
			parts[i] = m.String()
		}
	}
	if s.Keep {
		return "| keep " + strings.Join(parts, ", ")
	}
	return "| drop " + strings.Join(parts, ", ")
}

// String renders the stage.
func (s *Distinct) String() string {
	parts := make([]string, len(s.Names))
	for i, n := range s.Names {
		parts[i] = quoteName(n)
	}
	return "| distinct " + strings.Join(parts, ", ")
}

// String renders the stage.
func (s *LabelFilter) String() string { return "| " + s.Cond.String() }

// String renders the condition.
func (c *TextCond) String() string { return condName(c.Name, c.Op) + string(c.Op) + quote(c.Value) }

// condName writes the name of a condition: json != "x" would be read as the
// parser and a line filter.
func condName(name string, op Op) string {
	if bareStage(name) && (op == OpNotEq || op == OpNotRegex) {
		return quote(name)
	}
	return quoteName(name)
}

// String renders the condition.
func (c *NumberCond) String() string {
	op := c.Op
	if op == OpEq {
		op = "=="
	}
	return condName(c.Name, c.Op) + " " + string(op) + " " + c.Value.Text
}

// String renders the condition.
func (c *IPCond) String() string {
	return condName(c.Name, c.Op) + string(c.Op) + "ip(" + quote(c.Net) + ")"
}

// String renders the condition.
func (c All) String() string {
	parts := make([]string, len(c))
	for i, p := range c {
		parts[i] = p.String()
		if _, ok := p.(Any); ok {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, " and ")
}

// String renders the condition.
func (c Any) String() string {
	parts := make([]string, len(c))
	for i, p := range c {
		parts[i] = p.String()
	}
	return strings.Join(parts, " or ")
}

// String renders the expression.
func (e *RangeAgg) String() string {
	s := e.Op + "("
	if e.Op == "quantile_over_time" {
		s += formatNumber(e.Param) + ", "
	}
	s += e.Log.String()
	if e.Unwrap != nil {
		s += e.Unwrap.String()
	}
	return s + e.window() + ")" + e.Grouping.suffix()
}

// window renders " [5m] offset 1h".
func (e *RangeAgg) window() string {
	s := " [" + formatDuration(e.Range) + "]"
	if e.Offset != 0 {
		s += " offset " + formatDuration(e.Offset)
	}
	return s
}

// String renders the stage.
func (u *Unwrap) String() string {
	s := " " + u.head()
	for _, f := range u.Filters {
		s += " | " + f.String()
	}
	return s
}

// head renders the stage without the conditions after it.
func (u *Unwrap) head() string {
	if u.Conv != "" {
		return "| unwrap " + u.Conv + "(" + quoteName(u.Name) + ")"
	}
	return "| unwrap " + quoteName(u.Name)
}

// String renders the expression.
func (e *VectorAgg) String() string { return render(e) }

// render prints an expression with others in it, each text written once however
// deep it stands.
func render(e Expr) string {
	var b strings.Builder
	write(&b, e)
	return b.String()
}

func write(b *strings.Builder, e Expr) {
	switch e := e.(type) {
	case *VectorAgg:
		b.WriteString(e.head())
		b.WriteByte('(')
		if takesCount(e.Op) {
			b.WriteString(formatInt(e.Param) + ", ")
		}
		write(b, e.X)
		b.WriteByte(')')
	case *LabelReplace:
		b.WriteString("label_replace(")
		write(b, e.X)
		for _, s := range []string{e.Dst, e.Replacement, e.Src, e.Regex} {
			b.WriteString(", " + quote(s))
		}
		b.WriteByte(')')
	case *Binary:
		b.WriteByte('(')
		write(b, e.L)
		b.WriteString(" " + e.operator() + " ")
		write(b, e.R)
		b.WriteByte(')')
	default:
		b.WriteString(e.String())
	}
}

// head renders what stands before the parenthesis.
func (e *VectorAgg) head() string {
	if e.Grouping == nil {
		return e.Op
	}
	return e.Op + e.Grouping.suffix() + " "
}

// suffix renders " by (a, b)"; nothing for no grouping.
func (g *Grouping) suffix() string {
	switch {
	case g == nil:
		return ""
	case g.Without:
		return " without " + nameList(g.Names)
	}
	return " by " + nameList(g.Names)
}

// String renders the expression.
func (e *LabelReplace) String() string { return render(e) }

// String renders the expression.
func (e *Vector) String() string { return "vector(" + formatNumber(e.Value) + ")" }

// String renders the expression.
func (e *Number) String() string { return formatNumber(e.Value) }

// String renders the expression.
func (e *Binary) String() string { return render(e) }

// operator renders the operator and its modifiers.
func (e *Binary) operator() string {
	s := e.Op
	if e.Bool {
		s += " bool"
	}
	if e.Matching == nil {
		return s
	}
	word := " ignoring "
	if e.Matching.On {
		word = " on "
	}
	s += word + nameList(e.Matching.Names)
	if e.Matching.Many != "" {
		s += " group_" + e.Matching.Many
		// Without a list, Loki would take a parenthesis on the right for one.
		_, open := e.R.(*Binary)
		if len(e.Matching.Include) > 0 || open {
			s += " " + nameList(e.Matching.Include)
		}
	}
	return s
}

func nameList(names []string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = quoteName(n)
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// quoteName writes a field name: bare where it can be, else as a string.
func quoteName(s string) string {
	if bareName(s) {
		return s
	}
	return quote(s)
}

func bareName(s string) bool {
	if s == "" || !isIdentStart(s[0]) || reserved(s) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isIdentPart(s[i]) && !(s[i] == '.' && i+1 < len(s) && isIdentPart(s[i+1])) {
			return false
		}
	}
	return true
}

// quote writes a string: raw where that saves escapes, else with escapes.
func quote(s string) string {
	if strings.ContainsAny(s, `\"`) && !strings.ContainsAny(s, "`\r") && utf8.ValidString(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

func formatNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

var durationUnits = []struct {
	ns   int64
	name string
}{
	{int64(time.Hour), "h"}, {int64(time.Minute), "m"}, {int64(time.Second), "s"},
	{int64(time.Millisecond), "ms"}, {int64(time.Microsecond), "us"}, {1, "ns"},
}

// formatDuration writes 1h30m where Go would write 1h30m0s.
func formatDuration(ns int64) string {
	if ns < 0 {
		return "-" + formatDuration(-ns)
	}
	s := ""
	for _, u := range durationUnits {
		if n := ns / u.ns; n > 0 {
			s += strconv.FormatInt(n, 10) + u.name
			ns -= n * u.ns
		}
	}
	if s == "" {
		return "0s"
	}
	return s
}
