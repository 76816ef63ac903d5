package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
)

// measure is Store.Measure by definition. Sums are exact enough to be compared.
func (o *oracle) measure(req MeasureRequest) []MeasureGroup {
	groups := map[string]map[int]*MeasureCell{}
	values := map[string][]string{}
	for _, r := range o.ask(ScanRequest{Tenant: req.Tenant, Classes: req.Classes, From: req.From, To: req.To, Where: req.Where, Order: Oldest}) {
		v := make([]string, len(req.By))
		for j := range req.By {
			v[j] = keyText(&req.By[j], &r)
		}
		key := fmt.Sprintf("%q", v)
		if groups[key] == nil {
			groups[key], values[key] = map[int]*MeasureCell{}, v
		}
		bucket := 0
		if req.Step > 0 {
			bucket = int((r.Time - cmp.Or(req.Zero, req.From)) / req.Step)
		}
		c := groups[key][bucket]
		if c == nil {
			c = &MeasureCell{Bucket: bucket, Of: make([]Measure, len(req.Of))}
			groups[key][bucket] = c
		}
		c.Records++
		for j := range req.Of {
			measureRecord(&c.Of[j], &req.Of[j], &r)
		}
	}
	var out []MeasureGroup
	for key, byBucket := range groups {
		g := MeasureGroup{Values: values[key]}
		for _, c := range byBucket {
			for j := range c.Of {
				slices.Sort(c.Of[j].Values)
			}
			g.Cells = append(g.Cells, *c)
		}
		slices.SortFunc(g.Cells, func(a, b MeasureCell) int { return cmp.Compare(a.Bucket, b.Bucket) })
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b MeasureGroup) int { return slices.Compare(a.Values, b.Values) })
	return out
}

func valueOf(name string, r *record.Record) (res schema.Resolution, v record.Value, mul float64, ok bool) {
	res = schema.Resolve(name)
	if name == TimeName {
		return res, record.IntValue(r.Time), 1, true
	}
	v, mul, ok = match.Lookup(&res, r)
	return res, v, mul, ok
}

func keyText(k *GroupKey, r *record.Record) string {
	res, v, mul, ok := valueOf(k.Name, r)
	if !ok {
		return ""
	}
	if k.Edges == nil && k.Interval == 0 {
		return v.Text()
	}
	x, ok := k.Unit.Number(v, &res, mul)
	if !ok {
		return ""
	}
	if k.Edges != nil {
		n := 0
		for n < len(k.Edges) && x >= k.Edges[n] {
			n++
		}
		return strconv.Itoa(n)
	}
	return strconv.FormatFloat(math.Floor((x-k.Offset)/k.Interval)*k.Interval+k.Offset, 'g', -1, 64)
}

func measureRecord(m *Measure, f *MeasureField, r *record.Record) {
	res, v, mul, ok := valueOf(f.Name, r)
	if f.Want&WantDistinct != 0 {
		if m.Distinct == nil {
			m.Distinct = new(Distinct)
		}
		m.Distinct.Add([]byte(v.Text()))
	}
	if !ok {
		m.Absent++
		return
	}
	if f.Want&numeric == 0 {
		return
	}
	x, ok := f.Unit.Number(v, &res, mul)
	if !ok {
		m.NotNumbers++
		return
	}
	m.Add(f.Want, Sample{Time: r.Time, Ord: r.Ord, Value: x})
}

// textOf writes down groups. Sums are rounded to what the order of their terms
// does not change, given the size of the terms.
func textOf(groups []MeasureGroup, ords bool) string {
	var b strings.Builder
	for i := range groups {
		for _, c := range groups[i].Cells {
			fmt.Fprintf(&b, "%q %d: %d", groups[i].Values, c.Bucket, c.Records)
			for j := range c.Of {
				m := c.Of[j]
				if !ords {
					for _, s := range []*Sample{&m.First, &m.Last} {
						s.Ord &= 1<<20 - 1
					}
					m.Samples = slices.Clone(m.Samples)
					for k := range m.Samples {
						m.Samples[k].Ord &= 1<<20 - 1
					}
				}
				size := max(math.Abs(m.Min), math.Abs(m.Max))
				sum, m2 := m.Sum*math.Pi, m.M2*math.Pi // so that none lies where roundings part
				if math.Abs(sum) < size*1e-9 {
					sum = 0
				}
				if math.Abs(m2) < size*size*1e-9 {
					m2 = 0
				}
				n, exact := m.Distinct.Len()
				fmt.Fprintf(&b, " | %d %d %d  %.9g %g %g %.6g %v %v %v %v %d %v", m.Count, m.Absent, m.NotNumbers,
					sum, m.Min, m.Max, m2, m.First, m.Last, m.Values, m.Samples, n, exact)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var numbers = []string{"duration", "response_code", "status", "price", "took", "x_7", "service", "retried", "upstream_ms", "note", "absent", match.Line, match.Class, TimeName}

// drawMeasure draws what to measure of the records that q selects.
func drawMeasure(r *mrand.Rand, q ScanRequest) MeasureRequest {
	req := MeasureRequest{Tenant: q.Tenant, Classes: q.Classes, From: q.From, To: q.To, Where: q.Where}
	for range r.IntN(3) {
		k := GroupKey{Name: names[r.IntN(len(names))]}
		switch r.IntN(4) {
		case 0:
			k.Name, k.Unit = numbers[r.IntN(len(numbers))], match.Unit(r.IntN(3))
			k.Edges = []float64{-5, 0, 1, 12.5, 200, 201, 1e6}[r.IntN(7):]
		case 1:
			k.Name, k.Unit = numbers[r.IntN(len(numbers))], match.Unit(r.IntN(3))
			k.Interval, k.Offset = []float64{1, 0.25, 50, 3e9}[r.IntN(4)], float64(r.IntN(3))
		}
		req.By = append(req.By, k)
	}
	for range r.IntN(4) {
		f := MeasureField{Name: numbers[r.IntN(len(numbers))], Unit: match.Unit(r.IntN(3)), Want: Want(1 + r.IntN(127))}
		if r.IntN(4) == 0 {
			f.Want = WantBounds
		}
		req.Of = append(req.Of, f)
	}
	if q.From > 0 && q.To < memtable.MaxTime && r.IntN(2) == 0 {
		req.Step = max(1e9+r.Int64N(100)*1e8, (q.To-q.From)/1000)
		if r.IntN(2) == 0 {
			req.Zero = req.From - r.Int64N(3*req.Step)
		}
	}
	return req
}

func measureAll(t testing.TB, s *Store, req MeasureRequest) []MeasureGroup {
	t.Helper()
	groups, stats, err := s.Measure(context.Background(), req)
	if err != nil || len(stats.Damaged) > 0 {
		t.Fatalf("measure %+v: %v, damaged %v", req, err, stats.Damaged)
	}
	return groups
}

func askMeasure(t testing.TB, r *mrand.Rand, s *Store, o *oracle, q ScanRequest) {
	t.Helper()
	req := drawMeasure(r, q)
	got, want := textOf(measureAll(t, s, req), true), textOf(o.measure(req), true)
	if got != want {
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("measure %+v: cell %d of %d is\n%.3000s\nwant\n%.3000s", req, i, len(w)-1, g[i], w[i])
			}
		}
		t.Fatalf("measure %+v: %d cells, want %d", req, len(g)-1, len(w)-1)
	}
}

// TestMeasureIsRefused asks for what makes no sense, and for too much.
func TestMeasureIsRefused(t *testing.T) {
	l := manual()
	l.AnswerBytes = 30_000
	s, _ := newWorld(t, l)
	ask := func(kind fault.Kind, change func(q *MeasureRequest)) {
		t.Helper()
		q := MeasureRequest{Tenant: "acme", From: noon, To: noon + 3600e9}
		change(&q)
		_, _, err := s.Measure(context.Background(), q)
		if fault.KindOf(err) != kind {
			t.Errorf("%+v is %v", q, err)
		}
	}
	nan := math.NaN()
	ask(fault.Invalid, func(q *MeasureRequest) { q.Step = -1 })
	ask(fault.Invalid, func(q *MeasureRequest) { q.Step = 1 })
	ask(fault.Invalid, func(q *MeasureRequest) { q.Zero = noon + 1 })
	ask(fault.Invalid, func(q *MeasureRequest) { q.Of = make([]MeasureField, 65) })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Interval: -1}} })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Interval: nan}} })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Interval: 1, Offset: nan}} })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Edges: []float64{1, 1}}} })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Edges: []float64{nan}}} })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Edges: []float64{1}, Interval: 1}} })
	ask(fault.Invalid, func(q *MeasureRequest) { q.By = []GroupKey{{Name: "x", Edges: make([]float64, 5000)}} })

	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range 5000 {
		b.Begin(noon+int64(i), "app")
		b.Int("n", int64(i))
		b.End()
	}
	mustAppend(t, s, b)
	for range 2 {
		ask(fault.Overload, func(q *MeasureRequest) {
			q.By, q.Of = GroupBy("n"), []MeasureField{{Name: "n", Want: WantSums}}
		})
		ask(fault.Overload, func(q *MeasureRequest) {
			q.Of = []MeasureField{{Name: "n", Want: WantValues}}
		})
		ask(fault.Overload, func(q *MeasureRequest) {
			q.Of = []MeasureField{{Name: "n", Want: WantDistinct}}
		})
		ask(fault.Overload, func(q *MeasureRequest) {
			q.Of, q.Budget.Rows = []MeasureField{{Name: "n", Want: WantSums}}, 100
		})
		mustSeal(t, s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := s.Measure(ctx, MeasureRequest{Tenant: "acme", To: 1 << 62, Of: []MeasureField{{Name: "n", Want: WantSums}}})
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("a request that was given up ends with %v", err)
	}
}

// TestMeasuresMerge holds the sum of many small measures against one of all.
func TestMeasuresMerge(t *testing.T) {
	r := mrand.New(mrand.NewPCG(7, 7))
	const all = WantSums | WantSpread | WantEnds | WantValues | WantSamples
	var whole, merged Measure
	exact := 0.0
	for range 200 {
		var part Measure
		for range r.IntN(30) {
			s := Sample{Time: r.Int64N(50), Ord: r.Uint64(), Value: math.Round(r.NormFloat64()*1e6) + 1e9}
			exact += s.Value
			whole.Add(all, s)
			part.Add(all, s)
		}
		merged.Merge(&part)
	}
	whole.Sort()
	merged.Sort()
	a, b := textOf([]MeasureGroup{{Cells: []MeasureCell{{Of: []Measure{whole}}}}}, true), textOf([]MeasureGroup{{Cells: []MeasureCell{{Of: []Measure{merged}}}}}, true)
	if a != b {
		t.Errorf("merged\n%.300s\nat once\n%.300s", b, a)
	}
	if merged.Sum != exact {
		t.Errorf("the sum is %v, want %v", merged.Sum, exact)
	}
	m2 := 0.0
	for _, v := range merged.Values {
		m2 += (v - merged.Mean()) * (v - merged.Mean())
	}
	if math.Abs(m2-merged.M2) > 1e-9*m2 || math.Abs(m2-whole.M2) > 1e-9*m2 {
		t.Errorf("M2 is %v and %v, want %v", merged.M2, whole.M2, m2)
	}
}

// TestSumsLoseNothing adds numbers whose plain sum depends on their order.
func TestSumsLoseNothing(t *testing.T) {
	var m Measure
	for _, v := range []float64{1e16, 1, -1e16, 1, 1e-3} {
		m.Add(WantSums, Sample{Value: v})
	}
	if m.Sum != 2.001 {
		t.Errorf("the sum is %v", m.Sum)
	}
	s, _ := newWorld(t, manual())
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range 1000 {
		b.Begin(noon+int64(i), "app")
		b.Int("n", math.MaxInt64-int64(i))
		b.Int("m", math.MinInt64+int64(i))
		b.End()
	}
	mustAppend(t, s, b)
	for range 2 {
		g := measureAll(t, s, MeasureRequest{Tenant: "acme", To: 1 << 62, Of: []MeasureField{{Name: "n", Want: WantSums}, {Name: "m", Want: WantSums}}})
		n, m := g[0].Cells[0].Of[0], g[0].Cells[0].Of[1]
		if n.Sum != 1000*0x1p63 || m.Sum != -1000*0x1p63 || n.Max != 0x1p63 || m.Min != -0x1p63 {
			t.Errorf("sums of the largest integers are %v and %v", n.Sum, m.Sum)
		}
		mustSeal(t, s)
	}
}

func TestSortNumbers(t *testing.T) {
	r := mrand.New(mrand.NewPCG(8, 8))
	for _, n := range []int{0, 1, 100, 5000, 70_000} {
		for _, draw := range []func() float64{r.NormFloat64, func() float64 { return float64(r.IntN(1000)) }, func() float64 { return math.Float64frombits(r.Uint64() &^ (1 << 62)) }, func() float64 { return 7 }} {
			got := make([]float64, n)
			for i := range got {
				got[i] = draw()
			}
			want := slices.Clone(got)
			slices.Sort(want)
			sortNumbers(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d numbers are not sorted", n)
			}
		}
	}
}

// TestDistinct counts exactly what is few, and about what is many, in one set and
// in several that were merged.
func TestDistinct(t *testing.T) {
	for _, n := range []int{0, 1, 100, maxDistinct, maxDistinct + 1, 300_000, 1_000_000} {
		var whole, merged Distinct
		parts := make([]Distinct, 5)
		for i := range n + n/3 {
			text := strconv.AppendInt([]byte("user-"), int64(i%n), 10)
			whole.Add(text)
			parts[i%5].Add(text)
			parts[(i/7)%5].Add(text)
		}
		for i := range parts {
			merged.Merge(&parts[i])
		}
		for _, d := range []*Distinct{&whole, &merged} {
			got, exact := d.Len()
			if exact != (n <= maxDistinct) || math.Abs(float64(got)-float64(n)) > float64(n)/50 || exact && got != uint64(n) {
				t.Errorf("%d texts are counted as %d, exactly: %v", n, got, exact)
			}
			if d.size() > 5*8*maxDistinct {
				t.Errorf("a set takes %d bytes", d.size())
			}
		}
	}
}

// TestHeadersTell measures what the headers of blocks tell without a column, and
// what they seem to tell and do not.
func TestHeadersTell(t *testing.T) {
	l := manual()
	l.BlockRows, l.CacheBytes = 100, -1
	x, o := newStage(t, l), &oracle{}
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range 1000 {
		b.Begin(noon+int64(i)*1e9, "app")
		b.Str("service", []string{"cart", "users"}[i/50%2])
		b.Int("n", int64(i*7919%10_007))
		if i%3 == 0 {
			b.Str("some", []string{"a", "b", "c"}[i%5%3])
			b.Int("few", int64(i))
		}
		b.End()
	}
	mustAppend(t, x.s, b)
	o.add(b)
	x.seal()
	all := MeasureRequest{Tenant: "acme", From: noon, To: noon + 1000e9}
	ask := func(name string, want Want, told bool, change func(q *MeasureRequest)) {
		t.Helper()
		q := all
		q.Of = []MeasureField{{Name: name, Want: want}}
		change(&q)
		got, stats, err := x.s.Measure(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		if g, w := textOf(got, true), textOf(o.measure(q), true); g != w {
			t.Errorf("%s %+v is\n%s\nwant\n%s", name, q, g, w)
		}
		if (stats.BytesDecoded < 5000) != told { // the headers are read
			t.Errorf("%s %+v decodes %d bytes", name, q, stats.BytesDecoded)
		}
	}
	plain := func(*MeasureRequest) {}
	ask("n", WantBounds, true, plain)
	ask("few", WantBounds, true, plain)
	ask("service", WantDistinct, true, plain)
	ask("n", WantBounds, true, func(q *MeasureRequest) { q.Step, q.Zero = 3600e9, noon-600e9 })
	ask("n", WantBounds, false, func(q *MeasureRequest) { q.Step = 70e9 })
	ask("n", WantBounds, false, func(q *MeasureRequest) { q.By = GroupBy("service") })
	ask("n", WantBounds, false, func(q *MeasureRequest) { q.To -= 50e9 })
	ask("n", WantBounds, true, func(q *MeasureRequest) { q.Where = match.Eq{Field: "service", Value: "cart"} }) // blocks are all cart or none
	ask("n", WantSums, false, plain)
	ask("n", WantSpread, false, plain)
	ask("some", WantDistinct, false, plain)
	ask("some", WantDistinct, false, func(q *MeasureRequest) { q.By = GroupBy("service") })
	ask("service", WantDistinct, false, func(q *MeasureRequest) { q.By = GroupBy("service") })
	ask("absent", WantDistinct, true, plain)
}

// TestMeasureAllocates nothing for a record: twice the blocks take at most twice
// the allocations, of which there are few.
func TestMeasureAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := mrand.New(mrand.NewPCG(3, 3))
	s, _ := newWorld(t, Limits{SealAge: -1, CacheBytes: 64 << 20, JournalFile: 16 << 20})
	const n = 40_000
	for range n / 2000 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for i := range 2000 {
			b.Begin(noon+int64(i)*1e6, "app")
			b.Str("service", fmt.Sprint("svc-", r.IntN(5)))
			b.Int("n", r.Int64N(1e6))
			b.Float("f", r.Float64())
			b.Str("text", strconv.Itoa(r.IntN(1e6)))
			b.End()
		}
		mustAppend(t, s, b)
	}
	mustSeal(t, s)
	req := MeasureRequest{Tenant: "acme", From: noon, To: noon + 1e11, Step: 1e8, By: append(GroupBy("service"), GroupKey{Name: "n", Interval: 2e5}), Of: []MeasureField{
		{Name: "n", Want: WantSums | WantSpread | WantEnds | WantBounds}, {Name: "f", Want: WantSums | WantSpread},
		{Name: "text", Want: WantSums}, {Name: "service", Want: WantDistinct},
	}}
	measureAll(t, s, req)
	cells := 0
	for _, g := range measureAll(t, s, req) {
		cells += len(g.Cells)
	}
	got := testing.AllocsPerRun(5, func() { measureAll(t, s, req) })
	if limit := float64(500 + 8*cells); got > limit {
		t.Errorf("%v allocations for %d records in %d cells, limit %v", got, n, cells, limit)
	}
}
