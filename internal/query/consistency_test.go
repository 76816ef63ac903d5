package query_test

import (
	"slices"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// TestConsistency: shares, skew and changes are those of the records, by source.
func TestConsistency(t *testing.T) {
	const day = 24 * time.Hour
	now := 8 * day // the span is an hour, a week before there was another format
	s := &querytest.Store{}
	put := func(source string, when, late time.Duration, fields ...string) {
		b := &record.Batch{Tenant: "acme", Source: source, Ingest: at(when + late)}
		b.Begin(at(when), "app")
		b.Str("log.source", source)
		for i := 0; i < len(fields); i += 2 {
			b.Str(fields[i], fields[i+1])
		}
		b.End()
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		when := now + time.Duration(i)*time.Second
		who := []string{"parse.format", "istio-json", "parse.status", "ok", "http.request.method", "GET", "service.name", "cart"}
		if i < 40 {
			who = append(who, "user.name", "u")
		}
		if i < 75 {
			who = append(who, "http.response.status_code", "200")
		}
		put("http/a", when, time.Duration(i+1)*time.Second, who...)
		put("http/b", when, 0, "parse.format", "text", "parse.status", "none", "body", "x", "my_own", "y")
		put("http/b", when-7*day, 0, "parse.format", "klog", "parse.status", "ok", "body", "x", "gone_one", "z")
	}
	e := engine(t, s)
	got, err := e.Consistency(t.Context(), scopeOf(t), query.ConsistencyRequest{From: at(now), To: at(now + time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != 200 || len(got.Sources) != 2 || got.Schema != schema.Version {
		t.Fatalf("%+v", got)
	}
	a, b := got.Sources[0], got.Sources[1]
	if a.Source != "http/a" { // they are of equal size
		a, b = b, a
	}
	if a.Records != 100 || a.Who != 0.4 || a.What != 1 || a.When != 1 || a.Where != 1 || a.Outcome != 0.75 || a.Parsed.OK != 1 {
		t.Errorf("%+v", a)
	}
	if k := a.Skew; k == nil || k.MedianSeconds != 50 || k.P95Seconds != 95 || k.MaxSeconds != 100 || k.MinSeconds != 1 || a.Sampled != 100 {
		t.Errorf("skew of %d: %+v", a.Sampled, k)
	}
	if len(a.NewFormats) != 0 { // the source itself is new
		t.Errorf("new layouts %v", a.NewFormats)
	}
	if b.Who != 0 || b.When != 0 || b.Skew != nil || b.Before != 100 || b.Parsed.None != 1 || b.ParsedBefore.OK != 1 {
		t.Errorf("%+v", b)
	}
	if !slices.Equal(b.NewFormats, []string{"text"}) || !slices.Equal(b.GoneFormats, []string{"klog"}) {
		t.Errorf("layouts: new %v, gone %v", b.NewFormats, b.GoneFormats)
	}
	if !slices.Equal(b.Unknown, []record.Count{{Name: "my_own", N: 100}}) || b.UnknownOf != 100 {
		t.Errorf("unknown %v of %d", b.Unknown, b.UnknownOf)
	}
	if !slices.Equal(got.Unknown, []record.Count{{Name: "my_own", N: 100}}) {
		t.Errorf("unknown %v", got.Unknown)
	}
	if !slices.Contains(got.NewFields, "my_own") || !slices.Equal(got.GoneFields, []string{"gone_one"}) {
		t.Errorf("fields: new %v, gone %v", got.NewFields, got.GoneFields)
	}
}

// TestDimensionsAreOfTheDictionary: a share of a field that nobody writes would be
// of nothing.
func TestDimensionsAreOfTheDictionary(t *testing.T) {
	for _, d := range query.Dimensions {
		for _, f := range d.Fields {
			if _, ok := schema.Lookup(f); !ok {
				t.Errorf("%s: %s is no field", d.Name, f)
			}
		}
	}
}
