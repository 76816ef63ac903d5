package filter

import (
	"math"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// A Verdict says for how many records of a block something holds.
type Verdict uint8

// The verdicts.
const (
	Some Verdict = iota // for some, or it is not known
	None
	All
)

func verdict(ok bool) Verdict {
	if ok {
		return All
	}
	return None
}

func (v Verdict) not() Verdict {
	switch v {
	case None:
		return All
	case All:
		return None
	}
	return Some
}

// A settled leaf is what a block's header says about it.
type settled struct {
	verdict Verdict
	column  int     // of which table tells the entries that match, -1: none
	table   []bool  // by entry of that column's dictionary
	rate    float64 // the part of the records that match, about
	price   float64 // what it costs to evaluate it on the block, about
}

// Settle says what the header of a block tells about f, without loading a
// column. What it finds about the leaves spares the Eval that follows it, on the
// same block, their columns.
func (e *Evaluator) Settle(f *Filter, s Source) Verdict {
	for len(e.leaves) < f.leaves {
		e.leaves = append(e.leaves, settled{})
	}
	for i := range e.leaves[:f.leaves] { // not all are looked at
		e.leaves[i].verdict, e.leaves[i].column = Some, -1
	}
	e.filter, e.source = f, s
	return e.settle(&f.root, s)
}

func (e *Evaluator) settle(n *node, s Source) Verdict {
	switch n.kind {
	case kindFalse:
		return None
	case kindAnd:
		out := All
		for i := range n.parts {
			switch e.settle(&n.parts[i], s) {
			case None:
				return None
			case Some:
				out = Some
			}
		}
		return out
	case kindOr:
		out := None
		for i := range n.parts {
			switch e.settle(&n.parts[i], s) {
			case All:
				return All
			case Some:
				out = Some
			}
		}
		return out
	case kindNot:
		return e.settle(&n.parts[0], s).not()
	case kindLeaf:
		x := &e.leaves[n.leaf.id]
		x.rate, x.price = n.leaf.rate(), float64(n.leaf.cost()*s.Rows())
		x.verdict = e.settleLeaf(n.leaf, x, s)
		return x.verdict
	}
	return All
}

func (e *Evaluator) settleLeaf(l *leaf, x *settled, s Source) Verdict {
	switch l.res.Asked {
	case match.Class:
		return verdict(l.ofClass(s.Class()))
	case match.Line, match.AnyField:
		return Some
	}
	if inRest(s, &l.res) {
		return Some // the header does not tell
	}
	cols := s.Columns()
	e.found = resolve(e.found[:0], &l.res, cols)
	out := None
	for i := range e.found {
		m := &e.found[i]
		c := &cols[m.column]
		full := c.Values == s.Rows()
		v := e.settleColumn(l, x, c, m)
		if i == 0 && full {
			return v // records take no value from a worse column
		}
		if v != None {
			out = Some
		}
		if full {
			break
		}
	}
	return out
}

// settleColumn says for how many of the values of a column l holds.
func (e *Evaluator) settleColumn(l *leaf, x *settled, c *block.Column, m *meaning) Verdict {
	if !l.within(c.Kind, c.Min, c.Max, m.mul) {
		return None
	}
	head := c.Head()
	if head == nil {
		x.price += float64(2 * c.Body)
		return verdictOf(l.covers(c.Kind, c.Min, c.Max, m.mul))
	}
	n := head.Entries()
	if x.column >= 0 || cap(x.table) < n {
		x.table = make([]bool, n)
	}
	x.column, x.table = m.column, x.table[:n]
	hits := l.entries(head, l.numbers(m.mul), x.table, &e.buf)
	switch hits {
	case 0:
		return None
	case n:
		return All
	}
	x.rate = float64(hits) / float64(n)
	if counts := c.Counts(); counts != nil {
		values := 0
		for e, n := range counts {
			if x.table[e] {
				values += int(n)
			}
		}
		x.rate = float64(values) / float64(e.source.Rows())
	}
	x.price = float64(c.Values + c.Body)
	return Some
}

func verdictOf(all bool) Verdict {
	if all {
		return All
	}
	return Some
}

// entries notes for which entries of a vector the leaf holds, and how many.
func (l *leaf) entries(v *block.Vector, numbers match.Interval, table []bool, buf *[]byte) (hits int) {
	for i := range table {
		table[i] = l.entry(v, i, &numbers, buf)
		if table[i] {
			hits++
		}
	}
	return hits
}

// covers reports whether l holds for every value of a column whose values lie
// between lo and hi.
func (l *leaf) covers(kind record.Kind, lo, hi uint64, mul float64) bool {
	switch l.p.(type) {
	case match.Exists:
		return kind != record.String
	case match.Range:
		v := l.numbers(mul)
		return kind == record.Int && v.HasInt(int64(lo)) && v.HasInt(int64(hi))
	}
	return false
}

// rate guesses for which part of the records a leaf holds.
func (l *leaf) rate() float64 {
	switch l.p.(type) {
	case match.Exists:
		return 0.8
	case match.Range:
		return 0.3
	case match.Eq:
		return 0.05
	}
	return 0.15
}

// expect returns the part of the records for which a node is expected to hold,
// and what it costs to find them, as of the last Settle.
func (e *Evaluator) expect(n *node) (rate, price float64) {
	switch n.kind {
	case kindFalse:
		return 0, 0
	case kindNot:
		rate, price = e.expect(&n.parts[0])
		return 1 - rate, price
	case kindAnd, kindOr:
		rate = 1
		for i := range n.parts {
			r, p := e.expect(&n.parts[i])
			if n.kind == kindOr {
				r = 1 - r
			}
			rate, price = rate*r, price+p
		}
		if n.kind == kindOr {
			rate = 1 - rate
		}
		return rate, price
	case kindLeaf:
		switch x := &e.leaves[n.leaf.id]; x.verdict {
		case None:
			return 0, 0
		case All:
			return 1, 0
		default:
			return x.rate, x.price
		}
	}
	return 1, 0
}

// maxOrdered is how many parts of an And are put in order for each block.
const maxOrdered = 16

// inOrder puts the parts of an And in the order in which they are best
// evaluated: by what it costs to drop a record.
func (e *Evaluator) inOrder(n *node, order *[maxOrdered]uint8) []uint8 {
	var keys [maxOrdered]float64
	for i := range n.parts {
		rate, price := e.expect(&n.parts[i])
		key := price / math.Max(1-rate, 1e-3)
		at := i
		for ; at > 0 && keys[at-1] > key; at-- {
			keys[at], order[at] = keys[at-1], order[at-1]
		}
		keys[at], order[at] = key, uint8(i)
	}
	return order[:len(n.parts)]
}
