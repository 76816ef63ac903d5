package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// TestRelayedBatchesAreHeldToTheSame: an agent's clock and policy are its own. No
// record of it is lost, none is of a day that nobody believes, and none is of a
// class without an end.
func TestRelayedBatchesAreHeldToTheSame(t *testing.T) {
	var log bytes.Buffer
	pol, err := policy.New(policy.Config{Classes: map[string]string{"mine": "7d"}, DefaultClass: "app"})
	if err != nil {
		t.Fatal(err)
	}
	k, m := &kept{}, telemetry.New()
	p, err := New(Options{Appender: k, Policy: pol, Now: func() time.Time { return now }, Metrics: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	received := now.Add(-time.Hour)
	b := &record.Batch{ID: record.BatchID{Origin: "relay/a", Seq: 1}, Tenant: "main", Source: "relay/edge/file/x", Ingest: received.UnixNano()}
	rows := []struct {
		at          time.Time
		class       record.Class
		want        time.Time
		wantClass   record.Class
		time, named string
	}{
		{now, "app", now, "app", "", ""},
		{time.Unix(0, 1).UTC(), "ops", received, "ops", "1970-01-01T00:00:00.000000001Z", ""},
		{now.AddDate(-10, 0, 1), "nobody-knows", now.AddDate(-10, 0, 1), "app", "", "nobody-knows"},
		{now.AddDate(0, 0, 3), "pci", received, "app", "2026-03-04T12:00:00Z", "pci"},
		{now.Add(23 * time.Hour), "mine", now.Add(23 * time.Hour), "mine", "", ""},
		{now, "pci", now, "app", "", "pci"},
		{now, DeadLetterClass, now, DeadLetterClass, "", ""},
	}
	for _, r := range rows {
		b.Begin(r.at.UnixNano(), r.class)
		b.Str(record.Body, "line")
		b.End()
	}
	b.Account = record.Account{Received: uint64(len(rows)) + 1, Dropped: []record.Count{{Name: "sample", N: 1}}}
	to := p.Relayed()
	for _, broken := range []bool{true, false} { // what failed is counted when it comes again
		k.fail = nil
		if broken {
			k.fail = func(int, *record.Batch) (bool, error) { return false, errors.New("full") }
		}
		again := new(record.Batch)
		if err := record.Decode(b.AppendEncoded(nil), again); err != nil {
			t.Fatal(err)
		}
		if err := to.Append(t.Context(), again); (err != nil) != broken {
			t.Fatal(err)
		}
	}
	got := k.records(b.Source)
	if len(got) != len(rows) {
		t.Fatalf("%d of %d records", len(got), len(rows))
	}
	for i, r := range rows {
		g := got[i]
		if g.Time != r.want.UnixNano() || g.Class != r.wantClass || text(g, OriginalTime) != r.time || text(g, OriginalClass) != r.named || text(g, record.Body) != "line" {
			t.Errorf("record %d: %v of class %s, %+v", i, time.Unix(0, g.Time).UTC(), g.Class, g.Fields)
		}
	}
	k.whole(t)
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{"meshtrail_event_times_replaced_total 2", "meshtrail_relayed_classes_replaced_total 3"} {
		if !strings.Contains(page.Body.String(), line) {
			t.Errorf("no %s", line)
		}
	}
	if n := strings.Count(log.String(), "class=pci"); n != 1 || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("the log names the class %d times: %s", n, log.String())
	}

	// A receipt of long ago helps nobody to a day of long ago, and the log does not
	// grow with the names that somebody invents.
	for i := range 300 {
		b := &record.Batch{ID: record.BatchID{Origin: "relay/b", Seq: uint64(i)}, Tenant: "main", Source: "relay/evil/x", Ingest: 5}
		b.Begin(7, record.Class(fmt.Sprint("invented", i)))
		b.End()
		b.Account.Received = 1
		if err := to.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if b.Times()[0] != now.UnixNano() || b.ClassAt(0) != "app" {
			t.Fatalf("record of %d, class %s", b.Times()[0], b.ClassAt(0))
		}
	}
	if n := strings.Count(log.String(), "\n"); n != maxTold {
		t.Errorf("%d lines in the log", n)
	}
}

// TestRelayedOfManyDays: it costs next to nothing when there is nothing to replace, and no square of the
// records when there is.
func TestRelayedOfManyDays(t *testing.T) {
	p, _ := open(t, &kept{}, policy.Config{}, Limits{})
	r := p.Relayed().(*relayed)
	b := &record.Batch{Tenant: "main", Source: "relay/edge/x", Ingest: now.UnixNano()}
	const n = 200_000
	for i := range n {
		b.Begin(int64(i%2)*now.UnixNano(), "app")
		if i%2 == 1 {
			b.Str(OriginalTime, "an agent said so")
		}
		b.End()
	}
	began := time.Now()
	if got := r.believe(b) + r.reclass(b); got != n/2 {
		t.Errorf("%d records replaced", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if got := text(b.Record(0), OriginalTime); got != "1970-01-01T00:00:00Z" {
		t.Errorf("said %q", got)
	}
	if got := text(b.Record(1), OriginalTime); got != "an agent said so" {
		t.Errorf("said %q", got)
	}
	if a := testing.AllocsPerRun(10, func() { r.believe(b); r.reclass(b) }); a > 3 {
		t.Errorf("%v allocations where nothing is replaced", a)
	}
}
