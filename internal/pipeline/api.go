package pipeline

import (
	"context"

	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Request is what one receiver hands in at once: raw records of one source.
type Request struct {
	Tenant record.TenantID // from the credential
	Source string          // counted name of the source: receiver and credential, e.g. "elastic/admin"
	// Platform is the declared platform of the records ("istio", "linkerd",
	// "hubble", "envoy", …); "" means detect by shape.
	Platform string
	// Class is the retention class of records to which no rule of the policy gives
	// another; "" is the policy's default.
	Class record.Class
	// Kind is the record.kind of all records, which they also have as an attribute:
	// from anybody else that attribute is not believed. "" for log records.
	Kind string
	// ID makes a retry of the same request be seen once. Zero: not numbered.
	ID record.BatchID
	// Raws are records, or containers of many (normalise.Split), each of which is
	// counted by itself.
	Raws []record.Raw
	// Rejected counts records that the receiver itself refused, by reason, so
	// that the account is whole; they are not in Raws.
	Rejected []record.Count
}

// An Outcome says what became of a Request that returned no error.
type Outcome struct {
	Stored       int
	Dropped      int // by policy
	Deduplicated int
	// Refused lists the records that will never be kept as they are, by index in
	// Raws: of a container each that is refused. They are counted and kept in the dead-letter class.
	Refused []Refusal
	// Oldest and Newest are event times of what was handed on, in ns; 0 if nothing was.
	Oldest, Newest int64
}

// A Refusal is one permanently bad record.
type Refusal struct {
	Index  int
	Reason string // a bounded word, the metric label: "malformed_json", "too_large", …
	Detail string // for the sender
}

// Intake is what receivers call. Ingest returns nil only once every record that
// it did not refuse or drop is durable; on error nothing may be assumed and the
// sender retries. Implementations are safe for concurrent use.
type Intake interface {
	Ingest(ctx context.Context, req *Request) (Outcome, error)
}

// A Format is an access log format of Envoy's that an operator declares, and
// Formats are such, compiled.
type (
	Format  = normalise.CustomFormat
	Formats = normalise.Custom
)

// CompileFormats compiles formats. Its errors are of kind fault.Invalid and begin
// with the place in the list.
func CompileFormats(list []Format) (*Formats, error) { return normalise.CompileFormats(list) }

// KnownPlatform reports whether records may be declared to be of this platform.
func KnownPlatform(name string) bool { return normalise.Known(name) }
