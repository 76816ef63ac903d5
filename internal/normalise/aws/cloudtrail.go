package aws

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The members that a record of CloudTrail is put together from.
const (
	_ table.Slot = iota
	eventSource
	eventName
	eventType
	userType
	userName
	userARN
	principal
	userAccount
	invokedBy
	issuerName
	issuerARN
	userID
	sourceAddress
	recipient
	errorCode
	errorText
	resources
	login
	tlsVersion
	host
	insight
	state
)

var trailFormat = facts.Format{Name: "cloudtrail", Platform: "aws", Kind: facts.Audit, Of: "AWS CloudTrail: API calls, sign-ins, network activity and insights"}

// A record of CloudTrail stands alone, or in the envelope of EventBridge. S3 tells
// of objects in the same form, which is no audit record.
var trailTables = []*table.Table{trail(""), trail("detail.")}

func trail(at string) *table.Table {
	return &table.Table{
		Format: trailFormat,
		All: within(at, []string{"eventSource", "insightDetails.eventSource"}, []string{"eventName", "insightDetails.eventName"},
			[]string{"eventTime"}, []string{"awsRegion", "userIdentity.type", "recipientAccountId"}, []string{"eventVersion", "eventID", "eventType", "userIdentity.type"}),
		None:   []string{at + "s3.s3SchemaVersion", at + "s3.bucket.name"},
		Finish: finishTrail,
		Keys: with(at, map[string]table.Rule{
			"eventTime":                           table.Time(),
			"eventSource":                         table.Text(field.EventProvider).At(eventSource),
			"eventName":                           table.Text(field.EventAction).At(eventName),
			"eventType":                           table.Text(field.EventName).At(eventType),
			"eventID":                             table.Text(field.LogRecordUID),
			"requestID":                           table.Text(field.AWSRequestID),
			"awsRegion":                           table.Text(field.CloudRegion),
			"recipientAccountId":                  table.Own().At(recipient),
			"sourceIPAddress":                     table.Take(sourceAddress),
			"userAgent":                           table.Text(field.UserAgentOriginal),
			"errorCode":                           table.Text(field.ErrorCode).At(errorCode),
			"errorMessage":                        table.Text(field.EventReason).At(errorText),
			"resources":                           table.Own().At(resources),
			"tlsDetails.tlsVersion":               table.Take(tlsVersion),
			"tlsDetails.cipherSuite":              table.Text(field.TLSCipher),
			"tlsDetails.clientProvidedHostHeader": table.Server().At(host),

			"userIdentity.type":                                  table.Own().At(userType),
			"userIdentity.userName":                              table.Text(field.UserName).At(userName),
			"userIdentity.arn":                                   table.Text(field.UserID).At(userARN),
			"userIdentity.principalId":                           table.Own().At(principal),
			"userIdentity.accountId":                             table.Own().At(userAccount),
			"userIdentity.invokedBy":                             table.Own().At(invokedBy),
			"userIdentity.onBehalfOf.userId":                     table.Own().At(userID),
			"userIdentity.sessionContext.sessionIssuer.userName": table.Own().At(issuerName),
			"userIdentity.sessionContext.sessionIssuer.arn":      table.Own().At(issuerARN),

			"responseElements.ConsoleLogin": table.Own().At(login),
			"responseElements.CheckMfa":     table.Own().At(login),
			"responseElements.SwitchRole":   table.Own().At(login),

			"insightDetails.eventSource": table.Text(field.EventProvider).At(insight),
			"insightDetails.eventName":   table.Text(field.EventAction),
			"insightDetails.errorCode":   table.Text(field.ErrorCode),
			"insightDetails.state":       table.Own().At(state),
		}),
	}
}

func finishTrail(o *facts.Out, s *table.Slots) {
	o.Derive(field.CloudProvider, "aws")
	if id := s.Text(recipient); id != nil {
		o.DeriveBytes(field.CloudAccountID, id)
	} else {
		o.DeriveBytes(field.CloudAccountID, s.Text(userAccount))
	}
	if v := s.Text(sourceAddress); facts.IsHost(v) {
		o.Str(field.ClientAddress, v)
	} else if m := s.Member(sourceAddress); m != nil { // AWS Internal
		table.Keep(o, m)
	}
	if s.Text(host) == nil {
		o.DeriveBytes(field.ServerAddress, s.Text(eventSource))
	}
	o.TLSVersion(s.Text(tlsVersion))
	o.DeriveBytes(field.CloudResourceID, arnOf(s))
	identity(o, s)
	how(o, s)
}

// arnOf returns the ARN of the resource, when there is one.
func arnOf(s *table.Slots) []byte {
	if s.Count(resources) != 1 {
		return nil
	}
	return quotedAfter(s.First(resources), `"ARN"`)
}

// quotedAfter returns the text that stands as the value of a name in JSON: nil
// when there is none, or it has escapes.
func quotedAfter(b []byte, name string) []byte {
	i := bytes.Index(b, []byte(name))
	if i < 0 {
		return nil
	}
	b = bytes.TrimLeft(b[i+len(name):], " :")
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 || bytes.IndexByte(b[1:1+end], '\\') >= 0 {
		return nil
	}
	return b[1 : 1+end]
}

// identity writes who it was: a user by name, a session by what it calls itself
// (of SSO the person, of EC2 the instance) with its role beside it, and a service
// by its name.
func identity(o *facts.Out, s *table.Slots) {
	if s.Text(userARN) == nil {
		if id := s.Text(principal); id != nil {
			o.DeriveBytes(field.UserID, id)
		} else {
			o.DeriveBytes(field.UserID, s.Text(userID))
		}
	}
	if bytes.Contains(s.Text(issuerARN), []byte(":role/")) {
		o.DeriveBytes(field.UserRoles, s.Text(issuerName))
	}
	if s.Text(userName) != nil {
		return
	}
	_, path := resourceOf(s.Text(userARN))
	switch {
	case s.Is(userType, "Root") || string(path) == "root":
		o.Derive(field.UserName, "root")
	case path != nil: // user/PATH/NAME, assumed-role/ROLE/SESSION, federated-user/NAME
		o.DeriveBytes(field.UserName, facts.Last(path, '/'))
		kind, rest := facts.CutByte(path, '/')
		if string(kind) == "assumed-role" && s.Text(issuerName) == nil {
			role, _ := facts.CutByte(rest, '/')
			o.DeriveBytes(field.UserRoles, role)
		}
	case s.Text(userType) == nil || s.Is(userType, "AWSService"):
		o.DeriveBytes(field.UserName, s.Text(invokedBy))
	case s.Text(principal) != nil && bytes.IndexByte(s.Text(principal), ':') > 0: // AROA…:SESSION
		o.DeriveBytes(field.UserName, facts.Last(s.Text(principal), ':'))
	}
}

// resourceOf returns the service and the resource of an ARN,
// arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE.
func resourceOf(arn []byte) (service, resource []byte) {
	rest, ok := bytes.CutPrefix(arn, []byte("arn:"))
	if !ok {
		return nil, nil
	}
	_, rest = facts.CutByte(rest, ':')
	service, rest = facts.CutByte(rest, ':')
	_, rest = facts.CutByte(rest, ':')
	_, rest = facts.CutByte(rest, ':')
	return service, rest
}

// how writes how the call ended: CloudTrail has an error code when it did not
// succeed, and of sign-ins says it in the answer.
func how(o *facts.Out, s *table.Slots) {
	code := s.Text(errorCode)
	answer := s.Text(login)
	switch {
	case s.Member(state) != nil: // an insight is no act
	case code != nil, string(answer) == "Failure", s.Is(eventType, "AwsConsoleSignIn") && s.Text(errorText) != nil:
		o.Derive(field.EventOutcome, facts.Failure)
	default:
		o.Derive(field.EventOutcome, facts.Success)
	}
	if !refused(code) {
		return
	}
	o.Denied("iam")
	text := s.Text(errorText)
	for _, kind := range policyKinds {
		if bytes.Contains(text, kind) {
			o.DeriveBytes(field.MeshPolicyKind, kind)
			return
		}
	}
}

// policyKinds are the kinds of policies that AWS names in what it says of a
// refusal.
var policyKinds = [][]byte{
	[]byte("service control policy"), []byte("resource control policy"), []byte("permissions boundary"), []byte("session policy"),
	[]byte("VPC endpoint policy"), []byte("resource-based policy"), []byte("identity-based policy"),
}

// refused reports whether an error code says that the caller was not let.
// Services name it differently: AccessDenied, AccessDeniedException,
// Client.UnauthorizedOperation, VpceAccessDenied, NotAuthorizedException, …
func refused(code []byte) bool {
	if len(code) == 0 {
		return false
	}
	return bytes.Contains(code, []byte("AccessDenied")) || bytes.Contains(code, []byte("UnauthorizedOperation")) ||
		bytes.Contains(code, []byte("NotAuthorized")) || bytes.HasPrefix(code, []byte("Unauthorized")) || bytes.HasPrefix(code, []byte("AuthorizationError")) ||
		bytes.HasSuffix(code, []byte("AuthorizationErrorException"))
}
