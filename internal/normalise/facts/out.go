// Package facts is what the platform parsers share: Out, through which they
// write a record's fields, and the readers of small formats that all of them
// meet (times, addresses, URLs, SPIFFE identities, service names).
//
// It knows no platform and no JSON. Every function takes bytes from outside and
// never panics on them; what it returns aliases its input.
package facts

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
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

// Columns remembers where the fields of package field are in the batch that is
// being written, so that no name is looked up for a value. The zero Columns is
// ready to use.
type Columns struct {
	b      *record.Batch
	layout uint64
	strs   [field.Count]*record.Column
	ints   [field.Count]*record.Column

	// Of NAME_extracted.
	takenStrs [field.Count]*record.Column
	takenInts [field.Count]*record.Column

	own map[string]*ownText // of OwnText
}

// Bind makes b the batch that is written, and reports whether what was
// remembered had to be forgotten. It is called before every record.
func (c *Columns) Bind(b *record.Batch) (forgot bool) {
	if c.b == b && c.layout == b.Layout() {
		return false
	}
	own := c.own
	clear(own)
	*c = Columns{b: b, layout: b.Layout(), own: own}
	return true
}

// Out writes one record's fields into the open record of B. What the receiver
// gave beside the payload (Attrs) was written before and is never overwritten: a
// value of the payload under the same name is kept under NAME_extracted, as
// LogQL names it, and a derived one is left out.
type Out struct {
	B      *record.Batch
	Cols   *Columns       // bound to B
	Attrs  *Attributes    // nil: the receiver gave nothing beside the payload
	Around []record.Field // whose names the object around this one has

	Time  int64 // the record's own time, ns; 0 until found
	Fixed bool  // the protocol gave the time: the record's own is a field
	Mesh  bool  // the sender said which mesh this is
	Now   int64 // time of receipt, ns: the year of a time that names none
	// Declared is the platform that the sender declared, or "".
	Declared string
	// Program is the program that wrote the record, as syslog or journald name it
	// beside the message, or empty.
	Program []byte
	// Pod is the pod that wrote the record, as the sender names it, or empty.
	Pod []byte
	// Service is the service.name that a parser proposes: the record gets it if
	// neither a field nor the receiver names one. It is the parser's until Append
	// returns.
	Service []byte
	Format  string // layout that matched
	Status  Status
	// Odd is what did not fit in a record that is Partial: a column or a member by
	// the name that the layout has for it, or a word of the parser's. It is never a
	// value. "" is unknown.
	Odd string
}

// Bare reports whether every name is free.
func (o *Out) Bare() bool { return o.Attrs == nil && len(o.Around) == 0 }

// Extracted is the end of a name that was taken.
const Extracted = "_extracted"

// Reserved reports whether only intake itself may set the name.
func Reserved(name string) bool {
	switch {
	case name == "log.source" || name == schema.RecordKind || name == record.Labels || name == "overflow" || name == "overflow.attributes":
		return true
	case name == "data.owner" || name == "data.classification" || name == "event.original_time" || name == "event.original_class": // policy's and the pipeline's
		return true
	case strings.HasPrefix(name, "parse.") || strings.HasPrefix(name, "deadletter.") || strings.HasPrefix(name, "__"):
		return true
	}
	return false
}

// taken reports whether a field has its name already.
func (o *Out) taken(f field.ID) bool {
	if o.Attrs != nil {
		if a := o.Attrs.fields[f]; a != nil && a.seen == o.Attrs.record {
			return true
		}
	}
	return len(o.Around) > 0 && o.within(f.String())
}

// within reports whether the object around has the name.
func (o *Out) within(name string) bool {
	for i := range o.Around {
		if a := o.Around[i].Name; len(a) == len(name) && a == name {
			return true
		}
	}
	return false
}

func (o *Out) free(name string) string {
	if o.Attrs != nil && o.Attrs.has(name) || o.within(name) {
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

// maxOwn bounds the names that OwnText remembers: a sender of ever new names
// costs allocations, not memory.
const maxOwn = 4096

// ownText is where the values of a name are kept that OwnText met.
type ownText struct {
	name  string // NAME, or what stands for it when only intake may set it
	at    *record.Column
	taken *record.Column // of NAME_extracted
	attr  Place
}

// OwnText writes a value of the payload that carries the sender's own name, such
// as a pair of a text line. An empty name, or one of more than 256 bytes, is left
// out: the body has it.
func (o *Out) OwnText(name, v []byte) {
	if len(name) == 0 || len(name) > 256 {
		return
	}
	own := o.Cols.own[string(name)]
	if own == nil {
		if o.Cols.own == nil || len(o.Cols.own) >= maxOwn {
			o.Cols.own = make(map[string]*ownText)
		}
		own = &ownText{name: string(name)}
		if Reserved(own.name) {
			own.name += Extracted
		}
		o.Cols.own[string(name)] = own
	}
	if !o.Bare() && (o.Attrs != nil && o.Attrs.Holds(&own.attr, own.name) || o.within(own.name)) {
		if own.taken == nil {
			own.taken = o.B.Open(own.name+Extracted, record.String)
		}
		o.B.PutBytes(own.taken, v)
		return
	}
	if own.at == nil {
		own.at = o.B.Open(own.name, record.String)
	}
	o.B.PutBytes(own.at, v)
}

// Severity writes severity_text as it was written, and the number that it stands
// for when it is known. A number that the receiver gave stays.
func (o *Out) Severity(word []byte) {
	if Absent(word) {
		return
	}
	o.DeriveBytes(field.SeverityText, word)
	o.SeverityNumber(word)
}

// SeverityNumber writes the number that a word of severity stands for, when it is
// known and the receiver gave no severity.
func (o *Out) SeverityNumber(word []byte) {
	if n := Level(word); n > 0 && !o.taken(field.SeverityNumber) && !o.taken(field.SeverityText) {
		o.Int(field.SeverityNumber, n)
	}
}

// Str writes a value of the payload.
func (o *Out) Str(f field.ID, v []byte) {
	if c := o.Cols.strs[f]; c != nil && o.Bare() {
		o.B.PutBytes(c, v)
		return
	}
	o.str(f, v)
}

func (o *Out) str(f field.ID, v []byte) {
	if o.taken(f) {
		o.B.PutBytes(o.extracted(&o.Cols.takenStrs, f, record.String), v)
		return
	}
	o.B.PutBytes(o.text(f), v)
}

// text returns the String column of a field.
func (o *Out) text(f field.ID) *record.Column {
	c := o.Cols.strs[f]
	if c == nil {
		c = o.B.Open(f.String(), record.String)
		o.Cols.strs[f] = c
	}
	return c
}

// extracted returns the column of a field whose name is taken.
func (o *Out) extracted(cols *[field.Count]*record.Column, f field.ID, k record.Kind) *record.Column {
	c := cols[f]
	if c == nil {
		c = o.B.Open(f.String()+Extracted, k)
		cols[f] = c
	}
	return c
}

// Int writes a value of the payload.
func (o *Out) Int(f field.ID, v int64) {
	if o.taken(f) {
		o.B.PutNum(o.extracted(&o.Cols.takenInts, f, record.Int), uint64(v))
		return
	}
	c := o.Cols.ints[f]
	if c == nil {
		c = o.B.Open(f.String(), record.Int)
		o.Cols.ints[f] = c
	}
	o.B.PutNum(c, uint64(v))
}

// Bool writes a value of the payload.
func (o *Out) Bool(f field.ID, v bool) { o.B.Bool(o.free(f.String()), v) }

// Put writes what only intake itself may set: no attribute has the name.
func (o *Out) Put(f field.ID, v string) { o.B.PutStr(o.text(f), v) }

// Derive writes a fact that the payload only implies.
func (o *Out) Derive(f field.ID, v string) {
	if !o.taken(f) {
		o.B.PutStr(o.text(f), v)
	}
}

// DeriveBytes is Derive for bytes, which are copied. Empty derives nothing.
func (o *Out) DeriveBytes(f field.ID, v []byte) {
	if len(v) > 0 && !o.taken(f) {
		o.B.PutBytes(o.text(f), v)
	}
}

// MeshType derives mesh.type, unless the sender said it.
func (o *Out) MeshType(v string) {
	if !o.Mesh {
		o.Derive(field.MeshType, v)
	}
}

// Partial lowers the status of a layout that matched only in part.
func (o *Out) Partial() { o.Status = Partial }

// PartialOf is Partial, and says what did not fit, as Odd does. The first that did
// not is told.
func (o *Out) PartialOf(what string) {
	o.Status = Partial
	if o.Odd == "" && len(what) <= maxOdd {
		o.Odd = what
	}
}

// maxOdd bounds what is told of what did not fit.
const maxOdd = 64
