package segment

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

var update = flag.Bool("update", false, "write the golden segment anew")

// input draws one block of mesh-like records.
func input(r *rand.Rand, rows int, from uint64) *block.Input {
	in := &block.Input{Raw: int64(300 * rows)}
	var b record.Batch
	for i := range rows {
		in.Times = append(in.Times, 1_763_640_000_000_000_000+int64(from)*1e9+int64(i)*1e6)
		in.Ords = append(in.Ords, from<<block.OrdShift|uint64(i))
		in.Ingests = append(in.Ingests, 1_763_640_001_000_000_000+int64(from))
		b.Begin(0, "app")
		b.Str("service.name", []string{"cart", "checkout", "users"}[r.IntN(3)])
		b.Str("url.path", fmt.Sprintf("/api/v1/cart/%d", r.IntN(1e6)))
		b.Int("http.response.status_code", int64([]int{200, 404, 503}[r.IntN(3)]))
		b.Int("mesh.duration_ns", r.Int64N(1e9))
		b.Str("trace_id", fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()))
		if i%3 == 0 {
			b.Str(record.Body, fmt.Sprintf("upstream reset after %d attempts", r.IntN(9)))
		} else {
			b.Str("note", "first\nsecond")
		}
		if i%5 == 0 {
			b.Float("ratio", r.Float64())
			b.Bool("retried", r.IntN(2) == 0)
		}
		b.End()
	}
	in.Columns = b.Columns()
	return in
}

func testKey() *crypt.Key {
	k, err := crypt.KeyFromBytes(bytes.Repeat([]byte{7}, crypt.KeySize))
	if err != nil {
		panic(err)
	}
	return k
}

// nonces is a source of nonces that repeats only between runs.
type nonces struct{ n byte }

func (s *nonces) Read(p []byte) (int, error) {
	for i := range p {
		s.n++
		p[i] = s.n ^ byte(i)<<4
	}
	return len(p), nil
}

func write(t testing.TB, inputs ...*block.Input) ([]byte, *Summary) {
	t.Helper()
	var buf bytes.Buffer
	key := testKey()
	w, err := NewWriter(&buf, Meta{
		ID: ID{1, 2, 3}, Tenant: "default", Class: "app", Day: "2025-11-20", KeyID: "key-1", Key: key,
		Sealer: crypt.NewSealerWithNonces(key, &nonces{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range inputs {
		p, err := w.Prepare(i, in)
		if err == nil {
			err = w.Add(p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), sum
}

func keys(id string) (*crypt.Key, error) {
	if id != "key-1" {
		return nil, errors.New("no such key")
	}
	return testKey(), nil
}

func open(t testing.TB, data []byte, cache int64) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(data), int64(len(data)), keys, NewCache(cache))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// same holds every value of block b against what it was built from.
func same(t *testing.T, r *Reader, b int, in *block.Input) {
	t.Helper()
	h, err := r.Header(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	times, err := r.Load(b, TimeColumn, nil)
	if err != nil {
		t.Fatal(err)
	}
	origin, err := r.Load(b, OriginColumn, nil)
	if err != nil {
		t.Fatal(err)
	}
	ords, ingests := block.Origins(origin)
	for i := range in.Times {
		if int64(times.Nums[i]) != in.Times[i] || ords[i] != in.Ords[i] || int64(ingests[i]) != in.Ingests[i] {
			t.Fatalf("block %d row %d differs", b, i)
		}
	}
	for n, c := range in.Columns {
		if h.Columns[n].Name != c.Name {
			t.Fatalf("column %d is %s, want %s", n, h.Columns[n].Name, c.Name)
		}
		v, err := r.Load(b, n, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Rows {
			e := v.Entry(i)
			if v.Row(i) != int(c.Rows[i]) || c.Kind == record.String && !bytes.Equal(v.Bytes(e), c.Bytes(i)) || c.Kind != record.String && v.Nums[e] != c.Nums[i] {
				t.Fatalf("block %d column %s value %d differs", b, c.Name, i)
			}
		}
	}
}

func TestSegmentRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	ins := []*block.Input{input(r, 500, 1), input(r, 3, 2), input(r, 1200, 3)}
	data, sum := write(t, ins...)
	if sum.Size != int64(len(data)) || sum.Records != 1703 || sum.FirstOrd != 1<<20 || sum.LastOrd != 3<<20|1199 {
		t.Errorf("summary %+v of %d bytes", sum, len(data))
	}
	for _, cache := range []int64{0, 1 << 20} {
		rd := open(t, data, cache)
		if rd.Root() != sum.Root || rd.Records != sum.Records || len(rd.Blocks) != 3 || rd.Day != "2025-11-20" {
			t.Errorf("directory %+v", rd.Directory)
		}
		for b, in := range ins {
			same(t, rd, b, in)
			same(t, rd, b, in)
		}
		if used := rd.cache.Used(); used > cache {
			t.Errorf("cache holds %d bytes, limit %d", used, cache)
		}
	}
	if damage, err := chunkfile.Verify(bytes.NewReader(data), int64(len(data)), sum.Root); err != nil || len(damage) > 0 {
		t.Errorf("verify: %v %v", damage, err)
	}
}

func TestTokenIndexFindsWhatIsThere(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	ins := []*block.Input{input(r, 300, 1), input(r, 300, 2), input(r, 300, 3)}
	data, _ := write(t, ins...)
	rd := open(t, data, 0)
	probe := func(column, token string) uint64 {
		t.Helper()
		set := []uint64{1<<3 - 1}
		if err := rd.Probe(HashToken(token, Seed(column)), set, nil); err != nil {
			t.Fatal(err)
		}
		return set[0]
	}
	for b, in := range ins {
		for _, c := range in.Columns {
			if c.Name != "trace_id" {
				continue
			}
			for i := range c.Ends {
				if probe("trace_id", string(c.Bytes(i)))>>b&1 == 0 {
					t.Fatalf("block %d lost token %s", b, c.Bytes(i))
				}
			}
		}
	}
	wrong := 0
	for i := range 3000 {
		set := probe("trace_id", fmt.Sprintf("absent%d", i))
		wrong += int(set&1 + set>>1&1 + set>>2&1)
	}
	if wrong > 9000*2/100 {
		t.Errorf("%d false blocks of 9000", wrong)
	}
}

func TestWrongKeyOpensNothing(t *testing.T) {
	data, _ := write(t, input(rand.New(rand.NewPCG(3, 1)), 50, 1))
	_, err := Open(bytes.NewReader(data), int64(len(data)), func(string) (*crypt.Key, error) { return crypt.NewKey(), nil }, NewCache(0))
	if !fault.Is(err, fault.Tampered) {
		t.Errorf("open with another key: %v", err)
	}
}

// TestEveryFlippedByteIsNoticed flips each byte: the keyless check names it, and
// whatever the reader still gives is what was written.
func TestEveryFlippedByteIsNoticed(t *testing.T) {
	in := input(rand.New(rand.NewPCG(4, 1)), 60, 1)
	data, sum := write(t, in)
	for i := range data {
		data[i] ^= 0x40
		damage, err := chunkfile.Verify(bytes.NewReader(data), int64(len(data)), sum.Root)
		if err == nil && len(damage) == 0 {
			t.Fatalf("byte %d of %d flipped, not noticed", i, len(data))
		}
		if r, err := Open(bytes.NewReader(data), int64(len(data)), keys, NewCache(0)); err == nil {
			for n := TimeColumn; n < len(in.Columns); n++ {
				if _, err := r.Load(0, n, nil); err != nil && !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Tampered) {
					t.Fatalf("byte %d: error %v of kind %v", i, err, fault.KindOf(err))
				}
			}
			set := []uint64{1}
			n, _, err := r.Lookup(HashToken("reset", Seed(record.Body)), set, nil)
			if err == nil && (n != 1 || set[0] != 1) {
				t.Fatalf("byte %d: a token is lost", i)
			} else if err != nil && !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Tampered) {
				t.Fatalf("byte %d: error %v of kind %v", i, err, fault.KindOf(err))
			}
		}
		data[i] ^= 0x40
	}
}

// TestGolden reads a segment of every version. That of a released version is
// never written anew: it stays readable.
func TestGolden(t *testing.T) {
	f := func(name string, version uint16, seed uint64) {
		t.Helper()
		r := rand.New(rand.NewPCG(seed, 1))
		ins := []*block.Input{input(r, 200, 1), input(r, 80, 2)}
		name = "testdata/" + name
		if *update && version == Version {
			data, _ := write(t, ins...)
			if err := os.WriteFile(name, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cf, err := chunkfile.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil || cf.Header().Version != version {
			t.Fatalf("%s has version %d, want %d: %v", name, cf.Header().Version, version, err)
		}
		rd := open(t, data, 0)
		for b, in := range ins {
			same(t, rd, b, in)
		}
		findAll(t, rd, ins)
	}
	f("v1.seg", 1, 5)
	f("v2.seg", 2, 5)
	f("v3.seg", 3, 5)
}

// TestSameInputSameBytes writes twice under one key and one source of nonces.
func TestSameInputSameBytes(t *testing.T) {
	ins := func() []*block.Input {
		r := rand.New(rand.NewPCG(9, 1))
		return []*block.Input{input(r, 700, 1), input(r, 900, 2), input(r, 30, 3)}
	}
	a, _ := write(t, ins()...)
	b, _ := write(t, ins()...)
	if !bytes.Equal(a, b) {
		t.Error("two writers made different files of the same records")
	}
}

func FuzzOpen(f *testing.F) {
	data, _ := write(f, input(rand.New(rand.NewPCG(6, 1)), 20, 1))
	f.Add(data, 0, byte(0))
	f.Add(data, len(data)-50, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at int, x byte) {
		if at >= 0 && at < len(data) {
			data = bytes.Clone(data)
			data[at] ^= x
		}
		r, err := Open(bytes.NewReader(data), int64(len(data)), keys, NewCache(0))
		if err != nil {
			return
		}
		r.Probe(HashToken("reset", Seed(record.Body)), make([]uint64, (len(r.Blocks)+63)/64), nil)
		for b := range r.Blocks {
			if h, err := r.Header(b, nil); err == nil {
				for c := range h.Columns {
					r.Load(b, c, nil)
				}
			}
		}
	})
}

func FuzzDirectory(f *testing.F) {
	data, _ := write(f, input(rand.New(rand.NewPCG(7, 1)), 20, 1))
	r := open(f, data, 0)
	f.Add(r.Directory.encode())
	old, err := os.ReadFile("testdata/v1.seg")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(open(f, old, 0).Directory.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := decodeDirectory(data, Version)
		if err == nil {
			_, err = decodeDirectory(d.encode(), Version)
		}
		if err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatalf("error %v of kind %v", err, fault.KindOf(err))
		}
	})
}

func BenchmarkPrepare(b *testing.B) {
	in := input(rand.New(rand.NewPCG(8, 1)), 16_000, 1)
	w, err := NewWriter(&bytes.Buffer{}, Meta{Key: testKey(), KeyID: "key-1"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Prepare(0, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16_000), "ns/record")
}

// TestDictionaryVersions: a segment says under which versions of the dictionary its
// records were written, and so does what it is merged into; one of an earlier
// format does not.
func TestDictionaryVersions(t *testing.T) {
	made := func(from, to int, donors ...*Reader) *Reader {
		t.Helper()
		var buf bytes.Buffer
		w, err := NewWriter(&buf, Meta{ID: ID{byte(from), byte(to)}, Tenant: "acme", Class: "app", Day: "2026-11-20", KeyID: "key-1", Key: testKey(), MinSchema: from, MaxSchema: to})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range donors {
			if err := w.Relocate(r, 0); err != nil {
				t.Fatal(err)
			}
		}
		if len(donors) == 0 {
			p, err := w.Prepare(0, input(rand.New(rand.NewPCG(3, 1)), 20, 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		sum, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		r := open(t, buf.Bytes(), 0)
		if sum.MinSchema != r.MinSchema || sum.MaxSchema != r.MaxSchema {
			t.Errorf("the summary says %d to %d, the file %d to %d", sum.MinSchema, sum.MaxSchema, r.MinSchema, r.MaxSchema)
		}
		return r
	}
	check := func(r *Reader, from, to int) {
		t.Helper()
		if r.MinSchema != from || r.MaxSchema != to {
			t.Errorf("%d to %d, want %d to %d", r.MinSchema, r.MaxSchema, from, to)
		}
	}
	three, five := made(3, 3), made(5, 5)
	check(three, 3, 3)
	check(made(1, 9, three, five), 3, 5) // it prepared nothing itself
	data, err := os.ReadFile("testdata/v2.seg")
	if err != nil {
		t.Fatal(err)
	}
	old := open(t, data, 0)
	check(old, 0, 0)
	check(made(9, 9, five, old), 0, 5)
}
