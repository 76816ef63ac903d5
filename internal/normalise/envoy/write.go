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
		o.Partial()
	}
	a.request(o)
	a.response(o)
	a.times(o)
	a.peers(o)
	a.upstream(o)
	a.security(o)
	t := a.target()
	t.write(o, a)
	a.decide(o)
	a.name(o, declared, &t)
}

// formats returns the layouts' names of a mesh: JSON, text.
func formats(mesh string) (known, json, text string) {
	switch mesh {
	case "istio":
		return mesh, "istio-json", "istio-text"
	case "consul":
		return mesh, "consul-json", "consul-text"
	case "kuma":
		return mesh, "kuma-json", "kuma-text"
	}
	return "envoy", "envoy-json", "envoy-text"
}

// name sets the format and mesh.type: as declared, else Consul and Kuma by what
// only they write, else Istio by its cluster names or the number of its keys.
func (a *Access) name(o *facts.Out, declared string, t *target) {
	mesh := declared
	switch {
	case mesh != "":
	case a.slot[MeshID] != nil || a.null[MeshID]:
		mesh = "kuma"
	case t.consul:
		mesh = "consul"
	case t.istio || a.slot[PolicyStatus] != nil || a.count >= 18 && !a.other:
		mesh = "istio"
	default:
		mesh = "envoy"
	}
	mesh, json, text := formats(mesh)
	o.MeshType(mesh)
	o.Format = json
	if a.line {
		o.Format = text
	}
}

// leave keeps a value that is not what its operator should be: in JSON under
// its own name; text keeps it in the body.
func (a *Access) leave(o *facts.Out, k Key) {
	o.Partial()
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
	if v := a.str(B3TraceID); v != nil && !o.TraceID(v) {
		a.leave(o, B3TraceID)
	}
	a.copy(o, B3SpanID, field.SpanID)
	if n, ok := a.number(o, Attempts); ok && n > 0 {
		o.Int(field.HTTPRequestResendCount, n-1)
	}
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
	a.copy(o, Flags, field.MeshResponseFlags)
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
	if m == &a.text[StartTime] { // Text read it already
		return a.started, facts.Plausible(a.started)
	}
	switch m.Kind {
	case jsonscan.Int:
		return facts.Epoch(m.Int)
	case jsonscan.Float:
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
	if v := a.str(DownstreamRemote); v != nil {
		peer, ok := facts.SplitAddress(v)
		switch {
		case !ok:
			o.Str(field.NetworkPeerAddress, v)
			o.Partial()
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

func (a *Access) security(o *facts.Out) {
	a.copy(o, TLSVersion, field.TLSProtocolVersion)
	a.copy(o, TLSCipher, field.TLSCipher)
	a.copy(o, PeerSubject, field.TLSClientSubject)
	a.copy(o, PeerIssuer, field.TLSClientIssuer)
	if v := a.str(PeerURI); v != nil {
		o.SourcePrincipal(facts.First(v))
	}
	a.copy(o, MeshID, field.MeshID)
	if v := a.copy(o, SourceService, field.MeshSourceService); v != nil {
		kumaService(o, v, field.MeshSourceWorkload, field.MeshSourceNamespace)
	}
	if v := a.copy(o, DestinationService, field.MeshDestinationService); v != nil {
		kumaService(o, v, field.MeshDestinationWorkload, field.MeshDestinationNamespace)
	}
}

// kumaService reads Kuma's service tag, name_namespace_svc_port.
func kumaService(o *facts.Out, v []byte, workload, namespace field.ID) {
	name, rest, _ := bytes.Cut(v, []byte("_"))
	ns, rest, found := bytes.Cut(rest, []byte("_"))
	if !found || !bytes.HasPrefix(rest, []byte("svc")) {
		o.DeriveBytes(workload, v)
		return
	}
	o.DeriveBytes(workload, name)
	o.DeriveBytes(namespace, ns)
}
