package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A VolumeRequest asks how many bytes of lines the records of one log query
// have, by labels and, with a Step, over time.
type VolumeRequest struct {
	From, To int64 // From <= t < To, ns
	Step     int64 // ns; 0: the whole range at once
	Query    string
	// By names the labels to tell apart; records without any one of them are
	// left out. Empty: the names in the query's braces, or every stream label if
	// there are none.
	By []string
	// Names sums up by the names of the labels in place of their values.
	Names  bool
	Limit  int // series, the largest first; 0: 100
	Remote string
}

// Volumes is the answer to a VolumeRequest. Bucket i of a series ends at Ends[i].
type Volumes struct {
	Ends   []int64
	Series []Volume // largest first
	Stats  store.Stats
	// Partial is set when the answer is not whole; Warnings say why.
	Partial  bool
	Warnings []string
}

// A Volume is the bytes of one set of labels, by bucket.
type Volume struct {
	Labels Labels
	Name   string // with Names, in place of Labels
	Bytes  []uint64
	Total  uint64
}

// Volume answers a VolumeRequest. It asks a metric query, sum by (…)
// (bytes_over_time(…)), and that is what goes on record.
func (e *Engine) Volume(ctx context.Context, scope access.Scope, req VolumeRequest) (*Volumes, error) {
	if err := e.checkRange(req.From, req.To); err != nil {
		return nil, err
	}
	if req.Step < 0 || req.Step > 0 && (req.To-req.From)/req.Step > int64(e.limits.MaxPoints) {
		return nil, fault.Errorf(fault.Invalid, "exceeded maximum resolution of %s points per time series. Try increasing the value of the step parameter", thousands(e.limits.MaxPoints))
	}
	if req.Limit <= 0 {
		req.Limit = 100
	}
	if req.Step == 0 || req.Step > req.To-req.From {
		req.Step = req.To - req.From
	}
	x, err := logql.ParseLog(cmp.Or(req.Query, "{}"))
	if err != nil {
		return nil, err
	}
	sum := volumeQuery(x, &req)
	v := &Volumes{}
	byKey := map[string]int{}
	// The last bucket may be shorter than the others: it is asked for by itself.
	whole := (req.To - req.From) / req.Step
	for i := range whole {
		v.Ends = append(v.Ends, req.From+(i+1)*req.Step)
	}
	if err := e.addVolume(ctx, scope, v, byKey, sum, &req, req.Step, int(whole), 0); err != nil {
		return nil, err
	}
	if rest := (req.To - req.From) % req.Step; rest > 0 {
		v.Ends = append(v.Ends, req.To)
		if err := e.addVolume(ctx, scope, v, byKey, sum, &req, rest, 1, int(whole)); err != nil {
			return nil, err
		}
	}
	if req.Names {
		v.byName(req.By)
	}
	v.finish(req.Limit)
	return v, nil
}

// volumeQuery makes the metric query of a log query. Its range is set by who
// asks it.
func volumeQuery(x *logql.Log, req *VolumeRequest) func(width int64) string {
	by := req.By
	for _, name := range by {
		x.Matchers = append(x.Matchers, logql.Matcher{Name: name, Op: logql.OpRegex, Value: ".+"})
	}
	if len(by) == 0 && !req.Names {
		for _, m := range x.Matchers {
			if !slices.Contains(by, m.Name) {
				by = append(by, m.Name)
			}
		}
	}
	return func(width int64) string {
		r := &logql.RangeAgg{Op: "bytes_over_time", Log: x, Range: width}
		if len(by) == 0 {
			return r.String() // by stream labels
		}
		return (&logql.VectorAgg{Op: "sum", Grouping: &logql.Grouping{Names: by}, X: r}).String()
	}
}

// addVolume asks for n buckets of a width and adds them as those from first on.
// A window of a metric query excludes its start and includes its end, so it is
// asked for one nanosecond early.
func (e *Engine) addVolume(ctx context.Context, scope access.Scope, v *Volumes, byKey map[string]int, sum func(int64) string, req *VolumeRequest, width int64, n, first int) error {
	r := Request{
		Query: sum(width), Remote: req.Remote, Step: width,
		Start: v.Ends[first] - 1, End: v.Ends[first+n-1] - 1, Instant: n == 1,
	}
	res, err := e.Query(ctx, scope, r)
	if err != nil {
		return err
	}
	addStats(&v.Stats, &res.Stats)
	v.Partial = v.Partial || res.Partial
	v.Warnings = append(v.Warnings, res.Warnings...)
	for _, s := range res.Series {
		key := s.Labels.Key()
		i, ok := byKey[key]
		if !ok {
			i = len(v.Series)
			byKey[key] = i
			v.Series = append(v.Series, Volume{Labels: s.Labels})
		}
		to := &v.Series[i]
		for len(to.Bytes) < first+n {
			to.Bytes = append(to.Bytes, 0)
		}
		for j, has := range s.Has {
			if has {
				to.Bytes[first+j] = uint64(s.Vals[j])
				to.Total += uint64(s.Vals[j])
			}
		}
	}
	return nil
}

// byName sums up by the names of labels: all of them, or those in only.
func (v *Volumes) byName(only []string) {
	var out []Volume
	at := map[string]int{}
	for _, s := range v.Series {
		for _, l := range s.Labels {
			if len(only) > 0 && !slices.Contains(only, l.Name) {
				continue
			}
			i, ok := at[l.Name]
			if !ok {
				i = len(out)
				at[l.Name] = i
				out = append(out, Volume{Name: l.Name, Bytes: make([]uint64, len(v.Ends))})
			}
			for j, n := range s.Bytes {
				out[i].Bytes[j] += n
			}
			out[i].Total += s.Total
		}
	}
	v.Series = out
}

// finish sorts the series and keeps the largest; those without a byte go.
func (v *Volumes) finish(limit int) {
	v.Series = slices.DeleteFunc(v.Series, func(s Volume) bool { return s.Total == 0 })
	for i := range v.Series {
		for s := &v.Series[i]; len(s.Bytes) < len(v.Ends); {
			s.Bytes = append(s.Bytes, 0)
		}
	}
	slices.SortFunc(v.Series, func(a, b Volume) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name), compareLabels(a.Labels, b.Labels))
	})
	v.Series = v.Series[:min(limit, len(v.Series))]
}

// addStats sums what requests cost.
func addStats(a, b *store.Stats) {
	a.Segments = max(a.Segments, b.Segments)
	a.Blocks += b.Blocks
	a.BlocksPruned += b.BlocksPruned
	a.BlocksScanned += b.BlocksScanned
	a.PrunedByTime += b.PrunedByTime
	a.PrunedByColumns += b.PrunedByColumns
	a.PrunedByTokens += b.PrunedByTokens
	a.RowsScanned += b.RowsScanned
	a.RowsMatched += b.RowsMatched
	a.BytesRead += b.BytesRead
	a.BytesDecoded += b.BytesDecoded
	a.Elapsed += b.Elapsed
	a.ResultCache.Add(b.ResultCache)
	for _, d := range b.Damaged {
		if !slices.Contains(a.Damaged, d) {
			a.Damaged = append(a.Damaged, d)
		}
	}
}

// An Extent is how much a query would read.
type Extent struct {
	Streams int
	Records uint64
	Bytes   uint64 // of lines, estimated from the newest ones
	Blocks  int    // that cannot be ruled out
}

// extentSample is how many lines the estimate of an Extent is made of.
const extentSample = 500

// Extent answers how much there is in a span.
func (e *Engine) Extent(ctx context.Context, scope access.Scope, s Span) (Extent, error) {
	var out Extent
	err := e.explore(ctx, scope, "stats", &s, nil, func(ctx context.Context, l *plan.Log) error {
		env := &exec.Env{
			Store: e.opt.Store, Tenant: scope.Tenant(), Budget: e.limits.Budget,
			Where:     func(l *plan.Log) match.Predicate { return where(scope, l) },
			MaxSeries: e.limits.MaxSeries, MaxBuckets: maxBuckets, MaxRequests: maxRequests,
		}
		labels, counts, err := exec.Streams(ctx, env, l, s.From, s.To)
		if err != nil {
			return err
		}
		out.Streams = len(labels)
		out.Blocks = env.Stats.Blocks - env.Stats.BlocksPruned
		for _, n := range counts {
			out.Records += n
		}
		var lines, bytes uint64
		var line []byte
		_, err = e.opt.Store.Scan(ctx, store.ScanRequest{
			Tenant: scope.Tenant(), From: s.From, To: s.To, Where: where(scope, l), Limit: extentSample, Budget: e.limits.Budget,
		}, func(rs []record.Record) error {
			for i := range rs {
				line = match.AppendLine(line[:0], &rs[i])
				lines, bytes = lines+1, bytes+uint64(len(line))
			}
			return nil
		})
		if lines > 0 {
			out.Bytes = uint64(float64(bytes) / float64(lines) * float64(out.Records))
		}
		return err
	})
	return out, err
}
