package als

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A decoder turns one message of a stream into raw records.
type decoder struct {
	set  *receive.Set
	lim  receive.Limits
	node *node
	e    entry
}

// message reads StreamAccessLogsMessage { Identifier identifier = 1;
// HTTPAccessLogEntries http_logs = 2; TCPAccessLogEntries tcp_logs = 3 }, the
// identifier first wherever it stands.
func (d *decoder) message(b []byte) error {
	err := pb.Each(b, func(f pb.Field) error {
		if f.Tag == 1<<3|pb.Length {
			return d.node.read(f.V)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 2<<3 | pb.Length:
			err = d.entries(f.V, true)
		case 3<<3 | pb.Length:
			err = d.entries(f.V, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries reads { repeated …AccessLogEntry log_entry = 1 }.
func (d *decoder) entries(b []byte, http bool) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag != 1<<3|pb.Length {
			continue
		}
		if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
			d.set.Reject("too_many", "a message has more entries than may be taken at once", 1)
			continue
		}
		d.entry(f.V, http)
	}
	return nil
}

// entry appends the record of one entry, or counts it as refused.
func (d *decoder) entry(b []byte, http bool) {
	d.e = entry{depth: d.lim.Depth}
	d.e.b = append(d.set.Text(4*len(b)+512), '{')
	var err error
	if http {
		err = d.e.http(b)
	} else {
		err = d.e.tcp(b)
	}
	if err != nil {
		reason := "malformed_record"
		if fault.Is(err, fault.TooLarge) {
			reason = "too_deep"
		}
		d.set.Reject(reason, err.Error(), 1)
		return
	}
	d.e.finish()
	raw := record.Raw{Payload: d.set.Keep(append(d.e.b, '}')), JSON: true, Time: d.e.start, Attrs: d.node.fields, Service: d.node.service}
	if d.e.tls != "" || d.e.peers[0] != nil || d.e.peers[1] != nil {
		d.set.Open()
		d.set.Fields(d.node.fields)
		if d.e.tls != "" {
			d.set.Field("mesh.mtls", d.e.tls)
		}
		for side := range d.e.peers {
			d.peer(&peerFields[side], d.e.peers[side])
		}
		raw.Attrs = d.set.Close()
	}
	d.set.Raws = append(d.set.Raws, raw)
}

// peerFields are what Istio's metadata of a peer says, as fields: of the source
// and of the destination.
var peerFields = [2][4]struct{ key, field string }{
	{{"WORKLOAD_NAME", "mesh.source.workload"}, {"NAMESPACE", "mesh.source.namespace"}, {"NAME", "mesh.source.pod"}, {"CLUSTER_ID", "mesh.source.cluster"}},
	{{"WORKLOAD_NAME", "mesh.destination.workload"}, {"NAMESPACE", "mesh.destination.namespace"}, {"NAME", "mesh.destination.pod"}, {"CLUSTER_ID", "mesh.destination.cluster"}},
}

// peer adds what a google.protobuf.Any that holds a Struct says of a peer. It was
// read once already: what is wrong with it was told then.
func (d *decoder) peer(names *[4]struct{ key, field string }, b []byte) {
	kind, value, err := pair(b)
	if err != nil || string(kind) != typePrefix+"Struct" {
		return
	}
	for len(value) > 0 {
		f, rest, err := pb.Next(value)
		if err != nil {
			return
		}
		if value = rest; f.Tag != 1<<3|pb.Length {
			continue
		}
		key, v, err := pair(f.V)
		if err != nil {
			return
		}
		if len(v) == 0 {
			continue
		}
		text, _, err := pb.Next(v)
		if err != nil || text.Tag != 3<<3|pb.Length || len(text.V) == 0 || len(text.V) > maxNode {
			continue
		}
		for i := range names {
			if string(key) == names[i].key {
				d.set.Field(names[i].field, receive.Str(text.V))
			}
		}
	}
}

// A node is the proxy that a stream comes from. Its memory is its own.
type node struct {
	fields  []record.Field
	service string
}

// maxNode bounds a text of a node, in bytes.
const maxNode = 512

// read reads Identifier { Node node = 1; string log_name = 2 }.
func (n *node) read(b []byte) error {
	*n = node{}
	return pb.Each(b, func(f pb.Field) error {
		switch f.Tag {
		case 1<<3 | pb.Length:
			return n.node(f.V)
		case 2<<3 | pb.Length:
			n.add("envoy.log_name", string(f.V))
		}
		return nil
	})
}

func (n *node) add(name, value string) {
	if len(value) > maxNode {
		value = value[:maxNode]
	}
	if value = strings.ToValidUTF8(value, "\ufffd"); value != "" {
		n.fields = append(n.fields, record.Field{Name: name, Value: record.StringValue(value)})
	}
}

// node reads Node { string id = 1; string cluster = 2; Struct metadata = 3;
// Locality locality = 4; … }. Of the metadata, which can be many times larger
// than an entry, it takes what Istio says of the workload.
func (n *node) node(b []byte) error {
	var id string
	var meta map[string]string
	err := pb.Each(b, func(f pb.Field) (err error) {
		switch f.Tag {
		case 1<<3 | pb.Length:
			id = string(f.V)
			n.add("envoy.node.id", id)
		case 2<<3 | pb.Length:
			n.add("envoy.node.cluster", string(f.V))
		case 3<<3 | pb.Length:
			meta, err = texts(f.V)
		case 4<<3 | pb.Length:
			err = n.locality(f.V)
		}
		return err
	})
	if err == nil {
		n.istio(id, meta)
	}
	return err
}

// locality reads Locality { string region = 1; string zone = 2; string sub_zone = 3 }.
func (n *node) locality(b []byte) error {
	names := [...]string{1: "cloud.region", 2: "cloud.availability_zone", 3: "envoy.node.sub_zone"}
	return pb.Each(b, func(f pb.Field) error {
		if i := f.Tag >> 3; f.Tag&7 == pb.Length && i < len(names) && i > 0 {
			n.add(names[i], string(f.V))
		}
		return nil
	})
}

// istio adds what Istio's agents write into the identity of their proxies:
// TYPE~IP~POD.NAMESPACE~DOMAIN, and metadata.
func (n *node) istio(id string, meta map[string]string) {
	part := strings.Split(id, "~")
	if len(part) != 4 {
		return
	}
	pod, namespace, _ := strings.Cut(part[2], ".")
	n.add("k8s.pod.name", pod)
	n.add("k8s.namespace.name", namespace)
	n.add("k8s.cluster.name", meta["CLUSTER_ID"])
	n.service = meta["WORKLOAD_NAME"]
	switch part[0] {
	case "router":
		n.add("mesh.reporter", "gateway")
	case "waypoint":
		n.add("mesh.reporter", "waypoint")
	}
}

// texts returns the string values of a google.protobuf.Struct's first level.
func texts(b []byte) (map[string]string, error) {
	out := map[string]string{}
	return out, pb.Each(b, func(f pb.Field) error {
		if f.Tag != 1<<3|pb.Length {
			return nil
		}
		key, value, err := pair(f.V)
		if err != nil {
			return err
		}
		return pb.Each(value, func(v pb.Field) error {
			if v.Tag == 3<<3|pb.Length && len(v.V) <= maxNode {
				out[string(key)] = string(v.V)
			}
			return nil
		})
	})
}

// pair reads an entry of a map, { key = 1; value = 2 }.
func pair(b []byte) (key, value []byte, err error) {
	if key, value, ok := pb.Pair(b); ok {
		return key, value, nil
	}
	for len(b) > 0 {
		var f pb.Field
		if f, b, err = pb.Next(b); err != nil {
			return nil, nil, err
		}
		switch f.Tag {
		case 1<<3 | pb.Length:
			key = f.V
		case 2<<3 | pb.Length:
			value = f.V
		}
	}
	return key, value, nil
}
