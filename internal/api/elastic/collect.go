package elastic

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A cell is what collectors are given: some records that are in the same buckets,
// or one record. It is lent for the call.
type cell struct {
	time    int64    // of all of them, as exactly as the buckets need
	records uint64   // how many
	keys    []string // what they are grouped by: see layout
	of      []store.Measure
	rec     *record.Record // nil when there may be several
}

// A layout says what collectors need of a cell: the keys that records are grouped
// by, the fields that are measured, and whether they need the records themselves.
type layout struct {
	keys    []store.GroupKey
	of      []store.MeasureField
	rounds  []*rounding
	records bool // a collector looks at records
}

func (l *layout) key(k store.GroupKey) int {
	for i := range l.keys {
		if l.keys[i].Name == k.Name && l.keys[i].Interval == k.Interval && l.keys[i].Offset == k.Offset && slices.Equal(l.keys[i].Edges, k.Edges) {
			return i
		}
	}
	l.keys = append(l.keys, k)
	return len(l.keys) - 1
}

func (l *layout) measure(name string, want store.Want) int {
	for i := range l.of {
		if l.of[i].Name == name {
			l.of[i].Want |= want
			return i
		}
	}
	l.of = append(l.of, store.MeasureField{Name: name, Want: want})
	return len(l.of) - 1
}

// numberName is the name under which a field's numbers are measured.
func numberName(field string) string {
	if field == timeField {
		return store.TimeName
	}
	return nameOf(field)
}

// textName is the name under which a field's texts group records.
func textName(field string) string {
	if field == indexField {
		return givenIndex
	}
	return nameOf(field)
}

// place gives every aggregation its places in a cell.
func (l *layout) place(aggs []*agg) {
	for _, a := range aggs {
		switch a.kind {
		case "terms":
			if a.field == timeField || a.field == idField {
				l.records = true // by millisecond, or each by itself
			} else {
				a.key = l.key(store.GroupKey{Name: textName(a.field)})
			}
		case "date_histogram":
			l.placeDates(a)
		case "histogram":
			a.key = l.key(store.GroupKey{Name: numberName(a.field), Interval: a.interval, Offset: a.offset})
		case "range":
			a.key = l.key(store.GroupKey{Name: numberName(a.field), Edges: a.edges()})
		case "date_range", "filter", "filters", "missing":
			l.records = true // those at the top are planned apart
		case "composite":
			l.place(a.sources)
		case "top_hits", "top_metrics":
			l.records = true
		case "global":
		default:
			if a.want != 0 {
				a.of = l.measure(numberName(a.field), a.want)
			}
		}
		l.place(a.subs)
	}
}

func (l *layout) placeDates(a *agg) {
	if a.field == timeField {
		l.rounds = append(l.rounds, a.round)
		return
	}
	a.key = l.key(store.GroupKey{Name: textName(a.field)})
}

// edges are the bounds of all ranges, ascending.
func (a *agg) edges() []float64 {
	var out []float64
	for _, r := range a.ranges {
		for _, f := range []float64{r.from, r.to} {
			if !math.IsInf(f, 0) {
				out = append(out, f)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, 0) // without any the store would group by texts
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A bucket is some records of a collector.
type bucket struct {
	text    string   // key of terms; of composite all of them
	parts   []string // of composite
	time    int64
	records uint64
	subs    []*collector
}

// A collector gathers what one aggregation says of some records.
type collector struct {
	a       *agg
	tally   *tally
	buckets map[string]*bucket // terms, composite
	times   map[int64]*bucket  // date_histogram
	list    []*bucket          // ranges, filters: one for each
	m       store.Measure
	docs    uint64 // that a metric saw
	top     *topList
	edges   []float64
}

// A tally bounds what all collectors of a request hold.
type tally struct {
	buckets int
	room    *room // for hits
	watch   *fault.Watch
}

func (t *tally) bucket() error {
	if t.room != nil && t.room.hold != nil && t.buckets%1024 == 0 {
		if err := t.room.hold(1024 * sizeOfBucket); err != nil {
			return err
		}
	}
	if t.buckets++; t.buckets > maxCollected {
		return tooMany("circuit_breaking_exception", "the aggregations have more than %d buckets on the way to their answer; ask for fewer records, or page with composite", maxCollected)
	}
	return nil
}

func newCollectors(aggs []*agg, t *tally) []*collector {
	out := make([]*collector, len(aggs))
	for i, a := range aggs {
		out[i] = newCollector(a, t)
	}
	return out
}

func newCollector(a *agg, t *tally) *collector {
	c := &collector{a: a, tally: t}
	switch a.kind {
	case "terms", "composite", "histogram":
		c.buckets = map[string]*bucket{}
	case "date_histogram":
		c.times = map[int64]*bucket{}
	case "range", "date_range":
		c.edges = a.edges()
		for range a.ranges {
			c.list = append(c.list, &bucket{subs: newCollectors(a.subs, t)})
		}
	case "filter", "filters", "missing":
		for range a.filters {
			c.list = append(c.list, &bucket{subs: newCollectors(a.subs, t)})
		}
	case "global":
		c.list = []*bucket{{subs: newCollectors(a.subs, t)}}
	case "top_hits", "top_metrics":
		c.top = &topList{order: &a.top.order, limit: a.top.from + a.top.size, room: t.room}
	}
	return c
}

// take gives a cell to a bucket.
func (b *bucket) take(x *cell) error {
	b.records += x.records
	return takeAll(b.subs, x)
}

func takeAll(cs []*collector, x *cell) error {
	for _, c := range cs {
		if err := c.take(x); err != nil {
			return err
		}
	}
	return nil
}

// take gathers a cell.
func (c *collector) take(x *cell) error {
	if err := c.tally.watch.Step(1); err != nil {
		return err
	}
	switch c.a.kind {
	case "terms":
		v, ok := c.a.termOf(x)
		if !ok {
			return nil
		}
		return c.bucketOf(v, nil, x)
	case "date_histogram":
		return c.takeTime(x)
	case "histogram":
		v := x.keys[c.a.key]
		if v == "" {
			if c.a.missing == nil {
				return nil
			}
			f, err := floatOf("missing", c.a.missing)
			if err != nil {
				return err
			}
			v = strconv.FormatFloat(math.Floor((f-c.a.offset)/c.a.interval)*c.a.interval+c.a.offset, 'g', -1, 64)
		}
		if !c.a.inHard(v) {
			return nil
		}
		return c.bucketOf(v, nil, x)
	case "range":
		return c.takeRange(x)
	case "date_range":
		for i, r := range c.a.ranges {
			if x.time >= clampTime(r.from) && x.time < clampTime(r.to) {
				if err := c.list[i].take(x); err != nil {
					return err
				}
			}
		}
		return nil
	case "filter", "filters", "missing":
		for i := range c.a.filters {
			if x.rec == nil || c.a.filters[i].test.holds(x.rec) {
				if err := c.list[i].take(x); err != nil {
					return err
				}
			}
		}
		return nil
	case "global":
		return c.list[0].take(x)
	case "composite":
		return c.takeComposite(x)
	case "top_hits", "top_metrics":
		c.docs += x.records
		if c.top.limit > 0 && x.rec != nil {
			return c.top.offer(x.rec, nil)
		}
		return nil
	}
	return c.takeMetric(x)
}

// bucketOf gives a cell to the bucket of a key.
func (c *collector) bucketOf(key string, parts []string, x *cell) error {
	b := c.buckets[key]
	if b == nil {
		if err := c.tally.bucket(); err != nil {
			return err
		}
		b = &bucket{text: strings.Clone(key), subs: newCollectors(c.a.subs, c.tally)}
		for _, p := range parts {
			b.parts = append(b.parts, strings.Clone(p))
		}
		c.buckets[b.text] = b
	}
	return b.take(x)
}

// termOf returns the term of a cell.
func (a *agg) termOf(x *cell) (string, bool) {
	var v string
	switch {
	case a.key >= 0:
		v = x.keys[a.key]
	case a.field == timeField:
		v = formatDate(x.time, "epoch_millis", nil)
	case x.rec != nil:
		v = identity{x.rec.Time, x.rec.Ord}.String()
	}
	if v == "" && a.field == indexField {
		v = everything
	}
	if v == "" && a.missing != nil {
		v, _ = textOf(a.missing)
	}
	if v == "" || a.include != nil && !a.include.has(v) || a.exclude != nil && a.exclude.has(v) {
		return "", false
	}
	return v, true
}

// timeOf returns the time of a cell by the field of a date_histogram.
func (a *agg) timeOf(x *cell) (int64, bool) {
	if a.key < 0 {
		return x.time, true
	}
	v := x.keys[a.key]
	if v == "" && a.missing != nil {
		v, _ = textOf(a.missing)
	}
	if v == "" {
		return 0, false
	}
	d := dateReader{}
	m, err := d.read(v)
	return m.from, err == nil
}

func (c *collector) takeTime(x *cell) error {
	t, ok := c.a.timeOf(x)
	if !ok {
		return nil
	}
	t = c.a.round.floor(t)
	if h := c.a.hard; h != nil && (t < c.a.round.floor(clampTime(h[0])) || t > clampTime(h[1])) {
		return nil
	}
	b := c.times[t]
	if b == nil {
		if err := c.tally.bucket(); err != nil {
			return err
		}
		b = &bucket{time: t, subs: newCollectors(c.a.subs, c.tally)}
		c.times[t] = b
	}
	return b.take(x)
}

// inHard reports whether a histogram's key is within its hard bounds.
func (a *agg) inHard(key string) bool {
	if a.hard == nil {
		return true
	}
	f, err := strconv.ParseFloat(key, 64)
	return err == nil && f+a.interval > a.hard[0] && f <= a.hard[1]
}

// takeRange gives a cell to all ranges that its number is in.
func (c *collector) takeRange(x *cell) error {
	v := x.keys[c.a.key]
	if v == "" {
		return nil
	}
	at, err := strconv.Atoi(v)
	if err != nil {
		return nil
	}
	low := math.Inf(-1)
	if at > 0 {
		low = c.edges[at-1]
	}
	for i, r := range c.a.ranges {
		if r.from <= low && low < r.to {
			if err := c.list[i].take(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// none stands for a missing value in the keys of a composite, which have no NUL
// at their beginning otherwise.
const none = "\x00"

func (c *collector) takeComposite(x *cell) error {
	parts := make([]string, len(c.a.sources))
	for i, s := range c.a.sources {
		ok := false
		switch s.kind {
		case "terms":
			parts[i], ok = s.termOf(x)
		case "histogram":
			parts[i] = x.keys[s.key]
			ok = parts[i] != ""
		case "date_histogram":
			var t int64
			if t, ok = s.timeOf(x); ok {
				parts[i] = strconv.FormatInt(s.round.floor(t), 10)
			}
		}
		if !ok {
			if !s.withNone {
				return nil
			}
			parts[i] = none
		}
	}
	return c.bucketOf(strings.Join(parts, "\x00\x00"), parts, x)
}

func (c *collector) takeMetric(x *cell) error {
	c.docs += x.records
	if c.a.of < 0 {
		return nil
	}
	m := &x.of[c.a.of]
	if err := c.tally.watch.Step(len(m.Values) / 64); err != nil {
		return err
	}
	c.m.Merge(m)
	if c.a.missing == nil || m.Absent == 0 {
		return nil
	}
	if c.a.want == store.WantDistinct {
		var d store.Distinct
		text, _ := textOf(c.a.missing)
		d.Add([]byte(text))
		c.m.Merge(&store.Measure{Distinct: &d})
		return nil
	}
	f, err := floatOf("missing", c.a.missing)
	if err != nil {
		return err
	}
	fill := store.Measure{Count: m.Absent, Sum: f * float64(m.Absent), Min: f, Max: f}
	if c.a.want&store.WantValues != 0 {
		if m.Absent > maxCollected {
			return tooMany("circuit_breaking_exception", "more than %d records lack [%s]", maxCollected, c.a.field)
		}
		for range m.Absent {
			fill.Values = append(fill.Values, f)
		}
	}
	c.m.Merge(&fill)
	return nil
}
