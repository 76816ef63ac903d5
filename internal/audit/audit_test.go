package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// appender keeps what it was given, or does what do says.
type appender struct {
	got []record.Record
	do  func(ctx context.Context) error
}

func (a *appender) Append(ctx context.Context, b *record.Batch) error {
	if a.do != nil {
		return a.do(ctx)
	}
	if b.Source != Source || b.Account.Received != uint64(b.Len()) || !b.ID.IsZero() {
		return fmt.Errorf("batch of source %q, received %d of %d, id %v", b.Source, b.Account.Received, b.Len(), b.ID)
	}
	for i := range b.Len() {
		a.got = append(a.got, b.Record(i))
	}
	return nil
}

func newLog(t *testing.T, a record.Appender) *Log {
	t.Helper()
	l, err := New(Options{Appender: a, Now: func() time.Time { return time.Unix(0, 77) }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var act = Act{
	Principal: "admin", Tenant: "default", Action: "query", Outcome: Allowed, Remote: "127.0.0.1:9",
	Detail: map[string]string{"query": `{mesh="istio"}`, "limit": "10"},
}

func TestRecordWritesOneWholeRecord(t *testing.T) {
	a := &appender{}
	if err := newLog(t, a).Record(t.Context(), act); err != nil {
		t.Fatal(err)
	}
	if len(a.got) != 1 {
		t.Fatalf("%d records", len(a.got))
	}
	r := a.got[0]
	if r.Time != 77 || r.Ingest != 77 || r.Class != "audit" {
		t.Errorf("time %d, ingest %d, class %s", r.Time, r.Ingest, r.Class)
	}
	want := map[string]string{
		"body":            `admin was allowed query "{mesh=\"istio\"}" from 127.0.0.1:9`,
		"severity_text":   "INFO",
		"audit.principal": "admin", "audit.action": "query", "audit.outcome": "allowed", "audit.remote": "127.0.0.1:9",
		"audit.detail.query": `{mesh="istio"}`, "audit.detail.limit": "10",
	}
	for name, v := range want {
		if got, _ := r.Get(name); got.Text() != v {
			t.Errorf("%s is %q, want %q", name, got.Text(), v)
		}
	}
	if len(r.Fields) != len(want) {
		t.Errorf("%d fields: %v", len(r.Fields), r.Fields)
	}
}

func TestNoAuditNoAnswer(t *testing.T) {
	a := &appender{do: func(context.Context) error { return errors.New("disk full") }}
	err := newLog(t, a).Record(t.Context(), act)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("%v", err)
	}
}

func TestRecordGivesUpAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &appender{do: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		start := time.Now()
		err := newLog(t, a).Record(t.Context(), act)
		if !fault.Is(err, fault.Unavailable) || time.Since(start) != DefaultTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestACancelledRequestIsStillRecorded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &appender{do: func(ctx context.Context) error { return ctx.Err() }}
	if err := newLog(t, a).Record(ctx, act); err != nil {
		t.Error(err)
	}
}

func TestIncompleteActsAreRefused(t *testing.T) {
	a := &appender{}
	l := newLog(t, a)
	for name, spoil := range map[string]func(*Act){
		"principal": func(a *Act) { a.Principal = "" },
		"tenant":    func(a *Act) { a.Tenant = "../x" },
		"action":    func(a *Act) { a.Action = "" },
		"outcome":   func(a *Act) { a.Outcome = "maybe" },
	} {
		bad := act
		spoil(&bad)
		if err := l.Record(t.Context(), bad); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(a.got) != 0 {
		t.Errorf("%d records of refused acts", len(a.got))
	}
}

func TestLongAndBrokenTextIsCutNotRefused(t *testing.T) {
	a := &appender{}
	long := act
	long.Outcome = Denied
	long.Detail = map[string]string{"query": strings.Repeat("é", maxText) + "\xff"}
	for i := range 2 * maxDetails {
		long.Detail[fmt.Sprintf("zz%03d", i)] = "v"
	}
	if err := newLog(t, a).Record(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	q, _ := a.got[0].Get("audit.detail.query")
	if len(q.Str) > maxText || !utf8.ValidString(q.Str) || !strings.HasSuffix(q.Str, "(cut)") {
		t.Errorf("%d bytes, valid %v", len(q.Str), utf8.ValidString(q.Str))
	}
	if n, _ := a.got[0].Get("audit.detail_omitted"); n.Int != maxDetails+1 {
		t.Errorf("omitted %d", n.Int)
	}
	if s, _ := a.got[0].Get("severity_text"); s.Str != "WARN" {
		t.Errorf("severity %q", s.Str)
	}
}
