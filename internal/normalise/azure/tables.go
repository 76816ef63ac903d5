package azure

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// activity is the activity log as it is exported.
var activity = &table.Table{
	Format: facts.Format{Name: "azure-activity", Platform: "azure", Kind: facts.Audit, Of: "Azure's activity log, as exported and as the portal shows it"},
	All:    [][]string{{"time"}, {"resourceId"}, {"operationName"}, {"identity.authorization.action", "identity.claims", "identity.authorization.scope", "identity.claims.appid", "properties.eventCategory", "properties.activityStatusValue"}},
	Keys: envelope(map[string]table.Rule{
		"identity.claims.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":     table.Own().At(upn),
		"identity.claims.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name":    table.Own().At(displayName),
		"identity.claims.http://schemas.microsoft.com/identity/claims/objectidentifier": table.Text(field.UserID),
		"identity.claims.appid":                table.Own().At(initiatorApp),
		"identity.authorization.evidence.role": table.Text(field.UserRoles),
		"properties.caller":                    table.Own().At(caller),
		"properties.eventDataId":               table.Text(field.LogRecordUID),
		"properties.activityStatusValue":       table.Own().At(status),
		"properties.statusCode":                table.Own().At(errorCode),
	}),
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		who(o, s, upn, displayName, caller, initiatorApp)
		outcome(o, s.Text(status))
		outcome(o, s.Text(result))
		if refused(s.Text(signature)) || refused(s.Text(errorCode)) {
			o.Denied("iam")
			o.Derive(field.EventOutcome, facts.Failure)
		}
	},
}

// who writes the first of the names that there is.
func who(o *facts.Out, s *table.Slots, slots ...table.Slot) {
	for _, at := range slots {
		if v := s.Text(at); v != nil {
			o.DeriveBytes(field.UserName, v)
			return
		}
	}
}

// portal is the activity log of the portal and of Azure's API.
var portal = &table.Table{
	Format: activity.Format,
	All:    [][]string{{"eventTimestamp"}, {"operationName.value"}, {"resourceId", "subscriptionId"}},
	Keys: map[string]table.Rule{
		"eventTimestamp": table.Time(), "operationName.value": table.Text(field.EventAction), "resourceId": table.Text(field.CloudResourceID).At(resourceID),
		"caller": table.Text(field.UserName), "subscriptionId": table.Text(field.CloudAccountID), "eventDataId": table.Text(field.LogRecordUID),
		"level": table.Take(level), "status.value": table.Own().At(status), "subStatus.value": table.Own().At(signature),
		"httpRequest.clientIpAddress": table.Take(callerIP), "httpRequest.method": table.Method(),
		"claims.http://schemas.microsoft.com/identity/claims/objectidentifier": table.Text(field.UserID),
		"authorization.role": table.Text(field.UserRoles),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		outcome(o, s.Text(status))
		if refused(s.Text(signature)) {
			o.Denied("iam")
		}
	},
}

// signIn is a sign-in of Entra ID.
var signIn = &table.Table{
	Format: facts.Format{Name: "entra-signin", Platform: "azure", Kind: facts.Auth, Of: "sign-ins of Entra ID: of users, service principals and managed identities"},
	All:    [][]string{{"time"}, {"category"}, {"properties.ipAddress", "properties.ipAddressFromResourceProvider"}, {"properties.userPrincipalName", "properties.servicePrincipalName", "properties.servicePrincipalId"}, {"properties.appId", "properties.appDisplayName", "properties.status.errorCode"}},
	Keys:   envelope(entra("properties.")),
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		signedIn(o, s)
	},
}

// graphSignIn is a sign-in as Microsoft Graph gives it.
var graphSignIn = &table.Table{
	Format: signIn.Format,
	All:    [][]string{{"createdDateTime"}, {"ipAddress"}, {"userPrincipalName", "servicePrincipalName"}, {"status.errorCode"}, {"appId", "appDisplayName"}},
	Keys:   entra(""),
	Finish: func(o *facts.Out, s *table.Slots) {
		o.Derive(field.CloudProvider, "azure")
		o.Derive(field.EventAction, "Sign-in activity")
		signedIn(o, s)
	},
}

func entra(at string) map[string]table.Rule {
	keys := map[string]table.Rule{}
	for name, r := range map[string]table.Rule{
		"userPrincipalName": table.Text(field.UserName).At(upn), "userId": table.Text(field.UserID).At(objectID), "servicePrincipalId": table.Own().At(initiatorApp),
		"servicePrincipalName": table.Own().At(displayName), "id": table.Text(field.LogRecordUID), "ipAddress": table.Take(initiatorIP),
		"status.errorCode": table.Own().At(errorCode), "status.failureReason": table.Own().At(failure), "userAgent": table.Text(field.UserAgentOriginal),
		"conditionalAccessStatus": table.Own().At(access), "resourceDisplayName": table.Own(),
	} {
		keys[at+name] = r
	}
	if at == "" {
		keys["createdDateTime"] = table.Time()
	}
	return keys
}

func signedIn(o *facts.Out, s *table.Slots) {
	if s.Text(upn) == nil {
		o.DeriveBytes(field.UserName, s.Text(displayName))
	}
	if s.Text(objectID) == nil {
		o.DeriveBytes(field.UserID, s.Text(initiatorApp))
	}
	if m := s.Member(initiatorIP); m != nil {
		if facts.IsAddress(m.Text) {
			o.Str(field.ClientAddress, m.Text)
		} else {
			table.Keep(o, m)
		}
	}
	code, ok := s.Int(errorCode)
	if !ok {
		code, ok = s.Int(result)
	}
	switch {
	case !ok:
		o.Derive(field.EventOutcome, facts.Unknown)
	case code == 0:
		o.Derive(field.EventOutcome, facts.Success)
	default:
		o.Derive(field.EventOutcome, facts.Failure)
		if m := s.Member(errorCode); m != nil {
			o.DeriveBytes(field.ErrorCode, m.Text)
		} else {
			o.DeriveBytes(field.ErrorCode, s.Text(result))
		}
		if !o.Has(field.EventReason) {
			o.DeriveBytes(field.EventReason, s.Text(failure))
		}
	}
	if s.Is(access, "failure") {
		o.Denied("conditional-access")
	}
}

// directory is the audit log of Entra ID.
var directory = &table.Table{
	Format: facts.Format{Name: "entra-audit", Platform: "azure", Kind: facts.Audit, Of: "the audit log of Entra ID: changes of users, groups, applications and policies"},
	All:    [][]string{{"time"}, {"properties.activityDisplayName", "properties.operationType"}, {"properties.initiatedBy.user.userPrincipalName", "properties.initiatedBy.app.displayName", "properties.initiatedBy.user.id", "properties.targetResources"}},
	Keys: envelope(map[string]table.Rule{
		"properties.id": table.Text(field.LogRecordUID),
		"properties.initiatedBy.user.userPrincipalName": table.Own().At(initiatorUser), "properties.initiatedBy.user.id": table.Own().At(objectID),
		"properties.initiatedBy.user.ipAddress": table.Take(initiatorIP), "properties.initiatedBy.app.displayName": table.Own().At(initiatorApp),
		"properties.result": table.Own().At(status), "properties.resultReason": table.Own().At(failure),
	}),
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		who(o, s, initiatorUser, initiatorApp)
		o.DeriveBytes(field.UserID, s.Text(objectID))
		if m := s.Member(initiatorIP); m != nil {
			if facts.IsAddress(m.Text) {
				o.Str(field.ClientAddress, m.Text)
			} else {
				table.Keep(o, m)
			}
		}
		outcome(o, s.Text(result))
		outcome(o, s.Text(status))
		if !o.Has(field.EventReason) {
			o.DeriveBytes(field.EventReason, s.Text(failure))
		}
	},
}

// networkFlow is the flows of some minutes, of a security group (version 2, by
// rule) or of a virtual network (version 4): one record holds many.
var networkFlow = &table.Table{
	Format: facts.Format{Name: "azure-flow", Platform: "azure", Kind: facts.Flow, Of: "flow logs of Azure's network security groups and virtual networks: the flows of one interface in one interval"},
	All:    [][]string{{"time"}, {"category"}, {"properties.flows", "flowRecords.flows"}},
	Keys: envelope(map[string]table.Rule{
		"targetResourceID": table.Own(), "flowLogResourceID": table.Text(field.CloudResourceID).At(resourceID),
	}),
	Finish: func(o *facts.Out, s *table.Slots) { around(o, s) },
}

// resource is a record of any other resource.
var resource = &table.Table{
	Format: facts.Format{Name: "azure-resource", Platform: "azure", Kind: facts.App, Of: "logs of any Azure resource, in their common envelope"},
	All:    [][]string{{"time", "timeGenerated", "TimeGenerated"}, {"resourceId", "ResourceId"}, {"category", "Category"}, {"operationName", "OperationName", "properties"}},
	Match: func(s *table.Slots) bool {
		id := s.Text(resourceID)
		return len(id) > 15 && bytes.EqualFold(id[:15], []byte("/subscriptions/")) || len(id) > 9 && bytes.EqualFold(id[:9], []byte("/tenants/"))
	},
	Keys: envelope(map[string]table.Rule{
		"ResourceId": table.Text(field.CloudResourceID).At(resourceID), "OperationName": table.Text(field.EventAction), "timeGenerated": table.Time(), "TimeGenerated": table.Time(),
		"identity.claim.upn": table.Text(field.UserName), "identity.claim.oid": table.Text(field.UserID), "uri": table.Own(),
	}),
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		outcome(o, s.Text(result))
		if refused(s.Text(signature)) || refused(s.Text(result)) {
			o.Denied("iam")
		}
	},
}
