package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// drawLimits are sizes under which the same records are kept in other ways.
func drawLimits(r *mrand.Rand) Limits {
	l := manual()
	l.BlockRows = []int{1, 7, 64, 100, 16_384}[r.IntN(5)]
	l.BlockBytes = []int64{0, 0, 5_000}[r.IntN(3)]
	l.Columns = []int{0, 0, 3, 12}[r.IntN(4)]
	l.CacheBytes = []int64{-1, 1, 10_000, 1 << 20, 1 << 30}[r.IntN(5)]
	l.OpenSegments = 1 + r.IntN(5)
	l.JournalFile = []int64{3 << 10, 1 << 20}[r.IntN(2)]
	l.CompactFiles, l.CompactAfter = 2+r.IntN(3), -1
	return l
}

// stage is a store over a disk that can lose its power.
type stage struct {
	t    testing.TB
	s    *Store
	lg   *ledger.Ledger
	disk *memfs.FS

	merged int // compactions
}

func newStage(t testing.TB, l Limits) *stage {
	t.Helper()
	x := &stage{t: t, disk: memfs.New()}
	createWorld(t, x.disk)
	x.open(l)
	t.Cleanup(func() { x.close() })
	return x
}

func (x *stage) open(l Limits) {
	x.t.Helper()
	var err error
	if x.s, x.lg, err = tryOpen(x.t, x.disk, l); err != nil {
		x.t.Fatal(err)
	}
}

func (x *stage) close() error { return errors.Join(x.s.Close(), x.lg.Close()) }

// reopen closes the store, which seals it, and opens it under other limits.
func (x *stage) reopen(l Limits) {
	x.t.Helper()
	if err := x.close(); err != nil {
		x.t.Fatal(err)
	}
	x.open(l)
}

// crash cuts the power and opens what is left: the journal is replayed.
func (x *stage) crash(r *mrand.Rand, l Limits) {
	x.t.Helper()
	left := x.disk.CrashClone(r)
	if err := x.close(); err != nil {
		x.t.Fatal(err)
	}
	x.disk = left
	x.open(l)
}

func (x *stage) seal() {
	x.t.Helper()
	if err := x.s.Seal(context.Background()); err != nil {
		x.t.Fatal(err)
	}
}

func (x *stage) compact() {
	x.t.Helper()
	n, err := x.s.Compact(context.Background())
	if err != nil {
		x.t.Fatal(err)
	}
	x.merged += n
}

// TestModel appends, seals, compacts, crashes, reopens and asks in random order:
// every answer is that of a plain slice, whatever the sizes of blocks, columns,
// caches and seals are.
func TestModel(t *testing.T) {
	var compactions, clamped atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(long(6, 60)) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				r := mrand.New(mrand.NewPCG(seed, 1))
				l := drawLimits(r)
				x, o := newStage(t, l), &oracle{}
				for range long(12, 24) {
					switch r.IntN(10) {
					case 0, 1:
						x.seal()
					case 2:
						l = drawLimits(r)
						x.reopen(l)
					case 3:
						l = drawLimits(r)
						x.crash(r, l)
					case 4, 5:
						for range 4 {
							spread(t, r, x.s, o, 20)
							spread(t, r, x.s, o, 20)
							x.seal()
						}
						x.compact()
					default:
						for range 1 + r.IntN(5) {
							spread(t, r, x.s, o, []int{30, 30, 300}[r.IntN(3)])
						}
					}
					ask(t, r, x.s, o, 8)
				}
				x.reopen(l)
				ask(t, r, x.s, o, 40)
				if err := verified(x.s); err != nil {
					t.Error(err)
				}
				compactions.Add(int64(x.merged))
				clamped.Add(int64(len(o.ask(ScanRequest{To: 1 << 62, Where: match.Exists{Field: memtable.OriginalTime}}))))
			})
		}
	})
	if compactions.Load() == 0 || clamped.Load() == 0 {
		t.Errorf("%d compactions and %d times of broken clocks: the test does not see what it is for", compactions.Load(), clamped.Load())
	}
}

// TestModelOfManyBlocks fills more than one block of the memory table for each
// class, so that a block of a segment has records of several.
func TestModelOfManyBlocks(t *testing.T) {
	r := mrand.New(mrand.NewPCG(4, 4))
	l := manual()
	l.JournalFile = 64 << 20
	x, o := newStage(t, l), &oracle{}
	for len(o.recs) < 40_000 {
		fill(t, r, x.s, o, 1, 4000)
	}
	ask(t, r, x.s, o, long(6, 40))
	x.seal()
	ask(t, r, x.s, o, long(6, 40))
}

// A way of keeping records that were drawn from one seed.
type way struct {
	name   string
	limits func(l *Limits)
	each   func(x *stage, r *mrand.Rand, i int, l Limits) // after batch i
	last   func(x *stage, r *mrand.Rand, l Limits)
	merges bool // segments are merged at least once
}

var ways = []way{
	{name: "in memory"},
	{name: "in one segment", last: func(x *stage, _ *mrand.Rand, _ Limits) { x.seal() }},
	{name: "blocks of one record", limits: func(l *Limits) { l.BlockRows = 1 }, last: func(x *stage, _ *mrand.Rand, _ Limits) { x.seal() }},
	{name: "blocks of few bytes, no cache", limits: func(l *Limits) { l.BlockBytes, l.CacheBytes = 2000, -1 }, last: func(x *stage, _ *mrand.Rand, _ Limits) { x.seal() }},
	{name: "few columns, tiny cache", limits: func(l *Limits) { l.Columns, l.CacheBytes = 4, 100 }, last: func(x *stage, _ *mrand.Rand, _ Limits) { x.seal() }},
	{name: "large cache, many segments", limits: func(l *Limits) { l.CacheBytes, l.OpenSegments = 1<<30, 1 }, each: func(x *stage, _ *mrand.Rand, _ int, _ Limits) { x.seal() }},
	{name: "sealed now and then", each: func(x *stage, r *mrand.Rand, _ int, _ Limits) {
		if r.IntN(4) == 0 {
			x.seal()
		}
	}},
	{name: "compacted at the end", merges: true, limits: func(l *Limits) { l.CompactFiles = 2 }, each: func(x *stage, _ *mrand.Rand, _ int, _ Limits) { x.seal() }},
	{name: "compacted all the time", merges: true, limits: func(l *Limits) { l.CompactFiles, l.BlockRows = 3, 9 }, each: func(x *stage, _ *mrand.Rand, _ int, _ Limits) {
		x.seal()
		x.compact()
	}},
	{name: "replayed", each: func(x *stage, r *mrand.Rand, i int, l Limits) {
		if i%5 == 4 {
			x.crash(r, l)
		}
	}},
	{name: "sealed, compacted, crashed and reopened", merges: true, limits: func(l *Limits) { l.CompactFiles = 2 }, each: func(x *stage, r *mrand.Rand, i int, l Limits) {
		switch i % 4 {
		case 0, 1:
			x.seal()
		case 2:
			x.crash(r, l)
		case 3:
			x.reopen(l)
		}
		if i%5 == 0 {
			x.compact()
		}
	}},
}

// TestMetamorphic asks stores of the same records, kept in different ways: the
// oracle answers for the first, and all others answer as the first does.
func TestMetamorphic(t *testing.T) {
	for seed := range uint64(long(1, 12)) {
		var first []string
		for _, w := range ways {
			l := manual()
			l.CompactFiles, l.CompactAfter = -1, -1
			if w.limits != nil {
				w.limits(&l)
			}
			x, o := newStage(t, l), &oracle{}
			r, chance := mrand.New(mrand.NewPCG(seed, 9)), mrand.New(mrand.NewPCG(seed, 8))
			for i := range 16 {
				spread(t, r, x.s, o, 60)
				if w.each != nil {
					w.each(x, chance, i, l)
				}
			}
			if w.last != nil {
				w.last(x, chance, l)
			}
			if w.merges {
				x.seal()
				x.compact()
			}
			answers := x.answers(mrand.New(mrand.NewPCG(seed, 10)), o, long(60, 200))
			if w.merges && x.merged == 0 {
				t.Errorf("%s: nothing was merged", w.name)
			}
			if first == nil {
				ask(t, mrand.New(mrand.NewPCG(seed, 11)), x.s, o, long(40, 100))
				first = answers
			}
			for i := range first {
				if answers[i] != first[i] {
					t.Errorf("seed %d, %s: answer %d is\n%.2000s\nwant\n%.2000s", seed, w.name, i, answers[i], first[i])
					break
				}
			}
		}
	}
}

// answers asks n requests and writes down what comes back. The oracle only draws
// them. Of an Ord it keeps the index: the checkpoints of the windows, and what
// reopening writes, take numbers too.
func (x *stage) answers(r *mrand.Rand, o *oracle, n int) (out []string) {
	x.t.Helper()
	for range n {
		q := drawAimed(r, o)
		q.After, q.AfterOrd, q.UpToOrd = nil, 0, 0
		by := names[r.IntN(len(names))]
		a := fmt.Sprintf("%+v\n", q)
		recs := scanAll(x.t, x.s, q)
		if q.Order == AsStored {
			slices.SortFunc(recs, func(a, b record.Record) int { return cmp.Compare(a.Ord, b.Ord) })
		}
		for i := range recs {
			recs[i].Ord &= 1<<20 - 1
			a += text(&recs[i]) + "\n"
		}
		groups, _, err := x.s.Count(context.Background(), CountRequest{Tenant: q.Tenant, Classes: q.Classes, From: q.From, To: q.To, Where: q.Where, By: []string{by}, Sum: r.IntN(2) == 0})
		if err != nil {
			x.t.Fatal(err)
		}
		values, _, err := x.s.Values(context.Background(), ValuesRequest{Tenant: q.Tenant, From: q.From, To: q.To, Where: q.Where, Field: by, Limit: 5})
		if err != nil {
			x.t.Fatal(err)
		}
		out = append(out, a+fmt.Sprint(by, groups, values)+textOf(measureAll(x.t, x.s, drawMeasure(r, q)), false))
	}
	return out
}

// counterReader is a source of nonces and ids that is no secret: 1, 2, 3 …
type counterReader struct{ n atomic.Uint64 }

func (c *counterReader) Read(p []byte) (int, error) {
	clear(p)
	binary.BigEndian.PutUint64(p, c.n.Add(1))
	return len(p), nil
}

// zeroReader gives every chunk the same nonce, in whatever order blocks are
// sealed. Never do this with a key that guards anything.
type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestSameBatchesSameBlocks gives two stores the same batches under one key and
// one source of nonces: their segments are equal to the last byte, though one of
// them replayed its journal and had a cache of another size.
func TestSameBatchesSameBlocks(t *testing.T) {
	build := func(crash bool) map[string][]byte {
		l := manual()
		l.BlockRows = 50
		if crash {
			l.CacheBytes = -1
		}
		x, o := newStage(t, l), &oracle{}
		r := mrand.New(mrand.NewPCG(5, 5))
		for range 10 {
			spread(t, r, x.s, o, 120)
		}
		if crash {
			x.crash(mrand.New(mrand.NewPCG(6, 6)), l)
		}
		x.s.o.fixed = &fixed{ids: &counterReader{}, nonces: zeroReader{}}
		x.seal()
		out := map[string][]byte{}
		segments(t, x.disk, segmentsDir, out)
		return out
	}
	a := build(false)
	for n := range 4 {
		x := newStage(t, manual())
		b := &record.Batch{Tenant: "acme", Source: "other", Ingest: noon}
		for i := range 40 {
			rec := drawRecord(mrand.New(mrand.NewPCG(uint64(n), uint64(i))), noon+int64(i))
			slices.Reverse(rec.Fields)
			b.AddRecord(&rec)
		}
		if err := x.s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		x.seal()
	}
	b := build(true)
	if len(a) < 4 {
		t.Fatalf("only %d segments", len(a))
	}
	for name, data := range a {
		if !bytes.Equal(data, b[name]) {
			t.Errorf("%s differs: %d and %d bytes", name, len(data), len(b[name]))
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d and %d segments", len(a), len(b))
	}
}

func segments(t testing.TB, f vfs.FS, dir string, out map[string][]byte) {
	t.Helper()
	list, err := f.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			segments(t, f, name, out)
			continue
		}
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		data, err := vfs.ReadFile(f, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = data
	}
}
