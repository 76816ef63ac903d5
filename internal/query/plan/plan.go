// Package plan turns a LogQL tree into what a store can do: predicates, counts
// by fields and time, and the arithmetic that is left over.
//
// It decides what a query means (spec/query.md) and knows nothing of time ranges,
// limits or who asks; those are package query's. It keeps nothing.
package plan

import (
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
)

// ClassName is the name by which a query asks for the retention class.
const ClassName = pipe.ClassName

// A Log is a log query: which records it selects.
//
// Where holds for every record that the query selects. With a nil Pipe it holds
// for no other: Where says it all. Else each record that Where holds for must go
// through Pipe, which lets go of those that the query does not select.
//
// Sure and Unsure, set together or not at all, split that work: Sure holds
// only for records that the query selects and that Pipe would leave exactly as
// they are (no field made or dropped, the line unchanged, no error), Unsure
// for whatever else must go through Pipe. None has both, and together they hold
// for all that the query selects. Counting by Sure in the store and the rest
// record by record gives the same as Where and Pipe.
type Log struct {
	Where        match.Predicate
	Pipe         *pipe.Pipeline
	Sure, Unsure match.Predicate
	// NamesClass is set when the query itself speaks of the retention class;
	// WantsClass lists the classes that it asks for by name.
	NamesClass bool
	WantsClass []string
}
