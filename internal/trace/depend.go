package trace

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// maxJoined bounds the spans whose parents are looked for at once.
const maxJoined = 1_000_000

// A Dependency says how often one service called another, and how often in vain.
type Dependency struct {
	Parent, Child string
	Calls, Errors uint64
	// FromLogs is set where no span tells of it: the proxies' access logs do.
	FromLogs bool
}

// Dependencies returns who calls whom, From <= t < To (ns), sorted by name. Calls
// are seen in spans: where a span and its parent are of two services, and where a
// client or a server names the other side and that side has no span of its own.
// What spans do not tell, access logs of meshes do: source and destination of each
// request, as one of the two proxies saw it.
func (r *Reader) Dependencies(ctx context.Context, who Asker, from, to int64) ([]Dependency, Answer, error) {
	var answer Answer
	var links []Dependency
	err := r.engine.Ask(ctx, who.Scope, query.Question{
		Text: "dependencies", Detail: map[string]string{"start": stamp(from), "end": stamp(to)},
		Where: []match.Predicate{match.True{}}, Remote: who.Remote,
	}, func(ctx context.Context, q *query.Asking) error {
		j := newJoiner()
		counted, err := q.Count(ctx, store.CountRequest{From: from, To: to, Where: isSpan})
		if err != nil {
			return err
		}
		if len(counted) == 1 {
			j.spans = make([]joined, 0, min(counted[0].Counts[0], maxJoined))
		}
		err = q.Table(ctx, store.TableRequest{From: from, To: to, Where: isSpan, Fields: joinedFields}, func(p *store.Part) error {
			n := min(p.Records, maxJoined-len(j.spans))
			if n == 0 {
				return errEnough
			}
			if err := q.Hold(n * joinedBytes); err != nil {
				return err
			}
			j.add(p, n)
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
			answer.Partial = true
			answer.Warnings = append(answer.Warnings, "of the spans in this time only "+strconv.Itoa(maxJoined)+" were looked at")
		}
		if err := answer.note(err, len(j.spans) > 0); err != nil {
			return err
		}
		if err := j.join(fault.NewWatch(ctx)); err != nil {
			return err
		}
		if err := answer.note(j.logs(ctx, q, from, to), len(j.links) > 0); err != nil {
			return err
		}
		links = j.list()
		answer.finish(q)
		return nil
	})
	return links, answer, err
}

// A joiner finds the parents of spans.
type joiner struct {
	services map[string]int32
	names    []string
	spans    []joined
	links    map[[2]int32]*Dependency // spans' first, then logs'
	// heads has, by the key of an id, the number of a span that has it, plus one;
	// the others follow by joined.next. Nobody who names spans can foresee seeds.
	heads map[uint64]int32
	seeds [3]uint64
}

// A joined is a span of which no more is known than whose child it is.
type joined struct {
	trace         [2]uint64
	id, parent    uint64
	service, peer int32
	next          int32 // of the same key, plus one
	above         int32 // the parent, plus one
	kind          byte  // c, s, p, o (consumer), or 0
	shared        bool
	failed        bool
	answered      bool // a span of another service is its child
}

// joinedBytes is what a span takes with its place in joiner.heads.
const joinedBytes = int(unsafe.Sizeof(joined{})) + 32

var joinedFields = []string{
	"trace_id", "span_id", schema.SpanParent, schema.ServiceName, schema.SpanPeer, schema.SpanKind, schema.SpanShared, schema.SpanStatus,
}

func newJoiner() *joiner {
	j := &joiner{services: map[string]int32{"": 0}, names: []string{""}, links: map[[2]int32]*Dependency{}}
	for i := range j.seeds {
		j.seeds[i] = rand.Uint64() | 1
	}
	return j
}

func (j *joiner) service(name string) int32 {
	n, ok := j.services[name]
	if !ok {
		n = int32(len(j.names))
		j.services[name] = n
		j.names = append(j.names, name)
	}
	return n
}

// add adds the first n spans of a part.
func (j *joiner) add(p *store.Part, n int) {
	c := p.Columns
	service := numbers(&c[3], func(v string) int32 { return j.service(v) })
	peer := numbers(&c[4], func(v string) int32 { return j.service(v) })
	kind := numbers(&c[5], kindByte)
	shared := numbers(&c[6], func(v string) bool { return v == "true" })
	failed := numbers(&c[7], func(v string) bool { return v == "error" })
	j.spans = slices.Grow(j.spans, n)
	for i := range n {
		s := joined{
			id: parseHex(c[1].Text(i)), parent: parseHex(c[2].Text(i)),
			service: service[c[3].Codes[i]], peer: peer[c[4].Codes[i]], kind: kind[c[5].Codes[i]],
			shared: shared[c[6].Codes[i]], failed: failed[c[7].Codes[i]],
		}
		if t := c[0].Text(i); len(t) == 32 {
			s.trace = [2]uint64{parseHex(t[:16]), parseHex(t[16:])}
		}
		j.spans = append(j.spans, s)
	}
}

// numbers returns what f makes of each text of a column.
func numbers[T any](c *store.Cells, f func(string) T) []T {
	out := make([]T, len(c.Texts))
	for i, t := range c.Texts {
		out[i] = f(string(t))
	}
	return out
}

func kindByte(name string) byte {
	switch name {
	case "client":
		return 'c'
	case "server":
		return 's'
	case "producer":
		return 'p'
	case "consumer":
		return 'o'
	}
	return 0
}

// hexDigits has the value of each digit, and 16 for what is none.
var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 16
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

// parseHex reads 16 hex digits, 0 from anything else.
func parseHex(text []byte) (n uint64) {
	if len(text) != 16 {
		return 0
	}
	bad := byte(0)
	for _, c := range text[:16] {
		d := hexDigits[c]
		bad |= d
		n = n<<4 | uint64(d)
	}
	if bad&16 != 0 {
		return 0
	}
	return n
}

// key returns what spans of one id of one trace have in common, and hardly any
// others.
func (j *joiner) key(trace [2]uint64, id uint64) uint64 {
	h := (trace[0]^j.seeds[0])*j.seeds[1] ^ (trace[1]^j.seeds[2])*j.seeds[0]
	return (bits.RotateLeft64(h, 29)^id)*j.seeds[2] ^ h
}

// same calls f with each span that has an id, until f returns false.
func (j *joiner) same(trace [2]uint64, id uint64, f func(i int, s *joined) bool) {
	for i := j.heads[j.key(trace, id)]; i > 0; i = j.spans[i-1].next {
		if s := &j.spans[i-1]; s.trace == trace && s.id == id && !f(int(i-1), s) {
			return
		}
	}
}

// index makes every span findable by its id, once: what was sent twice counts once.
func (j *joiner) index(w *fault.Watch) error {
	j.heads = make(map[uint64]int32, len(j.spans))
	kept := j.spans[:0]
	for _, s := range j.spans {
		if err := w.Step(1); err != nil {
			return err
		}
		twice := false
		j.same(s.trace, s.id, func(_ int, o *joined) bool {
			twice = o.shared == s.shared && o.service == s.service
			return !twice
		})
		if twice {
			continue
		}
		kept = append(kept, s)
		at := &kept[len(kept)-1]
		key := j.key(s.trace, s.id)
		at.next, j.heads[key] = j.heads[key], int32(len(kept))
	}
	j.spans = kept
	return nil
}

// join counts the calls that the spans tell of, unless w ends.
func (j *joiner) join(w *fault.Watch) error {
	if err := j.index(w); err != nil {
		return err
	}
	for i := range j.spans {
		if err := w.Step(1); err != nil {
			return err
		}
		s := &j.spans[i]
		p := j.parent(i)
		if p < 0 {
			continue
		}
		s.above = int32(p) + 1
		if above := &j.spans[p]; above.service != s.service {
			above.answered = true
			j.count(above.service, s.service, s.failed)
		}
	}
	for i := range j.spans { // sides without spans of their own
		s := &j.spans[i]
		switch {
		case s.peer == 0 || s.peer == s.service:
		case (s.kind == 'c' || s.kind == 'p') && !s.answered:
			j.count(s.service, s.peer, s.failed)
		case (s.kind == 's' || s.kind == 'o') && s.above == 0:
			j.count(s.peer, s.service, s.failed)
		}
	}
	return nil
}

// parent returns the index of a span's parent, or -1.
func (j *joiner) parent(i int) int {
	s := &j.spans[i]
	found := -1
	if s.shared { // the client's span of the same id
		j.same(s.trace, s.id, func(k int, o *joined) bool {
			if !o.shared {
				found = k
			}
			return found < 0
		})
	}
	if found >= 0 || s.parent == 0 {
		return found
	}
	j.same(s.trace, s.parent, func(k int, o *joined) bool {
		if found < 0 || o.shared { // what a server does is below its own half
			found = k
		}
		if o.service == s.service {
			found = k
			return false
		}
		return true
	})
	return found
}

func (j *joiner) count(parent, child int32, failed bool) {
	if parent == 0 || child == 0 {
		return
	}
	l := j.links[[2]int32{parent, child}]
	if l == nil {
		l = &Dependency{Parent: j.names[parent], Child: j.names[child]}
		j.links[[2]int32{parent, child}] = l
	}
	if l.Calls++; failed {
		l.Errors++
	}
}

// The fields by which access logs are counted. Where both name it, the service is
// better known than the workload.
var logFields = []string{
	"mesh.source.service", "mesh.source.workload", "mesh.destination.service", "mesh.destination.workload", "mesh.reporter",
}

// logs adds the calls that access logs tell of and spans do not. Both proxies of
// an exchange may have logged it: the larger count is taken, not the sum.
func (j *joiner) logs(ctx context.Context, q *query.Asking, from, to int64) error {
	side := func(which string) match.Predicate {
		return match.Or{match.Exists{Field: "mesh." + which + ".service"}, match.Exists{Field: "mesh." + which + ".workload"}}
	}
	where := match.And{
		match.Not{P: isSpan}, side("source"), side("destination"),
		match.Not{P: match.Eq{Field: "mesh.flow.is_reply", Value: "true"}},
		match.Not{P: match.Eq{Field: "mesh.flow.l7", Value: "RESPONSE"}},
	}
	failed := append(match.And{match.Range{Field: "http.response.status_code", Min: match.Bound{Set: true, Inclusive: true, IsInt: true, Int: 500, Float: 500}}}, where...)
	seen := map[[2]int32]map[string][2]uint64{}
	for i, p := range []match.Predicate{where, failed} {
		groups, err := q.Count(ctx, store.CountRequest{From: from, To: to, Where: p, By: logFields})
		if err != nil {
			return err
		}
		for _, g := range groups {
			parent, child := j.service(cmp.Or(g.Values[0], g.Values[1])), j.service(cmp.Or(g.Values[2], g.Values[3]))
			if parent == child {
				continue
			}
			key := [2]int32{parent, child}
			if seen[key] == nil {
				seen[key] = map[string][2]uint64{}
			}
			counts := seen[key][g.Values[4]]
			for _, n := range g.Counts {
				counts[i] += n
			}
			seen[key][g.Values[4]] = counts
		}
	}
	for key, reporters := range seen {
		if j.links[key] != nil {
			continue
		}
		l := &Dependency{Parent: j.names[key[0]], Child: j.names[key[1]], FromLogs: true}
		for _, counts := range reporters {
			if counts[0] > l.Calls {
				l.Calls, l.Errors = counts[0], counts[1]
			}
		}
		j.links[key] = l
	}
	return nil
}

func (j *joiner) list() []Dependency {
	out := make([]Dependency, 0, len(j.links))
	for _, l := range j.links {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Dependency) int {
		return cmp.Or(strings.Compare(a.Parent, b.Parent), strings.Compare(a.Child, b.Child))
	})
	return out
}
