package comply

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/ledger"
)

// lived is a report over a ledger in which segments were compacted, destroyed and
// held in the period.
func lived(t *testing.T, more ...any) *Report {
	t.Helper()
	in := inputs(t)
	l := in.Ledger.(*ledger.Ledger)
	at := from.Add(time.Hour).UnixNano()
	seg := func(id, day string, records uint64) ledger.Segment {
		return ledger.Segment{ID: id, Path: "segments/default/app/" + day + "/" + id + ".seg", Tenant: "default", Class: "app", Day: day, Size: 10, Records: records,
			KeyID: "k-" + day, KeyCommitment: strings.Repeat("cd", 32), SealedAt: at}
	}
	leaves := []any{
		seg("a", "2025-12-01", 5), seg("b", "2025-12-01", 7), seg("x", "2025-11-01", 9),
		ledger.Compact{At: at, Reason: "merge", Tenant: "default", Class: "app", Day: "2025-12-01", Output: "ab", Inputs: []string{"a", "b"}, Records: 12}, seg("ab", "2025-12-01", 12),
		ledger.Hold{At: at, Action: "placed", ID: "case-7", Class: "app", Reason: "litigation"},
		ledger.Destruction{At: at, Tenant: "default", Class: "app", Day: "2025-11-01", Reason: "retention", Policy: "app 90d", By: "retention", Segments: []string{"x"}, Records: 9, KeyIDs: []string{"k-2025-11-01"}, Part: 1, Parts: 1},
		ledger.Key{At: at, Action: "destroyed", ID: "k-2025-11-01", Tenant: "default", Class: "app", Day: "2025-11-01"},
	}
	if _, err := l.Append(context.Background(), append(leaves, more...)...); err != nil {
		t.Fatal(err)
	}
	return build(t, in)
}

// TestLife counts each record once, however often its segment was compacted, and
// shows what was destroyed and held.
func TestLife(t *testing.T) {
	r := lived(t)
	var rows []string
	for _, row := range r.Inventory.Rows {
		rows = append(rows, strings.Join(row, " "))
	}
	if got := strings.Join(rows, ", "); got != "default app 2025-12-01 1 12 10 1, default app 2026-03-01 1 100 1000 1" {
		t.Errorf("inventory: %s", got)
	}
	changes := ""
	for _, row := range r.Changes.Rows {
		changes += strings.Join(row[2:], " ") + "\n"
	}
	for _, want := range []string{"destruction default, class app, day 2025-11-01: 1 segments with 9 records, app 90d, by retention", "hold placed case-7: tenant all, class app", "key destroyed k-2025-11-01"} {
		if !strings.Contains(changes, want) {
			t.Errorf("no %q in\n%s", want, changes)
		}
	}
	if got := state(t, r, "RET-3"); got != NoData {
		t.Errorf("RET-3 with certificates and without approvals: %s", got)
	}
	r = lived(t, ledger.Key{At: from.Add(time.Hour).UnixNano(), Action: "destroyed", ID: "k1", Tenant: "default"})
	if got := state(t, r, "RET-3"); got != Fail {
		t.Errorf("RET-3 with a key destroyed without a certificate: %s", got)
	}
}
