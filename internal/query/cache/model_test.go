package cache_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/query/cache"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// long is how often a random test runs: more in make check.
func long(short, full int) int {
	if os.Getenv("MESHTRAIL_LONG") != "" {
		return full
	}
	return short
}

// lying is a store that says itself what changed.
type lying struct {
	store.Reader
	now func() uint64
}

func (l lying) LastChange(store.Extent) (last, now uint64) { return l.now(), l.now() }

// model changes a world at random, and after each change holds what a cache on it
// answers against what the store does. Damage is done every so many steps. It returns the first difference, and how
// many parts were kept.
func model(t *testing.T, seed uint64, steps, hurt int, most int64, reader func(w *world) store.Reader) (hits int, err error) {
	w := newWorld(t, seed)
	c := cache.New(reader(w), most, telemetry.New())
	panels := w.panels(12)
	for i := range steps {
		if i%300 == 299 {
			panels = w.panels(12)
		}
		w.change()
		if i%hurt == hurt-1 {
			w.damage()
		}
		for range 2 {
			n, err := panels[w.rnd.IntN(len(panels))].ask(w, c)
			if err != nil {
				return hits, fmt.Errorf("step %d: %w", i, err)
			}
			hits += n
		}
	}
	if w.appends == 0 || w.destructions == 0 || w.damages == 0 {
		return hits, errors.New("not everything has happened")
	}
	return hits, nil
}

func real(w *world) store.Reader { return w.s }

// TestModel holds the cache against the store over random changes of every kind.
func TestModel(t *testing.T) {
	for seed := range uint64(long(2, 12)) {
		for _, most := range []int64{32 << 20, 60_000} { // the second has no room for all
			hits, err := model(t, seed, long(900, 4000), 300, most, real)
			if err != nil {
				t.Fatalf("seed %d, %d bytes: %v", seed, most, err)
			}
			if hits < 3000 {
				t.Errorf("seed %d, %d bytes: only %d parts were kept: this proves little", seed, most, hits)
			}
			t.Logf("seed %d, %d bytes: %d parts were kept", seed, most, hits)
		}
	}
}

// TestModelBites: a store that keeps one kind of change to itself is found out, and
// one that says of every change that it may have changed everything is not.
func TestModelBites(t *testing.T) {
	for name, of := range map[string]func(w *world) uint64{
		"records":     func(w *world) uint64 { return w.destructions + w.damages },
		"destruction": func(w *world) uint64 { return w.appends + w.damages },
		"damage":      func(w *world) uint64 { return w.appends + w.destructions },
	} {
		found := false
		for seed := uint64(0); seed < 8 && !found; seed++ {
			_, err := model(t, seed, 1000, 20, 32<<20, func(w *world) store.Reader { return lying{w.s, func() uint64 { return of(w) }} })
			found = err != nil
		}
		if !found {
			t.Errorf("nobody sees that %s is kept secret", name)
		}
	}
	if _, err := model(t, 1, 1000, 300, 32<<20, func(w *world) store.Reader {
		return lying{w.s, func() uint64 { return w.appends + w.destructions + w.damages }}
	}); err != nil {
		t.Errorf("one that tells all: %v", err)
	}
}
