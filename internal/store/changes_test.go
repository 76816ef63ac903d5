package store

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestLastChange: what arrives changes its own time, tenant and class; to seal and
// to compact changes nothing; destruction does.
func TestLastChange(t *testing.T) {
	s, _ := newWorld(t, manual())
	put := func(class record.Class, at int64) {
		t.Helper()
		b := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
		b.Begin(at, class)
		b.End()
		if err := s.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	const hour = 3600 * int64(1e9)
	early := Extent{Tenant: "acme", From: noon, To: noon + hour}
	late, other, calm := early, early, early
	late.From, late.To = noon+2*hour, noon+3*hour
	other.Tenant, calm.Without = "zenith", "audit"
	app := early
	app.Classes = []record.Class{"app"}
	expect := func(what string, want ...uint64) {
		t.Helper()
		for i, of := range []Extent{early, late, other, calm, app} {
			if last, now := s.LastChange(of); last != want[i] || now != want[5] {
				t.Errorf("%s: %+v changed last in %d, now is %d; want %v", what, of, last, now, want)
			}
		}
	}
	expect("at first", 0, 0, 0, 0, 0, 0)
	put("app", noon)
	expect("a record", 1, 0, 0, 1, 1, 1)
	put("app", noon+2*hour)
	put("audit", noon+1)
	expect("an audit record", 3, 2, 0, 1, 1, 3)
	put("ops", -1) // a fault of the clock: kept under its arrival
	expect("a record without a time", 4, 2, 0, 4, 1, 4)
	for range 3 {
		if err := s.Seal(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	expect("sealed", 4, 2, 0, 4, 1, 4)
	for _, h := range s.segments {
		if h.leaf.Class == "app" {
			s.damage(h.leaf.Path, "", 0, context.Canceled)
		}
	}
	expect("damaged", 5, 5, 0, 5, 5, 5)
	s.damage("some other file", "", 0, context.Canceled)
	expect("something damaged", 6, 6, 6, 6, 6, 6)
}

// TestChangesForget: what is forgotten may have changed, whatever was.
func TestChangesForget(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(1, 2))
	var c changes
	truth := map[int64]uint64{}
	for i := range 30_000 {
		at := noon + rnd.Int64N(10_000)<<slotBits
		if i%2 == 0 {
			at = noon + int64(i/2)<<slotBits
		}
		b := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
		b.Begin(at, "app")
		b.End()
		c.came(b)
		truth[at] = c.now
		if at := noon + rnd.Int64N(20_000)<<slotBits; c.last(&Extent{Tenant: "acme", From: at, To: at + 1}) < truth[at] {
			t.Fatalf("record %d: a change of %d is forgotten", i, at)
		}
	}
	p := c.parts["acme"]["app"]
	if n := len(p.slots); n > mostSlots || n < mostSlots/2 || len(p.last) != n {
		t.Errorf("%d slots", n)
	}
	if at := int64(noon + 14_999<<slotBits); c.last(&Extent{Tenant: "acme", From: at, To: at + 1}) != truth[at] {
		t.Error("the newest is forgotten")
	}
	for i := range 200 {
		c.ofSegment(&ledger.Segment{Tenant: "acme", Class: fmt.Sprint("class", i)})
	}
	if len(c.spans) > mostSpans || c.floor == 0 {
		t.Errorf("%d spans, floor %d", len(c.spans), c.floor)
	}
}

// BenchmarkLastChange asks for a day of a tenant whose every slot is known.
func BenchmarkLastChange(b *testing.B) {
	s := &Store{segments: make([]*handle, 10_000)}
	for i := range int64(mostSlots) {
		for _, class := range []record.Class{"app", "ops", "audit"} {
			x := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
			x.Begin(noon+i<<slotBits, class)
			x.End()
			s.changes.came(x)
		}
	}
	for b.Loop() {
		s.LastChange(Extent{Tenant: "acme", From: noon, To: noon + 86_400*1e9})
	}
}

// BenchmarkCame notes a batch of 1,000 records.
func BenchmarkCame(b *testing.B) {
	x := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
	for i := range int64(1000) {
		x.Begin(noon+i*1e7, "app")
		x.End()
	}
	var c changes
	for b.Loop() {
		c.came(x)
	}
}
