package memtable

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// TestColumnsTurnPlain adds values that repeat and then ever fewer that do, in
// batches with numbers and without, whole and in part, and reads what views of
// every moment have.
func TestColumnsTurnPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	forms := map[block.Form]bool{}
	for _, kind := range []record.Kind{record.String, record.Int, record.Float, record.Bool} {
		for round := range 40 {
			k := &column{name: "a", kind: kind, dense: true, coded: true}
			var want []record.Value
			type held struct {
				v    block.Vector
				want int
			}
			var views []held
			var scratch []uint32
			for step := range 12 {
				b := &record.Batch{}
				distinct := 1 + r.IntN(1+step*step*(1+round%8))
				n := 1 + r.IntN(200)
				for i := range n {
					b.Begin(int64(i), "app")
					switch v := r.IntN(distinct); kind {
					case record.String:
						b.Str("a", fmt.Sprint("value ", v))
					case record.Int:
						b.Int("a", int64(v))
					case record.Float:
						b.Float("a", float64(v)/4)
					default:
						b.Bool("a", v == 0)
					}
					b.End()
				}
				if r.IntN(3) > 0 {
					b.Number()
				}
				c := b.Columns()[0]
				p := picked{c: c, to: n, shift: len(want)}
				if r.IntN(2) == 0 {
					for i := range n {
						if r.IntN(2) == 0 {
							p.is, p.rows = append(p.is, uint32(i)), append(p.rows, uint32(len(want)+len(p.is)))
						}
					}
				}
				if p.len() == 0 {
					continue
				}
				k.add(&p, &scratch)
				for j := range p.len() {
					i, _ := p.at(j)
					want = append(want, c.Value(i))
				}
				views = append(views, held{k.vector(len(want)), len(want)})
				forms[views[len(views)-1].v.Form] = true
			}
			for _, h := range views {
				got := record.Column{Kind: kind, Nums: h.v.Nums, Ends: h.v.Ends, Data: h.v.Data}
				if h.v.N != h.want || h.v.Rows != nil {
					t.Fatalf("a view of %d values has %d", h.want, h.v.N)
				}
				for i := range h.want {
					if v := got.Value(h.v.Entry(i)); v != want[i] {
						t.Fatalf("value %d of %d is %v, want %v", i, h.want, v, want[i])
					}
				}
			}
			k.reset()
		}
	}
	if len(forms) != 3 {
		t.Errorf("columns had the forms %v only", forms)
	}
}

// TestCollidingValues holds the search for an entry to a bound.
func TestCollidingValues(t *testing.T) {
	k := &column{kind: record.String, dense: true, coded: true}
	k.text([]byte("a"))
	k.text([]byte("b"))
	for i := range k.dict.slots { // no slot is free, and none is the value's
		k.dict.slots[i] = 7<<32 | uint64(k.dict.gen)
	}
	if _, ok := k.text([]byte("c")); ok {
		t.Error("found a place in a table that is full")
	}
}

// A column that became plain is tried again, ever more rarely.
func TestTriesBecomeRare(t *testing.T) {
	k := &column{kind: record.String, dense: true, coded: true}
	var tried []int
	for block := range 80 {
		if k.coded {
			tried = append(tried, block)
			k.coded = false
		}
		k.n = 1
		k.reset()
	}
	if want := []int{0, 2, 6, 14, 30, 62}; !slices.Equal(tried, want) {
		t.Errorf("tried in blocks %v, want %v", tried, want)
	}
	k.n, k.coded, k.wait = 1, true, 0
	if k.reset(); !k.coded || k.tries != 0 {
		t.Error("a column that was worth it is not tried again at once")
	}
}

// meshBatch is access records of one batch, numbered as a store's are.
func meshBatch(r *rand.Rand, seq uint64, pods int) *record.Batch {
	b := &record.Batch{Tenant: "t", Source: "s", Ingest: noon, Ord: seq << 20}
	for i := range 2000 {
		b.Begin(noon+int64(seq)*2_000_000+int64(i)*1000, []record.Class{"ops", "app"}[min(1, i%5/4)])
		svc := r.IntN(16)
		b.Str("service.name", fmt.Sprint("service-", svc))
		b.Str("k8s.pod.name", fmt.Sprint("service-", svc, "-", r.IntN(pods/16)))
		b.Str("mesh.type", "istio")
		b.Str("http.request.method", []string{"GET", "POST"}[r.IntN(2)])
		b.Str("trace_id", fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()))
		b.Str("url.path", fmt.Sprint("/api/v1/cart/", r.IntN(5000)))
		b.Int("http.response.status_code", int64(200+r.IntN(4)))
		b.Int("mesh.duration_ns", r.Int64N(1e9))
		b.Bool("mesh.mtls", true)
		b.End()
	}
	b.Number()
	return b
}

func meshTable(pods int) *Table {
	r := rand.New(rand.NewPCG(8, 1))
	tab := New()
	for seq := range uint64(24) {
		tab.Insert(meshBatch(r, seq, pods))
	}
	tab.Close()
	return tab
}

func BenchmarkInsertNumbered(b *testing.B) {
	for _, pods := range []int{160, 20_000} {
		b.Run(fmt.Sprint(pods, " pods"), func(b *testing.B) {
			x := meshBatch(rand.New(rand.NewPCG(9, 1)), 1, pods)
			b.ReportAllocs()
			tab := New()
			for b.Loop() {
				if _, n := tab.Raw(); n > 200_000 {
					tab = New()
				}
				tab.Insert(x)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2000), "ns/record")
		})
	}
}

func BenchmarkGather(b *testing.B) {
	for _, pods := range []int{160, 20_000} {
		b.Run(fmt.Sprint(pods, " pods"), func(b *testing.B) {
			views := meshTable(pods).Views(func(p Part) bool { return p.Class == "ops" })
			plan := Cut{MaxRows, 8 << 20, MaxColumns}.Plan(views)
			var in *block.Input
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				for i := range plan.Blocks() {
					in = plan.Block(i, in)
					rows += len(in.Times)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/record")
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, pods := range []int{160, 20_000} {
		b.Run(fmt.Sprint(pods, " pods"), func(b *testing.B) {
			views := meshTable(pods).Views(func(p Part) bool { return p.Class == "ops" })
			b.ReportAllocs()
			for b.Loop() {
				Cut{MaxRows, 8 << 20, MaxColumns}.Plan(views)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*24*1600), "ns/record")
		})
	}
}

// TestGatheringAllocatesNothing holds what a seal does for every block.
func TestGatheringAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	views := meshTable(160).Views(func(p Part) bool { return p.Class == "ops" })
	plan := Cut{MaxRows, 8 << 20, MaxColumns}.Plan(views)
	in := plan.Block(0, nil)
	in = plan.Block(0, in)
	if n := testing.AllocsPerRun(20, func() { in = plan.Block(0, in) }); n > 1 {
		t.Errorf("%v allocations to gather a block of %d records again", n, len(in.Times))
	}
}

// TestManyPodsAreNumbered holds columns of many values, which a dictionary of
// one open block does not hold, to be gathered by number all the same.
func TestManyPodsAreNumbered(t *testing.T) {
	views := meshTable(4000).Views(func(p Part) bool { return p.Class == "ops" })
	plan := Cut{MaxRows, 8 << 20, MaxColumns}.Plan(views)
	plain, coded := 0, 0
	for i := range plan.Blocks() {
		in := plan.Block(i, nil)
		for k, c := range in.Columns {
			switch {
			case c.Name != "k8s.pod.name":
			case in.Codes[k] == nil:
				plain++
			default:
				coded++
			}
		}
	}
	if plain > 0 || coded == 0 {
		t.Errorf("%d blocks have pods by number, %d by their bytes", coded, plain)
	}
}
