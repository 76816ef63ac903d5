package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// findAll looks for every token of the blocks that r must have been made of.
func findAll(t testing.TB, r *Reader, ins []*block.Input) {
	t.Helper()
	set := make([]uint64, (len(r.Blocks)+63)/64)
	for b, in := range ins {
		for _, c := range in.Columns {
			if c.Kind != record.String {
				continue
			}
			seed := Seed(c.Name)
			for i := range c.Ends {
				Tokens(string(c.Bytes(i)), WholeEnd, WholeEnd, func(tok string) {
					for i := range r.Blocks {
						set[i/64] |= 1 << (i % 64)
					}
					n, _, err := r.Lookup(HashToken(tok, seed), set, nil)
					if err != nil {
						t.Fatal(err)
					}
					if set[b/64]>>(b%64)&1 == 0 || n == 0 {
						t.Fatalf("block %d lost token %s of %s", b, tok, c.Name)
					}
				})
			}
		}
	}
}

func newTestWriter(t testing.TB, id byte) (*Writer, *bytes.Buffer) {
	t.Helper()
	buf, key := new(bytes.Buffer), testKey()
	w, err := NewWriter(buf, Meta{
		ID: ID{id}, Tenant: "default", Class: "app", Day: "2025-11-20", KeyID: "key-1", Key: key,
		Sealer: crypt.NewSealerWithNonces(key, &nonces{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, buf
}

// TestRelocate merges segments, of both versions and of merged ones, leaves
// blocks out, mixes in new ones and changes the order: every record and every
// token is there, under the new number.
func TestRelocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 1))
	old, err := os.ReadFile("testdata/v1.seg")
	if err != nil {
		t.Fatal(err)
	}
	golden := rand.New(rand.NewPCG(5, 1))
	all := [][]*block.Input{{input(golden, 200, 1), input(golden, 80, 2)}}
	readers := []*Reader{open(t, old, 0)}
	for range 4 {
		ins := []*block.Input{}
		for range 1 + rng.IntN(4) {
			ins = append(ins, input(rng, 1+rng.IntN(120), rng.Uint64N(1e6)))
		}
		data, _ := write(t, ins...)
		all, readers = append(all, ins), append(readers, open(t, data, 0))
	}
	type ref struct{ r, b int }
	for round := range 4 {
		var order []ref
		for r := range readers {
			for b := range all[r] {
				order = append(order, ref{r, b})
			}
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		order = order[:1+rng.IntN(len(order))]
		w, buf := newTestWriter(t, byte(100+round))
		var want []*block.Input
		for _, o := range order {
			if rng.IntN(4) == 0 {
				fresh := input(rng, 1+rng.IntN(50), 7)
				p, err := w.Prepare(len(want), fresh)
				if err == nil {
					err = w.Add(p)
				}
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, fresh)
			}
			if err := w.Relocate(readers[o.r], o.b); err != nil {
				t.Fatal(err)
			}
			want = append(want, all[o.r][o.b])
		}
		sum, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		out := open(t, buf.Bytes(), 1<<20)
		records := uint64(0)
		for b, in := range want {
			same(t, out, b, in)
			records += uint64(len(in.Times))
		}
		findAll(t, out, want)
		checkColumns(t, out, want)
		if sum.Records != records || len(out.Blocks) != len(want) {
			t.Errorf("%d records in %d blocks, want %d in %d", sum.Records, len(out.Blocks), records, len(want))
		}
		readers, all = append(readers, out), append(all, want)
	}
}

// checkColumns holds the columns of a directory against the records.
func checkColumns(t *testing.T, r *Reader, ins []*block.Input) {
	t.Helper()
	for i := range r.Columns {
		c := &r.Columns[i]
		values := 0
		for b, in := range ins {
			has := false
			for _, x := range in.Columns {
				if x.Name == c.Name && x.Kind == c.Kind {
					has = len(x.Rows) > 0
					values += len(x.Rows)
					if c.Kind != record.Int {
						continue
					}
					for _, v := range x.Nums {
						if int64(v) < int64(c.Min) || int64(v) > int64(c.Max) {
							t.Errorf("column %s has %d, outside of its bounds", c.Name, int64(v))
						}
					}
				}
			}
			if has != c.In(b) {
				t.Errorf("column %s in block %d: %v", c.Name, b, c.In(b))
			}
		}
		if uint64(values) != c.Values {
			t.Errorf("column %s has %d values, want %d", c.Name, c.Values, values)
		}
	}
}

// TestRelocateRefuses offers a block of another key, a block twice, and blocks
// with any bit of them changed.
func TestRelocateRefuses(t *testing.T) {
	in := input(rand.New(rand.NewPCG(11, 1)), 40, 1)
	data, _ := write(t, in)
	w, err := NewWriter(new(bytes.Buffer), Meta{KeyID: "key-1", Key: crypt.NewKey()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Relocate(open(t, data, 0), 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("a block of another key: %v", err)
	}
	r := open(t, data, 0)
	w, _ = newTestWriter(t, 9)
	if err := w.Relocate(r, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Relocate(r, 0); !fault.Is(err, fault.Internal) {
		t.Errorf("a block twice: %v", err)
	}
	for at := int(r.Blocks[0].Offset); at < int(r.index.at); at++ {
		data[at] ^= 1
		w, _ := newTestWriter(t, 9)
		if err := w.Relocate(open(t, data, 0), 0); !fault.Is(err, fault.Tampered) {
			t.Fatal(fmt.Errorf("byte %d changed: %w", at, err))
		}
		data[at] ^= 1
	}
}

// TestSmallSegmentsDoNotShortenHashes merges a large segment with tiny ones,
// whose short hashes must not become those of the whole: tokens that are not
// there would be found everywhere.
func TestSmallSegmentsDoNotShortenHashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 1))
	var want []*block.Input
	w, buf := newTestWriter(t, 50)
	for i, rows := range []int{3, 900, 3, 5, 900} {
		in := input(rng, rows, uint64(i+1))
		if rows < 10 {
			in = restInput(rng, rows, uint64(i+1), "user-1", fmt.Sprint("only-", i))
		}
		data, _ := write(t, in)
		if err := w.Relocate(open(t, data, 0), 0); err != nil {
			t.Fatal(err)
		}
		want = append(want, in)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	out := open(t, buf.Bytes(), 1<<20)
	findAll(t, out, want)
	checkRests(t, out, want...)
	if n := bitsFor(out.index.pairs); out.index.bits < n-1 {
		t.Errorf("hashes of %d bits for %d pairs, want %d or one less", out.index.bits, out.index.pairs, n)
	}
	found := 0
	for i := range 3000 {
		set := []uint64{31}
		n, of, err := out.Lookup(HashToken(fmt.Sprint("absent-", i), Seed("trace_id")), set, nil)
		if err != nil || of != 5 {
			t.Fatal(of, err)
		}
		found += n
	}
	if found > 3000/8 {
		t.Errorf("%d blocks found for 3000 tokens that are not there", found)
	}
}

// TestTablesMergeUndecoded merges segments of about one size: none is read for
// its tokens.
func TestTablesMergeUndecoded(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 1))
	w, _ := newTestWriter(t, 51)
	for i := range 12 {
		data, _ := write(t, input(rng, 200+20*i, uint64(i+1)))
		if err := w.Relocate(open(t, data, 0), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.settleDonors(); err != nil {
		t.Fatal(err)
	}
	for i, in := range w.donors {
		if !in.table {
			t.Errorf("segment %d, of %d bits, was read for its tokens", i, in.r.index.bits)
		}
	}
}
