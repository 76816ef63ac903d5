package filter

import (
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// wide is a source with some of its columns in a rest.
type wide struct {
	b     *record.Batch
	own   plain
	rest  *block.Rest
	wide  Widened
	loads int // of the rest
}

func wideSource(b *record.Batch, inRest func(name string) bool) *wide {
	s := &wide{b: b, own: plain{b: b}, rest: &block.Rest{}}
	columns := slices.Clone(b.Columns())
	slices.SortFunc(columns, func(x, y *record.Column) int {
		if x.Name == y.Name {
			return int(x.Kind) - int(y.Kind)
		}
		return strings.Compare(x.Name, y.Name)
	})
	for _, c := range columns {
		if !inRest(c.Name) {
			s.own.cols = append(s.own.cols, block.MemoryColumn(c.Name, c.Kind, len(c.Rows)))
			s.own.vecs = append(s.own.vecs, block.FromColumn(c, b.Len()))
			continue
		}
		s.rest.Begin(c.Name, c.Kind)
		for i, row := range c.Rows {
			if c.Kind == record.String {
				s.rest.String(row, c.Bytes(i))
			} else {
				s.rest.Number(row, c.Nums[i])
			}
		}
	}
	s.wide.Start(s.own.cols)
	return s
}

func (s *wide) Rows() int                          { return s.b.Len() }
func (s *wide) Class() record.Class                { return "app" }
func (s *wide) Columns() []block.Column            { return s.wide.Columns }
func (s *wide) InRest(res *schema.Resolution) bool { return Means(s.rest, res) }
func (s *wide) Rest() (*block.Rest, int, error)    { return s.rest, len(s.own.cols), nil }
func (s *wide) Widen(res *schema.Resolution) error { s.loads++; s.wide.List(s.rest, res); return nil }
func (s *wide) Load(column int) (*block.Vector, error) {
	if v, ok := s.wide.Vector(column); ok {
		return v, nil
	}
	return s.own.vecs[column], nil
}

// TestRestChangesNoAnswer holds filters on blocks of which some fields are in the
// rest against match.Eval: asked by any of their names, alone and after others.
func TestRestChangesNoAnswer(t *testing.T) {
	r := mrand.New(mrand.NewPCG(12, 0))
	re, err := match.CompileRegexp("value-[0-4]|200")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"n", "dict", "a.b", "a_b", "status", "http.response.status_code", "response_code", "absent", match.Line, match.Line, record.Body, match.AnyField, match.AnyField, match.AnyField}
	texts := []string{"value-3", "200", "2", "", "text 7", "a.b", "a_b", "status", "\u00e9"}
	draw := func() *record.Batch {
		b := &record.Batch{Tenant: "t", Source: "s"}
		for i := range 1 + r.IntN(80) {
			b.Begin(int64(i), "app")
			for _, n := range names[:7] {
				switch r.IntN(6) {
				case 0:
					b.Int(n, int64(200+r.IntN(3)))
				case 1:
					b.Str(n, texts[r.IntN(len(texts))])
				case 2:
					b.Float(n, 2.5)
				}
			}
			if r.IntN(2) == 0 {
				b.Str(record.Body, fmt.Sprint("text ", r.IntN(9)))
			}
			if r.IntN(9) == 0 {
				b.Str("\u00e9 \n", "x")
			}
			if r.IntN(9) == 0 {
				b.Str("parse.status", "text\n2")
			}
			if r.IntN(9) == 0 {
				b.Str(record.Labels, "status")
			}
			if r.IntN(12) == 0 {
				b.Int(record.Body, 200)
			}
			b.End()
		}
		return b
	}
	leaf := func() match.Predicate {
		name, text := names[r.IntN(len(names))], texts[r.IntN(len(texts))]
		switch r.IntN(8) {
		case 7:
			return match.Word{Field: name, Value: text, Fold: r.IntN(2) == 0}
		case 0:
			return match.Exists{Field: name}
		case 1:
			return match.Range{Field: name, Min: match.IntBound(r.Int64N(300), true)}
		case 2:
			return match.Regex{Field: name, Re: re}
		case 3:
			return match.Contains{Field: name, Value: text, Fold: r.IntN(2) == 0}
		case 4:
			return match.In{Field: name, Values: []string{text, "201"}}
		}
		return match.Eq{Field: name, Value: text}
	}
	var e Evaluator
	matches := 0
	for range 1500 {
		b := draw()
		share := 1 + r.IntN(4)
		s := wideSource(b, func(string) bool { return r.IntN(share) == 0 })
		p := []match.Predicate{leaf(), match.And{leaf(), match.Not{P: leaf()}}, match.Or{leaf(), leaf()}}[r.IntN(3)]
		f := New(p)
		rows := NewBitmap(b.Len())
		rows.Fill(b.Len())
		settled := e.Settle(f, s)
		if err := e.Eval(f, s, rows); err != nil {
			t.Fatal(err)
		}
		var out Rows
		out.Reset(s, nil)
		for i := range b.Len() {
			rec := b.Record(i)
			InOrder(rec.Fields) // of two bodies the line is the first
			want := match.Eval(p, &rec)
			if want {
				matches++
			}
			if rows.Has(i) != want || settled == All && !want || settled == None && want {
				t.Fatalf("%v: row %d is %v, want %v, settled %d: %+v", p, i, rows.Has(i), want, settled, rec.Fields)
			}
			fields, err := out.Fields(nil, i)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(fields, rec.Fields) {
				t.Fatalf("row %d is read as %+v, want %+v", i, fields, rec.Fields)
			}
		}
	}
	if matches == 0 {
		t.Error("nothing matched")
	}
}

// TestRestIsLeftAlone asks for what the columns of a block settle: its rest is
// not read.
func TestRestIsLeftAlone(t *testing.T) {
	b := &record.Batch{Tenant: "t", Source: "s"}
	for i := range 20 {
		b.Begin(int64(i), "app")
		b.Str("service", "cart")
		b.Str(record.Body, "a body")
		b.Str(fmt.Sprint("user-", i), "x")
		b.End()
	}
	var e Evaluator
	for _, q := range []struct {
		p     match.Predicate
		rows  int
		reads bool
	}{
		{match.Eq{Field: "service", Value: "cart"}, 20, false},
		{match.Contains{Field: match.Line, Value: "body"}, 20, false},
		{match.Exists{Field: "absent"}, 0, false},
		{match.Exists{Field: "user_7"}, 1, true},
		{match.Eq{Field: "user-7", Value: "x"}, 1, true},
	} {
		s := wideSource(b, func(name string) bool { return strings.HasPrefix(name, "user") })
		rows := NewBitmap(20)
		rows.Fill(20)
		if err := e.Eval(New(q.p), s, rows); err != nil {
			t.Fatal(err)
		}
		if rows.Count() != q.rows || s.loads > 0 != q.reads {
			t.Errorf("%v: %d rows, want %d; the rest was read %d times", q.p, rows.Count(), q.rows, s.loads)
		}
	}
}
