// Package record holds the nouns of the house: Record (one log record or span),
// Batch (many, by column, the unit of durability) and Appender (who keeps them).
//
// A record is OpenTelemetry's log model flattened: an event time, a retention
// class, and fields that map a name to a typed value. Everything else is a
// field: the message is "body", the severity "severity_text" and
// "severity_number", the trace "trace_id" and "span_id". Names are those of
// package schema where it knows the field, and the sender's own otherwise.
//
// An absent field has no value; there is no null. Times are int64 nanoseconds
// since the Unix epoch, UTC.
//
// A batch has one encoding for journal, spool and relay (spec/batch.md):
//
//	| "MTB" | version u8 | body length u32 | packed length u32 | CRC-32C u32 | packed body | padding |
//
// The package knows no file, protocol or platform. What a Batch returns belongs
// to the batch; a Record is detached from everything. Nothing here survives a
// crash by itself: that is an Appender's promise.
package record

import (
	"context"
	"strconv"
)

// Body is the field that holds a record's message.
const Body = "body"

// Labels is the field that names, comma-separated, the fields which the sender
// declared to be stream labels (Loki). Readers group lines by them; it is never
// shown as a field.
const Labels = "stream.labels"

// TenantID names a tenant: 1 to 64 of [a-z0-9_-]. It comes from the credential
// and from nowhere else.
type TenantID string

// Class names a retention class: 1 to 64 of [a-z0-9_-].
type Class string

// ValidName reports whether s may be a TenantID or a Class. Both become names
// of folders, so nothing else is ever accepted.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Kind is the type of a value.
type Kind uint8

// The types of values. Their numbers are part of the batch and segment formats.
const (
	String Kind = 1
	Int    Kind = 2
	Float  Kind = 3
	Bool   Kind = 4
)

// Value is one typed value. The zero Value is absent.
type Value struct {
	Kind Kind
	Str  string  // Kind String
	Int  int64   // Kind Int; Bool as 0 or 1
	Flt  float64 // Kind Float
}

// StringValue returns a string Value.
func StringValue(s string) Value { return Value{Kind: String, Str: s} }

// IntValue returns an integer Value.
func IntValue(i int64) Value { return Value{Kind: Int, Int: i} }

// FloatValue returns a floating-point Value.
func FloatValue(f float64) Value { return Value{Kind: Float, Flt: f} }

// BoolValue returns a boolean Value.
func BoolValue(b bool) Value {
	v := Value{Kind: Bool}
	if b {
		v.Int = 1
	}
	return v
}

// AppendText appends the value's text form: the string itself, a decimal
// integer, the shortest float that round-trips, true or false.
func (v Value) AppendText(dst []byte) []byte {
	switch v.Kind {
	case String:
		return append(dst, v.Str...)
	case Int:
		return strconv.AppendInt(dst, v.Int, 10)
	case Float:
		return strconv.AppendFloat(dst, v.Flt, 'g', -1, 64)
	case Bool:
		return strconv.AppendBool(dst, v.Int != 0)
	}
	return dst
}

// Text returns the value's text form.
func (v Value) Text() string {
	if v.Kind == String {
		return v.Str
	}
	return string(v.AppendText(make([]byte, 0, 24)))
}

// Field is one named value of a record.
type Field struct {
	Name  string
	Value Value
}

// Record is one record as readers see it: decoded, detached from any buffer.
type Record struct {
	Time   int64  // event time, ns
	Ingest int64  // when Meshtrail received it, ns
	Ord    uint64 // position in the store's commit order; unique, increasing
	Class  Class
	Fields []Field // in the order they were written; names are unique
}

// Get returns the value stored under exactly this name.
func (r *Record) Get(name string) (Value, bool) {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return r.Fields[i].Value, true
		}
	}
	return Value{}, false
}

// BatchID identifies a batch for ever. An origin that retries MUST send the
// same ID with the same content; readers see the batch once. Origin is 1 to 128
// printable bytes; the zero BatchID means that the origin cannot number its
// batches and every Append is a new one.
type BatchID struct {
	Origin string
	Epoch  uint64 // grows when the origin lost its memory
	Seq    uint64 // of the batch's first record, within the epoch
}

// IsZero reports whether the origin cannot number its batches.
func (id BatchID) IsZero() bool { return id.Origin == "" }

// An Account says what happened to the records that a source handed in with
// this batch. Received = Stored + Rejected + Dropped + Deduplicated, always;
// Stored is the batch's Len unless it proves to be a repetition.
type Account struct {
	Received     uint64
	Rejected     []Count // by reason
	Dropped      []Count // by policy rule
	Deduplicated uint64
}

// Count is a number under a name.
type Count struct {
	Name string `json:"name"`
	N    uint64 `json:"n"`
}

// An Appender durably accepts batches. Append returns nil only once b would
// survive power loss. On error b may or may not have been kept: the caller
// retries with the same b.ID, and readers see it once. Append MUST NOT retain b.
type Appender interface {
	Append(ctx context.Context, b *Batch) error
}

// Raw is one record as a receiver read it, before anything was understood.
// Payload and Attrs may alias the request's buffer: a consumer MUST copy what
// it keeps beyond the call.
type Raw struct {
	Payload []byte  // one text line or one JSON object; may be empty
	JSON    bool    // Payload was declared to be a JSON object
	Time    int64   // the protocol's own time, ns; 0 if it gave none
	Attrs   []Field // labels, metadata and attributes beside the payload
	Service string  // what the protocol takes for the service of a record that names none; "" is none
	Level   string  // the same for its severity
}
