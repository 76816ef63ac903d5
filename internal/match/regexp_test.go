package match_test

import (
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// TestCompileRegexpBounds: the size is known before the time is spent. The
// longest of these took half a second to be compiled and then refused.
func TestCompileRegexpBounds(t *testing.T) {
	f := func(expr string, ok bool) {
		t.Helper()
		start := time.Now()
		_, err := match.CompileRegexp(expr)
		if (err == nil) != ok {
			t.Errorf("%.40s: %v", expr, err)
		}
		if !ok && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%.40s: kind %v", expr, fault.KindOf(err))
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%.40s: %v", expr, d)
		}
	}
	f(strings.Repeat("a{100}", 10_000), false)
	f(strings.Repeat("[a-z]{1000}", 11), false)
	f("(ab){999}", true)
	f("(a{30}b){30}", true)
	f("(a{0,30}){30}", true)
	f("((abcdefghij){10}){100}", false)
	f(strings.Repeat("ab", 4_000), true)
	f(strings.Repeat("ab", 6_000), false)
	f("a{2,}", true)
}
