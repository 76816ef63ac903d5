package logql

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// templateFuncs are the functions of line_format and label_format: Loki's, and
// those that every Go template has.
var templateFuncs = []string{
	"__line__", "__timestamp__",
	"ToLower", "ToUpper", "Replace", "Trim", "TrimLeft", "TrimRight", "TrimPrefix", "TrimSuffix", "TrimSpace",
	"regexReplaceAll", "regexReplaceAllLiteral", "count", "urldecode", "urlencode", "bytes", "duration", "duration_seconds",
	"unixEpochMillis", "unixEpochNanos", "toDateInZone", "unixToTime", "alignLeft", "alignRight", "b64dec", "b64enc",
	"lower", "upper", "title", "trunc", "substr", "contains", "hasPrefix", "hasSuffix", "indent", "nindent",
	"replace", "repeat", "trim", "trimAll", "trimSuffix", "trimPrefix", "int", "float64",
	"add", "sub", "mul", "div", "mod", "addf", "subf", "mulf", "divf", "max", "min", "maxf", "minf", "ceil", "floor", "round",
	"fromJson", "date", "toDate", "now", "unixEpoch", "default",
}

var builtinFuncs = []string{
	"and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
	"print", "printf", "println", "slice", "urlquery",
}

// TemplateFunctions lists the names that the parser lets templates call, besides
// those of text/template itself. Who renders templates must know each.
func TemplateFunctions() []string { return slices.Clone(templateFuncs) }

// A fragment is {{ … }} in a template, start and end its byte offsets.
type fragment struct{ start, end int }

// fragments finds the actions of a template. It stops where one does not end;
// open is the start of that one, or -1. deep is the first parenthesis that is
// nested too deeply, or -1.
func fragments(text string) (out []fragment, open, deep int) {
	for at := 0; ; {
		i := strings.Index(text[at:], "{{")
		if i < 0 {
			return out, -1, -1
		}
		start := at + i
		end, deep := fragmentEnd(text, start+2)
		if deep >= 0 || end < 0 {
			return out, start, deep
		}
		out = append(out, fragment{start, end})
		at = end
	}
}

// fragmentEnd finds the end of the action whose inside starts at i: after its
// }}, which counts neither in a string nor in a comment; -1 if there is none.
func fragmentEnd(text string, i int) (end, deep int) {
	body := strings.TrimPrefix(text[i:], "- ")
	if strings.HasPrefix(body, "/*") {
		if n := strings.Index(body, "*/"); n >= 0 {
			if m := strings.Index(body[n:], "}}"); m >= 0 {
				return len(text) - len(body) + n + m + 2, -1
			}
		}
		return -1, -1
	}
	depth := 0
	for i < len(text) {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "}}"):
			return i + 2, -1
		case c == '(':
			if depth++; depth > maxDepth {
				return -1, i
			}
		case c == ')':
			depth--
		case c == '"' || c == '\'' || c == '`':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && c != '`' {
					i++
				}
			}
		}
		i++
	}
	return -1, -1
}

// checkTemplate says what is wrong with a template, and where in it.
func checkTemplate(text string) (at int, err error) {
	frags, open, deep := fragments(text)
	if deep >= 0 {
		return deep, fault.Errorf(fault.Invalid, "parentheses are nested deeper than %d levels", maxDepth)
	}
	for _, f := range frags {
		word := strings.TrimLeft(strings.TrimPrefix(text[f.start+2:f.end], "- "), " \t\r\n")
		for _, w := range []string{"define", "template", "block"} {
			if rest, ok := strings.CutPrefix(word, w); ok && !isIdentPart(rest[0]) {
				return f.start, fault.Errorf(fault.Invalid, "{{%s}} is not allowed: a template stands alone", w)
			}
		}
	}
	full := parseTemplate(text)
	switch {
	case full == "":
		return 0, nil
	case open >= 0 && (len(frags) == 0 || !spoiled(text[:frags[len(frags)-1].end])):
		return open, errors.New(full)
	case strings.HasSuffix(full, "unexpected EOF"):
		return len(text), errors.New("a block is not closed with {{end}}")
	}
	// A template is read from left to right: the action at fault is the first
	// after which it is past repair.
	i, _ := slices.BinarySearchFunc(frags, true, func(f fragment, _ bool) int {
		if spoiled(text[:f.end]) {
			return 0
		}
		return -1
	})
	if i < len(frags) {
		return frags[i].start, errors.New(full)
	}
	return 0, errors.New(full)
}

// spoiled reports whether no continuation makes text a template.
func spoiled(text string) bool {
	msg := parseTemplate(text)
	return msg != "" && !strings.HasSuffix(msg, "unexpected EOF")
}

// parseTemplate returns what text/template finds wrong, or "".
func parseTemplate(text string) string {
	_, err := parse.Parse("t", text, "", "", knownFuncs)
	if err == nil {
		return ""
	}
	msg := strings.TrimPrefix(err.Error(), "template: t:")
	if line, rest, ok := strings.Cut(msg, ": "); ok {
		if _, err := strconv.Atoi(line); err == nil {
			msg = rest
		}
	}
	return msg
}

var knownFuncs = func() map[string]any {
	m := map[string]any{}
	for _, n := range append(slices.Clone(templateFuncs), builtinFuncs...) {
		m[n] = true
	}
	return m
}()

// template checks the string at hand as a template; what is "line template" or
// the like.
func (p *parser) template(what string) error {
	at, err := checkTemplate(p.tok.text)
	if err != nil {
		return p.errorAt(p.inside(p.tok, at), "templates are Go's: {{.field}}, {{__line__}}, {{.a | upper}}; spec/query.md lists the functions", "invalid %s: %s", what, err)
	}
	return nil
}

// regexp checks the string at hand as an expression; before goes in front of
// what the error says.
func (p *parser) regexp(before string) error {
	_, err := match.CompileRegexp(p.tok.text)
	if err == nil {
		return nil
	}
	pos := p.tok.pos
	var se *syntax.Error
	if errors.As(err, &se) && se.Expr != "" && se.Expr != p.tok.text && strings.Count(p.tok.text, se.Expr) == 1 {
		pos = p.inside(p.tok, strings.Index(p.tok.text, se.Expr))
	}
	hint := fault.HintOf(err)
	if hint == "" {
		hint = "expressions are RE2: no look-around and no back-references"
	}
	return p.errorAt(pos, hint, "%s%s", before, err)
}

// namedCapture reports whether a valid expression has a named group.
func namedCapture(expr string) bool {
	re, err := syntax.Parse(expr, syntax.Perl)
	return err == nil && slices.ContainsFunc(re.CapNames(), func(n string) bool { return n != "" })
}

// inside returns where in the query byte off of a string token's value stands.
func (l *lexer) inside(t token, off int) int {
	pos := t.pos + 1
	if l.src[t.pos] != '"' {
		return pos + off
	}
	for n := 0; n < off; {
		r, multi, rest, err := strconv.UnquoteChar(l.src[pos:], '"')
		if err != nil {
			return t.pos
		}
		pos = len(l.src) - len(rest)
		if n++; multi {
			n += utf8.RuneLen(r) - 1
		}
	}
	return pos
}
