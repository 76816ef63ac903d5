// Package pipe runs the part of a LogQL pipeline that a store cannot: stages
// that make fields out of the line, rewrite it, or compare what they made.
//
// A Pipeline is compiled once and shared; a Run holds the state of one query
// (what distinct has seen, buffers) and belongs to one goroutine. Run.Do takes
// one record through the stages and lends a Row, which is the record as the
// pipeline left it: its line, the fields that were made, changed or dropped, and
// the error that a stage left (__error__). The record itself is never changed.
//
//	p, err := pipe.Compile(stages)
//	run := p.NewRun()
//	for i := range records {
//		if row, ok := run.Do(&records[i]); ok {
//			use(row.Line(), row.Labels())
//		}
//	}
//
// Fields are parsed when a record arrives, so json and logfmt only add what the
// line itself holds and the record has not; see spec/query.md for every stage
// and where it differs from Loki's. Whatever the stages and the line are, the
// memory and the work of one Do are bounded, and nothing panics.
//
// The package knows no store, time range or limit, and keeps nothing.
package pipe

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Names by which queries ask for the error that a stage left in a record.
const (
	ErrorName   = "__error__"
	DetailsName = "__error_details__"
)

// The errors of stages, as Loki names them.
const (
	ErrJSON     = "JSONParserErr"
	ErrLogfmt   = "LogfmtParserErr"
	ErrTemplate = "TemplateFormatErr"
	ErrFilter   = "LabelFilterErr"
	ErrSample   = "SampleExtractionErr" // set by who unwraps, not by a stage
)

// A Pipeline is a list of stages, ready to run. It does not change and may be
// shared.
type Pipeline struct {
	stages []stage
}

// A stage is one compiled step.
type stage interface {
	// do changes the row, and reports whether the record goes on.
	do(w *Row) bool
}

// Compile prepares stages. Errors are fault.Invalid: an expression or template
// that cannot be read, a name that is set twice.
func Compile(stages []logql.Stage) (*Pipeline, error) {
	p := &Pipeline{}
	for _, s := range stages {
		return nil, fault.Errorf(fault.Invalid, "stage %s is not supported yet", s)
	}
	return p, nil
}

// Fields returns the names that a store must fill in for the stages to work, by
// any name the asker may use; with all set, every field. What the caller itself
// asks a Row for (Get, Value) comes on top.
func (p *Pipeline) Fields() (names []string, all bool) { return nil, false }

// NewRun returns the state of one query.
func (p *Pipeline) NewRun() *Run {
	r := &Run{pipe: p}
	r.row.run = r
	return r
}

// A Run takes the records of one query through a pipeline, in the order that
// the query asks for: distinct keeps the first. It is not safe for concurrent
// use.
type Run struct {
	pipe *Pipeline
	row  Row
}

// Do takes a record through the stages. It reports false for a record that a
// stage let go of. The Row is lent until the next Do and reads from r, which
// must not change meanwhile; the strings that it returns may be kept.
func (r *Run) Do(rec *record.Record) (*Row, bool) {
	w := &r.row
	w.reset(rec)
	for _, s := range r.pipe.stages {
		if !s.do(w) {
			return nil, false
		}
	}
	return w, true
}
