package filter

import (
	"cmp"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// An Outline counts the records of the blocks of one segment by the values of
// fields, as far as the digests of their columns tell: without reading a block.
// That is so when at most one column of those that the filter and the fields ask
// about has several values in a block. An Outline belongs to one goroutine.
type Outline struct {
	f      *Filter
	r      *segment.Reader
	cost   *segment.Cost
	blocks int // that are asked about

	rest    []uint64          // blocks whose rest may hold what is asked about
	digests []*segment.Digest // by column of the directory, once asked for
	asked   []bool
	leaves  []facet // by leaf
	by      []facet
	state   []Verdict // by leaf, of the block or value at hand
	codes   []uint32  // by field, of the same
	block   int       // at hand
	mixed   int       // its column with several values, -1: none
}

// A facet is a leaf or a field on the columns that it means.
type facet struct {
	leaf  *leaf
	fixed bool // of the whole segment: settled, or code
	v     Verdict
	code  uint32
	cols  []facetColumn // best first
	at    int           // of cols: the one that the block at hand has, -1: none
}

type facetColumn struct {
	meaning
	table []bool   // of a leaf: by entry, whether it holds
	hits  int      // of table
	codes []uint32 // of a field: by entry
}

// A Coder numbers the values of the fields of a count.
type Coder interface {
	// Code returns the number of a text form of field i. The text is lent.
	Code(i int, text []byte) uint32
}

// outlined reports whether f could ever be settled by digests.
func (n *node) outlined() bool {
	if n.kind == kindLeaf {
		return n.leaf.res.Asked != match.Line && n.leaf.res.Asked != match.AnyField
	}
	for i := range n.parts {
		if !n.parts[i].outlined() {
			return false
		}
	}
	return true
}

// Outlined reports whether an Outline may help to count what f holds for.
func (f *Filter) Outlined() bool { return f.root.outlined() }

// Reset begins with a segment, of which a number of blocks are asked about.
func (o *Outline) Reset(f *Filter, by []schema.Resolution, r *segment.Reader, blocks int, codes Coder, cost *segment.Cost) {
	o.f, o.r, o.cost, o.blocks = f, r, cost, blocks
	n := len(r.Columns)
	o.digests = slices.Grow(o.digests[:0], n)[:n]
	o.asked = slices.Grow(o.asked[:0], n)[:n]
	clear(o.digests)
	clear(o.asked)
	o.leaves = slices.Grow(o.leaves[:0], f.leaves)[:f.leaves]
	o.state = slices.Grow(o.state[:0], f.leaves)[:f.leaves]
	o.reset(&f.root)
	o.by = slices.Grow(o.by[:0], len(by))[:len(by)]
	o.codes = slices.Grow(o.codes[:0], len(by))[:len(by)]
	o.restOf(by)
	var buf []byte
	for i := range by {
		x := facet{cols: o.by[i].cols[:0]}
		if by[i].Asked == match.Class {
			x.fixed, x.code = true, codes.Code(i, []byte(r.Class))
		} else {
			x.cols = o.columns(x.cols, &by[i])
			x.code = codes.Code(i, nil)
		}
		for k := range x.cols {
			c := &x.cols[k]
			d := o.digest(c.column)
			if d == nil {
				continue
			}
			c.codes = make([]uint32, d.Entries.Entries())
			for e := range c.codes {
				if d.Entries.Kind == record.String {
					c.codes[e] = codes.Code(i, d.Entries.Bytes(e))
					continue
				}
				buf = ValueOf(d.Entries, e).AppendText(buf[:0])
				c.codes[e] = codes.Code(i, buf)
			}
		}
		o.by[i] = x
	}
}

// restOf finds the blocks whose rest may hold a field that is asked about.
func (o *Outline) restOf(by []schema.Resolution) {
	o.rest = o.rest[:0]
	at := slices.IndexFunc(o.r.Columns, func(c segment.Column) bool { return isRest(&c) })
	if at < 0 {
		return
	}
	p := pruner{r: o.r, cost: o.cost}
	o.rest = append(o.rest, o.r.Columns[at].Blocks...)
	err := p.any(o.rest, len(o.leaves)+len(by), func(i int, some []uint64) error {
		if i < len(by) {
			return p.restNames(&by[i], some)
		}
		return p.restNames(&o.leaves[i-len(by)].leaf.res, some)
	})
	if err != nil {
		copy(o.rest, o.r.Columns[at].Blocks) // who reads the blocks meets the error again
	}
}

// Release lets the segment go.
func (o *Outline) Release() {
	clear(o.digests)
	o.f, o.r, o.cost = nil, nil, nil
}

func (o *Outline) reset(n *node) {
	for i := range n.parts {
		o.reset(&n.parts[i])
	}
	if n.kind != kindLeaf {
		return
	}
	l := n.leaf
	x := facet{leaf: l, cols: o.leaves[l.id].cols[:0]}
	if l.res.Asked == match.Class {
		x.fixed, x.v = true, verdict(l.ofClass(record.Class(o.r.Class)))
	} else {
		x.cols = o.columns(x.cols, &l.res)
	}
	var buf []byte
	for k := range x.cols {
		c := &x.cols[k]
		if d := o.digest(c.column); d != nil {
			c.table = make([]bool, d.Entries.Entries())
			c.hits = l.entries(d.Entries, l.numbers(c.mul), c.table, &buf)
		}
	}
	o.leaves[l.id] = x
}

// columns returns the columns of the directory that an asked name means, best
// first.
func (o *Outline) columns(dst []facetColumn, res *schema.Resolution) []facetColumn {
	cols := o.r.Columns
	for i := range cols {
		if mul, rank, ok := res.Match(cols[i].Name); ok {
			dst = append(dst, facetColumn{meaning: meaning{i, rank, mul}})
		}
	}
	if len(dst) > 1 {
		slices.SortFunc(dst, func(a, b facetColumn) int {
			x, y := &cols[a.column], &cols[b.column]
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
		})
	}
	return dst
}

// digest returns the digest of a column, or nil when there is none that is worth
// its price: it takes the headers of all blocks, not only of those asked about.
func (o *Outline) digest(column int) *segment.Digest {
	if o.asked[column] {
		return o.digests[column]
	}
	o.asked[column] = true
	if 2*o.blocks < len(o.r.Blocks) && !o.r.HasDigest(column) {
		return nil
	}
	d, err := o.r.Digest(column, o.cost)
	if err != nil {
		return nil // who reads the blocks says which of them is damaged
	}
	o.digests[column] = d
	return d
}

// Count calls add with the codes of fields and the number of records that have
// them, of all the records of block b for which the filter holds. It reports
// false, and calls nothing, when that takes reading the block.
func (o *Outline) Count(b int, add func(codes []uint32, n uint32)) bool {
	if len(o.rest) > 0 && o.rest[b/64]>>(b%64)&1 != 0 {
		return false
	}
	o.block, o.mixed = b, -1
	for i := range o.leaves {
		if !o.place(&o.leaves[i], b) {
			o.leaves[i].at = -2
		}
	}
	for i := range o.by {
		if !o.place(&o.by[i], b) {
			return false
		}
	}
	rows := uint32(o.r.Blocks[b].Rows)
	if o.mixed < 0 {
		return o.value(-1, 0, rows, add, true) && o.value(-1, 0, rows, add, false)
	}
	pairs, _ := o.digests[o.mixed].Block(b)
	for _, dry := range []bool{true, false} {
		absent := rows
		for _, p := range pairs {
			absent -= p.N
			if !o.value(o.mixed, int(p.Entry), p.N, add, dry) {
				return false
			}
		}
		if absent > 0 && !o.value(o.mixed, -1, absent, add, dry) {
			return false
		}
	}
	return true
}

// place finds what a facet is in block b: settled, or on the one column with
// several values. It reports false when it is neither.
func (o *Outline) place(x *facet, b int) bool {
	x.at = -1
	if x.fixed {
		return true
	}
	for k := range x.cols {
		c := &x.cols[k]
		if !o.r.Columns[c.column].In(b) {
			continue
		}
		d := o.digests[c.column]
		if d == nil || x.at >= 0 {
			return false
		}
		pairs, known := d.Block(b)
		if !known || len(pairs) == 0 {
			return false
		}
		x.at = k
		sum := uint32(0)
		for _, p := range pairs {
			sum += p.N
		}
		full := int(sum) == o.r.Blocks[b].Rows
		if int(sum) > o.r.Blocks[b].Rows {
			return false
		}
		if !o.several(x, c, pairs, full) {
			if full {
				return true // no worse column matters
			}
			continue
		}
		if o.mixed >= 0 && o.mixed != c.column {
			return false
		}
		o.mixed = c.column
		if full {
			return true
		}
	}
	return true
}

// several reports whether a facet differs between the records of a block.
// Otherwise it notes what it is for all of them.
func (o *Outline) several(x *facet, c *facetColumn, pairs []segment.Pair, full bool) bool {
	if x.leaf == nil {
		return len(pairs) > 1 || !full
	}
	hits := 0
	switch c.hits {
	case 0:
	case len(c.table):
		hits = len(pairs)
	default:
		for _, p := range pairs {
			if c.table[p.Entry] {
				hits++
			}
		}
	}
	switch {
	case hits == 0:
		x.v = None
	case hits == len(pairs) && full:
		x.v = All
	default:
		x.v = Some
	}
	return x.v == Some
}

// value counts the n records of a block that have an entry of the mixed column;
// -1 stands for those that have no value of it. A dry call only says whether it
// is known if the filter holds for them.
func (o *Outline) value(column, entry int, n uint32, add func(codes []uint32, n uint32), dry bool) bool {
	for i := range o.leaves {
		o.state[i] = o.leaves[i].holds(column, entry)
	}
	switch o.eval(&o.f.root) {
	case Some:
		return false
	case None:
		return true
	}
	if dry {
		return true
	}
	for i := range o.by {
		x := &o.by[i]
		o.codes[i] = x.code
		if x.at < 0 {
			continue
		}
		switch c := &x.cols[x.at]; {
		case c.column != column: // the only value of the block
			pairs, _ := o.digests[c.column].Block(o.block)
			o.codes[i] = c.codes[pairs[0].Entry]
		case entry >= 0:
			o.codes[i] = c.codes[entry]
		}
	}
	add(o.codes, n)
	return true
}

// holds says whether a leaf holds for the records with an entry of a column.
func (x *facet) holds(column, entry int) Verdict {
	switch {
	case x.fixed:
		return x.v
	case x.at == -2:
		return Some
	case x.at == -1:
		return None
	}
	c := &x.cols[x.at]
	if x.v != Some {
		return x.v
	}
	if c.column != column {
		return Some
	}
	return verdict(entry >= 0 && c.table[entry])
}

func (o *Outline) eval(n *node) Verdict {
	switch n.kind {
	case kindFalse:
		return None
	case kindAnd, kindOr:
		ends, out := None, All // what one part decides, and what all decide
		if n.kind == kindOr {
			ends, out = All, None
		}
		for i := range n.parts {
			switch o.eval(&n.parts[i]) {
			case ends:
				return ends
			case Some:
				out = Some
			}
		}
		return out
	case kindNot:
		return o.eval(&n.parts[0]).not()
	case kindLeaf:
		return o.state[n.leaf.id]
	}
	return All
}
