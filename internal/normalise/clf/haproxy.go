package clf

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// HAProxy is what each of HAProxy's formats says of one exchange. Absent parts are
// empty, times that were not reached negative.
type HAProxy struct {
	Frontend, Backend, Server []byte
	Times                     [][]byte // TR Tw Tc Tr Ta of HTTP, or Tw Tc Tt of TCP; ms
	State                     []byte
	Retries                   []byte
	Status                    []byte // of HTTP
}

// Write writes the fields.
func (h HAProxy) Write(o *facts.Out) {
	o.Derive(field.MeshReporter, "gateway")
	o.DeriveBytes(field.MeshListener, bytes.TrimSuffix(h.Frontend, []byte("~")))
	// Before a backend was chosen its name is the frontend's.
	chosen := len(h.Server) == 0 || h.Server[0] != '<' || string(h.Backend) != string(bytes.TrimSuffix(h.Frontend, []byte("~")))
	if b := known(h.Backend); b != nil && b[0] != '<' && chosen {
		o.Str(field.MeshUpstreamCluster, b)
	}
	if s := known(h.Server); s != nil && s[0] != '<' {
		o.Str(field.MeshUpstreamName, s)
	}
	if h.Frontend != nil && h.Frontend[len(h.Frontend)-1] == '~' {
		o.Derive(field.MeshMTLS, "tls")
	}
	h.times(o)
	h.state(o)
	redispatched := bytes.TrimPrefix(h.Retries, []byte("+"))
	if n, ok := facts.Uint(redispatched); ok && n > 0 && len(h.Times) != 3 {
		o.Int(field.HTTPRequestResendCount, n)
	}
}

// HAProxyTimes are the fields of TR, Tw, Tc, Tr and Ta.
var HAProxyTimes = [...]field.ID{field.MeshRequestReadNS, field.MeshQueueNS, field.MeshUpstreamConnectNS, field.MeshUpstreamFirstByteNS, field.MeshDurationNS}

func (h HAProxy) times(o *facts.Out) {
	names := HAProxyTimes[:]
	if len(h.Times) == 3 {
		names = []field.ID{field.MeshQueueNS, field.MeshUpstreamConnectNS, field.MeshDurationNS}
	}
	if len(h.Times) != len(names) {
		return
	}
	for i, v := range h.Times {
		if n, ok := facts.Uint(bytes.TrimPrefix(v, []byte("+"))); ok && n < 1<<40 {
			o.Int(names[i], n*1_000_000)
		}
	}
}

// state writes the termination state, and what its first two letters say
// (configuration manual, 8.5).
func (h HAProxy) state(o *facts.Out) {
	if len(h.State) < 2 || len(h.State) > 4 {
		return
	}
	o.Str(field.MeshTerminationState, h.State)
	if reason := reason(h.State[0], h.State[1]); reason != "" {
		o.Derive(field.MeshTerminationReason, reason)
	}
	h.failed(o)
	switch {
	case h.State[0] == 'P' && h.State[1] == 'R' && string(h.Status) == "403", h.State[0] == 'P' && h.State[1] == 'T':
		// A deny or tarpit rule matched: nothing else of the proxy ends a request so.
		o.Derive(field.MeshPolicyDecision, "deny")
		o.Derive(field.MeshPolicyEngine, "acl")
	}
}

// failed derives the class of what failed, by the pairs that manual 8.5 lists.
func (h HAProxy) failed(o *facts.Out) {
	class, timeout := "", ""
	switch h.State[0] {
	case '-', 'L':
		return
	case 'C':
		class = "canceled"
	case 'c', 's':
		class = "timeout"
		switch h.State[1] {
		case 'C':
			timeout = "connect"
		case 'R':
			timeout = "head"
		case 'H', 'D', 'L': // timeout server and client are of inactivity
			timeout = "idle"
		case 'Q':
			class = "overload"
		}
	case 'S':
		switch {
		case string(h.Server) == "<NOSRV>":
			class = "no_upstream"
		case h.State[1] == 'C':
			class = "connect"
		default:
			class = "reset"
		}
	case 'R':
		class = "overload"
	case 'P':
		switch {
		case h.State[1] == 'R' && string(h.Status) == "400", h.State[1] == 'H', h.State[1] == 'D':
			class = "protocol"
		case h.State[1] == 'R' && string(h.Status) == "403", h.State[1] == 'T':
			class = "policy"
		case h.State[1] == 'C':
			class = "overload" // of connections to the server
		}
	}
	if class != "" {
		o.Derive(field.MeshFailureClass, class)
	}
	if timeout != "" {
		o.Derive(field.MeshTimeout, timeout)
	}
}

var causes = map[byte]string{
	'C': "client aborted", 'S': "server aborted or refused", 'P': "proxy ended it", 'L': "proxy answered locally",
	'R': "proxy was out of resources", 'I': "internal error", 'D': "server went down", 'U': "server came back",
	'K': "administrator ended it", 'c': "client timed out", 's': "server timed out",
}

var phases = map[byte]string{
	'R': "waiting for the request", 'Q': "in the queue", 'C': "connecting to the server", 'H': "waiting for the response's headers",
	'D': "during data", 'L': "sending the last data", 'T': "request was tarpitted",
}

// reasons are causes and phases joined, so that no record makes a text.
var reasons = func() map[[2]byte]string {
	m := map[[2]byte]string{}
	for c, cause := range causes {
		m[[2]byte{c, '-'}] = cause
		for p, phase := range phases {
			m[[2]byte{c, p}] = cause + ", " + phase
		}
	}
	return m
}()

func reason(cause, phase byte) string { return reasons[[2]byte{cause, phase}] }
