package memtable

import (
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestRecordsOfManyDays: a sender may give every record a day of its own. Inserting
// holds up everyone, so it must not take time that grows with the square of them.
func TestRecordsOfManyDays(t *testing.T) {
	insert := func(n int) time.Duration {
		b := &record.Batch{Tenant: "t", Source: "s", Ingest: 1}
		for i := range n {
			b.Begin(int64(i)*day, "app")
			b.Str(record.Body, "x")
			b.End()
		}
		table := New()
		began := time.Now()
		table.Insert(b)
		took := time.Since(began)
		if got := len(table.Views(func(Part) bool { return true })); got != n {
			t.Fatalf("%d parts of %d days", got, n)
		}
		return took
	}
	few, many := time.Hour, time.Hour
	for range 3 {
		few, many = min(few, insert(2_000)), min(many, insert(60_000))
	}
	t.Logf("2,000 days take %v, 60,000 take %v", few, many)
	if many > 130*few {
		t.Errorf("2,000 days take %v, and 60,000 take %v", few, many)
	}
}
