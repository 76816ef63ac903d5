package elastic

import (
	"math"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/store"
)

// An agg is one aggregation as it was asked for.
type agg struct {
	name, kind string
	meta       any
	field      string // as asked; "" where there is none
	missing    any    // what an absent field counts as
	format     string
	subs       []*agg
	pipes      []*pipe

	// Buckets.
	round    *rounding // date_histogram
	interval float64   // histogram
	offset   float64
	minDocs  uint64
	extended []float64 // bounds that are filled with empty buckets: milliseconds or numbers
	hard     []float64 // bounds beyond which nothing is counted
	size     int
	order    []termOrder
	include  *termFilter
	exclude  *termFilter
	ranges   []rangeDef
	filters  []filterDef
	other    string // name of the bucket of filters that holds the rest
	keyed    bool
	anon     bool // filters without names
	sources  []*agg
	after    object
	desc     bool // of a composite's source
	withNone bool // missing_bucket

	// Metrics.
	percents []float64
	sigma    float64
	top      *search
	unit     byte // of a rate, see rounding.unit; 0: that of the bucket
	counts   bool // a rate of values, not of their sum

	key  int // its place among the keys of a cell; -1: none
	of   int // its place among the measures of a cell; -1: none
	want store.Want
}

// Limits of aggregations.
const (
	maxAggDepth  = 10
	maxAggs      = 200
	maxBuckets   = 65_536    // of an answer, as in Elasticsearch
	maxCollected = 1_000_000 // buckets on the way to an answer
	maxRanges    = 1000
	maxPercents  = 1000
	maxTopHits   = 100
	maxSources   = 32
)

type rangeDef struct {
	key      string
	from, to float64 // ±Inf: open; milliseconds for dates
}

type filterDef struct {
	name string
	c    cond
	test *test
}

type termOrder struct {
	path string // _count, _key, or a sub-aggregation
	desc bool
}

// isMetric and isBucket are the kinds that are understood.
var metricKinds = map[string]store.Want{
	"min": store.WantSums, "max": store.WantSums, "avg": store.WantSums, "sum": store.WantSums, "value_count": store.WantSums,
	"stats": store.WantSums, "extended_stats": store.WantSpread, "cardinality": store.WantDistinct,
	"percentiles": store.WantValues, "percentile_ranks": store.WantValues,
	"top_hits": 0, "top_metrics": 0, "rate": store.WantSums,
}

var refusedAggs = map[string]string{
	"significant_terms": "records are not scored", "significant_text": "records are not scored", "rare_terms": "use terms with an order",
	"median_absolute_deviation": "use percentiles", "scripted_metric": "there are no scripts", "nested": "records are flat",
	"reverse_nested": "records are flat", "geo_bounds": "there are no places", "geo_centroid": "there are no places",
	"geohash_grid": "there are no places", "geotile_grid": "there are no places", "geo_distance": "there are no places",
	"sampler": "every record counts", "diversified_sampler": "every record counts", "auto_date_histogram": "use date_histogram",
	"variable_width_histogram": "use histogram", "matrix_stats": "use extended_stats", "string_stats": "use cardinality",
	"multi_terms": "use composite", "adjacency_matrix": "use filters", "ip_range": "use filters", "ip_prefix": "use filters",
	"weighted_avg": "there are no weights", "boxplot": "use percentiles", "t_test": "use extended_stats",
	"categorize_text": "use Loki's patterns API", "random_sampler": "every record counts", "parent": "records are flat", "children": "records are flat",
}

// readAggs reads {"name": {"kind": {…}, "aggs": {…}}}.
func readAggs(dec *decoder, v any, depth int) ([]*agg, error) {
	aggs, pipes, err := readAggsAndPipes(dec, v, depth)
	if err != nil {
		return nil, err
	}
	for _, p := range pipes { // at the top there are siblings only
		if !p.sibling() {
			return nil, badf("action_request_validation_exception", "Validation Failed: 1: %s aggregation [%s] must be declared inside of another aggregation;", p.kind, short(p.name))
		}
		aggs = append(aggs, &agg{name: p.name, kind: p.kind, meta: p.meta, pipes: []*pipe{p}, key: -1, of: -1})
	}
	return aggs, nil
}

func readAggsAndPipes(dec *decoder, v any, depth int) (aggs []*agg, pipes []*pipe, err error) {
	o, ok := v.(object)
	if !ok {
		return nil, nil, badf("parsing_exception", "Expected [START_OBJECT] under [aggs]")
	}
	if depth > maxAggDepth {
		return nil, nil, badf("illegal_argument_exception", "aggregations nest deeper than %d levels", maxAggDepth)
	}
	for _, m := range o {
		if dec.aggs++; dec.aggs > maxAggs {
			return nil, nil, badf("illegal_argument_exception", "the request has more than %d aggregations", maxAggs)
		}
		if m.key == "" || len(m.key) > 200 || strings.ContainsAny(m.key, "[]>") {
			return nil, nil, badf("parsing_exception", "Invalid aggregation name [%s]. Aggregation names cannot contain the characters '[', ']', or '>'", short(m.key))
		}
		body, ok := m.val.(object)
		if !ok {
			return nil, nil, badf("parsing_exception", "Aggregation definition for [%s] must be an object", short(m.key))
		}
		a, p, err := readAgg(dec, m.key, body, depth)
		if err != nil {
			return nil, nil, err
		}
		if p != nil {
			pipes = append(pipes, p)
		} else {
			aggs = append(aggs, a)
		}
	}
	return aggs, pipes, nil
}

func readAgg(dec *decoder, name string, body object, depth int) (*agg, *pipe, error) {
	a := &agg{name: name, key: -1, of: -1}
	var def object
	var subs any
	for _, m := range body {
		switch m.key {
		case "aggs", "aggregations":
			subs = m.val
		case "meta":
			a.meta = m.val
		default:
			if a.kind != "" {
				return nil, nil, badf("parsing_exception", "Found two aggregation type definitions in [%s]: [%s] and [%s]", short(name), short(a.kind), short(m.key))
			}
			a.kind = m.key
			var ok bool
			if def, ok = m.val.(object); !ok {
				return nil, nil, badf("parsing_exception", "Expected [START_OBJECT] under [%s]", short(m.key))
			}
		}
	}
	if pipeKinds[a.kind] {
		p, err := readPipe(name, a.kind, def, a.meta)
		return nil, p, err
	}
	if why, ok := refusedAggs[a.kind]; ok {
		return nil, nil, refuse("aggregation "+a.kind, why)
	}
	if err := a.read(dec, def); err != nil {
		return nil, nil, err
	}
	if subs == nil {
		return a, nil, nil
	}
	if _, metric := metricKinds[a.kind]; metric {
		return nil, nil, badf("aggregation_initialization_exception", "Aggregator [%s] of type [%s] cannot accept sub-aggregations", short(name), a.kind)
	}
	var err error
	a.subs, a.pipes, err = readAggsAndPipes(dec, subs, depth+1)
	if err == nil && a.kind == "global" && depth > 1 {
		err = badf("aggregation_initialization_exception", "Aggregator [%s] of type [global] can only be defined as a top level aggregator", short(name))
	}
	return a, nil, err
}

// read reads the definition of one kind.
func (a *agg) read(dec *decoder, def object) error {
	for _, k := range []string{"script"} {
		if def.has(k) && !isNull(def.get(k)) {
			return refuse("script of aggregation ["+a.name+"]", "there are no scripts; bucket_script computes with values")
		}
	}
	a.field, _ = def.get("field").(string)
	a.missing = def.get("missing")
	a.format, _ = def.get("format").(string)
	a.keyed = def.get("keyed") == true
	if _, ok := metricKinds[a.kind]; ok {
		return a.readMetric(dec, def)
	}
	switch a.kind {
	case "terms":
		return a.readTerms(def)
	case "date_histogram":
		return a.readDateHistogram(dec, def)
	case "histogram":
		return a.readHistogram(def)
	case "range", "date_range":
		return a.readRanges(dec, def)
	case "filter":
		c, err := dec.query(def)
		a.filters = []filterDef{{c: c, test: newTest(c)}}
		return err
	case "filters":
		return a.readFilters(dec, def)
	case "missing":
		if a.field == "" {
			return badf("illegal_argument_exception", "Required one of fields [field], but none were specified. ")
		}
		c := cond(noneOf{leaf{match.Exists{Field: nameOf(a.field)}}})
		if a.field == timeField || a.field == indexField {
			c = nothing
		}
		a.filters = []filterDef{{c: c, test: newTest(c)}}
	case "global":
	case "composite":
		return a.readComposite(dec, def)
	case "":
		return badf("parsing_exception", "Missing definition for aggregation [%s]", short(a.name))
	default:
		return badf("parsing_exception", "Unknown aggregation type [%s]", short(a.kind))
	}
	return nil
}

// isNull takes Grafana's placeholders for no script.
func isNull(v any) bool { return v == nil || v == "" }

func (a *agg) needField() error {
	if a.field == "" {
		return badf("illegal_argument_exception", "Required one of fields [field, script], but none were specified. ")
	}
	return nil
}

func (a *agg) readTerms(def object) (err error) {
	if err := a.needField(); err != nil {
		return err
	}
	a.size, a.minDocs = 10, 1
	if def.has("size") {
		if a.size, err = intOf("size", def.get("size"), 0, math.MaxInt32); err != nil {
			return err
		}
		if a.size == 0 { // of old: all
			a.size = maxBuckets
		}
	}
	if err := a.readMinDocs(def); err != nil {
		return err
	}
	for _, o := range list(def.get("order")) {
		by, ok := o.(object)
		if !ok {
			return badf("parsing_exception", "an order of terms must be an object")
		}
		for _, m := range by {
			dir, _ := m.val.(string)
			if dir != "asc" && dir != "desc" || len(a.order) == maxSortKeys {
				return badf("parsing_exception", "Unknown order direction [%s]", short(dir))
			}
			path := m.key
			if path == "_term" {
				path = "_key"
			}
			a.order = append(a.order, termOrder{path, dir == "desc"})
		}
	}
	if len(a.order) == 0 {
		a.order = []termOrder{{"_count", true}}
	}
	if a.include, err = readTermFilter(def.get("include")); err != nil {
		return err
	}
	a.exclude, err = readTermFilter(def.get("exclude"))
	return err
}

func (a *agg) readMinDocs(def object) error {
	if !def.has("min_doc_count") {
		return nil
	}
	n, err := intOf("min_doc_count", def.get("min_doc_count"), 0, math.MaxInt32)
	a.minDocs = uint64(n)
	return err
}

// A termFilter says which terms count.
type termFilter struct {
	set map[string]bool
	re  *match.Regexp
}

func readTermFilter(v any) (*termFilter, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if len(v) > maxPattern {
			return nil, badf("illegal_argument_exception", "an expression is longer than %d", maxPattern)
		}
		src, err := luceneRegexp(v, false)
		if err != nil {
			return nil, err
		}
		re, err := compile("^(?s:" + src + ")$")
		return &termFilter{re: re}, err
	case []any:
		if len(v) > maxTerms {
			return nil, badf("illegal_argument_exception", "more than %d terms to include or exclude", maxTerms)
		}
		f := &termFilter{set: map[string]bool{}}
		for _, t := range v {
			s, ok := textOf(t)
			if !ok {
				return nil, badf("parsing_exception", "a term to include or exclude is no scalar")
			}
			f.set[s] = true
		}
		return f, nil
	}
	return nil, refuse("partition of terms", "use composite to page through terms")
}

func (f *termFilter) has(s string) bool {
	if f.re != nil {
		return f.re.MatchString(s)
	}
	return f.set[s]
}
