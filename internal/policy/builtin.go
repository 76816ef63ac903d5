package policy

import "github.com/meshtrail/meshtrail/internal/schema"

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
			ID:    builtinPrefix + "mesh-access",
			Why:   "access and flow logs are many, and serve operation",
			When:  []Condition{{Field: "parse.format", In: meshFormats}},
			Class: "ops",
		},
	}
}

// meshFormats are the layouts of access and flow logs.
var meshFormats = []string{
	"envoy-json", "envoy-text", "istio-json", "istio-text", "consul-json", "consul-text",
	"kuma-json", "kuma-text", "linkerd-json", "linkerd-apache", "hubble-flow", "hubble-event",
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
