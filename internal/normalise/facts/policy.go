package facts

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Decision derives what a policy decided, and which kind of engine: the values of
// mesh.policy.decision and mesh.policy.engine.
func (o *Out) Decision(what, engine string) {
	o.Derive(field.MeshPolicyDecision, what)
	o.Derive(field.MeshPolicyEngine, engine)
}

// RBACPolicy derives the policy that Istio gave Envoy's RBAC filter by the name
// ns[NS]-policy[NAME]-rule[N], or any other name as it is. none is none.
func (o *Out) RBACPolicy(b []byte) {
	if Absent(b) || string(b) == "none" {
		return
	}
	name := bracketed(b, "policy[")
	if len(name) == 0 {
		o.DeriveBytes(field.MeshPolicyName, b)
		return
	}
	o.DeriveBytes(field.MeshPolicyName, name)
	o.DeriveBytes(field.MeshPolicyNamespace, bracketed(b, "ns["))
	o.DeriveBytes(field.MeshPolicyRule, bracketed(b, "rule["))
}

// bracketed returns what stands between open and the next closing bracket.
func bracketed(b []byte, open string) []byte {
	i := bytes.Index(b, []byte(open))
	if i < 0 {
		return nil
	}
	b = b[i+len(open):]
	if i = bytes.IndexByte(b, ']'); i < 0 {
		return nil
	}
	return b[:i]
}

// Place derives source file and line of FILE:LINE, as loggers name who called
// them, and reports whether b is that.
func (o *Out) Place(b []byte) bool {
	i := bytes.LastIndexByte(b, ':')
	if i <= 0 || i+1 >= len(b) || len(b) > 512 || bytes.IndexByte(b[:i], '.') < 0 || bytes.IndexByte(b, ' ') >= 0 {
		return false
	}
	line, ok := Uint(b[i+1:])
	if !ok {
		return false
	}
	o.DeriveBytes(field.CodeFilePath, b[:i])
	if !o.taken(field.CodeLineNumber) {
		o.Int(field.CodeLineNumber, line)
	}
	return true
}
