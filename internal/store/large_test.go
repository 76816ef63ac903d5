package store

import (
	"context"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestVisitsAreBounded: a visit gets few of large records, however many small ones
// it gets, and no record is lost between two visits.
func TestVisitsAreBounded(t *testing.T) {
	s, _ := newWorld(t, manual())
	const n, large = 240, 256 << 10
	body := strings.Repeat("lorem ipsum ", large/12)
	for i := 0; i < n; i += 40 {
		b := &record.Batch{Tenant: "acme", ID: record.BatchID{Origin: "agent-1", Epoch: 1, Seq: uint64(i + 1)}, Source: "agent", Account: record.Account{Received: 40}}
		for k := i; k < i+40; k++ {
			b.Begin(int64(k), "app")
			b.Int("n", int64(k))
			if k >= n/2 {
				b.Str("body", body)
			}
			b.End()
		}
		mustAppend(t, s, b)
	}
	for _, sealed := range []bool{false, true} {
		if sealed {
			mustSeal(t, s)
		}
		for _, limit := range []int{0, n} {
			q := everything()
			q.Limit = limit
			next, visits := int64(0), 0
			_, err := s.Scan(context.Background(), q, func(rs []record.Record) error {
				visits++
				held := 0
				for i := range rs {
					if rs[i].Time != next {
						t.Fatalf("record %d comes where %d is due", rs[i].Time, next)
					}
					next++
					for _, f := range rs[i].Fields {
						held += len(f.Value.Str)
					}
				}
				if held > emitBytes+large {
					t.Errorf("a visit got %d MiB", held>>20)
				}
				return nil
			})
			if err != nil || next != n || visits > 20 {
				t.Errorf("sealed %v, limit %d: %d records in %d visits, %v", sealed, limit, next, visits, err)
			}
		}
	}
}
