package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func keyed(i int, at int64) *record.Batch {
	return &record.Batch{Tenant: "t", Source: fmt.Sprint("loki/", i%5), Ingest: at, ID: record.BatchID{Origin: fmt.Sprintf("key:%064d", i)}}
}

// TestKeysOfTenMinutes: at a thousand requests a second a shipper that comes again
// after ten minutes is still known, and afterwards the memory is given back.
func TestKeysOfTenMinutes(t *testing.T) {
	const rate, seconds = 1000, 12 * 60
	w := newWindows(windowLimits{10, defaultKeys})
	before := heap()
	for i := range rate * seconds {
		at := noon + int64(i)*1e9/rate
		if !w.add(keyed(i, at)) {
			t.Fatalf("request %d is taken for a repetition", i)
		}
		if old := i - 600*rate + 1; old >= 0 && i%97 == 0 && !w.has(keyed(old, at)) {
			t.Fatalf("request %d is forgotten within ten minutes", old)
		}
	}
	n := len(w.keys.known)
	each := float64(heap()-before) / float64(n)
	t.Logf("%d keys take %.0f bytes each, %d in a checkpoint", n, each, len(w.encode(nil, 1))/n)
	if n < 600*rate || n > 661*rate {
		t.Errorf("%d keys are remembered", n)
	}
	if each > 64 {
		t.Errorf("a key takes %.0f bytes", each)
	}
	last := int64(noon) + seconds*1e9
	for i := range 100 { // an hour later, with little to do
		w.add(keyed(-i, last+3600e9+int64(i)*1e9))
	}
	if n := len(w.keys.known); n < defaultKeys.least || n > defaultKeys.least+100 {
		t.Errorf("%d keys are remembered after a rest", n)
	}
	if !w.has(keyed(rate*seconds-1, 0)) {
		t.Error("the newest is forgotten without need")
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 { // what tests before left in pools goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestKeysAreBounded: however many come at once, of whatever time.
func TestKeysAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	w := newWindows(windowLimits{10, keyLimits{least: 100, keep: time.Minute, most: 1000}})
	for i := range 20_000 {
		w.add(keyed(i, r.Int64()-r.Int64()))
		if n := len(w.keys.known); n > 1000 {
			t.Fatalf("%d keys", n)
		}
	}
	if !w.has(keyed(19_999, 0)) || w.has(keyed(1, 0)) {
		t.Error("not the newest are remembered")
	}
	if a := testing.AllocsPerRun(100, func() { w.has(probe) }); a > 0 {
		t.Errorf("%v allocations to look one up", a)
	}
}

var probe = keyed(5, 0)

// TestKeysAfterARestart: whatever a checkpoint interrupts, what comes after it is
// judged as if it had not been there. Else a replay would lose what was new.
func TestKeysAfterARestart(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	l := windowLimits{10, keyLimits{least: 50, keep: 5 * time.Minute, most: 400}}
	for range 50 {
		w, at := newWindows(l), int64(noon)
		var list []*record.Batch
		for range 2000 {
			at += r.Int64N(4e9) - 5e8
			list = append(list, keyed(r.IntN(700), at))
		}
		stop := r.IntN(len(list))
		for _, b := range list[:stop] {
			w.add(b)
		}
		again, _, err := decodeWindows(w.encode(nil, 9), l)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range list[stop:] {
			if a, b := w.add(b), again.add(b); a != b {
				t.Fatalf("%d batches after the checkpoint at %d: new is %v, and after a restart %v", i, stop, a, b)
			}
		}
		if len(w.keys.known) != len(again.keys.known) {
			t.Errorf("%d keys, %d after a restart", len(w.keys.known), len(again.keys.known))
		}
	}
}

// TestRepetitionsAfterARestart is the same through the store, with a request of
// several batches of which the last is not sealed.
func TestRepetitionsAfterARestart(t *testing.T) {
	f := memfs.New()
	createWorld(t, f)
	part := func(seq uint64) *record.Batch {
		b := numbered(seq, 10)
		b.ID = record.BatchID{Origin: "key:request", Seq: seq}
		return b
	}
	for round := range 3 {
		s, lg, err := tryOpen(t, f, manual())
		if err != nil {
			t.Fatal(err)
		}
		for _, seq := range []uint64{0, 10, 20} {
			mustAppend(t, s, part(seq))
			if seq == 10 {
				if err := s.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := len(scanAll(t, s, everything())); got != 30 {
			t.Errorf("%d records after sending %d times", got, round+1)
		}
		f = f.CrashClone(rand.New(rand.NewPCG(uint64(round), 1)))
		if err := errors.Join(s.Close(), lg.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
