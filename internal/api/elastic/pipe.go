package elastic

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A pipe is a pipeline aggregation: it computes with the values of others.
type pipe struct {
	name, kind string
	meta       any
	path       string            // buckets_path
	paths      map[string]string // of bucket_script and bucket_selector, by variable
	expr       *expr
	window     int
	shift      int
	lag        int
	fn         string
	unit       float64 // ms, of derivative
	zeros      bool    // gap_policy insert_zeros
	keep       bool    // gap_policy keep_values
}

var pipeKinds = map[string]bool{
	"derivative": true, "cumulative_sum": true, "moving_fn": true, "moving_avg": true, "serial_diff": true, "bucket_script": true,
	"bucket_selector": true, "avg_bucket": true, "sum_bucket": true, "min_bucket": true, "max_bucket": true, "stats_bucket": true,
}

// sibling reports whether the pipe stands beside what it computes with.
func (p *pipe) sibling() bool { return strings.HasSuffix(p.kind, "_bucket") }

const maxPaths = 32

func readPipe(name, kind string, def object, meta any) (*pipe, error) {
	p := &pipe{name: name, kind: kind, meta: meta, window: 5, lag: 1}
	p.zeros = def.get("gap_policy") == "insert_zeros"
	p.keep = def.get("gap_policy") == "keep_values"
	switch v := def.get("buckets_path").(type) {
	case string:
		p.path = v
		p.paths = map[string]string{"_value": v}
	case object:
		p.paths = map[string]string{}
		for _, m := range v {
			s, _ := m.val.(string)
			if s == "" || len(p.paths) == maxPaths {
				return nil, badf("parsing_exception", "buckets_path of [%s] must name at most %d aggregations", short(name), maxPaths)
			}
			p.paths[m.key] = s
		}
	default:
		return nil, badf("illegal_argument_exception", "Missing required field [buckets_path] for %s aggregation [%s]", kind, short(name))
	}
	if p.path == "" && kind != "bucket_script" && kind != "bucket_selector" {
		return nil, badf("parsing_exception", "buckets_path of [%s] must be a text", short(name))
	}
	return p, p.readOptions(def)
}

func (p *pipe) readOptions(def object) (err error) {
	if def.has("window") {
		if p.window, err = intOf("window", def.get("window"), 1, maxBuckets); err != nil {
			return err
		}
	}
	switch p.kind {
	case "derivative":
		if def.has("unit") {
			r := rounding{zone: time.UTC}
			if r.calendar(def.get("unit")) == nil {
				p.unit = float64(r.next(0)) / 1e6
			} else if err = r.fixedly(def.get("unit")); err != nil {
				return err
			} else {
				p.unit = float64(r.fixed) / 1e6
			}
		}
	case "serial_diff":
		if def.has("lag") {
			p.lag, err = intOf("lag", def.get("lag"), 1, maxBuckets)
		}
	case "moving_avg":
		p.fn = "unweightedAvg"
		switch m := def.get("model"); m {
		case nil, "simple":
		case "linear":
			p.fn = "linearWeightedAvg"
		default:
			s, _ := textOf(m)
			return refuse("model "+s+" of moving_avg", "use simple or linear")
		}
	case "moving_fn":
		if def.has("shift") {
			if p.shift, err = intOf("shift", def.get("shift"), -maxBuckets, maxBuckets); err != nil {
				return err
			}
		}
		src := scriptOf(def.get("script"))
		name, ok := strings.CutPrefix(strings.TrimSpace(src), "MovingFunctions.")
		name, _, args := strings.Cut(name, "(")
		if _, known := movingFuncs[name]; !ok || !known || !args {
			return refuse("script ["+short(src)+"]", "moving_fn knows MovingFunctions.max, min, sum, unweightedAvg, linearWeightedAvg and stdDev")
		}
		p.fn = name
	case "bucket_script", "bucket_selector":
		src := scriptOf(def.get("script"))
		if p.expr, err = parseExpr(src); err != nil {
			return err
		}
		for _, v := range p.expr.variables {
			if _, ok := p.paths[v]; !ok {
				return badf("illegal_argument_exception", "the script names [%s], which buckets_path does not", short(v))
			}
		}
	}
	return err
}

// scriptOf returns the text of a script.
func scriptOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case object:
		for _, k := range []string{"source", "inline"} {
			if s, ok := v.get(k).(string); ok {
				return s
			}
		}
	}
	return ""
}

var movingFuncs = map[string]func(v []float64) float64{
	"max": func(v []float64) float64 {
		out := math.NaN()
		for _, f := range v {
			if math.IsNaN(out) || f > out {
				out = f
			}
		}
		return out
	},
	"min": func(v []float64) float64 {
		out := math.NaN()
		for _, f := range v {
			if math.IsNaN(out) || f < out {
				out = f
			}
		}
		return out
	},
	"sum": sumOf,
	"unweightedAvg": func(v []float64) float64 {
		if len(v) == 0 {
			return math.NaN()
		}
		return sumOf(v) / float64(len(v))
	},
	"linearWeightedAvg": func(v []float64) float64 {
		sum, weights := 0.0, 0.0
		for i, f := range v {
			sum += f * float64(i+1)
			weights += float64(i + 1)
		}
		if weights == 0 {
			return math.NaN()
		}
		return sum / weights
	},
	"stdDev": func(v []float64) float64 {
		if len(v) == 0 {
			return math.NaN()
		}
		mean, sum := sumOf(v)/float64(len(v)), 0.0
		for _, f := range v {
			sum += (f - mean) * (f - mean)
		}
		return math.Sqrt(sum / float64(len(v)))
	},
}

func sumOf(v []float64) float64 {
	sum := 0.0
	for _, f := range v {
		sum += f
	}
	return sum
}

// run computes the pipe over the buckets of its parent and adds the results.
func (p *pipe) run(buckets []*bucketOut) ([]*bucketOut, error) {
	if p.expr != nil {
		return p.script(buckets)
	}
	vals := make([]float64, len(buckets)) // NaN: a gap
	for i, b := range buckets {
		v, err := b.value(p.path)
		if err != nil {
			return nil, err
		}
		if b.docs == 0 && !strings.HasSuffix(p.path, "_count") && !p.keep {
			v = math.NaN()
		}
		if math.IsNaN(v) && p.zeros {
			v = 0
		}
		vals[i] = v
	}
	switch p.kind {
	case "derivative":
		p.derivative(buckets, vals)
	case "cumulative_sum":
		sum := 0.0
		for i, b := range buckets {
			if !math.IsNaN(vals[i]) {
				sum += vals[i]
			}
			b.extra(p, sum)
		}
	case "serial_diff":
		for i, b := range buckets {
			if i >= p.lag && !math.IsNaN(vals[i]) && !math.IsNaN(vals[i-p.lag]) {
				b.extra(p, vals[i]-vals[i-p.lag])
			}
		}
	case "moving_fn", "moving_avg":
		p.moving(buckets, vals)
	}
	return buckets, nil
}

func (p *pipe) derivative(buckets []*bucketOut, vals []float64) {
	last := -1
	for i, b := range buckets {
		if math.IsNaN(vals[i]) {
			continue
		}
		if last >= 0 {
			d := vals[i] - vals[last]
			b.extra(p, d)
			if p.unit > 0 {
				if span := b.sort - buckets[last].sort; span > 0 {
					o := &b.extras[len(b.extras)-1]
					o.body = append(o.body, member{"normalized_value", double(d / span * p.unit)})
				}
			}
		}
		last = i
	}
}

// moving computes over a window: that of moving_fn ends before the bucket, that of
// the older moving_avg with it.
func (p *pipe) moving(buckets []*bucketOut, vals []float64) {
	f := movingFuncs[p.fn]
	var window []float64
	for i, b := range buckets {
		from, to := i-p.window+p.shift, i+p.shift
		if p.kind == "moving_avg" {
			from, to = from+1, to+1
		}
		window = window[:0]
		for k := max(0, from); k < min(len(vals), to); k++ {
			if !math.IsNaN(vals[k]) {
				window = append(window, vals[k])
			}
		}
		v := f(window)
		if p.kind == "moving_avg" && len(window) == 0 {
			continue
		}
		b.extra(p, v)
	}
}

func (p *pipe) script(buckets []*bucketOut) ([]*bucketOut, error) {
	var kept []*bucketOut
	vars := map[string]float64{}
	for _, b := range buckets {
		gap := false
		for name, path := range p.paths {
			v, err := b.value(path)
			if err != nil {
				return nil, err
			}
			if b.docs == 0 && !strings.HasSuffix(path, "_count") && !p.keep {
				v = math.NaN() // a gap, as for the other pipes
			}
			if math.IsNaN(v) && p.zeros {
				v = 0
			}
			gap = gap || math.IsNaN(v)
			vars[name] = v
		}
		v := math.NaN()
		if !gap {
			v = p.expr.eval(vars)
		}
		if p.kind == "bucket_selector" {
			if gap || v != 0 && !math.IsNaN(v) {
				kept = append(kept, b)
			}
			continue
		}
		if !gap {
			b.extra(p, v)
		}
	}
	if p.kind == "bucket_selector" {
		return kept, nil
	}
	return buckets, nil
}

// runSibling computes a pipe that stands beside the aggregation that it names.
func (p *pipe) runSibling(outs []*out) (object, error) {
	name, rest, _ := strings.Cut(p.path, ">")
	var vals []float64
	var keys []any
	found := false
	for _, o := range outs {
		if o.a.name != name {
			continue
		}
		found = true
		if rest == "" {
			rest = "_count"
		}
		for _, b := range o.buckets {
			v, err := b.value(rest)
			if err != nil {
				return nil, err
			}
			if math.IsNaN(v) || b.docs == 0 && rest != "_count" {
				if !p.zeros {
					continue
				}
				v = 0
			}
			vals, keys = append(vals, v), append(keys, b.keyText)
		}
	}
	if !found {
		return nil, badf("illegal_argument_exception", "No aggregation found for path [%s]", short(p.path))
	}
	nullable := func(f float64) any {
		if math.IsNaN(f) {
			return nil
		}
		return double(f)
	}
	low, high := movingFuncs["min"](vals), movingFuncs["max"](vals)
	switch p.kind {
	case "sum_bucket":
		return object{{"value", double(sumOf(vals))}}, nil
	case "avg_bucket":
		return object{{"value", nullable(movingFuncs["unweightedAvg"](vals))}}, nil
	case "stats_bucket":
		return object{{"count", len(vals)}, {"min", nullable(low)}, {"max", nullable(high)},
			{"avg", nullable(movingFuncs["unweightedAvg"](vals))}, {"sum", double(sumOf(vals))}}, nil
	}
	best := low
	if p.kind == "max_bucket" {
		best = high
	}
	at := []any{}
	for i := range vals {
		if vals[i] == best {
			at = append(at, keys[i])
		}
	}
	return object{{"value", nullable(best)}, {"keys", at}}, nil
}

// splitPath reads one step of a path: "1", "1.std_deviation", "1[95.0]".
func splitPath(s string) (name, prop string) {
	if n := strings.IndexByte(s, '['); n > 0 && strings.HasSuffix(s, "]") {
		return s[:n], s[n+1 : len(s)-1]
	}
	if n := strings.IndexByte(s, '.'); n > 0 {
		return s[:n], s[n+1:]
	}
	return s, ""
}

func formatPercent(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
