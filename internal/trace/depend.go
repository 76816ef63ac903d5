package trace

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// maxJoined bounds the spans whose parents are looked for at once, about 60 bytes
// each.
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
		j := joiner{services: map[string]int32{"": 0}, names: []string{""}, links: map[[2]int32]*Dependency{}}
		fields := []string{"trace_id", "span_id", schema.SpanParent, schema.ServiceName, schema.SpanKind, schema.SpanPeer, schema.SpanShared, schema.SpanStatus}
		err := q.Scan(ctx, store.ScanRequest{From: from, To: to, Where: isSpan, Fields: fields, Order: store.AsStored}, func(rs []record.Record) error {
			for i := range rs {
				if len(j.spans) == maxJoined {
					return errEnough
				}
				j.add(&rs[i])
			}
			return nil
		})
		if err == errEnough {
			err = nil
			answer.Partial = true
			answer.Warnings = append(answer.Warnings, "of the spans in this time only "+strconv.Itoa(maxJoined)+" were looked at")
		}
		if err := answer.note(err, len(j.spans) > 0); err != nil {
			return err
		}
		j.join()
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
}

type joined struct {
	trace         [16]byte
	id, parent    [8]byte
	service, peer int32
	kind          byte // c, s, p, o (consumer), or 0
	shared        bool
	failed        bool
	answered      bool // a span of another service is its child
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

func (j *joiner) add(r *record.Record) {
	var s joined
	for _, f := range r.Fields {
		v := f.Value.Str
		switch f.Name {
		case "trace_id":
			decodeID(s.trace[:], v)
		case "span_id":
			decodeID(s.id[:], v)
		case schema.SpanParent:
			decodeID(s.parent[:], v)
		case schema.ServiceName:
			s.service = j.service(v)
		case schema.SpanPeer:
			s.peer = j.service(v)
		case schema.SpanKind:
			s.kind = map[string]byte{"client": 'c', "server": 's', "producer": 'p', "consumer": 'o'}[v]
		case schema.SpanShared:
			s.shared = f.Value.Int != 0
		case schema.SpanStatus:
			s.failed = v == "error"
		}
	}
	j.spans = append(j.spans, s)
}

func decodeID(dst []byte, text string) {
	if len(text) == 2*len(dst) {
		hex.Decode(dst, []byte(text))
	}
}

func (s *joined) compare(o *joined) int {
	return cmp.Or(slices.Compare(s.trace[:], o.trace[:]), slices.Compare(s.id[:], o.id[:]), cmp.Compare(b2i(s.shared), b2i(o.shared)))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// join counts the calls that the spans tell of. Those of one id stand together,
// a shared one behind the one that it shares the id of.
func (j *joiner) join() {
	slices.SortFunc(j.spans, func(a, b joined) int { return a.compare(&b) })
	j.spans = slices.CompactFunc(j.spans, func(a, b joined) bool { return a.compare(&b) == 0 && a.service == b.service }) // sent twice
	parents := make([]int, len(j.spans))
	for i := range j.spans {
		p := j.parent(i)
		if parents[i] = p; p >= 0 && j.spans[p].service != j.spans[i].service {
			j.spans[p].answered = true
			j.count(j.spans[p].service, j.spans[i].service, j.spans[i].failed)
		}
	}
	for i := range j.spans { // sides without spans of their own
		s := &j.spans[i]
		switch {
		case s.peer == 0 || s.peer == s.service:
		case (s.kind == 'c' || s.kind == 'p') && !s.answered:
			j.count(s.service, s.peer, s.failed)
		case (s.kind == 's' || s.kind == 'o') && parents[i] < 0:
			j.count(s.peer, s.service, s.failed)
		}
	}
}

// parent returns the index of a span's parent, or -1.
func (j *joiner) parent(i int) int {
	s := &j.spans[i]
	if s.shared { // the client's span of the same id
		if i > 0 && j.spans[i-1].trace == s.trace && j.spans[i-1].id == s.id {
			return i - 1
		}
	}
	if s.parent == [8]byte{} {
		return -1
	}
	want := joined{trace: s.trace, id: s.parent}
	at, _ := slices.BinarySearchFunc(j.spans, want, func(a, b joined) int {
		return cmp.Or(slices.Compare(a.trace[:], b.trace[:]), slices.Compare(a.id[:], b.id[:]))
	})
	found := -1
	for ; at < len(j.spans) && j.spans[at].trace == s.trace && j.spans[at].id == s.parent; at++ {
		if found < 0 || j.spans[at].shared { // what a server does is below its own half
			found = at
		}
		if j.spans[at].service == s.service {
			return at
		}
	}
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
