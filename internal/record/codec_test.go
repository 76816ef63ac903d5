package record

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/wire"
)

func mustDecode(t *testing.T, data []byte, into *Batch) {
	t.Helper()
	if err := Decode(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	var back Batch // keeps the memory and the columns of all batches before
	var buf []byte
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		b, model := filled(rng, rng.IntN(60))
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		buf = b.AppendEncoded(append(buf[:0], "prefix"...))
		mustDecode(t, buf[len("prefix"):], &back)
		compare(t, &back, model)
		if back.ID != b.ID || back.Tenant != b.Tenant || back.Source != b.Source ||
			back.Ingest != b.Ingest || !reflect.DeepEqual(back.Account, b.Account) || back.Ord != 0 {
			t.Fatalf("decoded %+v, want %+v", back, b)
		}
		if again := back.AppendEncoded(nil); !bytes.Equal(again, buf[len("prefix"):]) {
			t.Fatal("the decoded batch has another encoding")
		}
		if n := len(b.appendBody(nil)); n > b.Size() {
			t.Fatalf("the body has %d bytes, Size said at most %d", n, b.Size())
		}
		for i := range b.Len() { // the order of fields is kept too
			if got, want := fieldNames(&back, i), fieldNames(b, i); got != want {
				t.Fatalf("fields %s, want %s", got, want)
			}
		}
		compare(t, b, model) // encoding changes nothing
	}
}

func fieldNames(b *Batch, i int) string {
	var out []string
	for _, f := range b.Record(i).Fields {
		out = append(out, fmt.Sprint(f.Name, f.Value.Kind))
	}
	return strings.Join(out, " ")
}

func TestCheckRefuses(t *testing.T) {
	refused := func(name string, kind fault.Kind, change func(b *Batch)) {
		t.Helper()
		b, _ := filled(rand.New(rand.NewPCG(1, 1)), 5)
		change(b)
		if err := b.Check(); !fault.Is(err, kind) {
			t.Errorf("%s: got %v, want %v", name, err, kind)
		}
	}
	long := strings.Repeat("x", 300)
	refused("open record", fault.Invalid, func(b *Batch) { b.Begin(1, "ops") })
	refused("tenant", fault.Invalid, func(b *Batch) { b.Tenant = "../etc" })
	refused("no source", fault.Invalid, func(b *Batch) { b.Source = "" })
	refused("long source", fault.Invalid, func(b *Batch) { b.Source = long })
	refused("long origin", fault.Invalid, func(b *Batch) { b.ID.Origin = long })
	refused("class", fault.Invalid, func(b *Batch) { b.SetClassAt(0, "Ops!") })
	refused("field name", fault.Invalid, func(b *Batch) { b.Begin(1, "ops"); b.Int(long, 1); b.End() })
	refused("no field name", fault.Invalid, func(b *Batch) { b.Begin(1, "ops"); b.Int("", 1); b.End() })
	refused("count name", fault.Invalid, func(b *Batch) { b.Account.Dropped[0].Name = long })
	refused("count overflow", fault.Invalid, func(b *Batch) { b.Account.Dropped[0].N = 1<<64 - 1 })
	refused("more lost than received", fault.Invalid, func(b *Batch) { b.Account.Received = 13 })
	refused("counts", fault.Invalid, func(b *Batch) { b.Account.Rejected = make([]Count, MaxCounts+1) })
	refused("body", fault.TooLarge, func(b *Batch) {
		b.Begin(1, "ops")
		b.StrBytes("body", make([]byte, MaxBody))
		b.End()
	})
	refused("columns", fault.TooLarge, func(b *Batch) {
		b.Begin(1, "ops")
		for i := range MaxColumns + 1 {
			b.Bool(fmt.Sprint(i), true)
		}
		b.End()
	})
	refused("rows", fault.TooLarge, func(b *Batch) {
		for range MaxRows + 1 {
			b.Begin(1, "ops")
			b.End()
		}
	})
}

func TestDecodeDamage(t *testing.T) {
	b, _ := filled(rand.New(rand.NewPCG(3, 3)), 30)
	data := b.AppendEncoded(nil)
	var into Batch
	corrupt := func(name string, data []byte) {
		t.Helper()
		if err := Decode(data, &into); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: got %v, want corrupt", name, err)
		}
		if into.Len() != 0 || into.Tenant != "" || len(into.Account.Rejected) != 0 {
			t.Errorf("%s: the batch is not empty", name)
		}
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		corrupt(fmt.Sprintf("byte %d flipped", i), bad)
		corrupt(fmt.Sprintf("cut to %d", i), data[:i])
	}
	corrupt("a byte appended", append(bytes.Clone(data), 0))
	corrupt("next version", append([]byte("MTB\x02"), data[4:]...))
	mustDecode(t, data, &into) // and all is well again
}

// pack wraps a hand-made body as AppendEncoded does.
func pack(body []byte) []byte {
	packed := s2.Encode(nil, body)
	out := append([]byte(batchMagic), batchVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(packed)))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(body, crcTable))
	out = append(out, packed...)
	return append(out, make([]byte, padding(len(body), len(packed)))...)
}

// hostile returns the body of a batch of n records of class ops up to where the
// columns start, with this many columns announced.
func hostile(n, columns int) *wire.Writer {
	w := &wire.Writer{}
	for _, s := range []string{"t", "s", ""} {
		w.String(s)
	}
	for range 7 { // epoch, seq, ingest, received, deduplicated, rejected, dropped
		w.U8(0)
	}
	w.Uvarint(uint64(n))
	w.Uvarint(1)
	w.String("ops")
	for range n {
		w.Varint(1)
	}
	w.Uvarint(uint64(columns))
	return w
}

func TestDecodeHostileBodies(t *testing.T) {
	var into Batch
	refused := func(name, want string, body []byte) {
		t.Helper()
		err := Decode(pack(body), &into)
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want corrupt with %q", name, err, want)
		}
	}
	column := func(w *wire.Writer, name string, kind Kind, flag uint8, rest ...byte) []byte {
		w.String(name)
		w.U8(uint8(kind))
		w.U8(flag)
		w.Raw(rest)
		return w.B
	}
	accepted := column(hostile(2, 1), "a", Bool, dense, 0, 1)
	if err := Decode(pack(accepted), &into); err != nil {
		t.Fatal(err)
	}
	pad := bytes.Repeat([]byte{0}, 40)
	refused("trailing byte", "too many", append(accepted, 0))
	refused("no name", "no name", column(hostile(2, 1), "", Bool, dense, 0, 1))
	refused("long name", "length 257", column(hostile(2, 1), strings.Repeat("x", 257), Bool, dense, 0, 1))
	refused("kind 0", "unknown", column(hostile(2, 1), "a", 0, dense, 0, 1))
	refused("kind 5", "unknown", column(hostile(2, 1), "a", 5, dense, 0, 1))
	refused("flag 2", "flag 2", column(hostile(2, 1), "a", Bool, 2, 0, 1))
	refused("neither", "neither true nor false", column(hostile(2, 1), "a", Bool, dense, 0, 2))
	refused("dense called sparse", "says it has not", column(hostile(2, 1), "a", Bool, sparse, 2, 0, 0, 1, 1))
	refused("empty column", "0 values", column(hostile(2, 1), "a", Bool, sparse, 0))
	refused("row beyond", "record 2 of 2", column(hostile(2, 1), "a", Bool, sparse, 1, 2, 1))
	refused("row far beyond", "is more than", column(hostile(2, 1), "a", Bool, sparse, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1))
	refused("more rows than records", "elements", column(hostile(2, 1), "a", Bool, sparse, append([]byte{3}, pad...)...))
	refused("lying string", "bytes wanted", column(hostile(2, 1), "a", String, dense, 1, 100, 'x'))
	refused("huge string", "is more than", column(hostile(2, 1), "a", String, dense, 1, 0xff, 0xff, 0xff, 0xff, 0x0f))
	refused("lying columns", "elements", hostile(2, 60000).B)
	refused("too many columns", "elements", hostile(2, MaxColumns+1).B)
	refused("dense without values", "2 values", column(hostile(2, 1), "a", Int, dense))
	twice := hostile(2, 2)
	column(twice, "a", Bool, dense, 0, 1)
	refused("column twice", "twice", column(twice, "a", Bool, dense, 0, 1))
}

// A few bytes may not make a decoder take much memory.
func TestDecodeTakesBoundedMemory(t *testing.T) {
	check := func(name string, data []byte, limit uint64) {
		t.Helper()
		const runs = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			var into Batch
			Decode(data, &into)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > limit {
			t.Errorf("%s: %d bytes of input took %d bytes of memory, limit %d", name, len(data), got, limit)
		}
	}
	lying := pack([]byte("x"))
	binary.LittleEndian.PutUint32(lying[4:], MaxBody)
	check("header tells of 64 MiB", lying, 4<<10)
	lying = append(lying, make([]byte, 100)...)
	binary.LittleEndian.PutUint32(lying[8:], uint32(len(lying)-headerSize))
	copy(lying[headerSize:], binary.AppendUvarint(nil, MaxBody))
	check("s2 tells of 64 MiB", lying, 64<<10)
	// A body of nothing packs well, and is padded to a 256th of its size.
	bomb := pack(make([]byte, 1<<20))
	if len(bomb) < 1<<20/maxRatio {
		t.Errorf("1 MiB packed in %d bytes", len(bomb))
	}
	check("bomb", bomb, 2<<20)
}

func TestWellPackingBatchIsPadded(t *testing.T) {
	var b, back Batch
	b.Tenant, b.Source = "t", "s"
	for range 5000 {
		b.Begin(0, "ops")
		b.Str("body", strings.Repeat("a", 500))
		b.End()
	}
	data := b.AppendEncoded(nil)
	if len(data) > 12_000 {
		t.Errorf("2.5 MB of one letter take %d bytes", len(data))
	}
	mustDecode(t, data, &back)
	if back.Len() != 5000 {
		t.Errorf("%d records", back.Len())
	}
	data[len(data)-1] = 1
	if err := Decode(data, &back); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "padding") {
		t.Errorf("changed padding: %v", err)
	}
}

// goldenBatch is the batch of spec/vectors/batch-1.bin. Its content is spelled
// out in batch-1.json for readers in other languages.
func goldenBatch() *Batch {
	b := &Batch{
		ID: BatchID{Origin: "agent-1", Epoch: 2, Seq: 300}, Tenant: "default", Source: "elastic",
		Ingest: 1_700_000_000_000_000_000,
		Account: Account{Received: 7, Deduplicated: 1,
			Rejected: []Count{{"bad_json", 1}}, Dropped: []Count{{"health-checks", 2}}},
	}
	b.Begin(1_699_999_999_000_000_000, "ops")
	b.Str("body", "GET /cart 200")
	b.Int("http.response.status_code", 200)
	b.Float("ratio", 0.5)
	b.End()
	b.Begin(1_700_000_000_000_000_001, "audit")
	b.Str("body", "")
	b.Bool("mesh.mtls", true)
	b.End()
	b.Begin(-1, "ops")
	b.Str("body", "naïve \x00")
	b.Int("http.response.status_code", -1)
	b.Bool("mesh.mtls", false)
	b.End()
	return b
}

func TestBatchGolden(t *testing.T) {
	dir := filepath.Join("..", "..", "spec", "vectors")
	b := goldenBatch()
	data := b.AppendEncoded(nil)
	var records []Record
	for i := range b.Len() {
		records = append(records, b.Record(i))
	}
	text, err := json.MarshalIndent(map[string]any{
		"tenant": b.Tenant, "source": b.Source, "id": b.ID, "ingest": b.Ingest,
		"account": b.Account, "records": records}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{
		"batch-1.bin": data, "batch-1.body": b.appendBody(nil), "batch-1.json": append(text, '\n'),
	} {
		path := filepath.Join(dir, name)
		if os.Getenv("MESHTRAIL_UPDATE") != "" {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name == "batch-1.bin" { // another release may pack better, and MUST still read it
			var back Batch
			mustDecode(t, want, &back)
			got, want = back.appendBody(nil), b.appendBody(nil)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what this program writes", path)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(goldenBatch().AppendEncoded(nil))
	f.Add(pack(hostile(3, 0).B))
	f.Add([]byte("MTB\x01\x00\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if err := Decode(data, &b); err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatal(err)
		}
	})
}

// FuzzDecodeBody starts behind the checksum, which no fuzzer gets past.
func FuzzDecodeBody(f *testing.F) {
	f.Add(goldenBatch().appendBody(nil))
	f.Add(hostile(3, 0).B)
	for seed := range uint64(5) {
		b, _ := filled(rand.New(rand.NewPCG(seed, 9)), 4)
		f.Add(b.appendBody(nil))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b Batch
		if err := b.decodeBody(body); err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if err := b.Check(); err != nil {
			t.Fatalf("decoded, but %v", err)
		}
		if again := b.appendBody(nil); !bytes.Equal(again, body) {
			t.Fatalf("one batch, two encodings:\n%x\n%x", body, again)
		}
		for i := range b.Len() {
			b.Record(i)
		}
	})
}

func TestEncodingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	b := meshBatch(&Batch{})
	buf := b.AppendEncoded(nil)
	if n := testing.AllocsPerRun(20, func() { buf = b.AppendEncoded(buf[:0]) }); n >= 1 {
		t.Errorf("%v allocations to encode into a used buffer, want 0", n)
	}
	var back Batch
	mustDecode(t, buf, &back)
	// Tenant, source and class are new strings, and the Reader is one object.
	if n := testing.AllocsPerRun(20, func() { mustDecode(t, buf, &back) }); n > 6 {
		t.Errorf("%v allocations to decode %d records, want a few", n, back.Len())
	}
}

func BenchmarkEncode(b *testing.B) {
	batch := meshBatch(&Batch{})
	buf := batch.AppendEncoded(nil)
	b.SetBytes(int64(len(batch.appendBody(nil))))
	b.ReportAllocs()
	for b.Loop() {
		buf = batch.AppendEncoded(buf[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/meshRecords, "ns/record")
	b.ReportMetric(float64(len(buf))/meshRecords, "B/record")
}

func BenchmarkDecode(b *testing.B) {
	batch := meshBatch(&Batch{})
	data := batch.AppendEncoded(nil)
	b.SetBytes(int64(len(batch.appendBody(nil))))
	b.ReportAllocs()
	for b.Loop() {
		if err := Decode(data, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/meshRecords, "ns/record")
}
