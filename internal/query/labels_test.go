package query_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestLabelsAfterStages: the labels of a query are those of the records that its
// stages leave.
func TestLabelsAfterStages(t *testing.T) {
	s := fill(t, 20, func(b *record.Batch, i int) {
		b.Begin(at(time.Duration(i)*time.Second), "app")
		b.Str("service.name", fmt.Sprint("svc-", i%4))
		if i%4 == 0 {
			b.Str("k8s.namespace.name", "shop")
		}
		b.Str("body", fmt.Sprintf("n=%d", i%4))
	})
	e := engine(t, s)
	for _, c := range []struct {
		query string
		names []string
		svcs  int
	}{
		{`{service=~".+"} | logfmt | n = 1`, []string{"service"}, 1},
		{`{service=~".+"} | logfmt | n < 2`, []string{"namespace", "service"}, 2},
		{`{service=~".+"} | logfmt | n > 9`, nil, 0},
		{`{service=~".+"}`, []string{"namespace", "service"}, 4},
	} {
		span := query.Span{From: at(0), To: at(time.Hour), Queries: []string{c.query}}
		names, err := e.LabelNames(t.Context(), scopeOf(t), span)
		names = slices.DeleteFunc(names, func(n string) bool { return n != "service" && n != "namespace" })
		if err != nil || !slices.Equal(names, c.names) {
			t.Errorf("%s: labels %v, %v, want %v", c.query, names, err, c.names)
		}
		detected, err := e.DetectLabels(t.Context(), scopeOf(t), span)
		svcs := 0
		for _, d := range detected {
			if d.Label == "service" {
				svcs = d.Values
			}
		}
		if err != nil || svcs != c.svcs {
			t.Errorf("%s: %d services, %v, want %d", c.query, svcs, err, c.svcs)
		}
	}
}
