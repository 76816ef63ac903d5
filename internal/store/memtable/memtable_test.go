package memtable

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

const noon = 1_763_640_000_000_000_000

// batch draws n records over two days and two classes with columns of every kind.
func batch(r *rand.Rand, seq uint64, n int) *record.Batch {
	b := &record.Batch{Tenant: "t", Source: fmt.Sprint("s", r.IntN(2)), Ingest: noon + int64(seq), Ord: seq << 20}
	for i := range n {
		class := record.Class("app")
		if r.IntN(4) == 0 {
			class = "ops"
		}
		at := int64(noon + r.Int64N(1e9))
		switch r.IntN(20) {
		case 0:
			at += day
		case 1:
			at = -5 - int64(i)
		}
		b.Begin(at, class)
		b.Str("dense", fmt.Sprint(seq, "/", i))
		if r.IntN(2) == 0 {
			b.Str("service.name", fmt.Sprint("svc-", r.IntN(3)))
		}
		if r.IntN(3) == 0 {
			b.Int("n", r.Int64N(100))
			b.Int(OriginalTime, 7)
		}
		b.Float("f", r.Float64())
		if seq%2 == 0 {
			b.Bool("even", true)
		}
		switch r.IntN(6) { // what somebody invents
		case 0:
			b.Str(fmt.Sprint("user.", r.IntN(200)), fmt.Sprint("u", i))
		case 1:
			b.Int(fmt.Sprint("count.", r.IntN(200)), int64(i))
			b.Bool(fmt.Sprint("flag.", seq, i), i%2 == 0)
		}
		b.Str("few", fmt.Sprint(r.IntN(1+int(seq)%9)))
		b.Str("turns", fmt.Sprint(r.IntN(1+int(seq)*int(seq)*8))) // more and more values
		b.Int("code", 200+r.Int64N(1+int64(seq)%5))
		b.End()
	}
	if seq%3 != 0 {
		b.Number()
	}
	return b
}

// want is what a record must look like in the table.
func want(b *record.Batch, i int) string {
	rec := b.Record(i)
	fields := map[string]string{}
	for _, f := range rec.Fields {
		fields[f.Name] = f.Value.Text()
	}
	if rec.Time < 0 {
		fields[OriginalTime] = fmt.Sprint(rec.Time)
		rec.Time = b.Ingest
	}
	return render(rec.Time, rec.Ord, rec.Ingest, rec.Class, fields)
}

func render(at int64, ord uint64, ingest int64, class record.Class, fields map[string]string) string {
	s := fmt.Sprint(at, " ", ord, " ", ingest, " ", class)
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		s += " " + k + "=" + fields[k]
	}
	return s
}

// put notes the values of a column by row.
func put(rows []map[string]string, name string, v *block.Vector) {
	c := record.Column{Kind: v.Kind, Nums: v.Nums, Ends: v.Ends, Data: v.Data}
	for i := range v.N {
		row := v.Row(i)
		if rows[row] == nil {
			rows[row] = map[string]string{}
		}
		rows[row][name] = c.Value(v.Entry(i)).Text()
	}
}

func putRest(rows []map[string]string, r *block.Rest) {
	for i := range r.Len() {
		name, _, _ := r.Name(i)
		put(rows, name, r.Vector(i))
	}
}

func rowsOf(v *View) []string {
	fields := make([]map[string]string, v.Rows)
	for i := range v.Columns {
		put(fields, v.Columns[i].Name, v.Vectors[i])
	}
	putRest(fields, v.Rest())
	var out []string
	for row := range v.Rows {
		out = append(out, render(v.Times[row], v.Ords[row], v.Ingests[row], v.Part.Class, fields[row]))
	}
	return out
}

func all(Part) bool { return true }

func TestTableHoldsWhatWasInserted(t *testing.T) {
	for _, columns := range []int{MaxColumns, 300, 20, 3, 0} {
		t.Run(fmt.Sprint(columns, " columns"), func(t *testing.T) { testTable(t, columns) })
	}
}

func testTable(t *testing.T, columns int) {
	r := rand.New(rand.NewPCG(1, 1))
	tab := New()
	tab.Limit(columns)
	var wanted []string
	for seq := range uint64(60) {
		n := 1 + r.IntN(40)
		if seq == 30 {
			n = MaxRows + 100
		}
		b := batch(r, seq, n)
		tab.Insert(b)
		for i := range b.Len() {
			wanted = append(wanted, want(b, i))
		}
	}
	var got, cut []string
	parts := map[Part][]*View{}
	for _, v := range tab.Views(all) {
		if v.Rows > MaxRows {
			t.Errorf("block of %d rows", v.Rows)
		}
		for i, row := range rowsOf(v) {
			got = append(got, row)
			if v.Part.Day != v.Times[i]/day || v.Times[i] < v.MinTime || v.Times[i] > v.MaxTime {
				t.Errorf("record of %d in part %+v", v.Times[i], v.Part)
			}
		}
		parts[v.Part] = append(parts[v.Part], v)
	}
	for p, views := range parts {
		plan := Cut{1000, 64 << 10, columns}.Plan(views)
		few, many := plan.Spilled()
		var in *block.Input
		for i := range plan.Blocks() {
			in = plan.Block(i, in)
			if len(in.Columns) > columns {
				t.Errorf("block of %d columns", len(in.Columns))
			}
			few -= in.Rest.Values()
			cut = append(cut, inputRows(t, p, in)...)
		}
		if few+many != 0 {
			t.Errorf("the blocks lack %d values of the rest", few+many)
		}
	}
	slices.Sort(wanted)
	for name, rows := range map[string][]string{"views": got, "blocks": cut} {
		slices.Sort(rows)
		if !slices.Equal(rows, wanted) {
			t.Errorf("%s hold %d records, want %d, or other ones", name, len(rows), len(wanted))
		}
	}
	if _, rows := tab.Raw(); rows != int64(len(wanted)) {
		t.Errorf("table counts %d records, want %d", rows, len(wanted))
	}
}

func inputRows(t *testing.T, p Part, in *block.Input) []string {
	t.Helper()
	if len(in.Times) > 1000 {
		t.Errorf("block of %d rows", len(in.Times))
	}
	fields := make([]map[string]string, len(in.Times))
	for i, c := range in.Columns {
		v := block.FromColumn(c, len(in.Times))
		if in.Codes[i] != nil {
			v.Form, v.Codes = block.Dict, in.Codes[i]
		}
		put(fields, c.Name, v)
	}
	putRest(fields, in.Rest)
	var out []string
	for row := range in.Times {
		out = append(out, render(in.Times[row], in.Ords[row], in.Ingests[row], p.Class, fields[row]))
	}
	return out
}

// TestViewsNeverChange reads views while batches are inserted behind them.
func TestViewsNeverChange(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	tab := New()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seq := range uint64(300) {
			tab.Insert(batch(r, seq, 20))
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		for _, v := range tab.Views(all) {
			a, b := rowsOf(v), rowsOf(v)
			if !slices.Equal(a, b) {
				t.Fatal("a view changed")
			}
		}
	}
}

func TestInsertIsAtomic(t *testing.T) {
	tab := New()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := rand.New(rand.NewPCG(3, 1))
		for seq := range uint64(200) {
			tab.Insert(batch(r, seq, 64))
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		n := 0
		for _, v := range tab.Views(all) {
			n += v.Rows
		}
		if n%64 != 0 {
			t.Fatalf("%d records visible: part of a batch", n)
		}
	}
}

func TestInsertAllocatesLittle(t *testing.T) {
	var b record.Batch
	b.Tenant, b.Source = "t", "s"
	for i := range 1000 {
		b.Begin(noon+int64(i), "app")
		b.Str("a", "some value")
		b.Int("n", int64(i))
		b.End()
	}
	tab := New()
	if n := testing.AllocsPerRun(100, func() { tab.Insert(&b) }); n > 20 {
		t.Errorf("%v allocations to insert 1,000 records", n)
	}
}

func BenchmarkInsert(b *testing.B) {
	x := batch(rand.New(rand.NewPCG(4, 1)), 1, 2000)
	b.ReportAllocs()
	tab := New()
	for b.Loop() {
		if _, n := tab.Raw(); n > 1e6 {
			tab = New()
		}
		tab.Insert(x)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2000), "ns/record")
}

// TestSharedBlocksAreNotReused fills many blocks while views of open ones are
// held: the memory of a block that a view shares must not be written again.
func TestSharedBlocksAreNotReused(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	tab := New()
	type held struct {
		v    *View
		rows []string
	}
	var views []held
	for seq := range uint64(40) {
		tab.Insert(batch(r, seq, 2500))
		if seq%3 != 0 {
			continue
		}
		for _, v := range tab.Views(all) {
			if v.Rows < MaxRows/2 && len(views) < 40 {
				views = append(views, held{v, rowsOf(v)})
			}
		}
	}
	for _, h := range views {
		if !slices.Equal(rowsOf(h.v), h.rows) {
			t.Fatal("a view changed")
		}
	}
}

// TestCodesChangeNoByte encodes blocks from the codes of closed tables and from
// the values themselves: the bytes must be the same.
func TestCodesChangeNoByte(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	tab := New()
	for seq := range uint64(12) {
		b := &record.Batch{Tenant: "t", Source: "s", Ingest: noon, Ord: seq << 20}
		for i := range 3000 {
			b.Begin(noon+int64(i), "app")
			b.Str("service.name", fmt.Sprint("svc-", r.IntN(3)))
			b.Str("const", "one")
			b.Str("few", fmt.Sprint(r.IntN(5)))
			b.Str("many", fmt.Sprint(r.IntN(2000)))
			b.Str("long", strings.Repeat("x", 600))
			if r.IntN(300) == 0 {
				b.Str("rare", fmt.Sprint(r.IntN(3)))
			}
			if r.IntN(2) == 0 {
				b.Str("half", fmt.Sprint(r.IntN(700)))
			}
			b.Str("unique", fmt.Sprint(seq, i))
			b.End()
		}
		tab.Insert(b)
	}
	tab.Close()
	coded := 0
	for _, rows := range []int{1, 100, 5000} {
		for _, plan := range []*Plan{Cut{rows, 1 << 30, MaxColumns}.Plan(tab.Views(all))} {
			var in *block.Input
			for i := range min(plan.Blocks(), 40) {
				in = plan.Block(i, in)
				plain := *in
				plain.Codes, plain.Columns = nil, nil
				for k, c := range in.Columns {
					if codes := in.Codes[k]; codes != nil {
						coded++
						c = expand(c, codes)
					}
					plain.Columns = append(plain.Columns, c)
				}
				a, b := block.Encode(in), block.Encode(&plain)
				if !bytes.Equal(a.Header, b.Header) || !slices.EqualFunc(a.Bodies, b.Bodies, bytes.Equal) {
					t.Fatalf("block %d of up to %d rows: the bytes differ", i, rows)
				}
			}
		}
	}
	if coded == 0 {
		t.Error("no column was gathered by its codes")
	}
}

func expand(c *record.Column, codes []uint16) *record.Column {
	out := &record.Column{Name: c.Name, Kind: c.Kind, Rows: c.Rows}
	for _, code := range codes {
		out.Data = append(out.Data, c.Bytes(int(code))...)
		out.Ends = append(out.Ends, uint32(len(out.Data)))
	}
	return out
}
