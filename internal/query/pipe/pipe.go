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
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
)

// ClassName is the name by which a query asks for the retention class.
const ClassName = "class"

// Names by which queries ask for the error that a stage left in a record.
const (
	ErrorName   = "__error__"
	DetailsName = "__error_details__"
)

// The errors of stages, as Loki names them. (Loki's regexp leaves none either.)
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

// A stage is one compiled step. It belongs to a Run if it has state, and is
// shared otherwise.
type stage interface {
	// do changes the row, and reports whether the record goes on.
	do(w *Row) bool
	needs() needs
}

// fresher is a stage with state: every Run has its own.
type fresher interface{ fresh(r *Run) stage }

// Compile prepares stages. Errors are fault.Invalid: an expression or template
// that cannot be read, a name that is set twice.
func Compile(stages []logql.Stage) (*Pipeline, error) {
	p := &Pipeline{stages: make([]stage, 0, len(stages))}
	for _, s := range stages {
		c, err := compile(s)
		if err != nil {
			return nil, err
		}
		p.stages = append(p.stages, c)
	}
	return p, nil
}

func compile(s logql.Stage) (stage, error) {
	switch s := s.(type) {
	case *logql.LineFilter:
		return newLineFilter(s)
	case *logql.LabelFilter:
		return newLabelFilter(s.Cond)
	case *logql.Parser:
		return newParser(s)
	case *logql.LineFormat:
		return newLineFormat(s)
	case *logql.LabelFormat:
		return newLabelFormat(s)
	case *logql.Decolorize:
		return decolorize{}, nil
	case *logql.Names:
		return newNames(s)
	case *logql.Distinct:
		return newDistinct(s), nil
	}
	return nil, fault.Errorf(fault.Internal, "stage %T is unknown", s)
}

func newParser(p *logql.Parser) (stage, error) {
	switch p.Name {
	case "json":
		return newJSON(p)
	case "logfmt":
		return newLogfmt(p)
	case "regexp":
		return newRegexp(p.Expr)
	case "pattern":
		return newPatternParser(p.Expr)
	case "unpack":
		return unpack{}, nil
	}
	return nil, fault.Errorf(fault.Internal, "parser %q is unknown", p.Name)
}

// Fields returns the names that a store must fill in for the stages to work, by
// any name the asker may use; with all set, every field: the line of a record
// without body is made of all, and a parser must know which names are taken. What
// the caller itself asks a Row for (Get, Value, Line) comes on top.
func (p *Pipeline) Fields() (names []string, all bool) {
	changed := false
	for _, s := range p.stages {
		n := s.needs()
		if n.all || n.line && !changed {
			return nil, true
		}
		names = append(names, n.names...)
		changed = changed || n.changes
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// Decides returns the names that a store must fill in for Do to tell which
// records go on and with what error, and for a Row to give the fields in shown
// (Get, Value). They are fewer than those of Fields where a parser makes fields
// at which no one looks; whatever else a Row tells is then not to be relied on.
func (p *Pipeline) Decides(shown []string) (names []string, all bool) {
	changed, parses := false, false
	names = slices.Clone(shown)
	for _, s := range p.stages {
		n := s.needs()
		if n.all && !n.parses || n.line && !changed {
			return nil, true
		}
		names = append(names, n.names...)
		changed, parses = changed || n.changes, parses || n.parses
	}
	if parses {
		// Whether a parser makes a field, and under which name, depends on what is
		// stored under it.
		for _, name := range slices.Clone(names) {
			ident := identifier(name)
			names = append(names, ident, strings.TrimSuffix(ident, extracted))
		}
		names = append(names, record.Body, statusName)
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// Remembers reports whether what it makes of a record depends on the records
// before.
func (p *Pipeline) Remembers() bool {
	return slices.ContainsFunc(p.stages, func(s stage) bool { _, is := s.(*distinct); return is })
}

// Sieve returns a function that tells which records go on, and the names that a
// store must fill in for it; or nil where that takes the whole record, or depends
// on the records before. It is for one goroutine.
func (p *Pipeline) Sieve() (goesOn func(*record.Record) bool, names []string) {
	names, all := p.Decides(nil)
	if all || p.Remembers() {
		return nil, nil
	}
	run := p.NewRun()
	return func(r *record.Record) bool {
		_, ok := run.Do(r)
		return ok
	}, names
}

// needs is what a stage asks of a record.
type needs struct {
	names   []string
	line    bool // the line
	changes bool // from here on the line is another
	all     bool
	// parses says that all is only for the names of what is made: of the others
	// the body is needed, and the line of a record without one is not looked at.
	parses bool
}

// NewRun returns the state of one query.
func (p *Pipeline) NewRun() *Run {
	r := &Run{stages: make([]stage, len(p.stages)), refs: map[string]*ref{}}
	r.row.run = r
	for i, s := range p.stages {
		if f, ok := s.(fresher); ok {
			s = f.fresh(r)
		}
		r.stages[i] = s
	}
	return r
}

// A Run takes the records of one query through a pipeline, in the order that
// the query asks for: distinct keeps the first. It is not safe for concurrent
// use.
type Run struct {
	stages []stage
	row    Row
	refs   map[string]*ref
	buf    []byte
	err    error

	// Of json and unpack.
	names  *jsonscan.Names
	object jsonscan.Object
}

// Do takes a record through the stages. It reports false for a record that a
// stage let go of. The Row is lent until the next Do and reads from rec, which
// must not change meanwhile; the strings that it returns may be kept.
func (r *Run) Do(rec *record.Record) (*Row, bool) {
	w := &r.row
	w.reset(rec)
	for _, s := range r.stages {
		if !s.do(w) {
			return nil, false
		}
	}
	return w, r.err == nil
}

// Err returns why the run can not go on, once it cannot: fault.Overload, when
// distinct would have to remember too much. Do reports false from then on.
func (r *Run) Err() error { return r.err }

// maxRefs bounds the names that a Run remembers.
const maxRefs = 4096

// ref resolves a name, once.
func (r *Run) ref(name string) *ref {
	if f, ok := r.refs[name]; ok {
		return f
	}
	f := newRef(name)
	if len(r.refs) < maxRefs {
		r.refs[name] = f
	}
	return f
}
