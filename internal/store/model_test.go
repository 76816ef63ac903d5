package store

import (
	"cmp"
	"context"
	"fmt"
	mrand "math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// long is how often a random test runs: more in make check.
func long(short, full int) int {
	if os.Getenv("MESHTRAIL_LONG") != "" {
		return full
	}
	return short
}

// fill appends n batches and notes them in the oracle.
func fill(t testing.TB, r *mrand.Rand, s *Store, o *oracle, n, size int) {
	t.Helper()
	for range n {
		appendDrawn(t, r, s, o, "acme", noon, size)
	}
}

// spread appends a batch of any tenant and of one of three days, some records of
// which have times that no clock shows.
func spread(t testing.TB, r *mrand.Rand, s *Store, o *oracle, size int) {
	t.Helper()
	tenant := []record.TenantID{"acme", "acme", "acme", "zenith"}[r.IntN(4)]
	appendDrawn(t, r, s, o, tenant, noon+r.Int64N(3)*86_400*1e9, size)
}

func appendDrawn(t testing.TB, r *mrand.Rand, s *Store, o *oracle, tenant record.TenantID, from int64, size int) {
	t.Helper()
	b := drawBatch(r, tenant, from, size)
	if err := s.Append(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	o.add(b)
}

func drawBatch(r *mrand.Rand, tenant record.TenantID, from int64, size int) *record.Batch {
	b := &record.Batch{Tenant: tenant, Source: fmt.Sprint("src-", r.IntN(3)), Ingest: from + r.Int64N(1e12)}
	at := from + r.Int64N(1000)*1e8
	for range 1 + r.IntN(size) {
		at += r.Int64N(3) * 1e8
		rec := drawRecord(r, at)
		if from != noon && r.IntN(60) == 0 {
			rec.Time = []int64{-1, -1 << 63, 1<<63 - 1, memtable.MaxTime, memtable.MaxTime - 1, 0}[r.IntN(6)]
			if r.IntN(2) == 0 {
				rec.Fields = append(rec.Fields, record.Field{Name: "time.original", Value: record.IntValue(7)})
			}
		}
		b.AddRecord(&rec)
	}
	return b
}

func drawScan(r *mrand.Rand) ScanRequest {
	q := ScanRequest{Tenant: "acme", From: 0, To: 1 << 62, Order: Order(r.IntN(3)), Where: drawPredicate(r, 2)}
	if r.IntN(3) == 0 {
		q.From = noon + r.Int64N(5e10)
		q.To = q.From + r.Int64N(5e10)
	}
	if r.IntN(3) == 0 && q.Order != AsStored {
		q.Limit = 1 + r.IntN(40)
	}
	if r.IntN(5) == 0 {
		q.Classes = []record.Class{"ops"}
	}
	return q
}

// aim draws a predicate about values that records of the oracle have, so that
// it finds some.
func (o *oracle) aim(r *mrand.Rand) match.Predicate {
	rec := o.recs[r.IntN(len(o.recs))]
	if len(rec.Fields) == 0 {
		return match.Not{P: match.Exists{Field: "service"}}
	}
	f := rec.Fields[r.IntN(len(rec.Fields))]
	name, v := f.Name, f.Value.Text()
	if r.IntN(2) == 0 {
		name = schema.Identifier(name)
	}
	if r.IntN(4) == 0 {
		name, v = match.Line, string(match.AppendLine(nil, &rec))
	}
	if r.IntN(4) == 0 { // wherever it is
		name = match.AnyField
	}
	lo := r.IntN(len(v) + 1)
	piece := v[lo : lo+r.IntN(len(v)-lo+1)]
	switch r.IntN(8) {
	case 0:
		return match.Exists{Field: name}
	case 1:
		return match.Prefix{Field: name, Value: v[:lo]}
	case 2:
		return match.Contains{Field: name, Value: piece, Fold: r.IntN(3) == 0}
	case 3:
		return match.Word{Field: name, Value: strings.Trim(piece, " "), Fold: r.IntN(2) == 0}
	case 4:
		return match.In{Field: name, Values: []string{v, piece, "cart"}}
	case 5:
		if re, err := match.CompileRegexp([]string{"", "^", "(?i)", "[0-9]*", "(x|)"}[r.IntN(5)] + regexp.QuoteMeta(piece)); err == nil {
			return match.Regex{Field: name, Re: re}
		}
	case 6:
		if f.Value.Kind == record.Int {
			n := f.Value.Int
			return match.Range{Field: name, Min: match.IntBound(n, r.IntN(2) == 0), Max: match.IntBound(n+r.Int64N(100), r.IntN(2) == 0)}
		}
	}
	return match.Eq{Field: name, Value: v}
}

// drawAimed draws a request, every other one about something that is there.
func drawAimed(r *mrand.Rand, o *oracle) ScanRequest {
	q := drawScan(r)
	if r.IntN(4) == 0 {
		q.Tenant = "zenith"
	}
	if q.From > 0 && r.IntN(2) == 0 { // of any of the days
		q.From += r.Int64N(3) * 86_400 * 1e9
		q.To = q.From + r.Int64N(2*86_400*1e9)
	}
	if r.IntN(3) == 0 { // from one record to another, exactly
		a, b := o.recs[r.IntN(len(o.recs))].Time, o.recs[r.IntN(len(o.recs))].Time
		q.From, q.To = min(a, b)+r.Int64N(2), max(a, b)+r.Int64N(2)
	}
	if q.Order != AsStored && r.IntN(4) == 0 { // from a record on, or from where there is none
		rec := o.recs[r.IntN(len(o.recs))]
		q.After = &Place{Time: rec.Time + r.Int64N(2), Ord: rec.Ord + r.Uint64N(2)}
	}
	switch r.IntN(8) {
	case 0:
		q.AfterOrd = o.recs[r.IntN(len(o.recs))].Ord
	case 1:
		q.UpToOrd = o.recs[r.IntN(len(o.recs))].Ord
	}
	switch r.IntN(6) {
	case 0:
		q.Where = nil
	case 1:
		q.Where = o.aim(r)
	case 2:
		q.Where = match.And{o.aim(r), match.Not{P: drawPredicate(r, 1)}}
	case 3:
		q.Where = match.Or{o.aim(r), o.aim(r), drawPredicate(r, 0)}
	}
	return q
}

// ask holds n random requests against the oracle.
func ask(t testing.TB, r *mrand.Rand, s *Store, o *oracle, n int) {
	t.Helper()
	if len(o.recs) == 0 {
		return
	}
	for range n {
		q := drawAimed(r, o)
		got, want := scanAll(t, s, q), o.ask(q)
		if q.Order == AsStored {
			slices.SortFunc(got, func(a, b record.Record) int { return cmp.Compare(a.Ord, b.Ord) })
		}
		compare(t, fmt.Sprintf("scan of %s order %d limit %d from %d to %d after %v, %d up to %d where %v",
			q.Tenant, q.Order, q.Limit, q.From, q.To, q.After, q.AfterOrd, q.UpToOrd, q.Where), got, want)
		if r.IntN(4) == 0 {
			askSome(t, r, s, q, want)
		}
		q.Limit, q.After, q.AfterOrd, q.UpToOrd = 0, nil, 0, 0
		askCount(t, r, s, o, q)
		askMeasure(t, r, s, o, q)
		if r.IntN(4) == 0 {
			askValues(t, r, s, o, q)
		}
	}
	askFields(t, r, s, o)
}

// names of fields that requests group by and ask for, as people write them.
var names = []string{
	"service", "response_code", "retried", match.Class, "note", match.Line, "client", "took", "peer", "request_id", "upstream_ms",
	"event", "duration", "path", "x_7", "absent", "status", "body", "price",
}

// askSome asks for some fields of the records: of what is asked for, each record
// shows what the whole one has.
func askSome(t testing.TB, r *mrand.Rand, s *Store, q ScanRequest, want []record.Record) {
	t.Helper()
	for range 1 + r.IntN(3) {
		if n := names[r.IntN(len(names))]; n != match.Line && n != match.Class {
			q.Fields = append(q.Fields, n)
		}
	}
	got := scanAll(t, s, q)
	if q.Order == AsStored {
		slices.SortFunc(got, func(a, b record.Record) int { return cmp.Compare(a.Ord, b.Ord) })
	}
	if len(got) != len(want) {
		t.Fatalf("scan of %v where %v: %d records, want %d", q.Fields, q.Where, len(got), len(want))
	}
	for i := range got {
		for _, name := range q.Fields {
			res := schema.Resolve(name)
			g, _, _ := match.Lookup(&res, &got[i])
			w, _, _ := match.Lookup(&res, &want[i])
			if g != w || got[i].Ord != want[i].Ord || got[i].Time != want[i].Time || got[i].Class != want[i].Class {
				t.Fatalf("scan of %v where %v: record %d is\n%s\nwant of\n%s", q.Fields, q.Where, i, text(&got[i]), text(&want[i]))
			}
		}
	}
}

func askValues(t testing.TB, r *mrand.Rand, s *Store, o *oracle, q ScanRequest) {
	t.Helper()
	req := ValuesRequest{Tenant: q.Tenant, Classes: q.Classes, From: q.From, To: q.To, Where: q.Where, Field: names[r.IntN(len(names))], Limit: r.IntN(6)}
	got, _, err := s.Values(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	res := schema.Resolve(req.Field)
	q.Limit = 0
	for _, rec := range o.ask(q) {
		if v, _, _ := match.Lookup(&res, &rec); v.Text() != "" {
			counts[v.Text()]++
		}
	}
	var want []record.Count
	for v, n := range counts {
		want = append(want, record.Count{Name: v, N: n})
	}
	slices.SortFunc(want, func(a, b record.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	if req.Limit > 0 {
		want = want[:min(len(want), req.Limit)]
	}
	if !slices.Equal(got, want) {
		t.Fatalf("values of %s where %v:\n%v\nwant\n%v", req.Field, req.Where, got, want)
	}
}

// askFields lists the fields of a range: none that does not exist, each that
// does, unless it is counted among those that are not listed.
func askFields(t testing.TB, r *mrand.Rand, s *Store, o *oracle) {
	t.Helper()
	type key struct {
		name string
		kind record.Kind
	}
	from, to := int64(0), int64(1<<62)
	if r.IntN(2) == 0 {
		from = noon + r.Int64N(3)*86_400*1e9 + r.Int64N(1e11)
		to = from + r.Int64N(1e11)
	}
	list, more, err := s.Fields(context.Background(), "acme", from, to)
	if err != nil {
		t.Fatal(err)
	}
	exists, there := map[key]bool{}, map[key]uint64{}
	for i := range o.recs {
		if o.tenants[i] != "acme" {
			continue
		}
		for _, f := range o.recs[i].Fields {
			if f.Name == record.Labels {
				continue
			}
			k := key{f.Name, f.Value.Kind}
			exists[k] = true
			if at := o.recs[i].Time; at >= from && at < to {
				there[k]++
			}
		}
	}
	for _, f := range list {
		k := key{f.Name, f.Kind}
		if !exists[k] || f.Records < there[k] {
			t.Fatalf("field %v is listed with %d records, there are %d; it exists: %v", k, f.Records, there[k], exists[k])
		}
		delete(there, k)
	}
	if uint64(len(there)) > more {
		t.Fatalf("%d fields are not listed, %d are said to be: %v", len(there), more, there)
	}
}

func askCount(t testing.TB, r *mrand.Rand, s *Store, o *oracle, q ScanRequest) {
	t.Helper()
	by := names[r.IntN(len(names))]
	req := CountRequest{Tenant: q.Tenant, Classes: q.Classes, From: q.From, To: q.To, Where: q.Where, Sum: r.IntN(3) == 0}
	if r.IntN(3) > 0 {
		req.By = append(req.By, by)
	}
	if r.IntN(3) == 0 {
		req.By = append(req.By, names[r.IntN(len(names))])
	}
	if q.From > 0 && q.To < memtable.MaxTime && r.IntN(2) == 0 {
		req.Step = max(1e9+r.Int64N(100)*1e8, (q.To-q.From)/1000)
	}
	got, _, err := s.Count(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]uint64{}
	q.Limit = 0
	for _, rec := range o.ask(q) {
		key := ""
		for _, name := range req.By {
			res := schema.Resolve(name)
			v, _, _ := match.Lookup(&res, &rec)
			key += fmt.Sprintf("%q,", v.Text())
		}
		bucket := int64(0)
		if req.Step > 0 {
			bucket = (rec.Time - req.From) / req.Step
		}
		key += fmt.Sprint(bucket)
		x := want[key]
		want[key] = [2]uint64{x[0] + 1, x[1] + uint64(len(match.AppendLine(nil, &rec)))}
	}
	cells := 0
	for _, g := range got {
		key := ""
		for _, v := range g.Values {
			key += fmt.Sprintf("%q,", v)
		}
		for b, n := range g.Counts {
			if n == 0 {
				continue
			}
			cells++
			x := want[key+fmt.Sprint(b)]
			if x[0] != n || req.Sum && g.Bytes[b] != x[1] {
				t.Fatalf("count by %v where %v: group %v bucket %d = %d, want %v", req.By, req.Where, g.Values, b, n, x)
			}
		}
	}
	if cells != len(want) {
		t.Fatalf("count by %v where %v: %d cells, want %d", req.By, req.Where, cells, len(want))
	}
}
