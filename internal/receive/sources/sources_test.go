package sources

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// told is an intake that keeps what it is told.
type told struct {
	err  error
	reqs []pipeline.Request
}

func (i *told) Ingest(_ context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	if i.err != nil {
		return pipeline.Outcome{}, i.err
	}
	i.reqs = append(i.reqs, *req)
	return pipeline.Outcome{}, nil
}

// clockwork is a world with a clock that stands.
type clockwork struct {
	at    time.Time
	in    *told
	table *Table
	lossy bool
}

func newClockwork(t *testing.T, lossy bool, expects ...Expectation) *clockwork {
	t.Helper()
	w := &clockwork{at: time.Unix(1_800_000_000, 0), in: &told{}, lossy: lossy}
	w.table = New(func() time.Time { return w.at }, expects)
	return w
}

// send hands in n records whose event times lie ago before now.
func (w *clockwork) send(source string, n int, oldest, newest time.Duration) {
	w.table.Took(Sender{Tenant: "shop", Source: source, Receiver: "syslog", Lossy: w.lossy}, &Load{
		Records: uint64(n) + 2, Bytes: 100, Rejected: []record.Count{{Name: "malformed", N: 2}}, Refused: []pipeline.Refusal{{Reason: "too_large"}},
		Oldest: w.at.Add(-oldest).UnixNano(), Newest: w.at.Add(-newest).UnixNano(),
	})
}

func TestWhatIsKnownOfASource(t *testing.T) {
	w := newClockwork(t, true)
	w.send("syslog/a", 3, 10*time.Second, 5*time.Second)
	first := w.at
	w.at = w.at.Add(20 * time.Second)
	w.send("syslog/a", 1, time.Second, -time.Minute) // a clock that is a minute ahead
	w.send("syslog/b", 1, 0, 0)
	list := w.table.List()
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	a := list[0]
	if a.Source != "syslog/a" || a.Tenant != "shop" || a.Receiver != "syslog" || !a.Lossy || a.Records != 8 || a.Bytes != 200 ||
		!a.First.Equal(first) || !a.Last.Equal(w.at) || a.Lag != -time.Minute || a.MaxLag != 10*time.Second || a.Skew != time.Minute {
		t.Errorf("%+v", a)
	}
	if fmt.Sprint(a.Rejected) != "[{malformed 4} {too_large 2}]" {
		t.Errorf("%v", a.Rejected)
	}
	w.at = w.at.Add(2 * time.Minute)
	if a := w.table.List()[0]; a.MaxLag != 0 || a.Skew != 0 {
		t.Errorf("after two minutes: %+v", a)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	w := newClockwork(t, false, Expectation{Source: "dear", Tenant: "shop", ExpectEvery: time.Hour})
	for i := range maxSources + 50 {
		w.table.Dropped(Sender{Tenant: "shop", Source: fmt.Sprint("s", i)}, "queue_full", 1)
	}
	list := w.table.List()
	if len(list) != maxSources || list[0].Source != "dear" {
		t.Errorf("%d sources, the first is %s", len(list), list[0].Source)
	}
	for i := range 3 * maxReasons {
		w.table.Dropped(Sender{Tenant: "shop", Source: "dear"}, fmt.Sprint("r", i), 1)
	}
	for _, s := range w.table.List() {
		if s.Source == "dear" && (len(s.Rejected) != maxReasons || s.Rejected[maxReasons-1].Name != "other" || s.Rejected[maxReasons-1].N != 2*maxReasons+1) {
			t.Errorf("%v", s.Rejected)
		}
	}
}

func TestSilence(t *testing.T) {
	w := newClockwork(t, false,
		Expectation{Source: "syslog/*", Tenant: "shop", ExpectEvery: time.Minute},
		Expectation{Source: "never/seen", ExpectEvery: time.Hour})
	watch := &Watch{Sources: w.table, Intake: w.in, Log: slog.New(slog.DiscardHandler)}
	told := func(after time.Duration, want string) {
		t.Helper()
		w.at, w.in.reqs = w.at.Add(after), nil
		watch.Look(t.Context())
		watch.Look(t.Context()) // once is enough
		var got []string
		for _, r := range w.in.reqs {
			if r.Source != SilenceSource || r.Class != "ops" || len(r.Raws) != 1 {
				t.Errorf("%+v", r)
			}
			got = append(got, fmt.Sprintf("%s %s %s", r.Tenant, r.Raws[0].Attrs[0].Value.Str, r.Raws[0].Attrs[1].Value.Str))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	w.table.Know("shop", "syslog/before") // it sent before the server started
	w.table.Know("shop", "loki/before")   // nobody expects anything of it
	w.send("syslog/a", 1, 0, 0)
	told(0, "")
	told(59*time.Second, "")
	w.send("syslog/a", 1, 0, 0)
	told(2*time.Second, "shop source.silent syslog/before")
	told(time.Minute, "shop source.silent syslog/a")
	if list := w.table.List(); !list[1].Silent || list[1].Source != "syslog/a" {
		t.Errorf("%+v", list)
	}
	w.in.err = fault.Errorf(fault.Unavailable, "disk full")
	w.at = w.at.Add(time.Hour)
	watch.Look(t.Context())
	w.in.err = nil
	told(0, "default source.silent never/seen")
	w.send("syslog/a", 1, 0, 0)
	told(0, "shop source.back syslog/a")
}

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"syslog/udp", "syslog/udp", true}, {"syslog/udp", "syslog/udp2", false}, {"syslog/*", "syslog/", true},
		{"syslog/*", "syslog/a/b", true}, {"syslog/*", "syslog", false}, {"*", "", true}, {"*/a", "x/a", true}, {"*/a", "x/ab", false},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "a1c2b", false}, {"ab*b", "ab", false}, {"", "", true}, {"", "a", false}, {"a**b", "axb", true},
	} {
		if got := like(c.pattern, c.name); got != c.want {
			t.Errorf("%q is like %q: %v", c.name, c.pattern, got)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := Validate([]Expectation{{Source: "syslog/*", ExpectEvery: time.Minute}}); err != nil {
		t.Error(err)
	}
	err := Validate([]Expectation{{}, {Source: "a", Tenant: "a b", ExpectEvery: time.Hour}})
	if err == nil || !strings.Contains(err.Error(), "sources[0].source: ") || !strings.Contains(err.Error(), "sources[0].expect_every: ") || !strings.Contains(err.Error(), "sources[1].tenant: ") {
		t.Errorf("%v", err)
	}
}

func TestPublish(t *testing.T) {
	w := newClockwork(t, true, Expectation{Source: "dear", Tenant: "shop", ExpectEvery: time.Minute})
	m := telemetry.New()
	w.table.Publish(m)
	for i := range 2 * maxPublished {
		w.at = w.at.Add(time.Second)
		w.send(fmt.Sprint("s", i), 1, time.Second, 0)
	}
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range families {
		got[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{
		"meshtrail_source_records": maxPublished + 1, "meshtrail_source_lag_seconds": maxPublished, "meshtrail_source_silent": 1,
	} {
		if got[name] != want {
			t.Errorf("%d of %s, want %d", got[name], name, want)
		}
	}
}
