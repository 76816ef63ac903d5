package elastic

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// listed finishes range, date_range and filters: one bucket for each.
func (f *finisher) listed(c *collector, o *out) error {
	for i, b := range c.list {
		var head object
		var name string
		if c.a.kind == "filters" {
			name = c.a.filters[i].name
		} else {
			name, head = c.a.rangeHead(&c.a.ranges[i])
		}
		x, err := f.bucket(c.a, b, head)
		if err != nil {
			return err
		}
		x.name, x.keyText = name, name
		o.buckets = append(o.buckets, x)
	}
	return nil
}

// rangeHead writes the key and the bounds of a range.
func (a *agg) rangeHead(r *rangeDef) (string, object) {
	text := func(f float64) string {
		if math.IsInf(f, 0) {
			return "*"
		}
		if a.kind == "date_range" {
			return formatDate(clampTime(f), a.format, nil)
		}
		return formatPercent(f)
	}
	name := r.key
	if name == "" {
		name = text(r.from) + "-" + text(r.to)
	}
	var head object
	if !a.keyed {
		head.put("key", name)
	}
	bound := func(key string, f float64) {
		if math.IsInf(f, 0) {
			return
		}
		head.put(key, double(f))
		if a.kind == "date_range" {
			head.put(key+"_as_string", text(f))
		}
	}
	bound("from", r.from)
	bound("to", r.to)
	return name, head
}

// composite finishes a page of a composite: behind after, in order of the keys.
func (f *finisher) composite(c *collector, o *out) error {
	a := c.a
	type row struct {
		b    *bucket
		keys []termKey
	}
	term := func(i int, text string) termKey {
		s := a.sources[i]
		if text == none {
			return termKey{text: none}
		}
		if s.kind != "terms" {
			v, _ := strconv.ParseFloat(text, 64)
			return termKey{text: text, num: v, isNum: true}
		}
		_, _, t, _ := f.keyOf(s, text)
		return t
	}
	compare := func(x, y []termKey) int {
		for i := range a.sources {
			c := x[i].compare(&y[i])
			if n := cmp.Compare(truth(y[i].text == none), truth(x[i].text == none)); n != 0 {
				c = n // those without a value come first
			}
			if a.sources[i].desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	}
	var after []termKey
	if a.after != nil {
		for i, s := range a.sources {
			if !a.after.has(s.name) {
				return badf("illegal_argument_exception", "Missing value for [after.%s]", short(s.name))
			}
			text, err := s.afterText(a.after.get(s.name))
			if err != nil {
				return err
			}
			after = append(after, term(i, text))
		}
	}
	var rows []row
	for _, b := range c.buckets {
		if err := f.watch.Step(1); err != nil {
			return err
		}
		r := row{b: b}
		for i := range a.sources {
			r.keys = append(r.keys, term(i, b.parts[i]))
		}
		if after == nil || compare(r.keys, after) > 0 {
			rows = append(rows, r)
		}
	}
	if err := fault.Sort(f.watch, rows, func(x, y row) int { return compare(x.keys, y.keys) }); err != nil {
		return err
	}
	rows = rows[:min(len(rows), a.size)]
	var last object
	for _, r := range rows {
		key := object{}
		for i, s := range a.sources {
			key.put(s.name, f.compositeKey(s, r.b.parts[i]))
		}
		x, err := f.bucket(a, r.b, object{{"key", key}})
		if err != nil {
			return err
		}
		last = key
		o.buckets = append(o.buckets, x)
	}
	o.body = object{}
	if last != nil {
		o.body.put("after_key", last)
	}
	return nil
}

// afterText returns a value of after in the form of a bucket's part.
func (a *agg) afterText(v any) (string, error) {
	if v == nil {
		return none, nil
	}
	text, ok := textOf(v)
	if !ok {
		return "", badf("illegal_argument_exception", "[after] of [%s] is no scalar", short(a.name))
	}
	switch a.kind {
	case "date_histogram":
		d := dateReader{format: a.format, zone: a.round.zone}
		m, err := d.value(v)
		return strconv.FormatInt(m.from, 10), err
	case "histogram":
		f, err := floatOf("after", v)
		return strconv.FormatFloat(f, 'g', -1, 64), err
	}
	return text, nil
}

func (f *finisher) compositeKey(s *agg, text string) any {
	if text == none {
		return nil
	}
	switch s.kind {
	case "date_histogram":
		t, _ := strconv.ParseInt(text, 10, 64)
		if s.format != "" {
			return formatDate(t, s.format, s.round.zone)
		}
		return floorDiv(t, int64(time.Millisecond))
	case "histogram":
		v, _ := strconv.ParseFloat(text, 64)
		return double(v)
	}
	key, _, _, kind := f.keyOf(s, text)
	if _, isBool := key.(int); isBool && kind == "lterms" {
		return text == "true"
	}
	return key
}

// scaled turns a measure of times into milliseconds.
func (c *collector) scaled(v float64) float64 {
	if c.a.field == timeField {
		// What a float64 can not tell apart must not become the millisecond before.
		return math.Floor((v + 128) / 1e6)
	}
	return v
}

func (f *finisher) metric(c *collector, o *out) error {
	a, m := c.a, &c.m
	none := m.Count == 0
	number := func(v float64) any {
		if none {
			return nil
		}
		return nullable(c.scaled(v))
	}
	withText := func(v float64) object {
		b := object{{"value", number(v)}}
		if a.field == timeField && !none {
			b.put("value_as_string", formatDate(clampTime(c.scaled(v)), a.format, nil))
		}
		return b
	}
	switch a.kind {
	case "min":
		o.body = withText(m.Min)
	case "max":
		o.body = withText(m.Max)
	case "avg":
		o.body = withText(m.Mean())
	case "sum":
		o.body = object{{"value", double(c.scaledSum())}}
	case "value_count":
		n := c.docs - min(c.docs, m.Absent)
		if a.missing != nil {
			n = c.docs
		}
		o.body = object{{"value", n}}
	case "cardinality":
		n := uint64(0)
		if m.Distinct != nil {
			n, _ = m.Distinct.Len()
		}
		o.body = object{{"value", n}}
	case "stats", "extended_stats":
		o.body = object{{"count", m.Count}, {"min", number(m.Min)}, {"max", number(m.Max)}, {"avg", number(m.Mean())}, {"sum", double(c.scaledSum())}}
		if a.kind == "extended_stats" {
			o.body = append(o.body, c.spread()...)
		}
	case "percentiles":
		o.typed = "tdigest_percentiles"
		m.Sort()
		c.percentiles(o, func(p float64) any { return number(quantile(m.Values, p/100)) })
	case "percentile_ranks":
		o.typed = "tdigest_percentile_ranks"
		m.Sort()
		c.percentiles(o, func(v float64) any {
			if none {
				return nil
			}
			return double(rank(m.Values, v))
		})
	case "rate":
		var err error
		if o.body, err = f.rate(c); err != nil {
			return err
		}
	case "top_hits", "top_metrics":
		f.topHits(c, o)
	}
	if o.value == nil {
		o.value = valueIn(o.body)
	}
	return nil
}

func (c *collector) scaledSum() float64 {
	if c.a.field == timeField {
		return c.m.Sum / 1e6
	}
	return c.m.Sum
}

// spread is what extended_stats adds.
func (c *collector) spread() object {
	m := &c.m
	n := float64(m.Count)
	unit := 1.0
	if c.a.field == timeField {
		unit = 1e6
	}
	mean, pop := m.Mean()/unit, m.Variance()/(unit*unit)
	sample := m.M2 / (n - 1) / (unit * unit)
	if m.Count < 2 {
		sample = math.NaN()
	}
	squares := any(nil)
	if m.Count > 0 {
		squares = nullable(pop*n + mean*mean*n)
	}
	bound := func(sd, sign float64) any { return nullable(mean + sign*c.a.sigma*sd) }
	return object{
		{"sum_of_squares", squares}, {"variance", nullable(pop)}, {"variance_population", nullable(pop)}, {"variance_sampling", nullable(sample)},
		{"std_deviation", nullable(math.Sqrt(pop))}, {"std_deviation_population", nullable(math.Sqrt(pop))}, {"std_deviation_sampling", nullable(math.Sqrt(sample))},
		{"std_deviation_bounds", object{
			{"upper", bound(math.Sqrt(pop), 1)}, {"lower", bound(math.Sqrt(pop), -1)},
			{"upper_population", bound(math.Sqrt(pop), 1)}, {"lower_population", bound(math.Sqrt(pop), -1)},
			{"upper_sampling", bound(math.Sqrt(sample), 1)}, {"lower_sampling", bound(math.Sqrt(sample), -1)},
		}},
	}
}

// quantile interpolates between the two values that are nearest to a rank.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// rank returns how many percent of the values are at most v.
func rank(sorted []float64, v float64) float64 {
	n, _ := slices.BinarySearchFunc(sorted, v, func(x, v float64) int {
		if x <= v {
			return -1
		}
		return 1
	})
	return 100 * float64(n) / float64(len(sorted))
}

func (c *collector) percentiles(o *out, value func(p float64) any) {
	vals := map[string]any{}
	if c.a.keyed {
		keyed := object{}
		for _, p := range c.a.percents {
			v := value(p)
			vals[formatPercent(p)] = v
			keyed.put(formatPercent(p), v)
		}
		o.body = object{{"values", keyed}}
	} else {
		list := []any{}
		for _, p := range c.a.percents {
			v := value(p)
			vals[formatPercent(p)] = v
			list = append(list, object{{"key", double(p)}, {"value", v}})
		}
		o.body = object{{"values", list}}
	}
	o.value = func(prop string) (float64, bool) {
		if !strings.Contains(prop, ".") {
			prop += ".0"
		}
		v, ok := vals[prop]
		if d, isNumber := v.(double); isNumber {
			return float64(d), true
		}
		return math.NaN(), ok
	}
}

func (f *finisher) topHits(c *collector, o *out) {
	s := c.a.top
	c.top.settle()
	hits := c.top.hits[min(s.from, len(c.top.hits)):]
	if c.a.kind == "top_metrics" {
		top := []any{}
		for i := range hits {
			keys := []any{}
			for k := range hits[i].keys {
				keys = append(keys, s.order.keys[k].show(&hits[i].keys[k]))
			}
			metrics := object{}
			for _, m := range s.fields {
				if m.pattern == timeField {
					metrics.put(timeField, formatDate(hits[i].rec.Time, m.format, nil))
					continue
				}
				v, ok := lookup(&hits[i].rec, m.pattern)
				if !ok {
					metrics.put(m.pattern, nil)
					continue
				}
				metrics.put(m.pattern, valueOf(v))
			}
			top = append(top, object{{"sort", keys}, {"metrics", metrics}})
		}
		o.body = object{{"top", top}}
		return
	}
	r := &runner{search: s, watch: f.watch, hits: hits, total: int64(c.docs)}
	o.body = object{{"hits", r.hitsBody()}}
}
