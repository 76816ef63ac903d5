// Package azure reads what Azure's diagnostic settings send to Event Hubs and
// storage: the activity log, sign-ins and audit logs of Entra ID, flow logs of
// network security groups and virtual networks, and the logs of any resource,
// which share an envelope. The activity log has another form in the portal and its
// API, and so have sign-ins of Microsoft Graph.
//
// It knows tables alone and never panics on outside bytes. The array of records
// that Event Hubs and storage put around is taken off before (normalise.Split).
package azure

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the layouts, the most telling first: any record of a resource is of
// the last one.
var Tables = []*table.Table{signIn, directory, networkFlow, activity, portal, graphSignIn, storage, resource}

// The members that records are put together from.
const (
	_ table.Slot = iota
	category
	resourceID
	operation
	result
	signature
	level
	caller
	callerIP
	upn
	displayName
	failure
	errorCode
	initiatorUser
	initiatorApp
	initiatorIP
	access
	status
	objectID
	location
	duration
)

// envelope are the names that records of all resources share (Azure resource logs,
// common schema).
func envelope(own map[string]table.Rule) map[string]table.Rule {
	for name, r := range map[string]table.Rule{
		"time":              table.Time(),
		"category":          table.Own().At(category),
		"resourceId":        table.Text(field.CloudResourceID).At(resourceID),
		"operationName":     table.Text(field.EventAction).At(operation),
		"resultType":        table.Own().At(result),
		"resultSignature":   table.Own().At(signature),
		"resultDescription": table.Text(field.EventReason),
		"callerIpAddress":   table.Take(callerIP),
		"correlationId":     table.Own(),
		"location":          table.Take(location),
		"level":             table.Take(level),
		"durationMs":        table.Take(duration),
	} {
		if _, ok := own[name]; !ok {
			own[name] = r
		}
	}
	return own
}

// around writes what the envelope says.
func around(o *facts.Out, s *table.Slots) {
	o.Derive(field.CloudProvider, "azure")
	subscription(o, s.Text(resourceID))
	if m := s.Member(level); m != nil && !severity(o, m.Text) {
		table.Keep(o, m)
	}
	if m := s.Member(location); m != nil {
		if facts.Absent(m.Text) || bytes.EqualFold(m.Text, []byte("global")) || bytes.HasPrefix(s.Text(resourceID), []byte("/tenants/")) { // there it is a country
			table.Keep(o, m)
		} else {
			o.Str(field.CloudRegion, m.Text)
		}
	}
	if m := s.Member(duration); m != nil {
		if ns, ok := table.Span(m, 1e6); !ok {
			s.Leave(o, duration)
		} else if ns > 0 { // 0 is what those write that do not measure
			o.Int(field.MeshDurationNS, ns)
		}
	}
	if m := s.Member(callerIP); m != nil {
		if a, ok := facts.SplitAddress(m.Text); ok && facts.IsHost(a.Host) {
			o.Str(field.ClientAddress, a.Host)
			if a.Port > 0 {
				o.Int(field.ClientPort, a.Port)
			}
		} else {
			table.Keep(o, m)
		}
	}
}

// severity writes the level, a word or a number of 1 (critical) to 5 (verbose), and
// reports whether it is one.
func severity(o *facts.Out, v []byte) bool {
	number := facts.Level(v)
	if len(v) == 1 && v[0] >= '0' && v[0] <= '5' {
		number = [...]int64{9, 21, 17, 13, 9, 5}[v[0]-'0']
	}
	if number == 0 {
		return false
	}
	o.Str(field.SeverityText, v)
	o.DeriveInt(field.SeverityNumber, number)
	return true
}

// subscription derives what a resource's identity tells:
// /subscriptions/ID/resourceGroups/GROUP/providers/PROVIDER/TYPE/NAME, in any case.
func subscription(o *facts.Out, id []byte) {
	o.DeriveBytes(field.CloudAccountID, after(id, "/subscriptions/"))
	o.DeriveBytes(field.EventProvider, after(id, "/providers/"))
	o.DeriveBytes(field.K8sClusterName, after(id, "/managedclusters/"))
}

// after returns the part of a path behind the first of its parts that is low, in
// any case.
func after(id []byte, low string) []byte {
	for i := 0; i+len(low) < len(id); i++ {
		if id[i] == '/' && bytes.EqualFold(id[i:i+len(low)], []byte(low)) {
			part, _ := facts.CutByte(id[i+len(low):], '/')
			return part
		}
	}
	return nil
}

// outcome derives how an act ended of the words by which services say it.
func outcome(o *facts.Out, word []byte) {
	var few [16]byte
	if len(word) == 0 || len(word) > len(few) {
		return
	}
	low := append(few[:0], word...)
	for i, c := range low {
		if c >= 'A' && c <= 'Z' {
			low[i] = c | 0x20
		}
	}
	switch string(low) {
	case "success", "succeeded", "succeed", "0", "ok", "accept":
		o.Derive(field.EventOutcome, facts.Success)
	case "failure", "failed", "fail", "clienterror", "servererror", "timeout", "denied", "error":
		o.Derive(field.EventOutcome, facts.Failure)
	case "start", "started", "accepted", "inprogress", "active", "unknown":
		o.Derive(field.EventOutcome, facts.Unknown)
	}
}

// refused reports whether a result says that the caller was not let.
func refused(word []byte) bool {
	return bytes.EqualFold(word, []byte("Forbidden")) || bytes.HasPrefix(word, []byte("Forbidden.")) || bytes.Contains(word, []byte("AuthorizationFailed")) ||
		bytes.Contains(word, []byte("AuthorizationPermissionMismatch"))
}
