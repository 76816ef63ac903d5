package query

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func TestPredicate(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		p, err := Selectors{}.Predicate(text)
		if want == "" {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, %v", text, p, err)
			}
			return
		}
		if err != nil || p.String() != want {
			t.Errorf("%s is %v, %v; want %s", text, p, err, want)
		}
	}
	f(`{namespace="shop"} |= "probe" | status >= 500`, `(namespace = "shop" and contains(__line__, "probe") and status >= 500)`)
	f(`namespace:shop AND status:[500 TO *]`, `(namespace = "shop" and status >= 500)`)
	f(`{namespace="shop"} | json`, "")
	f(`{class="audit"}`, "")
	f(`class:audit`, "")
	f(`rate({a="b"}[1m])`, "")
	f(`{a=`, "")
}
