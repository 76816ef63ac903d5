// Package policy decides what of a record may be kept, and for how long: which
// records are dropped, what is redacted, and the retention class of the rest.
// Every decision is counted under the rule that made it.
//
// It sees records as normalise made them and never bytes of a protocol; it is
// applied once, by pipeline, before the first write. It owns nothing of a batch.
package policy

import "github.com/meshtrail/meshtrail/internal/record"

// DefaultClass is the class of a record that no rule classifies.
const DefaultClass record.Class = "app"

// Config is the policy of a tenant.
type Config struct{}

// Policy is a compiled Config. It is safe for concurrent use.
type Policy struct{}

// New compiles a Config.
func New(Config) (*Policy, error) { return &Policy{}, nil }

// Apply drops, classifies and redacts the records of b, and counts what it
// dropped in b.Account.Dropped.
func (p *Policy) Apply(b *record.Batch) {}

// Redact applies only the redactions.
func (p *Policy) Redact(b *record.Batch) {}
