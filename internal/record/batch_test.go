package record

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// modelRecord is a record as a plain map would hold it: the oracle of the
// columnar batch.
type modelRecord struct {
	time   int64
	class  Class
	fields map[colKey]Value
}

func (m *modelRecord) set(name string, v Value) { m.fields[colKey{name, v.Kind}] = v }

func equalValue(a, b Value) bool {
	return a.Kind == b.Kind && a.Str == b.Str && a.Int == b.Int && math.Float64bits(a.Flt) == math.Float64bits(b.Flt)
}

// compare checks b against the model.
func compare(t *testing.T, b *Batch, model []modelRecord) {
	t.Helper()
	if b.Len() != len(model) {
		t.Fatalf("%d records, want %d", b.Len(), len(model))
	}
	for i, want := range model {
		got := b.Record(i)
		if got.Time != want.time || got.Class != want.class || b.ClassAt(i) != want.class || b.Times()[i] != want.time {
			t.Fatalf("record %d is at %d in %q, want %d in %q", i, got.Time, got.Class, want.time, want.class)
		}
		if got.Ord != b.Ord+uint64(i) || got.Ingest != b.Ingest {
			t.Fatalf("record %d: ord %d, ingest %d", i, got.Ord, got.Ingest)
		}
		if len(got.Fields) != len(want.fields) {
			t.Fatalf("record %d has fields %v, want %v", i, got.Fields, want.fields)
		}
		for _, f := range got.Fields {
			if v, ok := want.fields[colKey{f.Name, f.Value.Kind}]; !ok || !equalValue(v, f.Value) {
				t.Fatalf("record %d: field %s = %v, want %v", i, f.Name, f.Value, v)
			}
		}
	}
	for _, c := range b.Columns() {
		if c.Kind == String && len(c.Ends) != len(c.Rows) || c.Kind != String && len(c.Nums) != len(c.Rows) {
			t.Fatalf("column %s: %d rows, %d ends, %d nums", c.Name, len(c.Rows), len(c.Ends), len(c.Nums))
		}
	}
}

func randomValue(rng *rand.Rand) Value {
	switch rng.IntN(5) {
	case 0:
		return IntValue(int64(rng.Uint64()))
	case 1:
		return FloatValue(math.Float64frombits(rng.Uint64()))
	case 2:
		return BoolValue(rng.IntN(2) == 0)
	default:
		return StringValue(strings.Repeat("x", rng.IntN(4)) + fmt.Sprint(rng.IntN(100)))
	}
}

// fill adds random records to b and returns the model of what was kept.
func fill(b *Batch, rng *rand.Rand, records int) []modelRecord {
	var model []modelRecord
	for range records {
		m := modelRecord{rng.Int64(), Class([]string{"ops", "app", "audit"}[rng.IntN(3)]), map[colKey]Value{}}
		b.Begin(m.time, m.class)
		for f := range rng.IntN(6) {
			name, v := "f"+fmt.Sprint((f+rng.IntN(2))%6), randomValue(rng)
			b.Set(name, v)
			m.set(name, v)
		}
		if rng.IntN(8) == 0 { // the same name again
			b.StrBytes("f0", []byte("again"))
			m.set("f0", StringValue("again"))
		}
		if rng.IntN(8) == 0 {
			m.time = rng.Int64()
			b.SetTime(m.time)
		}
		if rng.IntN(5) == 0 {
			b.Discard()
			continue
		}
		b.End()
		model = append(model, m)
	}
	return model
}

// filled returns a valid batch and its model.
func filled(rng *rand.Rand, records int) (*Batch, []modelRecord) {
	b := &Batch{}
	setMeta(b, rng)
	return b, fill(b, rng, records)
}

func setMeta(b *Batch, rng *rand.Rand) {
	b.Tenant, b.Source, b.Ingest = "acme", "elastic:web-1", rng.Int64()
	b.ID = BatchID{Origin: "agent/7", Epoch: rng.Uint64(), Seq: rng.Uint64()}
	b.Account = Account{Received: 100, Deduplicated: 2,
		Rejected: []Count{{"too_large", 3}, {"bad_json", 4}}, Dropped: []Count{{"rule-1", 5}}}
}

func TestBatchAgainstModel(t *testing.T) {
	var b Batch
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b.Reset() // the memory of the batch before
		setMeta(&b, rng)
		b.Ord = rng.Uint64() >> 1
		model := fill(&b, rng, rng.IntN(40))
		compare(t, &b, model)

		for i := range model {
			if rng.IntN(4) == 0 {
				model[i].class = "security"
				b.SetClassAt(i, "security")
			}
		}
		mod := 1 + rng.IntN(4)
		b.RewriteStrings(func(dst []byte, name string, v []byte) ([]byte, bool) {
			if len(v)%mod != 0 {
				return dst, false
			}
			return append(append(dst, name...), v...), true
		})
		for _, m := range model {
			for k, v := range m.fields {
				if v.Kind == String && len(v.Str)%mod == 0 {
					m.fields[k] = StringValue(k.name + v.Str)
				}
			}
		}
		compare(t, &b, model)

		var kept []modelRecord
		drop := 1 + rng.IntN(5)
		b.Keep(func(i int) bool { return i%drop != 0 })
		for i, m := range model {
			if i%drop != 0 {
				kept = append(kept, m)
			}
		}
		compare(t, &b, kept)

		var again Batch
		again.Ingest, again.Ord = b.Ingest, b.Ord
		for i := range b.Len() {
			r := b.Record(i)
			again.AddRecord(&r)
		}
		compare(t, &again, kept)
	}
}

func TestLastValueOfAKindWins(t *testing.T) {
	var b Batch
	b.Begin(1, "ops")
	b.Str("a", "first")
	b.Str("b", "")
	b.Str("a", "second")
	b.Int("a", 1)
	b.Int("a", 2)
	b.End()
	want := []Field{{"a", StringValue("second")}, {"b", StringValue("")}, {"a", IntValue(2)}}
	if got := b.Record(0).Fields; !reflect.DeepEqual(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
}

// A column outlives the request: its name MUST NOT alias the request's buffer.
func TestColumnNameIsCopied(t *testing.T) {
	var b Batch
	r := Record{Class: "ops", Fields: []Field{{"name", StringValue("v")}}}
	name := []byte("name")
	b.Begin(1, "ops")
	b.Str(unsafe.String(unsafe.SliceData(name), len(name)), "v") // as a parser names fields
	b.End()
	copy(name, "gone")
	if got := b.Record(0); got.Fields[0].Name != r.Fields[0].Name {
		t.Errorf("name %q", got.Fields[0].Name)
	}
}

func TestResetForgetsHostileShapes(t *testing.T) {
	var b Batch
	b.Begin(1, "ops")
	for i := range 600 {
		b.Int(fmt.Sprint("k", i), 1)
	}
	b.StrBytes("body", make([]byte, 10<<20))
	b.End()
	b.Reset()
	if len(b.Columns()) != 0 {
		t.Errorf("%d columns kept", len(b.Columns()))
	}
	b.Begin(1, "ops")
	b.StrBytes("body", make([]byte, 10<<20))
	b.End()
	b.Reset()
	if c := b.Columns()[0]; cap(c.Data) != 0 {
		t.Errorf("%d bytes kept", cap(c.Data))
	}
	b.Begin(1, "ops")
	b.Str("body", "x")
	b.End()
	if v, _ := b.recordPtr(0).Get("body"); v.Str != "x" {
		t.Errorf("body %q after Reset", v.Str)
	}
}

func (b *Batch) recordPtr(i int) *Record {
	r := b.Record(i)
	return &r
}

func TestValueText(t *testing.T) {
	check := func(v Value, want string) {
		t.Helper()
		if got := v.Text(); got != want || string(v.AppendText([]byte("-"))) != "-"+want {
			t.Errorf("%+v as text is %q, want %q", v, got, want)
		}
	}
	check(StringValue("a b"), "a b")
	check(IntValue(math.MinInt64), "-9223372036854775808")
	check(FloatValue(0.1), "0.1")
	check(FloatValue(1e21), "1e+21")
	check(BoolValue(true), "true")
	check(BoolValue(false), "false")
	check(Value{}, "")
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a-b_9": true, strings.Repeat("x", 64): true,
		"": false, "A": false, "a.b": false, "..": false, "a/b": false, "ä": false,
		"a\x00": false, strings.Repeat("x", 65): false,
	} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) = %v", name, !want)
		}
	}
}

// meshRecord sets the fields of an ordinary access log record.
func meshRecord(b *Batch, i int) {
	b.Begin(1_700_000_000_000_000_000+int64(i)*1_000_003, "ops")
	b.Str("mesh.type", "istio")
	b.Str("k8s.namespace.name", "shop")
	b.Str("service.name", services[i%len(services)])
	b.Str("http.request.method", "GET")
	b.StrBytes("url.path", paths[i%len(paths)])
	b.Int("http.response.status_code", int64(200+i%5))
	b.Int("mesh.duration_ns", int64(i)*7919%90_000_000)
	b.Int("http.response.size", int64(i)*31%4096)
	b.Str("trace_id", noise[i%len(noise)])
	b.Bool("mesh.mtls", true)
	if i%50 == 0 {
		b.Str("mesh.response_flags", "UH,URX")
	}
	b.Float("mesh.retry_ratio", float64(i%3)/3)
	b.StrBytes("body", body[:100+i%60])
	b.End()
}

var (
	services = []string{"cart", "checkout", "payment", "catalog"}
	paths    = [][]byte{[]byte("/api/v1/cart"), []byte("/api/v1/items/42"), []byte("/healthz")}
	noise    = traceIDs() // does not pack, as real ids do not
	body     = bytes.Repeat([]byte("GET /api/v1/cart HTTP/1.1 200 via upstream "), 4)
)

func traceIDs() []string {
	rng := rand.New(rand.NewPCG(1, 2))
	ids := make([]string, 2*meshRecords)
	for i := range ids {
		ids[i] = fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())
	}
	return ids
}

const meshRecords = 2000

func meshBatch(b *Batch) *Batch {
	b.Reset()
	b.Tenant, b.Source, b.Ingest = "default", "bench", 1_700_000_000_000_000_000
	for i := range meshRecords {
		meshRecord(b, i)
	}
	return b
}

func TestBuildingAllocatesNothing(t *testing.T) {
	var b Batch
	meshBatch(&b)
	if n := testing.AllocsPerRun(10, func() { meshBatch(&b) }); n != 0 {
		t.Errorf("%v allocations for %d records, want 0", n, meshRecords)
	}
}

func BenchmarkBuild(b *testing.B) {
	var batch Batch
	meshBatch(&batch)
	b.ReportAllocs()
	for b.Loop() {
		meshBatch(&batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/meshRecords, "ns/record")
}
