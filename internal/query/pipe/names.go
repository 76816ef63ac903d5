package pipe

import (
	"slices"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
)

// names is drop or keep.
type names struct {
	keep  bool
	items []item
}

// An item names a field, and on condition.
type item struct {
	ref  *ref
	cond *leaf // nil: always
}

func newNames(s *logql.Names) (stage, error) {
	out := names{keep: s.Keep}
	for _, m := range s.Items {
		it := item{ref: newRef(m.Name)}
		if m.Op != "" {
			l, err := newLeaf(&logql.TextCond{Matcher: m})
			if err != nil {
				return nil, err
			}
			it.cond = l
		}
		out.items = append(out.items, it)
	}
	return out, nil
}

func (s names) fresh(*Run) stage {
	items := slices.Clone(s.items)
	for i, it := range items {
		if it.cond != nil {
			l := *it.cond
			l.matcher = match.Compile(match.Simplify(l.stored))
			items[i].cond = &l
		}
	}
	return names{s.keep, items}
}

func (it *item) applies(w *Row) bool { return it.cond == nil || it.cond.holds(w) }

func (s names) needs() (n needs) {
	for i := range s.items {
		if s.items[i].cond != nil {
			n.names = append(n.names, s.items[i].ref.name)
		}
	}
	return n
}

func (s names) do(w *Row) bool {
	if !s.keep {
		for i := range s.items {
			if s.items[i].applies(w) {
				w.remove(s.items[i].ref)
			}
		}
		return true
	}
	kept := make([]*ref, 0, len(s.items))
	for i := range s.items {
		if s.items[i].applies(w) {
			kept = append(kept, s.items[i].ref)
		}
	}
	w.forget(func(l Label) bool {
		return !slices.ContainsFunc(kept, func(r *ref) bool { return r.ident == l.Name })
	})
	w.hide(func(f *record.Field) bool {
		return !slices.ContainsFunc(kept, func(r *ref) bool { _, _, ok := r.res.Match(f.Name); return ok })
	})
	return true
}

// distinct keeps the first record of each combination of values.
type distinct struct {
	refs []*ref
	seen map[string]struct{}
	size int // bytes of seen's keys
}

// What one distinct remembers at most.
const (
	maxDistinct      = 100_000
	maxDistinctBytes = 16 << 20
)

func newDistinct(s *logql.Distinct) stage {
	d := &distinct{}
	for _, n := range s.Names {
		d.refs = append(d.refs, newRef(n))
	}
	return d
}

func (d *distinct) fresh(*Run) stage {
	return &distinct{refs: d.refs, seen: map[string]struct{}{}}
}

func (d *distinct) needs() (n needs) {
	for _, r := range d.refs {
		n.names = append(n.names, r.name)
	}
	return n
}

func (d *distinct) do(w *Row) bool {
	key := w.run.buf[:0]
	for _, r := range d.refs {
		v, _, _ := w.value(r)
		text := v.Text()
		key = strconv.AppendInt(key, int64(len(text)), 10)
		key = append(append(key, ':'), text...)
	}
	w.run.buf = key
	if _, ok := d.seen[string(key)]; ok {
		return false
	}
	if len(d.seen) == maxDistinct || d.size+len(key) > maxDistinctBytes {
		w.run.err = fault.WithHint(fault.Errorf(fault.Overload, "distinct would have to remember more than %d combinations of values, or more than %d MiB", maxDistinct, maxDistinctBytes>>20),
			"select less, or fields with fewer values")
		return false
	}
	d.seen[string(key)] = struct{}{}
	d.size += len(key)
	return true
}
