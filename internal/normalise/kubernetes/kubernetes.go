// Package kubernetes reads what the API server says: its audit log
// (audit.k8s.io/v1, v1beta1 and the forms of 2017) and the events of the cluster
// (v1 and events.k8s.io/v1), bare or within the envelopes of their shippers.
//
// An audit event says who asked for what, how far the request was (its stage),
// and how it ended; each request has several stages, which share auditID. Its
// own level says how much it tells, not how bad it is. A request that the
// authorizer let pass may still be refused by admission: so the engine is told
// by the annotation and the status together.
//
// It knows the tables of package table alone and never panics on outside bytes.
package kubernetes

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the layouts, the most telling first.
var Tables = slices.Concat(auditTables, eventTables, []*table.Table{viaq})

// Authorized writes what the authorizer's annotations say: its decision, and the
// binding by which RBAC let it pass. An empty decision says nothing.
func Authorized(o *facts.Out, decision, reason []byte) {
	if len(decision) == 0 {
		return
	}
	engine := ""
	switch {
	case has(reason, "RBAC: "):
		engine = "k8s-rbac"
	case has(reason, "EKS Access Policy"), has(reason, "access granted by IAM"):
		engine = "iam"
	}
	switch string(decision) {
	case "allow":
		o.Derive(field.MeshPolicyDecision, "allow")
		if engine != "" {
			o.Derive(field.MeshPolicyEngine, engine)
		}
		binding(o, reason)
	case "forbid":
		if engine == "" {
			engine = "k8s-rbac"
		}
		o.Denied(engine)
	}
}

func has(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// binding writes the policy that a reason names:
//
//	RBAC: allowed by RoleBinding "NAME/NAMESPACE" of Role "ROLE" to …
func binding(o *facts.Out, reason []byte) {
	const head = "RBAC: allowed by "
	if !has(reason, head) {
		return
	}
	kind, rest := facts.CutByte(reason[len(head):], ' ')
	if string(kind) != "RoleBinding" && string(kind) != "ClusterRoleBinding" || len(rest) < 2 {
		return
	}
	if rest[0] == '"' {
		rest, _ = facts.CutByte(rest[1:], '"')
	} else {
		rest, _ = facts.CutByte(rest, ' ')
	}
	name, ns := facts.CutByte(rest, '/')
	o.Derive(field.MeshPolicyKind, kindOf(kind))
	o.DeriveBytes(field.MeshPolicyName, name)
	o.DeriveBytes(field.MeshPolicyNamespace, ns)
}

// kindOf returns the kind without allocating.
func kindOf(kind []byte) string {
	if kind[0] == 'C' {
		return "ClusterRoleBinding"
	}
	return "RoleBinding"
}

// Verb derives http.request.method of a verb of the Kubernetes API.
func Verb(o *facts.Out, verb []byte) {
	switch string(verb) {
	case "get", "list", "watch":
		o.Derive(field.HTTPRequestMethod, "GET")
	case "create", "post":
		o.Derive(field.HTTPRequestMethod, "POST")
	case "update", "put":
		o.Derive(field.HTTPRequestMethod, "PUT")
	case "patch":
		o.Derive(field.HTTPRequestMethod, "PATCH")
	case "delete", "deletecollection":
		o.Derive(field.HTTPRequestMethod, "DELETE")
	case "head":
		o.Derive(field.HTTPRequestMethod, "HEAD")
	case "options":
		o.Derive(field.HTTPRequestMethod, "OPTIONS")
	}
}

// Object derives the name of an object under the name of its kind.
func Object(o *facts.Out, resource, name []byte) {
	switch string(resource) {
	case "pods", "Pod":
		o.DeriveBytes(field.K8sPodName, name)
	case "nodes", "Node":
		o.DeriveBytes(field.K8sNodeName, name)
	case "namespaces", "Namespace":
		o.DeriveBytes(field.K8sNamespaceName, name)
	}
}

// Action writes what was asked: k8s.audit.verb and .resource, and both as
// event.action.
func Action(o *facts.Out, verb, resource, subresource []byte) {
	var few [160]byte
	b := append(few[:0], verb...)
	if len(verb) > 0 {
		o.Str(field.K8sAuditVerb, verb)
		Verb(o, verb)
	}
	if len(resource) > 0 {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		from := len(b)
		b = append(b, resource...)
		if len(subresource) > 0 {
			b = append(append(b, '/'), subresource...)
		}
		o.Str(field.K8sAuditResource, b[from:])
	}
	if len(verb) > 0 {
		o.DeriveBytes(field.EventAction, b)
	}
}

// timed makes the first of the slots that holds a time the record's, and keeps
// the others, which no rule wrote.
func timed(o *facts.Out, s *table.Slots, slots ...table.Slot) (ns int64, at table.Slot) {
	for _, slot := range slots {
		if n, ok := facts.Time(s.Text(slot)); ok && at == 0 {
			ns, at = n, slot
		}
	}
	used := at != 0 && !o.Fixed && o.Time == 0
	if used {
		o.Time = ns
	}
	for _, slot := range slots {
		if m := s.Member(slot); m != nil && !(used && slot == at) {
			table.Keep(o, m)
		}
	}
	return ns, at
}
