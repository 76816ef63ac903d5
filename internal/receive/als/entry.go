package als

import (
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
)

// An entry is one access log entry while it is written. What several fields of
// the protocol decide together is kept aside until finish.
type entry struct {
	b     []byte // JSON
	depth int
	start int64  // ns since the epoch
	tls   string // mesh.mtls: what TLS proves of the client, "" without TLS

	duration, last int64     // ns; -1 if unknown
	peers          [2][]byte // what Istio's proxies told each other of themselves: source, destination
	grpc           []byte
	upstreamTime   []byte
	has            [strong]bool
}

// What a record of Envoy always says, be it that there is none.
const (
	flags = iota
	cluster
	host
	route
	strong
)

var strongNames = [strong]string{"response_flags", "upstream_cluster", "upstream_host", "route_name"}

// finish writes what was kept aside.
func (e *entry) finish() {
	for i, ok := range e.has {
		if !ok {
			e.null(strongNames[i])
		}
	}
	switch {
	case e.duration > 0:
		e.millis("duration", e.duration)
	case e.last > 0: // older proxies: the last byte to the client is the end
		e.millis("duration", e.last)
	}
	e.text("grpc_status", e.grpc)
	e.text("upstream_service_time", e.upstreamTime)
	if e.tls == "" {
		e.null("requested_server_name") // no TLS, as the text form shows it
	}
}

// http reads HTTPAccessLogEntry { AccessLogCommon common_properties = 1;
// HTTPVersion protocol_version = 2; HTTPRequestProperties request = 3;
// HTTPResponseProperties response = 4 }.
func (e *entry) http(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			err = e.common(f.V)
		case 2<<3 | pb.Varint:
			e.word("protocol", pick(protocols[:], f.N))
		case 3<<3 | pb.Length:
			err = e.request(f.V)
		case 4<<3 | pb.Length:
			err = e.response(f.V)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tcp reads TCPAccessLogEntry { AccessLogCommon common_properties = 1;
// ConnectionProperties connection_properties = 2 { uint64 received_bytes = 1;
// uint64 sent_bytes = 2 } }.
func (e *entry) tcp(b []byte) error {
	var received, sent uint64
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			err = e.common(f.V)
		case 2<<3 | pb.Length:
			for p := f.V; len(p) > 0 && err == nil; {
				if f, p, err = pb.Next(p); err == nil {
					switch f.Tag {
					case 1<<3 | pb.Varint:
						received = f.N
					case 2<<3 | pb.Varint:
						sent = f.N
					}
				}
			}
		}
		if err != nil {
			return err
		}
	}
	e.number("bytes_received", received)
	e.number("bytes_sent", sent)
	return nil
}

var (
	protocols = [...]string{1: "HTTP/1.0", 2: "HTTP/1.1", 3: "HTTP/2", 4: "HTTP/3"}
	methods   = [...]string{1: "GET", 2: "HEAD", 3: "POST", 4: "PUT", 5: "DELETE", 6: "CONNECT", 7: "OPTIONS", 8: "TRACE", 9: "PATCH"}
	logTypes  = [...]string{1: "TcpUpstreamConnected", 2: "TcpPeriodic", 3: "TcpConnectionEnd", 4: "DownstreamStart",
		5: "DownstreamPeriodic", 6: "DownstreamEnd", 7: "UpstreamPoolReady", 8: "UpstreamPeriodic", 9: "UpstreamEnd",
		10: "DownstreamTunnelSuccessfullyEstablished", 11: "UdpTunnelUpstreamConnected", 12: "UdpPeriodic", 13: "UdpSessionEnd", 14: "TcpConnectionStart"}
	// flagNames are %RESPONSE_FLAGS%' short names by the field numbers of ResponseFlags.
	flagNames = [...]string{1: "LH", 2: "UH", 3: "UT", 4: "LR", 5: "UR", 6: "UF", 7: "UC", 8: "UO", 9: "NR", 10: "DI", 11: "FI", 12: "RL",
		13: "UAEX", 14: "RLSE", 15: "DC", 16: "URX", 17: "SI", 18: "IH", 19: "DPE", 20: "UMSDR", 21: "RFCF", 22: "NFCF", 23: "DT",
		24: "UPE", 25: "NC", 26: "OM", 27: "DF", 28: "DR"}
)

// pick returns the name of a number, "" for one that has none.
func pick(names []string, n uint64) string {
	if n < uint64(len(names)) {
		return names[n]
	}
	return ""
}

// commonTexts, commonNumbers and commonTimes are AccessLogCommon's fields of one
// kind by their numbers, under the names that they are written as.
var (
	commonTexts = [...]string{15: "upstream_cluster", 18: "upstream_transport_failure_reason", 19: "route_name",
		25: "connection_termination_details", 26: "stream_id", 28: "downstream_transport_failure_reason"}
	commonNumbers = [...]string{24: "upstream_request_attempt_count", 29: "downstream_wire_bytes_sent", 30: "downstream_wire_bytes_received",
		31: "upstream_wire_bytes_sent", 32: "upstream_wire_bytes_received"}
	commonTimes = [...]string{6: "time_to_last_rx_byte_ns", 7: "time_to_first_upstream_tx_byte_ns", 8: "time_to_last_upstream_tx_byte_ns",
		9: "time_to_first_upstream_rx_byte_ns", 10: "time_to_last_upstream_rx_byte_ns", 11: "time_to_first_downstream_tx_byte_ns",
		12: "time_to_last_downstream_tx_byte_ns"}
	addresses = [...]string{2: "downstream_remote_address", 3: "downstream_local_address", 13: "upstream_host", 14: "upstream_local_address",
		20: "downstream_direct_remote_address"}
)

// common reads AccessLogCommon.
func (e *entry) common(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		n := uint64(f.Tag >> 3)
		switch f.Tag & 7 {
		case pb.Length:
			err = e.commonField(n, f.V)
		case pb.Varint:
			switch {
			case n == 27 && f.N != 0:
				e.name("intermediate_log_entry")
				e.b = append(e.b, "true"...)
			case n == 33:
				e.word("access_log_type", pick(logTypes[:], f.N))
			default:
				if name := pick(commonNumbers[:], n); name != "" {
					e.number(name, f.N)
				}
			}
		case pb.Fixed64:
			if v := math.Float64frombits(f.N); n == 1 && v != 0 {
				e.name("sample_rate")
				e.float(v)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) commonField(n uint64, v []byte) error {
	switch n {
	case 2, 3, 13, 14, 20:
		return e.address(int(n), v)
	case 4:
		return e.tlsProperties(v)
	case 5:
		at, err := seconds(v)
		e.start = at
		return err
	case 6, 7, 8, 9, 10, 11, 12, 23:
		return e.elapsed(int(n), v)
	case 16:
		return e.responseFlags(v)
	case 17:
		return e.metadata(v)
	case 21:
		return e.mapped(v, "filter_state_objects.", true)
	case 22:
		return e.mapped(v, "custom_tags.", false)
	}
	name := pick(commonTexts[:], n)
	if name == "" || len(v) == 0 {
		return nil
	}
	switch n {
	case 15:
		e.has[cluster] = true
	case 19:
		e.has[route] = true
	}
	e.text(name, v)
	return nil
}

// elapsed reads a Duration since the start.
func (e *entry) elapsed(n int, v []byte) error {
	ns, err := seconds(v)
	if err != nil || ns < 0 {
		return err
	}
	if n == 23 {
		e.duration = ns
		return nil
	}
	if n == 12 {
		e.last = ns
	}
	if n == 9 {
		e.millis("time_to_first_byte", ns) // %RESPONSE_DURATION%
	}
	e.number(commonTimes[n], uint64(ns))
	return nil
}

// seconds reads a Timestamp or Duration { int64 seconds = 1; int32 nanos = 2 } in
// nanoseconds; 0 for one that is out of range.
func seconds(b []byte) (int64, error) {
	var s, n int64
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return 0, err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Varint:
			s = int64(f.N)
		case 2<<3 | pb.Varint:
			n = int64(int32(f.N))
		}
	}
	if s > math.MaxInt64/1_000_000_000-1 || s < -math.MaxInt64/1_000_000_000+1 || n >= 1e9 || n <= -1e9 {
		return 0, nil
	}
	return s*1e9 + n, nil
}

// responseFlags reads ResponseFlags: a bool for each flag, and one message.
func (e *entry) responseFlags(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		n := uint64(f.Tag >> 3)
		set := f.Tag&7 == pb.Varint && n != 13 && f.N != 0
		if f.Tag == 13<<3|pb.Length { // Unauthorized { Reason reason = 1: EXTERNAL_SERVICE = 1 }
			reason, err := uintValue(f.V)
			if err != nil {
				return err
			}
			set = reason == 1
		}
		name := pick(flagNames[:], n)
		if !set || name == "" {
			continue
		}
		if e.has[flags] {
			e.b = append(e.b[:len(e.b)-1], ',') // over the quote that ended it
		} else {
			e.name("response_flags")
			e.b = append(e.b, '"')
			e.has[flags] = true
		}
		e.b = append(append(e.b, name...), '"')
	}
	return nil
}

// uintValue reads { uint value = 1 }.
func uintValue(b []byte) (n uint64, err error) {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return 0, err
		}
		if b = rest; f.Tag == 1<<3|pb.Varint {
			n = f.N
		}
	}
	return n, nil
}

// address writes Address { oneof: SocketAddress = 1, Pipe { string path = 1 } = 2,
// EnvoyInternalAddress { string server_listener_name = 1; string endpoint_id = 2 }
// = 3 } as Envoy prints it.
func (e *entry) address(field int, b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		kind := f.Tag >> 3
		if f.Tag&7 != pb.Length || kind < 1 || kind > 3 {
			continue
		}
		var text [2][]byte // address or path or listener; named port or endpoint
		var port uint64
		for p := f.V; len(p) > 0; {
			if f, p, err = pb.Next(p); err != nil {
				return err
			}
			switch {
			case kind == 1 && f.Tag == 2<<3|pb.Length, kind != 1 && f.Tag == 1<<3|pb.Length:
				text[0] = f.V
			case kind == 1 && f.Tag == 3<<3|pb.Varint:
				port = f.N
			case kind == 1 && f.Tag == 4<<3|pb.Length, kind == 3 && f.Tag == 2<<3|pb.Length:
				text[1] = f.V
			}
		}
		if len(text[0]) > 0 {
			e.has[host] = e.has[host] || field == 13
			e.name(addresses[field])
			e.endpoint(kind, text, port)
		}
	}
	return nil
}

func (e *entry) endpoint(kind int, text [2][]byte, port uint64) {
	switch kind {
	case 1:
		v6 := false
		for _, c := range text[0] {
			v6 = v6 || c == ':'
		}
		open := len(e.b)
		if v6 {
			e.b = append(e.b, '"', '[')
			e.trimmed(text[0])
			e.b = append(e.b, ']')
		} else {
			e.b = jsontext.AppendString(e.b[:open], text[0])
			e.b = e.b[:len(e.b)-1]
		}
		e.b = append(e.b, ':')
		if len(text[1]) > 0 {
			e.trimmed(text[1])
		} else {
			e.b = strconv.AppendUint(e.b, port, 10)
		}
		e.b = append(e.b, '"')
	case 3:
		e.b = append(e.b, `"envoy://`...)
		e.trimmed(text[0])
		e.b = append(e.b, '/')
		e.trimmed(text[1])
		e.b = append(e.b, '"')
	default:
		e.b = jsontext.AppendString(e.b, text[0])
	}
}

// trimmed appends a text escaped, without quotes.
func (e *entry) trimmed(v []byte) {
	open := len(e.b)
	e.b = jsontext.AppendString(e.b, v)
	e.b = append(e.b[:open], e.b[open+1:len(e.b)-1]...)
}

// metadata reads Metadata { map<string, Struct> filter_metadata = 1; map<string,
// Any> typed_filter_metadata = 2 }.
func (e *entry) metadata(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			var key, value []byte
			if key, value, err = pair(f.V); err == nil {
				e.within("metadata.", key)
				err = e.object(value, 1)
			}
		case 2<<3 | pb.Length:
			err = e.mapped(f.V, "metadata.", true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mapped writes an entry of a map of texts, or of Any.
func (e *entry) mapped(b []byte, prefix string, isAny bool) error {
	key, value, err := pair(b)
	if err != nil || len(key) == 0 {
		return err
	}
	if isAny {
		switch string(key) {
		case "downstream_peer", "wasm.downstream_peer":
			e.peers[0] = value
		case "upstream_peer", "wasm.upstream_peer":
			e.peers[1] = value
		}
		e.within(prefix, key)
		return e.any(value)
	}
	if len(value) > 0 {
		e.within(prefix, key)
		e.b = jsontext.AppendString(e.b, value)
	}
	return nil
}
