package tail

import (
	"sync"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A channel is the watchers of one tenant who are given the same records.
type channel struct {
	where  match.Predicate
	shared string // name of then
	alone  bool   // of one watcher, who runs its pipeline by itself
	subs   map[*Subscription]struct{}

	// Owned by who matches.
	matcher *match.Matcher
	then    func(*record.Record) (record.Record, bool)
}

// join adds a subscription to the channel of those who ask the same.
func (w *watched) join(s *Subscription, req *Request) {
	s.here = true
	text, alone := s.where.String(), req.Then != nil && req.Shared == ""
	for _, c := range w.channels[text] {
		if !alone && !c.alone && c.shared == req.Shared && match.Equal(c.where, s.where) {
			c.subs[s] = struct{}{}
			s.channel = c
			return
		}
	}
	c := &channel{where: s.where, shared: req.Shared, alone: alone, matcher: match.Compile(s.where), subs: map[*Subscription]struct{}{s: {}}}
	if !alone {
		c.then = req.Then
	}
	s.channel = c
	w.channels[text] = append(w.channels[text], c)
}

// leave takes a subscription out of its channel.
func (w *watched) leave(s *Subscription) {
	c := s.channel
	if delete(c.subs, s); len(c.subs) > 0 {
		return
	}
	text := s.where.String()
	list := w.channels[text][:0:0]
	for _, o := range w.channels[text] {
		if o != c {
			list = append(list, o)
		}
	}
	if w.channels[text] = list; len(list) == 0 {
		delete(w.channels, text)
	}
}

// room returns how many records one of its watchers can take at most, and whether
// any wants to be told of a commit that ends at last. The caller holds hub.mu.
func (c *channel) room(last uint64) (most int, any bool) {
	for s := range c.subs {
		if !s.live || last <= s.offered {
			continue
		}
		any = true
		if s.dropped == 0 {
			most = max(most, s.hub.opt.Queue-s.waiting)
		}
	}
	return most, any
}

// A find is what one commit has for a channel.
type find struct {
	channel *channel
	room    int // records that are worth keeping
	parcel  *Parcel
	upTo    uint64 // Ord up to which the parcel has everything
	beyond  uint64 // records that match and are not in the parcel
}

// detached are records of a batch that outlive it, which channels share.
type detached struct {
	b       *record.Batch
	mu      sync.Mutex
	records map[int]record.Record
}

func (d *detached) record(i int) record.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.records[i]
	if !ok {
		if d.records == nil {
			d.records = map[int]record.Record{}
		}
		r = d.b.Record(i)
		d.records[i] = r
	}
	return r
}

// find looks for the records of a channel.
func (f *find) find(d *detached) {
	b, c, p := d.b, f.channel, &Parcel{}
	f.upTo = b.Ord + uint64(b.Len()) - 1
	c.matcher.Bind(b)
	for i := range b.Len() {
		if !c.matcher.MatchRow(b, i) {
			continue
		}
		if len(p.Records) >= f.room {
			if f.beyond == 0 {
				f.upTo = b.Ord + uint64(i) - 1
			}
			f.beyond++
			continue
		}
		r := d.record(i)
		if c.then != nil {
			var keep bool
			if r, keep = c.then(&r); !keep {
				continue
			}
		}
		p.Records = append(p.Records, r)
		p.bytes += size(&r)
	}
	f.parcel = p
}

// A Parcel is records of one commit that were found for several watchers. They
// share it: it MUST NOT be changed.
type Parcel struct {
	Records []record.Record
	bytes   int64

	mu    sync.Mutex
	forms map[string]any
}

// Form returns the records of a parcel in a form that encode gives them. All
// watchers who share the parcel and ask by one name get the one value that the
// first of them made; it MUST NOT be changed.
func Form[T any](p *Parcel, name string, encode func([]record.Record) T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.forms[name].(T); ok {
		return v
	}
	v := encode(p.Records)
	if p.forms == nil {
		p.forms = map[string]any{}
	}
	p.forms[name] = v
	return v
}

// first returns a parcel of its first n records, not shared with others.
func (p *Parcel) first(n int) *Parcel {
	out := &Parcel{Records: p.Records[:n:n]}
	for i := range out.Records {
		out.bytes += size(&out.Records[i])
	}
	return out
}
