package query

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// An Explanation says how a query is planned. It is made from the query alone: no
// store is asked and nobody's scope is added.
type Explanation struct {
	Language string `json:"language"`
	// Query is the query in its canonical form.
	Query string `json:"query"`
	Kind  string `json:"kind"` // log or metric
	// Reads are the log queries that the store is read for, in the order of the
	// text. A log query has one, a metric query one for each range.
	Reads []Reading `json:"reads"`
}

// A Reading is what one log query asks of the store, and what is left to do.
type Reading struct {
	Query string `json:"query"` // LogQL, or the text in another language
	// Where is what the store looks for: it holds for every record that the query
	// selects, and is what blocks are pruned by.
	Where string `json:"where"`
	// Stages are what is done for each record that Where holds for; empty when
	// Where says it all.
	Stages []string `json:"stages,omitempty"`
	// How says how the records become an answer.
	How string `json:"how"`
	// NamesClass says that the query speaks of the retention class; without that,
	// audit records are left out.
	NamesClass bool `json:"namesClass"`
}

// Explain plans a query.
func Explain(lang Language, text string) (*Explanation, error) {
	l, _, err := read(lang, text, nil)
	if err != nil {
		return nil, err
	}
	out := &Explanation{Language: lang.String(), Query: text, Kind: "log"}
	if lang == Search {
		if out.Query, err = Format(Search, text, false); err != nil {
			return nil, err
		}
	}
	if lang != LogQL && lang != "logql" {
		out.Reads = []Reading{reading(l, nil, text, howRecords)}
		return out, nil
	}
	x, err := logql.Parse(text)
	if err != nil {
		return nil, err
	}
	out.Query = x.String()
	if tree, ok := x.(*logql.Log); ok {
		out.Reads = []Reading{reading(l, tree, tree.String(), howRecords)}
		return out, nil
	}
	out.Kind = "metric"
	node, err := plan.Metric(x)
	if err != nil {
		return nil, err
	}
	var trees []*logql.Log
	logql.Walk(x, func(e logql.Expr) {
		if tree, ok := e.(*logql.Log); ok {
			trees = append(trees, tree)
		}
	})
	err = plan.Ranges(node, func(r *plan.Range) error {
		tree := trees[len(out.Reads)]
		out.Reads = append(out.Reads, reading(r.Log, tree, tree.String(), how(r)))
		return nil
	})
	return out, err
}

// How the records of a reading become an answer.
const (
	howRecords  = "the store finds the records"
	howFilter   = "the store finds the records, and each goes through the stages"
	howCount    = "the store counts, without building a record"
	howMeasure  = "the store sums up the values, without building a record"
	howSplit    = "the store counts those it is sure of; the others are read and go through the stages"
	howEach     = "each record is read and goes through the stages"
	howEachTime = "each window is read by itself: distinct depends on what comes before"
)

// how says how a range is computed, as far as the plan decides it.
func how(r *plan.Range) string {
	switch {
	case r.Distinct:
		return howEachTime
	case r.Log.Pipe == nil && r.Unwrap == nil:
		return howCount
	case r.Log.Pipe == nil:
		return howMeasure
	case r.Log.Sure != nil && r.Unwrap == nil:
		return howSplit
	}
	return howEach
}

func reading(l *plan.Log, tree *logql.Log, text, how string) Reading {
	r := Reading{Query: text, Where: predicateText(l), How: how, NamesClass: l.NamesClass}
	if l.Pipe != nil && tree != nil {
		for _, s := range tree.Stages {
			r.Stages = append(r.Stages, strings.TrimSpace(s.String()))
		}
		if how == howRecords {
			r.How = howFilter
		}
	}
	return r
}

// maxPredicate bounds the text of a predicate in an explanation.
const maxPredicate = 16 << 10

func predicateText(l *plan.Log) string {
	if l.Where == nil {
		return "true"
	}
	s := l.Where.String()
	if len(s) > maxPredicate {
		s = strings.ToValidUTF8(s[:maxPredicate], "") + "…"
	}
	return s
}
