// Package saas reads audit logs of services that people work with: Okta's system
// log, GitHub's audit log, and GitLab's audit events, in its file and as streamed.
//
// It knows tables alone and never panics on outside bytes.
package saas

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the layouts.
var Tables = []*table.Table{okta, github, gitlabFile, gitlabStream}

const (
	_ table.Slot = iota
	result
	eventType
	action
	severity
	change
	eventName
	created
)

var okta = &table.Table{
	Format: facts.Format{Name: "okta", Platform: "okta", Kind: facts.Auth, Of: "Okta's system log"},
	All:    [][]string{{"eventType"}, {"actor.id"}, {"outcome.result"}, {"published"}, {"uuid"}},
	Keys: map[string]table.Rule{
		"published": table.Time(), "eventType": table.Text(field.EventAction).At(eventType), "uuid": table.Text(field.LogRecordUID), "displayMessage": table.Text(field.Body),
		"actor.alternateId": table.Text(field.UserName), "actor.id": table.Text(field.UserID), "client.ipAddress": table.Text(field.ClientAddress),
		"client.userAgent.rawUserAgent": table.Text(field.UserAgentOriginal), "outcome.result": table.Own().At(result), "outcome.reason": table.Text(field.EventReason),
		"severity": table.Text(field.SeverityText).At(severity), "debugContext.debugData.requestUri": table.URL(),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if n := facts.Level(s.Text(severity)); n != 0 {
			o.DeriveInt(field.SeverityNumber, n)
		}
		switch string(s.Text(result)) {
		case "SUCCESS", "ALLOW":
			o.Derive(field.EventOutcome, facts.Success)
		case "FAILURE", "DENY", "RATE_LIMIT", "ABANDONED", "DEFERRED":
			o.Derive(field.EventOutcome, facts.Failure)
		default:
			o.Derive(field.EventOutcome, facts.Unknown)
		}
		switch string(s.Text(result)) {
		case "DENY":
			o.Denied("okta-policy")
		case "RATE_LIMIT":
			o.Derive(field.MeshPolicyDecision, "rate_limited")
			o.Derive(field.MeshPolicyEngine, "ratelimit")
		}
	},
}

var github = &table.Table{
	Format: facts.Format{Name: "github-audit", Platform: "github", Kind: facts.Audit, Of: "the audit log of a GitHub organisation or enterprise"},
	All:    [][]string{{"action"}, {"actor"}, {"_document_id", "created_at", "operation_type", "repository", "business", "org_id", "external_identity_nameid"}, {"@timestamp", "created_at"}, {"org", "business", "repo", "user", "actor_location.country_code"}},
	Keys: map[string]table.Rule{
		"@timestamp": table.Time(), "action": table.Text(field.EventAction).At(action), "_document_id": table.Text(field.LogRecordUID), "actor": table.Text(field.UserName),
		"actor_id": table.Text(field.UserID), "actor_ip": table.Text(field.ClientAddress), "user_agent": table.Text(field.UserAgentOriginal), "created_at": table.Time(),
		"request_id": table.Text(field.HTTPRequestHeaderXRequestID),
	},
	Match: func(s *table.Slots) bool {
		for _, c := range s.Text(action) {
			if c == '.' {
				return true
			}
		}
		return false
	},
}

// gitlabFile is audit_json.log.
var gitlabFile = &table.Table{
	Format: facts.Format{Name: "gitlab-audit", Platform: "gitlab", Kind: facts.Audit, Of: "audit events of GitLab: its file audit_json.log, and as streamed"},
	All:    [][]string{{"author_id"}, {"entity_id"}, {"entity_type"}, {"time"}},
	Keys: map[string]table.Rule{
		"time": table.Time(), "severity": table.Text(field.SeverityText), "author_name": table.Text(field.UserName), "author_id": table.Text(field.UserID),
		"ip_address": table.Text(field.ClientAddress), "event_name": table.Text(field.EventAction).At(eventName), "change": table.Own().At(change),
		"correlation_id": table.Text(field.HTTPRequestHeaderXRequestID),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if s.Text(eventName) == nil {
			o.DeriveBytes(field.EventAction, s.Text(change))
		}
	},
}

// gitlabStream is what GitLab posts to a destination.
var gitlabStream = &table.Table{
	Format: gitlabFile.Format,
	All:    [][]string{{"author_id"}, {"entity_id"}, {"entity_type"}, {"created_at"}, {"event_type", "target_type", "details"}},
	Keys: map[string]table.Rule{
		"created_at": table.Take(created), "id": table.Text(field.LogRecordUID), "author_name": table.Text(field.UserName), "author_id": table.Text(field.UserID),
		"ip_address": table.Text(field.ClientAddress), "event_type": table.Text(field.EventAction),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		ns, ok := facts.Time(bytes.TrimSuffix(s.Text(created), []byte(" UTC")))
		if ok && !o.Fixed && o.Time == 0 {
			o.Time = ns
		} else {
			table.Keep(o, s.Member(created))
		}
	},
}
