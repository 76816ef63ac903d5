package filter

import (
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// A Pruner rules out blocks of one segment after the other, for one request. It
// learns in how many blocks each token is, and asks for the rarest first. It
// belongs to one goroutine.
type Pruner struct {
	f *Filter
	p pruner

	// What was ruled out so far: by names, kinds and bounds of the columns, and by
	// the token index.
	ByColumns, ByTokens int
}

// Pruner returns a Pruner for f.
func (f *Filter) Pruner(cost *segment.Cost) *Pruner {
	return &Pruner{f: f, p: pruner{cost: cost, seen: make(map[string]*seen)}}
}

// Prune clears in blocks the bit of every block of r that can hold no match. The
// directory is asked first, for every part of the filter, because that reads
// nothing; then the token index about what is left.
func (p *Pruner) Prune(r *segment.Reader, blocks []uint64) error {
	if p.f.All() {
		return nil
	}
	p.p.r = r
	n := count(blocks)
	p.p.bounds = true
	if err := p.p.node(&p.f.root, blocks); err != nil {
		return err
	}
	left := count(blocks)
	p.ByColumns += n - left
	if left == 0 {
		return nil
	}
	p.p.bounds = false
	err := p.p.node(&p.f.root, blocks)
	p.ByTokens += left - count(blocks)
	return err
}

func count(set []uint64) (n int) {
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	return n
}

type pruner struct {
	r      *segment.Reader
	cost   *segment.Cost
	bounds bool             // ask the directory only
	seen   map[string]*seen // by token; nil: nothing is learnt
}

func empty(set []uint64) bool {
	for _, w := range set {
		if w != 0 {
			return false
		}
	}
	return true
}

func (p *pruner) node(n *node, set []uint64) error {
	switch n.kind {
	case kindFalse:
		clear(set)
	case kindAnd:
		for _, i := range p.order(n.parts) {
			if err := p.node(&n.parts[i], set); err != nil || empty(set) {
				return err
			}
		}
	case kindOr:
		return p.any(set, len(n.parts), func(i int, some []uint64) error { return p.node(&n.parts[i], some) })
	case kindLeaf:
		return p.leaf(n.leaf, set)
	}
	return nil
}

// any keeps the blocks that one of n ways keeps.
func (p *pruner) any(set []uint64, n int, keep func(i int, some []uint64) error) error {
	if n == 1 {
		return keep(0, set)
	}
	some, out := make([]uint64, len(set)), make([]uint64, len(set))
	for i := range n {
		for w := range set {
			some[w] = set[w] &^ out[w]
		}
		if empty(some) {
			break
		}
		if err := keep(i, some); err != nil {
			return err
		}
		for w := range out {
			out[w] |= some[w]
		}
	}
	copy(set, out)
	return nil
}

func (p *pruner) leaf(l *leaf, set []uint64) error {
	switch l.res.Asked {
	case match.Class:
		if !l.ofClass(record.Class(p.r.Class)) {
			clear(set)
		}
		return nil
	case match.Line:
		return p.line(l, set)
	case match.AnyField:
		return p.anyField(l, set)
	}
	cols := p.r.Directory.Columns
	return p.any(set, len(cols), func(i int, some []uint64) error {
		c := &cols[i]
		if isRest(c) {
			return p.rest(l, c, some)
		}
		mul, _, ok := l.res.Match(c.Name)
		if !ok || !l.within(c.Kind, c.Min, c.Max, mul) {
			clear(some)
			return nil
		}
		and(some, c.Blocks)
		if c.Kind != record.String {
			return nil
		}
		return p.tokens(c.Name, l.want, some)
	})
}

func and(set, with []uint64) {
	for i := range set {
		set[i] &= with[i]
	}
}

// tokens keeps the blocks whose column may hold every token of an alternative.
func (p *pruner) tokens(column string, want alternatives, set []uint64) error {
	seed := segment.Seed(column)
	return p.hashes(want, func(token string) uint64 { return segment.HashToken(token, seed) }, set)
}

func (p *pruner) hashes(want alternatives, hash func(token string) uint64, set []uint64) error {
	if want == nil || p.bounds {
		return nil
	}
	return p.any(set, len(want), func(i int, some []uint64) error {
		var buf [maxTokens]asked
		for _, t := range p.rarestFirst(buf[:0], want[i]) {
			s := t.seen
			if s.useless() {
				continue
			}
			have, of, err := p.r.Lookup(hash(t.token), some, p.cost)
			if s != nil {
				s.have, s.of, s.asked = s.have+have, s.of+of, s.asked+1
			}
			if err != nil || empty(some) {
				return err
			}
		}
		return nil
	})
}

// line prunes by what the line holds: the body, or, of records without one,
// some value or name.
func (p *pruner) line(l *leaf, set []uint64) error {
	cols := p.r.Directory.Columns
	bodied := bodied(p.r)
	if !bodied && len(l.inLine) == 0 {
		return nil // even a record without any field has a line
	}
	return p.any(set, len(cols), func(i int, some []uint64) error {
		c := &cols[i]
		if isRest(c) {
			return p.restLine(l, c, bodied, some)
		}
		and(some, c.Blocks)
		if c.Name == record.Body {
			if c.Kind == record.String {
				return p.tokens(c.Name, l.want, some)
			}
			return nil
		}
		if bodied {
			clear(some)
		}
		return p.inJSON(l, c, some)
	})
}

// inJSON keeps the blocks where a record without body may hold the texts that
// the line must. The column c stands for all that hold the first of them.
func (p *pruner) inJSON(l *leaf, c *segment.Column, set []uint64) error {
	if empty(set) {
		return nil
	}
	x := l.firstInLine()
	if inName(c.Name, x.text, x.fold) {
		return nil
	}
	if c.Kind != record.String {
		if !numeric(x.text) {
			clear(set)
		}
		return nil
	}
	return p.tokens(c.Name, alternativesOf([][]piece{{x}}), set)
}

// firstInLine returns the first text that is in one value or name of a matching
// line, and how it is bounded there. Beside a word is no part of a word, in the
// line and so in the value, but that a word may begin with the letter of an
// escape: \n, \t, \r and \u, which JSON writes for what is no part of a word.
func (l *leaf) firstInLine() piece {
	x := piece{text: l.inLine[0], fold: folded(l.p)}
	if w, ok := l.p.(match.Word); ok && w.Value == x.text {
		if x.right = segment.WordEnd; strings.IndexByte("ntru", x.text[0]) < 0 && !(x.fold && strings.IndexByte("NTRU", x.text[0]) >= 0) {
			x.left = segment.WordEnd
		}
	}
	return x
}

func inName(name, text string, fold bool) bool {
	return name != record.Labels && (strings.Contains(name, text) || match.Escapes(name) ||
		fold && strings.Contains(lower(name), lower(text)))
}

// numeric reports whether text may stand in the text form of a number or bool,
// with or without regard to case.
func numeric(text string) bool {
	for i := 0; i < len(text); i++ {
		if strings.IndexByte("0123456789+-.eEiInNaAtTrRuUlLsSfF", text[i]) < 0 {
			return false
		}
	}
	return true
}

// within reports whether a column of values from lo to hi may hold a match.
func (l *leaf) within(kind record.Kind, lo, hi uint64, mul float64) bool {
	switch p := l.p.(type) {
	case match.Range:
		v := p.Numbers(&l.res, mul)
		switch kind {
		case record.Int:
			return overlapsInt(v, int64(lo), int64(hi))
		case record.Float:
			return overlapsFloat(v, math.Float64frombits(lo), math.Float64frombits(hi))
		}
		return kind == record.String
	case match.Eq:
		return kind != record.Int || inInts(p.Value, int64(lo), int64(hi))
	case match.In:
		if kind != record.Int {
			return true
		}
		for _, v := range p.Values {
			if inInts(v, int64(lo), int64(hi)) {
				return true
			}
		}
		return false
	}
	return true
}

// inInts reports whether s is the text form of an integer in [lo, hi].
func inInts(s string, lo, hi int64) bool {
	n, ok := intText(s)
	return ok && n >= lo && n <= hi
}

// intText reads s if it is exactly how an integer is written.
func intText(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || len(s) > 1 && (s[0] == '0' || s[0] == '+') || len(s) > 1 && s[0] == '-' && (s[1] == '0') {
		return 0, false
	}
	return n, true
}

// overlapsInt reports whether an interval and [lo, hi] may share a number: the
// upper end is not below the interval, nor the lower end above.
func overlapsInt(v match.Interval, lo, hi int64) bool {
	return !v.Empty() && (match.Interval{Min: v.Min}).HasInt(hi) && (match.Interval{Max: v.Max}).HasInt(lo)
}

func overlapsFloat(v match.Interval, lo, hi float64) bool {
	if lo > hi { // only NaN
		return false
	}
	return !v.Empty() && (match.Interval{Min: v.Min}).HasFloat(hi) && (match.Interval{Max: v.Max}).HasFloat(lo)
}
