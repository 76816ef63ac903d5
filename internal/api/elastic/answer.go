package elastic

import (
	"fmt"
	"time"
)

// body writes the answer of a search.
func (r *runner) body(took time.Duration) object {
	o := object{{"took", took.Milliseconds()}, {"timed_out", r.timedOut}}
	if r.stopped {
		o.put("terminated_early", true)
	}
	o.put("_shards", r.shards())
	o.put("hits", r.hitsBody())
	if len(r.aggs) > 0 && r.results != nil {
		o.put("aggregations", r.results)
	}
	if r.pit != "" {
		o.put("pit_id", r.pit)
	}
	return o
}

// shards says whether everything could be read: what was damaged is a shard that
// failed.
func (r *runner) shards() object {
	lost := 0
	var failures []any
	if r.a != nil {
		lost = len(r.a.Stats.Damaged)
	}
	note := func(kind, reason string) {
		failures = append(failures, object{{"shard", 0}, {"index", everything}, {"node", "meshtrail"},
			{"reason", object{{"type", kind}, {"reason", reason}}}})
	}
	if lost > 0 {
		note("corrupt_index_exception", fmt.Sprintf("%d segments are damaged and could not be read", lost))
	}
	if r.unfinished != nil {
		note("circuit_breaking_exception", "the answer is cut short: "+r.unfinished.Error())
	}
	o := object{{"total", 1 + len(failures)}, {"successful", 1}, {"skipped", 0}, {"failed", len(failures)}}
	if failures != nil {
		o.put("failures", failures)
	}
	return o
}

func (r *runner) hitsBody() object {
	var o object
	if r.track >= 0 || r.unfinished != nil {
		relation := "eq"
		if r.atLeast {
			relation = "gte"
		}
		if r.totalAsInt {
			o.put("total", r.total)
		} else {
			o.put("total", object{{"value", r.total}, {"relation", relation}})
		}
	} else if r.totalAsInt {
		o.put("total", -1)
	}
	if r.scored && len(r.hits) > 0 {
		o.put("max_score", double(1))
	} else {
		o.put("max_score", nil)
	}
	hits := make([]any, len(r.hits))
	for i := range r.hits {
		if r.watch.Step(8) != nil {
			break // the answer is not sent
		}
		hits[i] = r.hitBody(&r.hits[i])
	}
	o.put("hits", hits)
	return o
}

func (r *runner) hitBody(h *hit) object {
	o := object{{"_index", indexOf(&h.rec)}, {"_id", identity{h.rec.Time, h.rec.Ord}.String()}}
	if r.version {
		o.put("_version", 1)
		o.put("_seq_no", h.rec.Ord)
		o.put("_primary_term", 1)
	}
	if r.scored {
		o.put("_score", double(1))
	} else {
		o.put("_score", nil)
	}
	if !r.source.none {
		o.put("_source", sourceOf(&h.rec, &r.source))
	}
	if len(r.fields)+len(r.docvalues) > 0 {
		f := over(fieldsOf(&h.rec, r.docvalues), fieldsOf(&h.rec, r.fields)) // fields win: they say the form
		if len(f) > 0 {
			o.put("fields", f)
		}
	}
	if r.highlight != nil {
		if m := r.highlight.of(&h.rec); len(m) > 0 {
			o.put("highlight", m)
		}
	}
	if !r.order.byDefault {
		keys := make([]any, len(h.keys))
		for i := range h.keys {
			keys[i] = r.order.keys[i].show(&h.keys[i])
		}
		o.put("sort", keys)
	}
	return o
}
