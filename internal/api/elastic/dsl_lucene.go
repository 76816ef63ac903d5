package elastic

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
)

// queryString reads query_string and simple_query_string: the language of the
// search bar (spec/search.md), whose defaults Elasticsearch's options change.
func (d *decoder) queryString(body object, kind string) (cond, error) {
	text, ok := textOf(body.get("query"))
	if !ok {
		return nil, badf("parsing_exception", "[%s] must be provided with a [query]", kind)
	}
	if t := strings.TrimSpace(text); t == "*" || t == "*:*" || t == "" {
		return allOf{}, nil
	}
	var fields []string
	names := list(body.get("fields"))
	if f, ok := body.get("default_field").(string); ok && len(names) == 0 {
		names = []any{f}
	}
	for _, v := range names {
		f, _ := v.(string)
		f, _, _ = strings.Cut(f, "^")
		if strings.Contains(f, "*") || f == "" {
			fields = nil
			break
		}
		fields = append(fields, nameOf(f))
	}
	op, _ := body.get("default_operator").(string)
	lenient := body.get("lenient") == true || body.get("lenient") == "true"
	if kind == "simple_query_string" {
		text, lenient = fromSimple(text), true // it never fails
	}
	p, err := query.SearchText(text, fields, strings.EqualFold(op, "and"), lenient)
	if err != nil {
		return nil, badf("query_shard_exception", "Failed to parse query [%s]: %v", short(text), err)
	}
	d.sought(p, fields)
	return fromPredicate(p), nil
}

// fromSimple turns the operators of simple_query_string into Lucene's.
func fromSimple(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			b.WriteByte(c)
			i++
			b.WriteByte(s[i])
		case c == '"':
			quoted = !quoted
			b.WriteByte(c)
		case quoted:
			b.WriteByte(c)
		case c == '|':
			b.WriteString(" OR ")
		case c == '+':
			b.WriteString(" AND ")
		case c == '-' && i > 0 && s[i-1] != ' ' && s[i-1] != '(' && s[i-1] != '|':
			b.WriteString(`\-`)
		case strings.IndexByte(`:/[]{}!^&<>=~?`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	out := strings.TrimSpace(b.String())
	out = strings.TrimPrefix(out, "AND ")
	return strings.TrimSuffix(strings.TrimSuffix(out, " AND"), " OR")
}

// fromPredicate takes a predicate for a cond, and gives the names that
// Elasticsearch has of its own their meaning.
func fromPredicate(p match.Predicate) cond {
	switch p := p.(type) {
	case match.And:
		out := make(allOf, len(p))
		for i := range p {
			out[i] = fromPredicate(p[i])
		}
		return out
	case match.Or:
		out := make(anyOf, len(p))
		for i := range p {
			out[i] = fromPredicate(p[i])
		}
		return out
	case match.Not:
		return noneOf{fromPredicate(p.P)}
	case match.Exists:
		switch p.Field {
		case timeField, indexField, idField:
			return allOf{}
		}
		p.Field = nameOf(p.Field)
		return leaf{p}
	}
	field := match.FieldOf(p)
	if field != indexField && field != idField && nameOf(field) == field {
		return leaf{p}
	}
	return leaf{renamed(p, field)}
}

// renamed gives a leaf another field: that of field.keyword is field.
func renamed(p match.Predicate, field string) match.Predicate {
	name := nameOf(field)
	switch p := p.(type) {
	case match.Eq:
		switch field {
		case indexField:
			return namedIndex(p.Value)
		case idField:
			return match.Eq{Field: givenID, Value: p.Value}
		}
		p.Field = name
		return p
	case match.In:
		p.Field = name
		return p
	case match.Prefix:
		if field == indexField {
			return patternIndex(p.Value + "*")
		}
		p.Field = name
		return p
	case match.Contains:
		p.Field = name
		return p
	case match.Word:
		if field == indexField {
			return namedIndex(p.Value)
		}
		p.Field = name
		return p
	case match.Regex:
		p.Field = name
		return p
	case match.Range:
		p.Field = name
		return p
	case match.CIDR:
		p.Field = name
		return p
	}
	return p
}

// sought notes what a predicate looks for, for highlighting.
func (d *decoder) sought(p match.Predicate, fields []string) {
	const most = 256
	if len(d.words) > most {
		return
	}
	add := func(field, text string, whole bool) {
		if field == match.AnyField {
			field = "*"
		}
		d.words = append(d.words, needle{field, text, whole})
	}
	switch p := p.(type) {
	case match.And:
		for _, q := range p {
			d.sought(q, fields)
		}
	case match.Or:
		for _, q := range p {
			d.sought(q, fields)
		}
	case match.Word:
		add(p.Field, p.Value, false)
	case match.Contains:
		add(p.Field, p.Value, true)
	case match.Eq:
		add(p.Field, p.Value, true)
	case match.Prefix:
		add(p.Field, p.Value, true)
	}
}
