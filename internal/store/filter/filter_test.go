package filter

import (
	"crypto/sha256"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// plain is a source of columns as a batch holds them.
type plain struct {
	b    *record.Batch
	cols []block.Column
	vecs []*block.Vector
}

func (p *plain) Rows() int                              { return p.b.Len() }
func (p *plain) Class() record.Class                    { return "app" }
func (p *plain) Columns() []block.Column                { return p.cols }
func (p *plain) Load(column int) (*block.Vector, error) { return p.vecs[column], nil }

func sourceOf(b *record.Batch) *plain {
	p := &plain{b: b}
	for _, c := range b.Columns() {
		p.cols = append(p.cols, block.MemoryColumn(c.Name, c.Kind, len(c.Rows)))
		p.vecs = append(p.vecs, block.FromColumn(c, b.Len()))
	}
	return p
}

// encoded is the same source, encoded and decoded: every codec's form, and what
// its header knows of the bytes of its columns.
type encoded struct {
	plain
	h     *block.Header
	loads int
}

func (p *encoded) Alphabet(column int) *block.ByteSet { return p.h.Alphabet(column) }
func (p *encoded) Learn(column int, v *block.Vector) *block.ByteSet {
	return p.h.Learn(column, v)
}

func (p *encoded) Load(column int) (*block.Vector, error) {
	p.loads++
	return p.plain.Load(column)
}

func encodedSource(t testing.TB, b *record.Batch) *encoded {
	t.Helper()
	n := b.Len()
	e := block.Encode(&block.Input{Times: b.Times(), Ords: make([]uint64, n), Ingests: make([]int64, n), Columns: b.Columns()})
	h, err := block.DecodeHeader(e.Header)
	if err != nil {
		t.Fatal(err)
	}
	p := &encoded{plain: plain{b: b, cols: h.Columns}, h: h}
	bodies := e.Bodies
	var inline [][]byte
	for _, c := range append([]*block.Column{h.Time, h.Origin}, pointers(h.Columns)...) {
		body := c.Inline()
		if c.Body > 0 {
			body, bodies = bodies[0], bodies[1:]
		}
		inline = append(inline, body)
	}
	decode := func(k int, base *block.Vector) *block.Vector {
		v, err := h.Columns[k].Decode(inline[k+2], base)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for k := range h.Columns {
		var base *block.Vector
		if b := h.Columns[k].Base(); b >= 0 {
			base = decode(b, nil)
		}
		p.vecs = append(p.vecs, decode(k, base))
	}
	return p
}

func pointers(cols []block.Column) (out []*block.Column) {
	for i := range cols {
		out = append(out, &cols[i])
	}
	return out
}

func drawBatch(r *mrand.Rand, n int) *record.Batch {
	b := &record.Batch{Tenant: "t", Source: "s"}
	for i := range n {
		b.Begin(int64(i), "app")
		b.Int("n", r.Int64N(10)-5)
		if r.IntN(2) == 0 {
			b.Int("sparse", int64(r.Uint64()))
		}
		b.Float("f", []float64{1, 2.5, math.NaN(), math.Inf(1), -7e300}[r.IntN(5)])
		b.Bool("b", r.IntN(2) == 0)
		b.Str("dict", fmt.Sprint("value-", r.IntN(9)))
		b.Str("text", fmt.Sprintf("the number %d ends at %d", r.IntN(1000), r.IntN(9)))
		b.Str("hex", fmt.Sprintf("%032x", r.Uint64()))
		b.Str("uuid", fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32()))
		b.Str("decimal", fmt.Sprint(1+r.IntN(1<<20)))
		b.Str("large", fmt.Sprintf("%d-a value of which one does not have many: %d", r.IntN(64), r.IntN(2)))
		b.Str("quoted", fmt.Sprintf("say \"%d\" \x01 é %d", r.IntN(3), r.IntN(1000)))
		if r.IntN(3) == 0 {
			b.Str("num", []string{"1", "2.5", "250ms", "x", ""}[r.IntN(5)])
		}
		b.End()
	}
	return b
}

// FuzzEval holds kernels on both forms of a block against match.Eval.
func FuzzEval(f *testing.F) {
	for kind := range uint8(9) {
		f.Add(uint64(kind), kind, uint8(kind), "er 1", int64(-2), 2.5)
		for _, text := range []string{"number", "5", "true", "value-3", "E", "num", "x01", "-4", "^1"} {
			f.Add(uint64(2*kind), kind, uint8(9), text, int64(-2), 2.5)
		}
	}
	f.Fuzz(func(t *testing.T, seed uint64, kind, field uint8, text string, lo int64, hi float64) {
		r := mrand.New(mrand.NewPCG(seed, 0))
		b := drawBatch(r, 1+r.IntN(200))
		name := []string{"n", "sparse", "f", "b", "dict", "text", "num", "absent", match.Line, match.AnyField}[field%10]
		var p match.Predicate
		switch kind % 9 {
		case 0:
			p = match.Exists{Field: name}
		case 1:
			p = match.Eq{Field: name, Value: text}
		case 2:
			p = match.In{Field: name, Values: []string{text, "1", "value-3"}}
		case 3:
			p = match.Prefix{Field: name, Value: text}
		case 4:
			p = match.Contains{Field: name, Value: text, Fold: seed%2 == 0}
		case 5:
			p = match.Word{Field: name, Value: text, Fold: seed%2 == 0}
		case 6:
			re, err := match.CompileRegexp(text)
			if err != nil {
				return
			}
			p = match.Regex{Field: name, Re: re}
		default:
			p = match.Range{Field: name, Min: match.IntBound(lo, seed%2 == 0), Max: match.Bound{Set: kind%9 == 8, Float: hi}, Unit: match.Unit(seed % 3)}
		}
		if seed%5 == 0 {
			p = match.Not{P: p}
		}
		flt := New(p)
		var e Evaluator
		sealed := encodedSource(t, b)
		for form, s := range []Source{sourceOf(b), sealed, sealed} { // the third time it has learned
			rows := NewBitmap(b.Len())
			rows.Fill(b.Len())
			settled := e.Settle(flt, s)
			if err := e.Eval(flt, s, rows); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				rec := b.Record(i)
				want := match.Eval(p, &rec)
				if settled == All && !want || settled == None && want {
					t.Fatalf("form %d, %v: row %d is %v, but %d is settled", form, p, i, want, settled)
				}
				if rows.Has(i) != want {
					t.Fatalf("form %d, %v: row %d is %v, want %v: %+v", form, p, i, rows.Has(i), want, rec.Fields)
				}
			}
		}
	})
}

// TestLineTexts holds texts of every alphabet against match.Eval on lines.
func TestLineTexts(t *testing.T) {
	r := mrand.New(mrand.NewPCG(3, 0))
	b := drawBatch(r, 300)
	sealed := encodedSource(t, b)
	var e Evaluator
	for _, text := range []string{
		"ends at 7", "the", "value-3", "ue-", "lue-8", "000", "0-4000-8", "0000 ", "zz", "ab", "12", "u0001", "\\u0001", `\"1\"`, "é",
		"true", "tru", "num", "dict", "large", "many: 1", "1the", "3value", "Ends AT 7", "8000-", "e30", "hex",
	} {
		for _, fold := range []bool{false, true} {
			for _, p := range []match.Predicate{
				match.Contains{Field: match.Line, Value: text, Fold: fold},
				match.Contains{Field: match.AnyField, Value: text, Fold: fold},
				match.Word{Field: match.AnyField, Value: text, Fold: fold},
			} {
				for form, s := range []Source{sourceOf(b), sealed, sealed} {
					rows := NewBitmap(b.Len())
					rows.Fill(b.Len())
					if err := e.Eval(New(p), s, rows); err != nil {
						t.Fatal(err)
					}
					for i := range b.Len() {
						rec := b.Record(i)
						if want := match.Eval(p, &rec); rows.Has(i) != want {
							t.Fatalf("form %d, %v: row %d is %v, want %v", form, p, i, rows.Has(i), want)
						}
					}
				}
			}
		}
	}
}

// TestLineLoadsLittle counts the columns that are read for a text that no record
// holds: those of other alphabets need not be.
func TestLineLoadsLittle(t *testing.T) {
	b := &record.Batch{Tenant: "t", Source: "s"}
	for i := range 300 {
		b.Begin(int64(i), "app")
		b.Str("dict", fmt.Sprint("value ", i%9))
		b.Str("hex", fmt.Sprintf("%032x", i*i))
		b.Str("path", fmt.Sprint("/api/v1/", i))
		b.Str("large", fmt.Sprintf("%x!", sha256.Sum256([]byte{byte(i % 140)})))
		b.Int("n", int64(i))
		b.End()
	}
	s := encodedSource(t, b)
	var e Evaluator
	for text, want := range map[string]int{
		"leader elected": 0, // no column has such bytes
		"/api/v9":        1, // that of paths does
		"API/v9":         1,
		"value 9":        0, // no entry of the dictionary is it
		"301":            3, // paths, ids and digests may hold it, no number can
	} {
		for _, p := range []match.Predicate{
			match.Contains{Field: match.Line, Value: text, Fold: text == "API/v9"},
			match.Word{Field: match.AnyField, Value: text, Fold: true},
		} {
			if text == "301" && match.FieldOf(p) == match.Line {
				continue
			}
			flt := New(p)
			rows := NewBitmap(b.Len())
			rows.Fill(b.Len())
			s.loads = 0
			if err := e.Eval(flt, s, rows); err != nil {
				t.Fatal(err)
			}
			if s.loads != want || !rows.Empty() {
				t.Errorf("%d columns were read for %v, want %d", s.loads, p, want)
			}
		}
	}
}

func TestIntBounds(t *testing.T) {
	edges := []float64{math.Inf(-1), -1e19, -(1 << 63), -2.5, -2, 0, 1, 1.5, 1 << 53, 1<<63 - 1, 1 << 63, 1e19, math.Inf(1), math.NaN()}
	values := []int64{math.MinInt64, math.MinInt64 + 1, -3, -2, -1, 0, 1, 2, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
	var bounds []match.Bound
	for _, incl := range []bool{false, true} {
		bounds = append(bounds, match.Bound{})
		for _, f := range edges {
			bounds = append(bounds, match.Bound{Set: true, Inclusive: incl, Float: f})
		}
		for _, n := range values {
			bounds = append(bounds, match.IntBound(n, incl))
		}
	}
	for _, lo := range bounds {
		for _, hi := range bounds {
			v := match.Interval{Min: lo, Max: hi}
			a, b, ok := intBounds(&v)
			for _, n := range values {
				if got, want := ok && n >= a && n <= b, !v.Empty() && v.HasInt(n); got != want {
					t.Fatalf("%+v has %d: %v, want %v (%d to %d)", v, n, got, want, a, b)
				}
			}
		}
	}
}

func TestRequiredTokens(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		alts, needle := tokensOfRegexp(src)
		if got := fmt.Sprintf("%v %s", alts, needle); got != want {
			t.Errorf("%s requires %s, want %s", src, got, want)
		}
	}
	f("foo", "[] foo")
	f("^foo$", "[[foo]] foo")
	f(" foo ", "[[foo]]  foo ")
	f(`\bfoo\b`, "[[foo]] foo")
	f("a foo b|c bar d", "[[foo] [bar]] ")
	f("(?i) Foo ", "[[foo]] ")
	f("(?i) task ", "[] ")
	f("x.*", "[] x")
	f(" one .* two2 ", "[[one two2]]  two2 ")
	f(" (foo|bar)? baz ", "[[baz]]  baz ")
	f(".*", "[] ")
	f("^10\\.0\\.0\\.1$", "[[10 10.0.0.1]] 10.0.0.1")
	f("(", "[] ")
}

func TestEvalDoesNotAllocate(t *testing.T) {
	b := drawBatch(mrand.New(mrand.NewPCG(1, 1)), 5000)
	s := encodedSource(t, b)
	rows := NewBitmap(b.Len())
	var e Evaluator
	for _, p := range []match.Predicate{
		match.Eq{Field: "dict", Value: "value-3"}, match.Range{Field: "n", Min: match.IntBound(2, true)},
		match.Contains{Field: "text", Value: "number 7"}, match.And{match.Exists{Field: "b"}, match.Not{P: match.Eq{Field: "n", Value: "2"}}},
	} {
		f := New(p)
		n := testing.AllocsPerRun(20, func() {
			rows.Fill(b.Len())
			if err := e.Eval(f, s, rows); err != nil {
				t.Fatal(err)
			}
		})
		if n > 6 { // of 5,000 records
			t.Errorf("%v: %v allocations", p, n)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	batch := drawBatch(mrand.New(mrand.NewPCG(1, 1)), 16_000)
	s := encodedSource(b, batch)
	re, err := match.CompileRegexp("number 7[0-9]+ ends")
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range []match.Predicate{
		match.Eq{Field: "dict", Value: "value-3"}, match.Range{Field: "n", Min: match.IntBound(2, true)},
		match.Contains{Field: "text", Value: "number 77"}, match.Contains{Field: match.Line, Value: "number 77"}, match.Regex{Field: "text", Re: re},
	} {
		b.Run(p.String(), func(b *testing.B) {
			rows := NewBitmap(batch.Len())
			var e Evaluator
			f := New(p)
			for b.Loop() {
				rows.Fill(batch.Len())
				if err := e.Eval(f, s, rows); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch.Len()), "ns/record")
		})
	}
}

// TestSettleAndOrder holds filters of every shape against match.Eval: what a
// header settles, and the order in which the rest is evaluated, changes nothing.
func TestSettleAndOrder(t *testing.T) {
	r := mrand.New(mrand.NewPCG(8, 0))
	re, err := match.CompileRegexp("value-[0-4]")
	if err != nil {
		t.Fatal(err)
	}
	leaf := func() match.Predicate {
		name := []string{"n", "sparse", "dict", "text", "num", "large", "absent", "hex", match.Line, match.Class}[r.IntN(10)]
		switch r.IntN(6) {
		case 0:
			return match.Exists{Field: name}
		case 1:
			return match.Range{Field: name, Min: match.IntBound(r.Int64N(30)-15, true)}
		case 2:
			return match.Regex{Field: name, Re: re}
		case 3:
			return match.Prefix{Field: name, Value: []string{"v", "", "the"}[r.IntN(3)]}
		}
		return match.Eq{Field: name, Value: []string{"value-3", "1", "", "app"}[r.IntN(4)]}
	}
	var e Evaluator
	verdicts := map[Verdict]int{}
	for range 400 {
		b := drawBatch(r, 1+r.IntN(100))
		some := match.Or{match.And{leaf(), leaf(), match.Not{P: leaf()}}, match.And{leaf(), leaf()}}
		p := []match.Predicate{some, some[0], some[1], match.Not{P: some}, some[1].(match.And)[0]}[r.IntN(5)]
		f := New(p)
		for form, s := range []Source{sourceOf(b), encodedSource(t, b)} {
			rows := NewBitmap(b.Len())
			rows.Fill(b.Len())
			settled := e.Settle(f, s)
			verdicts[settled]++
			if err := e.Eval(f, s, rows); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				rec := b.Record(i)
				want := match.Eval(p, &rec)
				if rows.Has(i) != want || settled == All && !want || settled == None && want {
					t.Fatalf("form %d, %v: row %d is %v, want %v, settled %d", form, p, i, rows.Has(i), want, settled)
				}
			}
		}
	}
	if verdicts[None] == 0 || verdicts[All] == 0 || verdicts[Some] == 0 {
		t.Errorf("not every verdict was given: %v", verdicts)
	}
}
