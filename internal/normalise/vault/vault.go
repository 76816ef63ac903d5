// Package vault reads the audit devices of HashiCorp Vault and OpenBao: one record
// for a request and one for its response, which share request.id. Secrets in them
// are hashed by the server (hmac-sha256:…), but for what an operator excepted.
//
// It knows tables alone and never panics on outside bytes.
package vault

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the layouts.
var Tables = []*table.Table{audit}

const (
	_ table.Slot = iota
	kind
	path
	operation
	id
	remote
	port
	failure
	policies
	identityPolicies
	tokenPolicies
	display
	granted
	agent
)

var audit = &table.Table{
	Format: facts.Format{Name: "vault-audit", Platform: "vault", Kind: facts.Audit, Of: "audit devices of HashiCorp Vault and OpenBao, JSON"},
	All:    [][]string{{"type"}, {"time"}, {"request.id"}, {"request.operation"}, {"request.path"}},
	Match: func(s *table.Slots) bool {
		return s.Is(kind, "request") || s.Is(kind, "response")
	},
	Keys: map[string]table.Rule{
		"time": table.Time(), "type": table.Text(field.EventName).At(kind), "error": table.Text(field.EventReason).At(failure),
		"request.id": table.Text(field.HTTPRequestHeaderXRequestID).At(id), "request.operation": table.Text(field.EventAction).At(operation),
		"request.path": table.Text(field.URLPath).At(path), "request.remote_address": table.Text(field.ClientAddress).At(remote),
		"request.remote_port": table.Int(field.ClientPort), "request.mount_type": table.Text(field.EventProvider),
		"auth.display_name": table.Text(field.UserName).At(display), "auth.entity_id": table.Text(field.UserID),
		"auth.policies": table.Take(policies), "auth.token_policies": table.Own().At(tokenPolicies), "auth.identity_policies": table.Own().At(identityPolicies),
		"auth.policy_results.allowed": table.Own().At(granted),
		"request.headers.user-agent":  table.Take(agent),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if s.Member(policies) != nil {
			o.StrOf(field.UserRoles, s.List(policies))
		}
		if m := s.Member(agent); m != nil {
			o.StrOf(field.UserAgentOriginal, s.First(agent))
		}
		switch string(s.Text(operation)) {
		case "read", "list", "help":
			o.Derive(field.HTTPRequestMethod, "GET")
		case "create", "update":
			o.Derive(field.HTTPRequestMethod, "PUT")
		case "patch":
			o.Derive(field.HTTPRequestMethod, "PATCH")
		case "delete":
			o.Derive(field.HTTPRequestMethod, "DELETE")
		}
		why := s.Text(failure)
		allowed, told := s.Bool(granted)
		switch {
		case why != nil:
			o.Derive(field.EventOutcome, facts.Failure)
		case s.Is(kind, "response"):
			o.Derive(field.EventOutcome, facts.Success)
		default:
			o.Derive(field.EventOutcome, facts.Unknown)
		}
		switch {
		case bytes.Contains(why, []byte("permission denied")), told && !allowed:
			o.Denied("vault-policy")
		case told:
			o.Derive(field.MeshPolicyDecision, "allow")
			o.Derive(field.MeshPolicyEngine, "vault-policy")
		}
	},
}
