package audit

import "context"

// An Act is something a principal did that must be on record before its result
// leaves: a query, an export, an administrative change.
type Act struct {
	Principal string            // who
	Tenant    string            // in which tenant
	Action    string            // "query", "tail", "labels", "report", "seal", …
	Detail    map[string]string // the query text, time range, parameters
	Remote    string            // network peer, if any
	Outcome   string            // "allowed" or "denied"
}

// A Recorder makes acts durable. Record returns nil only once the act would
// survive power loss. No audit, no answer: on error the caller MUST NOT answer.
type Recorder interface {
	Record(ctx context.Context, a Act) error
}
