// Package facts is what the platform parsers share: Out, through which they
// write a record's fields, and the readers of small formats that all of them
// meet (times, addresses, URLs, SPIFFE identities, service names).
//
// It knows no platform and no JSON. Every function takes bytes from outside and
// never panics on them; what it returns aliases its input.
package facts

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
)

// Status says how much of a record was understood.
type Status uint8

// The statuses.
const (
	None    Status = iota // kept, but nothing was understood
	Partial               // some of a known layout
	OK                    // all of it
)

// String returns the status as parse.status shows it.
func (s Status) String() string { return [...]string{"none", "partial", "ok"}[s] }

// Out writes one record's fields into the open record of B. What the receiver
// gave beside the payload (Attrs) was written before and is never overwritten: a
// value of the payload under the same name is kept under NAME_extracted, as
// LogQL names it, and a derived one is left out.
type Out struct {
	B     *record.Batch
	Attrs []record.Field

	Time   int64  // the record's own time, ns; 0 until found
	Fixed  bool   // the protocol gave the time: the record's own is a field
	Mesh   bool   // the sender said which mesh this is
	Format string // layout that matched
	Status Status
}

// Extracted is the end of a name that was taken.
const Extracted = "_extracted"

// Reserved reports whether only intake itself may set the name.
func Reserved(name string) bool {
	switch {
	case name == "log.source" || name == record.Labels || name == "overflow" || name == "overflow.attributes":
		return true
	case strings.HasPrefix(name, "parse.") || strings.HasPrefix(name, "deadletter.") || strings.HasPrefix(name, "__"):
		return true
	}
	return false
}

func (o *Out) taken(name string) bool {
	for i := range o.Attrs {
		if a := o.Attrs[i].Name; len(a) == len(name) && a == name {
			return true
		}
	}
	return false
}

func (o *Out) free(name string) string {
	if len(o.Attrs) > 0 && o.taken(name) {
		return name + Extracted
	}
	return name
}

// Own returns the name under which a value of the payload is kept that carries
// the sender's own name.
func (o *Out) Own(name string) string {
	if Reserved(name) {
		return name + Extracted
	}
	return o.free(name)
}

// Str writes a value of the payload.
func (o *Out) Str(name string, v []byte) { o.B.StrBytes(o.free(name), v) }

// Int writes a value of the payload.
func (o *Out) Int(name string, v int64) { o.B.Int(o.free(name), v) }

// Bool writes a value of the payload.
func (o *Out) Bool(name string, v bool) { o.B.Bool(o.free(name), v) }

// Derive writes a fact that the payload only implies.
func (o *Out) Derive(name, v string) {
	if len(o.Attrs) == 0 || !o.taken(name) {
		o.B.Str(name, v)
	}
}

// DeriveBytes is Derive for bytes, which are copied. Empty derives nothing.
func (o *Out) DeriveBytes(name string, v []byte) {
	if len(v) > 0 && (len(o.Attrs) == 0 || !o.taken(name)) {
		o.B.StrBytes(name, v)
	}
}

// MeshType derives mesh.type, unless the sender said it.
func (o *Out) MeshType(v string) {
	if !o.Mesh {
		o.Derive("mesh.type", v)
	}
}

// Partial lowers the status of a layout that matched only in part.
func (o *Out) Partial() { o.Status = Partial }
