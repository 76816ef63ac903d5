package comply

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

var update = flag.Bool("update", false, "write testdata anew")

const origin = "meshtrail.test/comply"

// The period of the tests is six hours of one day.
var (
	from = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	to   = from.Add(6 * time.Hour)
)

// history writes a ledger: one source that is silent in hour 3, one that joins
// in hour 4, an epoch every minute.
func testLedger(t testing.TB, born time.Time, names ...string) *ledger.Ledger {
	t.Helper()
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, ed25519.SeedSize)), origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	m := memfs.New()
	if err := ledger.Create(m, signer, origin, born, "test"); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Options{FS: m, Signer: signer, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	first, second := "elastic/mesh-a", "loki/mesh-b"
	if len(names) == 2 {
		first, second = names[0], names[1]
	}
	leaves := []any{ledger.Config{At: born.UnixNano(), Version: "test", SHA256: strings.Repeat("ab", 32)},
		ledger.Policy{At: to.Add(-time.Hour).UnixNano(), Version: "test", SHA256: strings.Repeat("cd", 32), Was: strings.Repeat("ef", 32), Owner: "security team", Changes: []string{"- | old | every record | drops the record | |", "+ | new | every record | class app | |"}, Omitted: 3},
		ledger.Policy{At: to.Add(-time.Hour).UnixNano() + 1, Version: "test", SHA256: strings.Repeat("cd", 32), Was: strings.Repeat("cd", 32)}}
	a := ledger.Source{Tenant: "default", Source: first, FirstSeen: born.UnixNano()}
	b := ledger.Source{Tenant: "default", Source: second}
	for at := born.Add(time.Minute); at.Before(to.Add(time.Minute)); at = at.Add(time.Minute) {
		if hour := at.Sub(from).Hours(); hour < 2 || hour >= 3 {
			a.Received += 10
			a.Stored += 7
			a.Rejected = []ledger.Count{{Name: "malformed_json", N: a.Received / 10}}
			a.Dropped = []ledger.Count{{Name: "health-checks", N: a.Received / 10}}
			a.Deduplicated++
			a.LastSeen = at.UnixNano()
		}
		sources := []ledger.Source{a}
		if at.Sub(from) >= 3*time.Hour+30*time.Minute {
			if b.FirstSeen == 0 {
				b.FirstSeen = at.UnixNano()
			}
			b.Received += 3
			b.Stored += 3
			b.LastSeen = at.UnixNano()
			sources = append(sources, b)
		}
		leaves = append(leaves, ledger.Epoch{At: at.UnixNano(), Reason: "interval", Part: 1, Parts: 1, Sources: sources})
	}
	leaves = append(leaves,
		ledger.Segment{ID: "s1", Path: "segments/default/app/2026-03-01/s1.seg", Version: 1, Tenant: "default", Class: "app", Day: "2026-03-01", Size: 1000, Records: 100,
			MinTime: from.UnixNano(), MaxTime: to.UnixNano() - 1, KeyID: "k1", KeyCommitment: strings.Repeat("cd", 32), SealedAt: to.UnixNano() - 2},
		ledger.Key{At: from.UnixNano() + 5, Action: "created", ID: "k1", Tenant: "default", Class: "app", Day: "2026-03-01"},
		ledger.Report{At: from.UnixNano() + 9, ID: "mtr-0", Kind: "soc2", By: "ada", SHA256: strings.Repeat("ef", 32)})
	if _, err := l.Append(context.Background(), leaves...); err != nil {
		t.Fatal(err)
	}
	return l
}

func inputs(t testing.TB, names ...string) Inputs {
	l := testLedger(t, from.Add(-10*time.Minute), names...)
	return Inputs{
		Entity: "Example Ltd", System: "checkout platform", From: from, To: to, Now: to.Add(time.Hour), By: "ada", Authority: "evidence",
		Version: "0.1.0", BinarySHA256: strings.Repeat("12", 32), ConfigSHA256: strings.Repeat("ab", 32),
		Classes: []Class{{"app", 90}, {"audit", 2555}}, Ledger: l,
		Verify: func(context.Context) (*verify.Report, error) {
			return &verify.Report{Verdict: verify.Verified, Ledger: verify.Ledger{Size: l.Checkpoint().Size, Key: "key", Tiles: 6, Leaves: []verify.Count{{Name: "epoch", N: 371}}},
				Segments: verify.Segments{Listed: 1, Verified: 1, Bytes: 1000, Records: 100}, Journal: verify.Journal{Files: 1, Frames: 9, Head: 9},
				Unanchored: verify.Unanchored{Since: to.UnixNano(), Frames: 2}, NotChecked: []string{"the moon"}}, nil
		},
		Ask: func(_ context.Context, q Question) (Answer, error) {
			if len(q.By) == 3 {
				return Answer{Rows: []Row{{[]string{"bob", "query", "denied"}, 1}, {[]string{"ada", "query", "allowed"}, 12}}, Scanned: 20, Matched: 13}, nil
			}
			return Answer{Rows: []Row{{[]string{"istio"}, 90}, {[]string{"linkerd"}, 10}}, Scanned: 100, Matched: 100}, nil
		},
	}
}

func build(t testing.TB, in Inputs) *Report {
	t.Helper()
	r, err := Build(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	in := inputs(t)
	r := build(t, in)
	got, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := build(t, in).JSON()
	if err != nil || !bytes.Equal(got, again) {
		t.Error("the same inputs gave other bytes")
	}
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := build(t, in).HTML(); !bytes.Equal(page, p) {
		t.Error("the same inputs gave another page")
	}
	if bytes.Contains(got, []byte(": null")) {
		t.Error("the JSON holds null")
	}
	file := filepath.Join("testdata", "report.json")
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and read the difference", file)
	}
	var back Report
	if err := json.Unmarshal(got, &back); err != nil || back.ID != r.ID {
		t.Error(err)
	}
}

func TestAccounts(t *testing.T) {
	r := build(t, inputs(t))
	c := r.Completeness
	if c.Verdict != Pass || len(c.Sources) != 2 || c.Epochs != 360 || len(c.Outages) != 0 {
		t.Fatalf("%+v", c)
	}
	a, b := c.Sources[0], c.Sources[1]
	// 60 epochs an hour from 06:01 to 12:00; hour 3, from 08:00 on, is silent.
	if a.Received != 3000 || a.Stored != 2100 || a.Rejected[0].N != 300 || a.Dropped[0].N != 300 || a.Deduplicated != 300 || a.Difference != 0 {
		t.Errorf("first source: %+v", a)
	}
	if len(a.Silent) != 1 || a.Silent[0].From != "2026-03-01T08:00:00Z" || a.Silent[0].To != "2026-03-01T09:00:00Z" {
		t.Errorf("silent: %+v", a.Silent)
	}
	if b.Received != 453 || len(b.Silent) != 0 {
		t.Errorf("second source: %+v", b)
	}
	var states []string
	for _, x := range b.Timeline {
		states = append(states, x.State)
	}
	if !slices.Equal(states, []string{Before, Before, Before, Data, Data, Data}) {
		t.Errorf("timeline: %v", states)
	}
	if c.Received != 3453 || c.Received != c.Stored+c.Rejected+c.Dropped+c.Deduped {
		t.Errorf("totals: %+v", c)
	}
	if r.Cover.Status != Final {
		t.Error(r.Cover.Status)
	}
}

func state(t *testing.T, r *Report, id string) State {
	t.Helper()
	for _, x := range r.Tests {
		if x.ID == id {
			return x.State
		}
	}
	t.Fatalf("no test %s", id)
	return ""
}

// TestStates checks each test of each outcome: what is missing is never a pass.
func TestStates(t *testing.T) {
	f := func(name, id string, want State, change func(in *Inputs)) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			in := inputs(t)
			change(&in)
			if got := state(t, build(t, in), id); got != want {
				t.Errorf("%s is %s, want %s", id, got, want)
			}
		})
	}
	nothing := func(*Inputs) {}
	fresh := func(in *Inputs) { in.Ledger = testLedger(t, from.Add(time.Hour)) }
	f("accounts add up", "COV-4", Pass, nothing)
	f("fresh install", "COV-4", NoData, fresh)
	f("no source", "COV-4", NoData, func(in *Inputs) { in.Tenant = "other" })
	f("live does not add up", "COV-4", Fail, func(in *Inputs) {
		in.To, in.Now = to.Add(time.Hour), to.Add(time.Minute)
		in.Live = []ledger.Source{{Tenant: "default", Source: "elastic/mesh-a", Received: 99999, Stored: 1}}
	})
	f("silence is not judged", "COV-3", NoData, nothing)
	f("verified", "INT-1", Pass, nothing)
	f("tampered", "INT-1", Fail, func(in *Inputs) {
		in.Verify = func(context.Context) (*verify.Report, error) {
			return &verify.Report{Verdict: verify.Tampered, Findings: []verify.Finding{{Kind: "changed", File: "x"}}}, nil
		}
	})
	f("incomplete", "INT-1", Error, func(in *Inputs) {
		in.Verify = func(context.Context) (*verify.Report, error) { return &verify.Report{Verdict: verify.Incomplete}, nil }
	})
	f("verification fails", "INT-1", Error, func(in *Inputs) {
		in.Verify = func(context.Context) (*verify.Report, error) { return nil, errors.New("no") }
	})
	f("not verified", "INT-1", NoData, func(in *Inputs) { in.Verify = nil })
	f("sealed throughout", "INT-2", Pass, nothing)
	f("late birth", "INT-2", NoData, fresh)
	f("stricter interval", "INT-2", Fail, func(in *Inputs) { in.EpochEvery = 30 * time.Second })
	f("server stopped", "INT-2", Fail, func(in *Inputs) { in.To = to.Add(2 * time.Hour); in.Now = to.Add(3 * time.Hour) })
	f("no epoch", "INT-2", NoData, func(in *Inputs) { in.From, in.To = from.Add(-time.Hour), from.Add(-30*time.Minute) })
	f("reads are listed", "ACC-5", NoData, nothing)
	f("no reads", "ACC-5", NotOccurring, func(in *Inputs) {
		in.Ask = func(context.Context, Question) (Answer, error) { return Answer{}, nil }
	})
	f("reads in the account and none in the answer", "ACC-5", Error, func(in *Inputs) {
		in.Ledger = testLedger(t, from.Add(-10*time.Minute), "meshtrail.audit", "loki/mesh-b")
		in.Ask = func(context.Context, Question) (Answer, error) { return Answer{}, nil }
	})
	f("query fails", "ACC-5", Error, func(in *Inputs) {
		in.Ask = func(context.Context, Question) (Answer, error) { return Answer{}, errors.New("no") }
	})
	f("partial answer", "ACC-5", Error, func(in *Inputs) {
		in.Ask = func(context.Context, Question) (Answer, error) { return Answer{Incomplete: "limit"}, nil }
	})
	f("no query engine", "ACC-5", NoData, func(in *Inputs) { in.Ask = nil })
	f("encrypted", "ACC-9", Pass, nothing)
	f("nothing sealed", "ACC-9", NotOccurring, func(in *Inputs) { in.To = to.Add(-time.Hour) })
	f("nothing destroyed", "RET-3", NotOccurring, nothing)
	f("destroyed before birth", "RET-3", NoData, fresh)
	f("one configuration", "CHG-1", NotOccurring, nothing)
	f("fresh configuration", "CHG-1", NoData, fresh)
}

func TestCatalogue(t *testing.T) {
	want := strings.Fields(`CC1.1 CC1.2 CC1.3 CC1.4 CC1.5 CC2.1 CC2.2 CC2.3 CC3.1 CC3.2 CC3.3 CC3.4 CC4.1 CC4.2 CC5.1 CC5.2 CC5.3
		CC6.1 CC6.2 CC6.3 CC6.4 CC6.5 CC6.6 CC6.7 CC6.8 CC7.1 CC7.2 CC7.3 CC7.4 CC7.5 CC8.1 CC9.1 CC9.2
		A1.1 A1.2 A1.3 C1.1 C1.2 PI1.1 PI1.2 PI1.3 PI1.4 PI1.5
		P1.1 P2.1 P3.1 P3.2 P4.1 P4.2 P4.3 P5.1 P5.2 P6.1 P6.2 P6.3 P6.4 P6.5 P6.6 P6.7 P7.1 P8.1`)
	if len(want) != 61 {
		t.Fatal(len(want))
	}
	var got []string
	ids := map[string]bool{}
	for _, c := range controls {
		ids[c.id] = true
	}
	for _, c := range catalogue {
		got = append(got, c.ID)
		if c.Paraphrase == "" || c.Wanting == "" || c.Category == "" {
			t.Errorf("%s is not filled in", c.ID)
		}
		// The criteria begin with these words; ours do not.
		if strings.HasPrefix(c.Paraphrase, "The entity") {
			t.Errorf("%s: %q", c.ID, c.Paraphrase)
		}
		for _, id := range c.Tests {
			if !ids[id] {
				t.Errorf("%s names the unknown test %s", c.ID, id)
			}
		}
		if c.Strength == Attestation && len(c.Tests) > 0 {
			t.Errorf("%s is for attestation and has tests", c.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the catalogue is\n%v, want\n%v", got, want)
	}
	for _, c := range build(t, inputs(t)).Coverage {
		if c.State == Pass || c.State == NotOccurring {
			t.Errorf("%s stands at %s while %q is wanting", c.ID, c.State, c.Wanting)
		}
	}
}

func TestPreliminary(t *testing.T) {
	in := inputs(t)
	in.To, in.Now = to.Add(time.Hour), to.Add(time.Minute)
	in.Live = []ledger.Source{{Tenant: "default", Source: "new", Received: 5, Stored: 5, FirstSeen: in.Now.UnixNano(), LastSeen: in.Now.UnixNano()}}
	r := build(t, in)
	if r.Cover.Status != Preliminary {
		t.Error(r.Cover.Status)
	}
	found := false
	for _, a := range r.Completeness.Sources {
		found = found || a.Source == "new" && a.Unanchored == 5 && a.Received == 5
	}
	if !found {
		t.Errorf("%+v", r.Completeness.Sources)
	}
	if got := r.Access.IPE.To; got != stamp(in.Now) {
		t.Errorf("the window ends at %s", got)
	}
}

// TestNow asks for a period that ends now, as people do.
func TestNow(t *testing.T) {
	in := inputs(t)
	in.To = to.Add(30 * time.Second) // the newest epoch is of 12:00
	in.Now = in.To.Add(time.Second)
	r := build(t, in)
	sealed := r.Completeness.Sources[0].Received
	if r.Cover.Status != Preliminary {
		t.Errorf("%s without an epoch at the end", r.Cover.Status)
	}
	live := ledger.Source{Tenant: "default", Source: "elastic/mesh-a", Received: 3700, Stored: 3700, LastSeen: in.Now.UnixNano()}
	in.Live = []ledger.Source{live}
	a := build(t, in).Completeness.Sources[0]
	if a.Unanchored == 0 || a.Received != sealed+a.Unanchored {
		t.Errorf("live: %d, of which %d unanchored; sealed were %d", a.Received, a.Unanchored, sealed)
	}
	l := in.Ledger.(*ledger.Ledger)
	if _, err := l.Append(context.Background(), ledger.Epoch{At: in.Now.UnixNano(), Reason: "interval", Part: 1, Parts: 1, Sources: in.Live}); err != nil {
		t.Fatal(err)
	}
	r = build(t, in)
	b := r.Completeness.Sources[0]
	if r.Cover.Status != Final || b.Received != a.Received || b.Unanchored != 0 {
		t.Errorf("%s: %d received, %d unanchored, want %d and 0", r.Cover.Status, b.Received, b.Unanchored, a.Received)
	}
}

// TestPeriodsTile adds up periods that follow one another.
func TestPeriodsTile(t *testing.T) {
	in := inputs(t)
	whole := build(t, in).Completeness
	var received uint64
	var buckets uint64
	for part := range 12 {
		in.From, in.To = from.Add(time.Duration(part)*30*time.Minute), from.Add(time.Duration(part+1)*30*time.Minute)
		for _, a := range build(t, in).Completeness.Sources {
			received += a.Received
			for _, b := range a.Timeline {
				buckets += b.Received
			}
		}
	}
	if received != whole.Received || buckets != received {
		t.Errorf("parts add up to %d (buckets %d), the whole is %d", received, buckets, whole.Received)
	}
}

// TestHostile puts markup where names are.
func TestHostile(t *testing.T) {
	evil := `<script>alert(1)</script>`
	in := inputs(t, evil, `x" onload="alert(1)`)
	in.Entity, in.System, in.By = `</title><script>alert(2)</script>`, evil, `javascript:alert(1)`
	r := build(t, in)
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page, []byte("<script")) || bytes.Contains(page, []byte(`" onload=`)) {
		t.Error("markup got through")
	}
	if !bytes.Contains(page, []byte("&lt;script&gt;alert(1)&lt;/script&gt;")) {
		t.Error("the name is not shown")
	}
}

func TestPage(t *testing.T) {
	r := build(t, inputs(t))
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	sum, _ := r.SHA256()
	for _, want := range []string{"FINAL", sum, r.ID, "Statement of completeness", "elastic/mesh-a", "malformed_json 300", "mtr-0", "meshtrail verify --log-key",
		"prefers-color-scheme:dark", "@media print", "f-silent", "PI1.5", "What could not be proven", "the moon", "supports a SOC 2 examination", `count_over_time({class=&#34;audit&#34;}[21600s])`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "src=", "ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if m := regexp.MustCompile(`(?i)\b(certified|compliant|guarantee)`).FindString(text); m != "" {
		t.Errorf("the page claims %q", m)
	}
}

func TestIssue(t *testing.T) {
	in := inputs(t)
	l := in.Ledger.(*ledger.Ledger)
	r := build(t, in)
	cp, err := Issue(context.Background(), r, in.Now, func(ctx context.Context, leaf ledger.Report) (ledger.Checkpoint, error) {
		return l.Append(ctx, leaf)
	})
	if err != nil {
		t.Fatal(err)
	}
	sum, _ := r.SHA256()
	in.To, in.Now = to.Add(2*time.Hour), to.Add(3*time.Hour)
	rows := build(t, in).Issued.Rows
	if len(rows) != 2 || rows[1][2] != r.ID || rows[1][5] != sum || cp.Size != l.Checkpoint().Size {
		t.Errorf("%v", rows)
	}
}

func TestBuildRefuses(t *testing.T) {
	f := func(want fault.Kind, change func(in *Inputs)) {
		t.Helper()
		in := inputs(t)
		change(&in)
		if _, err := Build(context.Background(), in); !fault.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	f(fault.Invalid, func(in *Inputs) { in.To = in.From })
	f(fault.Invalid, func(in *Inputs) { in.Ledger = nil })
	f(fault.Invalid, func(in *Inputs) { in.Now = time.Time{} })
	f(fault.Invalid, func(in *Inputs) { in.Now = in.From })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in := inputs(t)
	in.Ask = func(ctx context.Context, _ Question) (Answer, error) { return Answer{}, ctx.Err() }
	if _, err := Build(ctx, in); !fault.Is(err, fault.Canceled) {
		t.Error(err)
	}
}

// TestThePageIsForPeople: times to the second, and a hint where the names of
// entity and system come from. The JSON stays exact.
func TestThePageIsForPeople(t *testing.T) {
	in := inputs(t)
	in.Entity, in.System = "", ""
	in.Now = in.Now.Add(123456789 * time.Nanosecond)
	r := build(t, in)
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"This deployment.", "report.entity", "2026-03-01T13:00:00Z", "the one in the folder itself"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if m := regexp.MustCompile(`T\d\d:\d\d:\d\d\.\d+Z`).Find(page); m != nil {
		t.Errorf("the page shows %s", m)
	}
	if data, _ := r.JSON(); !bytes.Contains(data, []byte(`"issuedAt": "2026-03-01T13:00:00.123456789Z"`)) {
		t.Error("the JSON is not exact")
	}
}

// TestShortPeriodsHaveFineBuckets so that a chart of an hour is not one bar.
func TestShortPeriodsHaveFineBuckets(t *testing.T) {
	for length, want := range map[time.Duration]int{time.Hour: 12, 3 * time.Hour: 36, 6 * time.Hour: 6} {
		in := inputs(t)
		in.To = in.From.Add(length)
		if got := len(build(t, in).Completeness.Sources[0].Timeline); got != want {
			t.Errorf("%v has %d buckets, want %d", length, got, want)
		}
	}
}
