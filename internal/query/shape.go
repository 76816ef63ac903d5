package query

import (
	"context"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A Shaper takes the records that a log query's predicate selects through the
// rest of its pipeline, as Query does. It is for the records of one answer, in
// their order, and for one goroutine.
type Shaper struct {
	run     *pipe.Run // nil: every record goes through as it is
	labeler *exec.Labeler
	lookups int // since the context was last asked

	remembers bool
	line      []byte
}

// NewShaper returns a Shaper for a log query, for a door that was given records
// as they are stored (TailRequest.Stored).
func NewShaper(lang Language, query string) (*Shaper, error) {
	l, err := readLog(lang, query, nil)
	if err != nil {
		return nil, err
	}
	return newShaper(l), nil
}

func newShaper(l *plan.Log) *Shaper {
	s := &Shaper{labeler: exec.NewLabeler()}
	if l.Pipe != nil {
		s.run, s.remembers = l.Pipe.NewRun(), l.Pipe.Remembers()
	}
	return s
}

// Entry returns what a Loki-shaped answer shows of a record: its stream labels
// and its entry. It reports false for a record that a stage lets go of. r is not
// changed, and lends the entry its fields.
func (s *Shaper) Entry(r *record.Record) (stream Labels, e Entry, ok bool) {
	if s.run == nil {
		s.line = match.AppendLine(s.line[:0], r)
		return s.labeler.Labels(r), Entry{Record: *r, Line: string(s.line)}, true
	}
	row, ok := s.run.Do(r)
	if !ok {
		return nil, Entry{}, false
	}
	e = Entry{Record: *r, Line: row.Line()}
	for _, l := range row.Labels() {
		e.Parsed = append(e.Parsed, exec.Label(l))
	}
	e.Record.Fields = row.Stored()
	stream = slices.DeleteFunc(s.labeler.Labels(&e.Record), func(l exec.Label) bool {
		return slices.ContainsFunc(e.Parsed, func(p exec.Label) bool { return p.Name == l.Name })
	})
	return stream, e, true
}

// Record returns a record with what the stages made of it: made fields as texts,
// a changed line as the body, dropped fields gone. It reports false for a record
// that a stage lets go of.
func (s *Shaper) Record(r *record.Record) (record.Record, bool) {
	out := *r
	if s.run != nil {
		row, ok := s.run.Do(r)
		if !ok {
			return record.Record{}, false
		}
		out.Fields = row.Fields()
	}
	return out, true
}

// Err returns why no more records can be shaped, or nil.
func (s *Shaper) Err() error {
	if s.run == nil {
		return nil
	}
	return s.run.Err()
}

// Remembers reports whether what is made of a record depends on those before.
func (s *Shaper) Remembers() bool { return s.remembers }

// goOn reports why the next record must not be looked at: a pipeline may be slow
// and let go of all it sees, so nobody else would notice that time is up.
func (s *Shaper) goOn(ctx context.Context) error {
	if s.lookups++; s.lookups%8 == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return s.Err()
}

// sift lets a scan read no more of a record than tells that a stage lets go of it.
func (s *Shaper) sift(ctx context.Context, l *plan.Log, req *store.ScanRequest) {
	if l.Pipe == nil {
		return
	}
	goesOn, names := l.Pipe.Sieve()
	if goesOn == nil {
		return
	}
	req.KeepFields = names
	req.Keep = func(r *record.Record) (bool, error) {
		if err := s.goOn(ctx); err != nil {
			return false, err
		}
		return goesOn(r), nil
	}
}

// project keeps the fields that names ask for, by any name.
func project(fields []record.Field, names []schema.Resolution) []record.Field {
	out := make([]record.Field, 0, len(names))
	for i := range fields {
		if slices.ContainsFunc(names, func(r schema.Resolution) bool { _, _, ok := r.Match(fields[i].Name); return ok }) {
			out = append(out, fields[i])
		}
	}
	return out
}
