// Package linkerd reads the HTTP access logs of Linkerd's proxy, in its json
// and its apache form (linkerd2-proxy, linkerd-app-inbound/src/http/access_log).
// Both are written by the server's proxy alone.
//
// Durations are nanoseconds in strings; sizes are copies of Content-Length, so
// they may be absent or empty. client.id is "-" when the client was not
// meshed. trace_id holds whichever of x-b3-traceid, x-request-id or
// x-amzn-trace-id came first, so its shape decides what it is.
//
// It knows nothing of other platforms and does not detect: that is normalise.
// It never panics on outside bytes and keeps nothing beyond a call.
package linkerd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Key is a key of the json form. 0 is none.
type Key uint8

// The keys.
const (
	None Key = iota
	ClientAddr
	ClientID
	Host
	Method
	Processing
	RequestBytes
	ResponseBytes
	Status
	Timestamp
	Total
	TraceID
	URI
	UserAgent
	Version
	numKeys
)

var keys = map[string]Key{
	"client.addr": ClientAddr, "client.id": ClientID, "host": Host, "method": Method,
	"processing_ns": Processing, "request_bytes": RequestBytes, "response_bytes": ResponseBytes,
	"status": Status, "timestamp": Timestamp, "total_ns": Total, "trace_id": TraceID,
	"uri": URI, "user_agent": UserAgent, "version": Version,
}

// KeyOf returns the key that a JSON name is, or None.
func KeyOf(name string) Key { return keys[name] }

// Match reports whether a shape with these keys is an access log.
func Match(has func(Key) bool, declared bool) bool {
	if declared {
		return has(Total) || has(ClientAddr) || has(Processing)
	}
	return has(ClientAddr) && (has(Total) || has(Processing)) || has(Total) && has(Processing)
}

// Access is one access log record by key.
type Access struct {
	slot [numKeys]*jsonscan.Member
	text [numKeys]jsonscan.Member
}

// Reset empties the slots.
func (a *Access) Reset() { a.slot = [numKeys]*jsonscan.Member{} }

// Set puts a member into its slot. It reports false when the slot is taken or
// the value can be no key's: then the member is an ordinary one.
func (a *Access) Set(k Key, m *jsonscan.Member) bool {
	if a.slot[k] != nil || m.Kind == jsonscan.Bool {
		return false
	}
	a.slot[k] = m
	return true
}

// Has reports whether a slot is filled.
func (a *Access) Has(k Key) bool { return a.slot[k] != nil }

func (a *Access) put(k Key, v []byte) {
	if !facts.Absent(v) {
		a.text[k] = jsonscan.Member{Kind: jsonscan.String, Text: v}
		a.slot[k] = &a.text[k]
	}
}

func (a *Access) str(k Key) []byte {
	m := a.slot[k]
	if m == nil || facts.Absent(m.Text) {
		return nil
	}
	return m.Text
}

// leave keeps a value that is not what its key should hold under its own name.
func (a *Access) leave(o *facts.Out, k Key) {
	o.Partial()
	m := a.slot[k]
	if m.Name == nil {
		return
	}
	o.PartialOf(m.Name.Text)
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

func (a *Access) number(o *facts.Out, k Key, name field.ID) {
	m := a.slot[k]
	if m == nil {
		return
	}
	if m.Kind == jsonscan.Int && m.Int >= 0 {
		o.Int(name, m.Int)
		return
	}
	if m.Kind == jsonscan.String {
		if facts.Absent(m.Text) {
			return
		}
		if n, ok := facts.Uint(m.Text); ok {
			o.Int(name, n)
			return
		}
	}
	a.leave(o, k)
}

// The names of the formats.
const (
	JSON   = "linkerd-json"
	Apache = "linkerd-apache"
)

// Formats are the layouts that this package reads.
var Formats = []facts.Format{
	{Name: JSON, Platform: "linkerd", Mesh: "linkerd", Kind: facts.Access, Of: "Linkerd's proxy, access log in json"},
	{Name: Apache, Platform: "linkerd", Mesh: "linkerd", Kind: facts.Access, Of: "Linkerd's proxy, access log in apache form"},
	{Name: Proxy, Platform: "linkerd", Mesh: "linkerd", Kind: facts.App, Of: "Linkerd's proxy of itself, plain"},
	{Name: Control, Platform: "linkerd", Mesh: "linkerd", Kind: facts.App, Of: "Linkerd's policy controller and other Rust programs, plain"},
}

// Write writes the slots under canonical names, and the facts they imply.
func (a *Access) Write(o *facts.Out, format string) {
	o.Status, o.Format = facts.OK, format
	a.time(o)
	if v := a.str(Method); v != nil {
		o.Method(v)
	}
	var u facts.URL
	if v := a.str(URI); v != nil {
		o.URL(v)
		u = facts.SplitURL(v)
	}
	o.Protocol(a.str(Version))
	if v := a.str(Host); v != nil {
		o.Server(v)
	} else if len(u.Host) > 0 {
		o.Server(u.Host)
	}
	a.number(o, Status, field.HTTPResponseStatusCode)
	a.number(o, RequestBytes, field.HTTPRequestBodySize)
	a.number(o, ResponseBytes, field.HTTPResponseBodySize)
	a.number(o, Total, field.MeshDurationNS)
	a.number(o, Processing, field.MeshProcessingNS)
	if v := a.str(UserAgent); v != nil {
		o.Str(field.UserAgentOriginal, v)
	}
	a.trace(o)
	a.client(o)
	o.Derive(field.MeshDirection, "inbound")
	o.Derive(field.MeshReporter, "destination")
	a.destination(o, u)
	o.MeshType("linkerd")
}

func (a *Access) time(o *facts.Out) {
	m := a.slot[Timestamp]
	if m == nil {
		return
	}
	ns, ok := facts.Time(m.Text)
	switch {
	case !ok || m.Kind != jsonscan.String:
		a.leave(o, Timestamp)
	case o.Fixed && m.Name != nil:
		o.B.StrBytes(o.Own(m.Name.Text), m.Text)
	case !o.Fixed:
		o.Time = ns
	}
}

func (a *Access) trace(o *facts.Out) {
	v := a.str(TraceID)
	switch {
	case v == nil:
	case o.TraceID(v):
	case len(v) == 36 && v[8] == '-' && v[13] == '-' && v[18] == '-' && v[23] == '-':
		o.Str(field.HTTPRequestHeaderXRequestID, v)
	default:
		if name := a.slot[TraceID].Name; name != nil {
			o.B.StrBytes(o.Own(name.Text), v)
		}
	}
}

func (a *Access) client(o *facts.Out) {
	if v := a.str(ClientAddr); v != nil {
		if addr, ok := facts.SplitAddress(v); ok {
			o.DeriveBytes(field.ClientAddress, addr.Host)
			o.Str(field.NetworkPeerAddress, addr.Host)
			if addr.Port > 0 {
				o.Int(field.NetworkPeerPort, addr.Port)
			}
		} else {
			a.leave(o, ClientAddr)
		}
	}
	if v := a.str(ClientID); v != nil {
		o.SourcePrincipal(v)
	} else if a.slot[ClientID] != nil || o.Format == Apache {
		o.Derive(field.MeshMTLS, "none")
	}
}

// destination derives the destination from a host that names a service.
func (a *Access) destination(o *facts.Out, u facts.URL) {
	host := a.str(Host)
	if host == nil {
		host = u.Host
	}
	addr, ok := facts.SplitAddress(host)
	if !ok {
		return
	}
	if s, ok := facts.SplitService(addr.Host); ok {
		o.DeriveBytes(field.MeshDestinationService, addr.Host)
		o.DeriveBytes(field.MeshDestinationWorkload, s.Name)
		o.DeriveBytes(field.MeshDestinationNamespace, s.Namespace)
		o.DeriveBytes(field.ServiceName, s.Name)
		o.DeriveBytes(field.K8sNamespaceName, s.Namespace)
	}
}

// Text implements facts.Line.
func (a *Access) Text(line []byte, o *facts.Out) bool {
	matched, whole := a.apache(line)
	if !matched {
		return false
	}
	a.Write(o, Apache)
	if !whole {
		o.PartialOf("columns")
	}
	return true
}

// apache reads a line of the apache form into the slots:
//
//	CLIENT_IP:PORT CLIENT_ID - [RFC3339] "METHOD URI VERSION" STATUS
//
// Without a response the line ends after the quote. Nothing is escaped; a URI
// has no space, so the request is what stands between the first and last quote.
func (a *Access) apache(s []byte) (matched, whole bool) {
	a.Reset()
	client, s, _ := bytes.Cut(s, []byte(" "))
	i := bytes.IndexByte(s, ' ')
	if i <= 0 || !bytes.HasPrefix(s[i:], []byte(" - [")) {
		return false, false
	}
	id, s := s[:i], s[i+len(" - ["):]
	addr, ok := facts.SplitAddress(client)
	if !ok || addr.Port == 0 {
		return false, false
	}
	_, n := facts.Stamp(s)
	first, last := bytes.IndexByte(s, '"'), bytes.LastIndexByte(s, '"')
	if n == 0 || n >= len(s) || s[n] != ']' || first != n+2 || last <= first {
		return false, false
	}
	method, rest, _ := bytes.Cut(s[first+1:last], []byte(" "))
	i = bytes.LastIndexByte(rest, ' ')
	if i < 0 || !bytes.HasPrefix(rest[i+1:], []byte("HTTP/")) {
		return false, false
	}
	a.put(ClientAddr, client)
	a.put(ClientID, id)
	a.put(Timestamp, s[:n])
	a.put(Method, method)
	a.put(URI, rest[:i])
	a.put(Version, rest[i+1:])
	status := bytes.TrimSpace(s[last+1:])
	a.put(Status, status)
	_, good := facts.Uint(status)
	return true, good || len(status) == 0
}
