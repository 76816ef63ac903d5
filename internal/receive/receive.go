// Package receive is what the receivers share. Each child package is one protocol,
// but for those that know none: listen (ports), jsontext, msgpack, pb and thrift
// (encodings), spans (what spans of every protocol become), sources (what is known
// of each source, and who has stopped sending), receivetest.
//
//	inlet.go    the way in: every receiver hands its records in by an Inlet
//	retry.go    the way in for senders that cannot be asked to come again
//	rpc.go      the way in for gRPC
//	body.go     bytes of a request within limits, decompressed, in counted memory
//	set.go      raw records, collected without allocating for each
//	batchid.go  which requests are one request
//	answer.go   what a failure means to the sender
//	rate.go     how much a credential may send
//
// A receiver knows a protocol's bytes and nothing of platforms, policy or
// storage: it hands raw records to pipeline.Intake and answers when Ingest has
// returned. A success answer therefore means durable; nothing in these rooms
// survives a crash because nothing needs to.
//
// Memory: a Body and the Set built over it belong to one request. Raw records
// alias the body, so both are released only after Ingest returned. What all
// requests together hold is bounded by Limits.Memory; beyond it a request is
// refused with fault.Overload before it is read.
package receive

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Sender is who a request comes from, as far as the records are concerned.
type Sender struct {
	Tenant record.TenantID
	Name   string // the principal's name
	Source string // counted name of the source: receiver and credential
	// Platform is what the sender's records were declared to be, "" if nothing was.
	Platform string
	// Class is the retention class of its records where no rule of the policy says
	// another, "" for the policy's own default.
	Class record.Class
	// Lossy says that this sender's way is lossy where others of its protocol are
	// not (UDP beside TCP).
	Lossy bool

	answered bool  // the sender is told when its records are durable
	rate     *rate // what its credential may send; nil: no bound
}

// Identify returns the sender of an authenticated request. The tenant comes
// from the credential; no header and no body is asked.
func Identify(r *http.Request, receiver string) (Sender, error) {
	return sender(httpd.PrincipalFrom(r.Context()), receiver)
}

func sender(p *access.Principal, receiver string) (Sender, error) {
	if p == nil || p.Tenant == "" {
		return Sender{}, fault.Errorf(fault.Unauthenticated, "a credential is needed")
	}
	label := p.Sends.Source
	if label == "" {
		label = p.Name
	}
	return Sender{
		Tenant: p.Tenant, Name: p.Name, Source: SourceName(receiver + "/" + label),
		Platform: p.Sends.Platform, Class: record.Class(p.Sends.Class),
	}, nil
}

// SourceName makes s fit for record.Batch.Source: 1 to 128 printable ASCII
// bytes. A name that does not fit ends in a digest of the whole.
func SourceName(s string) string { return printable(s, 128) }

func printable(s string, limit int) string {
	ok := len(s) > 0 && len(s) <= limit
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] > ' ' && s[i] < 0x7f
	}
	if ok {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	tail := "~" + hex.EncodeToString(sum[:8])
	head := make([]byte, 0, limit)
	for i := 0; i < len(s) && len(head) < limit-len(tail); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f {
			c = '_'
		}
		head = append(head, c)
	}
	return string(head) + tail
}

// Str returns b as a string that aliases it: for field names and values of raw
// records, which live as long as the body they point into.
func Str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
