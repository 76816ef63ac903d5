package store

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
)

func mustAppend(t testing.TB, s *Store, b *record.Batch) {
	t.Helper()
	if err := s.Append(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func mustSeal(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// reopen closes a store and its ledger and opens them again.
func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	if err := errors.Join(s.Close(), s.o.Ledger.Close()); err != nil {
		t.Fatal(err)
	}
	return openWorld(t, s.o.FS, s.o.Limits)
}

func everything() ScanRequest { return ScanRequest{Tenant: "acme", To: 1 << 62, Order: Oldest} }

// TestRepeatedBatchCounts sends one batch again and again, over seals, releases
// and restarts: it is kept once and each repetition is counted.
func TestRepeatedBatchCounts(t *testing.T) {
	s, _ := newWorld(t, Limits{SealAge: -1, JournalFile: 2 << 10})
	repeats := uint64(0)
	again := func() {
		t.Helper()
		mustAppend(t, s, numbered(1, 10))
		repeats++
		a := s.Sources()[0]
		if a.Stored != 10+5*40 && a.Stored != 10 || a.Deduplicated != 10*repeats || a.Received != a.Stored+a.Deduplicated+sum(a.Rejected)+sum(a.Dropped) {
			t.Fatalf("account after %d repetitions: %+v", repeats, a)
		}
	}
	mustAppend(t, s, numbered(1, 10))
	again()
	s = reopen(t, s)
	again()
	for i := range uint64(40) { // enough to release the first files
		mustAppend(t, s, numbered(100+5*i, 5))
	}
	mustSeal(t, s)
	again()
	mustSeal(t, s)
	s = reopen(t, s)
	again()
	if got := scanAll(t, s, everything()); len(got) != 210 {
		t.Errorf("%d records, want 210", len(got))
	}
	other := numbered(1, 10)
	other.ID.Epoch = 2
	mustAppend(t, s, other)
	if got := scanAll(t, s, everything()); len(got) != 220 {
		t.Errorf("%d records after another epoch, want 220", len(got))
	}
}

func TestBatchWithoutRecordsIsCounted(t *testing.T) {
	s, _ := newWorld(t, manual())
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon, Account: record.Account{Received: 3, Rejected: []record.Count{{Name: "too long", N: 3}}}}
	mustAppend(t, s, b)
	for range 3 {
		want := []SourceTotals{{Tenant: "acme", Source: "s", Received: 3, Rejected: []record.Count{{Name: "too long", N: 3}}, FirstSeen: noon, LastSeen: noon}}
		if got := s.Sources(); len(got) != 1 || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sources %+v, want %+v", got, want)
		}
		mustSeal(t, s)
		s = reopen(t, s)
	}
}

// TestAccountAlwaysFitsALeaf invents reasons without end: they are counted, and
// the ledger still takes the account.
func TestAccountAlwaysFitsALeaf(t *testing.T) {
	s, _ := newWorld(t, manual())
	for i := range 20 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for j := range 200 {
			b.Account.Rejected = append(b.Account.Rejected, record.Count{Name: fmt.Sprintf("\x01\x01%d-%0*d", i, j, j), N: 1})
			b.Account.Dropped = append(b.Account.Dropped, record.Count{Name: fmt.Sprintf("%d-%0*d", i, j, j), N: 1})
		}
		b.Account.Received = 400
		mustAppend(t, s, b)
	}
	mustSeal(t, s)
	a := reopen(t, s).Sources()[0]
	if a.Received != 8000 || sum(a.Rejected) != 4000 || sum(a.Dropped) != 4000 || len(a.Dropped) > maxNames+1 {
		t.Errorf("account of %d received, %d reasons", a.Received, len(a.Dropped))
	}
}

// TestCommitsAreKept: what a watcher keeps stays as it is, whatever is appended
// later, until the watcher gives it back.
func TestCommitsAreKept(t *testing.T) {
	s, _ := newWorld(t, manual())
	var kept []Kept
	defer s.Watch(func(c *Commit) { kept = append(kept, c.Keep()) })()
	for i := range uint64(20) {
		mustAppend(t, s, numbered(1+10*i, 10))
	}
	var b record.Batch
	for i := range kept {
		if err := kept[i].Decode(&b); err != nil || b.Len() != 10 || kept[i].Len != 10 || b.Ord != kept[i].Ord || b.Tenant != kept[i].Tenant {
			t.Fatalf("commit %d: %v, %d records from %d of %s", i, err, b.Len(), b.Ord, b.Tenant)
		}
		want := numbered(1+10*uint64(i), 10)
		for j := range 10 {
			got, was := b.Record(j), want.Record(j)
			if fmt.Sprint(got.Fields) != fmt.Sprint(was.Fields) || got.Time != was.Time {
				t.Fatalf("record %d of commit %d is %v, was %v", j, i, got, was)
			}
		}
		if i%2 == 0 {
			kept[i].Release()
			mustAppend(t, s, numbered(5000+10*uint64(i), 10))
		}
	}
}

func TestWatchIsToldInOrder(t *testing.T) {
	s, _ := newWorld(t, manual())
	var ords []uint64
	var rows atomic.Int64
	cancel := s.Watch(func(c *Commit) {
		ords = append(ords, c.Batch.Ord)
		rows.Add(int64(c.Batch.Len()))
	})
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(50) {
				before := rows.Load()
				mustAppend(t, s, numbered(1+1000*g+10*i, 10))
				if rows.Load() < before+10 {
					t.Error("a batch was acknowledged before its watcher was told")
				}
			}
		})
	}
	wg.Wait()
	mustAppend(t, s, numbered(1, 10)) // a repetition is not news
	cancel()
	mustAppend(t, s, numbered(9001, 10))
	if len(ords) != 200 || !slices.IsSorted(ords) {
		t.Errorf("%d batches told, sorted: %v", len(ords), slices.IsSorted(ords))
	}
}

func TestOverload(t *testing.T) {
	l := manual()
	l.Unsealed, l.AppendWait = 20_000, time.Hour
	s, _ := newWorld(t, l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var err error
	n := uint64(0)
	for ; err == nil && n < 1000; n++ {
		err = s.Append(ctx, numbered(1+n*10, 10))
	}
	if !fault.Is(err, fault.Overload) {
		t.Fatalf("after %d batches: %v", n, err)
	}
	done := make(chan error)
	go func() { done <- s.Append(context.Background(), numbered(50_000, 10)) }()
	mustSeal(t, s)
	if err := <-done; err != nil {
		t.Errorf("append that waited for a seal: %v", err)
	}
	if err := s.Append(ctx, numbered(60_000, 10)); err != nil {
		t.Errorf("append after a seal: %v", err)
	}
}

// until polls for something that another goroutine does.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestSealsBySizeAndAge(t *testing.T) {
	for name, l := range map[string]Limits{
		"size": {SealAge: time.Hour, SealBytes: 1000},
		"age":  {SealAge: 20 * time.Millisecond},
		"idle": {SealAge: time.Hour, SealBytes: 40_000, SealIdle: 20 * time.Millisecond},
	} {
		s, _ := newWorld(t, l)
		mustAppend(t, s, numbered(1, 100))
		if name == "size" {
			s.signal()
		}
		until(t, "seal by "+name, func() bool { return s.Status().UnsealedRecords == 0 })
		if got := scanAll(t, s, everything()); len(got) != 100 {
			t.Errorf("%s: %d records", name, len(got))
		}
	}
}

// TestTailOfALoadIsSealed seals what is left of a load that was large enough, and
// leaves a little that comes by itself to its age.
func TestTailOfALoadIsSealed(t *testing.T) {
	s, _ := newWorld(t, Limits{SealAge: time.Hour, SealBytes: 40_000, SealIdle: 20 * time.Millisecond})
	mustAppend(t, s, numbered(1, 1000))
	s.signal()
	until(t, "seal by size", func() bool { return s.Status().UnsealedRecords == 0 })
	mustAppend(t, s, numbered(1001, 2))
	until(t, "seal of the tail", func() bool { return s.Status().UnsealedRecords == 0 })
	mustAppend(t, s, numbered(1003, 2))
	s.mu.Lock()
	s.latest = s.latest.Add(-time.Minute)
	s.mu.Unlock()
	if s.due() {
		t.Error("two records that came by themselves are due after a minute")
	}
}

// TestReadersAndWritersTogether appends, seals and scans at once: each scan sees
// whole batches, and all that was acknowledged before it began.
func TestReadersAndWritersTogether(t *testing.T) {
	l := manual()
	l.BlockRows, l.OpenSegments = 64, 2
	s, _ := newWorld(t, l)
	var acked atomic.Int64
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for g := range uint64(3) {
		writers.Go(func() {
			for i := range uint64(long(60, 400)) {
				b := numbered(1+100_000*g+8*i, 8)
				for k := range b.Len() {
					b.SetClassAt(k, "app")
				}
				mustAppend(t, s, b)
				acked.Add(8)
				if i%10 == 9 {
					mustSeal(t, s)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for running := true; running; {
				select {
				case <-stop:
					running = false
				default:
				}
				before := acked.Load()
				n := len(scanAll(t, s, everything()))
				if n%8 != 0 || int64(n) < before {
					t.Errorf("scan saw %d records, %d were acknowledged", n, before)
				}
				groups, _, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62})
				if err != nil || len(groups) == 1 && groups[0].Counts[0]%8 != 0 {
					t.Errorf("count saw %v %v", groups, err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func TestTimeOutOfRangeIsClamped(t *testing.T) {
	s, _ := newWorld(t, manual())
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	b.Begin(-5, "app")
	b.End()
	b.Begin(1<<63-1, "app")
	b.End()
	mustAppend(t, s, b)
	for range 2 {
		recs := scanAll(t, s, everything())
		if len(recs) != 2 {
			t.Fatalf("%d records", len(recs))
		}
		for i, want := range []int64{-5, 1<<63 - 1} {
			if v, ok := recs[i].Get(memtable.OriginalTime); recs[i].Time != noon || !ok || v.Int != want {
				t.Errorf("record %s, want original %d", text(&recs[i]), want)
			}
		}
		mustSeal(t, s)
	}
}

func TestInvalidBatchIsRefused(t *testing.T) {
	s, _ := newWorld(t, manual())
	f := func(change func(b *record.Batch)) {
		t.Helper()
		b := numbered(1, 2)
		change(b)
		if err := s.Append(context.Background(), b); !fault.Is(err, fault.Invalid) {
			t.Errorf("append: %v", err)
		}
	}
	f(func(b *record.Batch) { b.Tenant = "../x" })
	f(func(b *record.Batch) { b.Source = "" })
	f(func(b *record.Batch) { b.SetClassAt(0, "A/B") })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(context.Background(), numbered(1, 1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("append to a closed store: %v", err)
	}
}

func TestScanEnds(t *testing.T) {
	l := manual()
	l.BlockRows = 10
	s, _ := newWorld(t, l)
	for i := range uint64(30) {
		mustAppend(t, s, numbered(1+10*i, 10))
	}
	mustSeal(t, s)
	q := everything()
	q.Budget.Rows = 50
	n := 0
	stats, err := s.Scan(context.Background(), q, func(r []record.Record) error { n += len(r); return nil })
	if !fault.Is(err, fault.Overload) || stats.RowsMatched < 50 || stats.RowsMatched > 250 {
		t.Errorf("scan beyond its rows: %+v %v", stats, err)
	}
	q.Budget = Budget{Bytes: 1000}
	q.Where = match.Contains{Field: "key", Value: "1"}
	if _, err := s.Scan(context.Background(), q, func([]record.Record) error { return nil }); !fault.Is(err, fault.Overload) {
		t.Errorf("scan beyond its bytes: %v", err)
	}
	mine := errors.New("enough")
	if _, err := s.Scan(context.Background(), everything(), func([]record.Record) error { return mine }); err != mine {
		t.Errorf("visitor's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Scan(ctx, everything(), func([]record.Record) error { return nil }); !fault.Is(err, fault.Canceled) {
		t.Errorf("canceled scan: %v", err)
	}
	if _, _, err := s.Count(ctx, CountRequest{Tenant: "acme", To: 1 << 62, By: []string{"n"}}); !fault.Is(err, fault.Canceled) {
		t.Errorf("canceled count: %v", err)
	}
}

func TestOnlyAskedFields(t *testing.T) {
	s, _ := newWorld(t, manual())
	mustAppend(t, s, numbered(1, 5))
	for range 2 {
		q := everything()
		q.Fields = []string{"service", "absent"}
		for _, r := range scanAll(t, s, q) {
			if len(r.Fields) != 1 || r.Fields[0].Name != "service.name" || r.Ord == 0 || r.Ingest == 0 || r.Class == "" {
				t.Errorf("record %s", text(&r))
			}
		}
		mustSeal(t, s)
	}
}

func TestOtherTenantsAreNotSeen(t *testing.T) {
	s, _ := newWorld(t, manual())
	b := numbered(1, 5)
	b.Tenant = "other"
	mustAppend(t, s, b)
	mustSeal(t, s)
	mustAppend(t, s, b)
	if got := scanAll(t, s, everything()); len(got) != 0 {
		t.Errorf("%d records of another tenant", len(got))
	}
	if f, _, err := s.Fields(context.Background(), "acme", 0, 1<<62); err != nil || len(f) != 0 {
		t.Errorf("fields of another tenant: %v %v", f, err)
	}
}

func TestFieldsAndValues(t *testing.T) {
	s, _ := newWorld(t, manual())
	for i := range 3 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for j := range 10 {
			b.Begin(noon+int64(i), "app")
			b.Str("zone", []string{"a", "b", "b", ""}[j%4])
			b.Str(record.Labels, "zone")
			if j == 0 {
				b.Int("zone", 7)
			}
			b.End()
		}
		mustAppend(t, s, b)
		if i < 2 {
			mustSeal(t, s)
		}
	}
	fields, _, err := s.Fields(context.Background(), "acme", 0, 1<<62)
	want := []FieldInfo{{"zone", record.String, 30}, {"zone", record.Int, 3}}
	if err != nil || !slices.Equal(fields, want) {
		t.Errorf("fields %+v, want %+v: %v", fields, want, err)
	}
	values, _, err := s.Values(context.Background(), ValuesRequest{Tenant: "acme", To: 1 << 62, Field: "zone"})
	if err != nil || !slices.Equal(values, []record.Count{{Name: "b", N: 15}, {Name: "a", N: 9}}) {
		t.Errorf("values %+v: %v", values, err)
	}
	values, _, err = s.Values(context.Background(), ValuesRequest{Tenant: "acme", To: 1 << 62, Field: "zone", Limit: 1})
	if err != nil || len(values) != 1 {
		t.Errorf("values %+v: %v", values, err)
	}
}

// TestLeavesOfASeal reads what a seal says in the ledger.
func TestLeavesOfASeal(t *testing.T) {
	s, _ := newWorld(t, manual())
	mustAppend(t, s, numbered(1, 20))
	mustSeal(t, s)
	mustAppend(t, s, numbered(100, 20))
	mustSeal(t, s)
	segments := leaves[ledger.Segment](t, s.o.Ledger)
	if !slices.Equal(segments, s.Segments()) {
		t.Error("Segments and the ledger differ")
	}
	records, upto := uint64(0), map[uint64]uint64{}
	for _, l := range segments {
		records += l.Records
		upto[l.JournalAfter] = l.JournalUpto
	}
	if records != 40 || len(upto) != 2 || upto[upto[0]] == 0 {
		t.Errorf("%d records in segments of frames %v", records, upto)
	}
	keys := leaves[ledger.Key](t, s.o.Ledger)
	if len(keys) != 4 { // two classes, two days
		t.Errorf("%d key leaves: %+v", len(keys), keys)
	}
	for _, l := range segments {
		if !slices.ContainsFunc(keys, func(k ledger.Key) bool { return k.ID == l.KeyID && k.Commitment == l.KeyCommitment }) {
			t.Errorf("segment %s names a key without a leaf: %s", l.ID, l.KeyID)
		}
	}
	epochs := leaves[ledger.Epoch](t, s.o.Ledger)
	last := epochs[len(epochs)-1]
	if last.Reason != "seal" || len(last.Sources) != 1 || last.Sources[0].Stored != 40 {
		t.Errorf("last epoch %+v", last)
	}
}

// few remembers n of each.
func few(n int) windowLimits { return windowLimits{n, keyLimits{least: n, keep: time.Minute, most: n}} }

func FuzzDecodeWindows(f *testing.F) {
	w := newWindows(few(10))
	w.add(numbered(1, 5))
	w.add(numbered(20, 5))
	w.add(&record.Batch{Tenant: "t", ID: record.BatchID{Origin: "key:a"}, Ingest: noon})
	w.add(&record.Batch{Tenant: "t", ID: record.BatchID{Origin: "key:b"}, Ingest: noon + 5e9})
	f.Add(w.encode(nil, 77))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, upto, err := decodeWindows(data, few(100))
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatalf("error %v of kind %v", err, fault.KindOf(err))
			}
			return
		}
		w2, upto2, err := decodeWindows(w.encode(nil, upto), few(100))
		if err != nil || upto2 != upto || len(w2.byKey) != len(w.byKey) || len(w2.keys.known) != len(w.keys.known) {
			t.Fatalf("second decoding differs: %v", err)
		}
	})
}

// TestWindow holds a window of intervals against a set of numbers.
func TestWindow(t *testing.T) {
	r := mrand.New(mrand.NewPCG(1, 1))
	w := newWindows(few(1 << 20))
	seen := map[uint64]bool{}
	for range 5000 {
		b := &record.Batch{Tenant: "t", ID: record.BatchID{Origin: "o", Seq: uint64(r.IntN(2000)) * 4}}
		n := 1 + r.IntN(4)
		for range n {
			b.Begin(0, "app")
			b.End()
		}
		if w.has(b) != seen[b.ID.Seq] || w.add(b) == seen[b.ID.Seq] {
			t.Fatalf("seq %d: seen %v", b.ID.Seq, seen[b.ID.Seq])
		}
		if !seen[b.ID.Seq] {
			for i := range n {
				seen[b.ID.Seq+uint64(i)] = true
			}
		}
	}
}

// TestKeysDoNotForgetAgents: each request with a key is an origin of its own.
func TestKeysDoNotForgetAgents(t *testing.T) {
	w := newWindows(few(3))
	agent := &record.Batch{Tenant: "t", ID: record.BatchID{Origin: "relay/t/a", Epoch: 1, Seq: 7}}
	w.add(agent)
	key := func(i int) *record.Batch {
		return &record.Batch{Tenant: "t", ID: record.BatchID{Origin: fmt.Sprintf("key:%d", i)}}
	}
	for i := range 100 {
		w.add(key(i))
	}
	again, _, err := decodeWindows(w.encode(nil, 1), few(3))
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*windows{"live": w, "decoded": again} {
		if !w.has(agent) {
			t.Errorf("%s: the agent was forgotten", name)
		}
		if w.has(key(96)) || !w.has(key(97)) || !w.has(key(99)) || len(w.byKey) != 1 || len(w.keys.known) != 3 {
			t.Errorf("%s: not the newest three keys are remembered, of %d", name, len(w.keys.known))
		}
	}
}

// TestNoSenderMakesOthersForgotten: one who sends ever new numbers, or keys, makes
// his own forgotten, in a process that began anew as well.
func TestNoSenderMakesOthersForgotten(t *testing.T) {
	const limit = 100
	w := newWindows(few(limit))
	key := func(source string, i int) *record.Batch {
		return &record.Batch{Tenant: "t", Source: source, ID: record.BatchID{Origin: fmt.Sprintf("key:%s-%d", source, i)}}
	}
	agent := func(name string, i int) *record.Batch {
		return &record.Batch{Tenant: "t", Source: fmt.Sprintf("relay/%s/%d", name, i), ID: record.BatchID{Origin: fmt.Sprintf("relay/t/%s/%d", name, i)}}
	}
	stream := func(i int) *record.Batch { // each of an origin of its own
		return &record.Batch{Tenant: "t", Source: "als/bad", ID: record.BatchID{Origin: fmt.Sprintf("als:%x", mrand.New(mrand.NewPCG(1, uint64(i))).Uint64())}}
	}
	for i := range 20 {
		w.add(key("loki/good", i))
		w.add(agent("good", i))
	}
	for round := range 3 {
		for i := range 10 * limit {
			w.add(key("httpjson/bad", round<<20+i))
			w.add(agent("bad", round<<20+i))
			w.add(stream(round<<20 + i))
		}
		for i := range 20 {
			if !w.has(key("loki/good", i)) || !w.has(agent("good", i)) {
				t.Fatalf("round %d: number %d was forgotten", round, i)
			}
		}
		again, _, err := decodeWindows(w.encode(nil, 1), few(limit))
		if err != nil {
			t.Fatal(err)
		}
		w = again
	}
	if len(w.byKey) != limit || len(w.keys.known) != limit {
		t.Errorf("%d windows, %d keys", len(w.byKey), len(w.keys.known))
	}
}

// TestWindowsOfVersion1 reads what was written before there were lots.
func TestWindowsOfVersion1(t *testing.T) {
	old := []byte("\x01\x07\x02\x01t\x01o\x00\x01\x05\x02\x01t\x05key:k\x00\x01\x00\x01")
	w, upto, err := decodeWindows(old, few(10))
	if err != nil || upto != 7 || len(w.byKey) != 1 || len(w.keys.known) != 1 {
		t.Fatalf("%v, upto %d, %d windows", err, upto, len(w.byKey))
	}
	if b := (&record.Batch{Tenant: "t", ID: record.BatchID{Origin: "o", Seq: 6}}); !w.has(b) {
		t.Error("the origin is not remembered")
	}
	if b := (&record.Batch{Tenant: "t", ID: record.BatchID{Origin: "key:k"}}); !w.has(b) {
		t.Error("the key is not remembered")
	}
}

func TestWindowsAreBounded(t *testing.T) {
	w := newWindows(few(3))
	for i := range uint64(10) {
		b := numbered(1, 1)
		b.ID.Epoch = i
		w.add(b)
	}
	if len(w.byKey) != 3 {
		t.Errorf("%d windows are kept", len(w.byKey))
	}
	w = newWindows(few(3))
	for i := range uint64(3 * maxIntervals) {
		w.add(numbered(10*i, 1))
	}
	x := w.byKey[keyOf(numbered(0, 1))].Value.(*window)
	if len(x.seen) > maxIntervals || !x.has(30*maxIntervals-10) || !x.has(0) {
		t.Errorf("%d intervals are kept", len(x.seen))
	}
}
