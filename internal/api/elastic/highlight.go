package elastic

import (
	"sort"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A highlighter marks in a hit's fields what the query looked for. It is simple:
// it marks every word of the query in every field that the query asked about, and
// knows nothing of operators.
type highlighter struct {
	fields []string // patterns
	pre    string
	post   string
	// anyField marks words in fields that they were not sought in
	// (require_field_match: false).
	anyField bool
	size     int // characters of a fragment; 0: the whole value
	count    int // fragments of a field; 0: the whole value
	words    []needle
}

const maxTag = 100

func readHighlight(v any) (*highlighter, error) {
	o, ok := v.(object)
	if !ok {
		return nil, badf("parsing_exception", "[highlight] must be an object")
	}
	h := &highlighter{pre: "<em>", post: "</em>", size: 100, count: 5}
	tag := func(v any, to *string) {
		if tags := list(v); len(tags) > 0 {
			*to, _ = tags[0].(string)
		}
	}
	tag(o.get("pre_tags"), &h.pre)
	tag(o.get("post_tags"), &h.post)
	if len(h.pre) > maxTag || len(h.post) > maxTag {
		return nil, badf("illegal_argument_exception", "a tag is longer than %d bytes", maxTag)
	}
	h.anyField = o.get("require_field_match") == false
	var err error
	if o.has("fragment_size") {
		if h.size, err = intOf("fragment_size", o.get("fragment_size"), 0, 1<<31-1); err != nil {
			return nil, err
		}
	}
	if o.has("number_of_fragments") {
		if h.count, err = intOf("number_of_fragments", o.get("number_of_fragments"), 0, 1<<20); err != nil {
			return nil, err
		}
	}
	add := func(fields object) {
		for _, m := range fields {
			h.fields = append(h.fields, m.key)
		}
	}
	for _, f := range list(o.get("fields")) {
		fields, ok := f.(object)
		if !ok {
			return nil, badf("parsing_exception", "[highlight] fields must be objects")
		}
		add(fields)
	}
	if len(h.fields) > maxPatterns {
		return nil, badf("illegal_argument_exception", "[highlight] has more than %d fields", maxPatterns)
	}
	return h, nil
}

// What is looked at for marks is bounded: the text, and what is sought in it.
const (
	maxMarked = 64 << 10
	maxMarks  = 64
)

// of returns the marked fields of a record.
func (h *highlighter) of(r *record.Record) object {
	var o object
	for i := range r.Fields {
		f := &r.Fields[i]
		name := shownName(f.Name)
		if f.Value.Kind != record.String || hidden(f.Name) || len(f.Value.Str) > maxMarked || !namedBy(h.fields, name) && !namedBy(h.fields, name+".keyword") {
			continue
		}
		if frags := h.mark(f.Value.Str, h.wordsFor(f.Name, name)); len(frags) > 0 {
			o.put(name, frags)
		}
	}
	return o
}

// wordsFor returns what was sought in a field.
func (h *highlighter) wordsFor(stored, shown string) []needle {
	var out []needle
	for _, w := range h.words {
		if len(out) == maxMarks {
			break
		}
		field := strings.TrimSuffix(w.field, ".keyword")
		if h.anyField || field == "" || field == "*" || field == match.Line || field == stored || field == shown {
			out = append(out, w)
		}
	}
	return out
}

// mark returns the fragments of a text with its marks, none if it has none.
func (h *highlighter) mark(s string, words []needle) []any {
	type mark struct{ from, to int }
	var marks []mark
	low := lowerASCII(s)
	for _, w := range words {
		text := lowerASCII(w.text)
		if text == "" {
			continue
		}
		for from := 0; len(marks) < 1000; {
			i := strings.Index(low[from:], text)
			if i < 0 {
				break
			}
			i += from
			end := i + len(text)
			if (i == 0 || !match.IsWord(s[i-1]) || !match.IsWord(text[0])) && (end == len(s) || !match.IsWord(s[end]) || !match.IsWord(text[len(text)-1])) {
				marks = append(marks, mark{i, end})
			}
			from = end
		}
	}
	if len(marks) == 0 {
		return nil
	}
	sort.Slice(marks, func(i, j int) bool { return marks[i].from < marks[j].from })
	if h.count == 0 || h.size == 0 || h.size >= len(s) {
		var b strings.Builder
		at := 0
		for _, m := range marks {
			if m.from < at {
				continue
			}
			b.WriteString(s[at:m.from] + h.pre + s[m.from:m.to] + h.post)
			at = m.to
		}
		b.WriteString(s[at:])
		return []any{b.String()}
	}
	var out []any
	for i := 0; i < len(marks) && len(out) < h.count; {
		from := max(0, marks[i].from-h.size/2)
		to := min(len(s), from+h.size)
		for from > 0 && s[from]&0xc0 == 0x80 {
			from--
		}
		for to < len(s) && s[to]&0xc0 == 0x80 {
			to++
		}
		to = max(to, marks[i].to)
		var b strings.Builder
		at := from
		for ; i < len(marks) && marks[i].to <= to; i++ {
			if marks[i].from >= at {
				b.WriteString(s[at:marks[i].from] + h.pre + s[marks[i].from:marks[i].to] + h.post)
				at = marks[i].to
			}
		}
		b.WriteString(s[at:to])
		out = append(out, b.String())
	}
	return out
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
