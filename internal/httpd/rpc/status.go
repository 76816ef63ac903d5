package rpc

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

// Codes that callers of this package name.
const (
	Unimplemented = codes.Unimplemented
	OutOfRange    = codes.OutOfRange
)

type codeError struct {
	code codes.Code
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// WithCode makes the status of err carry code, where the protocol has a code of
// its own for it.
func WithCode(code codes.Code, err error) error { return &codeError{code, err} }

type httpError struct {
	code int
	err  error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

func httpStatus(code int, err error) error { return &httpError{code, err} }

// retryAfter is when a caller is asked to come again: err may say it.
func retryAfter(err error, kind fault.Kind) time.Duration {
	var said interface{ RetryAfter() time.Duration }
	if errors.As(err, &said) {
		return said.RetryAfter()
	}
	if kind == fault.Overload {
		return time.Second
	}
	return 5 * time.Second
}

// Status returns the status that a caller sees for err; intake as in Service.
func Status(err error, intake bool) *status.Status {
	kind := fault.KindOf(err)
	code, message := codeOf(err, kind), httpd.Message(err)
	if intake && code != codes.Canceled && code != codes.DeadlineExceeded && ours(kind) && !named(err) {
		code = codes.Unavailable
		if kind == fault.Corrupt || kind == fault.Tampered {
			message = "the request could not be kept (" + kind.String() + "); send it again later"
		}
	}
	if hint := fault.HintOf(err); hint != "" {
		message += " (" + hint + ")"
	}
	st := status.New(code, strings.ToValidUTF8(message, "\ufffd"))
	if code == codes.Unavailable {
		if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter(err, kind))}); err == nil {
			st = with
		}
	}
	return st
}

// ours reports whether a failure of this kind is not the caller's.
func ours(k fault.Kind) bool {
	switch k {
	case fault.Invalid, fault.TooLarge, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict:
		return false
	}
	return true
}

func named(err error) bool {
	var c *codeError
	return errors.As(err, &c)
}

func codeOf(err error, kind fault.Kind) codes.Code {
	var c *codeError
	if errors.As(err, &c) {
		return c.code
	}
	// Generated services may answer with a status of the library.
	if st, ok := status.FromError(err); ok && kind == fault.Internal {
		return st.Code()
	}
	switch kind {
	case fault.Invalid:
		return codes.InvalidArgument
	case fault.TooLarge:
		return codes.ResourceExhausted // without a RetryInfo: for good
	case fault.Unauthenticated:
		return codes.Unauthenticated
	case fault.Denied:
		return codes.PermissionDenied
	case fault.NotFound:
		return codes.NotFound
	case fault.Conflict:
		return codes.FailedPrecondition
	case fault.Overload, fault.Unavailable:
		return codes.Unavailable
	case fault.Corrupt, fault.Tampered:
		return codes.DataLoss
	case fault.Canceled:
		if errors.Is(err, context.DeadlineExceeded) {
			return codes.DeadlineExceeded
		}
		return codes.Canceled
	}
	return codes.Internal
}

// fail answers err: in the headers when nothing was sent, which is all there is
// then; else the trailers are set already.
func fail(w http.ResponseWriter, _ *http.Request, err error, intake bool) {
	h := w.Header()
	if h.Get(http.TrailerPrefix+"Grpc-Status") != "" {
		return
	}
	var as *httpError
	if errors.As(err, &as) {
		http.Error(w, err.Error(), as.code)
		return
	}
	h.Del("Www-Authenticate")
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Accept-Encoding", acceptEncoding)
	trailers(h, "", Status(err, intake))
	w.WriteHeader(http.StatusOK)
}

// trailers sets the status. prefix is http.TrailerPrefix or "".
func trailers(h http.Header, prefix string, st *status.Status) {
	h.Set(prefix+"Grpc-Status", strconv.Itoa(int(st.Code())))
	if st.Message() != "" {
		h.Set(prefix+"Grpc-Message", percent(st.Message()))
	}
	if p := st.Proto(); len(p.GetDetails()) > 0 {
		if b, err := proto.Marshal(p); err == nil {
			h.Set(prefix+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(b))
		}
	}
}

// maxMessageText bounds a grpc-message: clients bound their headers.
const maxMessageText = 1 << 10

// percent encodes a grpc-message: printable ASCII but "%" stays.
func percent(s string) string {
	if len(s) > maxMessageText {
		s = strings.ToValidUTF8(s[:maxMessageText], "")
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}
