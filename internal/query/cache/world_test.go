package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	start  = 1_763_640_000_000_000_000
	minute = int64(time.Minute)
	day    = 24 * int64(time.Hour)
)

// world is a real store whose clock the test moves.
type world struct {
	t      testing.TB
	rnd    *mrand.Rand
	fs     *memfs.FS
	s      *store.Store
	clock  int64
	doomed map[string]bool // days to be destroyed
	hurt   map[string]bool // segments that were damaged

	// Changes that were made, for readers that lie about some.
	appends, destructions, damages uint64
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{t: t, rnd: mrand.New(mrand.NewPCG(seed, 5)), fs: memfs.New(), clock: start, doomed: map[string]bool{}, hurt: map[string]bool{}}
	w.must(keyring.Create(vfs.Sub(w.fs, "keys")))
	keys, err := keyring.Open(vfs.Sub(w.fs, "keys"))
	w.must(err)
	signer, _ := keys.Signer()
	verifier, _ := keys.Verifier()
	w.must(errors.Join(w.fs.SyncDir("."), ledger.Create(vfs.Sub(w.fs, "ledger"), signer, signer.Name(), time.Unix(1e9, 0), "test"), w.fs.SyncDir("."), store.Create(w.fs, keys)))
	l, err := ledger.Open(ledger.Options{FS: vfs.Sub(w.fs, "ledger"), Signer: signer, Verifier: verifier})
	w.must(err)
	w.s, err = store.Open(context.Background(), store.Options{
		FS: w.fs, Keyring: keys, Ledger: l, Now: func() time.Time { return time.Unix(0, w.clock) },
		Limits: store.Limits{SealAge: -1, BlockRows: 60, JournalFile: 1 << 20, CacheBytes: -1, CompactFiles: 3, CompactAfter: -1},
		Retention: func(_, class, day string, _ time.Time) (time.Time, string, bool) {
			return time.Unix(0, 0), "test", w.doomed[class+day]
		},
	})
	w.must(err)
	t.Cleanup(func() { w.must(errors.Join(w.s.Close(), l.Close())) })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) pick(list ...string) string { return list[w.rnd.IntN(len(list))] }

// write appends records of about now, some of long ago.
func (w *world) write() {
	b := &record.Batch{Tenant: record.TenantID(w.pick("acme", "acme", "acme", "zenith")), Source: "test", Ingest: w.clock}
	for range 1 + w.rnd.IntN(20) {
		at := w.clock - w.rnd.Int64N(3*minute)
		switch w.rnd.IntN(40) {
		case 0:
			at = w.clock - w.rnd.Int64N(day)
		case 1:
			at = -1 // a fault of the sender's clock: kept under the time of arrival
		}
		b.Begin(at, record.Class(w.pick("app", "app", "ops", "audit")))
		b.Str("service.name", w.pick("cart", "pay", "users"))
		b.Int("n", w.rnd.Int64N(1000))
		if w.rnd.IntN(2) == 0 {
			b.Str("body", w.pick("timeout", "retry", "up"))
		}
		b.End()
	}
	w.must(w.s.Append(context.Background(), b))
	w.appends++
}

// change does something at random that may change an answer, or nothing.
func (w *world) change() {
	ctx := context.Background()
	switch n := w.rnd.IntN(100); {
	case n < 55:
		w.write()
	case n < 70:
		w.must(w.s.Seal(ctx))
	case n < 75:
		_, err := w.s.Compact(ctx)
		if len(w.hurt) == 0 { // one that reads damage fails
			w.must(err)
		}
	case n < 78:
		at := time.Unix(0, w.clock-w.rnd.Int64N(2)*day)
		w.doomed = map[string]bool{w.pick("app", "ops", "audit") + at.UTC().Format(time.DateOnly): true}
		gone, err := w.s.Expire(ctx, at)
		w.must(err)
		w.destructions += uint64(gone)
	case n < 79 && w.rnd.IntN(8) == 0:
		w.damage()
	}
	w.clock += w.rnd.Int64N(2 * minute)
}

// damage writes noise into a segment, which is found by reading everything.
func (w *world) damage() {
	segments := w.s.Segments()
	if len(segments) == 0 {
		return
	}
	l := segments[w.rnd.IntN(len(segments))]
	f, err := w.fs.OpenRW(l.Path)
	w.must(err)
	noise := make([]byte, l.Size/3)
	for i := range noise {
		noise[i] = byte(w.rnd.IntN(256))
	}
	_, err = f.WriteAt(noise, l.Size/8)
	w.must(errors.Join(err, f.Close()))
	for _, tenant := range []record.TenantID{"acme", "zenith"} {
		_, err = w.s.Scan(context.Background(), store.ScanRequest{Tenant: tenant, To: 1 << 62, Order: store.AsStored}, func([]record.Record) error { return nil })
		w.must(err)
	}
	w.hurt[l.ID] = true
	w.damages++
}

// A panel is a request that is repeated with other times.
type panel struct {
	count   *store.CountRequest
	measure *store.MeasureRequest
	width   int64
}

func (w *world) panels(n int) []panel {
	var out []panel
	wheres := []match.Predicate{
		nil, match.Not{P: match.Eq{Field: match.Class, Value: "audit"}},
		match.And{match.Eq{Field: "service", Value: "cart"}, match.Not{P: match.Eq{Field: match.Class, Value: "audit"}}},
		match.Contains{Field: match.Line, Value: "time"}, match.Range{Field: "n", Min: match.IntBound(500, true)},
	}
	for range n {
		step := []int64{10e9, minute, 5 * minute, 7*minute + 3}[w.rnd.IntN(4)]
		width := step * (2 + w.rnd.Int64N(300))
		where := wheres[w.rnd.IntN(len(wheres))]
		tenant := record.TenantID(w.pick("acme", "acme", "zenith"))
		var classes []record.Class
		if w.rnd.IntN(4) == 0 {
			classes = []record.Class{"app"}
		}
		var by []string
		if w.rnd.IntN(2) == 0 {
			by = []string{w.pick("service", "body", match.Class)}
		}
		if w.rnd.IntN(2) == 0 {
			out = append(out, panel{width: width, count: &store.CountRequest{Tenant: tenant, Classes: classes, Where: where, By: by, Step: step, Sum: w.rnd.IntN(3) == 0}})
			continue
		}
		want := []store.Want{store.WantSums, store.WantSpread, store.WantEnds, store.WantBounds, store.WantValues}[w.rnd.IntN(5)]
		out = append(out, panel{width: width, measure: &store.MeasureRequest{
			Tenant: tenant, Classes: classes, Where: where, By: store.GroupBy(by...), Step: step, Of: []store.MeasureField{{Name: "n", Want: want}},
		}})
	}
	return out
}

// times draws what is asked for: mostly up to now, and mostly whole buckets.
func (p *panel) times(w *world, step int64) (from, to, zero int64) {
	to = (w.clock/step + w.rnd.Int64N(2)) * step
	if w.rnd.IntN(5) == 0 {
		to -= w.rnd.Int64N(day) / step * step
	}
	from, zero = to-p.width, to-p.width
	if w.rnd.IntN(6) == 0 {
		to -= w.rnd.Int64N(step)
	}
	if w.rnd.IntN(6) == 0 {
		from += w.rnd.Int64N(3 * step)
	}
	return from, max(to, from+1), zero
}

// ask asks both the same, and returns how the answers differ.
func (p *panel) ask(w *world, cached store.Reader) (hits int, err error) {
	ctx := context.Background()
	if p.count != nil {
		q := *p.count
		q.From, q.To, _ = p.times(w, q.Step)
		got, gotStats, err := cached.Count(ctx, q)
		w.must(err)
		want, wantStats, err := w.s.Count(ctx, q)
		w.must(err)
		w.forgive(&gotStats, &wantStats, q.From, q.To, q.Step, func(from, to int64) store.Stats {
			part := q
			part.From, part.To = from, to
			_, stats, err := w.s.Count(ctx, part)
			w.must(err)
			return stats
		})
		return gotStats.ResultCache.Hits, differ(fmt.Sprintf("count %+v", q), fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want), gotStats, wantStats)
	}
	q := *p.measure
	q.From, q.To, q.Zero = p.times(w, q.Step)
	got, gotStats, err := cached.Measure(ctx, q)
	w.must(err)
	want, wantStats, err := w.s.Measure(ctx, q)
	w.must(err)
	w.forgive(&gotStats, &wantStats, q.From, q.To, q.Step, func(from, to int64) store.Stats {
		part := q
		part.From, part.To = from, to
		_, stats, err := w.s.Measure(ctx, part)
		w.must(err)
		return stats
	})
	return gotStats.ResultCache.Hits, differ(fmt.Sprintf("measure %+v", q), show(got), show(want), gotStats, wantStats)
}

// show writes measures but for what rounding changes: squares of differences are
// summed up in any order. The odd offset keeps fractions off the edge.
func show(groups []store.MeasureGroup) string {
	s := ""
	for _, g := range groups {
		s += fmt.Sprintf("\n%q", g.Values)
		for _, c := range g.Cells {
			m := c.Of[0]
			s += fmt.Sprintf(" %d:%d/%d/%d/%d sum %v min %v max %v m2 %d ends %v %v values %v", c.Bucket, c.Records, m.Count, m.Absent, m.NotNumbers,
				m.Sum, m.Min, m.Max, int64(math.Floor(m.M2*16+0.0318)), m.First, m.Last, m.Values)
		}
	}
	return s
}

// forgive takes a segment from what the whole question names as damaged, and the
// cache does not, if the store names it for no step of the question either: to a
// narrow question the segment's index may tell that it need not be read, where a wide
// one reads it. It may be the other way round, too: then the cache names a segment
// that is damaged indeed.
func (w *world) forgive(got, want *store.Stats, from, to, step int64, ask func(from, to int64) store.Stats) {
	for _, id := range got.Damaged {
		if w.hurt[id] && !slices.Contains(want.Damaged, id) {
			want.Damaged = append(want.Damaged, id)
		}
	}
	missing := func(id string) bool { return !slices.Contains(got.Damaged, id) }
	if step <= 0 || !slices.ContainsFunc(want.Damaged, missing) {
		return
	}
	var named []string
	for at := from; at < to; at += step {
		stats := ask(at, min(at+step, to))
		named = append(named, stats.Damaged...)
	}
	want.Damaged = slices.DeleteFunc(want.Damaged, func(id string) bool { return missing(id) && !slices.Contains(named, id) })
}

func differ(what, got, want string, gotStats, wantStats store.Stats) error {
	slices.Sort(gotStats.Damaged)
	slices.Sort(wantStats.Damaged)
	if got != want || !slices.Equal(gotStats.Damaged, wantStats.Damaged) {
		return fmt.Errorf("%s:\n%s\nwant\n%s\n%d parts were kept, damaged %v, want %v", what, got, want, gotStats.ResultCache.Hits, gotStats.Damaged, wantStats.Damaged)
	}
	return nil
}
