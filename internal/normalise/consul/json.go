package consul

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Slots of the JSON layouts.
const (
	_ table.Slot = iota
	atModule
	atMessage
	atFailure
	atMethod
	atURL
	atFrom
	atCaller
	atKind
	atEvent
	atStage
	atStatus
	atUser
	atEndpoint
)

// Tables are the JSON layouts that this package reads. The first two are hclog's.
var Tables = []*table.Table{
	{
		Format: facts.Format{Name: JSON, Platform: "consul", Mesh: "consul", Kind: facts.App, Of: "Consul's agents, consul-dataplane and consul-k8s of themselves, in JSON"},
		All:    [][]string{{"@level"}, {"@message"}, {"@timestamp"}, {"@module"}},
		Keys:   hclog,
		Match:  func(s *table.Slots) bool { return known(s.Text(atModule)) },
		Finish: func(o *facts.Out, s *table.Slots) {
			place(o, s)
			decide(o, s.Text(atMessage), s.Text(atFailure))
			if httpServer(s.Text(atModule)) {
				request(o, s.Text(atMethod), s.Text(atURL), s.Text(atFrom))
			}
		},
	},
	{
		Format: facts.Format{Name: HCLogJSON, Platform: "hclog", Kind: facts.App, Of: "hclog in JSON: Nomad, Vault, Terraform and others"},
		All:    [][]string{{"@level"}, {"@message"}, {"@timestamp"}},
		Keys:   hclog,
		Finish: place,
	},
	{
		Format: facts.Format{Name: Audit, Platform: "consul", Mesh: "consul", Kind: facts.Audit, Of: "Consul Enterprise's audit log"},
		All:    [][]string{{"event_type"}, {"created_at"}, {"payload.type"}, {"payload.stage"}, {"payload.request.operation", "payload.request.endpoint"}},
		Keys: map[string]table.Rule{
			"payload.timestamp": table.Time(), "event_type": table.Take(atEvent), "payload.type": table.Take(atKind), "payload.stage": table.Text(field.ConsulAuditStage).At(atStage),
			"payload.id": table.Text(field.LogRecordUID), "payload.auth.accessor_id": table.Text(field.ConsulTokenAccessorID).At(atUser), "payload.auth.description": table.Text(field.UserName),
			"payload.request.operation": table.Method().At(atMethod), "payload.request.endpoint": table.URL().At(atEndpoint),
			"payload.request.remote_addr": table.Address(field.ClientAddress, field.ClientPort), "payload.request.user_agent": table.Text(field.UserAgentOriginal),
			"payload.request.host": table.Server(), "payload.response.status": table.Int(field.HTTPResponseStatusCode).At(atStatus), "payload.response.error": table.Text(field.EventReason),
		},
		Match:  func(s *table.Slots) bool { return s.Is(atEvent, "audit") && s.Is(atKind, "HTTPEvent") },
		Finish: audit,
	},
}

var hclog = map[string]table.Rule{
	"@timestamp": table.Time(), "@level": table.Severity(), "@message": table.Message().At(atMessage), "@module": table.Text(field.LogLogger).At(atModule),
	"@caller": table.Take(atCaller), "stacktrace": table.Text(field.ExceptionStacktrace),
	"error": table.Text(field.ExceptionMessage).At(atFailure), "err": table.Text(field.ExceptionMessage).At(atFailure),
	"method": table.Own().At(atMethod), "url": table.Own().At(atURL), "from": table.Own().At(atFrom),
}

func place(o *facts.Out, s *table.Slots) {
	if v := s.Text(atCaller); v != nil && !o.Place(v) {
		s.Leave(o, atCaller)
	}
}

// audit derives how a call ended. Only its second half, OperationComplete, tells.
func audit(o *facts.Out, s *table.Slots) {
	o.Derive(field.EventName, "consul.http")
	o.DeriveBytes(field.UserID, s.Text(atUser))
	status, ok := s.Int(atStatus)
	switch {
	case !ok:
		o.Derive(field.EventOutcome, facts.Unknown)
	case status == 401 || status == 403:
		o.Derive(field.EventOutcome, facts.Failure)
		o.Denied("acl")
	case status >= 400:
		o.Derive(field.EventOutcome, facts.Failure)
	default:
		o.Derive(field.EventOutcome, facts.Success)
	}
}
