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
