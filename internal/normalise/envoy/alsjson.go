package envoy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The access log service's messages as JSON (data/accesslog/v3/accesslog.proto, in
// protobuf's JSON names or in those of the protocol): single entries, and
// StreamAccessLogsMessage with one entry. What receives the service itself is
// receive/als.

// as says how a member of an entry is read.
type as uint8

const (
	asKey  as = iota
	asSpan    // "0.010s"
	asHost
	asPort
	asFlag
	asSAN // a list of {"uri":…}
	asTLS // TLSv1_2
)

// The places of the addresses of an entry.
var alsAddresses = [...]struct {
	name string
	key  Key
}{
	{"downstreamRemoteAddress", DownstreamRemote}, {"downstreamLocalAddress", DownstreamLocal}, {"upstreamRemoteAddress", UpstreamHost},
	{"upstreamLocalAddress", UpstreamLocal}, {"downstreamDirectRemoteAddress", DirectRemote},
}

// alsField is what a member of an entry means.
type alsField struct {
	as   as
	key  Key
	at   int    // address
	flag string // short name
}

// alsFields are the members of an entry by their flattened names.
var alsFields = func() map[string]alsField {
	m := map[string]alsField{}
	add := func(name string, f alsField) {
		m[name] = f
		m[snake(name)] = f
	}
	const common = "commonProperties."
	for name, k := range map[string]Key{
		common + "upstreamCluster": UpstreamCluster, common + "routeName": Route, common + "upstreamTransportFailureReason": Failure,
		common + "connectionTerminationDetails": Termination, common + "startTime": StartTime, common + "upstreamRequestAttemptCount": Attempts,
		common + "tlsProperties.tlsSniHostname": ServerName, common + "tlsProperties.peerCertificateProperties.subject": PeerSubject,
		common + "tlsProperties.peerCertificateProperties.issuer": PeerIssuer,
		"protocolVersion": Protocol, "request.requestMethod": Method, "request.scheme": Scheme, "request.authority": Authority, "request.path": Path,
		"request.userAgent": UserAgent, "request.forwardedFor": ForwardedFor, "request.requestId": RequestID, "request.referer": Referer,
		"request.requestBodyBytes": BytesReceived, "response.responseCode": Code, "response.responseCodeDetails": Details,
		"response.responseBodyBytes": BytesSent, "connectionProperties.receivedBytes": BytesReceived, "connectionProperties.sentBytes": BytesSent,
		"request.requestHeaders.traceparent": Traceparent, "request.requestHeaders.x-b3-traceid": B3TraceID, "request.requestHeaders.x-b3-spanid": B3SpanID,
		"request.requestHeaders.x-forwarded-client-cert": ClientCert,
	} {
		add(name, alsField{key: k})
	}
	add(common+"duration", alsField{as: asSpan, key: Duration})
	add(common+"timeToLastDownstreamTxByte", alsField{as: asSpan, key: Duration})
	add(common+"timeToFirstUpstreamRxByte", alsField{as: asSpan, key: FirstByte})
	add(common+"tlsProperties.tlsVersion", alsField{as: asTLS, key: TLSVersion})
	add(common+"tlsProperties.peerCertificateProperties.subjectAltName", alsField{as: asSAN, key: PeerURI})
	add(common+"tlsProperties.localCertificateProperties.subjectAltName", alsField{as: asSAN, key: LocalURI})
	for i, a := range alsAddresses {
		add(common+a.name+".socketAddress.address", alsField{as: asHost, at: i})
		add(common+a.name+".socketAddress.portValue", alsField{as: asPort, at: i})
	}
	for name, short := range map[string]string{
		"failedLocalHealthcheck": "LH", "noHealthyUpstream": "UH", "upstreamRequestTimeout": "UT", "localReset": "LR", "upstreamRemoteReset": "UR",
		"upstreamConnectionFailure": "UF", "upstreamConnectionTermination": "UC", "upstreamOverflow": "UO", "noRouteFound": "NR", "delayInjected": "DI",
		"faultInjected": "FI", "rateLimited": "RL", "unauthorizedDetails.reason": "UAEX", "rateLimitServiceError": "RLSE", "downstreamConnectionTermination": "DC",
		"upstreamRetryLimitExceeded": "URX", "streamIdleTimeout": "SI", "invalidEnvoyRequestHeaders": "IH", "downstreamProtocolError": "DPE",
		"upstreamMaxStreamDurationReached": "UMSDR", "responseFromCacheFilter": "RFCF", "noFilterConfigFound": "NFCF", "durationTimeout": "DT",
		"upstreamProtocolError": "UPE", "noClusterFound": "NC", "overloadManager": "OM", "dnsResolutionFailure": "DF", "downstreamRemoteReset": "DR",
	} {
		add(common+"responseFlags."+name, alsField{as: asFlag, flag: short})
	}
	return m
}()

// snake returns the protocol's own form of a JSON name.
func snake(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c |= 0x20
		}
		b.WriteByte(c)
	}
	return b.String()
}

// entryScratch is the memory in which an entry is put together.
type entryScratch struct {
	access  Access
	object  jsonscan.Object
	names   *jsonscan.Names
	host    [len(alsAddresses)][]byte
	port    [len(alsAddresses)]int64
	address [len(alsAddresses)][64]byte
	flags   []byte
	tls     []byte
}

var entries = sync.Pool{New: func() any { return &entryScratch{names: jsonscan.NewNames(nil)} }}

func (e *entryScratch) reset() {
	e.access.Reset()
	e.host, e.port, e.flags = [len(alsAddresses)][]byte{}, [len(alsAddresses)]int64{}, e.flags[:0]
}

// take reads a member of an entry, and reports false when it is an ordinary one.
func (e *entryScratch) take(m *jsonscan.Member) bool {
	f, known := alsFields[m.Name.Text]
	if !known {
		return false
	}
	a := &e.access
	switch f.as {
	case asHost:
		e.host[f.at] = m.Text
		return m.Kind == jsonscan.String && len(m.Text) <= 48
	case asPort:
		e.port[f.at] = m.Int
		return m.Kind == jsonscan.Int && m.Int >= 0 && m.Int <= 65535
	case asFlag:
		if m.Kind == jsonscan.Bool && m.Int == 0 {
			return true
		}
		if len(e.flags) > 0 {
			e.flags = append(e.flags, ',')
		}
		e.flags = append(e.flags, f.flag...)
		return m.Kind == jsonscan.Bool
	case asSpan:
		ns, ok := table.Span(m, 1_000_000_000)
		if !ok || a.slot[f.key] != nil && f.key == Duration {
			return false
		}
		a.text[f.key] = jsonscan.Member{Name: m.Name, Kind: jsonscan.Float, Float: float64(ns) / 1e6}
		a.slot[f.key] = &a.text[f.key]
		return true
	case asSAN:
		uri := between(m.Text, `"uri"`)
		a.put(f.key, uri)
		return false // there may be others
	case asTLS:
		v, ok := bytes.CutPrefix(m.Text, []byte("TLSv"))
		if !ok || len(v) != 3 {
			return false
		}
		e.tls = append(append(e.tls[:0], "TLSv"...), v[0], '.', v[2])
		a.put(TLSVersion, e.tls)
		return true
	}
	return a.Set(f.key, m)
}

// between returns the text of the string that follows a name in JSON.
func between(b []byte, name string) []byte {
	i := bytes.Index(b, []byte(name))
	if i < 0 {
		return nil
	}
	b = bytes.TrimLeft(b[i+len(name):], ": \t")
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	b = b[1:]
	if i = bytes.IndexByte(b, '"'); i < 0 {
		return nil
	}
	return b[:i]
}

// write writes the entry.
func (e *entryScratch) write(o *facts.Out) {
	a := &e.access
	for i, k := range alsAddresses {
		if len(e.host[i]) == 0 || len(e.host[i]) > 48 {
			continue
		}
		b := e.address[i][:0]
		if v6 := bytes.IndexByte(e.host[i], ':') >= 0; v6 {
			b = append(append(append(b, '['), e.host[i]...), ']')
		} else {
			b = append(b, e.host[i]...)
		}
		a.put(k.key, strconv.AppendInt(append(b, ':'), e.port[i], 10))
	}
	if len(e.flags) > 0 {
		a.put(Flags, e.flags)
	}
	a.Write(o, familyOrNone(o.Declared))
	o.Format = "envoy-als-json"
}

func familyOrNone(declared string) string {
	if Family(declared) {
		return declared
	}
	return ""
}

// Slots of the members that a table leaves to its Finish.
const (
	entrySlot table.Slot = iota + 1
	nodeSlot
	memberSlots // from here on, one for each member of an entry
)

// Tables read JSON of the access log service.
var Tables = []*table.Table{entryTable(), messageTable("httpLogs.logEntry", "http_logs.log_entry"), messageTable("tcpLogs.logEntry", "tcp_logs.log_entry"), glooTable}

var alsFormat = facts.Format{Name: "envoy-als-json", Platform: "envoy", Kind: facts.Access, Of: "entries of Envoy's access log service, as JSON of the protocol's messages"}

// alsFlags is in the name of every flag.
const alsFlags = "response_flags."

// entryTable reads an HTTPAccessLogEntry or TCPAccessLogEntry. There are more flags
// than a table has slots, and a record has few: those share the last ones.
func entryTable() *table.Table {
	t := &table.Table{Format: alsFormat, Keys: map[string]table.Rule{}}
	var shape, names []string
	for name := range alsFields {
		if strings.HasPrefix(snake(name), "common_properties.") {
			shape = append(shape, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	slot := map[string]table.Slot{} // both spellings have one
	next := memberSlots
	for _, name := range names {
		s := snake(name)
		if strings.Contains(s, alsFlags) {
			t.Keys[name] = table.Own()
			continue
		}
		if slot[s] == 0 {
			slot[s] = next
			next++
		}
		t.Keys[name] = table.Take(slot[s])
	}
	t.All = [][]string{shape}
	t.Finish = func(o *facts.Out, s *table.Slots) {
		e := entries.Get().(*entryScratch)
		defer entries.Put(e)
		e.reset()
		for at := memberSlots; at < next; at++ {
			if m := s.Member(at); m != nil && !e.take(m) {
				table.Keep(o, m)
			}
		}
		for i := range s.Members() {
			m := &s.Members()[i]
			if f, known := alsFields[m.Name.Text]; known && f.as == asFlag {
				e.take(m)
			}
		}
		e.write(o)
	}
	return t
}

// messageTable reads a StreamAccessLogsMessage.
func messageTable(camel, snakes string) *table.Table {
	return &table.Table{
		Format: alsFormat,
		All:    [][]string{{camel, snakes}},
		Keys: map[string]table.Rule{
			camel: table.Take(entrySlot), snakes: table.Take(entrySlot),
			"identifier.node.id": table.Own().At(nodeSlot),
		},
		Match: func(s *table.Slots) bool {
			m := s.Member(entrySlot)
			return m != nil && m.Kind == jsonscan.JSON
		},
		Finish: func(o *facts.Out, s *table.Slots) {
			e := entries.Get().(*entryScratch)
			defer entries.Put(e)
			e.reset()
			m := s.Member(entrySlot)
			one := bytes.TrimSpace(bytes.Trim(m.Text, "[] \t"))
			if e.object.Scan(one, e.names) != nil { // several entries, or none
				s.Leave(o, entrySlot)
				return
			}
			nodeOf(o, s.Text(nodeSlot))
			for i := range e.object.Members {
				if v := &e.object.Members[i]; !e.take(v) {
					table.Keep(o, v)
				}
			}
			e.write(o)
		},
	}
}

// nodeOf derives what Istio's id of a node, TYPE~IP~POD.NAMESPACE~DOMAIN, says of
// the workload that wrote the record.
func nodeOf(o *facts.Out, id []byte) {
	kind, rest := facts.CutByte(id, '~')
	_, rest = facts.CutByte(rest, '~')
	name, _ := facts.CutByte(rest, '~')
	pod, ns := facts.CutByte(name, '.')
	if len(pod) == 0 || len(ns) == 0 || string(kind) != "sidecar" && string(kind) != "router" {
		return
	}
	o.DeriveBytes(field.K8sPodName, pod)
	o.DeriveBytes(field.K8sNamespaceName, ns)
	if len(o.Pod) == 0 {
		o.Pod = pod
	}
}

// glooTable reads what Gloo's access log server, which receives the service, writes
// of each HTTP entry.
var glooTable = &table.Table{
	Format: facts.Format{Name: "gloo-als-json", Platform: "gloo", Mesh: "gloo", Kind: facts.Access, Of: "Gloo's access log server, one line for an entry"},
	All:    [][]string{{"logger_name"}, {"node_id"}, {"node_cluster"}, {"response_status"}, {"request_path"}, {"request_method"}},
	Keys: map[string]table.Rule{
		"ts": table.Time(), "time": table.Time(), "msg": table.Message(), "level": table.Severity(),
		"logger":           table.Text(field.LogLogger),
		"protocol_version": table.Protocol(), "request_path": table.URL(), "request_method": table.Method(),
		"response_status": table.Take(entrySlot), "node_id": table.Own().At(nodeSlot),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		// The wrapper's text form: value:403
		v := bytes.TrimSpace(bytes.TrimPrefix(s.Text(entrySlot), []byte("value:")))
		if n, ok := facts.Uint(v); ok && n > 0 && n < 1000 {
			o.Int(field.HTTPResponseStatusCode, n)
		} else if len(v) > 0 {
			s.Leave(o, entrySlot)
		}
		o.Derive(field.MeshReporter, "gateway")
	},
}
