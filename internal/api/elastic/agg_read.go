package elastic

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

func (a *agg) readHistogram(def object) (err error) {
	if err := a.needField(); err != nil {
		return err
	}
	if a.interval, err = floatOf("interval", def.get("interval")); err != nil {
		return err
	}
	if !(a.interval > 0) {
		return badf("illegal_argument_exception", "[interval] must be >0 for histogram aggregation [%s]", short(a.name))
	}
	if def.has("offset") {
		if a.offset, err = floatOf("offset", def.get("offset")); err != nil {
			return err
		}
	}
	if err := a.readMinDocs(def); err != nil {
		return err
	}
	if a.field == timeField {
		return refuse("histogram of [@timestamp]", "use date_histogram")
	}
	return a.readBounds(def, func(v any) (float64, error) { return floatOf("bounds", v) })
}

// readBounds reads extended_bounds and hard_bounds.
func (a *agg) readBounds(def object, read func(v any) (float64, error)) error {
	one := func(key string) ([]float64, error) {
		o, ok := def.get(key).(object)
		if !ok {
			return nil, nil
		}
		b := []float64{math.Inf(-1), math.Inf(1)}
		if v := o.get("min"); v != nil {
			f, err := read(v)
			if err != nil {
				return nil, err
			}
			b[0] = f
		}
		if v := o.get("max"); v != nil {
			f, err := read(v)
			if err != nil {
				return nil, err
			}
			b[1] = f
		}
		if b[0] > b[1] {
			return nil, badf("illegal_argument_exception", "[%s.min] cannot be greater than [%s.max]", key, key)
		}
		return b, nil
	}
	var err error
	if a.extended, err = one("extended_bounds"); err != nil {
		return err
	}
	a.hard, err = one("hard_bounds")
	return err
}

func floatOf(key string, v any) (float64, error) {
	s, ok := textOf(v)
	b, isNumber := number(s)
	if !ok || !isNumber {
		return 0, badf("illegal_argument_exception", "[%s] must be a number, but is [%s]", key, short(s))
	}
	return b.Float, nil
}

func (a *agg) readRanges(dec *decoder, def object) error {
	if err := a.needField(); err != nil {
		return err
	}
	if a.field == timeField {
		a.kind = "date_range"
	}
	if a.kind == "date_range" && a.field != timeField {
		return refuse("date_range of ["+short(a.field)+"]", "only @timestamp is a date")
	}
	zone, err := zoneOf(def.get("time_zone"))
	if err != nil {
		return err
	}
	items := list(def.get("ranges"))
	if len(items) == 0 || len(items) > maxRanges {
		return badf("illegal_argument_exception", "[ranges] must have 1 to %d ranges for aggregation [%s]", maxRanges, short(a.name))
	}
	dates := dateReader{now: dec.now, zone: zone, format: a.format}
	read := func(v any, open float64) (float64, error) {
		if v == nil {
			return open, nil
		}
		if a.kind == "date_range" {
			m, err := dates.value(v)
			return millis(m.from), err
		}
		return floatOf("range", v)
	}
	for _, item := range items {
		o, ok := item.(object)
		if !ok {
			return badf("parsing_exception", "a range must be an object")
		}
		var r rangeDef
		r.key, _ = o.get("key").(string)
		if r.from, err = read(o.get("from"), math.Inf(-1)); err != nil {
			return err
		}
		if r.to, err = read(o.get("to"), math.Inf(1)); err != nil {
			return err
		}
		a.ranges = append(a.ranges, r)
	}
	slices.SortStableFunc(a.ranges, func(x, y rangeDef) int {
		switch {
		case x.from < y.from || x.from == y.from && x.to < y.to:
			return -1
		case x.from == y.from && x.to == y.to:
			return 0
		}
		return 1
	})
	return nil
}

func (a *agg) readFilters(dec *decoder, def object) error {
	add := func(name string, v any) error {
		c, err := dec.query(v)
		a.filters = append(a.filters, filterDef{name, c, newTest(c)})
		return err
	}
	switch f := def.get("filters").(type) {
	case object:
		for _, m := range f {
			if err := add(m.key, m.val); err != nil {
				return err
			}
		}
	case []any:
		a.anon = true
		for _, v := range f {
			if err := add("", v); err != nil {
				return err
			}
		}
	default:
		return badf("parsing_exception", "[filters] aggregation [%s] has no filters", short(a.name))
	}
	if key, ok := def.get("other_bucket_key").(string); ok {
		a.other = key
	} else if def.get("other_bucket") == true {
		a.other = "_other_"
	}
	if a.other != "" {
		var rest allOf
		for _, f := range a.filters {
			rest = append(rest, noneOf{f.c})
		}
		a.filters = append(a.filters, filterDef{a.other, rest, newTest(rest)})
	}
	return nil
}

func (a *agg) readComposite(dec *decoder, def object) (err error) {
	a.size = 10
	if def.has("size") {
		if a.size, err = intOf("size", def.get("size"), 1, maxBuckets); err != nil {
			return err
		}
	}
	a.after, _ = def.get("after").(object)
	for _, v := range list(def.get("sources")) {
		o, ok := v.(object)
		if !ok || len(o) != 1 || len(a.sources) == maxSources {
			return badf("parsing_exception", "a source of composite [%s] must be an object of one name", short(a.name))
		}
		kinds, ok := o[0].val.(object)
		if !ok || len(kinds) != 1 {
			return badf("parsing_exception", "source [%s] must have one kind", short(o[0].key))
		}
		body, _ := kinds[0].val.(object)
		s := &agg{name: o[0].key, kind: kinds[0].key, key: -1, of: -1, desc: body.get("order") == "desc", withNone: body.get("missing_bucket") == true}
		switch s.kind {
		case "terms", "date_histogram", "histogram":
		default:
			return badf("parsing_exception", "invalid source type [%s]", short(s.kind))
		}
		plain := slices.DeleteFunc(slices.Clone(body), func(m member) bool { return m.key == "order" })
		if err := s.read(dec, plain); err != nil {
			return err
		}
		a.sources = append(a.sources, s)
	}
	if len(a.sources) == 0 {
		return badf("illegal_argument_exception", "Composite [sources] cannot be null or empty")
	}
	return nil
}

func (a *agg) readMetric(dec *decoder, def object) (err error) {
	a.want = metricKinds[a.kind]
	if a.kind == "top_hits" || a.kind == "top_metrics" {
		return a.readTop(dec, def)
	}
	if a.kind == "rate" {
		return a.readRate(def)
	}
	if err := a.needField(); err != nil {
		return err
	}
	a.keyed = def.get("keyed") != false
	switch a.kind {
	case "percentiles", "percentile_ranks":
		key := map[string]string{"percentiles": "percents", "percentile_ranks": "values"}[a.kind]
		if a.kind == "percentiles" {
			a.percents = []float64{1, 5, 25, 50, 75, 95, 99}
		}
		if def.has(key) {
			a.percents = nil
		}
		for _, v := range list(def.get(key)) {
			f, err := floatOf(key, v)
			if err != nil {
				return err
			}
			if a.kind == "percentiles" && (f < 0 || f > 100) || len(a.percents) == maxPercents {
				return badf("illegal_argument_exception", "percent must be in [0,100], got [%v], and there can be %d", f, maxPercents)
			}
			a.percents = append(a.percents, f)
		}
		if len(a.percents) == 0 {
			return badf("illegal_argument_exception", "[%s] of aggregation [%s] must not be empty", key, short(a.name))
		}
		slices.Sort(a.percents)
		a.percents = slices.Compact(a.percents)
	case "extended_stats":
		a.sigma = 2
		if def.has("sigma") {
			a.sigma, err = floatOf("sigma", def.get("sigma"))
		}
	}
	return err
}

func (a *agg) readTop(dec *decoder, def object) (err error) {
	s := &search{size: 3, track: exactTotal}
	for _, m := range def {
		switch {
		case m.key == "metrics" && a.kind == "top_metrics":
			for _, f := range list(m.val) {
				o, _ := f.(object)
				name, _ := o.get("field").(string)
				if name == "" || len(s.fields) == maxPatterns {
					return badf("parsing_exception", "a metric of top_metrics must name its field")
				}
				s.fields = append(s.fields, fieldSpec{pattern: name})
			}
		case slices.Contains([]string{"from", "size", "sort", "_source", "fields", "docvalue_fields", "highlight", "version", "track_scores", "explain", "stored_fields", "seq_no_primary_term"}, m.key):
			if err := s.member(dec, m.key, m.val); err != nil {
				return err
			}
		default:
			return badf("parsing_exception", "Unknown key for [%s] in [%s]: [%s]", a.kind, short(a.name), short(m.key))
		}
	}
	if a.kind == "top_metrics" {
		if !def.has("size") {
			s.size = 1
		}
		if len(s.fields) == 0 || len(s.order.keys) == 0 {
			return badf("illegal_argument_exception", "[top_metrics] needs metrics and a sort")
		}
	}
	if s.from+s.size > maxTopHits {
		return badf("illegal_argument_exception", "Top hits result window is too large, the top hits aggregator [%s]'s from + size must be less than or equal to: [%d] but was [%d].", short(a.name), maxTopHits, s.from+s.size)
	}
	if err := s.finish(dec, nil); err != nil {
		return err
	}
	a.top = s
	return nil
}

// readDateHistogram reads an interval with what surrounds it.
func (a *agg) readDateHistogram(dec *decoder, def object) error {
	if err := a.needField(); err != nil {
		return err
	}
	zone, err := zoneOf(def.get("time_zone"))
	if err != nil {
		return err
	}
	a.round = &rounding{zone: zone}
	switch {
	case def.has("calendar_interval"):
		err = a.round.calendar(def.get("calendar_interval"))
	case def.has("fixed_interval"):
		err = a.round.fixedly(def.get("fixed_interval"))
	case def.has("interval"): // of old: either
		if err = a.round.calendar(def.get("interval")); err != nil {
			err = a.round.fixedly(def.get("interval"))
		}
	default:
		err = badf("illegal_argument_exception", "Invalid interval specified, must be non-null and non-empty")
	}
	if err != nil {
		return err
	}
	if s, ok := textOf(def.get("offset")); ok {
		sign := time.Duration(1)
		if strings.HasPrefix(s, "-") {
			sign = -1
		}
		d, err := durationOf("offset", strings.TrimLeft(s, "+-"))
		if err != nil {
			return err
		}
		a.round.offset = int64(sign * d)
	}
	if err := a.readMinDocs(def); err != nil {
		return err
	}
	for _, o := range list(def.get("order")) {
		if by, ok := o.(object); ok {
			for _, m := range by {
				a.order = append(a.order, termOrder{m.key, m.val == "desc"})
			}
		}
	}
	dates := dateReader{now: dec.now, zone: zone, format: a.format}
	return a.readBounds(def, func(v any) (float64, error) {
		if n, ok := v.(json.Number); ok { // milliseconds, whatever the format
			plain := dateReader{now: dec.now, format: "epoch_millis"}
			m, err := plain.read(n.String())
			return millis(m.from), err
		}
		m, err := dates.value(v)
		return millis(m.from), err
	})
}
