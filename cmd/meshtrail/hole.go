package main

import (
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// A hole is what is missing at the end of a query that is being typed.
type hole struct {
	want  want
	start int    // byte offset of the word that is being typed
	field string // wantValue, wantOp: of which field
	// quote is the quote that a value has begun with; 0: none yet.
	quote byte
	// braces says that the hole is among the matchers in {}.
	braces bool
	// selector is a log query of the matchers that are complete, or "".
	selector string
}

type want uint8

// What may be missing.
const (
	wantNothing  want = iota
	wantStart         // a selector or a function
	wantName          // a field
	wantOp            // a comparison
	wantValue         // a value of a field
	wantStage         // a stage or a field
	wantNext          // another stage, or more matchers
	wantDuration      // in []
	wantField         // a field of the search bar, with a colon
)

// A word is a token of a query as it is typed.
type word struct {
	text     string
	at       int
	kind     byte // i: identifier or number, s: string, o: operator
	unclosed bool // a string without its end
}

const opChars = "=!~<>|"

// words splits a query. It knows just enough of LogQL to find a hole.
func words(q string) []word {
	var out []word
	for i := 0; i < len(q); {
		c, begin := q[i], i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '"' || c == '`':
			i++
			for i < len(q) && q[i] != c {
				if q[i] == '\\' && c == '"' {
					i++
				}
				i++
			}
			closed := i < len(q)
			i = min(i+1, len(q))
			out = append(out, word{q[begin:i], begin, 's', !closed})
			continue
		case identChar(c):
			for i < len(q) && identChar(q[i]) {
				i++
			}
			out = append(out, word{text: q[begin:i], at: begin, kind: 'i'})
			continue
		case strings.IndexByte(opChars, c) >= 0:
			for i < len(q) && strings.IndexByte(opChars, q[i]) >= 0 {
				i++
			}
		default:
			i++
		}
		out = append(out, word{text: q[begin:i], at: begin, kind: 'o'})
	}
	return out
}

func identChar(c byte) bool {
	return c == '_' || c == '.' || c == '/' || c == '@' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

var groupings = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}

// naming are the stages that take names.
var naming = []string{"drop", "keep", "distinct", "label_format", "unwrap"}

// holeOf finds what is missing at the end of a LogQL query.
func holeOf(q string) hole {
	list := words(q)
	h := hole{start: len(q)}
	typed := ""
	if n := len(list); n > 0 {
		last := list[n-1]
		if last.kind == 'i' && last.at+len(last.text) == len(q) || last.unclosed {
			h.start, typed, list = last.at, last.text, list[:n-1]
			if last.unclosed {
				h.quote = typed[0]
			}
		}
	}
	brace, bracket, parens := -1, false, []string{}
	for i, w := range list {
		switch w.text {
		case "{":
			brace = i
		case "}":
			brace = -1
		case "[":
			bracket = true
		case "]":
			bracket = false
		case "(":
			name := ""
			if i > 0 && list[i-1].kind == 'i' {
				name = list[i-1].text
			}
			parens = append(parens, name)
		case ")":
			parens = parens[:max(0, len(parens)-1)]
		}
	}
	prev := func(n int) word {
		if n > len(list) {
			return word{}
		}
		return list[len(list)-n]
	}
	h.braces = brace >= 0
	h.selector = selectorOf(q, list, brace)
	comparing := prev(1).kind == 'o' && slices.Contains([]string{"=", "!=", "=~", "!~", "==", ">", ">=", "<", "<="}, prev(1).text) && prev(2).kind == 'i'
	grouped := len(parens) > 0 && slices.Contains(groupings, parens[len(parens)-1])
	switch {
	case bracket:
		h.want = wantDuration
	case comparing && (h.braces || piped(list)):
		h.want, h.field = wantValue, prev(2).text
	case h.quote != 0:
		h.want = wantNothing // the text of a line filter
	case h.braces || grouped:
		h.want = wantName
		if prev(1).kind == 'i' && h.braces {
			h.want, h.field = wantOp, prev(1).text
		}
		if prev(1).kind == 's' {
			h.want = wantNext
		}
	default:
		h.want, h.field = afterSelector(list, prev)
	}
	return h
}

// afterSelector finds what is missing outside of braces.
func afterSelector(list []word, prev func(int) word) (want, string) {
	last := prev(1)
	switch {
	case last.text == "|":
		return wantStage, ""
	case last.text == "}" || last.kind == 's':
		return wantNext, ""
	case !piped(list):
		if last.kind == 'o' && last.text != ")" && last.text != "]" || len(list) == 0 {
			return wantStart, ""
		}
		return wantNothing, ""
	case slices.Contains(naming, last.text) || last.text == "," || last.text == "and" || last.text == "or" || last.text == "(":
		return wantName, ""
	case last.kind == 'i' && (prev(2).text == "|" || prev(2).text == "and" || prev(2).text == "or" || prev(2).text == ","):
		if slices.Contains(stages, last.text) {
			return wantNext, ""
		}
		return wantOp, last.text
	case last.kind == 'i':
		return wantNext, ""
	}
	return wantNothing, ""
}

// piped reports whether the end is in the pipeline of a selector.
func piped(list []word) bool {
	for _, w := range slices.Backward(list) {
		switch w.text {
		case "}":
			return true
		case "{", "[", "]":
			return false
		}
	}
	return false
}

// selectorOf returns a log query of what is selected so far: of the braces that
// are open, the matchers that are complete, else the last braces.
func selectorOf(q string, list []word, open int) string {
	text := ""
	if open >= 0 {
		end := list[open].at + 1
		for _, w := range list[open+1:] {
			if w.kind == 's' {
				end = w.at + len(w.text)
			}
		}
		text = q[list[open].at:end] + "}"
	} else {
		begin, end := -1, -1
		for _, w := range list {
			switch w.text {
			case "{":
				begin = w.at
			case "}":
				end = w.at + 1
			}
		}
		if begin < 0 || end < begin {
			return ""
		}
		text = q[begin:end]
	}
	if _, err := logql.ParseLog(text); err != nil {
		return ""
	}
	return text
}

// searchHole finds what is missing at the end of a query of the search bar.
func searchHole(q string) hole {
	start := strings.LastIndexAny(q, " \t\n()") + 1
	w := strings.TrimLeft(q[start:], "-+!")
	start = len(q) - len(w)
	name, value, colon := strings.Cut(w, ":")
	if !colon {
		return hole{want: wantField, start: start}
	}
	value = strings.TrimLeft(value, "<>=")
	h := hole{want: wantValue, start: len(q) - len(value), field: name}
	if strings.HasPrefix(value, `"`) {
		h.quote = '"'
	}
	return h
}
