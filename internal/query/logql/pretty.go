package logql

import (
	"strings"
	"unicode/utf8"
)

// lineWidth is how many columns a query may have before Pretty breaks it.
const lineWidth = 80

// Pretty renders a query for people: on one line where that has at most 80
// columns, else one stage, argument or operand to a line. It parses to the same
// tree, so that printing it again gives the same text.
func Pretty(e Expr) string {
	s := e.String()
	b, ok := e.(*Binary)
	if ok { // the outermost parentheses say nothing
		s = s[1 : len(s)-1]
	}
	if fits(s, 0) {
		return s
	}
	w := &printer{}
	if ok {
		w.binary(b, 0)
	} else {
		w.expr(e, 0, "")
	}
	return strings.TrimSuffix(w.String(), "\n")
}

func fits(s string, level int) bool { return 2*level+utf8.RuneCountInString(s) <= lineWidth }

// A printer writes lines, indented by two columns a level.
type printer struct{ strings.Builder }

func (w *printer) line(level int, s string) {
	w.WriteString(strings.Repeat("  ", level))
	w.WriteString(s)
	w.WriteByte('\n')
}

// expr writes an expression and what must follow it on its last line.
func (w *printer) expr(e Expr, level int, after string) {
	if s := e.String() + after; fits(s, level) {
		w.line(level, s)
		return
	}
	switch e := e.(type) {
	case *Log:
		w.pipeline(e, nil, level, after)
	case *RangeAgg:
		w.rangeAgg(e, level, after)
	case *VectorAgg:
		w.line(level, e.head()+"(")
		if takesCount(e.Op) {
			w.line(level+1, formatInt(e.Param)+",")
		}
		w.expr(e.X, level+1, "")
		w.line(level, ")"+after)
	case *LabelReplace:
		w.line(level, "label_replace(")
		w.expr(e.X, level+1, ",")
		for _, s := range []string{e.Dst, e.Replacement, e.Src} {
			w.line(level+1, quote(s)+",")
		}
		w.line(level+1, quote(e.Regex))
		w.line(level, ")"+after)
	case *Binary:
		w.line(level, "(")
		w.binary(e, level+1)
		w.line(level, ")"+after)
	default:
		w.line(level, e.String()+after)
	}
}

// binary writes two operands with the operator on a line between them.
func (w *printer) binary(e *Binary, level int) {
	w.expr(e.L, level, "")
	w.line(level, e.operator())
	w.expr(e.R, level, "")
}

func (w *printer) rangeAgg(e *RangeAgg, level int, after string) {
	w.line(level, e.Op+"(")
	if e.Op == "quantile_over_time" {
		w.line(level+1, formatNumber(e.Param)+",")
	}
	w.pipeline(e.Log, e.Unwrap, level+1, e.window())
	w.line(level, ")"+e.Grouping.suffix()+after)
}

// pipeline writes a selector and its stages, each on a line.
func (w *printer) pipeline(l *Log, u *Unwrap, level int, after string) {
	stages := make([][]string, 0, len(l.Stages)+1)
	for _, s := range l.Stages {
		stages = append(stages, stageParts(s, level+1))
	}
	if u != nil {
		stages = append(stages, []string{u.head()})
		for _, f := range u.Filters {
			stages = append(stages, stageParts(&LabelFilter{f}, level+1))
		}
	}
	end := ""
	if len(stages) == 0 {
		end = after
	}
	w.selector(l, level, end)
	for i, parts := range stages {
		for j, s := range parts {
			if i == len(stages)-1 && j == len(parts)-1 {
				s += after
			}
			w.line(level+1+min(j, 1), s)
		}
	}
}

func (w *printer) selector(l *Log, level int, after string) {
	s := (&Log{Matchers: l.Matchers}).String()
	if fits(s+after, level) || len(l.Matchers) < 2 {
		w.line(level, s+after)
		return
	}
	w.line(level, "{")
	for i, m := range l.Matchers {
		s := m.String()
		if i < len(l.Matchers)-1 {
			s += ","
		}
		w.line(level+1, s)
	}
	w.line(level, "}"+after)
}

// stageParts cuts a stage that is too long for its line.
func stageParts(s Stage, level int) []string {
	whole := s.String()
	if fits(whole, level) {
		return []string{whole}
	}
	switch s := s.(type) {
	case *LineFilter:
		parts := make([]string, len(s.Values))
		for i, v := range s.Values {
			parts[i] = "or " + v.String()
		}
		parts[0] = string(s.Op) + strings.TrimPrefix(parts[0], "or")
		return parts
	case *LabelFilter:
		return condParts(s.Cond)
	case *Parser:
		if len(s.Fields) > 0 {
			head := *s
			head.Fields = nil
			parts := []string{head.String()}
			for _, f := range s.Fields {
				parts = append(parts, f.String()+",")
			}
			return trimLast(parts)
		}
	case *LabelFormat:
		parts := []string{"| label_format"}
		for _, set := range s.Sets {
			parts = append(parts, set.String()+",")
		}
		return trimLast(parts)
	}
	return []string{whole}
}

// condParts cuts conditions at their outermost and or or.
func condParts(c Cond) []string {
	parts, word := []Cond{c}, ""
	switch c := c.(type) {
	case All:
		parts, word = c, "and "
	case Any:
		parts, word = c, "or "
	}
	out := make([]string, len(parts))
	for i, part := range parts {
		s := part.String()
		if _, ok := part.(Any); ok {
			s = "(" + s + ")"
		}
		out[i] = word + s
	}
	out[0] = "| " + strings.TrimPrefix(out[0], word)
	return out
}

func trimLast(parts []string) []string {
	last := len(parts) - 1
	parts[last] = strings.TrimSuffix(parts[last], ",")
	return parts
}
