package store

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
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

// TestGroupsAreBounded: few groups of large texts take as much memory as many of
// small ones.
func TestGroupsAreBounded(t *testing.T) {
	l := manual()
	l.AnswerBytes = 2 << 20
	s, _ := newWorld(t, l)
	for i := range 20 {
		b := &record.Batch{Tenant: "acme", ID: record.BatchID{Origin: "agent-1", Epoch: 1, Seq: uint64(i + 1)}, Source: "agent", Account: record.Account{Received: 1}}
		b.Begin(int64(i), "app")
		b.Str("small", string(rune('a'+i)))
		b.Str("large", string(rune('a'+i))+strings.Repeat("lorem ipsum ", 20<<10))
		b.End()
		mustAppend(t, s, b)
	}
	for _, sealed := range []bool{false, true} {
		if sealed {
			mustSeal(t, s)
		}
		for _, name := range []string{"small", "large"} {
			_, _, errCount := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, By: []string{name, "n"}})
			_, _, errValues := s.Values(context.Background(), ValuesRequest{Tenant: "acme", To: 1 << 62, Field: name})
			_, _, errMeasure := s.Measure(context.Background(), MeasureRequest{
				Tenant: "acme", To: 1 << 62, By: []GroupKey{{Name: name}}, Of: []MeasureField{{Name: "n", Want: WantSums}},
			})
			for what, err := range map[string]error{"count": errCount, "values": errValues, "measure": errMeasure} {
				if name == "small" && err != nil {
					t.Errorf("%s by small texts, sealed %v: %v", what, sealed, err)
				}
				if name == "large" && (!fault.Is(err, fault.Overload) || fault.HintOf(err) == "") {
					t.Errorf("%s by large texts, sealed %v: %v", what, sealed, err)
				}
			}
		}
	}
}

// TestCancelBetweenLeaves: a filter of thousands of texts notices within a block
// that no one waits any more.
func TestCancelBetweenLeaves(t *testing.T) {
	s, _ := newWorld(t, manual())
	mustAppend(t, s, numbered(1, 500))
	mustSeal(t, s)
	var any match.Or
	for i := range 2000 {
		any = append(any, match.Contains{Field: "key", Value: fmt.Sprint("absent", i)})
	}
	ctx := &fading{Context: context.Background(), looks: 50}
	_, _, err := s.Count(ctx, CountRequest{Tenant: "acme", To: 1 << 62, Where: any})
	if !fault.Is(err, fault.Canceled) {
		t.Errorf("canceled while the leaves were looked at: %v", err)
	}
}

// fading is a context that is canceled when it was asked so often.
type fading struct {
	context.Context
	looks int64
}

func (f *fading) Err() error {
	if atomic.AddInt64(&f.looks, -1) < 0 {
		return context.Canceled
	}
	return nil
}
