package elastic

import (
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
)

// Limits of a search.
const (
	window      = 10_000 // from + size
	defaultSize = 10
	exactTotal  = math.MaxInt64
)

// A search is a request for hits and aggregations that was read.
type search struct {
	text    string // the request's body, for the record
	indices *indexSet
	cond    cond // the query
	post    cond // the post_filter, nil if there is none

	from, size int
	order      order
	after      []sortValue
	upTo       uint64 // records of a larger Ord are not seen; 0: all are

	source    sourceFilter
	fields    []fieldSpec
	docvalues []fieldSpec
	highlight *highlighter
	version   bool
	scored    bool // hits show a score: no sort, or one by _score

	track      int64 // count so many exactly; -1: none
	totalAsInt bool
	timeout    time.Duration
	stopAfter  int64 // terminate_after
	aggs       []*agg
	aggQuery   bool // answer aggregations under typed names (typed_keys)

	pit string // id, answered with the hits

	room *room // for hits; nil until it is answered: one of its own
}

// readSearch reads a search from its body and its parameters, which win.
func (d *door) readSearch(body object, v url.Values, set *indexSet, text string) (*search, error) {
	now := d.o.Engine.Now()
	s := &search{text: text, indices: set, size: defaultSize, track: window, totalAsInt: isSet(v, "rest_total_hits_as_int"), aggQuery: isSet(v, "typed_keys")}
	dec := &decoder{now: now}
	body, err := withParams(body, v)
	if err != nil {
		return nil, err
	}
	s.cond = allOf{}
	var after any
	for _, m := range body {
		if m.key == "search_after" {
			after = m.val
			continue
		}
		if err := s.member(dec, m.key, m.val); err != nil {
			return nil, err
		}
	}
	if err := s.finish(dec, after); err != nil {
		return nil, err
	}
	return s, nil
}

// withParams adds the parameters of a URL to a body.
func withParams(body object, v url.Values) (object, error) {
	set := func(key string, val any) {
		for i := range body {
			if body[i].key == key {
				body[i].val = val
				return
			}
		}
		body.put(key, val)
	}
	if q := v.Get("q"); v.Has("q") {
		qs := object{{"query", q}}
		for param, key := range map[string]string{"df": "default_field", "default_operator": "default_operator", "lenient": "lenient"} {
			if v.Has(param) {
				qs.put(key, v.Get(param))
			}
		}
		set("query", object{{"query_string", qs}})
	}
	for _, key := range []string{"from", "size", "terminate_after"} {
		if v.Has(key) {
			set(key, json.Number(v.Get(key)))
		}
	}
	for _, key := range []string{"timeout", "track_total_hits"} {
		if v.Has(key) {
			set(key, v.Get(key))
		}
	}
	for _, key := range []string{"version", "seq_no_primary_term"} {
		if v.Has(key) {
			set(key, isSet(v, key))
		}
	}
	if v.Has("sort") {
		var keys []any
		for k := range strings.SplitSeq(v.Get("sort"), ",") {
			keys = append(keys, k)
		}
		set("sort", keys)
	}
	if src, ok := sourceParams(v); ok {
		set("_source", src)
	}
	for param, key := range map[string]string{"docvalue_fields": "docvalue_fields", "stored_fields": "stored_fields"} {
		if v.Has(param) {
			set(key, names(v.Get(param)))
		}
	}
	return body, nil
}

func names(s string) []any {
	var out []any
	for n := range strings.SplitSeq(s, ",") {
		if n != "" {
			out = append(out, n)
		}
	}
	return out
}

func sourceParams(v url.Values) (any, bool) {
	in, ex := v.Get("_source_includes"), v.Get("_source_excludes")
	if in == "" && ex == "" {
		switch s := v.Get("_source"); s {
		case "":
			return nil, false
		case "true", "false":
			return s == "true", true
		default:
			return names(s), true
		}
	}
	return object{{"includes", names(in)}, {"excludes", names(ex)}}, true
}

// member reads one member of the body.
func (s *search) member(dec *decoder, key string, v any) (err error) {
	switch key {
	case "query":
		s.cond, err = dec.query(v)
	case "post_filter":
		s.post, err = dec.query(v)
	case "from":
		s.from, err = intOf(key, v, 0, window)
	case "size":
		s.size, err = intOf(key, v, 0, math.MaxInt32)
	case "sort":
		s.order.keys, err = readSort(v)
	case "_source":
		s.source, err = readSource(v)
	case "fields":
		s.fields, err = readFields(v)
	case "docvalue_fields":
		s.docvalues, err = readFields(v)
	case "stored_fields":
		for _, f := range list(v) {
			if f == "_none_" || f != "_source" && f != "*" {
				s.source.none = s.source.none || !s.source.asked
			}
		}
	case "highlight":
		s.highlight, err = readHighlight(v)
	case "version", "seq_no_primary_term":
		s.version = s.version || v == true
	case "track_total_hits":
		err = s.trackHits(v)
	case "timeout":
		s.timeout, err = durationOf(key, v)
	case "terminate_after":
		var n int
		n, err = intOf(key, v, 0, math.MaxInt32)
		s.stopAfter = int64(n)
	case "aggs", "aggregations":
		s.aggs, err = readAggs(dec, v, 1)
	case "track_scores", "explain", "profile", "stats", "indices_boost", "min_score", "ext", "rescore":
		// Every record has one score: there is nothing to boost or to explain.
	case "pit":
	case "script_fields", "runtime_mappings":
		if o, ok := v.(object); !ok || len(o) > 0 {
			err = refuse(key, "there are no scripts")
		}
	case "suggest", "collapse", "slice", "knn", "rank", "retriever":
		err = refuse(key, "ask for hits or aggregations instead")
	default:
		err = badf("parsing_exception", "unknown key [%s] in the body", short(key))
	}
	return err
}

func (s *search) trackHits(v any) error {
	switch t, _ := textOf(v); t {
	case "true":
		s.track = exactTotal
	case "false":
		s.track = -1
	default:
		n, err := intOf("track_total_hits", json.Number(t), -1, math.MaxInt32)
		s.track = int64(n)
		return err
	}
	return nil
}

// finish settles what depends on several members.
func (s *search) finish(dec *decoder, after any) error {
	if s.from+s.size > window {
		return badf("illegal_argument_exception", "Result window is too large, from + size must be less than or equal to: [%d] but was [%d]. See the scroll api for a more efficient way to request large data sets.", window, s.from+s.size)
	}
	s.scored = len(s.order.keys) == 0
	for _, k := range s.order.keys {
		s.scored = s.scored || k.kind == byScore
	}
	if len(s.order.keys) == 0 || len(s.order.keys) == 1 && s.order.keys[0].kind == byScore {
		if after == nil {
			s.order = newest()
		}
	}
	if s.highlight != nil {
		s.highlight.words = dec.words
	}
	if after == nil {
		return nil
	}
	vals, ok := after.([]any)
	n := len(s.order.keys)
	switch {
	case !ok:
		return badf("parsing_exception", "[search_after] must be an array")
	case n == 0 && len(vals) == 1: // the implicit order of a point in time
		s.order = order{keys: []sortKey{{kind: byPlace, field: "_shard_doc"}}}
		n = 1
	case n == 0:
		return badf("illegal_argument_exception", "Sort must contain at least one field.")
	case len(vals) == n+1: // the tiebreaker that a point in time adds
		s.order.keys = append(s.order.keys, s.tie())
		n++
	}
	if len(vals) != n {
		return badf("illegal_argument_exception", "search_after has %d value(s) but sort has %d.", len(vals), n)
	}
	if s.from > 0 {
		return badf("action_request_validation_exception", "Validation Failed: 1: `from` parameter must be set to 0 when `search_after` is used;")
	}
	for i := range vals {
		d := &dateReader{now: dec.now, format: s.order.keys[i].format}
		v, err := s.order.keys[i].after(vals[i], d)
		if err != nil {
			return err
		}
		s.after = append(s.after, v)
	}
	return nil
}

// tie is the key that makes an order total, in the direction of the first.
func (s *search) tie() sortKey {
	return sortKey{kind: byPlace, field: "_shard_doc", desc: len(s.order.keys) > 0 && s.order.keys[0].desc}
}

// intOf reads a whole number within bounds.
func intOf(key string, v any, least, most int) (int, error) {
	s, _ := textOf(v)
	n, err := strconv.Atoi(s)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
			return 0, badf("illegal_argument_exception", "[%s] must be a whole number, but is [%s]", key, short(s))
		}
		n = int(f)
	}
	if n < least || n > most {
		return 0, badf("illegal_argument_exception", "[%s] parameter must be from %d to %d, but was [%d]", key, least, most, n)
	}
	return n, nil
}

// durationOf reads Elasticsearch's time values: 500ms, 10s, 1m, 2h, 1d, -1.
func durationOf(key string, v any) (time.Duration, error) {
	s, _ := textOf(v)
	if s == "-1" || s == "0" {
		return 0, nil
	}
	ns, ok := match.ParseDuration(s)
	if !ok {
		n, isInt := wholeText(s)
		if !isInt || n < 0 || n > 1e12 {
			return 0, badf("illegal_argument_exception", "failed to parse setting [%s] with value [%s] as a time value", key, short(s))
		}
		ns = n * int64(time.Millisecond)
	}
	if ns < 0 {
		return 0, badf("illegal_argument_exception", "[%s] is negative", key)
	}
	return time.Duration(ns), nil
}
