package query

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func TestExplain(t *testing.T) {
	f := func(lang Language, text, kind string, want ...string) {
		t.Helper()
		x, err := Explain(lang, text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range x.Reads {
			got = append(got, r.Where, strings.Join(r.Stages, " ; "), r.How)
		}
		if x.Kind != kind || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %s\n%s\nwant %s\n%s", text, x.Kind, strings.Join(got, "\n"), kind, strings.Join(want, "\n"))
		}
	}
	f(LogQL, `{service="cart"}`, "log", `service = "cart"`, "", howRecords)
	f(Search, `service:cart`, "log", `service = "cart"`, "", howRecords)
	f(LogQL, `{service="cart"} | line_format "x"`, "log", `service = "cart"`, `| line_format "x"`, howFilter)
	f(LogQL, `sum(rate({service="cart"}[5m])) / sum(rate({}[5m]))`, "metric", `service = "cart"`, "", howCount, "true", "", howCount)
	f(LogQL, `max_over_time({service="cart"} | unwrap n [5m])`, "metric", `service = "cart"`, "", howMeasure)
	if _, err := Explain(LogQL, `{`); !fault.Is(err, fault.Invalid) {
		t.Errorf("no query: %v", err)
	}
}
