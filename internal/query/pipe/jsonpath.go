package pipe

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A jsonPath is a.b[0]["c"].
type jsonPath []pathStep

type pathStep struct {
	name  string
	index int // when name does not count; -1 else
}

// maxSteps bounds a path.
const maxSteps = 64

func readPath(src string) (jsonPath, error) {
	bad := func(at int) (jsonPath, error) {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "cannot read the path %q at %q", clip(src), clip(src[at:])),
			`a path is like a.b[0]["c d"]`)
	}
	var p jsonPath
	for i := 0; i < len(src); {
		if len(p) == maxSteps {
			return nil, fault.Errorf(fault.TooLarge, "path %q has more than %d steps", clip(src), maxSteps)
		}
		if src[i] == '[' {
			end, step, ok := bracket(src, i)
			if !ok {
				return bad(i)
			}
			p = append(p, step)
			i = end
			continue
		}
		if src[i] == '.' {
			if i++; len(p) == 0 {
				return bad(i - 1)
			}
		} else if len(p) > 0 {
			return bad(i)
		}
		end := i
		for end < len(src) && src[end] != '.' && src[end] != '[' && src[end] != ']' && src[end] != '"' {
			end++
		}
		name := trimSpace(src[i:end])
		if name == "" {
			return bad(i)
		}
		p = append(p, pathStep{name: name, index: -1})
		i = end
	}
	if len(p) == 0 {
		return bad(0)
	}
	return p, nil
}

// bracket reads [0] or ["name"], whose '[' is at i.
func bracket(src string, i int) (end int, step pathStep, ok bool) {
	rest := src[i+1:]
	if strings.HasPrefix(rest, `"`) {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil || !strings.HasPrefix(rest[len(quoted):], "]") {
			return 0, step, false
		}
		name, err := strconv.Unquote(quoted)
		return i + len(quoted) + 2, pathStep{name: name, index: -1}, err == nil
	}
	digits, _, found := strings.Cut(rest, "]")
	n, err := strconv.Atoi(digits)
	return i + len(digits) + 2, pathStep{index: n}, found && err == nil && n >= 0
}

// find returns the text of what the path leads to in a valid JSON text: a
// string's value, or an object or array as it is written. null is nothing.
func (p jsonPath) find(text string) (string, bool) {
	i := skipSpace(text, 0)
	for _, s := range p {
		if i = s.enter(text, i); i < 0 {
			return "", false
		}
	}
	end := skipValue(text, i)
	raw := text[i:end]
	switch {
	case raw == "" || raw == "null":
		return "", false
	case raw[0] == '"':
		return unquote(raw), true
	}
	return raw, true
}

// enter returns where the value of a step begins, in the value at i; or -1.
func (s pathStep) enter(text string, i int) int {
	open := byte('[')
	if s.index < 0 {
		open = '{'
	}
	if i >= len(text) || text[i] != open {
		return -1
	}
	i = skipSpace(text, i+1)
	for n := 0; i < len(text) && text[i] != ']' && text[i] != '}'; n++ {
		found := n == s.index
		if open == '{' {
			end := skipValue(text, i)
			found = unquote(text[i:end]) == s.name
			i = skipSpace(text, end)
			if i >= len(text) || text[i] != ':' {
				return -1
			}
			i = skipSpace(text, i+1)
		}
		if found {
			return i
		}
		i = skipSpace(text, skipValue(text, i))
		if i < len(text) && text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
	return -1
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// skipValue returns the end of the value at i. It always moves on, unless i is
// at the end.
func skipValue(s string, i int) int {
	depth := 0
	for start := i; i < len(s); {
		switch c := s[i]; c {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
		default:
			for i++; i < len(s) && !strings.ContainsRune(",:]} \t\r\n", rune(s[i])); i++ {
			}
		}
		if depth <= 0 && i > start {
			break
		}
	}
	return min(i, len(s))
}

// unquote returns the value of a JSON string.
func unquote(raw string) string {
	if len(raw) < 2 || raw[0] != '"' {
		return raw
	}
	if strings.IndexByte(raw, '\\') >= 0 {
		var s string
		if json.Unmarshal([]byte(raw), &s) == nil {
			return s
		}
	}
	return strings.TrimSuffix(raw[1:], `"`)
}

// stored returns what intake made of the value that the path leads to: a field
// with the names of the path joined by dots, or an element of one that holds an
// array.
func (p jsonPath) stored(r *record.Record) (string, bool) {
	name := ""
	for i, s := range p {
		if s.index >= 0 {
			if v, ok := match.Value(name, r); ok && v.Kind == record.String && json.Valid([]byte(v.Str)) {
				return p[i:].find(v.Str)
			}
			return "", false
		}
		if name != "" {
			name += "."
		}
		name += s.name
	}
	v, ok := match.Value(name, r)
	return v.Text(), ok
}
