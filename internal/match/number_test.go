package match_test

import (
	"math"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestParseNumber(t *testing.T) {
	f := func(s string, want float64, isInt, ok bool) {
		t.Helper()
		i, got, gotInt, gotOK := match.ParseNumber(s)
		if gotOK != ok || gotInt != isInt || ok && got != want || isInt && i != int64(want) {
			t.Errorf("ParseNumber(%q) = %d, %v, %v, %v", s, i, got, gotInt, gotOK)
		}
	}
	f("0", 0, true, true)
	f("-12", -12, true, true)
	f("+5", 5, true, true)
	f("1.5", 1.5, false, true)
	f(".5", .5, false, true)
	f("5.", 5, false, true)
	f("1e3", 1000, false, true)
	f("-1.5E-2", -.015, false, true)
	f("99999999999999999999", 1e20, false, true)
	for _, s := range []string{"", "-", ".", "e5", "1e", "0x1F", "1_000", "NaN", "Inf", " 1", "1 ", "1e999", "12a", "5ms"} {
		f(s, 0, false, false)
	}
}

func TestParseDuration(t *testing.T) {
	f := func(s string, want int64, ok bool) {
		t.Helper()
		if got, gotOK := match.ParseDuration(s); gotOK != ok || ok && got != want {
			t.Errorf("ParseDuration(%q) = %d, %v", s, got, gotOK)
		}
	}
	f("250ms", 250e6, true)
	f("1h30m", 5400e9, true)
	f("1.5s", 1.5e9, true)
	f("-2m", -120e9, true)
	f("1d", 86400e9, true)
	f("1w2d3h", (9*86400+3*3600)*1e9, true)
	f("1y", 365*86400e9, true)
	for _, s := range []string{"", "5", "d", "5x", "1d5", "99999999999y", "1h1d", "-", "0"} {
		f(s, 0, false)
	}
}

func TestParseBytes(t *testing.T) {
	f := func(s string, want int64, ok bool) {
		t.Helper()
		if got, gotOK := match.ParseBytes(s); gotOK != ok || ok && got != want {
			t.Errorf("ParseBytes(%q) = %d, %v", s, got, gotOK)
		}
	}
	f("5KB", 5000, true)
	f("5 kB", 5000, true)
	f("5KiB", 5120, true)
	f("1.5MB", 1_500_000, true)
	f("10b", 10, true)
	f("2Gi", 2<<30, true)
	for _, s := range []string{"", "5", "KB", "5XB", "1e30PB", "5  KB"} {
		f(s, 0, false)
	}
}

// TestIntervalIsExact: integers beyond 2^53 are not rounded to floats.
func TestIntervalIsExact(t *testing.T) {
	const big = int64(1)<<60 + 1
	f := func(want bool, v match.Interval, i int64) {
		t.Helper()
		if v.HasInt(i) != want {
			t.Errorf("%+v has %d: %v", v, i, !want)
		}
	}
	f(true, match.Interval{Min: match.IntBound(big, true)}, big)
	f(false, match.Interval{Min: match.IntBound(big, true)}, big-1)
	f(true, match.Interval{Min: match.FloatBound(float64(big-1), false)}, big)
	f(true, match.Interval{Max: match.FloatBound(math.Inf(1), false)}, math.MaxInt64)
	f(false, match.Interval{Max: match.FloatBound(-math.MaxFloat64, true)}, math.MinInt64)
	f(true, match.Interval{Min: match.FloatBound(-.5, false), Max: match.FloatBound(.5, false)}, 0)
	f(false, match.Interval{Min: match.FloatBound(.5, true)}, 0)
}

func TestMatchRowDoesNotAllocate(t *testing.T) {
	var b record.Batch
	b.Begin(1, "app")
	b.Str("service.name", "cart")
	b.Int("http.response.status_code", 503)
	b.Str("client.address", "10.1.2.3:80")
	b.End()
	m := match.Compile(match.And{
		match.Eq{Field: "service", Value: "cart"},
		match.Range{Field: "response_code", Min: match.IntBound(500, true)},
		match.Prefix{Field: "client_address", Value: "10."},
		match.Not{P: match.Exists{Field: "absent"}},
		match.Not{P: match.Eq{Field: match.Class, Value: "audit"}},
	})
	m.Bind(&b)
	if !m.MatchRow(&b, 0) {
		t.Fatal("does not match")
	}
	if n := testing.AllocsPerRun(100, func() { m.MatchRow(&b, 0) }); n != 0 {
		t.Errorf("%v allocations a row", n)
	}
}

func BenchmarkMatchRow(b *testing.B) {
	var batch record.Batch
	for i := range 1000 {
		batch.Begin(int64(i), "app")
		batch.Str("service.name", "cart")
		batch.Int("http.response.status_code", int64(i%600))
		batch.End()
	}
	m := match.Compile(match.And{match.Eq{Field: "service", Value: "cart"}, match.Range{Field: "response_code", Min: match.IntBound(500, true)}})
	b.ReportAllocs()
	for b.Loop() {
		m.Bind(&batch)
		for i := range batch.Len() {
			m.MatchRow(&batch, i)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"1.5e3", "1w2d", "5 KiB", "-0", "10.0.0.1:80", "[::1]:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, f, _, ok := match.ParseNumber(s); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			t.Fatalf("%q is %v", s, f)
		}
		match.ParseDuration(s)
		match.ParseBytes(s)
		match.ParseAddr(s)
	})
}
