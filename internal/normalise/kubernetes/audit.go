package kubernetes

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The members that an audit event is put together from.
const (
	_ table.Slot = iota
	apiVersion
	auditID
	level
	levelTold // OpenShift's collector keeps the level under another name
	stage
	verb
	user
	groups
	effectiveGroups
	addresses
	resource
	subresource
	object
	namespace
	code
	status
	message
	stageTime
	received
	stamp
	created
	decision
	reason
	podSecurity
	enforced
	kindOfAudit
	azureID
)

// An audit event stands alone, or where AKS puts it when it is not a text.
var auditTables = []*table.Table{
	audit("", facts.Format{Name: "k8s-audit", Platform: "kubernetes", Kind: facts.Audit, Of: "the audit log of a Kubernetes API server, bare or in the envelope of EKS, AKS or OpenShift"}),
	audit("properties.log.", facts.Format{Name: "aks-audit", Platform: "kubernetes", Kind: facts.Audit, Of: "the audit log of AKS, whose envelope holds the event as an object"}),
	aks,
}

func audit(at string, f facts.Format) *table.Table {
	t := &table.Table{
		Format: f,
		All: [][]string{
			{at + "auditID", at + "apiVersion", at + "kind"},
			{at + "stage", at + "verb", at + "requestURI"},
			{at + "user.username", at + "user.groups", at + "user.uid", at + "user"},
		},
		Match: func(s *table.Slots) bool {
			if v := s.Text(apiVersion); v != nil {
				return has(v, "audit.k8s.io/") || has(v, "audit.k8s.io")
			}
			return (s.Text(auditID) != nil || s.Is(kindOfAudit, "Event")) && isStage(s.Text(stage))
		},
		Finish: finishAudit,
		Keys:   map[string]table.Rule{},
	}
	for name, r := range map[string]table.Rule{
		"apiVersion":                 table.Own().At(apiVersion),
		"kind":                       table.Own().At(kindOfAudit),
		"auditID":                    table.Text(field.K8sAuditID).At(auditID),
		"level":                      table.Take(level),
		"stage":                      table.Text(field.K8sAuditStage).At(stage),
		"verb":                       table.Take(verb),
		"requestURI":                 table.URL(),
		"user.username":              table.Text(field.UserName).At(user),
		"user.uid":                   table.Text(field.UserID),
		"user.groups":                table.Take(groups),
		"impersonatedUser.username":  table.Text(field.UserEffectiveName),
		"impersonatedUser.uid":       table.Text(field.UserEffectiveID),
		"impersonatedUser.groups":    table.Take(effectiveGroups),
		"sourceIPs":                  table.Take(addresses),
		"userAgent":                  table.Text(field.UserAgentOriginal),
		"objectRef.resource":         table.Take(resource),
		"objectRef.subresource":      table.Take(subresource),
		"objectRef.name":             table.Text(field.K8sAuditObject).At(object),
		"objectRef.namespace":        table.Text(field.K8sNamespaceName).At(namespace),
		"responseStatus.code":        table.Take(code),
		"responseStatus.reason":      table.Text(field.ErrorCode).At(status),
		"responseStatus.message":     table.Own().At(message),
		"requestReceivedTimestamp":   table.Take(received),
		"stageTimestamp":             table.Take(stageTime),
		"timestamp":                  table.Take(stamp),
		"metadata.creationTimestamp": table.Take(created),
		"annotations.authorization.k8s.io/decision":               table.Text(field.K8sAuditDecision).At(decision),
		"annotations.authorization.k8s.io/reason":                 table.Take(reason),
		"annotations.pod-security.kubernetes.io/enforce-policy":   table.Own().At(enforced),
		"annotations.pod-security.kubernetes.io/audit-violations": table.Own().At(podSecurity),
	} {
		t.Keys[at+name] = r
	}
	if at == "" { // of ViaQ, the model of OpenShift's collector
		t.Keys["k8s_audit_level"] = table.Text(field.K8sAuditLevel).At(levelTold)
		t.Keys["openshift_audit_level"] = table.Text(field.K8sAuditLevel).At(levelTold)
		t.Keys["hostname"] = table.Text(field.HostName)
		return t
	}
	t.Keys["resourceId"] = table.Text(field.CloudResourceID).At(azureID)
	t.Keys["properties.stream"] = table.Text(field.LogIostream)
	t.Finish = func(o *facts.Out, s *table.Slots) {
		finishAudit(o, s)
		o.Derive(field.CloudProvider, "azure")
		cluster(o, s.Text(azureID))
	}
	return t
}

func isStage(b []byte) bool {
	switch string(b) {
	case "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic":
		return true
	}
	return false
}

func finishAudit(o *facts.Out, s *table.Slots) {
	switch {
	case s.Member(level) == nil:
	case s.Member(levelTold) != nil: // then it is the record's, and says nothing
		table.Keep(o, s.Member(level))
	default:
		o.Str(field.K8sAuditLevel, s.Text(level))
	}
	when(o, s)
	who(o, s)
	Action(o, s.Text(verb), s.Text(resource), s.Text(subresource))
	Object(o, s.Text(resource), s.Text(object))
	if id := s.Text(auditID); id != nil { // the stages of one request share it
		var few [96]byte
		uid := append(few[:0], id...)
		if at := s.Text(stage); at != nil {
			uid = append(append(uid, '/'), at...)
		}
		o.DeriveBytes(field.LogRecordUID, uid)
	}
	o.Derive(field.EventName, "k8s.audit")
	ended(o, s)
}

// when writes the time of the stage, and how long it took until then.
func when(o *facts.Out, s *table.Slots) {
	from, known := facts.Time(s.Text(received))
	to, at := timed(o, s, stageTime, stamp, received, created)
	if known && at == stageTime && to >= from {
		o.DeriveInt(field.MeshDurationNS, to-from)
	}
}

// who writes the person and the addresses: the first is the client, the last the
// peer of the API server.
func who(o *facts.Out, s *table.Slots) {
	o.ServiceAccount(s.Text(user))
	if s.Member(groups) != nil {
		o.StrOf(field.UserRoles, s.List(groups))
	}
	if s.Member(effectiveGroups) != nil {
		o.StrOf(field.UserEffectiveRoles, s.List(effectiveGroups))
	}
	m := s.Member(addresses)
	if m == nil {
		return
	}
	n := 0
	s.Elements(addresses, func(e *jsonscan.Member) {
		if n++; n == 1 && len(e.Text) > 0 {
			o.Str(field.ClientAddress, e.Text)
		}
	})
	if n == 1 {
		return
	}
	if n > 1 {
		i := 0
		s.Elements(addresses, func(e *jsonscan.Member) {
			if i++; i == n {
				o.DeriveBytes(field.NetworkPeerAddress, e.Text)
			}
		})
	}
	if len(m.Text) > 2 {
		table.Keep(o, m)
	}
}

// ended writes how the request ended, and who refused it.
func ended(o *facts.Out, s *table.Slots) {
	n, told := s.Int(code)
	switch {
	case told && n > 0:
		o.Int(field.HTTPResponseStatusCode, n)
	case s.Member(code) != nil && !told:
		s.Leave(o, code)
	}
	verdict := s.Text(decision)
	forbidden := string(verdict) == "forbid"
	severity := "info"
	switch {
	case n >= 400 || forbidden || s.Is(stage, "Panic"):
		o.Derive(field.EventOutcome, facts.Failure)
		if severity = "warn"; n >= 500 || s.Is(stage, "Panic") {
			severity = "error"
		}
	case n > 0:
		o.Derive(field.EventOutcome, facts.Success)
	default:
		o.Derive(field.EventOutcome, facts.Unknown)
	}
	o.Derive(field.SeverityText, severity)
	if why := s.Text(message); why == nil {
		o.StrOf(field.EventReason, s.Text(reason))
	} else { // it tells more than why the authorizer let it pass
		o.DeriveBytes(field.EventReason, why)
		if s.Text(reason) != nil {
			table.Keep(o, s.Member(reason))
		}
	}
	switch {
	case n == 403 && !forbidden && verdict != nil: // let pass, and refused by what comes after
		if s.Text(enforced) != nil && bytes.Contains(s.Text(message), []byte("PodSecurity")) {
			o.Denied("pod-security")
		} else {
			o.Denied("k8s-admission")
		}
	case n == 403 && verdict == nil:
		o.Denied("k8s-rbac")
	default:
		Authorized(o, verdict, s.Text(reason))
	}
}

// aks is AKS's own log of its control plane, which holds the line of a component
// as text: an audit event, or what the component says of itself.
var aks = &table.Table{
	Format:   facts.Format{Name: "aks", Platform: "kubernetes", Kind: facts.Host, Of: "logs of AKS's control plane: scheduler, controller manager, autoscaler, …"},
	All:      [][]string{{"properties.log"}, {"category"}, {"operationName", "resourceId"}},
	Envelope: true,
	Keys: map[string]table.Rule{
		"properties.log":           table.Message(),
		"properties.stream":        table.Text(field.LogIostream),
		"properties.pod":           table.Own().At(object),
		"properties.containerName": table.Text(field.K8sContainerName),
		"resourceId":               table.Text(field.CloudResourceID).At(resource),
		"time":                     table.Own().At(stamp),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		o.Derive(field.CloudProvider, "azure")
		o.DeriveBytes(field.K8sPodName, s.Text(object))
		cluster(o, s.Text(resource))
		if ns, ok := facts.Time(s.Text(stamp)); ok && !o.Fixed {
			o.Time = ns
		}
	},
}

// cluster derives the name of the cluster of an Azure resource.
func cluster(o *facts.Out, id []byte) {
	const kind = "/managedclusters/"
	for i := 0; i+len(kind) < len(id); i++ {
		if id[i] == '/' && bytes.EqualFold(id[i:i+len(kind)], []byte(kind)) {
			name, _ := facts.CutByte(id[i+len(kind):], '/')
			o.DeriveBytes(field.K8sClusterName, name)
			return
		}
	}
}
