// Package access decides who may: it turns a principal's roles into permissions
// and into the Scope that every read is limited to. No other package decides.
package access

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Permission is what a route or an act needs.
type Permission string

// The permissions. Public is declared, never defaulted: a route without a
// permission does not start.
const (
	Public Permission = "public" // no credential (health only)
	// Identified is what every right credential may: calls that say nothing of
	// records, by which senders and readers find out whom they speak to.
	Identified Permission = "identified"

	LogsWrite Permission = "logs.write" // intake
	LogsRead  Permission = "logs.read"  // query, tail, labels
	AuditRead Permission = "audit.read" // records of class audit
	Evidence  Permission = "evidence"   // reports, sources, verification
	Metrics   Permission = "metrics"    // own metrics
	Admin     Permission = "admin"      // seal, configuration, trying policies

	// Reveal turns tokens back into the values that a policy took out of records.
	// Who administers does not have it.
	Reveal Permission = "tokens.reveal"
)

// A Principal is an authenticated caller.
type Principal struct {
	Name   string // for the audit record
	Tenant record.TenantID
	Grants []Permission
	Sends  identity.Sending // what is declared of the records that it hands in
}

// May reports whether the principal holds the permission.
func (p *Principal) May(need Permission) bool {
	if p == nil {
		return false
	}
	for _, g := range p.Grants {
		if g == need {
			return true
		}
	}
	return false
}

// AuditClass is the retention class of audit records.
const AuditClass record.Class = "audit"

// A Scope limits a read. The zero Scope reads nothing: only ReadScope makes one
// that does.
type Scope struct {
	tenant    record.TenantID
	where     match.Predicate
	audit     bool
	principal string
}

// ReadScope returns the scope in which p may read logs.
func ReadScope(p *Principal) (Scope, error) {
	if !p.May(LogsRead) {
		return Scope{}, fault.Errorf(fault.Denied, "%s may not read logs", name(p))
	}
	return Scope{tenant: p.Tenant, where: match.True{}, audit: p.May(AuditRead), principal: p.Name}, nil
}

func name(p *Principal) string {
	if p == nil {
		return "anonymous"
	}
	return p.Name
}

// Check fails with fault.Denied for the zero Scope. Every reader calls it first.
func (s Scope) Check() error {
	if s.tenant == "" || s.where == nil {
		return fault.Errorf(fault.Denied, "read without a scope")
	}
	return nil
}

// Tenant returns the tenant that may be read.
func (s Scope) Tenant() record.TenantID { return s.tenant }

// Where returns the predicate that every read is ANDed with.
func (s Scope) Where() match.Predicate { return s.where }

// MayReadAudit reports whether records of class audit may be read.
func (s Scope) MayReadAudit() bool { return s.audit }

// Principal returns who reads, for the audit record.
func (s Scope) Principal() string { return s.principal }
