package als

import (
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
)

var (
	requestTexts = [...]string{3: ":authority", 6: "user-agent", 7: "http.request.header.referer", 8: "x-forwarded-for", 9: "x-request-id"}
	requestSizes = [...]string{11: "request_headers_bytes", 12: "bytes_received", 14: "upstream_header_bytes_sent", 15: "downstream_header_bytes_received"}
	answerSizes  = [...]string{2: "response_headers_bytes", 3: "bytes_sent", 7: "upstream_header_bytes_received", 8: "downstream_header_bytes_sent"}
)

// request reads HTTPRequestProperties. The path is the one that the client asked
// for, as Envoy's default format has it; a rewritten one stands beside it.
func (e *entry) request(b []byte) error {
	var path, original []byte
	var received bool
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		n := uint64(f.Tag >> 3)
		switch f.Tag {
		case 1<<3 | pb.Varint:
			e.word("method", pick(methods[:], f.N))
			continue
		case 2<<3 | pb.Length:
			e.text("url.scheme", f.V)
			continue
		case 4<<3 | pb.Length:
			if n, err = uintValue(f.V); err != nil {
				return err
			}
			e.number("port", n)
			continue
		case 5<<3 | pb.Length:
			path = f.V
			continue
		case 10<<3 | pb.Length:
			original = f.V
			continue
		case 13<<3 | pb.Length:
			if err := e.header(f.V, "http.request.header."); err != nil {
				return err
			}
			continue
		}
		if name := pick(requestSizes[:], n); name != "" && f.Tag&7 == pb.Varint {
			e.number(name, f.N)
			received = received || n == 12
		} else if name := pick(requestTexts[:], n); name != "" && f.Tag&7 == pb.Length {
			e.text(name, f.V)
		}
	}
	if !received {
		e.number("bytes_received", 0)
	}
	if len(original) > 0 && string(original) != string(path) {
		e.text("rewritten_path", path)
		path = original
	}
	e.text("path", path)
	return nil
}

// response reads HTTPResponseProperties.
func (e *entry) response(b []byte) error {
	var sent bool
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		n := uint64(f.Tag >> 3)
		switch f.Tag {
		case 1<<3 | pb.Length:
			if n, err = uintValue(f.V); err == nil {
				e.number("response_code", n)
			}
		case 4<<3 | pb.Length:
			err = e.header(f.V, "http.response.header.")
		case 5<<3 | pb.Length:
			err = e.header(f.V, "http.response.trailer.")
		case 6<<3 | pb.Length:
			e.text("response_code_details", f.V)
		default:
			if name := pick(answerSizes[:], n); name != "" && f.Tag&7 == pb.Varint {
				e.number(name, f.N)
				sent = sent || n == 3
			}
		}
		if err != nil {
			return err
		}
	}
	if !sent {
		e.number("bytes_sent", 0)
	}
	return nil
}

// header writes a header or trailer that the proxy was told to log. Those that an
// operator stands for go by its name; those that the protocol has a field for are
// not said twice.
func (e *entry) header(b []byte, prefix string) error {
	key, value, err := pair(b)
	if err != nil || len(key) == 0 || len(value) == 0 {
		return err
	}
	request := prefix == "http.request.header."
	switch string(key) {
	case "traceparent", "x-b3-traceid", "x-b3-spanid":
		if request {
			e.text(operator(key), value)
			return nil
		}
	case "x-request-id", "user-agent", "x-forwarded-for", "referer", ":authority", ":path", ":scheme":
		if request {
			return nil
		}
	case ":method": // of a method that the protocol has no number for
		if request {
			e.text("method", value)
			return nil
		}
	case "grpc-status":
		if !request {
			e.grpc = value
			return nil
		}
	case "x-envoy-upstream-service-time":
		if !request {
			e.upstreamTime = value
			return nil
		}
	}
	e.within(prefix, key)
	e.b = jsontext.AppendString(e.b, value)
	return nil
}

// operator returns the name of a header's operator without allocating.
func operator(key []byte) string {
	switch len(key) {
	case len("x-b3-traceid"):
		return "x-b3-traceid"
	case len("x-b3-spanid"):
		if key[0] == 'x' {
			return "x-b3-spanid"
		}
	}
	return "traceparent"
}
