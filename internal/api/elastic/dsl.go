package elastic

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
)

// A decoder turns a query of Elasticsearch's language into a cond.
type decoder struct {
	now    time.Time
	leaves int
	aggs   int
	// words are what a query looks for in a field, for highlighting: by the name
	// that was asked, "" for every field.
	words []needle
}

// A needle is a text that a query looked for.
type needle struct {
	field  string // "" or "*": any
	text   string
	phrase bool
}

// Limits of a query.
const (
	maxLeaves  = 4096
	maxTerms   = 65_536
	maxPattern = 1000 // characters of a wildcard or regular expression, as in Elasticsearch
)

type queryFunc func(d *decoder, body object, name string) (cond, error)

// refusedQueries are those that are known and not supported, with the reason.
var refusedQueries = map[string]string{
	"nested": "records are flat", "has_child": "records are flat", "has_parent": "records are flat", "parent_id": "records are flat",
	"script": "there are no scripts", "script_score": "there are no scripts", "terms_set": "there are no scripts",
	"geo_bounding_box": "there are no places", "geo_distance": "there are no places", "geo_polygon": "there are no places",
	"geo_shape": "there are no places", "geo_grid": "there are no places", "shape": "there are no places",
	"more_like_this": "records are not scored", "distance_feature": "records are not scored", "rank_feature": "records are not scored",
	"percolate": "queries are not stored", "fuzzy": "words match exactly", "knn": "there are no vectors", "sparse_vector": "there are no vectors",
	"text_expansion": "there are no vectors", "semantic": "there are no vectors", "intervals": "words have no places; use match_phrase",
	"span_term": "words have no places; use match_phrase", "span_near": "words have no places; use match_phrase",
	"combined_fields": "use multi_match", "pinned": "records are not scored", "wrapper": "send the query itself",
}

// query reads {"kind": {…}}. An empty or absent query is every record.
func (d *decoder) query(v any) (cond, error) {
	o, ok := v.(object)
	if !ok {
		if v == nil {
			return allOf{}, nil
		}
		return nil, badf("parsing_exception", "[_na] query malformed, must start with start_object")
	}
	if len(o) == 0 {
		return allOf{}, nil
	}
	if len(o) > 1 {
		return nil, badf("parsing_exception", "[%s] malformed query, expected [END_OBJECT] but found [FIELD_NAME]", short(o[0].key))
	}
	name := o[0].key
	f := queryKind(name)
	if f == nil {
		if why, ok := refusedQueries[name]; ok {
			return nil, refuse(name, why)
		}
		return nil, badf("parsing_exception", "unknown query [%s]", short(name))
	}
	body, ok := o[0].val.(object)
	if !ok {
		return nil, badf("parsing_exception", "[%s] query malformed, no start_object after query name", short(name))
	}
	if d.leaves++; d.leaves > maxLeaves {
		return nil, badf("too_many_clauses", "the query has more than %d clauses", maxLeaves)
	}
	return f(d, body, name)
}

// queryKind is a switch and not a map of functions, which would have to be made
// at start: the functions refer to it.
func queryKind(name string) queryFunc {
	switch name {
	case "match_all":
		return func(*decoder, object, string) (cond, error) { return allOf{}, nil }
	case "match_none":
		return func(*decoder, object, string) (cond, error) { return nothing, nil }
	case "bool":
		return (*decoder).boolean
	case "constant_score":
		return inner("filter")
	case "boosting":
		return inner("positive")
	case "function_score":
		return inner("query")
	case "dis_max":
		return (*decoder).disMax
	case "term":
		return (*decoder).term
	case "terms":
		return (*decoder).terms
	case "match", "match_phrase", "match_phrase_prefix", "match_bool_prefix":
		return (*decoder).match
	case "multi_match":
		return (*decoder).multiMatch
	case "range":
		return (*decoder).ranges
	case "prefix", "wildcard", "regexp":
		return (*decoder).pattern
	case "exists":
		return (*decoder).exists
	case "ids":
		return (*decoder).ids
	case "query_string", "simple_query_string":
		return (*decoder).queryString
	}
	return nil
}

// inner is a query that is another one and a score.
func inner(key string) queryFunc {
	return func(d *decoder, body object, name string) (cond, error) {
		if !body.has(key) && key != "query" {
			return nil, badf("parsing_exception", "[%s] requires a [%s] element", name, key)
		}
		return d.query(body.get(key))
	}
}

func (d *decoder) disMax(body object, _ string) (cond, error) {
	parts, err := d.list(body.get("queries"))
	return anyOf(parts), err
}

// list reads one query or a list of them.
func (d *decoder) list(v any) ([]cond, error) {
	var out []cond
	for _, q := range list(v) {
		c, err := d.query(q)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (d *decoder) boolean(body object, _ string) (cond, error) {
	var all allOf
	var should []cond
	must := false
	var minimum any
	for _, m := range body {
		switch m.key {
		case "must", "filter":
			parts, err := d.list(m.val)
			if err != nil {
				return nil, err
			}
			must = must || len(parts) > 0
			all = append(all, parts...)
		case "must_not":
			words := len(d.words) // what must not be there is not highlighted
			parts, err := d.list(m.val)
			if err != nil {
				return nil, err
			}
			d.words = d.words[:words]
			for _, p := range parts {
				all = append(all, noneOf{p})
			}
		case "should":
			parts, err := d.list(m.val)
			if err != nil {
				return nil, err
			}
			should = parts
		case "minimum_should_match":
			minimum = m.val
		case "boost", "_name", "adjust_pure_negative":
		default:
			return nil, badf("parsing_exception", "[bool] query does not support [%s]", short(m.key))
		}
	}
	if len(should) == 0 {
		return all, nil
	}
	least := 1
	if must {
		least = 0
	}
	if minimum != nil {
		var err error
		if least, err = minimumOf(minimum, len(should)); err != nil {
			return nil, err
		}
	}
	c, err := atLeast(least, should)
	if err != nil {
		return nil, err
	}
	return append(all, c), nil
}

// minimumOf reads a minimum_should_match of n clauses: 2, -1, "75%", "2<75%".
func minimumOf(v any, n int) (int, error) {
	s, ok := textOf(v)
	bad := badf("parsing_exception", "minimum_should_match [%s] can not be read", short(s))
	if !ok {
		return 0, bad
	}
	s = strings.TrimSpace(s)
	if strings.Contains(s, "<") {
		out := n
		for _, part := range strings.Fields(s) {
			above, then, ok := strings.Cut(part, "<")
			k, okK := wholeText(above)
			if !ok || !okK {
				return 0, bad
			}
			if int64(n) <= k {
				return out, nil
			}
			var err error
			if out, err = minimumOf(then, n); err != nil {
				return 0, err
			}
		}
		return out, nil
	}
	percent := strings.HasSuffix(s, "%")
	k, ok := wholeText(strings.TrimSuffix(s, "%"))
	if !ok || k > 1e6 || k < -1e6 {
		return 0, bad
	}
	if percent {
		k = k * int64(n) / 100
	}
	if k < 0 {
		k += int64(n)
	}
	return int(max(0, k)), nil
}

func wholeText(s string) (int64, bool) {
	i, _, isInt, ok := match.ParseNumber(s)
	return i, ok && isInt
}

// maxCombined bounds what "at least k of n" is spelled out into.
const maxCombined = 2000

// atLeast holds when at least k of the parts do.
func atLeast(k int, parts []cond) (cond, error) {
	switch {
	case k <= 0:
		return allOf{}, nil
	case k == 1:
		return anyOf(parts), nil
	case k == len(parts):
		return allOf(parts), nil
	case k > len(parts):
		return nothing, nil
	}
	left := maxCombined
	c, ok := choose(k, parts, &left)
	if !ok {
		return nil, refuse("minimum_should_match", "there are too many ways to take so many of so many clauses")
	}
	return c, nil
}

func choose(k int, parts []cond, left *int) (cond, bool) {
	if *left--; *left < 0 {
		return nil, false
	}
	switch {
	case k == 0:
		return allOf{}, true
	case k == 1:
		return anyOf(parts), true
	case k == len(parts):
		return allOf(parts), true
	case k > len(parts):
		return nothing, true
	}
	with, ok := choose(k-1, parts[1:], left)
	if !ok {
		return nil, false
	}
	without, ok := choose(k, parts[1:], left)
	return anyOf{allOf{parts[0], with}, without}, ok
}

// one reads {"field": value} or {"field": {"value": value, …}}; options that only
// weigh are passed over.
func one(body object, kind string, keys ...string) (field string, val any, options object, err error) {
	for _, m := range body {
		if m.key == "boost" || m.key == "_name" {
			continue
		}
		if field != "" {
			return "", nil, nil, badf("parsing_exception", "[%s] query doesn't support multiple fields, found [%s] and [%s]", kind, short(field), short(m.key))
		}
		field, val = m.key, m.val
	}
	if field == "" {
		return "", nil, nil, badf("illegal_argument_exception", "field name is null or empty")
	}
	if o, ok := val.(object); ok {
		options = o
		for _, k := range keys {
			if o.has(k) {
				return field, o.get(k), o, nil
			}
		}
		return "", nil, nil, badf("parsing_exception", "[%s] query of [%s] has no value", kind, short(field))
	}
	return field, val, nil, nil
}

// The names of fields that are no columns.
const (
	timeField  = "@timestamp"
	indexField = "_index"
	idField    = "_id"
)

// nameOf returns the name by which the store knows a field. Elasticsearch keeps a
// text a second time as field.keyword; here a field is both.
func nameOf(field string) string {
	field = strings.TrimSuffix(field, ".keyword")
	switch field {
	case "class":
		return match.Class
	case "*", "_all":
		return match.AnyField
	}
	return field
}

func (d *decoder) term(body object, _ string) (cond, error) {
	field, val, options, err := one(body, "term", "value", "term")
	if err != nil {
		return nil, err
	}
	return d.equal(field, val, options.get("case_insensitive") == true)
}

// equal holds for records whose field has exactly this value.
func (d *decoder) equal(field string, val any, fold bool) (cond, error) {
	text, ok := textOf(val)
	if !ok {
		return nil, badf("parsing_exception", "[term] query of [%s] has a value that is no scalar", short(field))
	}
	switch field {
	case timeField:
		r := dateReader{now: d.now}
		m, err := r.read(text)
		return during(m), err
	case indexField:
		return leaf{namedIndex(text)}, nil
	case idField:
		return idCond([]string{text}), nil
	}
	name := nameOf(field)
	d.words = append(d.words, needle{field: field, text: text, phrase: true})
	if n, isNumber := val.(json.Number); isNumber {
		if b, ok := number(n.String()); ok {
			return leaf{match.Range{Field: name, Min: b, Max: b}}, nil
		}
	}
	if fold {
		return folded(name, "^"+anyCase(text)+"$")
	}
	return leaf{match.Eq{Field: name, Value: text}}, nil
}

func (d *decoder) terms(body object, _ string) (cond, error) {
	field, val, _, err := one(body, "terms", "value")
	if err != nil {
		if o, ok := val.(object); ok && o.has("index") {
			return nil, refuse("terms lookup", "documents hold no lists")
		}
		return nil, err
	}
	values, ok := val.([]any)
	if !ok {
		return nil, badf("parsing_exception", "[terms] query requires a list of values for [%s]", short(field))
	}
	if len(values) > maxTerms {
		return nil, badf("illegal_argument_exception", "The number of terms [%d] used in the Terms Query request has exceeded the allowed maximum of [%d]", len(values), maxTerms)
	}
	in := match.In{Field: nameOf(field)}
	var any anyOf
	for _, v := range values {
		text, isText := v.(string)
		if isText && field != timeField && field != indexField && field != idField {
			d.words = append(d.words, needle{field: field, text: text, phrase: true})
			in.Values = append(in.Values, text)
			continue
		}
		if d.leaves++; d.leaves > maxLeaves {
			return nil, badf("too_many_clauses", "the query has more than %d clauses", maxLeaves)
		}
		c, err := d.equal(field, v, false)
		if err != nil {
			return nil, err
		}
		any = append(any, c)
	}
	if len(in.Values) > 0 {
		any = append(any, leaf{in})
	}
	return any, nil
}

func (d *decoder) exists(body object, _ string) (cond, error) {
	field, _ := body.get("field").(string)
	switch field {
	case "":
		return nil, badf("illegal_argument_exception", "[exists] must be provided with a [field]")
	case timeField, indexField, idField, "_source", "*":
		return allOf{}, nil
	}
	return leaf{match.Exists{Field: nameOf(field)}}, nil
}

func (d *decoder) ids(body object, _ string) (cond, error) {
	var ids []string
	for _, v := range list(body.get("values")) {
		s, ok := textOf(v)
		if !ok {
			return nil, badf("parsing_exception", "Illegal value for id, expecting a string or number")
		}
		ids = append(ids, s)
	}
	if len(ids) > 1000 {
		return nil, badf("illegal_argument_exception", "[ids] has %d values, limit 1000", len(ids))
	}
	return idCond(ids), nil
}

// idCond holds for the records that have one of the ids: the server's, or the one
// that a bulk request gave.
func idCond(ids []string) cond {
	var own among
	given := match.In{Field: givenID}
	for _, s := range ids {
		if d, ok := parseIdentity(s); ok {
			own = append(own, d)
		}
		if s != "" {
			given.Values = append(given.Values, s)
		}
	}
	return anyOf{own, leaf{given}}
}
