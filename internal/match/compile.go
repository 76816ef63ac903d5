package match

import (
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A Matcher is a predicate made ready to be held against many records: names
// are resolved once, and the stored columns that they mean are remembered. It
// agrees with Eval. It is not safe for concurrent use.
type Matcher struct {
	root node
	line []byte
}

// maxCached bounds the column names that one leaf remembers: a hostile sender
// may invent a new name with every record.
const maxCached = 4096

type nodeKind uint8

const (
	nodeTrue nodeKind = iota
	nodeFalse
	nodeAnd
	nodeOr
	nodeNot
	nodeLeaf
)

type node struct {
	kind  nodeKind
	parts []node
	leaf  Predicate
	res   schema.Resolution
	own   Interval           // of a value that is no stored column
	cols  map[string]meaning // by stored name
	bound []boundColumn      // of the batch at hand, best rank first

	// What values of rows before came to: most values of a batch repeat.
	texts [4]rememberedText
	nums  [16]remembered
	gen   uint32 // of the binding
	every int8   // what it comes to in every record of the batch: 1, -1; 0 differs
}

// rememberedText is what a text came to, in one binding.
type rememberedText struct {
	gen  uint32
	n    uint8
	held bool
	v    [maxRemembered]byte
}

// remembered is what a number came to, in one binding.
type remembered struct {
	num  uint64
	gen  uint32
	held bool
}

// meaning of a stored column for one leaf; rank < 0 is none.
type meaning struct {
	rank    int
	numbers Interval
}

type boundColumn struct {
	col     *record.Column
	rank    int
	numbers Interval
}

// Compile makes p ready.
func Compile(p Predicate) *Matcher {
	return &Matcher{root: compile(p)}
}

func compile(p Predicate) node {
	switch p := p.(type) {
	case nil, True:
		return node{kind: nodeTrue}
	case False:
		return node{kind: nodeFalse}
	case And:
		return node{kind: nodeAnd, parts: compileAll(p)}
	case Or:
		return node{kind: nodeOr, parts: compileAll(p)}
	case Not:
		return node{kind: nodeNot, parts: []node{compile(p.P)}}
	}
	n := node{kind: nodeLeaf, leaf: p, res: schema.Resolve(FieldOf(p)), cols: map[string]meaning{}}
	n.own = numbersOf(p, &n.res, 1)
	return n
}

func compileAll(ps []Predicate) []node {
	out := make([]node, len(ps))
	for i, p := range ps {
		out[i] = compile(p)
	}
	return out
}

// Match reports whether the predicate holds for r.
func (m *Matcher) Match(r *record.Record) bool {
	return m.record(&m.root, r)
}

func (m *Matcher) record(n *node, r *record.Record) bool {
	switch n.kind {
	case nodeTrue:
		return true
	case nodeFalse:
		return false
	case nodeAnd:
		for i := range n.parts {
			if !m.record(&n.parts[i], r) {
				return false
			}
		}
		return true
	case nodeOr:
		for i := range n.parts {
			if m.record(&n.parts[i], r) {
				return true
			}
		}
		return false
	case nodeNot:
		return !m.record(&n.parts[0], r)
	}
	switch n.res.Asked {
	case Line:
		m.line = AppendLine(m.line[:0], r)
		return n.text(m.line)
	case Class:
		return holds(n.leaf, record.StringValue(string(r.Class)), n.own)
	case AnyField:
		return m.anyOf(n, r)
	}
	var best *record.Field
	var how meaning
	for i := range r.Fields {
		f := &r.Fields[i]
		k := n.meaning(f.Name)
		if k.rank < 0 {
			continue
		}
		if best == nil || k.rank < how.rank || k.rank == how.rank && before(f.Name, f.Value.Kind, best.Name, best.Value.Kind) {
			best, how = f, k
		}
	}
	return best != nil && holds(n.leaf, best.Value, how.numbers)
}

func (n *node) text(b []byte) bool {
	return holds(n.leaf, record.StringValue(unsafe.String(unsafe.SliceData(b), len(b))), n.own)
}

// meaning returns what the stored column means to the leaf.
func (n *node) meaning(column string) meaning {
	if k, ok := n.cols[column]; ok {
		return k
	}
	k := meaning{rank: -1}
	if mul, rank, ok := n.res.Match(column); ok {
		k = meaning{rank: rank, numbers: numbersOf(n.leaf, &n.res, mul)}
	}
	if len(n.cols) < maxCached {
		n.cols[column] = k
	}
	return k
}

// Bind prepares the matcher for the records of b, which it keeps until the next
// Bind: MatchRow must not be called once b has changed.
func (m *Matcher) Bind(b *record.Batch) { m.bind(&m.root, b) }

// Never reports whether the predicate holds for no record of the bound batch, as
// far as that can be told without looking at records. False tells nothing.
func (m *Matcher) Never() bool { return m.root.every < 0 }

func (m *Matcher) bind(n *node, b *record.Batch) {
	n.every = 0
	for i := range n.parts {
		m.bind(&n.parts[i], b)
	}
	m.columns(n, b)
	switch n.kind {
	case nodeTrue:
		n.every = 1
	case nodeFalse:
		n.every = -1
	case nodeNot:
		n.every = -n.parts[0].every
	case nodeAnd, nodeOr:
		n.every = joined(n)
	case nodeLeaf:
		n.every = m.ofAll(n, b)
	}
}

// joined is what an And or an Or comes to in every record.
func joined(n *node) int8 {
	decides := int8(-1) // of an And: one part that never holds
	if n.kind == nodeOr {
		decides = 1
	}
	all := -decides
	for i := range n.parts {
		switch n.parts[i].every {
		case decides:
			return decides
		case 0:
			all = 0
		}
	}
	return all
}

// ofAll is what a leaf comes to in every record: nothing without a column, and one
// thing where all records have the same value.
func (m *Matcher) ofAll(n *node, b *record.Batch) int8 {
	switch n.res.Asked {
	case Line, Class, AnyField:
		return 0
	}
	switch {
	case len(n.bound) == 0:
		return -1
	case len(n.bound) > 1 || len(n.bound[0].col.Rows) != b.Len() || !n.bound[0].col.Constant():
		return 0
	case m.row(n, b, 0):
		return 1
	}
	return -1
}

// columns finds the columns of the batch that a leaf means.
func (m *Matcher) columns(n *node, b *record.Batch) {
	if n.kind != nodeLeaf || n.res.Asked == Line || n.res.Asked == Class {
		return
	}
	n.bound = n.bound[:0]
	if n.gen++; n.gen == 0 {
		n.nums, n.texts, n.gen = [16]remembered{}, [4]rememberedText{}, 1
	}
	for _, c := range b.Columns() {
		if len(c.Rows) == 0 {
			continue
		}
		if n.res.Asked == AnyField {
			if Sought(c.Name) {
				n.bound = append(n.bound, boundColumn{col: c})
			}
			continue
		}
		k := n.meaning(c.Name)
		if k.rank < 0 {
			continue
		}
		at := len(n.bound)
		for at > 0 && (k.rank < n.bound[at-1].rank || k.rank == n.bound[at-1].rank &&
			before(c.Name, c.Kind, n.bound[at-1].col.Name, n.bound[at-1].col.Kind)) {
			at--
		}
		n.bound = append(n.bound, boundColumn{})
		copy(n.bound[at+1:], n.bound[at:])
		n.bound[at] = boundColumn{c, k.rank, k.numbers}
	}
}

// MatchRow reports whether the predicate holds for record i of the bound batch.
func (m *Matcher) MatchRow(b *record.Batch, i int) bool {
	return m.row(&m.root, b, i)
}

func (m *Matcher) row(n *node, b *record.Batch, i int) bool {
	if n.every != 0 {
		return n.every > 0
	}
	switch n.kind {
	case nodeTrue:
		return true
	case nodeFalse:
		return false
	case nodeAnd:
		for j := range n.parts {
			if !m.row(&n.parts[j], b, i) {
				return false
			}
		}
		return true
	case nodeOr:
		for j := range n.parts {
			if m.row(&n.parts[j], b, i) {
				return true
			}
		}
		return false
	case nodeNot:
		return !m.row(&n.parts[0], b, i)
	}
	switch n.res.Asked {
	case Line:
		r := b.Record(i)
		m.line = AppendLine(m.line[:0], &r)
		return n.text(m.line)
	case Class:
		return holds(n.leaf, record.StringValue(string(b.ClassAt(i))), n.own)
	case AnyField:
		return m.anyOfRow(n, b, i)
	}
	for j := range n.bound {
		c := &n.bound[j]
		k, ok := c.col.Find(uint32(i))
		if !ok {
			continue
		}
		// Columns of one field may differ in unit, so more than one has no memory.
		if c.col.Kind == record.String {
			v := c.col.Bytes(k)
			var known *rememberedText // formats, methods and services take turns
			if len(n.bound) == 1 && len(v) > 0 && len(v) <= maxRemembered {
				known = &n.texts[(uint8(len(v))^v[len(v)-1])%uint8(len(n.texts))]
				if known.gen == n.gen && string(known.v[:known.n]) == string(v) {
					return known.held
				}
			}
			held := holds(n.leaf, record.StringValue(unsafe.String(unsafe.SliceData(v), len(v))), c.numbers)
			if known != nil {
				known.gen, known.n, known.held = n.gen, uint8(copy(known.v[:], v)), held
			}
			return held
		}
		num := c.col.Nums[k]
		known := &n.nums[(num^num>>7^num>>52)%uint64(len(n.nums))]
		if len(n.bound) == 1 && known.gen == n.gen && known.num == num {
			return known.held
		}
		held := false
		if _, is := n.leaf.(Range); is {
			held = holds(n.leaf, c.col.Value(k), c.numbers)
		} else {
			m.line = c.col.Value(k).AppendText(m.line[:0])
			held = n.text(m.line)
		}
		*known = remembered{num, n.gen, held}
		return held
	}
	return false
}

// maxRemembered is the longest value that a leaf remembers, in bytes.
const maxRemembered = 64
