package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// benchBatches returns mesh access records in batches of 2,000 and what they
// take as JSON lines: those of the file that MESHTRAIL_BENCH_LOGS names, or
// drawn ones.
func benchBatches(t testing.TB, n int) (batches []*record.Batch, raw int64) {
	t.Helper()
	next := drawnRecords()
	if name := os.Getenv("MESHTRAIL_BENCH_LOGS"); name != "" {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		next = linesOf(bufio.NewScanner(f))
	}
	for range n {
		rec, size := next()
		if rec == nil {
			break
		}
		if len(batches) == 0 || batches[len(batches)-1].Len() == 2000 {
			batches = append(batches, &record.Batch{Tenant: "acme", Source: "bench", Ingest: noon + int64(len(batches))})
		}
		batches[len(batches)-1].AddRecord(rec)
		raw += int64(size)
	}
	return batches, raw
}

func linesOf(s *bufio.Scanner) func() (*record.Record, int) {
	return func() (*record.Record, int) {
		if !s.Scan() {
			return nil, 0
		}
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			return nil, 0
		}
		at, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(m["@timestamp"]))
		rec := &record.Record{Time: at.UnixNano(), Class: "app"}
		for k, v := range m {
			switch v := v.(type) {
			case string:
				if k == "msg" {
					k = record.Body
				}
				if k != "@timestamp" {
					rec.Fields = append(rec.Fields, record.Field{Name: k, Value: record.StringValue(v)})
				}
			case json.Number:
				i, _ := v.Int64()
				rec.Fields = append(rec.Fields, record.Field{Name: k, Value: record.IntValue(i)})
			}
		}
		return rec, len(s.Bytes()) + 1
	}
}

func drawnRecords() func() (*record.Record, int) {
	r := mrand.New(mrand.NewPCG(1, 77))
	at := int64(noon)
	return func() (*record.Record, int) {
		at += r.Int64N(2e6)
		svc := []string{"cart", "checkout", "users", "search"}[r.IntN(4)]
		rec := &record.Record{Time: at, Class: "app", Fields: []record.Field{
			{Name: "service", Value: record.StringValue(svc)},
			{Name: "pod", Value: record.StringValue(fmt.Sprint(svc, "-", r.IntN(60)))},
			{Name: "method", Value: record.StringValue([]string{"GET", "POST"}[r.IntN(2)])},
			{Name: "path", Value: record.StringValue(fmt.Sprint("/api/v1/cart/", r.IntN(500_000)))},
			{Name: "response_code", Value: record.IntValue(int64([]int{200, 200, 200, 404, 503}[r.IntN(5)]))},
			{Name: "duration", Value: record.IntValue(int64(r.ExpFloat64() * 14))},
			{Name: "request_id", Value: record.StringValue(fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint64()>>16))},
			{Name: "user_agent", Value: record.StringValue("Go-http-client/2.0")},
		}}
		return rec, len(match.AppendLine(nil, rec)) + 1
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMeasure prints what a load costs; run it with -v and MESHTRAIL_BENCH_LOGS.
func TestMeasure(t *testing.T) {
	if os.Getenv("MESHTRAIL_BENCH_LOGS") == "" {
		t.Skip("set MESHTRAIL_BENCH_LOGS to a file of JSON lines")
	}
	batches, raw := benchBatches(t, 1<<30)
	f, err := vfs.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	createWorld(t, f)
	s := openWorld(t, f, Limits{SealAge: -1})
	records := 0
	runtime.GC()
	start, c0 := time.Now(), cpu()
	for _, b := range batches {
		mustAppend(t, s, b)
		records += b.Len()
	}
	appendCPU := cpu() - c0
	t.Logf("append %d records, %.0f MB: %v, %.0f ns CPU a record", records, float64(raw)/1e6, time.Since(start).Round(time.Millisecond), float64(appendCPU)/float64(records))
	start, c0 = time.Now(), cpu()
	mustSeal(t, s)
	t.Logf("seal: %v, %.0f ns CPU a record", time.Since(start).Round(time.Millisecond), float64(cpu()-c0)/float64(records))
	var size int64
	for _, l := range s.Segments() {
		size += l.Size
	}
	t.Logf("%d segments, %.1f bytes a record, %.1f times smaller than JSON", len(s.Segments()), float64(size)/float64(records), float64(raw)/float64(size))
	measureQueries(t, s, batches)
}

func measureQueries(t *testing.T, s *Store, batches []*record.Batch) {
	id := ""
	for i := 0; id == ""; i++ {
		r := batches[len(batches)/2].Record(i)
		if v, ok := r.Get("request_id"); ok {
			id = v.Str
		}
	}
	re, err := match.CompileRegexp(`^/api/v1/cart/42[0-9]+$`)
	if err != nil {
		t.Fatal(err)
	}
	scan := func(p match.Predicate, limit int) func() (Stats, error) {
		return func() (Stats, error) {
			return s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Where: p, Limit: limit}, func([]record.Record) error { return nil })
		}
	}
	count := func(p match.Predicate, by ...string) func() (Stats, error) {
		return func() (Stats, error) {
			_, st, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, Where: p, By: by})
			return st, err
		}
	}
	for _, q := range []struct {
		name string
		run  func() (Stats, error)
	}{
		{"needle by request id", scan(match.Eq{Field: "request_id", Value: id}, 100)},
		{"absent word in line", scan(match.Contains{Field: match.Line, Value: " nowhere to be found "}, 100)},
		{"phrase count", count(match.Contains{Field: match.Line, Value: "authenticated from"})},
		{"count by status", count(nil, "response_code")},
		{"count by mesh", count(nil, "mesh")},
		{"count all", count(nil)},
		{"latest 100 of a service", scan(match.Eq{Field: "service", Value: "cart"}, 100)},
		{"regex on path", count(match.Regex{Field: "path", Re: re})},
		{"rare range", count(match.Range{Field: "duration", Min: match.IntBound(15000, true)})},
		{"substring in all lines", count(match.Contains{Field: match.Line, Value: "upstream_reset"})},
		{"export everything", scan(nil, 0)},
	} {
		best := time.Hour
		var st Stats
		for range 5 {
			start := time.Now()
			var err error
			if st, err = q.run(); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		t.Logf("%-26s %10v  matched %d, blocks %d of %d, decoded %.1f MB", q.name, best.Round(time.Microsecond), st.RowsMatched, st.BlocksScanned, st.Blocks, float64(st.BytesDecoded)/1e6)
	}
}
