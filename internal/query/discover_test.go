package query_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
)

// fill returns a reader with n records made by f.
func fill(t *testing.T, n int, f func(b *record.Batch, i int)) *querytest.Store {
	t.Helper()
	s := &querytest.Store{}
	b := &record.Batch{Tenant: "acme"}
	for i := range n {
		f(b, i)
		b.End()
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

func at(d time.Duration) int64 { return base.Add(d).UnixNano() }

func TestPatterns(t *testing.T) {
	s := fill(t, 600, func(b *record.Batch, i int) {
		b.Begin(at(time.Duration(i)*time.Second), "app")
		switch {
		case i%10 == 0:
			b.Str("severity_text", "error")
			b.Str("body", fmt.Sprintf("cannot reach host-%d: timeout", i))
		case i%10 == 1:
			b.Str("path", fmt.Sprint("/p/", i)) // no body: the line is JSON
		default:
			b.Str("severity_text", "info")
			b.Str("body", fmt.Sprintf("request %d done in %dms", i, i%7))
		}
	})
	e := engine(t, s)
	p, err := e.Patterns(t.Context(), scopeOf(t), query.PatternsRequest{
		Span: query.Span{From: at(0), To: at(600 * time.Second)}, Step: int64(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p.List {
		got = append(got, fmt.Sprintf("%s|%s|%d|%d", x.Level, x.Text, x.Total, len(x.Samples)))
	}
	want := []string{
		`info|request <_> done in <_>|480|10`,
		`error|cannot reach <_>: timeout|60|10`,
		`|{"path":"<_>"}|60|10`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("patterns %q, want %q", got, want)
	}
	if p.Sampled || p.Lines != 600 || len(p.Warnings) > 0 {
		t.Errorf("sampled %v, %d lines, %v", p.Sampled, p.Lines, p.Warnings)
	}
	for _, x := range p.List {
		for i, s := range x.Samples {
			if s.At != at(time.Duration(i)*time.Minute) || s.Records != x.Total/10 {
				t.Errorf("%s: sample %d is %+v", x.Text, i, s)
			}
		}
	}
}

// TestPatternsOfPipeline: the lines are those that the stages leave.
func TestPatternsOfPipeline(t *testing.T) {
	s := fill(t, 100, func(b *record.Batch, i int) {
		b.Begin(at(time.Duration(i)*time.Second), "app")
		b.Str("body", fmt.Sprintf(`{"msg":"hello %d","kind":"k%d"}`, i, i%2))
	})
	p, err := engine(t, s).Patterns(t.Context(), scopeOf(t), query.PatternsRequest{
		Span: query.Span{From: at(0), To: at(time.Hour), Queries: []string{`{} | json | kind="k1" | line_format "{{.msg}}"`}}, Step: int64(time.Hour),
	})
	if err != nil || len(p.List) != 1 || p.List[0].Text != "hello <_>" || p.List[0].Total != 50 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestPatternsSampled: of more lines than are looked at, the counts stand for
// all, evenly over the steps.
func TestPatternsSampled(t *testing.T) {
	const n = 60_000
	s := fill(t, n, func(b *record.Batch, i int) {
		b.Begin(at(time.Duration(i)*10*time.Millisecond), "app")
		b.Str("body", fmt.Sprint("value ", i))
	})
	f := func(from time.Duration, step time.Duration) {
		t.Helper()
		p, err := engine(t, s).Patterns(t.Context(), scopeOf(t), query.PatternsRequest{
			Span: query.Span{From: at(from), To: at(n * 10 * time.Millisecond)}, Step: int64(step),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(n - from/(10*time.Millisecond))
		if !p.Sampled || p.Lines >= n || len(p.List) != 1 || p.List[0].Text != "value <_>" || p.List[0].Total != want {
			t.Fatalf("from %v: sampled %v, %d lines, %d patterns of %d records, want %d", from, p.Sampled, p.Lines, len(p.List), p.List[0].Total, want)
		}
		for i, x := range p.List[0].Samples {
			if even := uint64(step / (10 * time.Millisecond)); i > 0 && x.Records != even {
				t.Errorf("from %v: step %d has %d records, want %d", from, i, x.Records, even)
			}
		}
	}
	f(0, time.Second)
	f(1500*time.Millisecond, time.Second)
	f(0, 50*time.Second)
}

// TestVolumeAddsUp: however a range is cut, its buckets hold every byte once.
func TestVolumeAddsUp(t *testing.T) {
	e := engine(t, some(t, 100))
	ask := func(step time.Duration, by ...string) *query.Volumes {
		t.Helper()
		v, err := e.Volume(t.Context(), scopeOf(t), query.VolumeRequest{
			Query: `{service=~"s.*"}`, From: at(0), To: at(100 * time.Second), Step: int64(step), By: by,
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := 0
	for i := range 100 {
		want += len(fmt.Sprint("record ", i))
	}
	for _, step := range []time.Duration{0, time.Second, 7 * time.Second, 33 * time.Second, 100 * time.Second, time.Hour} {
		v := ask(step)
		total := uint64(0)
		for _, s := range v.Series {
			sum := uint64(0)
			for _, n := range s.Bytes {
				sum += n
			}
			if sum != s.Total || len(s.Bytes) != len(v.Ends) {
				t.Errorf("step %v: %v has %d in buckets, %d in all; %d buckets of %d", step, s.Labels, sum, s.Total, len(s.Bytes), len(v.Ends))
			}
			total += sum
		}
		if total != uint64(want) || len(v.Series) != 3 || v.Ends[len(v.Ends)-1] != at(100*time.Second) {
			t.Errorf("step %v: %d bytes of %d, %d series, ends %v", step, total, want, len(v.Series), v.Ends)
		}
	}
	// Nor do lines that a stage left nothing of.
	v, err := e.Volume(t.Context(), scopeOf(t), query.VolumeRequest{Query: `{} | line_format ""`, From: at(0), To: at(time.Minute)})
	if err != nil || len(v.Series) != 0 {
		t.Errorf("empty lines: %v, %v", v.Series, err)
	}
	// A label that no record has leaves none.
	if v := ask(0, "service", "nothing"); len(v.Series) != 0 {
		t.Errorf("by an absent label: %v", v.Series)
	}
}

func TestDetectFields(t *testing.T) {
	bodies := []string{`{"took":"5ms","deep":{"er":1},"ratio":0.5}`, `user=ann size=2KB ok=true`, `plain text`}
	s := fill(t, len(bodies), func(b *record.Batch, i int) {
		b.Begin(at(time.Duration(i)), "app")
		b.Str("service.name", "cart")
		b.Int("mesh.duration_ns", int64(i))
		b.Str("odd name", "1.5")
		b.Str("body", bodies[i])
	})
	d, err := engine(t, s).DetectFields(t.Context(), scopeOf(t), query.DetectRequest{From: at(0), To: at(time.Second), Name: "user"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range d.Fields {
		got = append(got, fmt.Sprintf("%s %s %d %v%v", f.Name, f.Type, f.Values, f.Parsers, f.Path))
	}
	want := []string{
		"deep_er int 1 [json][deep er]", "mesh_duration_ns int 3 [][]", "odd_name float 1 [][]", "ok boolean 1 [logfmt][]",
		"ratio float 1 [json][ratio]", "size bytes 1 [logfmt][]", "took duration 1 [json][took]", "user string 1 [logfmt][]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields\n got %q\nwant %q", got, want)
	}
	if !slices.Equal(d.Values, []string{"ann"}) {
		t.Errorf("values %q", d.Values)
	}
}

func TestDetectLabels(t *testing.T) {
	s := fill(t, 4, func(b *record.Batch, i int) {
		b.Begin(at(0), "app")
		b.Str("service.name", fmt.Sprint("s", i%2))
		b.Str("shard", fmt.Sprint(i))
		b.Str(record.Labels, "shard")
	})
	got, err := engine(t, s).DetectLabels(t.Context(), scopeOf(t), query.Span{From: at(0), To: at(1)})
	want := []query.DetectedLabel{{Label: "service", Values: 2}, {Label: "shard", Values: 4, IDs: true}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestDiscoveryKeepsToTheScope: none of the ways to look around shows audit
// records to who may not read them.
func TestDiscoveryKeepsToTheScope(t *testing.T) {
	s := fill(t, 10, func(b *record.Batch, i int) {
		b.Begin(at(0), "audit")
		b.Str("service.name", "secret")
		b.Str("body", "secret words")
	})
	e := engine(t, s)
	span := query.Span{From: at(0), To: at(time.Hour), Queries: []string{`{}`}}
	p, err := e.Patterns(t.Context(), scopeOf(t), query.PatternsRequest{Span: span, Step: 1e9})
	if err != nil || len(p.List) > 0 {
		t.Errorf("patterns %+v, %v", p, err)
	}
	x, err := e.Extent(t.Context(), scopeOf(t), span)
	if err != nil || x.Records > 0 {
		t.Errorf("extent %+v, %v", x, err)
	}
	l, err := e.DetectLabels(t.Context(), scopeOf(t), span)
	if err != nil || len(l) > 0 {
		t.Errorf("labels %+v, %v", l, err)
	}
	v, err := e.Volume(t.Context(), scopeOf(t), query.VolumeRequest{From: span.From, To: span.To})
	if err != nil || len(v.Series) > 0 {
		t.Errorf("volume %+v, %v", v, err)
	}
	span.Queries = []string{`{class="audit"}`}
	if _, err := e.Patterns(t.Context(), scopeOf(t), query.PatternsRequest{Span: span, Step: 1e9}); !fault.Is(err, fault.Denied) {
		t.Errorf("patterns of audit records: %v", err)
	}
	if _, err := e.Extent(t.Context(), scopeOf(t), span); !fault.Is(err, fault.Denied) {
		t.Errorf("extent of audit records: %v", err)
	}
}
