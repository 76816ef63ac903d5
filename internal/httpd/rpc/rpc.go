// Package rpc makes routes of gRPC methods, so that the gate of httpd identifies
// the caller, checks the permission and bounds the request before anything of
// the library sees it (docs/adr/0006).
//
// It speaks the gRPC protocol over HTTP/2 itself, from the specification
// (grpc.io, PROTOCOL-HTTP2): five bytes before each message, the status in the
// trailers. It is little, and it hands a message over as a reader before a byte
// of it is in memory: a receiver reads it into memory that is counted, and
// decodes it by hand. Services of generated code are served from their
// grpc.ServiceDesc (see Generated).
//
// A failure is one gRPC status: its code follows from the fault.Kind, overload
// carries a RetryInfo, and of our own bugs the caller is told no more than that
// there was one. Nothing here knows a log or survives a crash.
package rpc

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

// DefaultMaxMessage is the size of a message of a method that names none, in
// bytes, as received and decoded.
const DefaultMaxMessage = 4 << 20

// A Service is one gRPC service under its full name, for example
// "opentelemetry.proto.collector.logs.v1.LogsService".
type Service struct {
	Name    string
	Methods []Method
	// Intake says that callers hand over records and delete their copy unless they
	// are told to come again: what is not their fault is then UNAVAILABLE with a
	// RetryInfo. (INTERNAL, which a door answers, is given up on by OTLP exporters.)
	Intake bool
	// Failed, when set, is told of each failed call, those of the gate included.
	Failed func(error)
}

// A Method is one method of a service.
type Method struct {
	Name string
	// Stream says that the caller or the server may send many messages: the call
	// then has no end in time but the caller's own, and ends when the server stops.
	Stream bool
	// MaxMessage is the largest message taken, in bytes as received; 0 is
	// DefaultMaxMessage.
	MaxMessage int64
	// Handle runs one call. What it returns is the call's status; nil is OK.
	Handle func(*Stream) error
}

// Routes returns one route for each method of the services.
func Routes(need access.Permission, services ...Service) []httpd.Route {
	var routes []httpd.Route
	for i := range services {
		s := services[i]
		for j := range s.Methods {
			routes = append(routes, s.route(need, s.Methods[j]))
		}
	}
	return routes
}

func (s *Service) route(need access.Permission, m Method) httpd.Route {
	if m.MaxMessage <= 0 {
		m.MaxMessage = DefaultMaxMessage
	}
	body := int64(math.MaxInt64)
	if !m.Stream {
		body = m.MaxMessage + prefix + 1 // a longer one is refused by its own length, which it says first
	}
	intake, failed := s.Intake, s.Failed
	return httpd.Route{
		Pattern: "POST /" + s.Name + "/" + m.Name, Need: need, MaxBody: body, Stream: m.Stream, Late: true,
		Handle: func(w http.ResponseWriter, r *http.Request) error { return m.serve(w, r, intake) },
		Fail: func(w http.ResponseWriter, r *http.Request, err error) {
			if failed != nil {
				failed(err)
			}
			fail(w, r, err, intake)
		},
	}
}

// serve runs one call.
func (m *Method) serve(w http.ResponseWriter, r *http.Request, intake bool) error {
	if err := check(r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	if t := r.Header.Get("Grpc-Timeout"); t != "" {
		after, err := timeout(t)
		if err != nil {
			return err
		}
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, after)
		defer stop()
	}
	s := &Stream{w: w, r: r.WithContext(ctx), max: m.MaxMessage, encoding: strings.ToLower(r.Header.Get("Grpc-Encoding")), stream: m.Stream}
	defer s.wake()()
	err := m.Handle(s)
	if err == nil {
		return s.finish()
	}
	if err == io.EOF { // a handler that did not expect the end
		err = errNoMessage
	}
	if cause := context.Cause(ctx); cause != nil && fault.Is(err, fault.Canceled) {
		err = cause // the server is stopping, or the deadline
	}
	if s.sent {
		trailers(w.Header(), http.TrailerPrefix, Status(err, intake))
	}
	return err
}

// check refuses what is not gRPC before the handler sees it.
func check(r *http.Request) error {
	if !Is(r) {
		return httpStatus(http.StatusUnsupportedMediaType, fault.Errorf(fault.Invalid, "content type %.60q is not application/grpc", r.Header.Get("Content-Type")))
	}
	if r.ProtoMajor < 2 {
		return httpStatus(http.StatusHTTPVersionNotSupported, fault.Errorf(fault.Invalid, "gRPC needs HTTP/2, not %s", r.Proto))
	}
	return nil
}

// Is reports whether r is a gRPC call, by its content type.
func Is(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/grpc" || kind == "application/grpc+proto"
}

// Unknown answers a call that has no route, in the protocol's own form: a method
// that we do not have is UNIMPLEMENTED. It returns false when r is no gRPC call.
func Unknown(w http.ResponseWriter, r *http.Request, err error) bool {
	if !Is(r) {
		return false
	}
	if fault.Is(err, fault.NotFound) {
		err = WithCode(Unimplemented, fault.Errorf(fault.NotFound, "unknown method %.200s", r.URL.Path))
	}
	fail(w, r, err, false)
	return true
}

// timeout reads a Grpc-Timeout: at most eight digits and a unit.
func timeout(s string) (time.Duration, error) {
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	n := len(s) - 1
	unit := units[s[n]]
	if unit == 0 || n < 1 || n > 8 {
		return 0, fault.Errorf(fault.Invalid, "grpc-timeout %.20q is not digits and a unit", s)
	}
	v, err := strconv.ParseUint(s[:n], 10, 64)
	if err != nil {
		return 0, fault.Errorf(fault.Invalid, "grpc-timeout %.20q is not digits and a unit", s)
	}
	if v > uint64(math.MaxInt64/unit) {
		return math.MaxInt64, nil
	}
	return time.Duration(v) * unit, nil
}

var errNoMessage = fault.Errorf(fault.Invalid, "the request holds no message")

// ended reports whether err is the regular end of what a caller sends.
func ended(err error) bool { return errors.Is(err, io.EOF) }
