package app

import (
	"encoding/json"
	"testing"

	"github.com/meshtrail/meshtrail/internal/comply"
)

// TestAReportDoesNotCountItself asks a server that nobody asked before: the
// report's own request belongs to no period that is over.
func TestAReportDoesNotCountItself(t *testing.T) {
	s := opened(t)
	w := s.asked(t.Context(), "GET", "/api/v1/reports/soc2?from=-1h&to=now", s.token, "")
	var r comply.Report
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if r.Access.State != comply.NotOccurring || len(r.Completeness.Sources) != 0 {
		t.Errorf("access %s: %s; sources %v", r.Access.State, r.Access.Reason, r.Completeness.Sources)
	}
}
