// Package fault names the kinds of failure that Meshtrail knows, and carries
// them through wrapped errors.
//
// A Kind says what the caller may do about a failure; the text says what
// happened. One table (Kind.HTTPStatus, Kind.ExitCode, Kind.String) maps a kind
// to each outside world. Errors are wrapped with fmt.Errorf("verb what: %w"),
// and the innermost Kind wins unless an outer one replaces it on purpose.
//
// The package knows nothing of logs, files or protocols.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Kind is the closed set of failures. The zero Kind is Internal: an error that
// nobody classified is our own bug until shown otherwise.
type Kind uint8

// The kinds of failure.
const (
	Internal        Kind = iota // our invariant broke
	Invalid                     // the caller sent something that will never work
	TooLarge                    // the caller exceeded a size or nesting limit
	Unauthenticated             // no credential, or an unknown one
	Denied                      // a known caller without the permission
	NotFound                    // the thing named does not exist
	Conflict                    // the thing exists already, or changed underneath
	Overload                    // try again later: a budget or queue is full
	Unavailable                 // try again later: disk full, starting, stopping
	Corrupt                     // bytes that cannot be decoded, cause unknown
	Tampered                    // bytes that fail an integrity check
	Canceled                    // the caller went away or its deadline passed
)

var kinds = [...]struct {
	name string
	http int
	exit int
}{
	Internal:        {"internal", http.StatusInternalServerError, 70},
	Invalid:         {"invalid", http.StatusBadRequest, 2},
	TooLarge:        {"too_large", http.StatusRequestEntityTooLarge, 2},
	Unauthenticated: {"unauthenticated", http.StatusUnauthorized, 4},
	Denied:          {"denied", http.StatusForbidden, 4},
	NotFound:        {"not_found", http.StatusNotFound, 1},
	Conflict:        {"conflict", http.StatusConflict, 2},
	Overload:        {"overload", http.StatusServiceUnavailable, 75},
	Unavailable:     {"unavailable", http.StatusServiceUnavailable, 75},
	Corrupt:         {"corrupt", http.StatusInternalServerError, 3},
	Tampered:        {"tampered", http.StatusInternalServerError, 1},
	Canceled:        {"canceled", 499, 130},
}

// String returns the kind's name, bounded and safe as a metric label.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return "internal"
}

// HTTPStatus returns the status code an HTTP door answers with. Doors whose
// clients lose data on that code map it themselves (see receive).
func (k Kind) HTTPStatus() int {
	if int(k) < len(kinds) {
		return kinds[k].http
	}
	return http.StatusInternalServerError
}

// ExitCode returns the process exit code of a command that failed with k.
func (k Kind) ExitCode() int {
	if int(k) < len(kinds) {
		return kinds[k].exit
	}
	return 70
}

// Retryable reports whether the same request may succeed later.
func (k Kind) Retryable() bool { return k == Overload || k == Unavailable }

type kindError struct {
	kind Kind
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }
func (e *kindError) Unwrap() error { return e.err }

type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Errorf formats as fmt.Errorf does (%w included) and gives the result a kind,
// which replaces the kind of any error it wraps.
func Errorf(k Kind, format string, args ...any) error {
	return &kindError{kind: k, err: fmt.Errorf(format, args...)}
}

// Wrap gives err a kind. Wrap(k, nil) is nil.
func Wrap(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kindError{kind: k, err: err}
}

// WithHint attaches advice for the person who reads the error. The hint is not
// part of Error(); doors print it apart. WithHint(nil, h) is nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hintError{err: err, hint: hint}
}

// KindOf returns the outermost kind in err's chain. An error without one is
// Canceled when it wraps a context error, else Internal.
func KindOf(err error) Kind {
	var k *kindError
	if errors.As(err, &k) {
		return k.kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Canceled
	}
	return Internal
}

// Is reports whether err is non-nil and of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// HintOf returns the outermost hint in err's chain, or "".
func HintOf(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}
