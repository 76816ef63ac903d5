package elastic

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// An out is the answer of one aggregation.
type out struct {
	a       *agg
	typed   string // its kind under typed_keys
	body    object
	buckets []*bucketOut
	// value returns one of a metric's numbers, NaN where it has none.
	value func(prop string) (float64, bool)
}

// A bucketOut is a bucket of an answer.
type bucketOut struct {
	head    object // key and what belongs to it
	name    string // under which a keyed answer has it
	keyText string
	sort    float64 // key of a histogram; ms of dates
	term    termKey
	docs    uint64
	subs    []*out
	extras  []extra // of pipes
}

type extra struct {
	p    *pipe
	val  float64
	body object
}

func (b *bucketOut) extra(p *pipe, v float64) {
	body := object{{"value", nullable(v)}}
	b.extras = append(b.extras, extra{p, v, body})
}

func nullable(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return double(f)
}

// value finds a number by its path: _count, _key, "1", "1.avg", "1[95.0]",
// "filter>1".
func (b *bucketOut) value(path string) (float64, error) {
	step, rest, deeper := strings.Cut(path, ">")
	switch step {
	case "_count":
		return float64(b.docs), nil
	case "_key":
		return b.sort, nil
	}
	name, prop := splitPath(step)
	for _, e := range b.extras {
		if e.p.name == name {
			return e.val, nil
		}
	}
	for _, o := range b.subs {
		if o.a.name != name {
			continue
		}
		switch {
		case deeper && len(o.buckets) == 1:
			return o.buckets[0].value(rest)
		case o.value != nil && !deeper:
			if v, ok := o.value(prop); ok {
				return v, nil
			}
		case prop == "_count" && len(o.buckets) == 1:
			return float64(o.buckets[0].docs), nil
		}
		return 0, badf("aggregation_execution_exception", "path [%s] does not name a number", short(path))
	}
	for _, p := range b.pipeNames() {
		if p == name { // one that has no value here: a gap
			return math.NaN(), nil
		}
	}
	return 0, badf("aggregation_execution_exception", "No aggregation found for path [%s]", short(path))
}

// pipeNames are the pipes of the bucket's parent.
func (b *bucketOut) pipeNames() []string { return b.term.pipes }

// termKey is the key of a terms bucket in its order.
type termKey struct {
	text  string
	num   float64
	isNum bool
	pipes []string
}

func (k *termKey) compare(o *termKey) int {
	if k.isNum && o.isNum {
		return cmp.Compare(k.num, o.num)
	}
	return strings.Compare(k.text, o.text)
}

// A finisher turns collectors into answers.
type finisher struct {
	watch  *fault.Watch
	types  fieldTypes
	typed  bool // typed_keys
	left   int  // buckets that the answer may still have
	search *search

	within *rounding // of the date_histogram whose bucket is finished
	start  int64     // of that bucket
}

func (f *finisher) spend(n int) error {
	if f.left -= n; f.left < 0 {
		return tooMany("too_many_buckets_exception", "Trying to create too many buckets. Must be less than or equal to: [%d] but this number of buckets was exceeded. This limit can be set by changing the [search.max_buckets] cluster level setting.", maxBuckets)
	}
	return nil
}

// all finishes collectors that stand side by side, and their siblings.
func (f *finisher) all(cs []*collector) ([]*out, error) {
	outs := make([]*out, 0, len(cs))
	for _, c := range cs {
		if pipeKinds[c.a.kind] {
			continue
		}
		o, err := f.one(c)
		if err != nil {
			return nil, err
		}
		outs = append(outs, o)
	}
	for _, c := range cs {
		if !pipeKinds[c.a.kind] {
			continue
		}
		body, err := c.a.pipes[0].runSibling(outs)
		if err != nil {
			return nil, err
		}
		outs = append(outs, &out{a: c.a, typed: "simple_value", body: body, value: valueIn(body)})
	}
	return outs, nil
}

func valueIn(body object) func(string) (float64, bool) {
	return func(prop string) (float64, bool) {
		if prop == "" {
			prop = "value"
		}
		switch v := body.get(prop).(type) {
		case double:
			return float64(v), true
		case int:
			return float64(v), true
		case uint64:
			return float64(v), true
		}
		return math.NaN(), body.has(prop)
	}
}

// object writes answers as members.
func (f *finisher) object(o object, outs []*out) object {
	for _, x := range outs {
		name := x.a.name
		if f.typed {
			name = x.typed + "#" + name
		}
		body := x.body
		if x.a.meta != nil {
			body = append(object{{"meta", x.a.meta}}, body...)
		}
		o.put(name, body)
	}
	return o
}

func (f *finisher) one(c *collector) (*out, error) {
	if err := f.watch.Step(1 + len(c.m.Values)/64); err != nil {
		return nil, err
	}
	a := c.a
	o := &out{a: a, typed: a.kind}
	var err error
	switch a.kind {
	case "terms":
		err = f.terms(c, o)
	case "date_histogram":
		err = f.dates(c, o)
	case "histogram":
		err = f.histogram(c, o)
	case "range", "date_range", "filters":
		err = f.listed(c, o)
	case "filter", "missing", "global":
		var b *bucketOut
		if b, err = f.bucket(a, c.list[0], nil); err == nil {
			o.buckets = []*bucketOut{b}
			o.body = f.show(b)
		}
		return o, err
	case "composite":
		err = f.composite(c, o)
	default:
		return o, f.metric(c, o)
	}
	if err != nil {
		return nil, err
	}
	return o, f.finishBuckets(a, o)
}

// finishBuckets runs the pipes and writes the buckets.
func (f *finisher) finishBuckets(a *agg, o *out) (err error) {
	for _, b := range o.buckets {
		for _, p := range a.pipes {
			b.term.pipes = append(b.term.pipes, p.name)
		}
	}
	for _, p := range a.pipes {
		if p.sibling() {
			continue
		}
		if o.buckets, err = p.run(o.buckets); err != nil {
			return err
		}
	}
	if a.keyed && a.kind != "composite" || a.kind == "filters" && !a.anon {
		keyed := object{}
		for _, b := range o.buckets {
			if err := f.watch.Step(1 + len(b.subs)); err != nil {
				return err
			}
			keyed.put(b.name, f.show(b))
		}
		o.body.put("buckets", keyed)
		return nil
	}
	buckets := make([]any, len(o.buckets))
	for i, b := range o.buckets {
		if err := f.watch.Step(1 + len(b.subs)); err != nil {
			return err
		}
		buckets[i] = f.show(b)
	}
	o.body.put("buckets", buckets)
	return nil
}

// bucket finishes what is in a bucket.
func (f *finisher) bucket(a *agg, b *bucket, head object) (*bucketOut, error) {
	if err := f.spend(1); err != nil {
		return nil, err
	}
	outs, err := f.all(b.subs)
	if err != nil {
		return nil, err
	}
	for _, p := range a.pipes {
		if p.sibling() {
			body, err := p.runSibling(outs)
			if err != nil {
				return nil, err
			}
			outs = append(outs, &out{a: &agg{name: p.name, kind: p.kind, meta: p.meta}, typed: "simple_value", body: body, value: valueIn(body)})
		}
	}
	return &bucketOut{head: head, docs: b.records, subs: outs}, nil
}

func (f *finisher) show(b *bucketOut) object {
	o := append(object{}, b.head...)
	o.put("doc_count", b.docs)
	o = f.object(o, b.subs)
	for _, e := range b.extras {
		name := e.p.name
		if f.typed {
			name = "simple_value#" + name
			if e.p.kind == "derivative" {
				name = "derivative#" + e.p.name
			}
		}
		body := e.body
		if e.p.meta != nil {
			body = append(object{{"meta", e.p.meta}}, body...)
		}
		o.put(name, body)
	}
	return o
}

// keyOf returns a term as JSON has it, by the type of its field.
func (f *finisher) keyOf(a *agg, text string) (key any, shown object, term termKey, kind string) {
	typ := f.types.of(a.field)
	if a.field == timeField {
		typ = "date"
	}
	term = termKey{text: text}
	i, fl, isInt, ok := match.ParseNumber(text)
	switch {
	case typ == "date" && isInt:
		term.num, term.isNum = fl, true
		return i, object{{"key_as_string", formatDate(i*int64(time.Millisecond), a.format, nil)}}, term, "lterms"
	case typ == "long" && isInt:
		term.num, term.isNum = fl, true
		return i, nil, term, "lterms"
	case typ == "double" && ok:
		term.num, term.isNum = fl, true
		return double(fl), nil, term, "dterms"
	case typ == "boolean" && (text == "true" || text == "false"):
		n := 0
		if text == "true" {
			n = 1
		}
		term.num, term.isNum = float64(n), true
		return n, object{{"key_as_string", text}}, term, "lterms"
	}
	return text, nil, term, "sterms"
}

func (f *finisher) terms(c *collector, o *out) error {
	a := c.a
	o.typed = "sterms"
	if t := f.types.of(a.field); t == "long" || t == "boolean" || a.field == timeField {
		o.typed = "lterms"
	} else if t == "double" {
		o.typed = "dterms"
	}
	list := make([]*bucketOut, 0, len(c.buckets))
	total := uint64(0)
	bySub := false
	for _, by := range a.order {
		bySub = bySub || by.path != "_count" && by.path != "_key"
	}
	raw := make(map[*bucketOut]*bucket, len(c.buckets))
	for _, b := range c.buckets {
		if err := f.watch.Step(1); err != nil {
			return err
		}
		total += b.records
		key, more, term, _ := f.keyOf(a, b.text)
		x := &bucketOut{head: append(object{{"key", key}}, more...), keyText: b.text, name: b.text, sort: term.num, term: term, docs: b.records}
		if bySub {
			outs, err := f.all(b.subs)
			if err != nil {
				return err
			}
			x.subs = outs
		}
		raw[x] = b
		if b.records >= a.minDocs {
			list = append(list, x)
		}
	}
	if err := sortTerms(f.watch, list, a.order); err != nil {
		return err
	}
	list = list[:min(len(list), a.size)]
	for _, x := range list {
		total -= x.docs
		done, err := f.bucket(a, raw[x], nil)
		if err != nil {
			return err
		}
		x.subs = done.subs
	}
	o.buckets = list
	o.body = object{{"doc_count_error_upper_bound", 0}, {"sum_other_doc_count", total}}
	return nil
}

// dates finishes a date_histogram: in order, with the gaps filled.
func (f *finisher) dates(c *collector, o *out) error {
	a := c.a
	starts := make([]int64, 0, len(c.times))
	for t := range c.times {
		starts = append(starts, t)
	}
	slices.Sort(starts)
	if a.minDocs == 0 {
		var err error
		if starts, err = f.fillDates(a, starts); err != nil {
			return err
		}
	}
	format, within, start := a.format, f.within, f.start
	defer func() { f.within, f.start = within, start }()
	for _, t := range starts {
		f.within, f.start = a.round, t
		b := c.times[t]
		if b == nil {
			b = &bucket{time: t, subs: newCollectors(a.subs, c.tally)}
		}
		if b.records < a.minDocs {
			continue
		}
		ms := floorDiv(t, int64(time.Millisecond))
		text := formatDate(t, format, a.round.zone)
		x, err := f.bucket(a, b, object{{"key_as_string", text}, {"key", ms}})
		if err != nil {
			return err
		}
		x.name, x.keyText, x.sort = text, text, float64(ms)
		o.buckets = append(o.buckets, x)
	}
	return f.order(a, o)
}

func (f *finisher) fillDates(a *agg, starts []int64) ([]int64, error) {
	var from, to int64
	some := len(starts) > 0
	if some {
		from, to = starts[0], starts[len(starts)-1]
	}
	if e := a.extended; e != nil {
		if !math.IsInf(e[0], 0) {
			if t := a.round.floor(clampTime(e[0])); !some || t < from {
				from = t
			}
		}
		if !math.IsInf(e[1], 0) {
			if t := a.round.floor(clampTime(e[1])); !some || t > to {
				to = t
			}
		}
		some = some || !math.IsInf(e[0], 0) && !math.IsInf(e[1], 0)
	}
	if !some {
		return starts, nil
	}
	var out []int64
	for t := from; t <= to; {
		if len(out) > f.left {
			return nil, f.spend(f.left + 1)
		}
		out = append(out, t)
		n := a.round.next(t)
		if n <= t {
			break
		}
		t = n
	}
	// What is there is not lost, wherever the steps fell.
	out = append(out, starts...)
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (f *finisher) histogram(c *collector, o *out) error {
	a := c.a
	byKey := map[float64]*bucket{}
	keys := make([]float64, 0, len(c.buckets))
	for _, b := range c.buckets {
		if err := f.watch.Step(1); err != nil {
			return err
		}
		k, err := strconv.ParseFloat(b.text, 64)
		if err != nil {
			continue
		}
		byKey[k] = b
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if a.minDocs == 0 {
		var err error
		if keys, err = f.fillNumbers(a, keys); err != nil {
			return err
		}
	}
	for _, k := range keys {
		b := byKey[k]
		if b == nil {
			b = &bucket{subs: newCollectors(a.subs, c.tally)}
		}
		if b.records < a.minDocs {
			continue
		}
		x, err := f.bucket(a, b, object{{"key", double(k)}})
		if err != nil {
			return err
		}
		x.sort, x.name = k, formatPercent(k)
		x.keyText = x.name
		o.buckets = append(o.buckets, x)
	}
	return nil
}

func (f *finisher) fillNumbers(a *agg, keys []float64) ([]float64, error) {
	floor := func(v float64) float64 { return math.Floor((v-a.offset)/a.interval)*a.interval + a.offset }
	from, to := math.Inf(1), math.Inf(-1)
	if len(keys) > 0 {
		from, to = keys[0], keys[len(keys)-1]
	}
	if e := a.extended; e != nil && !math.IsInf(e[0], 0) {
		from = min(from, floor(e[0]))
	}
	if e := a.extended; e != nil && !math.IsInf(e[1], 0) {
		to = max(to, floor(e[1]))
	}
	if math.IsInf(from, 1) || math.IsInf(to, -1) || from > to {
		return keys, nil // nothing to fill
	}
	first := math.Floor((from - a.offset) / a.interval)
	if n := (to - from) / a.interval; !(n <= float64(f.left)) {
		return nil, f.spend(f.left + 1)
	}
	have := map[float64]bool{}
	for _, k := range keys {
		have[k] = true
	}
	for i := 0.0; ; i++ {
		k := (first+i)*a.interval + a.offset
		if k > to {
			break
		}
		if !have[k] {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
