package filter

import (
	"math"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// Prune clears in blocks the bit of every block of r that can hold no match.
func (f *Filter) Prune(r *segment.Reader, blocks []uint64, cost *segment.Cost) error {
	p := pruner{r: r, cost: cost}
	return p.node(&f.root, blocks)
}

type pruner struct {
	r    *segment.Reader
	cost *segment.Cost
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
		for i := range n.parts {
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
	}
	cols := p.r.Directory.Columns
	return p.any(set, len(cols), func(i int, some []uint64) error {
		c := &cols[i]
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
	if want == nil {
		return nil
	}
	seed := segment.Seed(column)
	return p.any(set, len(want), func(i int, some []uint64) error {
		for _, t := range want[i] {
			if err := p.r.Probe(segment.HashToken(t, seed), some, p.cost); err != nil || empty(some) {
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
	bodies := uint64(0)
	for i := range cols {
		if cols[i].Name == record.Body {
			bodies += cols[i].Values
		}
	}
	if bodies < p.r.Records && len(l.inLine) == 0 {
		return nil // even a record without any field has a line
	}
	return p.any(set, len(cols), func(i int, some []uint64) error {
		c := &cols[i]
		and(some, c.Blocks)
		if c.Name == record.Body {
			if c.Kind == record.String {
				return p.tokens(c.Name, l.want, some)
			}
			return nil
		}
		if bodies >= p.r.Records {
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
	text := l.inLine[0]
	fold := false
	if x, ok := l.p.(match.Contains); ok {
		fold = x.Fold
	}
	if inName(c.Name, text, fold) {
		return nil
	}
	if c.Kind != record.String {
		if !numeric(text) {
			clear(set)
		}
		return nil
	}
	return p.tokens(c.Name, alternativesOf([][]piece{{{text: text, fold: fold}}}), set)
}

func inName(name, text string, fold bool) bool {
	return name != record.Labels && (strings.Contains(name, text) || match.Escapes(name) ||
		fold && strings.Contains(lower(name), lower(text)))
}

// numeric reports whether text may stand in the text form of a number or bool.
func numeric(text string) bool {
	for i := 0; i < len(text); i++ {
		if strings.IndexByte("0123456789+-.eEINanftrulsFATRUL", text[i]) < 0 {
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

// Possible reports whether a block can hold a match, as far as its header says.
func (f *Filter) Possible(s Source) bool { return possible(&f.root, s) }

func possible(n *node, s Source) bool {
	switch n.kind {
	case kindFalse:
		return false
	case kindAnd:
		for i := range n.parts {
			if !possible(&n.parts[i], s) {
				return false
			}
		}
	case kindOr:
		for i := range n.parts {
			if possible(&n.parts[i], s) {
				return true
			}
		}
		return false
	case kindLeaf:
		return n.leaf.possible(s)
	}
	return true
}

func (l *leaf) possible(s Source) bool {
	switch l.res.Asked {
	case match.Class:
		return l.ofClass(s.Class())
	case match.Line:
		return true
	}
	cols := s.Columns()
	for i := range cols {
		c := &cols[i]
		mul, _, ok := l.res.Match(c.Name)
		if ok && l.within(c.Kind, c.Min, c.Max, mul) && l.inHead(c, mul) {
			return true
		}
	}
	return false
}

// inHead reports whether one of the entries that the header has can match. A
// column whose entries are not there may hold anything.
func (l *leaf) inHead(c *block.Column, mul float64) bool {
	head := c.Head()
	if head == nil {
		return true
	}
	numbers := l.numbers(mul)
	var buf []byte
	for e := range head.Entries() {
		if l.entry(head, e, &numbers, &buf) {
			return true
		}
	}
	return false
}
