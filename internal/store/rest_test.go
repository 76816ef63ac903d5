package store

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// inventive makes records of which each has twenty usual fields and fields that
// nobody used before: from is the number of the first record.
func inventive(from, n int) *record.Batch {
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := from; i < from+n; i++ {
		b.Begin(noon+int64(i)*1e6, "app")
		b.Str("service", []string{"cart", "users"}[i%2])
		b.Int("status", int64(200+i%3))
		for k := range 18 {
			b.Str(fmt.Sprint("usual.", k), fmt.Sprint("value ", (i+k)%50))
		}
		b.Str(fmt.Sprint("user-", i), fmt.Sprintf("needle%d", i))
		if i%2 == 0 {
			b.Int(fmt.Sprint("metrics.", i, ".count"), int64(i))
		}
		if i%3 == 0 {
			b.Float(fmt.Sprintf("took:%x", i), float64(i)/4)
		}
		b.End()
	}
	return b
}

// TestInventedNames keeps records with invented names: each is found by any of
// them, in memory and sealed, blocks are pruned by them, and neither directory
// nor list of fields grows with them.
func TestInventedNames(t *testing.T) {
	l := manual()
	l.BlockRows = 500
	s, _ := newWorld(t, l)
	const records = 6000
	for i := 0; i < records; i += 500 {
		mustAppend(t, s, inventive(i, 500))
	}
	ask := func(where match.Predicate, matched int64, blocks int) {
		t.Helper()
		for _, by := range [][]string{nil, {"service"}} {
			groups, stats, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, Where: where, By: by})
			n := uint64(0)
			for _, g := range groups {
				n += g.Counts[0]
			}
			if err != nil || n != uint64(matched) || stats.BlocksScanned > blocks {
				t.Errorf("%v by %v: %d in %d blocks, want %d in at most %d: %v", where, by, n, stats.BlocksScanned, matched, blocks, err)
			}
		}
	}
	both := func(sealed bool) {
		few := 1 << 20 // blocks of the memtable are not pruned
		if sealed {
			few = 2
		}
		ask(match.Eq{Field: "user-4321", Value: "needle4321"}, 1, few)
		ask(match.Eq{Field: "user_4321", Value: "needle4321"}, 1, few)
		ask(match.Exists{Field: "user_77"}, 1, few)
		ask(match.Eq{Field: "user_4321", Value: "needle1"}, 0, few)
		ask(match.Eq{Field: "metrics_1234_count", Value: "1234"}, 1, few)
		ask(match.Range{Field: "metrics.1234.count", Min: match.IntBound(1234, true)}, 1, few)
		ask(match.Range{Field: "took:bb8", Min: match.FloatBound(749, false)}, 1, few)
		ask(match.Contains{Field: match.Line, Value: "user-5999"}, 1, 1<<20)
		ask(match.Contains{Field: match.Line, Value: "\"needle5999\""}, 1, 1<<20)
		ask(match.Word{Field: match.Line, Value: "needle5999"}, 1, 1<<20)
		ask(match.Eq{Field: "service", Value: "cart"}, records/2, 1<<20)
		ask(match.Exists{Field: "user_99999"}, 0, few)
	}
	both(false)
	mustSeal(t, s)
	both(true)
	handles := s.segments
	for _, h := range handles {
		x, err := s.files.acquire(h)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(x.reader.Columns); n > 21 {
			t.Errorf("the directory lists %d columns", n)
		}
		if r := x.reader.Rest(); r == nil || r.Values != records+records/2+records/3 || r.Max != r.Values {
			t.Errorf("the directory says of the rest: %+v", r)
		}
		s.files.release(x)
	}
	fields, more, err := s.Fields(context.Background(), "acme", 0, 1<<62)
	if err != nil || len(fields) != 20+maxLoose || uint64(len(fields))+more != 20+records+records/2+records/3 {
		t.Errorf("%d fields are listed, %d more: %v", len(fields), more, err)
	}
	if i := slices.IndexFunc(fields, func(f FieldInfo) bool { return f.Name == "" }); i >= 0 {
		t.Error("a field without a name is listed")
	}
	values, _, err := s.Values(context.Background(), ValuesRequest{Tenant: "acme", To: 1 << 62, Field: "user_12"})
	if err != nil || !slices.Equal(values, []record.Count{{Name: "needle12", N: 1}}) {
		t.Errorf("values %v: %v", values, err)
	}
}

// TestColumnsGoToKnownNames seals more fields than there are columns, all of as
// many values: those of the dictionary keep theirs.
func TestColumnsGoToKnownNames(t *testing.T) {
	l := manual()
	l.Columns = 20
	s, _ := newWorld(t, l)
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range 40 {
		b.Begin(noon+int64(i), "app")
		for k := range 60 {
			b.Int(fmt.Sprintf("a%02d", k), int64(i*k))
		}
		b.Str("service.name", "cart")
		b.Str(record.Body, "text")
		b.End()
	}
	mustAppend(t, s, b)
	mustSeal(t, s)
	x, err := s.files.acquire(s.segments[0])
	if err != nil {
		t.Fatal(err)
	}
	defer s.files.release(x)
	var names []string
	for _, c := range x.reader.Columns[1:] {
		names = append(names, c.Name)
	}
	if len(names) != 20 || !slices.Contains(names, "service.name") || !slices.Contains(names, record.Body) {
		t.Errorf("columns %v", names)
	}
}

// TestRestIsCounted seals values without columns: Status names the reasons.
func TestRestIsCounted(t *testing.T) {
	l := manual()
	l.Columns = 10
	s, _ := newWorld(t, l)
	mustAppend(t, s, inventive(0, 300))
	if got := s.Status().Rest; len(got) != 0 {
		t.Errorf("before a seal: %v", got)
	}
	mustSeal(t, s)
	want := []record.Count{{Name: "few_values", N: 300 + 150 + 100}, {Name: "many_fields", N: 10 * 300}}
	if got := s.Status().Rest; !slices.Equal(got, want) {
		t.Errorf("status says %v, want %v", got, want)
	}
}

// TestSameFieldsAreListedOnce keeps the same fields of few values in many blocks:
// those that are not listed are counted once.
func TestSameFieldsAreListedOnce(t *testing.T) {
	l := manual()
	l.BlockRows, l.Columns = 10, 1
	s, _ := newWorld(t, l)
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range 100 {
		b.Begin(noon+int64(i), "app")
		for k := range maxLoose + 200 {
			b.Int(fmt.Sprint("f", k), int64(i))
		}
		b.End()
	}
	mustAppend(t, s, b)
	mustSeal(t, s)
	fields, more, err := s.Fields(context.Background(), "acme", 0, 1<<62)
	if err != nil || len(fields) != maxLoose+1 || more != 199 {
		t.Errorf("%d fields are listed, %d more: %v", len(fields), more, err)
	}
	if i := slices.IndexFunc(fields, func(f FieldInfo) bool { return f.Records != 100 }); i >= 0 {
		t.Errorf("%+v", fields[i])
	}
}

// TestDirectoryStaysSmall opens a segment of records with invented names: what is
// held of it in memory must not grow with the names.
func TestDirectoryStaysSmall(t *testing.T) {
	l := manual()
	l.CacheBytes = -1
	s, _ := newWorld(t, l)
	raw := int64(0)
	for i := 0; i < 10_000; i += 2000 {
		b := inventive(i, 2000)
		for k := range b.Len() {
			rec := b.Record(k)
			raw += int64(len(match.AppendLine(nil, &rec)))
		}
		mustAppend(t, s, b)
	}
	mustSeal(t, s)
	heap := func() int64 {
		var m runtime.MemStats
		for range 3 { // pools let go of what they hold
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	var readers []*segment.Reader
	for range 50 {
		f, r, err := s.load(s.segments[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		readers = append(readers, r)
	}
	held := (heap() - before) / int64(len(readers))
	runtime.KeepAlive(readers)
	t.Logf("%d bytes are held of a segment of %.1f MB raw", held, float64(raw)/1e6)
	// 200 KB per GB raw, and what any open segment needs.
	if limit := raw/5000 + 16<<10; held > limit {
		t.Errorf("%d bytes are held of a segment of %d raw, limit %d", held, raw, limit)
	}
}

// BenchmarkInvented appends and seals records with invented names.
func BenchmarkInvented(b *testing.B) {
	var batches []*record.Batch
	for i := 0; i < 40_000; i += 2000 {
		batches = append(batches, inventive(i, 2000))
	}
	b.ReportAllocs()
	var size int64
	for b.Loop() {
		s, _ := newWorld(b, manual())
		for _, x := range batches {
			mustAppend(b, s, x)
		}
		mustSeal(b, s)
		size = s.Segments()[0].Size
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*40_000), "ns/record")
	b.ReportMetric(float64(size)/40_000, "disk-B/record")
}
