package policy

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// builtinPrefix begins the ids of built-in rules.
const builtinPrefix = "builtin-"

// Builtin returns the rules that follow a policy's own, unless it leaves them
// out. They are rules like any other.
func Builtin() []Rule {
	return []Rule{
		{
			ID:     builtinPrefix + "secrets",
			Why:    "a credential in a log is one that everybody who reads logs has",
			Redact: &Redact{Detect: []string{detectSecrets}},
		},
		{
			ID:     builtinPrefix + "secret-fields",
			Why:    "the schema says that these fields hold nothing but credentials",
			Redact: &Redact{Fields: secretFields()},
		},
		{
			ID:    builtinPrefix + "decisions",
			Why:   "what a policy of the mesh refused or noticed is a security record",
			When:  []Condition{{Field: "mesh.policy.decision", In: []string{"deny", "audit", "shadow_deny", "shadow_allow", "rate_limited", "error"}}},
			Class: "security",
		},
		{
			ID:    builtinPrefix + "audit",
			Why:   "who did what to a platform is asked for years later",
			When:  []Condition{{Field: "parse.format", In: formatsOf(facts.Audit)}},
			Class: string(PlatformAudit),
		},
		{
			ID:    builtinPrefix + "auth",
			Why:   "who was let in, or not, is a security record",
			When:  []Condition{{Field: "parse.format", In: formatsOf(facts.Auth)}},
			Class: "security",
		},
		{
			ID:    builtinPrefix + "mesh-access",
			Why:   "access and flow logs are many, and serve operation",
			When:  []Condition{{Field: "parse.format", In: formatsOf(facts.Access, facts.Flow)}},
			Class: "ops",
		},
	}
}

// PlatformAudit is the class of the audit logs of platforms: of Kubernetes, of
// clouds, of products. It is not the class audit, which only the server itself
// writes to: there a sender's line would stand among those that say who read the
// logs.
const PlatformAudit record.Class = "platform-audit"

// formatsOf returns the layouts whose records are of these kinds, sorted.
func formatsOf(kinds ...facts.Kind) []string {
	var out []string
	for _, f := range normalise.Formats() {
		if slices.Contains(kinds, f.Kind) {
			out = append(out, f.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// secretFields are the names of every field that must never be stored.
func secretFields() []string {
	var out []string
	for _, f := range schema.Fields() {
		if f.Sensitivity != schema.Secret {
			continue
		}
		out = append(out, f.Name)
		for _, a := range f.Aliases {
			out = append(out, a.Name)
		}
	}
	return out
}
