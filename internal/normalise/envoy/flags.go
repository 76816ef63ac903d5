package envoy

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// A flag is one of %RESPONSE_FLAGS% and %RESPONSE_FLAGS_LONG% (Envoy's
// stream_info/utility.h).
type flag struct {
	short, long string
	text        string // what it means
	class       string // of the failure; "" is none
	timeout     string // which time ran out
}

var flagTable = [...]flag{
	{"LH", "FailedLocalHealthCheck", "local service failed its health check", "no_upstream", ""},
	{"UH", "NoHealthyUpstream", "no healthy upstream host", "no_upstream", ""},
	{"UT", "UpstreamRequestTimeout", "upstream request timed out", "timeout", "request"},
	{"LR", "LocalReset", "stream reset by this proxy", "reset", ""},
	{"UR", "UpstreamRemoteReset", "upstream reset the stream", "reset", ""},
	{"UF", "UpstreamConnectionFailure", "connection to the upstream failed", "connect", ""},
	{"UC", "UpstreamConnectionTermination", "upstream closed the connection", "reset", ""},
	{"UO", "UpstreamOverflow", "circuit breaker open", "overload", ""},
	{"NR", "NoRouteFound", "no route or no matching filter chain", "no_route", ""},
	{"DI", "DelayInjected", "delay injected", "", ""},
	{"FI", "FaultInjected", "fault injected", "injected", ""},
	{"RL", "RateLimited", "rate limited", "rate_limit", ""},
	{"UAEX", "UnauthorizedExternalService", "denied by the external authorization service", "policy", ""},
	{"RLSE", "RateLimitServiceError", "rate limit service failed", "policy", ""},
	{"DC", "DownstreamConnectionTermination", "client closed the connection", "canceled", ""},
	{"URX", "UpstreamRetryLimitExceeded", "upstream retry or connect limit reached", "", ""},
	{"SI", "StreamIdleTimeout", "stream idle for too long", "timeout", "idle"},
	{"IH", "InvalidEnvoyRequestHeaders", "invalid value of a strictly checked header", "protocol", ""},
	{"DPE", "DownstreamProtocolError", "client broke the protocol", "protocol", ""},
	{"UPE", "UpstreamProtocolError", "upstream broke the protocol", "protocol", ""},
	{"UMSDR", "UpstreamMaxStreamDurationReached", "upstream request lasted too long", "timeout", "duration"},
	{"RFCF", "ResponseFromCacheFilter", "answered from the cache", "", ""},
	{"NFCF", "NoFilterConfigFound", "filter configuration missing", "no_route", ""},
	{"DT", "DurationTimeout", "request or connection lasted too long", "timeout", "duration"},
	{"NC", "NoClusterFound", "upstream cluster not found", "no_route", ""},
	{"OM", "OverloadManagerTerminated", "ended by the overload manager", "overload", ""},
	{"DF", "DnsResolutionFailed", "name of the upstream not resolved", "dns", ""},
	{"DO", "DropOverload", "dropped for overload", "overload", ""},
	{"DR", "DownstreamRemoteReset", "client reset the stream", "canceled", ""},
	{"UDO", "UnconditionalDropOverload", "dropped for overload, as all are", "overload", ""},
}

// flagOf returns the flag of a short or long name, nil for another.
func flagOf(name []byte) *flag {
	for i := range flagTable {
		if f := &flagTable[i]; string(name) == f.short || string(name) == f.long {
			return f
		}
	}
	return nil
}

// shortFlags returns the flags by their short names. Flags that nobody knows keep
// theirs.
func (a *Access) shortFlags() []byte {
	if flags := a.str(Flags); flags != nil {
		if flags[0] >= 'A' && (len(flags) < 2 || flags[1] < 'a') {
			return flags
		}
		return a.shortened(flags)
	}
	if long := a.str(FlagsLong); long != nil {
		return a.shortened(long)
	}
	return nil
}

func (a *Access) shortened(long []byte) []byte {
	a.scratch = a.scratch[:0]
	for len(long) > 0 {
		var name []byte
		name, long = facts.CutByte(long, ',')
		if len(a.scratch) > 0 {
			a.scratch = append(a.scratch, ',')
		}
		if f := flagOf(name); f != nil {
			a.scratch = append(a.scratch, f.short...)
		} else {
			a.scratch = append(a.scratch, name...)
		}
	}
	return a.scratch
}

// A failure is what flags and details say of how an exchange went wrong.
type failure struct{ class, timeout, retry string }

// flags writes the flags and their meaning, and returns the failure that they
// tell of.
func (a *Access) flags(o *facts.Out) (f failure) {
	list := a.shortFlags()
	if list == nil {
		return f
	}
	o.Str(field.MeshResponseFlags, list)
	var few [256]byte
	text := few[:0]
	for len(list) > 0 {
		var name []byte
		name, list = facts.CutByte(list, ',')
		known := flagOf(name)
		if known == nil {
			continue
		}
		if len(text) > 0 {
			text = append(text, "; "...)
		}
		text = append(text, known.text...)
		if f.class == "" {
			f.class, f.timeout = known.class, known.timeout
		}
		if known.short == "URX" {
			f.retry = "exhausted"
		}
	}
	o.DeriveBytes(field.MeshResponseFlagsText, text)
	return f
}

// details are the causes that details name, by what they begin with: of Envoy's
// response_code_details.
var details = [...]struct{ begin, class, timeout string }{
	{"upstream_per_try_timeout", "timeout", "try"},
	{"upstream_per_try_idle_timeout", "timeout", "try"},
	{"response_timeout", "timeout", "request"},
	{"upstream_response_timeout", "timeout", "request"},
	{"stream_idle_timeout", "timeout", "idle"},
	{"request_overall_timeout", "timeout", "head"},
	{"request_header_timeout", "timeout", "head"},
	{"max_duration_timeout", "timeout", "duration"},
	{"upstream_max_stream_duration_reached", "timeout", "duration"},
	{"duration_timeout", "timeout", "duration"},
	{"downstream_remote_disconnect", "canceled", ""},
	{"http2.remote_re", "canceled", ""},
	{"http3.remote_re", "canceled", ""},
	{"upstream_reset", "reset", ""},
	{"late_upstream_reset", "reset", ""},
	{"no_healthy_upstream", "no_upstream", ""},
	{"cluster_not_found", "no_route", ""},
	{"route_not_found", "no_route", ""},
	{"overload", "overload", ""},
	{"maintenance_mode", "overload", ""},
	{"fault_filter_abort", "injected", ""},
	{"http1.", "protocol", ""},
	{"http2.", "protocol", ""},
	{"http3.", "protocol", ""},
	{"missing_host", "protocol", ""},
	{"path_normalization_failed", "protocol", ""},
	{"request_headers_too_large", "protocol", ""},
	{"request_payload_too_large", "protocol", ""},
	{"response_payload_too_large", "protocol", ""},
}

// failed writes why the exchange failed: f is what flags and policies say.
func (a *Access) failed(o *facts.Out, f failure) {
	d := a.str(Details)
	if d != nil && (f.class == "" || f.class == "timeout") && string(d) != "via_upstream" {
		for i := range details {
			if k := &details[i]; bytes.HasPrefix(d, []byte(k.begin)) {
				f.class, f.timeout = k.class, k.timeout
				break
			}
		}
	}
	if f.class == "connect" {
		f.class, f.timeout = a.unconnected(d)
	}
	if f.class != "" {
		o.Derive(field.MeshFailureClass, f.class)
	}
	if f.timeout != "" {
		o.Derive(field.MeshTimeout, f.timeout)
	}
	if f.retry == "" {
		if n, ok := a.attempts(); ok && n > 1 {
			f.retry = "retried"
		}
	}
	if f.retry != "" {
		o.Derive(field.MeshRetry, f.retry)
	}
}

// unconnected tells why there was no connection to the upstream.
func (a *Access) unconnected(d []byte) (class, timeout string) {
	for _, why := range [...][]byte{a.str(Failure), d} {
		switch {
		case contains(why, "TLS") || contains(why, "SSL") || contains(why, "CERTIFICATE"):
			return "tls", ""
		case contains(why, "refused") || contains(why, "connect_error:_111") || contains(why, "connect error: 111"):
			return "refused", ""
		case contains(why, "timeout"):
			return "timeout", "connect"
		}
	}
	return "connect", ""
}

func contains(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }
