// Package sources is what is known of each source: what it has sent since the
// server started, how timely, and whether it has fallen silent. It is for people
// who ask whether their records arrive; the account that evidence is made of is
// the store's.
//
//	sources.go  a Table of sources, filled by receive.Inlet
//	silence.go  which are expected to send, and who tells that they do not
//	metrics.go  the table as metrics
//
// It knows no protocol and no request. A Table is memory, bounded, and survives
// nothing; what it is given is copied.
package sources

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Bounds of what is known of sources.
const (
	maxSources = 10_000
	maxReasons = 32 // by source; what comes beyond them is counted as "other"
)

// A Table knows at most 10,000 sources, those that have sent nothing for longest are
// forgotten first. It is safe for concurrent use; nil knows nothing and takes
// everything.
type Table struct {
	now     func() time.Time
	expects []Expectation

	mu    sync.Mutex
	byKey map[key]*list.Element
	order list.List // of *source; front: sent longest ago
}

type key struct {
	tenant record.TenantID
	source string
}

// A Sender is of which source something came, and which way.
type Sender struct {
	Tenant   record.TenantID
	Source   string
	Receiver string
	Lossy    bool
}

// A Load is what one request brought.
type Load struct {
	Records, Bytes uint64 // bytes as decoded
	Rejected       []record.Count
	Refused        []pipeline.Refusal
	// Oldest and Newest are event times, ns; 0 if there is none.
	Oldest, Newest int64
}

// A Status is what is known of one source. Times are zero if there is none.
type Status struct {
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
	Status
	key   key
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

// New returns an empty Table. now may be nil.
func New(now func() time.Time, expects []Expectation) *Table {
	if now == nil {
		now = time.Now
	}
	t := &Table{now: now, expects: expects, byKey: map[key]*list.Element{}}
	for _, e := range expects {
		if !strings.Contains(e.Source, "*") {
			t.Know(e.tenant(), e.Source)
		}
	}
	return t
}

// Know makes a source known that has sent before, so that its silence is noticed.
func (t *Table) Know(tenant record.TenantID, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, every := t.expected(tenant, name); every > 0 {
		t.get(key{tenant, name})
	}
}

// get returns a source, made if it is new. The caller holds mu.
func (t *Table) get(k key) *source {
	if e, ok := t.byKey[k]; ok {
		return e.Value.(*source)
	}
	if len(t.byKey) >= maxSources {
		t.forget()
	}
	k.source = strings.Clone(k.source)
	x := &source{key: k, known: t.now(), Status: Status{Tenant: k.tenant, Source: k.source}}
	_, x.Every = t.expected(k.tenant, k.source)
	t.byKey[k] = t.order.PushBack(x)
	return x
}

// forget makes room: of the sources that sent longest ago, it forgets the first
// that nobody expects anything of.
func (t *Table) forget() {
	victim := t.order.Front()
	for e, n := victim, 0; e != nil && n < 100; e, n = e.Next(), n+1 {
		if e.Value.(*source).Every == 0 {
			victim = e
			break
		}
	}
	delete(t.byKey, victim.Value.(*source).key)
	t.order.Remove(victim)
}

// Took notes a request that was taken in.
func (t *Table) Took(from Sender, l *Load) {
	if t == nil {
		return
	}
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.seen(from, now)
	x.Records += l.Records
	x.Bytes += l.Bytes
	for _, c := range l.Rejected {
		x.reject(c.Name, c.N)
	}
	for i := range l.Refused {
		x.reject(l.Refused[i].Reason, 1)
	}
	if l.Newest != 0 {
		x.timely(now, l.Oldest, l.Newest)
	}
}

// Dropped counts n records, or datagrams, that were dropped and that nobody is told
// of.
func (t *Table) Dropped(from Sender, reason string, n int) {
	if t == nil {
		return
	}
	from.Lossy = true
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen(from, now).reject(reason, uint64(n))
}

// seen returns the source of a sender that has sent now.
func (t *Table) seen(from Sender, now time.Time) *source {
	x := t.get(key{from.Tenant, from.Source})
	t.order.MoveToBack(t.byKey[x.key])
	x.Receiver = from.Receiver
	x.Lossy = x.Lossy || from.Lossy
	if x.First.IsZero() {
		x.First = now
	}
	x.Last = now
	return x
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
func (x *source) status(now time.Time) Status {
	out := x.Status
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
func (t *Table) List() []Status {
	now := t.now()
	t.mu.Lock()
	out := make([]Status, 0, len(t.byKey))
	for e := t.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*source).status(now))
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(strings.Compare(string(a.Tenant), string(b.Tenant)), strings.Compare(a.Source, b.Source))
	})
	return out
}
