package store

import (
	"cmp"
	"context"
	"fmt"
	mrand "math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// long is how often a random test runs: more in make check.
func long(short, full int) int {
	if os.Getenv("MESHTRAIL_LONG") != "" {
		return full
	}
	return short
}

// fill appends n batches and notes them in the oracle.
func fill(t testing.TB, r *mrand.Rand, s *Store, o *oracle, n, size int) {
	t.Helper()
	for range n {
		b := &record.Batch{Tenant: "acme", Source: fmt.Sprint("src-", r.IntN(3)), Ingest: noon + r.Int64N(1e12)}
		at := noon + r.Int64N(1000)*1e8
		for range 1 + r.IntN(size) {
			at += r.Int64N(3) * 1e8
			rec := drawRecord(r, at)
			b.AddRecord(&rec)
		}
		if err := s.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		o.add(b)
	}
}

func drawScan(r *mrand.Rand) ScanRequest {
	q := ScanRequest{Tenant: "acme", From: 0, To: 1 << 62, Order: Order(r.IntN(3)), Where: drawPredicate(r, 2)}
	if r.IntN(3) == 0 {
		q.From = noon + r.Int64N(5e10)
		q.To = q.From + r.Int64N(5e10)
	}
	if r.IntN(3) == 0 && q.Order != AsStored {
		q.Limit = 1 + r.IntN(40)
	}
	if r.IntN(5) == 0 {
		q.Classes = []record.Class{"ops"}
	}
	return q
}

// ask holds n random requests against the oracle.
func ask(t testing.TB, r *mrand.Rand, s *Store, o *oracle, n int) {
	t.Helper()
	for range n {
		q := drawScan(r)
		got, want := scanAll(t, s, q), o.ask(q)
		if q.Order == AsStored {
			slices.SortFunc(got, func(a, b record.Record) int { return cmp.Compare(a.Ord, b.Ord) })
		}
		compare(t, fmt.Sprintf("scan order %d limit %d where %v", q.Order, q.Limit, q.Where), got, want)
		askCount(t, r, s, o, q)
	}
}

func askCount(t testing.TB, r *mrand.Rand, s *Store, o *oracle, q ScanRequest) {
	t.Helper()
	by := []string{"service", "response_code", "retried", match.Class, "note", match.Line}[r.IntN(6)]
	req := CountRequest{Tenant: q.Tenant, Classes: q.Classes, From: q.From, To: q.To, Where: q.Where, Sum: r.IntN(3) == 0}
	if r.IntN(3) > 0 {
		req.By = append(req.By, by)
	}
	if r.IntN(3) == 0 {
		req.By = append(req.By, "client")
	}
	if q.From > 0 && r.IntN(2) == 0 {
		req.Step = 1e9 + r.Int64N(1e10)
	}
	got, _, err := s.Count(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]uint64{}
	q.Limit = 0
	for _, rec := range o.ask(q) {
		key := ""
		for _, name := range req.By {
			res := schema.Resolve(name)
			v, _, _ := match.Lookup(&res, &rec)
			key += fmt.Sprintf("%q,", v.Text())
		}
		bucket := int64(0)
		if req.Step > 0 {
			bucket = (rec.Time - req.From) / req.Step
		}
		key += fmt.Sprint(bucket)
		x := want[key]
		want[key] = [2]uint64{x[0] + 1, x[1] + uint64(len(match.AppendLine(nil, &rec)))}
	}
	cells := 0
	for _, g := range got {
		key := ""
		for _, v := range g.Values {
			key += fmt.Sprintf("%q,", v)
		}
		for b, n := range g.Counts {
			if n == 0 {
				continue
			}
			cells++
			x := want[key+fmt.Sprint(b)]
			if x[0] != n || req.Sum && g.Bytes[b] != x[1] {
				t.Fatalf("count by %v where %v: group %v bucket %d = %d, want %v", req.By, req.Where, g.Values, b, n, x)
			}
		}
	}
	if cells != len(want) {
		t.Fatalf("count by %v where %v: %d cells, want %d", req.By, req.Where, cells, len(want))
	}
}

// TestModel appends, seals, reopens and asks in random order: every answer is
// that of a plain slice, whatever the sizes of blocks, cache and seals are.
func TestModel(t *testing.T) {
	for seed := range uint64(long(6, 24)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := mrand.New(mrand.NewPCG(seed, 1))
			l := manual()
			l.BlockRows = []int{1, 7, 64, 100, 16384}[r.IntN(5)]
			l.CacheBytes = []int64{-1, 10_000, 1 << 20}[r.IntN(3)]
			l.OpenSegments = 1 + r.IntN(5)
			s, f := newWorld(t, l)
			o := &oracle{}
			for range long(10, 20) {
				switch r.IntN(6) {
				case 0:
					if err := s.Seal(context.Background()); err != nil {
						t.Fatal(err)
					}
				case 1:
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					if err := s.o.Ledger.Close(); err != nil {
						t.Fatal(err)
					}
					s = openWorld(t, f, l)
				default:
					fill(t, r, s, o, 1+r.IntN(5), 30)
				}
				ask(t, r, s, o, 25)
			}
		})
	}
}

// TestMetamorphic asks stores of the same records, kept in different ways: all
// in memory, in one segment, in many of tiny blocks. All answer the same.
func TestMetamorphic(t *testing.T) {
	var first []string
	for i, l := range []Limits{{BlockRows: 16384}, {BlockRows: 16384}, {BlockRows: 3, CacheBytes: -1}} {
		l.SealAge = -1
		r := mrand.New(mrand.NewPCG(9, 9))
		s, _ := newWorld(t, l)
		o := &oracle{}
		for n := range 12 {
			fill(t, r, s, o, 1, 40)
			if i == 2 || i == 1 && n == 11 {
				if err := s.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		var answers []string
		q := mrand.New(mrand.NewPCG(10, 10))
		for range 100 {
			req := drawScan(q)
			if req.Order == AsStored {
				req.Order = Oldest
			}
			for _, rec := range scanAll(t, s, req) {
				// Checkpoints of the windows take seqs too: only the index is the same.
				rec.Ord &= 1<<20 - 1
				answers = append(answers, text(&rec))
			}
			answers = append(answers, "-")
		}
		if i == 0 {
			first = answers
		} else if !slices.Equal(first, answers) {
			t.Errorf("store %d answers otherwise", i)
		}
	}
}
