package query

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A ConsistencyRequest asks how well the records of From <= t < To answer who did
// what, when, where, and how it ended, by source.
type ConsistencyRequest struct {
	From, To int64 // ns
	Remote   string
}

// Consistency is the answer to a ConsistencyRequest. It is the JSON of the API and
// holds nothing of any record but names of sources, layouts and fields. What the
// asker may not read is not counted, and neither are audit records of Meshtrail.
type Consistency struct {
	From string `json:"from"` // RFC 3339
	To   string `json:"to"`
	// The span before, which changes are told against, is a week earlier.
	BeforeFrom string              `json:"beforeFrom"`
	BeforeTo   string              `json:"beforeTo"`
	Schema     int                 `json:"schema"`  // version of the dictionary that names are held against
	Records    uint64              `json:"records"` // of all sources
	Sources    []SourceConsistency `json:"sources"` // the largest first
	// More is how many sources are not listed.
	More int `json:"more,omitempty"`
	// Unknown are the most frequent fields that the dictionary does not know, with
	// the records that have them, at most.
	Unknown []record.Count `json:"unknown"`
	// NewFields and GoneFields are names that only one of the two spans has.
	NewFields  []string    `json:"newFields"`
	GoneFields []string    `json:"goneFields"`
	Stats      store.Stats `json:"stats"`
}

// A SourceConsistency is what is known of one source. Shares are from 0 to 1.
type SourceConsistency struct {
	Source  string `json:"source"`
	Records uint64 `json:"records"`
	Before  uint64 `json:"before"` // records of the span before
	// Who, What, Where and Outcome are the shares of records that have one of the
	// fields of Dimensions; When, of the sampled ones, those that named a time of
	// their own which was believed.
	Who     float64 `json:"who"`
	What    float64 `json:"what"`
	When    float64 `json:"when"`
	Where   float64 `json:"where"`
	Outcome float64 `json:"outcome"`
	// Skew is of the sampled records with a time of their own; nil without any.
	Sampled uint64 `json:"sampled"`
	Skew    *Skew  `json:"skew,omitempty"`
	// Parsed are the shares by parse.status, and those of the span before.
	Parsed       ParsedShares  `json:"parsed"`
	ParsedBefore ParsedShares  `json:"parsedBefore"`
	Formats      []FormatCount `json:"formats"`     // the most frequent first
	NewFormats   []string      `json:"newFormats"`  // that the span before had none of
	GoneFormats  []string      `json:"goneFormats"` // that only the span before had
	// Unknown are fields of the newest records that the dictionary does not know,
	// with how many of UnknownOf records have them.
	Unknown   []record.Count `json:"unknown"`
	UnknownOf int            `json:"unknownOf"`
}

// Skew is ingest time less event time, in seconds: negative when the sender's
// clock was ahead.
type Skew struct {
	MedianSeconds float64 `json:"medianSeconds"`
	P95Seconds    float64 `json:"p95Seconds"`
	MaxSeconds    float64 `json:"maxSeconds"`
	MinSeconds    float64 `json:"minSeconds"`
}

// ParsedShares says how much of the records was understood.
type ParsedShares struct {
	OK      float64 `json:"ok"`
	Partial float64 `json:"partial"`
	None    float64 `json:"none"`
}

// A FormatCount is the records of one layout.
type FormatCount struct {
	Format  string `json:"format"`
	Records uint64 `json:"records"`
	Before  uint64 `json:"before"`
}

// Dimensions are the fields that answer a question: a record with one of them
// does. The lists MUST NOT be changed.
var Dimensions = []Dimension{
	{"who", []string{"user.name", "user.id", "user.effective.name", "mesh.source.principal", "client.address", "source.address", "mesh.source.workload", "mesh.source.service", "tls.client.subject", "consul.token.accessor_id"}},
	{"what", []string{"event.action", "event.name", "http.request.method", "rpc.method", "k8s.audit.verb", "mesh.verdict", "mesh.policy.decision", "dns.question.name", "messaging.operation.name", schema.SpanName}},
	{"where", []string{"service.name", "k8s.pod.name", "k8s.namespace.name", "host.name", "k8s.node.name", "server.address", "destination.address", "mesh.destination.workload", "mesh.destination.service", "cloud.resource_id"}},
	{"outcome", []string{"event.outcome", "http.response.status_code", "rpc.grpc.status_code", "mesh.verdict", "mesh.policy.decision", "k8s.audit.decision", "dns.response_code", "error.code", "process.exit.code", schema.SpanStatus}},
}

// A Dimension is one question and the fields that answer it.
type Dimension struct {
	Name   string
	Fields []string
}

// Bounds of a Consistency.
const (
	maxConsistencySources = 100
	maxConsistencyNames   = 100 // of each list
	consistencySlices     = 24  // of the span, that times are sampled from
	consistencySample     = 2000
	consistencyNewest     = 200 // records of a source whose names are looked at
	week                  = 7 * 24 * time.Hour
)

// sourceName is the field that holds the source of a record.
const sourceName = "log.source"

// Consistency answers a ConsistencyRequest, audited as a query. Shares and layouts
// are counted by columns, in the whole span; times are sampled from 24 parts of
// it, 2,000 records each at most; names of fields are those of segments, and for
// each source of its 200 newest records.
func (e *Engine) Consistency(ctx context.Context, scope access.Scope, req ConsistencyRequest) (*Consistency, error) {
	span := Span{From: req.From, To: req.To, Remote: req.Remote}
	c := &consistency{e: e, scope: scope, from: req.From, to: req.To, byName: map[string]*SourceConsistency{}, times: map[string]*times{}}
	err := e.explore(ctx, scope, "consistency", &span, nil, func(ctx context.Context, l *plan.Log) error {
		c.log, c.where = l, where(scope, l)
		if err := e.checkRange(req.From-int64(week), req.To-int64(week)); err != nil {
			return err
		}
		for _, step := range []func(context.Context) error{c.formats, c.dimensions, c.sample, c.names, c.fields} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.done(), nil
}

// consistency is a request on its way.
type consistency struct {
	e        *Engine
	scope    access.Scope
	log      *plan.Log
	where    match.Predicate
	from, to int64
	out      Consistency
	byName   map[string]*SourceConsistency
	sources  []*SourceConsistency
	times    map[string]*times
}

// times are the sampled ones of a source.
type times struct {
	records, own uint64
	skews        []int64 // ns
}

func (t *times) add(r *record.Record) {
	t.records++
	if r.Time == r.Ingest || r.Ingest == 0 {
		return // of its receipt
	}
	if v, ok := r.Get("event.original_time"); ok && v.Str != "" {
		return
	}
	t.own++
	t.skews = append(t.skews, r.Ingest-r.Time)
}

func (c *consistency) count(ctx context.Context, from, to int64, p match.Predicate, by ...string) ([]store.Group, error) {
	groups, stats, err := c.e.count(ctx, c.log, store.CountRequest{Tenant: c.scope.Tenant(), From: from, To: to, Where: p, By: by})
	sumStats(&c.out.Stats, &stats)
	return groups, err
}

// formats counts the layouts of both spans, and finds the sources.
func (c *consistency) formats(ctx context.Context) error {
	type layout struct{ source, format string }
	layouts := map[layout]*FormatCount{}
	var order []layout
	for k, before := range []bool{false, true} {
		shift := int64(k) * int64(week)
		groups, err := c.count(ctx, c.from-shift, c.to-shift, c.where, sourceName, "parse.format", "parse.status")
		if err != nil {
			return err
		}
		for _, g := range groups {
			n := sum(g.Counts)
			if n == 0 {
				continue
			}
			at := layout{g.Values[0], g.Values[1]}
			f := layouts[at]
			if f == nil {
				f = &FormatCount{Format: at.format}
				layouts[at] = f
				order = append(order, at)
			}
			s := c.source(at.source)
			shares := &s.Parsed
			if before {
				f.Before += n
				s.Before += n
				shares = &s.ParsedBefore
			} else {
				f.Records += n
				s.Records += n
				c.out.Records += n
			}
			shares.add(g.Values[2], n)
		}
	}
	for _, at := range order {
		s, f := c.source(at.source), layouts[at]
		s.Formats = append(s.Formats, *f)
		switch name := cmp.Or(f.Format, "none"); {
		case f.Before == 0 && s.Before > 0:
			s.NewFormats = append(s.NewFormats, name)
		case f.Records == 0:
			s.GoneFormats = append(s.GoneFormats, name)
		}
	}
	for _, s := range c.sources {
		s.Parsed.of(s.Records)
		s.ParsedBefore.of(s.Before)
		slices.SortFunc(s.Formats, func(a, b FormatCount) int {
			return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(b.Before, a.Before), strings.Compare(a.Format, b.Format))
		})
		slices.Sort(s.NewFormats)
		slices.Sort(s.GoneFormats)
	}
	slices.SortFunc(c.sources, func(a, b *SourceConsistency) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(b.Before, a.Before), strings.Compare(a.Source, b.Source))
	})
	if n := len(c.sources) - maxConsistencySources; n > 0 {
		for _, s := range c.sources[maxConsistencySources:] {
			delete(c.byName, s.Source)
		}
		c.sources, c.out.More = c.sources[:maxConsistencySources], n
	}
	return nil
}

func (c *consistency) source(name string) *SourceConsistency {
	s := c.byName[name]
	if s == nil {
		s = &SourceConsistency{Source: name, Formats: []FormatCount{}, NewFormats: []string{}, GoneFormats: []string{}, Unknown: []record.Count{}}
		c.byName[name] = s
		c.sources = append(c.sources, s)
	}
	return s
}

func (p *ParsedShares) add(status string, n uint64) {
	switch status {
	case "ok":
		p.OK += float64(n)
	case "partial":
		p.Partial += float64(n)
	default:
		p.None += float64(n)
	}
}

// of makes shares of counts.
func (p *ParsedShares) of(n uint64) {
	p.OK, p.Partial, p.None = share(p.OK, n), share(p.Partial, n), share(p.None, n)
}

// share returns a part of n records, to four digits.
func share(part float64, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return math.Round(part/float64(n)*1e4) / 1e4
}

func sum(counts []uint64) (n uint64) {
	for _, k := range counts {
		n += k
	}
	return n
}

// dimensions counts the records that answer each question.
func (c *consistency) dimensions(ctx context.Context) error {
	for _, d := range Dimensions {
		var any match.Or
		for _, f := range d.Fields {
			any = append(any, match.Exists{Field: f})
		}
		groups, err := c.count(ctx, c.from, c.to, match.Simplify(match.And{c.where, any}), sourceName)
		if err != nil {
			return err
		}
		for _, g := range groups {
			s := c.byName[g.Values[0]]
			if s == nil {
				continue
			}
			of := share(float64(sum(g.Counts)), s.Records)
			switch d.Name {
			case "who":
				s.Who = of
			case "what":
				s.What = of
			case "where":
				s.Where = of
			case "outcome":
				s.Outcome = of
			}
		}
	}
	return nil
}

// sample reads times from parts of the span.
func (c *consistency) sample(ctx context.Context) error {
	width := max(1, (c.to-c.from+consistencySlices-1)/consistencySlices)
	for from := c.from; from < c.to; from += width {
		err := c.scan(ctx, store.ScanRequest{
			From: from, To: min(c.to, from+width), Where: c.where, Order: store.Newest, Limit: consistencySample,
			Fields: []string{sourceName, "event.original_time"},
		}, func(r *record.Record) {
			v, _ := r.Get(sourceName)
			t := c.times[v.Str]
			if t == nil {
				t = &times{}
				c.times[v.Str] = t
			}
			t.add(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *consistency) scan(ctx context.Context, req store.ScanRequest, visit func(*record.Record)) error {
	req.Tenant, req.Budget = c.scope.Tenant(), c.e.limits.Budget
	stats, err := c.e.opt.Store.Scan(ctx, req, func(rs []record.Record) error {
		for i := range rs {
			visit(&rs[i])
		}
		return nil
	})
	sumStats(&c.out.Stats, &stats)
	return err
}

// names looks at the newest records of each source: at their fields, and at their
// times where the sample has few.
func (c *consistency) names(ctx context.Context) error {
	for _, s := range c.sources {
		if s.Records == 0 || s.Source == "" {
			continue
		}
		unknown := map[string]uint64{}
		few := &times{}
		err := c.scan(ctx, store.ScanRequest{
			From: c.from, To: c.to, Order: store.Newest, Limit: consistencyNewest,
			Where: match.Simplify(match.And{c.where, match.Eq{Field: sourceName, Value: s.Source}}),
		}, func(r *record.Record) {
			s.UnknownOf++
			few.add(r)
			for i := range r.Fields {
				if name := r.Fields[i].Name; !known(name) && (unknown[name] > 0 || len(unknown) < 10*maxConsistencyNames) {
					unknown[name]++
				}
			}
		})
		if err != nil {
			return err
		}
		for name, n := range unknown {
			s.Unknown = append(s.Unknown, record.Count{Name: name, N: n})
		}
		s.Unknown = most(s.Unknown)
		if t := c.times[s.Source]; t == nil || t.records < few.records {
			c.times[s.Source] = few
		}
	}
	return nil
}

// known reports whether the dictionary knows a stored name, or intake gives it.
func known(name string) bool {
	name = strings.TrimSuffix(name, "_extracted")
	for _, p := range [...]string{"parse.", "counter.label.", "deadletter.", "overflow"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	r := schema.Resolve(name)
	return name == record.Labels || name == "@timestamp" || len(r.Names()) > 1 || schema.Answers(name)
}

// most sorts counts, the most frequent first, and cuts them off.
func most(list []record.Count) []record.Count {
	slices.SortFunc(list, func(a, b record.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name)) })
	return list[:min(len(list), maxConsistencyNames)]
}

// fields holds the names of both spans against each other and the dictionary.
func (c *consistency) fields(ctx context.Context) error {
	var in [2]map[string]uint64
	for k := range in {
		shift := int64(k) * int64(week)
		list, _, err := c.e.opt.Store.Fields(ctx, c.scope.Tenant(), c.from-shift, c.to-shift)
		if err != nil {
			return err
		}
		in[k] = map[string]uint64{}
		for _, f := range visible(list, c.scope) {
			if !strings.HasPrefix(f.Name, "audit.") { // of records that are not counted
				in[k][f.Name] += f.Records
			}
		}
	}
	c.out.Unknown, c.out.NewFields, c.out.GoneFields = []record.Count{}, []string{}, []string{}
	for name, n := range in[0] {
		if !known(name) {
			c.out.Unknown = append(c.out.Unknown, record.Count{Name: name, N: n})
		}
	}
	c.out.Unknown = most(c.out.Unknown)
	if len(in[0]) > 0 && len(in[1]) > 0 { // else nothing changed, something began or ended
		c.out.NewFields, c.out.GoneFields = only(in[0], in[1]), only(in[1], in[0])
	}
	return nil
}

// only returns the names that a has and b has not.
func only(a, b map[string]uint64) []string {
	out := []string{}
	for name := range a {
		if _, both := b[name]; !both {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), maxConsistencyNames)]
}

// done puts the answer together.
func (c *consistency) done() *Consistency {
	c.out.From, c.out.To = stamp(c.from), stamp(c.to)
	c.out.BeforeFrom, c.out.BeforeTo = stamp(c.from-int64(week)), stamp(c.to-int64(week))
	c.out.Schema = schema.Version
	c.out.Sources = []SourceConsistency{}
	for _, s := range c.sources {
		if t := c.times[s.Source]; t != nil {
			s.Sampled, s.When, s.Skew = t.records, share(float64(t.own), t.records), skewOf(t.skews)
		}
		c.out.Sources = append(c.out.Sources, *s)
	}
	return &c.out
}

func skewOf(ns []int64) *Skew {
	if len(ns) == 0 {
		return nil
	}
	slices.Sort(ns)
	at := func(q float64) float64 {
		return time.Duration(ns[int(math.Ceil(q*float64(len(ns))))-1]).Seconds()
	}
	return &Skew{MedianSeconds: at(0.5), P95Seconds: at(0.95), MaxSeconds: at(1), MinSeconds: time.Duration(ns[0]).Seconds()}
}
