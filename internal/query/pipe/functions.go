package pipe

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"unicode"

	"github.com/meshtrail/meshtrail/internal/match"
)

// funcs returns the functions of templates: Loki's, and text/template's own that
// make texts, within bounds. Those that Loki lists with a signature have it.
func (e *env) funcs() template.FuncMap {
	m := template.FuncMap{
		tick:       e.tick,
		"__line__": func() string { return e.row.Line() },

		"lower":      e.one(strings.ToLower),
		"upper":      e.one(strings.ToUpper),
		"title":      e.one(title),
		"trim":       e.one(strings.TrimSpace),
		"b64enc":     e.one(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"b64dec":     e.one(b64dec),
		"urlencode":  e.one(url.QueryEscape),
		"urldecode":  e.urldecode,
		"trimAll":    e.two(func(set, s string) string { return strings.Trim(s, set) }),
		"trimPrefix": e.two(func(prefix, s string) string { return strings.TrimPrefix(s, prefix) }),
		"trimSuffix": e.two(func(suffix, s string) string { return strings.TrimSuffix(s, suffix) }),
		"contains":   e.is(func(sub, s string) bool { return strings.Contains(s, sub) }),
		"hasPrefix":  e.is(func(prefix, s string) bool { return strings.HasPrefix(s, prefix) }),
		"hasSuffix":  e.is(func(suffix, s string) bool { return strings.HasSuffix(s, suffix) }),
		"replace":    func(old, to, s string) (string, error) { return e.replace(s, old, to, -1) },
		"repeat":     e.repeat,
		"substr":     e.substr,
		"trunc":      e.trunc,
		"alignLeft":  func(n int, s string) (string, error) { return e.align(n, s, true) },
		"alignRight": func(n int, s string) (string, error) { return e.align(n, s, false) },
		"indent":     e.indent,
		"nindent": func(n int, s string) (string, error) {
			s, err := e.indent(n, s)
			return "\n" + s, err
		},
		"default":  orDefault,
		"fromJson": e.fromJSON,

		"regexReplaceAll":        func(re, s, to string) (string, error) { return e.rewrite(re, s, to, true) },
		"regexReplaceAllLiteral": func(re, s, to string) (string, error) { return e.rewrite(re, s, to, false) },
		"count":                  e.count,

		// The names that Loki no longer documents have Go's order of arguments.
		"ToLower":    e.one(strings.ToLower),
		"ToUpper":    e.one(strings.ToUpper),
		"TrimSpace":  e.one(strings.TrimSpace),
		"Trim":       e.two(strings.Trim),
		"TrimLeft":   e.two(strings.TrimLeft),
		"TrimRight":  e.two(strings.TrimRight),
		"TrimPrefix": e.two(strings.TrimPrefix),
		"TrimSuffix": e.two(strings.TrimSuffix),
		"Replace":    e.replace,

		"printf":  e.printf,
		"print":   func(args ...any) (string, error) { return e.print(args, fmt.Sprint) },
		"println": func(args ...any) (string, error) { return e.print(args, fmt.Sprintln) },
		"html":    func(args ...any) (string, error) { return e.escape(args, html.EscapeString) },
		"js":      func(args ...any) (string, error) { return e.escape(args, template.JSEscapeString) },
		"urlquery": func(args ...any) (string, error) {
			return e.escape(args, url.QueryEscape)
		},
	}
	e.addMath(m)
	e.addTime(m)
	return m
}

// one makes a function of one text bounded. What f makes of it is at most a few
// times as long.
func (e *env) one(f func(string) string) func(string) (string, error) {
	return func(s string) (string, error) {
		if err := e.room(len(s)); err != nil {
			return "", err
		}
		out := f(s)
		return out, e.room(len(out))
	}
}

func (e *env) two(f func(a, b string) string) func(a, b string) (string, error) {
	return func(a, b string) (string, error) {
		if err := e.room(len(a) + len(b)); err != nil {
			return "", err
		}
		return f(a, b), nil
	}
}

func (e *env) is(f func(a, b string) bool) func(a, b string) (bool, error) {
	return func(a, b string) (bool, error) {
		if err := e.spend(len(a) + len(b) + 1); err != nil {
			return false, err
		}
		return f(a, b), nil
	}
}

// title puts the first letter of each word into title case.
func title(s string) string {
	inWord := false
	return strings.Map(func(c rune) rune {
		letter := unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_' || c == '\''
		if letter && !inWord {
			c = unicode.ToTitle(c)
		}
		inWord = letter
		return c
	}, s)
}

// b64dec says in its result what is wrong, as Loki does.
func b64dec(s string) string {
	if n := len(s) % 4; n > 1 {
		s += "=="[:4-n]
	}
	out, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func (e *env) urldecode(s string) (string, error) {
	if err := e.room(len(s)); err != nil {
		return "", err
	}
	return url.QueryUnescape(s)
}

func (e *env) replace(s, old, to string, n int) (string, error) {
	if err := e.spend(len(s) + 1); err != nil {
		return "", err
	}
	times := strings.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	if err := e.room(len(s) + times*max(0, len(to)-len(old))); err != nil {
		return "", err
	}
	return strings.Replace(s, old, to, n), nil
}

func (e *env) repeat(n int, s string) (string, error) {
	n = max(n, 0)
	if n > maxText {
		return "", errText
	}
	if err := e.room(n * len(s)); err != nil {
		return "", err
	}
	return strings.Repeat(s, n), nil
}

// substr cuts by characters.
func (e *env) substr(start, end int, s string) (string, error) {
	if err := e.room(4 * len(s)); err != nil {
		return "", err
	}
	runes := []rune(s)
	n := len(runes)
	start, end = min(start, n), min(end, n)
	switch {
	case start < 0:
		return string(runes[:max(end, 0)]), nil
	case end < 0:
		return string(runes[start:]), nil
	}
	return string(runes[start:max(start, end)]), nil
}

// trunc keeps the first n characters, or with a negative n the last.
func (e *env) trunc(n int, s string) (string, error) {
	if err := e.room(4 * len(s)); err != nil {
		return "", err
	}
	runes := []rune(s)
	switch {
	case n >= 0 && n < len(runes):
		return string(runes[:n]), nil
	case n < 0 && n > -len(runes):
		return string(runes[len(runes)+n:]), nil
	}
	return s, nil
}

// align pads or cuts a text to n characters.
func (e *env) align(n int, s string, left bool) (string, error) {
	if n > maxText {
		return "", errText
	}
	if err := e.room(4*len(s) + max(n, 0)); err != nil {
		return "", err
	}
	runes := []rune(s)
	pad := n - len(runes)
	switch {
	case n < 0:
		return s, nil
	case pad >= 0 && left:
		return s + strings.Repeat(" ", pad), nil
	case pad >= 0:
		return strings.Repeat(" ", pad) + s, nil
	case left:
		return string(runes[:n]), nil
	}
	return string(runes[-pad:]), nil
}

func (e *env) indent(n int, s string) (string, error) {
	pad, err := e.repeat(n, " ")
	if err != nil {
		return "", err
	}
	s, err = e.replace(s, "\n", "\n"+pad, -1)
	return pad + s, err
}

// orDefault returns the value, or d when it is empty: absent, "", 0, false or
// without elements.
func orDefault(d any, given ...any) any {
	if len(given) == 0 {
		return d
	}
	if ok, _ := template.IsTrue(given[0]); !ok {
		return d
	}
	return given[0]
}

// fromJSON returns what a JSON text says, or "" when it is none.
func (e *env) fromJSON(s string) (any, error) {
	if err := e.room(len(s)); err != nil {
		return nil, err
	}
	// One byte of JSON, such as an element of [0,0,0], becomes tens in memory.
	if err := e.spend(15 * len(s)); err != nil {
		return nil, err
	}
	var v any
	if json.Unmarshal([]byte(s), &v) != nil || v == nil {
		return "", nil
	}
	return v, nil
}

// An expression is a regular expression that a template asked for.
type expression struct {
	re  *regexp.Regexp
	err error
}

// maxRegexps bounds the expressions that a Run's templates remember.
const maxRegexps = 64

// regexp compiles an expression once, and spends the work of running it on s.
func (e *env) regexp(src, s string) (*regexp.Regexp, error) {
	x, ok := e.regexps[src]
	if !ok {
		if err := e.spend(1000 + 100*len(src)); err != nil {
			return nil, err
		}
		x = &expression{}
		x.re, x.err = compileRegexp(src)
		if len(e.regexps) < maxRegexps {
			e.regexps[src] = x
		}
	}
	if x.err != nil {
		return nil, x.err
	}
	return x.re, e.spend(8 * len(s))
}

// maxMatches bounds the matches that one call replaces or counts, times the
// groups of the expression.
const maxMatches = 100_000

func (e *env) matches(src, s string) ([][]int, *regexp.Regexp, error) {
	re, err := e.regexp(src, s)
	if err != nil {
		return nil, nil, err
	}
	most := maxMatches / (re.NumSubexp() + 1)
	m := re.FindAllStringSubmatchIndex(s, most+1)
	if len(m) > most {
		return nil, nil, errWork
	}
	return m, re, e.spend(16 * len(m))
}

// rewrite replaces what matches, with $1 and ${name} in to when expand is set.
func (e *env) rewrite(src, s, to string, expand bool) (string, error) {
	ms, re, err := e.matches(src, s)
	if err != nil {
		return "", err
	}
	var out []byte
	end := 0
	for _, m := range ms {
		out = append(out, s[end:m[0]]...)
		end = m[1]
		if !expand {
			out = append(out, to...)
		} else {
			// What to names may be as long as s, as often as to names it.
			if err := e.spend(len(to) + strings.Count(to, "$")*(m[1]-m[0])); err != nil {
				return "", err
			}
			out = re.ExpandString(out, to, s, m)
		}
		if len(out) > maxText {
			return "", errText
		}
	}
	out = append(out, s[end:]...)
	return string(out), e.room(len(out))
}

func (e *env) count(src, s string) (int, error) {
	ms, _, err := e.matches(src, s)
	return len(ms), err
}

// textOf is the text of a template's value. What fromJson made is no longer than
// what it was made of, times two.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

func (e *env) print(args []any, print func(...any) string) (string, error) {
	n := 0
	for _, a := range args {
		text := textOf(a)
		n += len(text) + 1
		if err := e.room(n); err != nil {
			return "", err
		}
	}
	return print(args...), nil
}

func (e *env) escape(args []any, escape func(string) string) (string, error) {
	s, err := e.print(args, fmt.Sprint)
	if err != nil {
		return "", err
	}
	if err := e.room(len(s)); err != nil {
		return "", err
	}
	out := escape(s)
	return out, e.room(len(out))
}

// maxWidth bounds the width and the precision of a verb.
const maxWidth = 4096

// printf formats verb by verb, so that no verb makes more than there is room
// for. Widths are written as numbers, and arguments come in order.
func (e *env) printf(format string, args ...any) (string, error) {
	var out strings.Builder
	used := 0
	for i := 0; i < len(format); {
		if format[i] != '%' {
			end := i + 1
			for end < len(format) && format[end] != '%' {
				end++
			}
			out.WriteString(format[i:end])
			i = end
			continue
		}
		end, err := verb(format, i)
		if err != nil {
			return "", err
		}
		spec := format[i:end]
		i = end
		var piece string
		switch {
		case strings.HasSuffix(spec, "%"):
			piece = "%"
		case used >= len(args):
			piece = "%!" + spec[len(spec)-1:] + "(MISSING)"
		default:
			arg := args[used]
			used++
			if err := e.spend(8*len(textOf(arg)) + maxWidth/64); err != nil {
				return "", err
			}
			piece = fmt.Sprintf(spec, arg)
		}
		if err := e.room(out.Len() + len(piece)); err != nil {
			return "", err
		}
		out.WriteString(piece)
	}
	if used < len(args) {
		fmt.Fprintf(&out, "%%!(EXTRA %d arguments)", len(args)-used)
	}
	return out.String(), e.room(out.Len())
}

// verb returns the end of the verb that begins at i.
func verb(format string, i int) (int, error) {
	number := 0
	for i++; i < len(format); i++ {
		switch c := format[i]; {
		case c >= '0' && c <= '9':
			if number = 10*number + int(c-'0'); number > maxWidth {
				return 0, fmt.Errorf("printf: a width of more than %d", maxWidth)
			}
		case c == '*' || c == '[':
			return 0, fmt.Errorf("printf: %q is not supported in a verb", c)
		case c == '+' || c == '-' || c == '#' || c == ' ' || c == '.':
			number = 0
		case c < 0x80:
			return i + 1, nil
		default:
			return 0, fmt.Errorf("printf: bad verb")
		}
	}
	return i, nil
}

// numberText reads what a template gives for a number: Loki takes a text that is
// none for 0.
func numberText(s string) (i int64, f float64) {
	i, f, isInt, ok := match.ParseNumber(strings.TrimSpace(s))
	switch {
	case !ok:
		return 0, 0
	case isInt:
		return i, float64(i)
	}
	return toInt(f), f
}
