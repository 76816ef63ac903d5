package plan

import "slices"

// Combinations tells what a count of series counts, where those are told apart
// by fields alone and are there whenever a record is: how many combinations of
// the fields in of there are in each group by r.By, among the records of r's
// windows. It reports false for every other aggregation.
func (n *Aggregate) Combinations() (r *Range, of []string, ok bool) {
	if n.Op != "count" || n.Without {
		return nil, nil, false
	}
	names, from, ok := presence(n.X)
	if !ok {
		return nil, nil, false
	}
	counted := *from
	counted.Op, counted.Stream, counted.By = "count_over_time", false, []string{}
	for _, name := range names {
		if slices.Contains(n.Labels, name) {
			counted.By = append(counted.By, name)
		} else {
			of = append(of, name)
		}
	}
	return &counted, of, len(of) > 0
}

// presence returns the labels by which the series of n are told apart, and the
// range of which any record makes one. It reports false when there is more to it:
// values that decide, streams, a pipeline.
func presence(n Node) (names []string, r *Range, ok bool) {
	switch n := n.(type) {
	case *Range:
		return n.By, n, !n.Stream && n.Counts()
	case *Aggregate:
		if n.Without || chooses(n.Op) {
			return nil, nil, false
		}
		if r, is := n.X.(*Range); is && r.Stream { // which shows the labels asked for among its own
			return n.Labels, r, r.Counts()
		}
		inside, r, ok := presence(n.X)
		for _, name := range n.Labels {
			if slices.Contains(inside, name) {
				names = append(names, name)
			}
		}
		return names, r, ok
	}
	return nil, nil, false
}

// Counts reports whether the range counts records, or the bytes of their lines,
// and the store can do it alone.
func (r *Range) Counts() bool {
	return r.Unwrap == nil && !r.Distinct && r.Log.Pipe == nil && r.Op != "absent_over_time"
}

// Ranks reports whether an aggregation keeps the best series only.
func (n *Aggregate) Ranks() bool {
	return n.Op == "topk" || n.Op == "bottomk" || n.Op == "approx_topk"
}
