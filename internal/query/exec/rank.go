package exec

import (
	"container/heap"
	"context"
	"time"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
)

// ranked keeps the best of what the store counts, without making series of the
// others: what is compared are the store's groups. It reports false when that is
// no way.
func ranked(ctx context.Context, env *Env, n *plan.Aggregate) ([]*Series, bool, error) {
	of, is := n.X.(*plan.Range)
	if !is || of.Stream || !of.Counts() || env.byRecord || n.Param < 1 || n.Param > int64(env.MaxSeries) || n.Op == "approx_topk" && !env.Instant {
		return nil, false, nil
	}
	g, err := groupingOf(ctx, env, of)
	if err != nil {
		return nil, false, err
	}
	r := &ranker{ranger: &ranger{ctx: ctx, env: env, n: of, g: g}, k: int(n.Param), largest: n.Op != "bottomk", boards: map[string][]board{}}
	even, ok := evenly(env.Steps, of.Range, of.Offset, min(evenBuckets(env.Steps, of.Range), env.MaxBuckets))
	if !ok {
		return nil, false, nil
	}
	r.lay = even
	from, to := even.span()
	if r.groups, err = r.counted(of.Log, from, to, even.width); err != nil {
		return nil, false, err
	}
	defer func() { env.held -= r.held }()
	for i := range r.groups {
		if i%64 == 0 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if err := r.take(n, i); err != nil {
			return nil, false, err
		}
	}
	out, err := r.series()
	return out, true, err
}

// A ranker chooses among groups of the store.
type ranker struct {
	*ranger
	k       int
	largest bool
	groups  []store.Group
	boards  map[string][]board // by the labels that the ranking groups by, for each step
}

// A board is the best of a step: a heap, the worst of them at its root.
type board struct {
	r    *ranker
	list []contender
}

// A contender is a group with its value.
type contender struct {
	group  int
	value  float64
	labels Labels // once they were needed
}

// take offers a group to the steps that it has records in.
func (r *ranker) take(n *plan.Aggregate, i int) error {
	var of []board
	return r.eachCount(&r.groups[i], func(step int, v float64) (err error) {
		if of == nil {
			if of, err = r.board(n, i); err != nil {
				return err
			}
		}
		if r.n.Op == "rate" || r.n.Op == "bytes_rate" {
			v /= float64(r.n.Range) / float64(time.Second)
		}
		return of[step].offer(contender{group: i, value: v})
	})
}

// board returns where group i competes.
func (r *ranker) board(n *plan.Aggregate, i int) ([]board, error) {
	key := ""
	if n.Without || len(n.Labels) > 0 {
		key = r.g.labels(r.groups[i].Values).keep(n.Labels, n.Without).Key()
	}
	if of, ok := r.boards[key]; ok {
		return of, nil
	}
	if err := r.hold(200 + len(key) + 32*r.env.Steps.N); err != nil {
		return nil, err
	}
	of := make([]board, r.env.Steps.N)
	for j := range of {
		of[j].r = r
	}
	r.boards[key] = of
	return of, r.env.few(len(r.boards))
}

// offer keeps a contender if it is among the best so far.
func (b *board) offer(c contender) error {
	if len(b.list) < b.r.k {
		heap.Push(b, c)
		return b.r.hold(int(unsafe.Sizeof(c)))
	}
	if b.before(&c, &b.list[0]) {
		b.list[0] = c
		heap.Fix(b, 0)
	}
	return nil
}

// before reports whether x ranks before y: as group.best has it.
func (b *board) before(x, y *contender) bool {
	if c := order(x.value, y.value, b.r.largest); c != 0 {
		return c < 0
	}
	return b.labels(x).Compare(b.labels(y)) < 0
}

func (b *board) labels(c *contender) Labels {
	if c.labels == nil {
		c.labels = b.r.g.labels(b.r.groups[c.group].Values)
	}
	return c.labels
}

func (b *board) Len() int           { return len(b.list) }
func (b *board) Less(i, j int) bool { return b.before(&b.list[j], &b.list[i]) }
func (b *board) Swap(i, j int)      { b.list[i], b.list[j] = b.list[j], b.list[i] }
func (b *board) Push(c any)         { b.list = append(b.list, c.(contender)) }
func (b *board) Pop() any {
	last := b.list[len(b.list)-1]
	b.list = b.list[:len(b.list)-1]
	return last
}

// series makes series of the groups that are on a board.
func (r *ranker) series() (out []*Series, err error) {
	kept, watch := map[int]*Series{}, fault.NewWatch(r.ctx)
	for _, of := range r.boards {
		for step := range of {
			if err := watch.Step(1 + len(of[step].list)); err != nil {
				return nil, err
			}
			for _, c := range of[step].list {
				s := kept[c.group]
				if s == nil {
					if err := r.env.few(len(out) + 1); err != nil {
						return nil, err
					}
					if s, err = r.env.series(r.g.labels(r.groups[c.group].Values)); err != nil {
						return nil, err
					}
					kept[c.group], out = s, append(out, s)
				}
				s.set(step, c.value)
			}
		}
	}
	err = fault.Sort(watch, out, func(a, b *Series) int { return a.Labels.Compare(b.Labels) })
	return out, err
}
