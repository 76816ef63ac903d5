package clf

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Squid reads lines of Squid's native access log (logformat squid):
//
//	SECONDS.MILLIS ELAPSED_MS CLIENT RESULT/STATUS BYTES METHOD URL USER HIERARCHY/PEER TYPE
type Squid struct{}

// Text implements facts.Line.
func (Squid) Text(line []byte, o *facts.Out) bool {
	if len(line) < 40 || line[10] != '.' || line[14] != ' ' {
		return false
	}
	var c [10][]byte
	n := 0
	for s := line; len(s) > 0; {
		v, rest := facts.CutByte(s, ' ')
		if s = rest; len(v) == 0 { // numbers are set to the right
			continue
		}
		if n == len(c) {
			return false
		}
		c[n] = v
		n++
	}
	ns, ok := facts.Decimal(c[0], 1_000_000_000)
	ms, good := facts.Uint(c[1])
	result, status, found := bytes.Cut(c[3], []byte("/"))
	hierarchy, peer, routed := bytes.Cut(c[8], []byte("/"))
	if n != len(c) || !ok || !good || ms > 1<<40 || !found || !routed || !whole(status) || !whole(c[4]) || !facts.Token(c[5]) || !facts.Token(result) || !facts.Token(hierarchy) {
		return false
	}
	o.Format, o.Status = "squid", facts.OK
	if !o.Fixed && facts.Plausible(ns) {
		o.Time = ns
	}
	o.Int(field.MeshDurationNS, ms*1_000_000)
	o.Peer(c[2], nil)
	o.DeriveBytes(field.MeshCacheStatus, result)
	if code, _ := facts.Uint(status); code > 0 {
		o.Int(field.HTTPResponseStatusCode, code)
	}
	number(o, field.HTTPResponseSize, c[4])
	var host []byte
	switch string(c[5]) {
	case "NONE": // there was no request
	case "CONNECT":
		o.Method(c[5])
		host = c[6]
	default:
		o.Method(c[5])
		o.URL(c[6])
		host = facts.SplitURL(c[6]).Host
	}
	o.Derive(field.NetworkProtocolName, "http")
	if len(host) > 0 {
		o.Server(host)
	}
	o.StrOf(field.UserName, c[7])
	o.StrOf(field.MeshUpstreamAddress, peer)
	o.Derive(field.MeshReporter, "gateway")
	if bytes.HasSuffix(result, []byte("_DENIED")) {
		o.Denied("acl")
	}
	return true
}
