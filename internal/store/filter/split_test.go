package filter

import (
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// splitSource is an encoded source that has its split columns as templates.
type splitSource struct {
	*encoded
	splits []*block.Split
}

func (s *splitSource) Split(column int) (*block.Split, error) { return s.splits[column], nil }

func splitSourceOf(t testing.TB, b *record.Batch) *splitSource {
	t.Helper()
	s := &splitSource{encoded: encodedSource(t, b)}
	n := b.Len()
	e := block.Encode(&block.Input{Times: b.Times(), Ords: make([]uint64, n), Ingests: make([]int64, n), Columns: b.Columns()})
	bodies := e.Bodies
	for _, c := range append([]*block.Column{s.h.Time, s.h.Origin}, pointers(s.cols)...) {
		body := c.Inline()
		if c.Body > 0 {
			body, bodies = bodies[0], bodies[1:]
		}
		if !slices.Contains(pointers(s.cols), c) {
			continue
		}
		var x *block.Split
		if c.IsSplit() {
			var err error
			if x, err = c.Split(body); err != nil {
				t.Fatal(err)
			}
		}
		s.splits = append(s.splits, x)
	}
	return s
}

// drawTexts draws records whose path and some of whose bodies are split; others
// have none, or one that is a number.
func drawTexts(r *mrand.Rand, n int) *record.Batch {
	words := []string{"leader", "elected", "lost", "retry", "cache", "peer", "vote"}
	word := func() string { return words[r.IntN(len(words))] }
	b := &record.Batch{Tenant: "t", Source: "s"}
	for i := range n {
		b.Begin(int64(i), "app")
		b.Str("path", fmt.Sprintf("/api/v1/%s/%d/%s", []string{"cart", "user", "item"}[r.IntN(3)], r.IntN(1<<20), word()))
		switch r.IntN(6) {
		case 0:
			b.Str(record.Body, fmt.Sprintf("%s %s %s after %d tries: %s", word(), word(), word(), r.IntN(9), word()))
		case 1:
			b.Str(record.Body, fmt.Sprintf("order %d of c-%06d in %dms", r.IntN(1<<24), r.IntN(1<<18), r.IntN(900)))
		case 2:
			b.Str(record.Body, fmt.Sprintf("leader elected in term %d by %016x", r.IntN(1<<20), r.Uint64()))
		case 3:
			b.Int(record.Body, int64(r.IntN(1<<20)))
		case 4:
			b.Str(record.Body, []string{"", "say \"1\" leader elected", fmt.Sprint("x", r.IntN(10))}[r.IntN(3)])
		}
		b.Str("msg2", fmt.Sprintf("%s of %d said %d\\%d", word(), r.IntN(1<<20), r.IntN(1<<20), r.IntN(9)))
		b.End()
	}
	return b
}

// drawText draws what is sought: a part of a record's text, or nearly.
func drawText(r *mrand.Rand, b *record.Batch, field string) string {
	rec := b.Record(r.IntN(b.Len()))
	v, ok := rec.Get(field)
	if !ok {
		return "leader elected"
	}
	text := v.AppendText(nil)
	from := 0
	if r.IntN(2) == 0 {
		from = r.IntN(len(text) + 1)
	}
	text = text[from : from+r.IntN(len(text)+1-from)]
	if r.IntN(4) == 0 {
		text = v.AppendText(nil)
	}
	if len(text) > 0 && r.IntN(3) == 0 {
		text[r.IntN(len(text))] = "0129a /v:"[r.IntN(9)]
	}
	return string(text)
}

// TestTemplatesChangeNoAnswer asks split columns what records say of themselves.
func TestTemplatesChangeNoAnswer(t *testing.T) {
	r := mrand.New(mrand.NewPCG(31, 7))
	var e Evaluator
	for range 4 {
		b := drawTexts(r, 300+r.IntN(2500))
		s := splitSourceOf(t, b)
		split := 0
		for _, x := range s.splits {
			if x != nil {
				split++
			}
		}
		if split < 3 {
			t.Fatalf("%d columns are split", split)
		}
		for range 120 {
			field := []string{"path", record.Body, match.Line, "msg2", match.AnyField, match.AnyField}[r.IntN(6)]
			of := field
			if field == match.Line || field == match.AnyField {
				of = []string{record.Body, "path", "msg2"}[r.IntN(3)]
			}
			text := drawText(r, b, of)
			ps := []match.Predicate{
				match.Contains{Field: field, Value: text}, match.Contains{Field: field, Value: text, Fold: true},
				match.Prefix{Field: field, Value: text}, match.Eq{Field: field, Value: text},
				match.Word{Field: field, Value: text}, match.Word{Field: field, Value: text, Fold: true}, match.Exists{Field: field},
				match.In{Field: field, Values: []string{text, "x7"}},
				regexLeaf(t, field, "^/api/v1/cart/1[0-9]+/l.*$"), regexLeaf(t, field, "leader (lost|elected) in"),
			}
			p := ps[r.IntN(len(ps))]
			want := NewBitmap(b.Len())
			if r.IntN(3) > 0 {
				want.Fill(b.Len())
			} else {
				for range b.Len() / (1 + r.IntN(40)) {
					want.Set(r.IntN(b.Len()))
				}
			}
			got := slices.Clone(want)
			if err := e.Eval(New(p), s, got); err != nil {
				t.Fatal(err)
			}
			for row := range b.Len() {
				if hit := want.Has(row) && holdsFor(p, b, row); hit != got.Has(row) {
					t.Fatalf("%v: record %d is %v, want %v: %v", p, row, got.Has(row), hit, b.Record(row))
				}
			}
		}
	}
}

// TestTemplatesAnswerAlone: what templates tell needs no column, and nothing is
// allocated for a value.
func TestTemplatesAnswerAlone(t *testing.T) {
	s := splitSourceOf(t, drawTexts(mrand.New(mrand.NewPCG(33, 7)), 4000))
	var e Evaluator
	rows := NewBitmap(s.Rows())
	for _, c := range []struct {
		p   match.Predicate
		few float64
	}{
		{match.Prefix{Field: "path", Value: "/api/v1/cart/12"}, 30},
		{match.Contains{Field: "path", Value: "leader elected"}, 0},
		{match.Contains{Field: "msg2", Value: "leader elected"}, 0},
		{match.Eq{Field: "path", Value: "/api/v1/cart/12/lost"}, 30},
		{match.Exists{Field: "path"}, 0},
		{match.In{Field: "path", Values: []string{"/api/v1/cart/12/lost", "/none", "leader lost"}}, 30},
		{regexLeaf(t, "path", "^/api/v1/cart/12[0-9]+/l"), 30},
	} {
		f := New(c.p)
		s.loads = 0
		if n := testing.AllocsPerRun(5, func() {
			rows.Fill(s.Rows())
			if err := e.Eval(f, s, rows); err != nil {
				t.Fatal(err)
			}
		}); n > c.few {
			t.Errorf("%v: %v allocations for 4,000 values", c.p, n)
		}
		if s.loads > 0 {
			t.Errorf("%v loads %d columns", c.p, s.loads)
		}
	}
}

func holdsFor(p match.Predicate, b *record.Batch, row int) bool {
	rec := b.Record(row)
	return match.Eval(p, &rec)
}
