package exec

import (
	"context"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// grouping says by which fields the store groups, and what labels a group has.
type grouping struct {
	by     []string // asked of the store
	shown  []string // label name of each
	always int      // the first by columns that every series shows
	// declared is the index in by of stream.labels, or -1. The by columns
	// after it are shown for the groups whose value of it names them.
	declared int
	stream   bool     // what a pipeline makes is shown as well
	without  []string // label names that are not shown
}

// maxDeclared bounds the fields that senders declared to be labels.
const maxDeclared = 200

func groupingOf(ctx context.Context, env *Env, n *plan.Range) (*grouping, error) {
	g := &grouping{declared: -1, stream: n.Stream, without: n.Without}
	add := func(asked, shown string) {
		g.by, g.shown = append(g.by, asked), append(g.shown, shown)
	}
	for _, name := range n.By {
		switch {
		case slices.Contains(n.Without, name):
		case name == plan.ClassName:
			add(match.Class, name)
		default:
			add(name, name)
		}
	}
	g.always = len(g.by)
	if !n.Stream {
		return g, nil
	}
	for _, s := range schema.StreamLabels() {
		if !slices.Contains(g.shown, s.Label) && !slices.Contains(n.Without, s.Label) {
			add(s.Label, s.Label)
		}
	}
	g.always = len(g.by)
	s := env.Steps
	names, err := DeclaredLabels(ctx, env.Store, store.ValuesRequest{
		Tenant: env.Tenant, From: s.Start - n.Range - n.Offset + 1, To: s.End() - n.Offset + 1, Where: env.Where(n.Log),
	}, &env.Stats)
	if err != nil || len(names) == 0 {
		return g, err
	}
	g.declared = len(g.by)
	add(record.Labels, "")
	for _, name := range names {
		if shown := schema.Identifier(name); !slices.Contains(n.Without, shown) {
			add(name, shown)
		}
	}
	return g, nil
}

// DeclaredLabels returns the fields that senders declared to be stream labels,
// in order of their names.
func DeclaredLabels(ctx context.Context, r store.Reader, req store.ValuesRequest, sum *store.Stats) ([]string, error) {
	req.Field, req.Limit = record.Labels, math.MaxInt32
	values, stats, err := r.Values(ctx, req)
	addStats(sum, stats)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range values {
		for name := range split(v.Name) {
			if i, found := slices.BinarySearch(names, name); !found {
				names = slices.Insert(names, i, name)
			}
		}
	}
	if len(names) > maxDeclared {
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "senders declared %d different labels, limit %d", len(names), maxDeclared),
			"aggregate with sum by (…), or select less")
	}
	return names, nil
}

// labels returns the labels of a group.
func (g *grouping) labels(values []string) Labels {
	l := make(Labels, 0, g.always)
	for i := 0; i < g.always; i++ {
		l = append(l, Label{g.shown[i], values[i]})
	}
	if g.declared >= 0 {
		for name := range split(values[g.declared]) {
			for i := g.declared + 1; i < len(g.by); i++ {
				if g.by[i] == name {
					l = append(l, Label{g.shown[i], values[i]})
				}
			}
		}
	}
	return sorted(l)
}

// made adds to labels what a pipeline made, which wins.
func (g *grouping) made(l Labels, list []pipe.Label) Labels {
	if !g.stream || len(list) == 0 {
		return l
	}
	out := make(Labels, 0, len(l)+len(list))
	for _, m := range list {
		if m.Name != pipe.ErrorName && m.Name != pipe.DetailsName && !slices.Contains(g.without, m.Name) {
			out = append(out, Label{m.Name, m.Value})
		}
	}
	for _, have := range l {
		if !slices.ContainsFunc(list, func(m pipe.Label) bool { return m.Name == have.Name }) {
			out = append(out, have)
		}
	}
	return sorted(out)
}
