package receive

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

type statusError struct {
	code int
	err  error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// WithStatus makes Status answer code for err, where the protocol has a code of
// its own for it.
func WithStatus(code int, err error) error { return &statusError{code, err} }

// Status returns the HTTP status that a receiver answers for err. Only what the
// sender can never send again with success is a 4xx: most shippers delete their
// copy on one. Everything else, our own bugs included, is a 503, which every
// client in use retries (a 500 is not retried by OTLP exporters, a 429 not by
// Fluentd).
func Status(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.code
	}
	if Passing(err) {
		return http.StatusServiceUnavailable
	}
	return fault.KindOf(err).HTTPStatus()
}

// Passing reports whether the same request may succeed later: everything but
// what the sender did wrong.
func Passing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict:
		return false
	}
	return true
}

// What a caller without a credential is asked for (RFC 9110 section 11.6.1).
const (
	AskBasic  = `Basic realm="meshtrail", charset="UTF-8"`
	AskBearer = "Bearer"
)

// Failed counts a request over HTTP that failed as a whole, and sets the headers
// that its answer has beside those of its body: when to come again and, unless ask
// is "", what credential is wanted. It returns the answer's status.
func (in *Inlet) Failed(w http.ResponseWriter, err error, ask string) (code int) {
	in.Meter.Failed(err)
	code = Status(err)
	SetRetry(w, code, err)
	if code == http.StatusUnauthorized && ask != "" {
		w.Header().Set("WWW-Authenticate", ask)
	}
	return code
}

// Answer writes a whole answer.
func Answer(w http.ResponseWriter, code int, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, err := w.Write(body)
	return err
}

// SetRetry sets Retry-After (RFC 9110 section 10.2.3, seconds) when code asks
// the client to come again.
func SetRetry(w http.ResponseWriter, code int, err error) {
	if code != http.StatusServiceUnavailable && code != http.StatusTooManyRequests {
		return
	}
	after := "5"
	if fault.Is(err, fault.Overload) {
		after = "1"
	}
	var said *later
	if errors.As(err, &said) {
		after = strconv.Itoa(int(said.after / time.Second))
	}
	w.Header().Set("Retry-After", after)
}

// Reason returns the text of err that a sender may see: what it did wrong, or,
// when the fault is ours, no more than its kind.
func Reason(err error) string {
	switch k := fault.KindOf(err); k {
	case fault.Internal, fault.Corrupt, fault.Tampered:
		return "the request could not be kept (" + k.String() + "); send it again later"
	case fault.Canceled:
		return "the request ended before it was durable; send it again"
	}
	return err.Error()
}
