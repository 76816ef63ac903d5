package cef

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// texts are the keys of both dictionaries that stand for a text as it is. Keys that
// only one of them has do not mean anything else in the other.
var texts = map[string]field.ID{
	"src": field.SourceAddress, "sourceAddress": field.SourceAddress, "c6a2": field.SourceAddress, "dst": field.DestinationAddress, "destinationAddress": field.DestinationAddress, "c6a3": field.DestinationAddress,
	"suser": field.UserName, "sourceUserName": field.UserName, "usrName": field.UserName, "suid": field.UserID, "sourceUserId": field.UserID,
	"duser": field.UserTargetName, "destinationUserName": field.UserTargetName, "duid": field.UserTargetID, "destinationUserId": field.UserTargetID,
	"reason": field.EventReason, "dvchost": field.HostName, "deviceHostName": field.HostName, "fname": field.FilePath, "filePath": field.FilePath,
	"requestClientApplication": field.UserAgentOriginal, "deviceInboundInterface": field.ObserverIngress, "deviceOutboundInterface": field.ObserverEgress, "externalId": field.LogRecordUID,
	"deviceExternalId": field.HostID, "sproc": field.ProcessExecutableName, "sourceProcessName": field.ProcessExecutableName, "policy": field.MeshPolicyName,
}

var numbers = map[string]field.ID{
	"spt": field.SourcePort, "sourcePort": field.SourcePort, "srcPort": field.SourcePort, "dpt": field.DestinationPort, "destinationPort": field.DestinationPort, "dstPort": field.DestinationPort,
	"cnt": field.EventCount, "baseEventCount": field.EventCount, "spid": field.ProcessPID, "sourceProcessId": field.ProcessPID,
}

// pair writes one pair; of several with one key the last stays.
func (l *Line) pair(prefix string, key, v []byte, o *facts.Out) {
	if len(v) == 0 {
		return
	}
	if f, ok := texts[string(key)]; ok {
		o.DeriveBytes(f, v)
		if f == field.SourceAddress {
			o.NetworkType(v)
		}
		return
	}
	if f, ok := numbers[string(key)]; ok {
		if n, ok := facts.Uint(v); ok && n < 1<<32 {
			o.DeriveInt(f, n)
			return
		}
	}
	switch string(key) {
	case "rt", "deviceReceiptTime", "devTime":
		if when(v, o) {
			return
		}
	case "sev":
		severity(v, o)
		return
	case "proto", "transportProtocol":
		if n, ok := facts.Uint(v); ok {
			o.Transport(n)
		} else {
			o.DeriveLower(field.NetworkTransport, v)
		}
		return
	case "app", "applicationProtocol":
		o.DeriveLower(field.NetworkProtocolName, v)
		return
	case "act", "deviceAction", "action":
		o.DeriveBytes(field.EventAction, v)
		decide(v, o)
		return
	case "outcome", "eventOutcome":
		if ended(v, o) {
			return
		}
	case "request", "requestUrl":
		o.URL(v)
		return
	case "requestMethod":
		o.Method(v)
		return
	}
	l.key = append(append(l.key[:0], prefix...), key...)
	o.OwnText(l.key, v)
}

// when sets the time: milliseconds since the epoch, RFC 3339, or Mmm dd [yyyy] hh:mm:ss.
func when(v []byte, o *facts.Out) bool {
	if o.Fixed || o.Time != 0 && !facts.Plausible(o.Time) {
		return false
	}
	if ns, ok := facts.Time(v); ok && facts.Plausible(ns) {
		o.Time = ns
		return true
	}
	if len(v) == 20 && v[6] == ' ' && v[11] == ' ' { // Mmm dd yyyy hh:mm:ss
		var few [20]byte
		b := append(append(few[:0], v[:7]...), v[12:]...)
		year, ok := facts.Uint(v[7:11])
		if !ok || year < 1970 || year > 2200 {
			return false
		}
		now, n := facts.Stamp(append(append(make([]byte, 0, 24), v[7:11]...), "-12-31T00:00:00Z"...))
		if n == 0 {
			return false
		}
		if ns, n := facts.MonthStamp(b, now); n > 0 {
			o.Time = ns
			return true
		}
		return false
	}
	if ns, n := facts.MonthStamp(v, o.Now); n > 0 {
		o.Time = ns
		return true
	}
	return false
}

// decide derives what a firewall or proxy decided, of the words that products use.
func decide(v []byte, o *facts.Out) {
	var few [16]byte
	if len(v) > len(few) {
		return
	}
	word := few[:0]
	for _, c := range v {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		word = append(word, c)
	}
	switch string(word) {
	case "accept", "accepted", "allow", "allowed", "permit", "permitted", "pass":
		o.Decision("allow", "firewall")
	case "deny", "denied", "drop", "dropped", "block", "blocked", "reject", "rejected", "prevent", "prevented":
		o.Decision("deny", "firewall")
	}
}

// ended derives an outcome, and reports whether the value is one.
func ended(v []byte, o *facts.Out) bool {
	switch string(v) {
	case "success", "Success", "SUCCESS", "/Success", "Succeeded":
		o.Derive(field.EventOutcome, facts.Success)
	case "failure", "Failure", "FAILURE", "/Failure", "failed", "Failed":
		o.Derive(field.EventOutcome, facts.Failure)
	default:
		return false
	}
	return true
}
