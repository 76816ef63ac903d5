package envoy

import (
	"bytes"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Write writes the slots under canonical names, and the facts they imply.
// declared is the mesh that the sender declared, or "".
func (a *Access) Write(o *facts.Out, declared string) {
	o.Status = facts.OK
	if a.odd {
		o.PartialOf(a.misfit)
	}
	a.request(o)
	a.response(o)
	a.times(o)
	a.peers(o)
	a.upstream(o)
	t := a.target()
	a.security(o, &t)
	t.write(o, a)
	f := a.flags(o)
	if class := a.decide(o, a.shortFlags(), t.mesh == "consul"); class != "" {
		f.class, f.timeout = class, ""
	}
	a.failed(o, f)
	a.call(o, &t)
	a.others(o)
	a.name(o, declared, &t)
}

// layouts are the names of the layouts of each platform.
var layouts = map[string]struct{ json, text string }{
	"envoy": {"envoy-json", "envoy-text"}, "istio": {"istio-json", "istio-text"}, "consul": {"consul-json", "consul-text"},
	"kuma": {"kuma-json", "kuma-text"}, "appmesh": {"appmesh-json", "appmesh-text"}, "osm": {"osm-json", "osm-text"},
	"gloo": {"gloo-json", "gloo-text"}, "contour": {"contour-json", "contour-text"}, "emissary": {"emissary-json", "emissary-text"},
	"envoy-gateway": {"envoy-gateway-json", "envoy-gateway-text"},
}

// name sets the format and mesh.type: as declared, else by what only one platform
// writes, else Istio by the number of its keys.
func (a *Access) name(o *facts.Out, declared string, t *target) {
	platform := declared
	switch {
	case platform != "":
	case a.mesh != "":
		platform = a.mesh
	case a.slot[MeshID] != nil || a.null[MeshID]:
		platform = "kuma"
	case t.mesh != "":
		platform = t.mesh
	case a.has(UberTraceID):
		platform = "contour"
	case a.gateway:
		platform = "envoy-gateway"
	case a.has(PolicyStatus) || a.count >= 18 && !a.other && (a.line || a.has(Termination) && a.has(Route)):
		platform = "istio"
	default:
		platform = "envoy"
	}
	l, known := layouts[platform]
	if !known {
		platform = "envoy"
		l = layouts[platform]
	}
	switch platform {
	case "contour", "emissary", "envoy-gateway": // no meshes
		o.MeshType("envoy")
	default:
		o.MeshType(platform)
	}
	o.Format = l.json
	if a.line {
		o.Format = l.text
	}
}

// has reports whether an operator is there, with or without a value.
func (a *Access) has(k Key) bool { return a.slot[k] != nil || a.null[k] }

// call derives what the records of one connection have in common. Those of a
// request have its id: a sum of what is there already would cost every record
// eight bytes that no codec makes smaller, and as much again in the index.
func (a *Access) call(o *facts.Out, t *target) {
	if a.http() || t.mesh == "" && a.mesh == "" && !t.inbound && !t.outbound && a.slot[MeshID] == nil {
		return
	}
	source, destination := a.str(UpstreamLocal), a.str(UpstreamHost)
	if t.inbound {
		source, destination = a.str(DownstreamRemote), a.str(DownstreamLocal)
		if v := a.str(DirectRemote); v != nil {
			source = v
		}
	} else if !t.outbound {
		return
	}
	if from, ok := facts.SplitAddress(source); t.waypoint || !ok || from.Port == 0 {
		return
	}
	o.CallOfConnection(source, destination)
}

// others writes what has no slot.
func (a *Access) others(o *facts.Out) {
	for i := range a.own {
		f := &a.own[i]
		if facts.Absent(f.value) {
			continue
		}
		if f.unit > 0 {
			if n, ok := facts.Uint(f.value); ok && n <= math.MaxInt64/f.unit {
				o.B.Int(o.Own(f.name), n*f.unit)
				continue
			}
		}
		o.B.StrBytes(o.Own(f.name), f.value)
	}
}

// leave keeps a value that is not what its operator should be: in JSON under
// its own name; text keeps it in the body.
func (a *Access) leave(o *facts.Out, k Key) {
	o.PartialOf(columns[k])
	m := a.slot[k]
	if m.Name == nil {
		return
	}
	name := o.Own(m.Name.Text)
	switch m.Kind {
	case jsonscan.Int:
		o.B.Int(name, m.Int)
	case jsonscan.Float:
		o.B.Float(name, m.Float)
	default:
		o.B.StrBytes(name, m.Text)
	}
}

// copy writes a slot as text under name.
func (a *Access) copy(o *facts.Out, k Key, name field.ID) []byte {
	v := a.str(k)
	if v != nil {
		o.Str(name, v)
	}
	return v
}

// number returns a slot's number; ok is false when absent or no number, which
// is then kept under its own name.
func (a *Access) number(o *facts.Out, k Key) (n int64, ok bool) {
	m := a.slot[k]
	if m == nil {
		return 0, false
	}
	switch m.Kind {
	case jsonscan.Int:
		return m.Int, true
	case jsonscan.Float:
		if m.Float == math.Trunc(m.Float) && math.Abs(m.Float) < 1<<53 {
			return int64(m.Float), true
		}
	case jsonscan.String:
		if facts.Absent(m.Text) {
			return 0, false
		}
		if n, good := facts.Uint(m.Text); good {
			return n, true
		}
	}
	a.leave(o, k)
	return 0, false
}

// millis writes a slot of milliseconds in nanoseconds. A negative one means
// that there is none.
func (a *Access) millis(o *facts.Out, k Key, name field.ID) {
	m := a.slot[k]
	if m == nil {
		return
	}
	f := m.Float
	if m.Kind == jsonscan.String {
		if facts.Absent(m.Text) {
			return
		}
		if _, whole := facts.Uint(m.Text); !whole {
			v, err := strconv.ParseFloat(string(m.Text), 64)
			if err != nil {
				a.leave(o, k)
				return
			}
			m, f = &jsonscan.Member{Name: m.Name, Kind: jsonscan.Float}, v
		}
	}
	if m.Kind == jsonscan.Float {
		if ns := math.Round(f * 1e6); ns >= 0 && ns < math.MaxInt64 {
			o.Int(name, int64(ns))
		} else {
			a.leave(o, k)
		}
		return
	}
	n, ok := a.number(o, k)
	switch {
	case !ok:
	case n >= 0 && n <= math.MaxInt64/1_000_000:
		o.Int(name, n*1_000_000)
	default:
		a.leave(o, k)
	}
}

func (a *Access) request(o *facts.Out) {
	if v := a.str(Method); v != nil {
		o.Method(v)
	}
	if v := a.str(Path); v != nil {
		o.URL(v)
	}
	o.Protocol(a.str(Protocol))
	if v := a.str(Authority); v != nil {
		o.Server(v)
	}
	a.copy(o, RequestID, field.HTTPRequestHeaderXRequestID)
	a.copy(o, UserAgent, field.UserAgentOriginal)
	if v := a.str(Traceparent); v != nil && !o.Traceparent(v) {
		a.leave(o, Traceparent)
	}
	if v := a.str(B3TraceID); v != nil && !o.TraceID(v) && !o.DatadogTrace(v) {
		a.leave(o, B3TraceID)
	}
	a.copy(o, B3SpanID, field.SpanID)
	a.traces(o)
	if n, ok := a.number(o, Attempts); ok && n > 0 {
		o.Int(field.HTTPRequestResendCount, n-1)
	}
	a.copy(o, Scheme, field.URLScheme)
	a.copy(o, Referer, field.HTTPRequestHeaderReferer)
	if v := a.str(Query); v != nil {
		o.DeriveBytes(field.URLQuery, bytes.TrimPrefix(v, []byte("?")))
	}
}

// traces reads the identities that are neither W3C's nor B3's of several headers.
func (a *Access) traces(o *facts.Out) {
	if v := a.str(TraceID); v != nil && !o.TraceID(v) {
		a.leave(o, TraceID)
	}
	a.copy(o, SpanID, field.SpanID)
	if v := a.str(UberTraceID); v != nil { // TRACE:SPAN:PARENT:FLAGS
		id, rest := facts.CutByte(v, ':')
		span, _ := facts.CutByte(rest, ':')
		if !o.Jaeger(id, span) {
			a.leave(o, UberTraceID)
		}
	}
	if v := a.str(B3); len(v) > 1 { // TRACE-SPAN[-SAMPLED[-PARENT]]
		id, rest := facts.CutByte(v, '-')
		span, _ := facts.CutByte(rest, '-')
		if !o.Jaeger(id, span) {
			a.leave(o, B3)
		}
	}
}

// attempts returns how often the upstream was tried.
func (a *Access) attempts() (int64, bool) {
	m := a.slot[Attempts]
	switch {
	case m == nil:
		return 0, false
	case m.Kind == jsonscan.Int:
		return m.Int, true
	}
	return facts.Uint(m.Text)
}

// http reports whether the record is of a request, not of a connection.
func (a *Access) http() bool {
	if a.str(Method) != nil {
		return true
	}
	p := a.str(Protocol)
	return len(p) > 3 && string(p[:4]) == "HTTP"
}

func (a *Access) response(o *facts.Out) {
	if n, ok := a.number(o, Code); ok && n != 0 {
		o.Int(field.HTTPResponseStatusCode, n)
	}
	a.grpc(o)
	a.copy(o, Details, field.MeshResponseCodeDetails)
	a.copy(o, Termination, field.MeshConnectionTerminationDetails)
	a.copy(o, Failure, field.MeshUpstreamFailureReason)
	if v := a.str(PolicyStatus); v != nil {
		o.Str(field.MeshPolicyStatus, v)
	}
	received, sent := field.MeshBytesReceived, field.MeshBytesSent
	if a.http() {
		received, sent = field.HTTPRequestBodySize, field.HTTPResponseBodySize
	}
	if n, ok := a.number(o, BytesReceived); ok {
		o.Int(received, n)
	}
	if n, ok := a.number(o, BytesSent); ok {
		o.Int(sent, n)
	}
}

// grpcCodes are the names that Envoy gives gRPC status codes.
var grpcCodes = [...]string{"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
	"PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal",
	"Unavailable", "DataLoss", "Unauthenticated"}

func (a *Access) grpc(o *facts.Out) {
	v := a.str(GRPCStatus)
	if v == nil {
		return
	}
	for code, name := range grpcCodes {
		if string(v) == name {
			o.Int(field.RPCGRPCStatusCode, int64(code))
			return
		}
	}
	if n, ok := a.number(o, GRPCStatus); ok {
		o.Int(field.RPCGRPCStatusCode, n)
	}
}

// times writes durations, and the start as the record's own time unless the
// protocol gave one.
func (a *Access) times(o *facts.Out) {
	a.millis(o, Duration, field.MeshDurationNS)
	a.millis(o, UpstreamTime, field.MeshUpstreamDurationNS)
	a.millis(o, FirstByte, field.MeshFirstByteNS)
	m := a.slot[StartTime]
	if m == nil {
		return
	}
	ns, ok := a.Start()
	switch {
	case !ok:
		a.leave(o, StartTime)
	case o.Fixed && m.Name != nil:
		o.B.StrBytes(o.Own(m.Name.Text), m.Text)
	case !o.Fixed:
		o.Time = ns
	}
}

// Start returns the start time, if there is a readable one.
func (a *Access) Start() (ns int64, ok bool) {
	m := a.slot[StartTime]
	if m == nil {
		return 0, false
	}
	if m == &a.text[StartTime] { // it was read already
		return a.started, facts.Plausible(a.started)
	}
	switch m.Kind {
	case jsonscan.Int:
		return facts.Epoch(m.Int)
	case jsonscan.Float: // its digits say more than the nearest float
		if ns, ok = facts.Time(m.Text); ok {
			return ns, true
		}
		return facts.EpochFloat(m.Float)
	}
	return facts.Time(m.Text)
}

// peers writes the addresses towards the client. Port 0 means that Envoy took
// the address from X-Forwarded-For, as far as it trusts the proxies before it:
// then it is the client's and not the peer's. Otherwise the client is the header's
// left-most address, which anyone can write, or else the peer.
func (a *Access) peers(o *facts.Out) {
	xff := a.copy(o, ForwardedFor, field.HTTPRequestHeaderXForwardedFor)
	var client facts.Address
	known := false
	if xff != nil {
		client, known = facts.SplitAddress(facts.First(xff))
	}
	if v := a.str(DirectRemote); v != nil { // whatever the other one was taken from
		if peer, ok := facts.SplitAddress(v); ok && peer.Port > 0 {
			o.Str(field.NetworkPeerAddress, peer.Host)
			o.Int(field.NetworkPeerPort, peer.Port)
			if v = a.str(DownstreamRemote); v != nil {
				client, known = facts.SplitAddress(v)
			}
		}
	} else if v := a.str(DownstreamRemote); v != nil {
		peer, ok := facts.SplitAddress(v)
		switch {
		case !ok:
			o.Str(field.NetworkPeerAddress, v)
			o.PartialOf(columns[DownstreamRemote])
		case peer.Port == 0:
			client, known = peer, true
		default:
			o.Str(field.NetworkPeerAddress, peer.Host)
			o.Int(field.NetworkPeerPort, peer.Port)
			if !known {
				client, known = peer, true
			}
		}
	}
	if known {
		o.DeriveBytes(field.ClientAddress, client.Host)
		if client.Port > 0 && len(xff) == 0 {
			o.Int(field.ClientPort, client.Port)
		}
	}
	if v := a.str(DownstreamLocal); v != nil {
		local, ok := facts.SplitAddress(v)
		if !ok {
			o.Str(field.NetworkLocalAddress, v)
			return
		}
		o.Str(field.NetworkLocalAddress, local.Host)
		if local.Port > 0 {
			o.Int(field.NetworkLocalPort, local.Port)
		}
	}
}

func (a *Access) upstream(o *facts.Out) {
	if v := a.str(UpstreamHost); v != nil {
		if addr, ok := facts.SplitAddress(v); ok && bytes.HasPrefix(v, []byte("tcp://")) && addr.Port > 0 {
			v = v[len("tcp://"):]
		}
		o.Str(field.MeshUpstreamAddress, v)
	}
	if v := a.str(UpstreamCluster); v != nil {
		o.Str(field.MeshUpstreamCluster, bytes.TrimSuffix(v, []byte(";")))
	}
	a.copy(o, UpstreamLocal, field.MeshUpstreamLocalAddress)
	a.copy(o, Route, field.MeshRoute)
	a.copy(o, ServerName, field.TLSClientServerName)
}

func (a *Access) security(o *facts.Out, t *target) {
	a.copy(o, TLSVersion, field.TLSProtocolVersion)
	a.copy(o, TLSCipher, field.TLSCipher)
	a.copy(o, PeerSubject, field.TLSClientSubject)
	a.copy(o, PeerIssuer, field.TLSClientIssuer)
	a.copy(o, HostName, field.HostName)
	if v := a.str(PeerURI); v != nil {
		o.SourcePrincipal(facts.First(v))
	}
	a.principals(o, t)
	a.copy(o, MeshID, field.MeshID)
	if v := a.copy(o, SourceService, field.MeshSourceService); v != nil {
		kumaService(o, v, field.MeshSourceWorkload, field.MeshSourceNamespace)
	}
	if v := a.copy(o, DestinationService, field.MeshDestinationService); v != nil {
		o.Service = kumaService(o, v, field.MeshDestinationWorkload, field.MeshDestinationNamespace)
	}
}

// principals writes who the destination proved to be, and what the header of a
// request that came in says of the source. The header is believed where the proxy
// itself ended the client's TLS: that of an inbound record.
func (a *Access) principals(o *facts.Out, t *target) {
	by := facts.First(a.str(LocalURI))
	if len(by) == 0 {
		by = facts.First(a.str(UpstreamURI))
	}
	if v := a.copy(o, ClientCert, field.HTTPRequestHeaderXFCC); v != nil && t.inbound {
		c := facts.SplitClientCert(v)
		if len(by) == 0 {
			by = c.By
		}
		if len(c.URI) > 0 && a.str(PeerURI) == nil {
			o.SourcePrincipal(c.URI)
		}
		if a.str(PeerSubject) == nil {
			o.DeriveBytes(field.TLSClientSubject, c.Subject)
		}
	}
	o.DeriveBytes(field.MeshDestinationPrincipal, by)
}

// kumaService reads Kuma's service tag, name_namespace_svc_port, and returns the
// name.
func kumaService(o *facts.Out, v []byte, workload, namespace field.ID) []byte {
	name, rest, _ := bytes.Cut(v, []byte("_"))
	ns, rest, found := bytes.Cut(rest, []byte("_"))
	if !found || !bytes.HasPrefix(rest, []byte("svc")) {
		o.DeriveBytes(workload, v)
		return v
	}
	o.DeriveBytes(workload, name)
	o.DeriveBytes(namespace, ns)
	return name
}
