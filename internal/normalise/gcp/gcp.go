// Package gcp reads the entries of Google Cloud's logging: Cloud Audit Logs
// (activity, data access, system event, policy; of GKE the audit log of
// Kubernetes within), VPC flow and firewall logs, and what load balancers log of
// requests.
//
// An operation that takes long has a first entry and a last one; how it ended is
// in the last. A status without a code, or none, is success: protocol buffers
// leave out what is zero, so a permission without "granted" was not granted.
//
// It knows tables alone and never panics on outside bytes.
package gcp

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/kubernetes"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the layouts.
var Tables = []*table.Table{audit, flow, firewall, balancer}

// The members that entries are put together from.
const (
	_ table.Slot = iota
	payloadType
	logName
	service
	method
	resource
	caller
	status
	authorization
	first
	last
	zone
	location
	region
	project
	cluster
	decision
	reason
	principal
	message
	span
	trace
	severity
	kind
	protocol
	reporter
	starts
	ends
	subjects
	disposition
	ruleName
	url
	armor
	peerIP
	address
	delegation
)

// entry are the names that every entry has around its payload.
var entry = map[string]table.Rule{
	"timestamp":                  table.Time(),
	"insertId":                   table.Text(field.LogRecordUID),
	"logName":                    table.Own().At(logName),
	"severity":                   table.Text(field.SeverityText).At(severity),
	"trace":                      table.Own().At(trace),
	"spanId":                     table.Own().At(span),
	"resource.type":              table.Own().At(kind),
	"resource.labels.project_id": table.Text(field.CloudAccountID).At(project),
	"resource.labels.zone":       table.Own().At(zone),
	"resource.labels.location":   table.Own().At(location),
	"resource.labels.region":     table.Own().At(region),
}

func keys(own map[string]table.Rule) map[string]table.Rule {
	for name, r := range entry {
		if _, ok := own[name]; !ok {
			own[name] = r
		}
	}
	return own
}

// around writes what the names around a payload say.
func around(o *facts.Out, s *table.Slots) {
	o.Derive(field.CloudProvider, "gcp")
	for _, at := range [...]table.Slot{region, location, zone} {
		if v := s.Text(at); v != nil && string(v) != "global" {
			o.Region(v)
		}
	}
	if v := s.Text(project); v == nil {
		o.DeriveBytes(field.CloudAccountID, projectOf(s.Text(logName)))
	}
	if v := s.Text(trace); v != nil { // projects/PROJECT/traces/ID
		o.TraceID(facts.Last(v, '/'))
	}
	if v := s.Text(span); len(v) == 16 && facts.Hex(v) {
		o.DeriveBytes(field.SpanID, v)
	}
	if n := facts.Level(s.Text(severity)); n != 0 {
		o.DeriveInt(field.SeverityNumber, n)
	}
}

// projectOf returns PROJECT of projects/PROJECT/….
func projectOf(name []byte) []byte {
	rest, ok := bytes.CutPrefix(name, []byte("projects/"))
	if !ok {
		return nil
	}
	id, _ := facts.CutByte(rest, '/')
	if string(id) == "_" {
		return nil
	}
	return id
}

const p = "protoPayload."

var audit = &table.Table{
	Format: facts.Format{Name: "gcp-audit", Platform: "gcp", Kind: facts.Audit, Of: "Google Cloud Audit Logs: activity, data access, system event and policy, that of GKE among them"},
	All: [][]string{
		{p + "@type", p + "at_sign_type", p + "methodName", p + "authenticationInfo.principalEmail"},
		{p + "methodName", p + "serviceName", p + "resourceName", p + "authorizationInfo"},
	},
	Match: func(s *table.Slots) bool {
		t := s.Text(payloadType)
		return t == nil || bytes.HasSuffix(t, []byte("google.cloud.audit.AuditLog"))
	},
	Keys: keys(map[string]table.Rule{
		p + "@type":                                    table.Own().At(payloadType),
		p + "at_sign_type":                             table.Own().At(payloadType), // as some exporters spell it
		p + "methodName":                               table.Text(field.EventAction).At(method),
		p + "serviceName":                              table.Text(field.EventProvider).At(service),
		p + "resourceName":                             table.Text(field.CloudResourceID).At(resource),
		p + "authenticationInfo.principalEmail":        table.Text(field.UserName).At(principal),
		p + "authenticationInfo.principalSubject":      table.Text(field.UserID),
		p + "requestMetadata.callerIp":                 table.Take(caller),
		p + "requestMetadata.callerIP":                 table.Take(caller),
		p + "requestMetadata.callerSuppliedUserAgent":  table.Text(field.UserAgentOriginal),
		p + "requestMetadata.destinationAttributes.ip": table.Own(),
		p + "status.code":                              table.Int(field.RPCGRPCStatusCode).At(status),
		p + "status.message":                           table.Own().At(message),
		p + "authorizationInfo":                        table.Own().At(authorization),
		"operation.first":                              table.Own().At(first),
		"operation.last":                               table.Own().At(last),
		"resource.labels.cluster_name":                 table.Text(field.K8sClusterName).At(cluster),
		"labels.authorization.k8s.io/decision":         table.Text(field.K8sAuditDecision).At(decision),
		"labels.authorization.k8s.io/reason":           table.Text(field.EventReason).At(reason),
	}),
	Finish: finishAudit,
}

func finishAudit(o *facts.Out, s *table.Slots) {
	around(o, s)
	if v := s.Text(caller); facts.IsHost(v) {
		o.Str(field.ClientAddress, v)
	} else if m := s.Member(caller); m != nil { // private, gce-internal-ip
		table.Keep(o, m)
	}
	if v := s.Text(service); facts.IsHost(v) {
		o.DeriveBytes(field.ServerAddress, v)
	}
	o.ServiceAccount(s.Text(principal))
	o.DeriveBytes(field.EventName, logOf(s.Text(logName)))
	code, failed := s.Int(status)
	isFirst, _ := s.Bool(first)
	isLast, _ := s.Bool(last)
	switch {
	case failed && code != 0:
		o.Derive(field.EventOutcome, facts.Failure)
		if why := s.Text(message); why != nil && s.Text(reason) == nil {
			o.DeriveBytes(field.EventReason, why)
		}
	case !failed && isFirst && !isLast, s.Is(decision, "forbid"):
		o.Derive(field.EventOutcome, facts.Unknown)
	default:
		o.Derive(field.EventOutcome, facts.Success)
	}
	if s.Is(service, "k8s.io") || bytes.HasPrefix(s.Text(method), []byte("io.k8s.")) {
		gke(o, s)
	}
	if s.Is(decision, "forbid") {
		o.Derive(field.EventOutcome, facts.Failure)
	}
	if failed && code == 7 || denied(s) {
		o.Denied("iam")
		o.Derive(field.EventOutcome, facts.Failure)
	}
	if s.Text(decision) != nil {
		kubernetes.Authorized(o, s.Text(decision), s.Text(reason))
	}
}

// denied reports whether a permission that was asked for was not granted.
func denied(s *table.Slots) bool {
	no := false
	s.Elements(authorization, func(m *jsonscan.Member) {
		i := bytes.Index(m.Text, []byte(`"granted"`))
		if i >= 0 && bytes.HasPrefix(bytes.TrimLeft(m.Text[i+len(`"granted"`):], " :"), []byte("false")) {
			no = true
		}
	})
	return no
}

// logOf returns the last part of a log's name, activity of
// projects/P/logs/cloudaudit.googleapis.com%2Factivity.
func logOf(name []byte) []byte {
	_, kind, ok := bytes.Cut(name, []byte("cloudaudit.googleapis.com"))
	if !ok {
		return nil
	}
	return bytes.TrimPrefix(bytes.TrimPrefix(kind, []byte("%2F")), []byte("/"))
}

// gke writes what a request to the API server of a cluster was: its method is
// io.k8s.GROUP.VERSION.RESOURCE[.SUBRESOURCE].VERB, its resource
// GROUP/VERSION/[namespaces/NS/]RESOURCE/[NAME/[SUBRESOURCE]].
func gke(o *facts.Out, s *table.Slots) {
	o.Derive(field.EventName, "k8s.audit")
	dot := bytes.LastIndexByte(s.Text(method), '.')
	if dot < 0 {
		return
	}
	verb := s.Text(method)[dot+1:]
	o.DeriveBytes(field.K8sAuditVerb, verb)
	kubernetes.Verb(o, verb)
	var part [8][]byte
	n := 0
	for rest := s.Text(resource); len(rest) > 0 && n < len(part); n++ {
		part[n], rest = facts.CutByte(rest, '/')
	}
	if n < 3 {
		return
	}
	at := 2
	if string(part[at]) == "namespaces" && n > at+2 {
		o.DeriveBytes(field.K8sNamespaceName, part[at+1])
		at += 2
	}
	var few [128]byte
	what := append(few[:0], part[at]...)
	if n > at+2 {
		what = append(append(what, '/'), part[at+2]...)
	}
	o.DeriveBytes(field.K8sAuditResource, what)
	if n > at+1 {
		o.DeriveBytes(field.K8sAuditObject, part[at+1])
		kubernetes.Object(o, part[at], part[at+1])
	}
}
