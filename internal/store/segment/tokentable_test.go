package segment

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
)

// A table in memory, as a segment has it in pages.
type memTable struct {
	tokenIndex
	pages  [][]byte
	blocks int
}

func build(t testing.TB, blocks int, n uint, guess uint64, sources ...entries) *memTable {
	t.Helper()
	m := &memTable{blocks: blocks}
	w := newTable(blocks, n, guess, func(page []byte, last bool) error {
		if !last && len(page) != pageOf(blocks)-crypt.Overhead {
			t.Errorf("a page of %d bytes", len(page))
		}
		m.pages = append(m.pages, bytes.Clone(page))
		return nil
	})
	if err := w.merge(sources); err != nil {
		t.Fatal(err)
	}
	m.tokenIndex = w.index
	return m
}

func (m *memTable) entries(n uint, place []int32) *tableCursor {
	return &tableCursor{
		page:  func(i int) (page, error) { return decodePage(m.pages[i]) },
		first: m.first, blocks: m.blocks, cut: m.bits - n, place: place,
	}
}

// lookup is Reader.lookupTable on pages in memory.
func (m *memTable) lookup(t testing.TB, h uint64) []uint32 {
	t.Helper()
	h >>= 64 - m.bits
	n, found := slices.BinarySearch(m.first, h)
	if !found {
		n--
	}
	if n < 0 {
		return nil
	}
	p, err := decodePage(m.pages[n])
	if err != nil {
		t.Fatal(err)
	}
	i, err := p.find(m.first[n], h)
	if err != nil {
		t.Fatal(err)
	}
	if i < 0 {
		return nil
	}
	ids, err := p.blocks(i, m.blocks, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// A model says which blocks have which token.
type model map[uint64]map[uint32]bool

func (m model) add(h uint64, block uint32) {
	if m[h] == nil {
		m[h] = make(map[uint32]bool)
	}
	m[h][block] = true
}

// check looks for every token: each of its blocks is named, ascending, and no
// block that no token of the same cut hash is in.
func (m model) check(t testing.TB, table *memTable) {
	t.Helper()
	cut := make(model)
	pairs := uint64(0)
	for h, blocks := range m {
		for b := range blocks {
			cut.add(h>>(64-table.bits), b)
		}
	}
	for _, blocks := range cut {
		pairs += uint64(len(blocks))
	}
	for h := range m {
		want := slices.Sorted(maps.Keys(cut[h>>(64-table.bits)]))
		if got := table.lookup(t, h); !slices.Equal(got, want) {
			t.Fatalf("token %x is in blocks %v, want %v", h, got, want)
		}
	}
	if table.tokens != uint64(len(cut)) || table.pairs != pairs {
		t.Errorf("%d tokens and %d pairs, want %d and %d", table.tokens, table.pairs, len(cut), pairs)
	}
}

// draw makes tokens of every frequency, some with hashes close together.
func draw(r *rand.Rand, tokens, blocks int) (m model, lists [][]uint64) {
	m, lists = make(model), make([][]uint64, blocks)
	crowd := r.Uint64()
	for range tokens {
		h := r.Uint64()
		if r.IntN(4) == 0 {
			h = crowd + r.Uint64N(1<<44)
		}
		n := 1
		switch r.IntN(6) {
		case 0:
			n = 1 + r.IntN(min(blocks, 9))
		case 1:
			n = 1 + r.IntN(blocks)
		case 2:
			n = blocks - r.IntN(min(blocks, 3))
		}
		for range n {
			m.add(h, uint32(r.IntN(blocks)))
		}
		if n >= blocks-2 {
			for b := range blocks {
				m.add(h, uint32(b))
			}
		}
	}
	for h, blocks := range m {
		for b := range blocks {
			lists[b] = append(lists[b], h)
		}
	}
	return m, lists
}

// TestTableFindsEveryToken builds tables of all shapes.
func TestTableFindsEveryToken(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 1))
	for _, blocks := range []int{1, 2, 3, 7, 8, 9, 64, 65, 200, 1000, 40_000} {
		for _, tokens := range []int{1, 2, 300, 3000} {
			if tokens*blocks > 1<<18 {
				continue
			}
			m, lists := draw(r, tokens, blocks)
			var s pairSet
			for b, l := range lists {
				if err := s.add(l, b); err != nil {
					t.Fatal(err)
				}
			}
			n := bitsFor(s.total)
			all := s.sources(n)[0].(*sortedPairs)
			again := *all
			m.check(t, build(t, blocks, n, s.total, all))
			m.check(t, build(t, blocks, n, 1, &again)) // a guess that is far off costs bytes only
		}
	}
}

// TestRunsMerge spills a set and holds it against one that was not.
func TestRunsMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	m, lists := draw(r, 5000, 40)
	var whole, cut pairSet
	for b, l := range lists {
		if err := cmp.Or(whole.add(l, b), cut.add(l, b)); err != nil {
			t.Fatal(err)
		}
		if b%7 == 3 {
			if err := cut.spill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := bitsFor(whole.total)
	a, b := build(t, 40, n, whole.total, whole.sources(n)...), build(t, 40, n, cut.total, cut.sources(n)...)
	m.check(t, a)
	if !slices.EqualFunc(a.pages, b.pages, bytes.Equal) {
		t.Error("a set that was spilled makes another table")
	}
}

// TestMergedTablesFindEveryToken merges tables of different sizes and bits,
// again and again, with blocks left out and renumbered.
func TestMergedTablesFindEveryToken(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 1))
	var tables []*memTable
	var models []model
	for round := range 40 {
		if round%2 == 0 {
			blocks := 1 + r.IntN(30)
			m, lists := draw(r, 1+r.IntN(500), blocks)
			var s pairSet
			for b, l := range lists {
				if err := s.add(l, b); err != nil {
					t.Fatal(err)
				}
			}
			n := bitsFor(s.total) - uint(r.IntN(4))
			tables, models = append(tables, build(t, blocks, n, s.total, s.sources(n)...)), append(models, m)
			continue
		}
		var places [][]int32
		total := int32(0)
		n, guess := uint(runBits), uint64(0)
		for _, x := range tables {
			place := make([]int32, x.blocks)
			for b := range place {
				if place[b] = total; r.IntN(10) == 0 {
					place[b] = -1
				} else {
					total++
				}
			}
			places = append(places, place)
			n, guess = min(n, x.bits), guess+x.pairs
		}
		if total == 0 {
			continue
		}
		perm := r.Perm(int(total))
		merged := make(model)
		var sources []entries
		for i, x := range tables {
			for b, to := range places[i] {
				if to >= 0 {
					places[i][b] = int32(perm[to])
				}
			}
			for h, blocks := range models[i] {
				for b := range blocks {
					if to := places[i][b]; to >= 0 {
						// What the input's cut made one stays one.
						merged.add(h, uint32(to))
					}
				}
			}
			sources = append(sources, x.entries(n, places[i]))
		}
		out := build(t, int(total), n, guess, sources...)
		merged.check(t, out)
		tables, models = append(tables, out), append(models, merged)
		if total > 60 { // begin anew
			tables, models = nil, nil
		}
	}
}

// TestFalseBlocks asks for tokens that are not there.
func TestFalseBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 1))
	var s pairSet
	for b := range 12 {
		list := make([]uint64, 6_000)
		for i := range list {
			list[i] = r.Uint64()
		}
		if err := s.add(list, b); err != nil {
			t.Fatal(err)
		}
	}
	n := bitsFor(s.total)
	m := build(t, 12, n, s.total, s.sources(n)...)
	const asked = 50_000
	wrong := 0
	for range asked {
		wrong += len(m.lookup(t, r.Uint64()))
	}
	size := 0
	for _, p := range m.pages {
		size += len(p)
	}
	perPair := float64(8*size) / float64(s.total)
	if rate := float64(wrong) / asked; rate > 1.1/32 || perPair > 11.5 {
		t.Errorf("%.4f false blocks an absent token, %.2f bits a pair", rate, perPair)
	}
}

func FuzzPage(f *testing.F) {
	r := rand.New(rand.NewPCG(24, 1))
	for _, blocks := range []int{1, 9, 200} {
		_, lists := draw(r, 900, blocks) // with skips
		var s pairSet
		for b, l := range lists {
			if err := s.add(l, b); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(build(f, blocks, 20, s.total, s.sources(20)...).pages[0], blocks, uint64(1<<19))
	}
	f.Fuzz(func(t *testing.T, data []byte, blocks int, h uint64) {
		if blocks < 1 || blocks > 500 {
			return
		}
		p, err := decodePage(data)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatalf("error of kind %v", fault.KindOf(err))
			}
			return
		}
		i, err := p.find(h>>1, h)
		if err == nil && i >= 0 {
			if i >= p.n {
				t.Fatalf("entry %d of %d", i, p.n)
			}
			var ids []uint32
			if ids, err = p.blocks(i, blocks, nil); err == nil && (len(ids) == 0 || !slices.IsSorted(ids) || int(ids[len(ids)-1]) >= blocks) {
				t.Fatalf("blocks %v of %d", ids, blocks)
			}
		}
		if err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatalf("error of kind %v", fault.KindOf(err))
		}
		c := tableCursor{page: func(int) (page, error) { return p, nil }, first: []uint64{h}, blocks: blocks}
		for {
			_, ids, ok, err := c.next()
			if err != nil && !fault.Is(err, fault.Corrupt) {
				t.Fatalf("error of kind %v", fault.KindOf(err))
			}
			if !ok {
				return
			}
			if int(ids[len(ids)-1]) >= blocks {
				t.Fatalf("blocks %v of %d", ids, blocks)
			}
		}
	})
}

// FuzzTable takes any pairs through a table and a merge of two.
func FuzzTable(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint8(3), uint8(20))
	f.Add(bytes.Repeat([]byte{0}, 90), uint8(200), uint8(8))
	f.Fuzz(func(t *testing.T, data []byte, blocks, bits uint8) {
		n, b := minBits+uint(bits)%(runBits-minBits+1), 1+int(blocks)
		halves := [2]model{{}, {}}
		both := make(model)
		for i := 0; len(data) >= 9; i, data = i+1, data[9:] {
			h, id := binary.BigEndian.Uint64(data), uint32(data[8])%uint32(b)
			halves[i%2].add(h, id)
			both.add(h, id+uint32(i%2*b))
		}
		var sources []entries
		for i, m := range halves {
			var s pairSet
			for id := range b {
				var list []uint64
				for h, blocks := range m {
					if blocks[uint32(id)] {
						list = append(list, h)
					}
				}
				if err := s.add(list, id); err != nil {
					t.Fatal(err)
				}
			}
			x := build(t, b, n, s.total, s.sources(n)...)
			m.check(t, x)
			place := make([]int32, b)
			for id := range place {
				place[id] = int32(i*b + id)
			}
			sources = append(sources, x.entries(minBits+(n-minBits)/2, place))
		}
		both.check(t, build(t, 2*b, minBits+(n-minBits)/2, uint64(len(both)), sources...))
	})
}

// benchLists is what a segment of mesh logs has: ids in one block, parts of ids
// in some, words in all.
func benchLists(blocks, each int) [][]uint64 {
	r := rand.New(rand.NewPCG(25, 1))
	lists := make([][]uint64, blocks)
	for b := range lists {
		for i := range each {
			switch {
			case i%20 == 0:
				lists[b] = append(lists[b], HashToken(fmt.Sprint(i), 1))
			case i%3 == 0:
				lists[b] = append(lists[b], HashToken(fmt.Sprint(r.IntN(3*each)), 2))
			default:
				lists[b] = append(lists[b], r.Uint64())
			}
		}
		slices.Sort(lists[b])
		lists[b] = slices.Compact(lists[b])
	}
	return lists
}

func benchSet(tb testing.TB, lists [][]uint64) *pairSet {
	s := new(pairSet)
	for b, l := range lists {
		if err := s.add(l, b); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// TestAllocations holds the work for each token free of allocation: it takes
// memory by the page and by the segment.
func TestAllocations(t *testing.T) {
	var set hashSet
	text := "GET /api/v1/Cart/42 from 10.0.0.1:8080 as 729c62c9-112f-839f-ced4-2aa3aa84184d"
	set.reset()
	set.tokens(text, 7)
	if n := testing.AllocsPerRun(100, func() { set.reset(); set.tokens(text, 7) }); n > 0 {
		t.Errorf("tokens of a value take %v allocations", n)
	}
	lists := benchLists(8, 4000)
	n := bitsFor(benchSet(t, lists).total)
	tokens := 0.0
	if got := testing.AllocsPerRun(10, func() {
		s := benchSet(t, lists)
		w := newTable(8, n, s.total, func([]byte, bool) error { return nil })
		if err := w.merge(s.sources(n)); err != nil {
			t.Fatal(err)
		}
		tokens = float64(w.index.tokens)
	}); got > 60 {
		t.Errorf("a table of %v tokens takes %v allocations", tokens, got)
	}
	s := benchSet(t, lists)
	table := build(t, 8, n, s.total, s.sources(n)...)
	if got := testing.AllocsPerRun(10, func() {
		w := newTable(8, n, s.total, func([]byte, bool) error { return nil })
		if err := w.merge([]entries{table.entries(n, nil)}); err != nil {
			t.Fatal(err)
		}
	}); got > 60 {
		t.Errorf("a merge of %v tokens takes %v allocations", tokens, got)
	}
}

// cpuTime is what the process has computed so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano())
}

// perPair runs f and reports the CPU time it takes for each of n pairs, which
// tells more than wall time on a busy machine.
func perPair(b *testing.B, n float64, f func()) {
	start := cpuTime()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpuTime()-start)/float64(b.N)/n, "CPU-ns/pair")
}

// TestLookupDoesNotAllocate asks for tokens whose page is in the cache.
func TestLookupDoesNotAllocate(t *testing.T) {
	in := input(rand.New(rand.NewPCG(27, 1)), 500, 1)
	data, _ := write(t, in, in)
	r := open(t, data, 1<<20)
	set := make([]uint64, 1)
	for _, token := range []string{"absent", "cart", string(in.Columns[4].Bytes(0))} {
		h := HashToken(token, Seed(in.Columns[4].Name))
		if n := testing.AllocsPerRun(100, func() {
			set[0] = 3
			if err := r.Probe(h, set, nil); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("asking for %s takes %v allocations", token, n)
		}
	}
}

func BenchmarkTable(b *testing.B) {
	lists := benchLists(12, 40_000)
	pairs := float64(benchSet(b, lists).total)
	b.Run("build", func(b *testing.B) {
		size := 0
		perPair(b, pairs, func() {
			s := benchSet(b, lists)
			n := bitsFor(s.total)
			size = 0
			for _, p := range build(b, 12, n, s.total, s.sources(n)...).pages {
				size += len(p)
			}
		})
		b.ReportMetric(float64(8*size)/pairs, "bits/pair")
	})
	b.Run("bloom", func(b *testing.B) {
		size := 0
		perPair(b, pairs, func() {
			rows, _ := buildIndex(lists)
			size = len(rows)
		})
		b.ReportMetric(float64(8*size)/pairs, "bits/pair")
	})
	s := benchSet(b, lists)
	n := bitsFor(s.total)
	b.Run("sort", func(b *testing.B) {
		perPair(b, pairs, func() { benchSet(b, lists).sorted(n) })
	})
	table := build(b, 12, n, s.total, s.sources(n)...)
	b.Run("merge16", func(b *testing.B) {
		place := make([][]int32, 16)
		for i := range place {
			for k := range 12 {
				place[i] = append(place[i], int32(12*i+k))
			}
		}
		perPair(b, 16*pairs, func() {
			var sources []entries
			for i := range place {
				sources = append(sources, table.entries(n, place[i]))
			}
			build(b, 12*16, n, 16*s.total, sources...)
		})
	})
	b.Run("absent", func(b *testing.B) {
		r := rand.New(rand.NewPCG(26, 1))
		b.ReportAllocs()
		for b.Loop() {
			table.lookup(b, r.Uint64())
		}
	})
	b.Run("present", func(b *testing.B) {
		i := 0
		for b.Loop() {
			table.lookup(b, lists[3][i%len(lists[3])])
			i++
		}
	})
}

// TestWalkAgreesWithRice looks for hashes in pages of every Rice parameter, the
// last and the first of each word among them, in both ways.
func TestWalkAgreesWithRice(t *testing.T) {
	r := rand.New(rand.NewPCG(28, 1))
	for k := range uint(maxRice + 1) {
		for range 20 {
			var w bitWriter
			n, sum := 1+r.IntN(40), uint64(0)
			at := []uint64{0}
			for range n - 1 {
				gap := r.Uint64N(1 << k << r.IntN(9))
				w.rice(gap, k)
				sum += gap + 1
				at = append(at, sum)
			}
			p := page{n: n, rice: k, gaps: w.bytes()}
			for i, h := range at {
				for _, d := range []uint64{0, 1, 2} {
					want, found := slices.BinarySearch(at, h+d)
					if !found {
						want = -1
					}
					if got, err := p.find(7, 7+h+d); got != want || err != nil {
						t.Fatalf("parameter %d: hash %d of %d and %d is at %d, want %d, %v", k, i, n, d, got, want, err)
					}
				}
			}
			if sum > 0 {
				p.n++
				if _, err := p.find(0, 1<<63); !fault.Is(err, fault.Corrupt) {
					t.Fatalf("a page without its last gap: %v", err)
				}
			}
		}
	}
}

// TestSkipNumbers holds skipNumbers to number.
func TestSkipNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 1))
	for b := 1; b < 300; b++ {
		width, spare := numbering(b)
		var w bitWriter
		n := 1 + r.IntN(60)
		for range n {
			w.number(uint32(r.IntN(b)), width, spare)
		}
		one := bitReader{b: w.bytes()}
		for i := range n + 1 {
			all := bitReader{b: w.bytes()}
			if all.skipNumbers(i, b); all.pos != one.pos || all.bad {
				t.Fatalf("%d numbers of %d end at bit %d, want %d", i, b, all.pos, one.pos)
			}
			one.number(b)
		}
	}
}
