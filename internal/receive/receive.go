// Package receive is what the receivers share: it reads a request's body within
// limits, says who sent it, collects raw records without allocating for each,
// and maps failures to answers that real clients retry without loss. Each child
// package is one protocol.
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

// Limits bound what one request, and all together, may cost. A zero field takes
// its default.
type Limits struct {
	// Body is the size of a request body as received, in bytes (default 32 MiB;
	// Logstash sends bulks of 20 MiB).
	Body int64 `yaml:"body_bytes"`
	// Decoded is the size of a body after decompression, in bytes (default 64 MiB).
	Decoded int64 `yaml:"decoded_bytes"`
	// Ratio is how many times larger than its compressed form a body of more
	// than 8 MiB may be (default 256).
	Ratio int64 `yaml:"ratio"`
	// Items is the number of records in one request (default 262,144).
	Items int `yaml:"items"`
	// Depth is how deep JSON or protobuf values may nest where a receiver
	// decodes them itself (default 64).
	Depth int `yaml:"depth"`
	// Memory is the sum of all bodies held at once, in bytes (default 256 MiB).
	Memory int64 `yaml:"memory_bytes"`
}

// WithDefaults returns l with its zero fields filled in.
func (l Limits) WithDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Body, 32<<20)
	def(&l.Decoded, 64<<20)
	def(&l.Ratio, 256)
	def(&l.Memory, 256<<20)
	if l.Items <= 0 {
		l.Items = 1 << 18
	}
	if l.Items > record.MaxRows {
		l.Items = record.MaxRows
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	return l
}

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

// KeyHeader is the request header by which a sender numbers a request itself:
// 1 to 128 printable bytes. Two requests with the same key, sender, protocol,
// path and content are one request, so a retry is seen once.
const KeyHeader = "Idempotency-Key"

// RequestID returns the identity of a request that carries KeyHeader, and the
// zero ID for one that does not. The content is part of the identity: a sender
// that reuses a key for other records has them kept, not mistaken for a retry.
func RequestID(r *http.Request, from Sender, protocol string, content []byte) (record.BatchID, error) {
	key := r.Header.Get(KeyHeader)
	if key == "" {
		return record.BatchID{}, nil
	}
	if len(key) > 128 {
		return record.BatchID{}, fault.Errorf(fault.Invalid, "%s has %d bytes, more than 128", KeyHeader, len(key))
	}
	for i := 0; i < len(key); i++ {
		if key[i] < ' ' || key[i] > 0x7e {
			return record.BatchID{}, fault.Errorf(fault.Invalid, "%s has a byte that is not printable", KeyHeader)
		}
	}
	h := sha256.New()
	for _, part := range []string{string(from.Tenant), from.Name, protocol, r.URL.Path, key} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(content)
	return record.BatchID{Origin: "key:" + hex.EncodeToString(h.Sum(nil))}, nil
}

// Str returns b as a string that aliases it: for field names and values of raw
// records, which live as long as the body they point into.
func Str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
