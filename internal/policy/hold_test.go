package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestHolds(t *testing.T) {
	ok := Hold{ID: "case-7", Tenant: "acme", Class: "app", From: "2026-01-01", To: "2026-01-01", Reason: "litigation 7"}
	if err := ValidateHolds([]Hold{ok, {ID: "all", Reason: "x"}}); err != nil {
		t.Error(err)
	}
	f := func(want string, change func(h *Hold)) {
		t.Helper()
		h := ok
		change(&h)
		err := ValidateHolds([]Hold{{ID: "first", Reason: "x"}, h})
		if err == nil || !strings.Contains(err.Error(), "[1]."+want) || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", want, err)
		}
	}
	f("id: no valid", func(h *Hold) { h.ID = "" })
	f("id: no valid", func(h *Hold) { h.ID = "Case 7" })
	f("id: holds[0]", func(h *Hold) { h.ID = "first" })
	f("tenant:", func(h *Hold) { h.Tenant = "a/b" })
	f("class:", func(h *Hold) { h.Class = "*" })
	f("from:", func(h *Hold) { h.From = "01.01.2026" })
	f("to:", func(h *Hold) { h.To = "2026-02-30" })
	f("to: the hold ends", func(h *Hold) { h.From = "2026-01-02" })
	f("reason:", func(h *Hold) { h.Reason = "" })
	f("reason:", func(h *Hold) { h.Reason = strings.Repeat("x", maxReason+1) })
}

// TestEndOfDay destroys no record before its own end: the last one of the day
// decides, in calendar units, and what has no promised end has none.
func TestEndOfDay(t *testing.T) {
	p, err := New(Config{Classes: map[string]string{"short": "1d", "month": "1mo"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ class, day, end, rule string }{
		{"short", "2026-03-10", "2026-03-11T23:59:59.999999999Z", "short 1d"},
		{"app", "2026-01-01", "2026-04-01T23:59:59.999999999Z", "app 90d"},
		{"month", "2026-01-31", "2026-03-03T23:59:59.999999999Z", "month 1mo"},
		{"security", "2026-01-15", "2027-02-15T23:59:59.999999999Z", "security 13mo"},
	} {
		end, rule, ok := p.EndOfDay(record.Class(c.class), c.day, time.Time{})
		if !ok || end.Format(time.RFC3339Nano) != c.end || rule != c.rule {
			t.Errorf("%s of %s: %s %q %v", c.class, c.day, end.Format(time.RFC3339Nano), rule, ok)
		}
		// No record of the day may be kept longer than to here.
		day, _ := time.Parse(time.DateOnly, c.day)
		for h := range 24 {
			if at := p.Retention(record.Class(c.class)).End(day.Add(time.Duration(h) * time.Hour)); at.After(end) {
				t.Errorf("%s: the record of hour %d is promised until %s", c.class, h, at)
			}
		}
	}
	for _, c := range [][2]string{{"unknown", "2026-01-01"}, {"app", "yesterday"}} {
		if end, _, ok := p.EndOfDay(record.Class(c[0]), c[1], time.Time{}); ok {
			t.Errorf("%s of %s ends at %s", c[0], c[1], end)
		}
	}
}

// TestRetentionFrom keeps what arrives late for as long as its class promises,
// unless the policy counts from the event.
func TestRetentionFrom(t *testing.T) {
	arrived := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ from, class, day, end, rule string }{
		{"", "app", "2020-01-01", "2026-05-02T12:00:00Z", "app 90d"},
		{"arrival", "app", "2026-02-01", "2026-05-02T23:59:59.999999999Z", "app 90d"},
		{"arrival", "month", "2026-01-31", "2026-03-03T23:59:59.999999999Z", "month 1mo"}, // a month after the arrival is March 1
		{"event", "app", "2020-01-01", "2020-03-31T23:59:59.999999999Z", "app 90d from event"},
	} {
		p, err := New(Config{RetentionFrom: c.from, Classes: map[string]string{"month": "1mo"}})
		if err != nil {
			t.Fatal(err)
		}
		end, rule, ok := p.EndOfDay(record.Class(c.class), c.day, arrived)
		if !ok || end.Format(time.RFC3339Nano) != c.end || rule != c.rule {
			t.Errorf("from %q, %s of %s: %s %q %v", c.from, c.class, c.day, end.Format(time.RFC3339Nano), rule, ok)
		}
	}
	if err := (Config{RetentionFrom: "ingest"}).Validate(); err == nil || !strings.Contains(err.Error(), "retention_from") {
		t.Errorf("a word that is not known: %v", err)
	}
}
