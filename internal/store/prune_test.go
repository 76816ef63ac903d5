package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestPruningHelps asks for what few blocks hold: the others are not scanned,
// and no match is lost.
func TestPruningHelps(t *testing.T) {
	l := manual()
	l.BlockRows = 50
	s, _ := newWorld(t, l)
	for i := range 40 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for j := range 50 {
			b.Begin(noon+int64(i*50+j)*1e6, "app")
			b.Str(record.Body, fmt.Sprintf("order %d took a while at 10.0.%d.%d:80", i*50+j, i, j))
			b.Str("trace_id", fmt.Sprintf("%032x", i*50+j))
			b.Int("code", int64(i))
			b.Str("zone", fmt.Sprint("zone-", i))
			b.End()
		}
		if err := s.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	f := func(p match.Predicate, matched int64, blocks int) {
		t.Helper()
		stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", From: 0, To: 1 << 62, Where: p}, func([]record.Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if stats.Blocks != 40 || stats.RowsMatched != matched || stats.Blocks-stats.BlocksPruned > blocks || stats.BlocksScanned > stats.Blocks-stats.BlocksPruned {
			t.Errorf("%v: %+v, want %d matches in at most %d blocks", p, stats, matched, blocks)
		}
	}
	re, err := match.CompileRegexp(`order 17[0-3]\b.*took a while`)
	if err != nil {
		t.Fatal(err)
	}
	f(match.Eq{Field: "trace_id", Value: fmt.Sprintf("%032x", 777)}, 1, 2)
	f(match.Eq{Field: "trace_id", Value: "absent"}, 0, 2)
	f(match.Contains{Field: match.Line, Value: " 1777 took "}, 1, 2)
	f(match.Contains{Field: match.Line, Value: "rder 1777 took"}, 1, 2)
	f(match.Contains{Field: match.Line, Value: "rder 1777 tOOk", Fold: true}, 1, 2)
	f(match.Contains{Field: match.Line, Value: "777 took"}, 2, 40)
	f(match.Word{Field: match.Line, Value: "1777"}, 1, 2)
	f(match.Word{Field: match.Line, Value: "ORDER 1777", Fold: true}, 1, 2)
	f(match.Word{Field: match.AnyField, Value: fmt.Sprintf("%032X", 777), Fold: true}, 1, 2)
	f(match.Word{Field: match.AnyField, Value: "order 1777", Fold: true}, 1, 2)
	f(match.Word{Field: match.AnyField, Value: "Zone-3", Fold: true}, 50, 3)
	f(match.Word{Field: match.AnyField, Value: "absent", Fold: true}, 0, 0)
	f(match.Contains{Field: match.AnyField, Value: "777 took"}, 2, 40)
	f(match.Eq{Field: match.AnyField, Value: "zone-3"}, 50, 2)
	f(match.Eq{Field: match.AnyField, Value: "39"}, 50, 40) // words of bodies, and one code
	f(match.And{match.Eq{Field: "code", Value: "7"}, match.Word{Field: match.AnyField, Value: "zone-7"}}, 50, 1)
	f(match.Not{P: match.Word{Field: match.AnyField, Value: "zone-7"}}, 1950, 40)
	f(match.Eq{Field: "code", Value: "7"}, 50, 1)
	f(match.Range{Field: "code", Min: match.IntBound(38, true)}, 100, 2)
	f(match.Eq{Field: "zone", Value: "zone-3"}, 50, 2)
	f(match.In{Field: "zone", Values: []string{"zone-3", "zone-30"}}, 100, 4)
	f(match.Prefix{Field: "zone", Value: "zone-1"}, 550, 11)
	f(match.Regex{Field: match.Line, Re: re}, 4, 40)
	f(match.Exists{Field: "absent"}, 0, 0)
	f(match.And{match.Eq{Field: "code", Value: "7"}, match.Contains{Field: match.Line, Value: "took a"}}, 50, 1)
	f(match.Or{match.Eq{Field: "code", Value: "7"}, match.Eq{Field: "code", Value: "9"}}, 100, 2)
	f(match.Not{P: match.Eq{Field: "code", Value: "7"}}, 1950, 40)
}

// TestWordInJSONPrunes looks for an id in any field of records without a body:
// only the blocks with a value of that id are scanned.
func TestWordInJSONPrunes(t *testing.T) {
	l := manual()
	l.BlockRows = 50
	s, _ := newWorld(t, l)
	id := func(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", i*0x9e3779b1&0xffffffff, i) }
	for i := range 20 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for j := range 50 {
			b.Begin(noon+int64(i*50+j)*1e6, "app")
			b.Str("request_id", id(i*50+j))
			b.Str("trace_id", fmt.Sprintf("%032x", i*50+j))
			b.Str("note", fmt.Sprintf("said \"%032x\"\tof\n%032x", i*50+j, i*50+j+5000))
			b.End()
		}
		mustAppend(t, s, b)
	}
	mustSeal(t, s)
	f := func(p match.Predicate, matched int64, blocks int) {
		t.Helper()
		stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Where: p}, func([]record.Record) error { return nil })
		if err != nil || stats.RowsMatched != matched || stats.Blocks != 20 || stats.Blocks-stats.BlocksPruned > blocks {
			t.Errorf("%v: %+v, %v, want %d matches in at most %d blocks", p, stats, err, matched, blocks)
		}
	}
	f(match.Word{Field: match.Line, Value: id(444)}, 1, 1)
	f(match.Word{Field: match.Line, Value: fmt.Sprintf("%032x", 444)}, 1, 1)
	f(match.Word{Field: match.Line, Value: fmt.Sprintf("%032x", 5444)}, 0, 1) // behind what JSON writes as \n
	f(match.Word{Field: match.Line, Value: fmt.Sprintf("n%032x", 5444)}, 1, 20)
	f(match.Word{Field: match.Line, Value: strings.ToUpper(id(444)), Fold: true}, 1, 1)
	f(match.Word{Field: match.Line, Value: fmt.Sprintf("%032x", 5444), Fold: true}, 0, 1)
	f(match.Word{Field: match.Line, Value: fmt.Sprintf("N%032X", 5444), Fold: true}, 1, 20)
	f(match.Word{Field: match.Line, Value: "SAID", Fold: true}, 1000, 20)
	f(match.Word{Field: match.Line, Value: "absent"}, 0, 0)
	f(match.Word{Field: match.Line, Value: "said"}, 1000, 20)
	f(match.Word{Field: match.Line, Value: "tof"}, 1000, 20)
	f(match.Word{Field: match.Line, Value: "of"}, 0, 20)
	f(match.Word{Field: match.AnyField, Value: strings.ToUpper(id(444)), Fold: true}, 1, 1)
	f(match.Word{Field: match.AnyField, Value: fmt.Sprintf("%032x", 5444)}, 1, 1)           // as it is,
	f(match.Word{Field: match.AnyField, Value: fmt.Sprintf("n%032x", 5444)}, 1, 20)         // and as JSON writes it
	f(match.Word{Field: match.AnyField, Value: "of"}, 1000, 20)                             // behind a tab
	f(match.Word{Field: match.AnyField, Value: "trace_id"}, 1000, 20)                       // a name of the line
	f(match.Contains{Field: match.AnyField, Value: `"request_id":"`, Fold: true}, 1000, 20) // and its signs
	f(match.Word{Field: match.AnyField, Value: "absent", Fold: true}, 0, 0)
}

// TestTwoBodiesAreOne seeks a record without a body in a segment that has as many
// bodies as records, because another record has two.
func TestTwoBodiesAreOne(t *testing.T) {
	s, _ := newWorld(t, manual())
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	b.Begin(noon, "app")
	b.Str(record.Body, "words")
	b.Int(record.Body, 7)
	b.End()
	b.Begin(noon, "app")
	b.Str("note", "needle")
	b.End()
	mustAppend(t, s, b)
	mustSeal(t, s)
	for _, field := range []string{match.Line, match.AnyField} {
		for word, want := range map[string]int{"needle": 1, "note": 1, "words": 1, "nothing": 0} {
			req := everything()
			req.Where = match.Word{Field: field, Value: word}
			if got := scanAll(t, s, req); len(got) != want {
				t.Errorf("%v: %d records, want %d", req.Where, len(got), want)
			}
		}
	}
}

// TestTiesComeByOrd asks for the first of records of one time that lie in many
// blocks: the order of commit decides, wherever they are.
func TestTiesComeByOrd(t *testing.T) {
	s, _ := newWorld(t, manual())
	for i := range 6 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for range 4 {
			b.Begin(noon, "app")
			b.Int("n", int64(i))
			b.End()
		}
		if err := s.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := s.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, o := range []Order{Newest, Oldest} {
		all := scanAll(t, s, ScanRequest{Tenant: "acme", To: 1 << 62, Order: o})
		for limit := 1; limit <= 24; limit++ {
			compare(t, fmt.Sprint("limit ", limit), scanAll(t, s, ScanRequest{Tenant: "acme", To: 1 << 62, Order: o, Limit: limit}), all[:limit])
		}
		for i := 1; i < len(all); i++ {
			if all[i].Ord < all[i-1].Ord != (o == Newest) {
				t.Fatalf("order %d: record %d has Ord %d after %d", o, i, all[i].Ord, all[i-1].Ord)
			}
		}
	}
}

// TestAnyCaseInJSON finds a text in letters of either case in the JSON of records
// without a body: in values, names, numbers and bools, sealed or not.
func TestAnyCaseInJSON(t *testing.T) {
	s, _ := newWorld(t, manual())
	b := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
	for i := range 100 {
		b.Begin(noon+int64(i), "app")
		b.Str("service.name", "checkout")
		b.Str("note", fmt.Sprintf("Leader Elected %d", i))
		b.Bool("retried", i%2 == 0)
		b.Float("ratio", 1e21)
		b.End()
	}
	mustAppend(t, s, b)
	for range 2 {
		for text, want := range map[string]int{
			"lEADER eLECTED 7": 11, "CHECKOUT": 100, "FALSE": 50, "tRue": 50, "E+21": 100, "Service.Name": 100, "leader-elected": 0, "leader 7": 0,
		} {
			req := everything()
			req.Where = match.Contains{Field: match.Line, Value: text, Fold: true}
			if got := scanAll(t, s, req); len(got) != want {
				t.Errorf("%q: %d records, want %d", text, len(got), want)
			}
		}
		mustSeal(t, s)
	}
}

// TestPages reads records of few different times page by page, in both orders,
// while others are committed, and the neighbours of each.
func TestPages(t *testing.T) {
	s, _ := newWorld(t, manual())
	add := func(n int) {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for i := range n {
			b.Begin(noon+int64(i%3), "app")
			b.End()
		}
		mustAppend(t, s, b)
	}
	for range 4 {
		add(10)
		if err := s.Seal(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	add(10)
	for _, o := range []Order{Newest, Oldest} {
		all := scanAll(t, s, ScanRequest{Tenant: "acme", To: 1 << 62, Order: o})
		last := uint64(0)
		for i := range all {
			last = max(last, all[i].Ord)
		}
		var pages []record.Record
		req := ScanRequest{Tenant: "acme", To: 1 << 62, Order: o, Limit: 7, UpToOrd: last}
		for {
			page := scanAll(t, s, req)
			if len(page) == 0 {
				break
			}
			pages = append(pages, page...)
			req.After = &Place{page[len(page)-1].Time, page[len(page)-1].Ord}
			add(1)
		}
		compare(t, fmt.Sprint("pages in order ", o), pages, all)
		for i := range all {
			req.After, req.Limit = &Place{all[i].Time, all[i].Ord}, 3
			compare(t, fmt.Sprint("behind ", i), scanAll(t, s, req), all[i+1:min(i+4, len(all))])
		}
	}
	_, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Order: AsStored, After: &Place{}}, nil)
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("a place in no order is %v", err)
	}
}
