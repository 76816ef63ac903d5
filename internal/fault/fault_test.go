package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

const lastKind = fault.Canceled

// The table that the outside world depends on. A change here is a change of
// every door: write it into CHANGELOG.md.
func TestTable(t *testing.T) {
	for _, w := range []struct {
		kind  fault.Kind
		name  string
		http  int
		exit  int
		retry bool
	}{
		{fault.Internal, "internal", 500, 70, false},
		{fault.Invalid, "invalid", 400, 2, false},
		{fault.TooLarge, "too_large", 413, 2, false},
		{fault.Unauthenticated, "unauthenticated", 401, 4, false},
		{fault.Denied, "denied", 403, 4, false},
		{fault.NotFound, "not_found", 404, 1, false},
		{fault.Conflict, "conflict", 409, 2, false},
		{fault.Overload, "overload", 503, 75, true},
		{fault.Unavailable, "unavailable", 503, 75, true},
		{fault.Corrupt, "corrupt", 500, 3, false},
		{fault.Tampered, "tampered", 500, 1, false},
		{fault.Canceled, "canceled", 499, 130, false},
		{lastKind + 1, "internal", 500, 70, false}, // whatever a bug makes of it
	} {
		if s := w.kind.String(); s != w.name {
			t.Errorf("kind %d is called %q, want %q", w.kind, s, w.name)
		}
		if c := w.kind.HTTPStatus(); c != w.http {
			t.Errorf("%s: HTTP %d, want %d", w.name, c, w.http)
		}
		if c := w.kind.ExitCode(); c != w.exit {
			t.Errorf("%s: exit code %d, want %d", w.name, c, w.exit)
		}
		if r := w.kind.Retryable(); r != w.retry {
			t.Errorf("%s: retryable %v", w.name, r)
		}
	}
}

func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]fault.Kind{}
	for k := range lastKind + 1 {
		if other, ok := seen[k.String()]; ok {
			t.Errorf("kinds %d and %d are both called %s", k, other, k)
		}
		seen[k.String()] = k
	}
}

func TestKindOf(t *testing.T) {
	plain := errors.New("plain")
	check := func(what string, err error, want fault.Kind) {
		t.Helper()
		if got := fault.KindOf(err); got != want {
			t.Errorf("%s: kind %v, want %v", what, got, want)
		}
		if err != nil && !fault.Is(err, want) {
			t.Errorf("%s: Is says no", what)
		}
	}
	check("plain", plain, fault.Internal)
	check("given", fault.Errorf(fault.Invalid, "bad"), fault.Invalid)
	check("wrapped in text", fmt.Errorf("read: %w", fault.Wrap(fault.Corrupt, plain)), fault.Corrupt)
	check("the outer kind wins", fault.Errorf(fault.Tampered, "verify: %w", fault.Wrap(fault.Corrupt, plain)), fault.Tampered)
	check("under a hint", fault.WithHint(fault.Wrap(fault.Denied, plain), "ask"), fault.Denied)
	check("joined", errors.Join(plain, fault.Wrap(fault.Overload, plain)), fault.Overload)
	check("canceled", fmt.Errorf("query: %w", context.Canceled), fault.Canceled)
	check("deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), fault.Canceled)
	check("a kind beats the context", fault.Wrap(fault.Unavailable, context.Canceled), fault.Unavailable)
	if fault.Is(nil, fault.Internal) {
		t.Error("no error is internal")
	}
}

func TestWrappingKeepsTextAndCause(t *testing.T) {
	err := fault.Errorf(fault.Unavailable, "seal segment %d: %w", 7, io.ErrUnexpectedEOF)
	hinted := fault.WithHint(fmt.Errorf("append: %w", err), "free some space")
	if !errors.Is(hinted, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got, want := hinted.Error(), "append: seal segment 7: unexpected EOF"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if fault.Wrap(fault.Corrupt, io.EOF).Error() != "EOF" {
		t.Error("Wrap changes the text")
	}
}

func TestHints(t *testing.T) {
	inner := fault.WithHint(errors.New("x"), "inner")
	check := func(err error, want string) {
		t.Helper()
		if got := fault.HintOf(err); got != want {
			t.Errorf("hint %q, want %q", got, want)
		}
	}
	check(nil, "")
	check(errors.New("x"), "")
	check(inner, "inner")
	check(fmt.Errorf("more: %w", inner), "inner")
	check(fault.WithHint(inner, "outer"), "outer")
	check(fault.Errorf(fault.Invalid, "more: %w", inner), "inner")
}

func TestNilStaysNil(t *testing.T) {
	if fault.Wrap(fault.Corrupt, nil) != nil || fault.WithHint(nil, "h") != nil {
		t.Error("nil became an error")
	}
}
