package query

import (
	"strings"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// What answers hold in memory, in bytes. A limit on records alone is none: a
// record may be large, and a stage may make it larger.
const (
	maxAnswer = 64 << 20 // the records of an answer that is made as a whole
	maxShaped = 4 << 20  // what a pipeline made, before it is handed on
)

// errAnswer refuses an answer that would hold too much.
var errAnswer = fault.WithHint(fault.Errorf(fault.Overload, "the records of the answer exceed %d MiB", maxAnswer>>20),
	"ask for fewer records at once, or take them away as a stream: /api/v1/query and /api/v1/export hold none of them")

// size is about how many bytes a record holds.
func size(r *record.Record) int {
	n := int(unsafe.Sizeof(*r))
	for i := range r.Fields {
		n += int(unsafe.Sizeof(r.Fields[i])) + len(r.Fields[i].Value.Str)
	}
	return n
}

// size is about how many bytes an entry holds.
func (e *Entry) size() int {
	n := size(&e.Record) + len(e.Line)
	for _, l := range e.Parsed {
		n += int(unsafe.Sizeof(l)) + len(l.Name) + len(l.Value)
	}
	return n
}

// detach copies the texts of an entry. Until then they share memory with all the
// records of one visit.
func (e *Entry) detach() {
	fields := make([]record.Field, len(e.Record.Fields))
	copy(fields, e.Record.Fields)
	for i := range fields {
		fields[i].Value.Str = strings.Clone(fields[i].Value.Str)
	}
	e.Record.Fields, e.Line, e.Parsed = fields, strings.Clone(e.Line), e.Parsed.Clone()
}
