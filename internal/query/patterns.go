package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/drain"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A PatternsRequest asks what the lines of the span have in common.
type PatternsRequest struct {
	Span
	Step  int64 // ns
	Limit int   // patterns, those with most records first; 0: 300
}

// Patterns is what lines have in common.
type Patterns struct {
	List []Pattern // those with most records first
	// Lines is how many were looked at. When the span has more, Sampled is set,
	// and the counts are scaled up from a sample of each part of the time range.
	Lines    uint64
	Sampled  bool
	Stats    store.Stats
	Warnings []string
}

// A Pattern is one shape of lines of one level, with wildcards <_>, and how many
// records have it in each step that has any. Steps start at multiples of Step.
type Pattern struct {
	Text    string
	Level   string // as the records have it; "" for none
	Total   uint64
	Samples []PatternSample
}

// A PatternSample is the count of the step that begins At, ns.
type PatternSample struct {
	At      int64
	Records uint64
}

// Bounds of one search for patterns.
const (
	patternSlices  = 96               // parts of the time range that are sampled apart
	patternLines   = 48_000           // lines looked at, over all parts
	patternTime    = 10 * time.Second // after which what was found is answered
	patternLevels  = 32               // levels told apart
	patternCells   = 1 << 20          // counts of a pattern in a step
	defaultPattern = 300
)

// levelName is the name by which patterns ask for the severity.
const levelName = "detected_level"

// Patterns finds the patterns of lines. It reads some patternLines of them at
// most: of a larger span the newest of each of its parts.
func (e *Engine) Patterns(ctx context.Context, scope access.Scope, req PatternsRequest) (*Patterns, error) {
	if req.Step <= 0 || req.To > req.From && (req.To-req.From)/req.Step > int64(e.limits.MaxPoints) {
		return nil, fault.Errorf(fault.Invalid, "step must give 1 to %d buckets", e.limits.MaxPoints)
	}
	if req.Limit <= 0 {
		req.Limit = defaultPattern
	}
	out := &Patterns{List: []Pattern{}}
	err := e.explore(ctx, scope, "patterns", &req.Span, map[string]string{"step": time.Duration(req.Step).String()}, func(ctx context.Context, l *plan.Log) error {
		s := &sampler{e: e, scope: scope, log: l, shaper: newShaper(l), req: &req, out: out, miners: map[string]*levelMiner{}}
		return s.run(ctx)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A sampler reads lines for one search for patterns.
type sampler struct {
	e      *Engine
	scope  access.Scope
	log    *plan.Log
	shaper *Shaper
	req    *PatternsRequest
	out    *Patterns
	miners map[string]*levelMiner // by level
	most   int                    // lines of one part
	other  uint64                 // lines that no pattern had room for
	cells  int                    // counts so far
}

// A levelMiner is the patterns of one level, and how many records they have:
// counts[i] are those of group i by step, scaled.
type levelMiner struct {
	miner  *drain.Miner
	counts []map[int64]float64
}

func (s *sampler) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patternTime)
	defer cancel()
	from, to, step := s.req.From, s.req.To, s.req.Step
	// Parts are whole steps, but for the first and the last, so that no step is
	// sampled in two ways.
	width := max(1, (to-from+patternSlices*step-1)/(patternSlices*step)) * step
	cuts := []int64{from}
	for at := from - mod(from, step) + step; at < to; at += width {
		cuts = append(cuts, at)
	}
	cuts = append(cuts, to)
	s.most = patternLines / (len(cuts) - 1)
	// Bodies are one column; the line of a record without one is all of them.
	body := match.Exists{Field: record.Body}
	fields := []string{record.Body, levelName}
	if s.log.Pipe != nil {
		fields = nil // the stages ask for what they need
	}
	var err error
	for i := len(cuts) - 1; i > 0 && err == nil; i-- { // the newest first
		err = s.slice(ctx, cuts[i-1], cuts[i], body, fields)
		if err == nil {
			err = s.slice(ctx, cuts[i-1], cuts[i], match.Not{P: body}, nil)
		}
		if err == nil && s.cells > patternCells {
			err = fault.Errorf(fault.Overload, "patterns have more than %d counts; use a longer step", patternCells)
		}
	}
	if err != nil && s.out.Lines > 0 && (errors.Is(err, context.DeadlineExceeded) || fault.Is(err, fault.Overload)) {
		s.out.Warnings = append(s.out.Warnings, "the answer is cut short: "+err.Error())
		s.out.Sampled, err = true, nil
	}
	if err != nil {
		return err
	}
	if s.other > 0 {
		s.out.Warnings = append(s.out.Warnings, fmt.Sprintf("%d of %d lines are of no pattern listed", s.other, s.out.Lines))
	}
	s.finish()
	return nil
}

// slice looks at the newest lines of one part of the time range.
func (s *sampler) slice(ctx context.Context, from, to int64, and match.Predicate, fields []string) error {
	l := *s.log
	l.Where = match.Simplify(match.And{l.Where, and})
	req := store.ScanRequest{
		Tenant: s.scope.Tenant(), From: from, To: to, Where: where(s.scope, &l), Fields: fields,
		Limit: s.most, Budget: s.e.limits.Budget,
	}
	var batch []seen
	looked := 0
	stats, err := s.e.opt.Store.Scan(ctx, req, func(rs []record.Record) error {
		for i := range rs {
			if err := s.shaper.goOn(ctx); err != nil {
				return err
			}
			looked++
			_, line, ok := s.shaper.Entry(&rs[i])
			if !ok {
				continue
			}
			if g, m := s.add(&line); g != nil {
				batch = append(batch, seen{m, g.ID, rs[i].Time})
			} else {
				s.other++
			}
			s.out.Lines++
		}
		return nil
	})
	addStats(&s.out.Stats, &stats)
	if err != nil || looked < s.most {
		for _, b := range batch {
			s.count(b, b.time, 1)
		}
		return err
	}
	return s.scale(ctx, req, batch, looked)
}

// seen is a line that went to a group.
type seen struct {
	miner *levelMiner
	group int
	time  int64
}

// scale lets the lines of a part that were looked at stand for all of it: each
// group gets its share of the records of every step.
func (s *sampler) scale(ctx context.Context, req store.ScanRequest, batch []seen, looked int) error {
	counts, stats, err := s.e.opt.Store.Count(ctx, store.CountRequest{
		Tenant: req.Tenant, From: req.From, To: req.To, Where: req.Where, Step: s.req.Step, Budget: req.Budget,
	})
	addStats(&s.out.Stats, &stats)
	if err != nil {
		return err
	}
	shares := map[seen]float64{}
	for _, b := range batch {
		b.time = 0
		shares[b] += 1 / float64(looked)
	}
	var all uint64
	for _, c := range counts {
		for i, n := range c.Counts {
			all += n
			at := req.From + int64(i)*s.req.Step
			for b, share := range shares {
				if n > 0 {
					s.count(b, at, share*float64(n))
				}
			}
		}
	}
	s.out.Sampled = s.out.Sampled || all > uint64(looked)
	return nil
}

// count counts n records of a line's group in the step of a time.
func (s *sampler) count(b seen, at int64, n float64) {
	m := b.miner
	for len(m.counts) <= b.group {
		m.counts = append(m.counts, map[int64]float64{})
	}
	counts := m.counts[b.group]
	before := len(counts)
	counts[at-mod(at, s.req.Step)] += n
	s.cells += len(counts) - before
}

// add puts a line to its group.
func (s *sampler) add(e *Entry) (*drain.Group, *levelMiner) {
	level := ""
	if v, ok := match.Value(levelName, &e.Record); ok {
		level = v.Text()
	}
	m := s.miners[level]
	if m == nil {
		if len(s.miners) >= patternLevels {
			return nil, nil
		}
		m = &levelMiner{miner: drain.New(drain.Limits{})}
		s.miners[level] = m
	}
	return m.miner.Add(e.Line), m
}

// finish lists the patterns. Groups that ended with the same pattern are one.
func (s *sampler) finish() {
	type key struct{ text, level string }
	byText := map[key]map[int64]float64{}
	for level, m := range s.miners {
		for i, counts := range m.counts {
			k := key{m.miner.Groups()[i].Pattern(), level}
			if byText[k] == nil {
				byText[k] = counts
				continue
			}
			for at, n := range counts {
				byText[k][at] += n
			}
		}
	}
	for k, counts := range byText {
		p := Pattern{Text: k.text, Level: k.level}
		for at, n := range counts {
			c := uint64(math.Round(n))
			if c == 0 {
				continue
			}
			p.Samples = append(p.Samples, PatternSample{at, c})
			p.Total += c
		}
		if p.Total == 0 {
			continue
		}
		slices.SortFunc(p.Samples, func(a, b PatternSample) int { return cmp.Compare(a.At, b.At) })
		s.out.List = append(s.out.List, p)
	}
	slices.SortFunc(s.out.List, func(a, b Pattern) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Level, b.Level))
	})
	s.out.List = s.out.List[:min(s.req.Limit, len(s.out.List))]
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }
