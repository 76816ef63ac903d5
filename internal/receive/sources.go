package receive

import (
	"cmp"
	"container/list"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Bounds of what is known of sources.
const (
	maxSources = 10_000
	maxReasons = 32 // by source; what comes beyond them is counted as "other"
)

// Sources knows of each source what it has sent since the server started, and how
// timely. It is for people who ask whether their records arrive; the account that
// evidence is made of is the store's. At most 10,000 sources are known, those that
// have sent nothing for longest are forgotten first. It is safe for concurrent
// use.
type Sources struct {
	now     func() time.Time
	expects []Expectation

	mu    sync.Mutex
	byKey map[sourceKey]*list.Element
	order list.List // of *source; front: sent longest ago
}

type sourceKey struct {
	tenant record.TenantID
	source string
}

// A SourceStatus is what is known of one source. Times are zero if there is none.
type SourceStatus struct {
	Tenant   record.TenantID
	Source   string
	Receiver string // "" for one that has sent nothing since the start
	// Lossy says that nobody is told of records that are lost on their way.
	Lossy   bool
	Records uint64 // handed in, with those refused or dropped by policy
	Bytes   uint64 // decoded
	// Rejected counts records that were refused for good, and datagrams that were
	// dropped, by reason.
	Rejected    []record.Count
	First, Last time.Time
	// Lag is ingest time less event time: of the newest record of the last request,
	// and the most of the last minute.
	Lag, MaxLag time.Duration
	// Skew is how far event times lay in the future, at most, in the last minute.
	Skew time.Duration
	// Every is within what time the source is expected to send; 0: no such thing.
	Every time.Duration
	// Silent says that it has not, and since when.
	Silent bool
	Since  time.Time
}

type source struct {
	SourceStatus
	key   sourceKey
	known time.Time // when we first knew of it
	slots [slots]slot
	told  bool // its silence was told
}

// The last minute is kept in slots.
const (
	slots    = 7 // the one that is being filled, and a minute before it
	slotTime = 10 * time.Second
)

type slot struct {
	at        int64 // number of the slot since 1970
	lag, skew time.Duration
}

// NewSources returns an empty Sources. now may be nil.
func NewSources(now func() time.Time, expects []Expectation) *Sources {
	if now == nil {
		now = time.Now
	}
	s := &Sources{now: now, expects: expects, byKey: map[sourceKey]*list.Element{}}
	for _, e := range expects {
		if !strings.Contains(e.Source, "*") {
			s.Know(e.tenant(), e.Source)
		}
	}
	return s
}

// Know makes a source known that has sent before, so that its silence is noticed.
func (s *Sources) Know(tenant record.TenantID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, every := s.expected(tenant, name); every > 0 {
		s.get(sourceKey{tenant, name})
	}
}

// get returns a source, made if it is new. The caller holds mu.
func (s *Sources) get(k sourceKey) *source {
	if e, ok := s.byKey[k]; ok {
		return e.Value.(*source)
	}
	if len(s.byKey) >= maxSources {
		s.forget()
	}
	k.source = strings.Clone(k.source)
	x := &source{key: k, known: s.now(), SourceStatus: SourceStatus{Tenant: k.tenant, Source: k.source}}
	_, x.Every = s.expected(k.tenant, k.source)
	s.byKey[k] = s.order.PushBack(x)
	return x
}

// forget makes room: of the sources that sent longest ago, it forgets the first
// that nobody expects anything of.
func (s *Sources) forget() {
	victim := s.order.Front()
	for e, n := victim, 0; e != nil && n < 100; e, n = e.Next(), n+1 {
		if e.Value.(*source).Every == 0 {
			victim = e
			break
		}
	}
	delete(s.byKey, victim.Value.(*source).key)
	s.order.Remove(victim)
}

// took notes a request that was taken in.
func (s *Sources) took(f *Inlet, from Sender, set *Set, out *pipeline.Outcome, bytes int64) {
	if s == nil {
		return
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.seen(f.Name, from, now)
	x.Lossy = x.Lossy || from.Lossy || f.Lossy && !from.answered
	x.Records += uint64(set.Total())
	x.Bytes += uint64(max(bytes, 0))
	for _, c := range set.Rejected {
		x.reject(c.Name, c.N)
	}
	for i := range out.Refused {
		x.reject(out.Refused[i].Reason, 1)
	}
	if out.Newest != 0 {
		x.timely(now, out.Oldest, out.Newest)
	}
}

// Appended notes a batch that an agent's pipeline made and that was appended here
// as it is, with the bytes it came in.
func (in *Inlet) Appended(b *record.Batch, bytes int) {
	s := in.sources
	if s == nil {
		return
	}
	var oldest, newest int64
	for i, t := range b.Times() {
		if i == 0 {
			oldest, newest = t, t
		}
		oldest, newest = min(oldest, t), max(newest, t)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.seen(in.Name, Sender{Tenant: b.Tenant, Source: b.Source}, now)
	x.Records += b.Account.Received
	x.Bytes += uint64(bytes)
	for _, c := range b.Account.Rejected {
		x.reject(c.Name, c.N)
	}
	if newest != 0 {
		x.timely(now, oldest, newest)
	}
}

// seen returns the source of a sender that has sent now.
func (s *Sources) seen(receiver string, from Sender, now time.Time) *source {
	x := s.get(sourceKey{from.Tenant, from.Source})
	s.order.MoveToBack(s.byKey[x.key])
	x.Receiver = receiver
	if x.First.IsZero() {
		x.First = now
	}
	x.Last = now
	return x
}

// Dropped counts n records, or datagrams, of a sender that were dropped and that
// nobody is told of.
func (s *Sources) Dropped(receiver string, from Sender, reason string, n int) {
	if s == nil {
		return
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.seen(receiver, from, now)
	x.Lossy = true
	x.reject(reason, uint64(n))
}

func (x *source) reject(reason string, n uint64) {
	for i := range x.Rejected {
		if x.Rejected[i].Name == reason || i == maxReasons-1 {
			x.Rejected[i].N += n
			return
		}
	}
	if len(x.Rejected) == maxReasons-1 {
		reason = "other"
	}
	x.Rejected = append(x.Rejected, record.Count{Name: strings.Clone(reason), N: n})
}

// timely notes event times of a request, ns.
func (x *source) timely(now time.Time, oldest, newest int64) {
	at := now.UnixNano()
	x.Lag = time.Duration(at - newest)
	s := x.slot(now)
	s.lag = max(s.lag, time.Duration(at-oldest))
	s.skew = max(s.skew, time.Duration(newest-at))
}

// slot returns the slot of now.
func (x *source) slot(now time.Time) *slot {
	at := now.UnixNano() / int64(slotTime)
	s := &x.slots[at%slots]
	if s.at != at {
		*s = slot{at: at}
	}
	return s
}

// status returns the source as of now.
func (x *source) status(now time.Time) SourceStatus {
	out := x.SourceStatus
	out.Rejected = slices.Clone(out.Rejected)
	at := now.UnixNano() / int64(slotTime)
	for _, s := range x.slots {
		if s.at > at-slots && s.at <= at {
			out.MaxLag, out.Skew = max(out.MaxLag, s.lag), max(out.Skew, s.skew)
		}
	}
	if since := x.since(); x.Every > 0 && now.Sub(since) >= x.Every {
		out.Silent, out.Since = true, since
	}
	return out
}

// since returns when the source last sent, or since when we would know.
func (x *source) since() time.Time {
	if x.Last.IsZero() {
		return x.known
	}
	return x.Last
}

// List returns every source that is known, by tenant and name.
func (s *Sources) List() []SourceStatus {
	now := s.now()
	s.mu.Lock()
	out := make([]SourceStatus, 0, len(s.byKey))
	for e := s.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*source).status(now))
	}
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b SourceStatus) int {
		return cmp.Or(strings.Compare(string(a.Tenant), string(b.Tenant)), strings.Compare(a.Source, b.Source))
	})
	return out
}

// maxPublished is how many sources metrics tell apart, those that sent last; the
// others are one source named "other".
const maxPublished = 256

// Publish makes the sources metrics. m may be nil.
func (s *Sources) Publish(m *telemetry.Metrics) {
	if m != nil {
		m.MustRegister(&sourceMetrics{s})
	}
}

type sourceMetrics struct{ s *Sources }

var (
	sourceLabels  = []string{"tenant", "source"}
	sourceRecords = prometheus.NewDesc("meshtrail_source_records", "Records that a source has handed in since the server started, as far as it is still known.", append(sourceLabels, "lossy"), nil)
	sourceSeen    = prometheus.NewDesc("meshtrail_source_last_seen_timestamp_seconds", "When a source last sent.", sourceLabels, nil)
	sourceLag     = prometheus.NewDesc("meshtrail_source_lag_seconds", "Ingest time less event time: at most in the last minute.", sourceLabels, nil)
	sourceSkew    = prometheus.NewDesc("meshtrail_source_skew_seconds", "How far event times lay in the future: at most in the last minute.", sourceLabels, nil)
	sourceSilent  = prometheus.NewDesc("meshtrail_source_silent", "1 for a source that is expected to send and has not.", sourceLabels, nil)
)

// Describe implements prometheus.Collector.
func (c *sourceMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sourceRecords, sourceSeen, sourceLag, sourceSkew, sourceSilent} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *sourceMetrics) Collect(out chan<- prometheus.Metric) {
	list := c.s.List()
	slices.SortStableFunc(list, func(a, b SourceStatus) int { return b.Last.Compare(a.Last) })
	others := 0.0
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for i, x := range list {
		t, name := string(x.Tenant), x.Source
		if x.Every > 0 {
			silent := 0.0
			if x.Silent {
				silent = 1
			}
			if i < maxPublished || x.Silent {
				gauge(sourceSilent, silent, t, name)
			}
		}
		if i >= maxPublished {
			others += float64(x.Records)
			continue
		}
		gauge(sourceRecords, float64(x.Records), t, name, strconv.FormatBool(x.Lossy))
		if !x.Last.IsZero() {
			gauge(sourceSeen, float64(x.Last.UnixNano())/1e9, t, name)
			gauge(sourceLag, x.MaxLag.Seconds(), t, name)
			gauge(sourceSkew, x.Skew.Seconds(), t, name)
		}
	}
	if others > 0 {
		gauge(sourceRecords, others, "", telemetry.Other, "false")
	}
}
