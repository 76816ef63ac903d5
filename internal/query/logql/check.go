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

// maxFragments bounds the actions of a template.
const maxFragments = 1000

// checkTemplate says what is wrong with a template, and where in it.
func checkTemplate(text string) (at int, err error) {
	frags, open, deep := fragments(text)
	if len(frags) > maxFragments {
		return frags[maxFragments].start, fault.Errorf(fault.Invalid, "more than %d actions", maxFragments)
	}
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
	if i == len(frags) {
		return 0, errors.New(full)
	}
	return frags[i].start + wordAt(text[frags[i].start:frags[i].end], full), errors.New(full)
}

// wordAt returns where in an action the name stands that an error complains of;
// 0 where it does not say.
func wordAt(action, msg string) int {
	name, ok := unknownFunc(msg)
	if !ok {
		return 0
	}
	for at := 0; ; {
		i := strings.Index(action[at:], name)
		if i < 0 {
			return 0
		}
		i += at
		at = i + len(name)
		if strings.IndexByte(" {(|-", action[i-1]) >= 0 && !isIdentPart(action[at]) {
			return i
		}
	}
}

// unknownFunc returns the name that text/template does not know.
func unknownFunc(msg string) (string, bool) {
	rest, ok := strings.CutPrefix(msg, "function \"")
	name, _, ok2 := strings.Cut(rest, "\" not defined")
	return name, ok && ok2 && name != ""
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
	if err == nil {
		return nil
	}
	hint := "templates are Go's: {{.field}}, {{__line__}}, {{.a | upper}}; spec/query.md lists the functions"
	if name, ok := unknownFunc(err.Error()); ok {
		if near := nearest(name, templateFuncs); near != "" {
			hint = "did you mean " + near + "?"
		}
	}
	return p.errorAt(p.inside(p.tok, at), hint, "invalid %s: %s", what, err)
}

// regexp checks the string at hand as an expression; before goes in front of
// what the error says.
func (p *parser) regexp(before string) error {
	_, err := match.CompileRegexp(p.tok.text)
	if err == nil {
		return nil
	}
	pos := p.tok.pos
	hint := fault.HintOf(err)
	var se *syntax.Error
	if errors.As(err, &se) {
		if se.Expr != "" && se.Expr != p.tok.text && strings.Count(p.tok.text, se.Expr) == 1 {
			pos = p.inside(p.tok, strings.Index(p.tok.text, se.Expr))
		}
		hint = regexpHint(se.Code)
	}
	return p.errorAt(pos, hint, "%s%s", before, err)
}

func regexpHint(code syntax.ErrorCode) string {
	switch code {
	case syntax.ErrMissingParen, syntax.ErrUnexpectedParen:
		return `a parenthesis itself is written \\( in "..." and \( between backquotes`
	case syntax.ErrMissingBracket:
		return `a bracket itself is written \\[ in "..." and \[ between backquotes`
	case syntax.ErrMissingRepeatArgument:
		return `a star itself is written \\* in "..." and \* between backquotes; any text is .*`
	case syntax.ErrInvalidRepeatSize:
		return "an expression repeats at most 1,000 times"
	case syntax.ErrInvalidNamedCapture:
		return "a named group is (?P<name>…), with letters, digits and _"
	}
	return "expressions are RE2: no look-around and no back-references"
}

// checkCaptures says what is wrong with the groups of a valid expression.
func checkCaptures(expr string) error {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return err
	}
	seen := map[string]bool{"": true}
	for _, n := range re.CapNames() {
		if n != "" && seen[n] {
			return fault.Errorf(fault.Invalid, "duplicate extracted label name '%s'", clip(n))
		}
		if seen[n] = true; len(seen) > maxNames+1 {
			return fault.Errorf(fault.Invalid, "more than %d captures", maxNames)
		}
	}
	if len(seen) == 1 {
		return fault.Errorf(fault.Invalid, "at least one named capture must be supplied")
	}
	return nil
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
