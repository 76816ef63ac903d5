package pipe

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// logfmt makes fields of key=value, key="quoted value" and, when asked to keep
// them, of keys alone.
type logfmt struct {
	strict, empty bool
	want          []wanted // nil: all
}

// wanted is a parameter: name="key".
type wanted struct {
	ref *ref
	key string // as identifier writes it
}

func newLogfmt(p *logql.Parser) (stage, error) {
	s := logfmt{strict: p.Strict, empty: p.KeepEmpty}
	for _, x := range p.Fields {
		key := identifier(x.Path)
		if key == "" {
			return nil, fault.Errorf(fault.Invalid, "logfmt parameter %s names no key", x.Name)
		}
		s.want = append(s.want, wanted{newRef(x.Name), key})
	}
	return s, nil
}

func (logfmt) needs() needs { return needs{all: true, parses: true} }

func (s logfmt) do(w *Row) bool {
	if !w.bodied() {
		return true // intake took the record apart
	}
	line, from := w.Line(), len(w.made)
	for line != "" {
		p, rest := nextPair(line)
		if p.bad != "" && s.strict {
			w.fail(ErrLogfmt, "logfmt syntax error at byte "+strconv.Itoa(len(w.Line())-len(line)+p.at)+": "+p.bad)
			return true
		}
		line = rest
		if p.bad == "" && p.key != "" {
			s.extract(w, p, from)
		}
	}
	return true
}

func (s logfmt) extract(w *Row, p pair, from int) {
	if s.want == nil {
		if p.value != "" || s.empty {
			w.extract(w.run.ref(p.key), p.value, from)
		}
		return
	}
	key := w.run.ref(p.key).ident
	for i := range s.want {
		if s.want[i].key == key {
			w.extract(s.want[i].ref, p.value, from)
		}
	}
}

// A pair is one word of a line. bad says what is wrong with it, at a byte of the
// word's line.
type pair struct {
	key, value string
	bad        string
	at         int
}

// nextPair reads the next word of a line, and returns the line after it. A word
// that is wrong is skipped up to the next space.
func nextPair(line string) (p pair, rest string) {
	i := 0
	for i < len(line) && line[i] <= ' ' {
		i++
	}
	start := i
	for i < len(line) && line[i] > ' ' && line[i] != '=' && line[i] != '"' {
		i++
	}
	p.key = line[start:i]
	switch {
	case !utf8.ValidString(p.key):
		return skipWord(line, i, start, "the key is not UTF-8")
	case i == len(line) || line[i] <= ' ':
		return p, line[i:]
	case line[i] == '"' || i == start:
		return skipWord(line, i, i, fmt.Sprintf("unexpected %q", line[i]))
	}
	i++ // the '='
	if i < len(line) && line[i] == '"' {
		return quoted(p, line, i)
	}
	start = i
	for i < len(line) && line[i] > ' ' {
		if line[i] == '=' || line[i] == '"' {
			return skipWord(line, i, i, fmt.Sprintf("unexpected %q", line[i]))
		}
		i++
	}
	p.value = line[start:i]
	return p, line[i:]
}

func skipWord(line string, i, at int, bad string) (pair, string) {
	for i < len(line) && line[i] > ' ' {
		i++
	}
	return pair{bad: bad, at: at}, line[i:]
}

// quoted reads the value whose quote is at i.
func quoted(p pair, line string, i int) (pair, string) {
	end, escaped := i+1, false
	for end < len(line) && line[end] != '"' {
		if line[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	if end >= len(line) {
		return pair{bad: "the quoted value has no end", at: i}, ""
	}
	p.value = line[i+1 : end]
	if escaped {
		s, ok := unescape(line[i : end+1])
		if !ok {
			return pair{bad: "the quoted value has a bad escape", at: i}, line[end+1:]
		}
		p.value = s
	}
	return p, line[end+1:]
}

// unescape returns the value of a quoted text, in JSON's or Go's escapes.
func unescape(raw string) (string, bool) {
	if s, err := strconv.Unquote(raw); err == nil {
		return s, true
	}
	s := unquote(raw)
	return s, s != raw[1:len(raw)-1]
}
