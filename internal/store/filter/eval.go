package filter

import (
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// An Evaluator evaluates filters. It is not safe for concurrent use.
type Evaluator struct {
	// Tick, if not nil, is told how many steps regular expressions took since it
	// was called last, and is called before each leaf. An error ends the Eval.
	Tick func(steps int64) error

	steps int64
	err   error

	free  []Bitmap
	buf   []byte
	table []bool
	bits  []uint8
	found []meaning
	rows  Rows
	pick  picker

	// Of the last Settle.
	filter *Filter
	source Source
	leaves []settled // by leaf
}

func (e *Evaluator) get(rows int) Bitmap {
	n := (rows + 63) / 64
	for len(e.free) > 0 {
		b := e.free[len(e.free)-1]
		e.free = e.free[:len(e.free)-1]
		if cap(b) >= n {
			b = b[:n]
			clear(b)
			return b
		}
	}
	return make(Bitmap, n)
}

func (e *Evaluator) put(b Bitmap) { e.free = append(e.free, b) }

// Eval removes from rows those for which the filter does not hold.
func (e *Evaluator) Eval(f *Filter, s Source, rows Bitmap) error {
	if e.filter != f || e.source != s {
		e.Settle(f, s)
	}
	e.err = nil
	err := e.node(&f.root, s, rows)
	e.filter, e.source = nil, nil // keep no block alive
	if err == nil {
		err = e.err
	}
	return err
}

// node narrows set to the rows for which n holds.
func (e *Evaluator) node(n *node, s Source, set Bitmap) error {
	switch n.kind {
	case kindFalse:
		clear(set)
	case kindAnd:
		if len(n.parts) <= maxOrdered {
			var order [maxOrdered]uint8
			for _, i := range e.inOrder(n, &order) {
				if err := e.node(&n.parts[i], s, set); err != nil || set.Empty() {
					return err
				}
			}
			return nil
		}
		for i := range n.parts {
			if err := e.node(&n.parts[i], s, set); err != nil || set.Empty() {
				return err
			}
		}
	case kindOr:
		return e.or(n, s, set)
	case kindNot:
		some := e.get(s.Rows())
		defer e.put(some)
		copy(some, set)
		if err := e.node(&n.parts[0], s, some); err != nil {
			return err
		}
		set.AndNot(some)
	case kindLeaf:
		switch e.leaves[n.leaf.id].verdict {
		case All:
			return nil
		case None:
			clear(set)
			return nil
		}
		if e.Tick != nil { // a filter may have thousands of leaves
			if err := e.Tick(0); err != nil {
				return err
			}
		}
		out := e.get(s.Rows())
		defer e.put(out)
		if err := e.leaf(n.leaf, s, set, out); err != nil {
			return err
		}
		copy(set, out)
	}
	return nil
}

func (e *Evaluator) or(n *node, s Source, set Bitmap) error {
	out, some := e.get(s.Rows()), e.get(s.Rows())
	defer e.put(out)
	defer e.put(some)
	for i := range n.parts {
		copy(some, set)
		some.AndNot(out)
		if some.Empty() {
			break
		}
		if err := e.node(&n.parts[i], s, some); err != nil {
			return err
		}
		out.Or(some)
	}
	copy(set, out)
	return nil
}

// leaf sets in out the rows of want for which the leaf holds.
func (e *Evaluator) leaf(l *leaf, s Source, want, out Bitmap) error {
	switch l.res.Asked {
	case match.Class:
		if l.ofClass(s.Class()) {
			out.Or(want)
		}
		return nil
	case match.Line:
		return e.line(l, s, want, out)
	case match.AnyField:
		return e.anyField(l, s, want, out)
	}
	if err := Widen(s, &l.res); err != nil {
		return err
	}
	e.found = resolve(e.found[:0], &l.res, s.Columns())
	rest := e.get(s.Rows()) // rows without a better column
	defer e.put(rest)
	copy(rest, want)
	for i := 0; i < len(e.found) && !rest.Empty(); i++ {
		m := e.found[i]
		if parts, err := l.splitOf(s, m.column); err != nil {
			return err
		} else if parts != nil {
			if err := e.split(l, parts, rest, out); err != nil {
				return err
			}
			if i < len(e.found)-1 {
				removeRows(rest, parts.Rows)
			}
			continue
		}
		v, err := s.Load(m.column)
		if err != nil {
			return err
		}
		if x := &e.leaves[l.id]; v.Form == block.Dict && x.column == m.column {
			e.coded(v, x.table, rest, out)
		} else {
			e.vector(l, v, m.mul, rest, out)
		}
		remove(rest, v)
	}
	return nil
}

// remove takes the rows that have a value out of set.
func remove(set Bitmap, v *block.Vector) { removeRows(set, v.Rows) }
