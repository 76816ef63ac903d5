package elastic

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A cond is a compiled query. Beside what package match can say of a record's
// fields it speaks of its time and of its identity, which the store takes as
// bounds of a request rather than as predicates.
type cond interface{ isCond() }

type (
	allOf  []cond // and; empty: every record
	anyOf  []cond // or; empty: none
	noneOf struct{ c cond }
	leaf   struct{ p match.Predicate }
	// during holds when from <= time < to.
	during struct{ from, to int64 }
	// among holds for the records with these identities.
	among []identity
)

func (allOf) isCond()  {}
func (anyOf) isCond()  {}
func (noneOf) isCond() {}
func (leaf) isCond()   {}
func (during) isCond() {}
func (among) isCond()  {}

var nothing = anyOf{}

// An identity is what tells a record from all others, for as long as it exists:
// its time and its place in the order of commits. Neither sealing nor compaction
// changes them, and with the time the record is found without a search.
type identity struct {
	time int64
	ord  uint64
}

// String writes the identity as an _id: 22 characters of base64.
func (d identity) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(d.time))
	binary.BigEndian.PutUint64(b[8:], d.ord)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// parseIdentity reads what String writes.
func parseIdentity(s string) (identity, bool) {
	if len(s) != 22 {
		return identity{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return identity{}, false
	}
	d := identity{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])}
	return d, d.time > minTime && d.time < maxTime
}

// A test is a cond made ready to be held against records.
type test struct {
	c     cond
	parts []test
	m     *match.Matcher
	ids   map[identity]bool
}

func newTest(c cond) *test {
	t := &test{c: c}
	switch c := c.(type) {
	case allOf:
		t.parts = newTests(c)
	case anyOf:
		t.parts = newTests(c)
	case noneOf:
		t.parts = []test{*newTest(c.c)}
	case leaf:
		t.m = match.Compile(c.p)
	case among:
		t.ids = make(map[identity]bool, len(c))
		for _, d := range c {
			t.ids[d] = true
		}
	}
	return t
}

func newTests(cs []cond) []test {
	out := make([]test, len(cs))
	for i, c := range cs {
		out[i] = *newTest(c)
	}
	return out
}

// holds is the definition of what a cond means for a record.
func (t *test) holds(r *record.Record) bool {
	switch c := t.c.(type) {
	case allOf:
		for i := range t.parts {
			if !t.parts[i].holds(r) {
				return false
			}
		}
		return true
	case anyOf:
		for i := range t.parts {
			if t.parts[i].holds(r) {
				return true
			}
		}
		return false
	case noneOf:
		return !t.parts[0].holds(r)
	case leaf:
		return t.m.Match(r)
	case during:
		return c.from <= r.Time && r.Time < c.to
	case among:
		return t.ids[identity{r.Time, r.Ord}]
	}
	return false
}

// A span is a time range and what holds in it for the records that are asked for:
// where for all of them, and when exact is not set, for others too.
type span struct {
	from, to int64
	where    match.Predicate
	exact    bool
}

// maxCuts bounds the times that a query names, and maxWork what it costs to hold
// the query against each.
const (
	maxCuts = 4096
	maxWork = 20 << 20
)

// plan cuts time where the query's answer may change with it, and says for each
// part what the query means there. The spans are in order of time.
func planSpans(c cond) ([]span, error) {
	cuts := []int64{minTime, maxTime}
	size := 0
	if !cutsOf(c, &cuts, &size) || size*len(cuts) > maxWork {
		return nil, badf("illegal_argument_exception", "the query names too many times and ids, limit %d", maxCuts)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []span
	for i := range cuts[1:] {
		s := span{from: cuts[i], to: cuts[i+1], exact: true}
		s.where = match.Simplify(s.reduce(c, true))
		if _, none := s.where.(match.False); none {
			continue
		}
		if n := len(out); n > 0 && s.exact && out[n-1].exact && out[n-1].to == s.from && out[n-1].where.String() == s.where.String() {
			out[n-1].to = s.to
			continue
		}
		out = append(out, s)
	}
	return out, nil
}

func cutsOf(c cond, cuts *[]int64, size *int) bool {
	*size++
	add := func(t int64) {
		if t > minTime && t < maxTime {
			*cuts = append(*cuts, t)
		}
	}
	ok := true
	switch c := c.(type) {
	case allOf:
		for _, p := range c {
			ok = ok && cutsOf(p, cuts, size)
		}
	case anyOf:
		for _, p := range c {
			ok = ok && cutsOf(p, cuts, size)
		}
	case noneOf:
		ok = cutsOf(c.c, cuts, size)
	case during:
		add(c.from)
		add(c.to)
	case among:
		for _, d := range c {
			add(d.time)
			add(d.time + 1)
		}
	}
	return ok && len(*cuts) <= maxCuts
}

// reduce returns what a cond says of records within the span. Of an identity it
// knows only the time: wide says whether to take more records then, or fewer.
func (s *span) reduce(c cond, wide bool) match.Predicate {
	switch c := c.(type) {
	case allOf:
		and := make(match.And, len(c))
		for i, p := range c {
			and[i] = s.reduce(p, wide)
		}
		return and
	case anyOf:
		or := make(match.Or, len(c))
		for i, p := range c {
			or[i] = s.reduce(p, wide)
		}
		return or
	case noneOf:
		return match.Not{P: s.reduce(c.c, !wide)}
	case leaf:
		return c.p
	case during:
		return constant(c.from <= s.from && s.to <= c.to)
	case among:
		for _, d := range c {
			if d.time == s.from {
				s.exact = false
				return constant(wide)
			}
		}
	}
	return match.False{}
}

func constant(b bool) match.Predicate {
	if b {
		return match.True{}
	}
	return match.False{}
}

// within limits spans to a time range.
func within(spans []span, from, to int64) []span {
	var out []span
	for _, s := range spans {
		s.from, s.to = max(s.from, from), min(s.to, to)
		if s.from < s.to {
			out = append(out, s)
		}
	}
	return out
}

// number returns the bounds within which a number is exactly the one written.
func number(s string) (match.Bound, bool) {
	i, f, isInt, ok := match.ParseNumber(s)
	if !ok {
		return match.Bound{}, false
	}
	if isInt {
		return match.IntBound(i, true), true
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return match.Bound{}, false
	}
	return match.FloatBound(f, true), true
}

func compareIdentity(a, b identity) int {
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.ord, b.ord))
}
