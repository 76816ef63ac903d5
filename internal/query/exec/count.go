package exec

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// count runs one range aggregation. The store counts in buckets whose width
// divides both the range and the step, so that every window is a run of whole
// buckets; when that takes too many buckets, each point is asked for alone.
func count(ctx context.Context, env *Env, n *plan.Count) ([]*Series, error) {
	g, err := groupingOf(ctx, env, n)
	if err != nil {
		return nil, err
	}
	c := &counter{ctx: ctx, env: env, n: n, g: g, series: map[string]*Series{}}
	s := env.Steps
	if s.N == 1 {
		err = c.point(0)
		return c.order, err
	}
	width := gcd(n.Range, s.Step)
	from := s.Start - n.Range - n.Offset + 1
	buckets := (s.End() - n.Offset + 1 - from) / width
	if buckets <= int64(env.MaxBuckets) {
		err = c.windows(from, width, int(buckets))
	} else if s.N <= env.MaxRequests {
		for i := 0; i < s.N && err == nil; i++ {
			err = c.point(i)
		}
	} else {
		err = fault.WithHint(fault.Errorf(fault.Invalid, "a range of %s at every %s over %s takes too many steps of its own",
			time.Duration(n.Range), time.Duration(s.Step), time.Duration(s.End()-s.Start)),
			"make the step and the range multiples of one another")
	}
	return c.order, err
}

type counter struct {
	ctx    context.Context
	env    *Env
	n      *plan.Count
	g      *grouping
	series map[string]*Series
	order  []*Series
}

// request asks the store. Step 0 is one bucket.
func (c *counter) request(from, to, step int64) ([]store.Group, error) {
	e := c.env
	if e.requests++; e.requests > e.MaxRequests {
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "query takes more than %d requests to the store", e.MaxRequests),
			"use a longer step or a shorter time range")
	}
	groups, stats, err := e.Store.Count(c.ctx, store.CountRequest{
		Tenant: e.Tenant, From: from, To: to, Where: e.Where(c.n.Log), By: c.g.by,
		Step: step, Sum: c.n.Bytes, Budget: e.Budget,
	})
	addStats(&e.Stats, stats)
	if err != nil {
		return nil, err
	}
	if len(groups) > e.MaxSeries {
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "query makes %d series, limit %d", len(groups), e.MaxSeries),
			"group by fewer labels, or select less")
	}
	return groups, nil
}

// point counts the window of step i alone.
func (c *counter) point(i int) error {
	to := c.env.Steps.At(i) - c.n.Offset + 1
	groups, err := c.request(to-c.n.Range, to, 0)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if at(g.Counts, 0) == 0 {
			continue
		}
		s, err := c.of(g.Values)
		if err != nil {
			return err
		}
		c.add(s, i, at(g.Counts, 0), at(g.Bytes, 0))
	}
	return c.finish(i, i+1)
}

// windows counts all steps from buckets of the given width, the first of which
// starts at from.
func (c *counter) windows(from, width int64, buckets int) error {
	groups, err := c.request(from, from+int64(buckets)*width, width)
	if err != nil {
		return err
	}
	every, long := int(c.env.Steps.Step/width), int(c.n.Range/width)
	for _, g := range groups {
		var s *Series
		var n, bytes uint64
		low, high := 0, 0 // the buckets summed up so far
		for i := range c.env.Steps.N {
			for ; high < i*every+long; high++ {
				n += at(g.Counts, high)
				bytes += at(g.Bytes, high)
			}
			for ; low < i*every; low++ {
				n -= at(g.Counts, low)
				bytes -= at(g.Bytes, low)
			}
			if n == 0 {
				continue
			}
			if s == nil {
				if s, err = c.of(g.Values); err != nil {
					return err
				}
			}
			c.add(s, i, n, bytes)
		}
	}
	return c.finish(0, c.env.Steps.N)
}

func at(counts []uint64, i int) uint64 {
	if i < len(counts) {
		return counts[i]
	}
	return 0
}

// of returns the series of a group: several groups may share one.
func (c *counter) of(values []string) (*Series, error) {
	l := c.g.labels(values)
	key := l.Key()
	s, ok := c.series[key]
	if !ok {
		if (len(c.order)+1)*c.env.Steps.N > maxCells {
			return nil, fault.WithHint(fault.Errorf(fault.Overload, "query makes more than %d series of %d points", len(c.order), c.env.Steps.N),
				"group by fewer labels, use a longer step or a shorter time range")
		}
		s = newSeries(l, c.env.Steps.N)
		c.series[key] = s
		c.order = append(c.order, s)
	}
	return s, nil
}

// maxCells bounds series times points of one intermediate answer; one takes
// nine bytes.
const maxCells = 4 << 20

func (c *counter) add(s *Series, i int, n, bytes uint64) {
	v := n
	if c.n.Bytes {
		v = bytes
	}
	s.set(i, s.Vals[i]+float64(v))
}

// finish turns counts into rates.
func (c *counter) finish(from, to int) error {
	if !c.n.Rate {
		return nil
	}
	seconds := float64(c.n.Range) / float64(time.Second)
	for _, s := range c.order {
		for i := from; i < to; i++ {
			s.Vals[i] /= seconds
		}
	}
	return nil
}

// grouping says by which fields the store groups, and what labels a group has.
type grouping struct {
	by     []string // asked of the store
	shown  []string // label name of each
	always int      // the first by columns that every series shows
	// declared is the index in by of stream.labels, or -1. The by columns
	// after it are shown for the groups whose value of it names them.
	declared int
}

// maxDeclared bounds the fields that senders declared to be labels.
const maxDeclared = 200

func groupingOf(ctx context.Context, env *Env, n *plan.Count) (*grouping, error) {
	g := &grouping{declared: -1}
	add := func(asked, shown string) {
		g.by, g.shown = append(g.by, asked), append(g.shown, shown)
	}
	for _, name := range n.By {
		if name == plan.ClassName {
			add(match.Class, name)
		} else {
			add(name, name)
		}
	}
	g.always = len(g.by)
	if !n.Stream {
		return g, nil
	}
	for _, s := range schema.StreamLabels() {
		if !slices.Contains(g.shown, s.Label) {
			add(s.Label, s.Label)
		}
	}
	g.always = len(g.by)
	from, to := env.span(n)
	names, err := DeclaredLabels(ctx, env.Store, store.ValuesRequest{
		Tenant: env.Tenant, From: from, To: to, Where: env.Where(n.Log),
	}, &env.Stats)
	if err != nil || len(names) == 0 {
		return g, err
	}
	g.declared = len(g.by)
	add(record.Labels, "")
	for _, name := range names {
		add(name, schema.Identifier(name))
	}
	return g, nil
}

// span returns the time range that all windows of n cover.
func (e *Env) span(n *plan.Count) (from, to int64) {
	return e.Steps.Start - n.Range - n.Offset + 1, e.Steps.End() - n.Offset + 1
}

// DeclaredLabels returns the fields that senders declared to be stream labels,
// in order of their names.
func DeclaredLabels(ctx context.Context, r store.Reader, req store.ValuesRequest, sum *store.Stats) ([]string, error) {
	req.Field, req.Limit = record.Labels, math.MaxInt32
	values, stats, err := r.Values(ctx, req)
	addStats(sum, stats)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range values {
		for name := range split(v.Name) {
			if i, found := slices.BinarySearch(names, name); !found {
				names = slices.Insert(names, i, name)
			}
		}
	}
	if len(names) > maxDeclared {
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "senders declared %d different labels, limit %d", len(names), maxDeclared),
			"aggregate with sum by (…), or select less")
	}
	return names, nil
}

// labels returns the labels of a group.
func (g *grouping) labels(values []string) Labels {
	l := make(Labels, 0, g.always)
	for i := 0; i < g.always; i++ {
		l = append(l, Label{g.shown[i], values[i]})
	}
	if g.declared >= 0 {
		for name := range split(values[g.declared]) {
			for i := g.declared + 1; i < len(g.by); i++ {
				if g.by[i] == name {
					l = append(l, Label{g.shown[i], values[i]})
				}
			}
		}
	}
	return sorted(l)
}

// Streams returns the label sets of the records that a request counts.
func Streams(ctx context.Context, env *Env, l *plan.Log, from, to int64) ([]Labels, []uint64, error) {
	env.Steps = Steps{Start: to - 1, N: 1}
	series, err := count(ctx, env, &plan.Count{Log: l, Range: to - from, Stream: true})
	if err != nil {
		return nil, nil, err
	}
	labels, counts := make([]Labels, len(series)), make([]uint64, len(series))
	for i, s := range series {
		labels[i], counts[i] = s.Labels, uint64(s.Vals[0])
	}
	return labels, counts, nil
}
