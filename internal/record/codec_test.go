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
	testDamage(t, b.AppendEncoded(nil))
	testDamage(t, packV1(bodyV1(b)))
}

func testDamage(t *testing.T, data []byte) {
	t.Helper()
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
	corrupt("next version", append([]byte("MTB\x03"), data[4:]...))
	corrupt("the other version", append([]byte{'M', 'T', 'B', 3 - data[3]}, data[4:]...))
	mustDecode(t, data, &into) // and all is well again
}

// bodyV1 is the body of version 1, which nobody writes any more.
func bodyV1(b *Batch) []byte {
	plain := &Batch{}
	for i := range b.Len() {
		r := b.Record(i)
		plain.AddRecord(&r)
	}
	plain.ID, plain.Tenant, plain.Source, plain.Ingest, plain.Account = b.ID, b.Tenant, b.Source, b.Ingest, b.Account
	w := wire.Writer{}
	columns := plain.cols
	plain.cols = nil
	w.B = plain.appendBody(nil)
	w.B = w.B[:len(w.B)-1] // no columns
	w.Uvarint(uint64(len(columns)))
	for _, c := range columns {
		w.String(c.Name)
		w.U8(uint8(c.Kind))
		if len(c.Rows) == b.Len() {
			w.U8(dense)
		} else {
			w.U8(sparse)
			w.Uvarint(uint64(len(c.Rows)))
			next := uint32(0)
			for _, row := range c.Rows {
				w.Uvarint(uint64(row - next))
				next = row + 1
			}
		}
		if c.Kind == String {
			c.putStrings(&w, false)
		} else {
			c.putNums(&w)
		}
	}
	return w.B
}

// wrap makes a batch of version 2 of a hand-made body.
func wrap(body []byte, stand int) []byte {
	out := append([]byte(batchMagic), 2)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, uint32(stand))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(body, crcTable))
	out = append(out, body...)
	return append(out, make([]byte, padding(stand, len(body)))...)
}

// packV1 makes a batch of version 1 of a hand-made body.
func packV1(body []byte) []byte {
	packed := s2.Encode(nil, body)
	out := append([]byte(batchMagic), 1)
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
		err := Decode(packV1(body), &into)
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
	if err := Decode(packV1(accepted), &into); err != nil {
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

func TestDecodeHostileForms(t *testing.T) {
	var into Batch
	try := func(n, stand int, kind Kind, density, form uint8, rest ...byte) error {
		w := hostile(n, 1)
		w.String("a")
		w.Raw([]byte{byte(kind), density, form})
		w.Raw(rest)
		return Decode(wrap(w.B, stand), &into)
	}
	accepted := func(name, want string, n, stand int, kind Kind, density, form uint8, rest ...byte) {
		t.Helper()
		if err := try(n, stand, kind, density, form, rest...); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		var got []string
		for i := range n {
			r := into.Record(i)
			if v, ok := r.Get("a"); ok {
				got = append(got, v.Text())
			}
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	refused := func(name, want string, n, stand int, kind Kind, density, form uint8, rest ...byte) {
		t.Helper()
		if err := try(n, stand, kind, density, form, rest...); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want corrupt with %q", name, err, want)
		}
	}
	accepted("plain", "x,y", 2, 18, String, dense, formPlain, 1, 1, 'x', 'y')
	accepted("constant", "x,x,x", 3, 27, String, dense, formConstant, 1, 'x')
	accepted("constant number", "-1,-1", 2, 16, Int, dense, formConstant, 1)
	accepted("constant truth", "true,true", 2, 16, Bool, dense, formConstant, 1)
	accepted("sparse constant", "x,x", 3, 18, String, sparse, formConstant, 2, 0, 1, 1, 'x')
	accepted("dictionary", "x,y,x", 3, 27, String, dense, formDictionary, 2, 1, 1, 'x', 'y', 0, 1, 0)
	accepted("numbers", "1,2,1", 3, 24, Int, dense, formDictionary, 2, 2, 2, 0, 1, 0)
	refused("stands for more", "bytes less than its header says", 3, 28, String, dense, formConstant, 1, 'x')
	refused("stands for less", "said to have", 3, 26, String, dense, formConstant, 1, 'x')
	refused("fewer values", "said to have", 3, 16, String, dense, formConstant, 1, 'x')
	refused("constant of one", "form 1", 1, 9, String, dense, formConstant, 1, 'x')
	refused("form 4", "form 4", 2, 18, String, dense, 4, 1, 1, 'x', 'y')
	refused("packed numbers", "form 3", 2, 16, Int, dense, formPacked, 1, 1)
	refused("dictionary of truth", "form 2", 2, 16, Bool, dense, formDictionary, 2, 0, 1, 0, 1)
	refused("dictionary of one", "dictionary of 1", 3, 27, String, dense, formDictionary, 1, 1, 'x', 0, 0, 0)
	refused("more entries than values", "elements", 2, 18, String, dense, formDictionary, 3, 1, 1, 1, 'x', 'y', 'z', 0, 1)
	refused("entry twice", "twice", 3, 27, String, dense, formDictionary, 2, 1, 1, 'x', 'x', 0, 1, 0)
	refused("number twice", "twice", 3, 24, Int, dense, formDictionary, 2, 2, 0, 0, 1, 0)
	refused("entry out of order", "number 1 behind 0", 3, 27, String, dense, formDictionary, 2, 1, 1, 'x', 'y', 1, 0, 0)
	refused("entry of no value", "uses 1 of 2", 3, 27, String, dense, formDictionary, 2, 1, 1, 'x', 'y', 0, 0, 0)
	refused("number beyond", "number 2 behind 2", 3, 27, String, dense, formDictionary, 2, 1, 1, 'x', 'y', 0, 1, 2)
	packed := s2.Encode(nil, bytes.Repeat([]byte("x"), 100))
	lengths := append([]byte{60, 40, byte(len(packed))}, packed...)
	accepted("packed", strings.Repeat("x", 60)+","+strings.Repeat("x", 40), 2, 116, String, dense, formPacked, lengths...)
	refused("packed of other length", "do not unpack", 2, 115, String, dense, formPacked, append([]byte{59}, lengths[1:]...)...)
	refused("packed and not smaller", "is more than", 2, 18, String, dense, formPacked, 1, 1, 2, 'x', 'y')
}

// TestCollidingValues holds the search for a value to a bound.
func TestCollidingValues(t *testing.T) {
	n := &numberer{}
	n.begin(64)
	for i := range n.slots { // no slot is free, and none is the value's
		n.slots[i] = 7<<32 | uint64(n.gen+1)
	}
	c := &Column{Kind: String}
	for i := range 100 {
		c.Rows, c.Data = append(c.Rows, uint32(i)), append(c.Data, byte(i%2))
		c.Ends = append(c.Ends, uint32(i+1))
	}
	if n.strings(c); len(c.Entries) != 0 {
		t.Errorf("%d entries in a table that is full", len(c.Entries))
	}
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
	lying := packV1([]byte("x"))
	binary.LittleEndian.PutUint32(lying[4:], MaxBody)
	check("header tells of 64 MiB", lying, 4<<10)
	lying = append(lying, make([]byte, 100)...)
	binary.LittleEndian.PutUint32(lying[8:], uint32(len(lying)-headerSize))
	copy(lying[headerSize:], binary.AppendUvarint(nil, MaxBody))
	check("s2 tells of 64 MiB", lying, 64<<10)
	// A body of nothing packs well, and is padded to a 256th of its size.
	bomb := packV1(make([]byte, 1<<20))
	if len(bomb) < 1<<20/maxRatio {
		t.Errorf("1 MiB packed in %d bytes", len(bomb))
	}
	check("bomb", bomb, 2<<20)
	// A constant of 1 MiB that says it stands for less than it would.
	w := hostile(1000, 1)
	w.String("a")
	w.Raw([]byte{byte(String), dense, formConstant})
	w.Bytes(make([]byte, 1<<20))
	check("constant", wrap(w.B, 2<<20), 64<<10)
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

// goldenForms is the batch of spec/vectors/batch-2.bin: a column of each form.
func goldenForms() *Batch {
	b := &Batch{
		ID: BatchID{Origin: "agent-1", Epoch: 2, Seq: 303}, Tenant: "default", Source: "elastic",
		Ingest: 1_700_000_000_000_000_000, Account: Account{Received: 80},
	}
	for i := range 80 {
		b.Begin(1_699_999_999_000_000_000+int64(i), "ops")
		b.Str("mesh.type", "istio")
		b.Str("service.name", []string{"cart", "checkout", "users"}[i*i%3])
		b.Str("trace_id", fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15))
		b.Str("body", fmt.Sprint("elected rate cache after ", i, " attempts: the leader of the next term is not known yet"))
		b.Int("http.response.status_code", int64([]int{200, 404}[i%2]))
		b.Int("mesh.duration_ns", int64(i*i)*7919)
		b.Bool("mesh.mtls", true)
		if i%4 == 3 {
			b.Float("ratio", float64(i)/8)
		}
		b.End()
	}
	return b
}

// content spells a batch out.
func content(t *testing.T, b *Batch) []byte {
	t.Helper()
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
	return append(text, '\n')
}

// TestBatchGolden reads the files of every version. Another release may choose
// other forms, and MUST still read them.
func TestBatchGolden(t *testing.T) {
	file := func(name string, update func() []byte) []byte {
		t.Helper()
		path := filepath.Join("..", "..", "spec", "vectors", name)
		if update != nil && os.Getenv("MESHTRAIL_UPDATE") != "" {
			if err := os.WriteFile(path, update(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var back Batch
	mustDecode(t, file("batch-1.bin", nil), &back)
	if got, want := bodyV1(&back), file("batch-1.body", nil); !bytes.Equal(got, want) {
		t.Error("batch-1.bin is not batch-1.body")
	}
	if !bytes.Equal(content(t, &back), content(t, goldenBatch())) || !bytes.Equal(content(t, &back), file("batch-1.json", nil)) {
		t.Error("batch-1.bin is not what batch-1.json says")
	}
	b, back := goldenForms(), Batch{}
	mustDecode(t, file("batch-2.bin", func() []byte { return b.AppendEncoded(nil) }), &back)
	if !bytes.Equal(content(t, &back), content(t, b)) || !bytes.Equal(content(t, &back), file("batch-2.json", func() []byte { return content(t, b) })) {
		t.Error("batch-2.bin is not what batch-2.json says")
	}
	if got := b.AppendEncoded(nil); !bytes.Equal(got, file("batch-2.bin", nil)) {
		t.Error("batch-2.bin is not what this program writes")
	}
	forms := map[uint8]bool{}
	for _, c := range b.Columns() {
		forms[c.form()] = true
	}
	if len(forms) != 4 {
		t.Errorf("the golden batch has columns of the forms %v only", forms)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(goldenBatch().AppendEncoded(nil))
	f.Add(goldenForms().AppendEncoded(nil))
	f.Add(packV1(hostile(3, 0).B))
	f.Add([]byte("MTB\x01\x00\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if err := Decode(data, &b); err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatal(err)
		}
	})
}

// FuzzDecodeBody starts behind the checksum, which no fuzzer gets past. What the
// body stands for is taken from what it turned out to be.
func FuzzDecodeBody(f *testing.F) {
	add := func(b *Batch) {
		f.Add(bodyV1(b), uint8(1))
		b.Number()
		f.Add(b.appendBody(nil), uint8(2))
	}
	add(goldenBatch())
	add(goldenForms())
	f.Add(hostile(3, 0).B, uint8(1))
	for seed := range uint64(5) {
		b, _ := filled(rand.New(rand.NewPCG(seed, 9)), 4)
		add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte, version uint8) {
		if version != 1 {
			version = 2
		}
		const limit = 1 << 20
		var b Batch
		err := b.decodeBody(body, version, limit)
		if stand := b.stand(); err != nil && version == 2 && stand < limit {
			b.Reset()
			err = b.decodeBody(body, version, stand)
		}
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if err := b.Check(); err != nil {
			t.Fatalf("decoded, but %v", err)
		}
		if version == 1 && !bytes.Equal(bodyV1(&b), body) {
			t.Fatalf("one batch, two encodings:\n%x\n%x", body, bodyV1(&b))
		}
		numbered(t, &b)
		var back Batch
		mustDecode(t, b.AppendEncoded(nil), &back)
		if got, want := fmt.Sprint(back.Len(), recordsOf(&back)), fmt.Sprint(b.Len(), recordsOf(&b)); got != want {
			t.Fatalf("decoded again %s, want %s", got, want)
		}
	})
}

func recordsOf(b *Batch) (out []Record) {
	for i := range b.Len() {
		out = append(out, b.Record(i))
	}
	return out
}

// numbered checks the numbers of a batch's columns against their values.
func numbered(t *testing.T, b *Batch) {
	t.Helper()
	for _, c := range b.Columns() {
		if len(c.Entries) == 0 {
			continue
		}
		if len(c.Entries) == 1 != (len(c.Codes) == 0) || len(c.Entries) > 1 && len(c.Codes) != len(c.Rows) {
			t.Fatalf("column %s of %d values has %d entries and %d codes", c.Name, len(c.Rows), len(c.Entries), len(c.Codes))
		}
		used := 0
		for i := range c.Rows {
			e := 0
			if len(c.Codes) > 0 {
				e = int(c.Codes[i])
			}
			if used = max(used, e+1); e == used-1 && c.Entries[e] > uint32(i) {
				t.Fatalf("column %s: entry %d is value %d, used by value %d", c.Name, e, c.Entries[e], i)
			}
			if !equalValue(c.Value(i), c.Value(int(c.Entries[e]))) {
				t.Fatalf("column %s: value %d is %v, its entry %v", c.Name, i, c.Value(i), c.Value(int(c.Entries[e])))
			}
		}
		if used != len(c.Entries) {
			t.Fatalf("column %s uses %d of %d entries", c.Name, used, len(c.Entries))
		}
	}
}

func TestNumber(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	forms := map[uint8]int{}
	var b Batch
	for range 200 {
		b.Reset()
		kinds := rng.IntN(400) + 1
		for i := range rng.IntN(1500) {
			b.Begin(int64(i), "ops")
			v := rng.IntN(kinds)
			b.Str("a", strings.Repeat("ab", v%40)+fmt.Sprint(v))
			b.Int("b", int64(v)-20)
			b.Bool("c", kinds > 1)
			b.Float("d", float64(kinds))
			if v%2 == 0 {
				b.Str("e", fmt.Sprint(v))
			}
			b.End()
		}
		b.Number()
		numbered(t, &b)
		for _, c := range b.Columns() {
			if len(c.Rows) > 0 {
				forms[c.form()]++
			}
		}
		b.SetStringAt(0, "a", "other")
		b.Keep(func(i int) bool { return i > 0 })
		for _, c := range b.Columns() {
			if len(c.Entries)+len(c.Codes) > 0 {
				t.Fatalf("column %s kept its numbers when the batch changed", c.Name)
			}
		}
	}
	if forms[formConstant] < 100 || forms[formDictionary] < 100 || forms[formPlain] < 20 {
		t.Errorf("columns were numbered as %v", forms)
	}
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
