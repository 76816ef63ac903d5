package query_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// counting is a reader that counts the records that it hands out, and does not
// look at the time.
type counting struct {
	store.Reader
	seen  int
	limit int // of the last scan
}

func (c *counting) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	c.limit = req.Limit
	return c.Reader.Scan(context.WithoutCancel(ctx), req, func(rs []record.Record) error {
		for i := range rs { // one by one, as a store may
			c.seen++
			if err := visit(rs[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// pairs is a store of n records "n=0", "n=1", …, one a second.
func pairs(t *testing.T, n int) *querytest.Store {
	t.Helper()
	s := &querytest.Store{}
	b := &record.Batch{Tenant: "acme", Source: "test", Ingest: base.UnixNano()}
	for i := range n {
		b.Begin(base.Add(time.Duration(i)*time.Second).UnixNano(), "app")
		b.Str("body", fmt.Sprintf("n=%d", i))
		b.Str("service.name", "cart")
		b.End()
	}
	b.Account.Received = uint64(b.Len())
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPipelineStopsWhenItHasEnough(t *testing.T) {
	c := &counting{Reader: pairs(t, 1000)}
	e := engine(t, c)
	req := query.Request{Query: `{} | logfmt | n >= 10`, Start: base.UnixNano(), End: base.Add(time.Hour).UnixNano(), Limit: 5, Order: store.Oldest}
	res, err := e.Query(t.Context(), scopeOf(t), req)
	if err != nil || len(res.Streams) != 1 || len(res.Streams[0].Entries) != 5 {
		t.Fatal(res, err)
	}
	if c.seen != 15 || c.limit != 0 {
		t.Errorf("15 records are enough, read %d (limit %d)", c.seen, c.limit)
	}
	// Without a pipeline the store knows the limit.
	req.Query = `{} |= "n"`
	if _, err := e.Query(t.Context(), scopeOf(t), req); err != nil || c.limit != 5 {
		t.Error(c.limit, err)
	}
	c.seen = 0
	rows := 0
	sum, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: `{} | logfmt | n >= 10`, From: req.Start, To: req.End, Limit: 5, Order: store.Oldest, Fields: []string{"n"}},
		func(rs []record.Record) error {
			for _, r := range rs {
				if got := fmt.Sprint(r.Fields); got != fmt.Sprintf("[{n {1 %d 0 0}}]", 10+rows) {
					t.Error(got)
				}
				rows++
			}
			return nil
		})
	if err != nil || sum.Rows != 5 || rows != 5 || !sum.Truncated || c.seen != 16 {
		t.Errorf("%+v, %d rows, %d read, %v", sum, rows, c.seen, err)
	}
	// The last five of them are all: nothing is cut off.
	sum, err = e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: `{} | logfmt | n >= 995`, From: req.Start, To: req.End, Limit: 5},
		func([]record.Record) error { return nil })
	if err != nil || sum.Rows != 5 || sum.Truncated {
		t.Errorf("%+v %v", sum, err)
	}
}

// TestPipelineMindsTime: nobody else notices one that lets go of everything.
func TestPipelineMindsTime(t *testing.T) {
	c := &counting{Reader: pairs(t, 1000)}
	e := engine(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Stream(ctx, scopeOf(t), query.StreamRequest{Query: `{} | line_format "x" |= "y"`, From: base.UnixNano(), To: base.Add(time.Hour).UnixNano()},
		func([]record.Record) error { t.Error("visited"); return nil })
	if err == nil || c.seen == 0 || c.seen > 100 {
		t.Errorf("%d records were read of a query that is over: %v", c.seen, err)
	}
}

func TestDistinctIsBounded(t *testing.T) {
	s := pairs(t, 1000)
	e := engine(t, s)
	long := `{} | label_format k="{{ repeat 20000 .body }}" | distinct k`
	rows := 0
	sum, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: long, From: base.UnixNano(), To: base.Add(time.Hour).UnixNano(), Fields: []string{"body"}},
		func(rs []record.Record) error { rows += len(rs); return nil })
	if err != nil || !sum.Partial || rows == 0 || rows == 1000 {
		t.Errorf("%d rows, partial %v, %v", rows, sum.Partial, err)
	}
	_, err = e.Query(t.Context(), scopeOf(t), query.Request{Query: `sum(count_over_time(` + long + `[1h]))`, End: base.Add(time.Hour).UnixNano(), Instant: true})
	if !fault.Is(err, fault.Overload) {
		t.Error("a count over part of the records:", err)
	}
}

func TestTailRunsThePipeline(t *testing.T) {
	s := &querytest.Store{}
	hub := tail.New(tail.Options{Store: s})
	s.Watch(hub.Publish)
	e := engine(t, s)
	open := func(req query.TailRequest) *tail.Subscription {
		sub, err := e.Tail(t.Context(), scopeOf(t), hub, req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sub.Close)
		return sub
	}
	q := `{} | logfmt | n >= 2 | line_format "{{.service}} {{.n}}"`
	shaped, stored := open(query.TailRequest{Query: q}), open(query.TailRequest{Query: q, Stored: true})
	other := open(query.TailRequest{Query: `{} | distinct service`})
	b := &record.Batch{Tenant: "acme", Source: "test", Ingest: base.UnixNano()}
	for i := range 4 {
		b.Begin(base.UnixNano(), "app")
		b.Str("body", fmt.Sprintf("n=%d", i))
		b.Str("service.name", "cart")
		b.End()
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	next := func(sub *tail.Subscription) []record.Record {
		rs, _, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	rs := next(shaped)
	if len(rs) != 2 {
		t.Fatal(rs)
	}
	body, _ := rs[0].Get("body")
	n, _ := rs[0].Get("n")
	if body.Str != "cart 2" || n.Str != "2" || rs[0].Ord == 0 {
		t.Error(rs[0])
	}
	shaper, err := query.NewShaper(query.LogQL, q)
	if err != nil {
		t.Fatal(err)
	}
	lines := ""
	for _, r := range next(stored) {
		if stream, entry, ok := shaper.Entry(&r); ok {
			lines += fmt.Sprint(labelText(stream), entry.Line, labelText(entry.Parsed), ";")
		}
	}
	if lines != `{service="cart"}cart 2{n="2"};{service="cart"}cart 3{n="3"};` {
		t.Error(lines)
	}
	if rs := next(other); len(rs) != 1 {
		t.Error("distinct hands out", len(rs))
	}
}
