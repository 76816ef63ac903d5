package aws

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

var (
	flowFormat    = facts.Format{Name: "aws-vpc-flow", Platform: "aws", Kind: facts.Flow, Of: "AWS VPC flow logs, versions 2 to 8: the default format, those of the documentation, or any order that a header names"}
	gatewayFormat = facts.Format{Name: "aws-tgw-flow", Platform: "aws", Kind: facts.Flow, Of: "AWS Transit Gateway flow logs, the default format or any order that a header names"}
)

// A column is one field of a flow log.
type column uint8

const (
	other column = iota // stays in the body
	version
	accountID
	interfaceID
	srcAddr
	dstAddr
	srcPort
	dstPort
	protocol
	packets
	size
	start
	end
	action
	logStatus
	vpcID
	subnetID
	instanceID
	tcpFlags
	ipType
	region
	zone
	direction
	attachment
	rejectReason
	columns // how many there are
)

// columnNames are the names in headers, with underscores as Parquet and Athena
// write them.
var columnNames = map[string]column{
	"version": version, "account_id": accountID, "interface_id": interfaceID, "srcaddr": srcAddr, "dstaddr": dstAddr, "srcport": srcPort, "dstport": dstPort,
	"protocol": protocol, "packets": packets, "bytes": size, "start": start, "end": end, "action": action, "log_status": logStatus,
	"vpc_id": vpcID, "subnet_id": subnetID, "instance_id": instanceID, "tcp_flags": tcpFlags, "type": ipType, "region": region, "az_id": zone,
	"flow_direction": direction, "tgw_attachment_id": attachment, "reject_reason": rejectReason,
}

// maxColumns bounds a header: version 8 has 41 columns.
const maxColumns = 64

// A flowLayout is the order of columns.
type flowLayout struct {
	columns [maxColumns]column
	n       int
	comma   bool // between them, else a space
	gateway bool
}

func layoutOf(header string) flowLayout {
	l, _ := readHeader([]byte(header))
	return l
}

// The layouts that a line tells by itself: the default one; the one that the
// documentation shows as its example of version 3; all fields of version 5 in the
// order of the console; and the default one of Transit Gateway.
var flowLayouts = []flowLayout{
	layoutOf("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"),
	layoutOf("version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action tcp-flags log-status"),
	layoutOf("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"),
	layoutOf("version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service pkt-dst-aws-service"),
}

// readHeader reads a line that names columns, of which some must be those that
// every flow has.
func readHeader(line []byte) (l flowLayout, ok bool) {
	sep := byte(' ')
	if bytes.IndexByte(line, ' ') < 0 {
		sep, l.comma = ',', true
	}
	var seen [columns]bool
	for len(line) > 0 {
		var name []byte
		if name, line = facts.CutByte(line, sep); l.n >= maxColumns || len(name) == 0 || len(name) > 40 {
			return l, false
		}
		var few [40]byte
		low := append(few[:0], name...)
		for i, c := range low {
			if c == '-' {
				low[i] = '_'
			} else if (c < 'a' || c > 'z') && c != '_' {
				return l, false
			}
		}
		c := columnNames[string(low)]
		seen[c] = true
		l.columns[l.n] = c
		l.n++
	}
	l.gateway = seen[attachment]
	return l, l.n >= 4 && seen[srcAddr] && seen[dstAddr] && (seen[interfaceID] || seen[attachment] || seen[action] || seen[logStatus])
}

// Flow reads flow logs. A header, with which the files begin that S3 holds, tells
// the order of the lines behind it; it is remembered until the next one of as many
// columns, and a line of that many columns whose values do not fit it is not read
// by it. The zero Flow is ready to use.
type Flow struct {
	headers [4]flowLayout
	next    int
}

// Text implements facts.Line.
func (f *Flow) Text(line []byte, o *facts.Out) bool {
	if c := line[0]; c|0x20 >= 'a' && c|0x20 <= 'z' && bytes.Contains(line, []byte("srcaddr")) {
		if l, ok := readHeader(line); ok {
			f.remember(l)
			o.Format, o.Status = flowFormat.Name, facts.OK
			if l.gateway {
				o.Format = gatewayFormat.Name
			}
			return true
		}
		return false
	}
	n, comma := 1+bytes.Count(line, []byte(" ")), false
	if n == 1 {
		n, comma = 1+bytes.Count(line, []byte(",")), true
	}
	if n < 4 || n > maxColumns {
		return false
	}
	for i := range f.headers {
		if l := &f.headers[i]; l.n == n && l.comma == comma && f.read(line, l, o) {
			return true
		}
	}
	if comma {
		return false
	}
	for i := range flowLayouts {
		if l := &flowLayouts[i]; l.n == n && f.read(line, l, o) {
			return true
		}
	}
	return false
}

func (f *Flow) remember(l flowLayout) {
	for i := range f.headers {
		if h := &f.headers[i]; h.n == l.n && h.comma == l.comma {
			*h = l
			return
		}
	}
	f.headers[f.next] = l
	f.next = (f.next + 1) % len(f.headers)
}

// read reads a line by a layout, if its values fit.
func (f *Flow) read(line []byte, l *flowLayout, o *facts.Out) bool {
	var v [columns][]byte
	sep := byte(' ')
	if l.comma {
		sep = ','
	}
	for i := range l.n {
		var part []byte
		part, line = facts.CutByte(line, sep)
		v[l.columns[i]] = part
		if i == 0 && l.columns[0] == version && !facts.Absent(part) { // as fits asks: most lines that are none begin with a date
			if _, ok := facts.Uint(part); !ok {
				return false
			}
		}
	}
	if len(line) > 0 || !fits(&v) {
		return false
	}
	o.Format, o.Status = flowFormat.Name, facts.OK
	if l.gateway {
		o.Format = gatewayFormat.Name
	}
	writeFlow(o, &v)
	return true
}

// fits reports whether the values are those of a flow, or of a window in which
// there was none.
func fits(v *[columns][]byte) bool {
	known := 0
	number := func(b []byte) bool {
		if _, ok := facts.Uint(b); ok {
			known++
			return true
		}
		return facts.Absent(b)
	}
	for _, c := range [...]column{version, srcPort, dstPort, protocol, packets, size, start, end, tcpFlags} {
		if !number(v[c]) {
			return false
		}
	}
	for _, c := range [...]column{srcAddr, dstAddr} {
		if !facts.Absent(v[c]) {
			if !facts.IsAddress(v[c]) {
				return false
			}
			known++
		}
	}
	for _, p := range [...]struct {
		c      column
		prefix string
	}{{interfaceID, "eni-"}, {vpcID, "vpc-"}, {subnetID, "subnet-"}, {instanceID, "i-"}, {attachment, "tgw-"}} {
		if b := v[p.c]; !facts.Absent(b) && !bytes.HasPrefix(b, []byte(p.prefix)) {
			return false
		}
	}
	switch string(v[action]) {
	case "", "-", "ACCEPT", "REJECT":
	default:
		return false
	}
	switch string(v[logStatus]) {
	case "", "-", "OK", "NODATA", "SKIPDATA":
	default:
		return false
	}
	return known >= 2
}

func writeFlow(o *facts.Out, v *[columns][]byte) {
	text := func(f field.ID, c column) {
		if !facts.Absent(v[c]) {
			o.Str(f, v[c])
		}
	}
	number := func(f field.ID, c column) {
		if n, ok := facts.Uint(v[c]); ok {
			o.Int(f, n)
		}
	}
	o.Derive(field.CloudProvider, "aws")
	if n, ok := facts.Uint(v[accountID]); ok && n > 0 {
		o.DeriveBytes(field.CloudAccountID, v[accountID])
	}
	text(field.AWSVPCInterfaceID, interfaceID)
	text(field.AWSVPCID, vpcID)
	text(field.AWSVPCSubnetID, subnetID)
	text(field.HostID, instanceID)
	text(field.CloudRegion, region)
	text(field.CloudAvailabilityZone, zone)
	text(field.SourceAddress, srcAddr)
	text(field.DestinationAddress, dstAddr)
	switch string(v[protocol]) {
	case "6", "17", "132": // others have none
		number(field.SourcePort, srcPort)
		number(field.DestinationPort, dstPort)
	}
	number(field.NetworkPackets, packets)
	number(field.NetworkBytes, size)
	o.NetworkType(v[srcAddr])
	if n, ok := facts.Uint(v[protocol]); ok {
		o.Transport(n)
	}
	if n, ok := facts.Uint(v[tcpFlags]); ok {
		o.TCPFlags(n)
	}
	switch string(v[direction]) {
	case "ingress":
		o.Derive(field.MeshDirection, "inbound")
	case "egress":
		o.Derive(field.MeshDirection, "outbound")
	}
	switch string(v[action]) {
	case "ACCEPT":
		o.Derive(field.MeshPolicyDecision, "allow")
		o.Derive(field.MeshPolicyEngine, "firewall")
	case "REJECT":
		o.Denied("firewall")
	}
	window(o, v[start], v[end])
}

// window makes the first of two epochs the record's time, and what is between them
// how long it took.
func window(o *facts.Out, start, end []byte) {
	from, ok := facts.Time(start)
	if !ok {
		return
	}
	if !o.Fixed && o.Time == 0 {
		o.Time = from
	}
	if to, ok := facts.Time(end); ok && to >= from {
		o.DeriveInt(field.MeshDurationNS, to-from)
	}
}
