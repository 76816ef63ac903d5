package pipe

import (
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A Label is a field that the pipeline made or changed.
type Label struct{ Name, Value string }

// A Row is a record as the pipeline left it.
type Row struct {
	run *Run
	rec *record.Record
}

func (w *Row) reset(rec *record.Record) { w.rec = rec }

// Record returns the record that went in, unchanged.
func (w *Row) Record() *record.Record { return w.rec }

// Line returns the line after all stages.
func (w *Row) Line() string { return string(match.AppendLine(nil, w.rec)) }

// Get returns the text of a field after all stages: one that a stage made, or
// else the stored one that the name means (schema.Resolve), unless it was
// dropped. __error__ and __error_details__ are fields, and match.Class is.
func (w *Row) Get(name string) (text string, ok bool) {
	v, _, ok := w.Value(name)
	return v.Text(), ok
}

// Value returns a field as Get does, typed, with the factor that turns a number
// in the asked name's unit into the value's unit. What a stage made is a text.
func (w *Row) Value(name string) (v record.Value, mul float64, ok bool) {
	res := schema.Resolve(name)
	return match.Lookup(&res, w.rec)
}

// Labels returns the fields that the pipeline made or changed, sorted by name;
// Loki calls them parsed. __error__ and __error_details__ are among them when
// there was an error. The slice is lent until the next Do.
func (w *Row) Labels() []Label { return nil }

// Dropped reports whether the record has a stored field that the name means and
// a stage took it away (drop, keep, or renamed by label_format).
func (w *Row) Dropped(name string) bool { return false }

// Err returns the error that a stage left, one of the Err constants, and what
// it says of the cause; or "".
func (w *Row) Err() (kind, details string) { return "", "" }
