package filter

import (
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

func regexLeaf(t testing.TB, field, src string) match.Regex {
	t.Helper()
	re, err := match.CompileRegexp(src)
	if err != nil {
		t.Fatal(err)
	}
	return match.Regex{Field: field, Re: re}
}

func TestNeedles(t *testing.T) {
	f := func(src string, want ...string) {
		t.Helper()
		if got := newLeaf(regexLeaf(t, "f", src)).needles; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
	f("upstream reset", "upstream reset")
	f("a+took [0-9]+ seconds", " seconds")
	f("timeout|reset by peer|broken", "timeout", "reset by peer", "broken")
	f("(GET|POST) /cart", " /cart", " /cart")
	f("timeout|[0-9]+")
	f("(?i)timeout")
	f(".*")
}

// TestRegexpKernels holds expressions with and without literals against match.Eval,
// on all rows and on few.
func TestRegexpKernels(t *testing.T) {
	r := mrand.New(mrand.NewPCG(4, 4))
	b := &record.Batch{Tenant: "t", Source: "s"}
	for i := range 3000 {
		b.Begin(int64(i), "app")
		b.Int("n", int64(i))
		if r.IntN(4) > 0 {
			b.Str("text", fmt.Sprintf("%s %d of %d %s", []string{"GET", "POST", "timeout", ""}[r.IntN(4)], r.IntN(1e6), i, []string{"reset", "done"}[r.IntN(2)]))
		}
		b.End()
	}
	var e Evaluator
	for _, src := range []string{"timeout|reset", "GET .*1", "^POST", "(?i)TIME", "5|7 of", "", "(GET|POST) [0-9]+7 .*reset", "done$"} {
		for _, first := range []match.Predicate{match.True{}, match.Range{Field: "n", Max: match.IntBound(40, true)}} {
			p := match.And{first, regexLeaf(t, "text", src)}
			for form, s := range []Source{sourceOf(b), encodedSource(t, b)} {
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

// TestTickEndsEval lets Tick refuse to go on.
func TestTickEndsEval(t *testing.T) {
	b := &record.Batch{Tenant: "t", Source: "s"}
	for i := range 4000 {
		b.Begin(int64(i), "app")
		b.Str("text", fmt.Sprintf("%0300d", i))
		b.End()
	}
	stop, ticks := errors.New("stop"), 0
	e := Evaluator{Tick: func(steps int64) error {
		if steps == 0 {
			return nil // between leaves
		}
		if ticks++; steps < tickSteps {
			t.Errorf("a tick after %d steps", steps)
		}
		return stop
	}}
	f := New(regexLeaf(t, "text", "[0-9][a-z]"))
	s := encodedSource(t, b)
	rows := NewBitmap(b.Len())
	rows.Fill(b.Len())
	if err := e.Eval(f, s, rows); !errors.Is(err, stop) || ticks != 1 {
		t.Errorf("%v after %d ticks", err, ticks)
	}
	e.Tick = nil
	rows.Fill(b.Len())
	if err := e.Eval(f, s, rows); err != nil || !rows.Empty() {
		t.Errorf("afterwards: %v, %d rows", err, rows.Count())
	}
}

// BenchmarkKernels runs each kernel over a block of 10,000 records.
func BenchmarkKernels(b *testing.B) {
	r := mrand.New(mrand.NewPCG(4, 4))
	batch := drawBatch(r, 10_000)
	s := encodedSource(b, batch)
	rows := NewBitmap(batch.Len())
	var e Evaluator
	for name, p := range map[string]match.Predicate{
		"dict": match.Eq{Field: "dict", Value: "value-3"}, "int": match.Range{Field: "n", Min: match.IntBound(2, true)},
		"sparseInt": match.Range{Field: "sparse", Min: match.IntBound(2, true)}, "eq": match.Eq{Field: "text", Value: "the"},
		"prefix": match.Prefix{Field: "text", Value: "the number 1"}, "contains": match.Contains{Field: "text", Value: "77 ends"},
		"regex": regexLeaf(b, "text", "number [0-9]+77 ends"), "regexNoText": regexLeaf(b, "text", "[0-9]{3} [a-e]"),
	} {
		f := New(p)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rows.Fill(batch.Len())
				if err := e.Eval(f, s, rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestKernelsDoNotAllocate evaluates again what an Evaluator has memory for.
func TestKernelsDoNotAllocate(t *testing.T) {
	batch := drawBatch(mrand.New(mrand.NewPCG(4, 4)), 2000)
	s := encodedSource(t, batch)
	rows := NewBitmap(batch.Len())
	var e Evaluator
	for _, p := range []match.Predicate{
		match.Eq{Field: "dict", Value: "value-3"}, match.Range{Field: "n", Min: match.IntBound(2, true)},
		match.Range{Field: "sparse", Min: match.IntBound(2, true)}, match.Eq{Field: "text", Value: "the"},
		match.Prefix{Field: "text", Value: "the number 1"}, match.Exists{Field: "text"},
		match.And{match.Eq{Field: "dict", Value: "value-3"}, match.Not{P: match.Exists{Field: "num"}}},
	} {
		f := New(p)
		once := func() {
			rows.Fill(batch.Len())
			if err := e.Eval(f, s, rows); err != nil {
				t.Fatal(err)
			}
		}
		once()
		if n := testing.AllocsPerRun(20, once); n > 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
	}
}
