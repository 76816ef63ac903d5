package elastic

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// wordsOf splits a text as the words of a field are told apart: at everything
// that is no letter, digit or underscore.
func wordsOf(s string) []string {
	var out []string
	start := -1
	for i := 0; i <= len(s); i++ {
		if i < len(s) && match.IsWord(s[i]) {
			if start < 0 {
				start = i
			}
		} else if start >= 0 {
			out = append(out, s[start:i])
			start = -1
		}
	}
	return out
}

func (d *decoder) match(body object, kind string) (cond, error) {
	field, val, options, err := one(body, kind, "query")
	if err != nil {
		return nil, err
	}
	return d.matchField(field, val, kind, options)
}

// matchField looks for the words of a text in a field, in either case of letters.
func (d *decoder) matchField(field string, val any, kind string, options object) (cond, error) {
	for _, m := range options {
		switch m.key {
		case "fuzziness":
			if s, _ := textOf(m.val); s != "0" && s != "" {
				return nil, refuse("fuzziness", "words match exactly")
			}
		case "slop":
			if s, _ := textOf(m.val); s != "0" && s != "" {
				return nil, refuse("slop", "a phrase matches word by word")
			}
		}
	}
	if _, isText := val.(string); !isText || field == timeField || field == indexField || field == idField {
		return d.equal(field, val, false)
	}
	text := val.(string)
	words := wordsOf(text)
	if len(words) == 0 {
		if options.get("zero_terms_query") == "all" {
			return allOf{}, nil
		}
		return nothing, nil
	}
	if d.leaves += len(words); d.leaves > maxLeaves {
		return nil, badf("too_many_clauses", "the query has more than %d clauses", maxLeaves)
	}
	name := nameOf(field)
	switch kind {
	case "match_phrase", "phrase":
		d.words = append(d.words, needle{field, text, true})
		return phrase(name, words, false)
	case "match_phrase_prefix", "phrase_prefix":
		d.words = append(d.words, needle{field, text, true})
		return phrase(name, words, true)
	}
	var parts []cond
	for i, w := range words {
		d.words = append(d.words, needle{field, w, false})
		if (kind == "match_bool_prefix" || kind == "bool_prefix") && i == len(words)-1 {
			c, err := phrase(name, words[i:], true)
			if err != nil {
				return nil, err
			}
			parts = append(parts, c)
			continue
		}
		parts = append(parts, leaf{match.Word{Field: name, Value: w, Fold: true}})
	}
	if op, _ := options.get("operator").(string); strings.EqualFold(op, "and") {
		return allOf(parts), nil
	}
	least := 1
	if m := options.get("minimum_should_match"); m != nil {
		var err error
		if least, err = minimumOf(m, len(parts)); err != nil {
			return nil, err
		}
	}
	return atLeast(least, parts)
}

func (d *decoder) multiMatch(body object, _ string) (cond, error) {
	text := body.get("query")
	if text == nil {
		return nil, badf("illegal_argument_exception", "[multi_match] requires query value")
	}
	kind, _ := body.get("type").(string)
	switch kind {
	case "", "best_fields", "most_fields", "cross_fields", "phrase", "phrase_prefix", "bool_prefix":
	default:
		return nil, badf("parsing_exception", "[multi_match] has no type [%s]", short(kind))
	}
	fields := list(body.get("fields"))
	if len(fields) == 0 {
		fields = []any{"*"}
	}
	if len(fields) > 100 {
		return nil, badf("illegal_argument_exception", "[multi_match] has %d fields, limit 100", len(fields))
	}
	var any anyOf
	for _, f := range fields {
		name, _ := f.(string)
		name, _, _ = strings.Cut(name, "^")
		if strings.Contains(name, "*") {
			name = "*"
		}
		if name == "" {
			return nil, badf("parsing_exception", "[multi_match] has a field without a name")
		}
		c, err := d.matchField(name, text, kind, body)
		if err != nil {
			return nil, err
		}
		any = append(any, c)
	}
	return any, nil
}

// gap is what stands between two words.
const gap = `[^0-9A-Za-z_\x{80}-\x{10FFFF}]`

// phrase holds when the words follow each other, whatever stands between them;
// with open, the last one may go on.
func phrase(name string, words []string, open bool) (cond, error) {
	if len(words) == 1 && !open {
		return leaf{match.Word{Field: name, Value: words[0], Fold: true}}, nil
	}
	var src strings.Builder
	src.WriteString(`(?:^|` + gap + `)`)
	var and match.And
	for i, w := range words {
		if i > 0 {
			src.WriteString(gap + "+")
		}
		src.WriteString(anyCase(w))
		// The store's index knows whole words.
		if i == len(words)-1 && open {
			and = append(and, match.Contains{Field: name, Value: w, Fold: true})
		} else {
			and = append(and, match.Word{Field: name, Value: w, Fold: true})
		}
	}
	if !open {
		src.WriteString(`(?:$|` + gap + `)`)
	}
	re, err := compile(src.String())
	if err != nil {
		return nil, err
	}
	return leaf{append(and, match.Regex{Field: name, Re: re})}, nil
}

// anyCase is an expression for a text in either case of its ASCII letters.
func anyCase(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(foldRune(r))
	}
	return b.String()
}

func foldRune(r rune) string {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return "[" + string(r|0x20) + string(r&^0x20) + "]"
	}
	return quoteRune(r)
}

func quoteRune(r rune) string {
	if r < utf8.RuneSelf && !match.IsWord(byte(r)) {
		return `\` + "x{" + hexOf(r) + "}"
	}
	return string(r)
}

func hexOf(r rune) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[r>>4&15], digits[r&15]})
}

// compile compiles an expression, with the error that Elasticsearch has for it.
func compile(src string) (*match.Regexp, error) {
	re, err := match.CompileRegexp(src)
	if err != nil {
		return nil, badf("illegal_argument_exception", "%s", fault.Wrap(fault.Invalid, err).Error())
	}
	return re, nil
}

func folded(name, src string) (cond, error) {
	re, err := compile(src)
	return leaf{match.Regex{Field: name, Re: re}}, err
}

// pattern reads prefix, wildcard and regexp, which all match a whole value.
func (d *decoder) pattern(body object, kind string) (cond, error) {
	field, val, options, err := one(body, kind, "value", "wildcard", "prefix", "regexp")
	if err != nil {
		return nil, err
	}
	text, ok := textOf(val)
	if !ok {
		return nil, badf("parsing_exception", "[%s] query of [%s] has a value that is no text", kind, short(field))
	}
	if len(text) > maxPattern {
		return nil, badf("illegal_argument_exception", "The length of pattern [%d] used in the %s query has exceeded the allowed maximum of [%d]", len(text), kind, maxPattern)
	}
	fold := options.get("case_insensitive") == true
	name := nameOf(field)
	if field == indexField {
		return leaf{patternIndex(map[string]string{"prefix": text + "*", "wildcard": text}[kind])}, nil
	}
	if w := wordsOf(text); kind != "regexp" && len(w) > 0 {
		d.words = append(d.words, needle{field, w[0], false})
	}
	var src string
	switch kind {
	case "prefix":
		if !fold {
			return leaf{match.Prefix{Field: name, Value: text}}, nil
		}
		return folded(name, "^"+anyCase(text))
	case "wildcard":
		src = globSource(text, fold)
	case "regexp":
		if src, err = luceneRegexp(text, fold); err != nil {
			return nil, err
		}
	}
	p, err := match.Anchored(name, src)
	if err != nil {
		return nil, badf("illegal_argument_exception", "%v", err)
	}
	if match.HoldsEmpty(p) { // an absent field matches nothing
		p = match.And{match.Exists{Field: name}, p}
	}
	return leaf{p}, nil
}

// globSource turns a wildcard pattern into an expression.
func globSource(s string, fold bool) string {
	var b strings.Builder
	escaped := false
	for _, r := range s {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '*':
			b.WriteString(".*")
		case !escaped && r == '?':
			b.WriteString(".")
		case fold:
			b.WriteString(foldRune(r))
		default:
			b.WriteString(quoteRune(r))
		}
		escaped = false
	}
	return b.String()
}

// luceneRegexp turns an expression of Lucene's, which always matches the whole
// value, into one of RE2. Operators that only Lucene has are refused.
func luceneRegexp(s string, fold bool) (string, error) {
	var b strings.Builder
	if fold {
		b.WriteString("(?i)")
	}
	class := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			if strings.IndexByte(`dDwWsS`, s[i]) >= 0 || s[i] >= utf8.RuneSelf {
				b.WriteByte('\\')
				b.WriteByte(s[i])
			} else {
				b.WriteString(quoteRune(rune(s[i])))
			}
			continue
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '^' || c == '$':
			b.WriteByte('\\')
		case strings.IndexByte(`~&<>@#"`, c) >= 0:
			return "", refuse("regexp operator "+string(c), "write it with a backslash to mean the character")
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// ranges reads a range of times or of numbers.
func (d *decoder) ranges(body object, _ string) (cond, error) {
	field, _, options, err := one(body, "range", "gte", "gt", "lte", "lt", "from", "to")
	if err != nil {
		return nil, err
	}
	bounds := rangeBounds{options: options}
	for _, m := range options {
		switch m.key {
		case "gte", "from":
			bounds.low, bounds.lowIn = m.val, m.key == "gte" || options.get("include_lower") != false
		case "gt":
			bounds.low, bounds.lowIn = m.val, false
		case "lte", "to":
			bounds.high, bounds.highIn = m.val, m.key == "lte" || options.get("include_upper") != false
		case "lt":
			bounds.high, bounds.highIn = m.val, false
		case "format", "time_zone", "boost", "relation", "include_lower", "include_upper", "_name":
		default:
			return nil, badf("parsing_exception", "[range] query does not support [%s]", short(m.key))
		}
	}
	if field == timeField {
		return bounds.times(d)
	}
	return bounds.numbers(field)
}

type rangeBounds struct {
	options       object
	low, high     any
	lowIn, highIn bool
}

// times is a range of @timestamp. Bounds that name more than an instant (a day, a
// rounded expression) count whole, as in Elasticsearch.
func (r *rangeBounds) times(d *decoder) (cond, error) {
	format, _ := r.options.get("format").(string)
	zone, err := zoneOf(r.options.get("time_zone"))
	if err != nil {
		return nil, err
	}
	read := dateReader{now: d.now, zone: zone, format: format}
	out := during{minTime, maxTime}
	if r.low != nil {
		m, err := read.value(r.low)
		if err != nil {
			return nil, err
		}
		if out.from = m.from; !r.lowIn {
			out.from = m.to
		}
	}
	if r.high != nil {
		m, err := read.value(r.high)
		if err != nil {
			return nil, err
		}
		if out.to = m.from; r.highIn {
			out.to = m.to
		}
	}
	if out.to <= out.from {
		return nothing, nil
	}
	return out, nil
}

func (d *dateReader) value(v any) (moment, error) {
	s, ok := textOf(v)
	if !ok {
		return moment{}, badf("parse_exception", "a date must be text or a number")
	}
	if _, isNumber := v.(json.Number); isNumber && !strings.Contains(d.format, "epoch") {
		// A bare number is milliseconds whatever the format says of texts.
		plain := *d
		plain.format = "epoch_millis"
		return plain.read(s)
	}
	return d.read(s)
}

func (r *rangeBounds) numbers(field string) (cond, error) {
	p := match.Range{Field: nameOf(field)}
	bound := func(v any, inclusive bool) (match.Bound, error) {
		if v == nil {
			return match.Bound{}, nil
		}
		text, _ := textOf(v)
		b, ok := number(text)
		if !ok {
			ns, isDuration := match.ParseDuration(text)
			if !isDuration {
				return b, refuse("range of ["+short(field)+"] from or to ["+short(text)+"]", "only numbers, durations (250ms) and @timestamp have an order")
			}
			p.Unit = match.Duration
			b = match.IntBound(ns, true)
		}
		b.Inclusive = inclusive
		return b, nil
	}
	var err error
	if p.Min, err = bound(r.low, r.lowIn); err != nil {
		return nil, err
	}
	if p.Max, err = bound(r.high, r.highIn); err != nil {
		return nil, err
	}
	if r.low == nil && r.high == nil {
		return leaf{match.Exists{Field: p.Field}}, nil
	}
	return leaf{p}, nil
}
