// Package filter evaluates predicates of package match on blocks of columns.
//
// It works in three steps, each cheaper than the next: Prune asks a segment's
// directory and token index which blocks can hold a match, Settle asks a
// block's header, and Eval evaluates whole columns into a bitmap of rows.
// Pruning may keep too much and never drops a match; what Settle is sure of,
// and Eval, agree with match.Eval on every record.
//
// A Filter is immutable and safe for concurrent use; an Evaluator has scratch
// memory and belongs to one goroutine. The package reads no file itself and
// knows no time range: package store does.
package filter

import (
	"cmp"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// A Source is a block that predicates are evaluated on, sealed or in memory.
type Source interface {
	// Rows returns the number of records.
	Rows() int
	// Class returns the retention class of all of them.
	Class() record.Class
	// Columns describes the columns. They are the source's.
	Columns() []block.Column
	// Load returns a column by its index.
	Load(column int) (*block.Vector, error)
}

// Alphabets is a Source that may tell of which bytes the values of a string
// column are made without loading it. Alphabet is nil when it does not know; it
// learns it from the loaded column.
type Alphabets interface {
	Alphabet(column int) *block.ByteSet
	Learn(column int, v *block.Vector) *block.ByteSet
}

// A Filter is a predicate made ready for many blocks.
type Filter struct {
	root   node
	leaves int
}

type kind uint8

const (
	kindTrue kind = iota
	kindFalse
	kindAnd
	kindOr
	kindNot
	kindLeaf
)

type node struct {
	kind  kind
	parts []node
	leaf  *leaf
	cost  int
}

// A leaf is a predicate on one asked name.
type leaf struct {
	id      int
	p       match.Predicate
	res     schema.Resolution
	own     match.Interval // of a value that is no stored column
	want    alternatives   // tokens a matching text must hold
	needles []string       // texts of which a matching value must contain one; nil if unknown
	steps   int64          // of a regular expression: what it costs for a byte
	inLine  []string       // texts of which each must be in a value or a name of a matching line
	exact   bool           // the line holds exactly when inLine[0] does
	must    []string       // on any field: texts of which a matching value holds one; nil if unknown
	ints    []*leaf        // on any field: what integers must equal, if the leaf wants digits

	patterns []*block.Pattern // of which a matching value must have one; nil: not known
	holds    bool             // a value that has one matches
	filled   bool             // every value that is not empty matches
}

// New makes p ready. A nil p holds for every record.
func New(p match.Predicate) *Filter {
	f := &Filter{root: compile(p)}
	f.number(&f.root)
	return f
}

// number gives each leaf its place in an Evaluator.
func (f *Filter) number(n *node) {
	if n.kind == kindLeaf {
		n.leaf.id = f.leaves
		f.leaves++
	}
	for i := range n.parts {
		f.number(&n.parts[i])
	}
}

// All reports whether the filter holds for every record.
func (f *Filter) All() bool { return f.root.kind == kindTrue }

func compile(p match.Predicate) node {
	switch p := p.(type) {
	case nil, match.True:
		return node{kind: kindTrue}
	case match.False:
		return node{kind: kindFalse}
	case match.And:
		return compileAll(kindAnd, p)
	case match.Or:
		return compileAll(kindOr, p)
	case match.Not:
		n := compile(p.P)
		return node{kind: kindNot, parts: []node{n}, cost: n.cost}
	}
	l := newLeaf(p)
	return node{kind: kindLeaf, leaf: l, cost: l.cost()}
}

func compileAll(k kind, ps []match.Predicate) node {
	n := node{kind: k}
	for _, p := range ps {
		c := compile(p)
		n.parts = append(n.parts, c)
		n.cost += c.cost
	}
	slices.SortStableFunc(n.parts, func(a, b node) int { return cmp.Compare(a.cost, b.cost) })
	return n
}

func newLeaf(p match.Predicate) *leaf {
	switch x := p.(type) { // what has no letters is cheaper to seek as it is
	case match.Contains:
		x.Fold = x.Fold && lettered(x.Value)
		p = x
	case match.Word:
		x.Fold = x.Fold && lettered(x.Value)
		p = x
	}
	l := &leaf{p: p, res: schema.Resolve(match.FieldOf(p))}
	if r, ok := p.(match.Range); ok {
		l.own = r.Numbers(&l.res, 1)
	}
	l.want, _ = tokensOf(p)
	switch p := p.(type) {
	case match.Regex:
		l.prepareRegexp(p.Re.String())
	case match.Word:
		if p.Value != "" && !p.Fold {
			l.needles = []string{p.Value}
		}
	}
	l.preparePatterns()
	if l.res.Asked == match.Line {
		l.inLine, l.exact = lineTexts(p)
	}
	if l.res.Asked == match.AnyField {
		l.prepareAny()
	}
	return l
}

// lettered reports whether s has letters that have another case.
func lettered(s string) bool {
	for i := range len(s) {
		if otherCase(s[i]) != s[i] {
			return true
		}
	}
	return false
}

// cost ranks leaves; it only needs to be right in order.
func (l *leaf) cost() int {
	c := 10
	switch p := l.p.(type) {
	case match.Exists:
		c = 1
	case match.Range:
		c = 3
	case match.Eq, match.Prefix:
		c = 4
	case match.In:
		c = 5
	case match.Contains:
		if p.Fold {
			c = 30
		}
	case match.Regex:
		c = 60
	case match.Word:
		if c = 20; p.Fold {
			c = 30
		}
	case match.CIDR:
		c = 20
	}
	switch l.res.Asked {
	case match.Class:
		return 0
	case match.Line:
		return 8 * c
	case match.AnyField:
		return 16 * c
	}
	return c
}

// numbers returns the interval of a Range on a column with factor mul.
func (l *leaf) numbers(mul float64) match.Interval {
	if r, ok := l.p.(match.Range); ok {
		return r.Numbers(&l.res, mul)
	}
	return match.Interval{}
}

// A meaning is a stored column that an asked name means.
type meaning struct {
	column int // index into the source's columns
	rank   int
	mul    float64
}

// Resolve returns which columns an asked name means, best first: the value of a
// record is that of the first column it has.
func Resolve(res *schema.Resolution, columns []block.Column) []int {
	var buf [4]meaning
	ms := resolve(buf[:0], res, columns)
	out := make([]int, len(ms))
	for i, m := range ms {
		out[i] = m.column
	}
	return out
}

func resolve(dst []meaning, res *schema.Resolution, columns []block.Column) []meaning {
	for i := range columns {
		if mul, rank, ok := res.Match(columns[i].Name); ok {
			dst = append(dst, meaning{i, rank, mul})
		}
	}
	if len(dst) > 1 {
		slices.SortFunc(dst, func(a, b meaning) int {
			x, y := &columns[a.column], &columns[b.column]
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
		})
	}
	return dst
}

// ofClass evaluates a leaf on the retention class.
func (l *leaf) ofClass(c record.Class) bool { return match.Eval(l.p, &record.Record{Class: c}) }

// text evaluates a leaf on a present value's text form.
func (l *leaf) text(s string, numbers *match.Interval) bool {
	if r, ok := l.p.(match.Range); ok {
		return r.HasText(s, *numbers)
	}
	return match.HoldsText(l.p, s)
}
