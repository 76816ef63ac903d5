package elastic

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// search answers _search.
func (c *call) search() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	set, err := c.indices()
	if err != nil {
		return nil, err
	}
	if c.v.Has("scroll") {
		return c.beginScroll(body, set)
	}
	r, err := c.run(body, c.v, set, c.body, c.start)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// run reads and answers one search.
func (c *call) run(body object, v url.Values, set *indexSet, text []byte, start time.Time) (object, error) {
	s, err := c.read(body, v, set, text)
	if err != nil {
		return nil, err
	}
	s.room = &c.room
	r, err := c.d.answer(c.r.Context(), c.scope, s, c.r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	return r.body(time.Since(start)), r.watch.Err()
}

// read reads a search, in a point in time if it names one.
func (c *call) read(body object, v url.Values, set *indexSet, text []byte) (*search, error) {
	pit, ok := body.get("pit").(object)
	if !ok {
		return c.d.readSearch(body, v, set, string(text))
	}
	if len(set.items) > 0 {
		return nil, badf("action_request_validation_exception", "Validation Failed: 1: [indices] cannot be used with point in time. Do not specify any index with point in time.;")
	}
	id, _ := pit.get("id").(string)
	keep, err := keepAlive(pit.get("keep_alive"), 0)
	if err != nil {
		return nil, err
	}
	p, err := c.d.contexts.find(c.scope, id, keep, c.d.o.Engine.Now())
	if err != nil {
		return nil, err
	}
	s, err := c.d.readSearch(body, v, p.indices, string(text))
	if err != nil {
		return nil, err
	}
	s.upTo, s.pit = p.upTo, id
	switch n := len(s.order.keys); {
	case s.order.byDefault:
		s.order, s.scored = order{keys: []sortKey{{kind: byPlace, field: "_shard_doc"}}}, false
	case s.order.keys[n-1].kind != byPlace:
		s.order.keys = append(s.order.keys, s.tie())
	}
	return s, nil
}

// maxSearches bounds the searches of one msearch.
const maxSearches = 1000

// msearch answers _msearch: pairs of lines.
func (c *call) msearch() (any, error) {
	var responses []any
	limit := c.d.o.Engine.Limits().Timeout // of all of them together
	ctx, cancel := context.WithTimeout(c.r.Context(), limit)
	defer cancel()
	c.r = c.r.WithContext(ctx)
	rest := c.body
	for n := 0; len(rest) > 0; n++ {
		var head, line []byte
		head, rest = nextLine(rest)
		if n > 0 && len(head) == 0 && len(bytes.TrimSpace(rest)) == 0 {
			break
		}
		line, rest = nextLine(rest)
		if n == maxSearches {
			return nil, badf("illegal_argument_exception", "the request has more than %d searches", maxSearches)
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, tooMany("circuit_breaking_exception", "the searches of this request took longer than %s; send fewer at once", limit)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		start := time.Now()
		o, err := c.oneSearch(head, line, start)
		if err != nil {
			p := problemOf(err)
			responses = append(responses, p.body())
			continue
		}
		o.put("status", 200)
		responses = append(responses, o)
	}
	if len(responses) == 0 {
		return nil, badf("action_request_validation_exception", "Validation Failed: 1: no requests added;")
	}
	return object{{"took", time.Since(c.start).Milliseconds()}, {"responses", responses}}, nil
}

func (c *call) oneSearch(head, line []byte, start time.Time) (object, error) {
	h, err := parse(head)
	if err != nil {
		return nil, err
	}
	var expr []string
	for _, key := range []string{"index", "indices"} {
		for _, v := range list(h.get(key)) {
			s, ok := textOf(v)
			if !ok {
				return nil, badf("parsing_exception", "index must be a name or a list of them")
			}
			expr = append(expr, s)
		}
	}
	if expr == nil {
		expr = []string{c.r.PathValue("index")}
	}
	o := optionsOf(c.v)
	if v := h.get("ignore_unavailable"); v != nil {
		o.ignoreUnavailable = v == true || v == "true"
	}
	if v := h.get("allow_no_indices"); v != nil {
		o.forbidNone = v == false || v == "false"
	}
	set, err := readIndices(expr, c.d.o.Engine.Now(), o)
	if err != nil {
		return nil, err
	}
	body, err := parse(line)
	if err != nil {
		return nil, err
	}
	// Of the URL's parameters these two are for each search.
	v := url.Values{}
	for _, key := range []string{"rest_total_hits_as_int", "typed_keys"} {
		if c.v.Has(key) {
			v.Set(key, c.v.Get(key))
		}
	}
	return c.run(body, v, set, append(append(slices.Clone(head), '\n'), line...), start)
}

func nextLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// asyncSearch answers at once: nothing is kept, and there is no id.
func (c *call) asyncSearch() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	set, err := c.indices()
	if err != nil {
		return nil, err
	}
	r, err := c.run(body, c.v, set, c.body, c.start)
	if err != nil {
		return nil, err
	}
	now := c.d.o.Engine.Now().UnixMilli()
	return object{{"is_partial", false}, {"is_running", false}, {"start_time_in_millis", now}, {"expiration_time_in_millis", now},
		{"completion_time_in_millis", now}, {"response", r}}, nil
}

func (c *call) noAsync() (any, error) {
	return nil, problemAt(404, "resource_not_found_exception", short(c.r.PathValue("id")))
}

// count answers _count.
func (c *call) count() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	for _, m := range body {
		if m.key != "query" {
			return nil, badf("parsing_exception", "request does not support [%s]", short(m.key))
		}
	}
	set, err := c.indices()
	if err != nil {
		return nil, err
	}
	v := url.Values{"size": {"0"}, "track_total_hits": {"true"}}
	for _, key := range []string{"q", "df", "default_operator", "lenient", "terminate_after"} {
		if c.v.Has(key) {
			v.Set(key, c.v.Get(key))
		}
	}
	s, err := c.d.readSearch(body, v, set, string(c.body))
	if err != nil {
		return nil, err
	}
	r, err := c.d.answer(c.r.Context(), c.scope, s, c.r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	return object{{"count", r.total}, {"_shards", r.shards()}}, nil
}

// validate answers whether a query can be read.
func (c *call) validate() (any, error) {
	shards := member{"_shards", object{{"total", 1}, {"successful", 1}, {"failed", 0}}}
	body, err := parse(c.body)
	if err == nil {
		var set *indexSet
		if set, err = c.indices(); err != nil {
			return nil, err
		}
		_, err = c.d.readSearch(body, c.v, set, "")
	}
	if err != nil {
		o := object{shards, {"valid", false}, {"error", problemOf(err).reason}}
		return o, nil
	}
	o := object{shards, {"valid", true}}
	if isSet(c.v, "explain") {
		o.put("explanations", []any{object{{"index", everything}, {"valid", true}, {"explanation", "valid"}}})
	}
	return o, nil
}

// refresh has nothing to do: a record is seen once it is kept.
func (c *call) refresh() (any, error) {
	return object{{"_shards", object{{"total", 1}, {"successful", 1}, {"failed", 0}}}}, nil
}

// document answers GET /{index}/_doc/{id} and /{index}/_source/{id}.
func (c *call) document(sourceOnly bool) (any, error) {
	set, err := c.indices()
	if err != nil {
		return nil, err
	}
	id := c.r.PathValue("id")
	src := sourceFilter{}
	if v, ok := sourceParams(c.v); ok {
		if src, err = readSource(v); err != nil {
			return nil, err
		}
	}
	docs, err := c.find([]wanted{{index: c.r.PathValue("index"), id: id, set: set, source: src}})
	if err != nil {
		return nil, err
	}
	o := docs[0].(object)
	if o.get("found") != true {
		if sourceOnly {
			return nil, problemAt(404, "resource_not_found_exception", "Document not found ["+short(set.name())+"]/["+short(id)+"]")
		}
		return missing(o), nil
	}
	if sourceOnly {
		return o.get("_source"), nil
	}
	return o, nil
}

func (s *indexSet) name() string { return strings.Join(s.items, ",") }

// wanted is a document that is asked for by its id.
type wanted struct {
	index, id string
	set       *indexSet
	source    sourceFilter
}

const maxGets = 1000

// find looks documents up.
func (c *call) find(docs []wanted) ([]any, error) {
	out := make([]any, len(docs))
	q := query.Question{Remote: c.r.RemoteAddr}
	var ids []string
	for i := range docs {
		ids = append(ids, docs[i].index+"/"+docs[i].id)
		q.Where = append(q.Where, docs[i].set.where)
	}
	q.Text = "get " + strings.Join(ids, " ")
	err := c.d.o.Engine.Ask(c.r.Context(), c.scope, q, func(ctx context.Context, a *query.Asking) error {
		for i := range docs {
			w := &docs[i]
			if err := c.d.checkIndices(ctx, c.scope, a, w.set); err != nil {
				return err
			}
			r := &runner{search: &search{order: newest(), size: 1, room: &c.room}, a: a}
			full := allOf{leaf{w.set.where}, idCond([]string{w.id})}
			spans, err := planSpans(full)
			if err != nil {
				return err
			}
			if err := r.find(ctx, spans, newTest(full)); err != nil {
				return err
			}
			o := object{{"_index", w.index}, {"_id", w.id}}
			if len(r.hits) == 0 {
				o.put("found", false)
			} else {
				rec := &r.hits[0].rec
				o = object{{"_index", indexOf(rec)}, {"_id", w.id}, {"_version", 1}, {"_seq_no", rec.Ord}, {"_primary_term", 1}, {"found", true}}
				if !w.source.none {
					o.put("_source", sourceOf(rec, &w.source))
				}
			}
			out[i] = o
		}
		return nil
	})
	return out, err
}

// mget answers _mget.
func (c *call) mget() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	var docs []wanted
	add := func(index, id string, source any) error {
		if id == "" || len(docs) == maxGets {
			return badf("action_request_validation_exception", "Validation Failed: 1: id is missing, or there are more than %d;", maxGets)
		}
		set, err := readIndices([]string{index}, c.d.o.Engine.Now(), indexOptions{ignoreUnavailable: true})
		if err != nil {
			return err
		}
		w := wanted{index: index, id: id, set: set}
		if source != nil {
			if w.source, err = readSource(source); err != nil {
				return err
			}
		}
		docs = append(docs, w)
		return nil
	}
	path := c.r.PathValue("index")
	var common any
	if v, ok := sourceParams(c.v); ok {
		common = v
	}
	for _, m := range body {
		for _, v := range list(m.val) {
			switch o, isObject := v.(object); {
			case m.key == "docs" && isObject:
				index, _ := o.get("_index").(string)
				if index == "" {
					index = path
				}
				id, _ := textOf(o.get("_id"))
				source := o.get("_source")
				if source == nil {
					source = common
				}
				err = add(index, id, source)
			case m.key == "ids":
				id, _ := textOf(v)
				err = add(path, id, common)
			default:
				err = badf("parsing_exception", "unknown key [%s]", short(m.key))
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if len(docs) == 0 {
		return nil, badf("action_request_validation_exception", "Validation Failed: 1: no documents to get;")
	}
	found, err := c.find(docs)
	return object{{"docs", found}}, err
}

// countAll counts the records of indices.
func countAll(ctx context.Context, a *query.Asking, set *indexSet) (uint64, error) {
	groups, err := a.Count(ctx, store.CountRequest{From: minTime, To: maxTime, Where: set.where})
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	return groups[0].Counts[0], nil
}

// kindName is the type that a field is shown to have.
func kindName(k record.Kind) string {
	switch k {
	case record.Int:
		return "long"
	case record.Float:
		return "double"
	case record.Bool:
		return "boolean"
	}
	return "keyword"
}
