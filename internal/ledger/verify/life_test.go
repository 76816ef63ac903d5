package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
)

// compaction makes the leaves that replace segments of one day by one, whose
// file is written.
func (f *folder) compaction(inputs ...ledger.Segment) (ledger.Compact, ledger.Segment) {
	f.t.Helper()
	first := inputs[0]
	out := f.segment(4000, first.Day)
	c := ledger.Compact{At: f.at, Reason: "merge", Tenant: first.Tenant, Class: first.Class, Day: first.Day, Output: out.ID}
	path, id, size, root := out.Path, out.ID, out.Size, out.Root
	out = first
	out.Path, out.ID, out.Size, out.Root, out.Records = path, id, size, root, 0
	for _, s := range inputs {
		c.Inputs = append(c.Inputs, s.ID)
		c.Records += s.Records
		out.Records += s.Records
		out.MinTime, out.MaxTime = min(out.MinTime, s.MinTime), max(out.MaxTime, s.MaxTime)
		out.MinIngest, out.MaxIngest = min(out.MinIngest, s.MinIngest), max(out.MaxIngest, s.MaxIngest)
		out.FirstOrd, out.LastOrd = min(out.FirstOrd, s.FirstOrd), max(out.LastOrd, s.LastOrd)
		out.JournalAfter, out.JournalUpto = min(out.JournalAfter, s.JournalAfter), max(out.JournalUpto, s.JournalUpto)
	}
	f.must(f.fs.Rename(out.Path+".new", out.Path))
	return c, out
}

// compact replaces segments 0 and 2 of the folder, which are of one day.
func (f *folder) compact() ledger.Segment {
	f.t.Helper()
	c, out := f.compaction(f.segments[0], f.segments[2])
	f.append(c, out)
	for _, i := range []int{0, 2} {
		f.must(f.fs.Remove(f.segments[i].Path))
	}
	f.segments = []ledger.Segment{f.segments[1], f.segments[3], out}
	return out
}

// certificate makes the leaf that destroys segments of one day.
func (f *folder) certificate(gone ...ledger.Segment) ledger.Destruction {
	s := gone[0]
	d := ledger.Destruction{At: f.at, Tenant: s.Tenant, Class: s.Class, Day: s.Day, Reason: "retention", Policy: "app 90d", End: f.at - 1, By: "retention", Part: 1, Parts: 1}
	for _, s := range gone {
		d.Segments, d.Records, d.Bytes = append(d.Segments, s.ID), d.Records+s.Records, d.Bytes+s.Size
		if !slices.Contains(d.KeyIDs, s.KeyID) {
			d.KeyIDs = append(d.KeyIDs, s.KeyID)
		}
	}
	return d
}

func (f *folder) shred(id string) ledger.Key {
	return ledger.Key{At: f.at, Action: "destroyed", ID: id}
}

func TestCompacted(t *testing.T) {
	f := newFolder(t, 0)
	early := f.ledger.Checkpoint().Note
	f.compact()
	rep := f.verify(verify.Options{Checkpoint: early})
	if rep.Verdict != verify.Verified || len(rep.Notes) != 0 {
		t.Fatalf("%+v %+v", rep.Findings, rep.Notes)
	}
	if s := rep.Segments; s.Listed != 3 || s.Verified != 3 || s.Records != 11 || s.Compacted != 2 || s.Destroyed != 0 {
		t.Errorf("%+v", s)
	}
	if !slices.ContainsFunc(rep.NotChecked, func(s string) bool { return strings.Contains(s, "compaction") }) {
		t.Error("what compaction hides is not said")
	}
	// What is compacted can be compacted again, and sealing goes on.
	f.seal(2000)
	c, out := f.compaction(f.segments[2], f.segments[3])
	f.append(c, out)
	rep = f.verify(verify.Options{Checkpoint: early})
	if rep.Verdict != verify.Verified || rep.Segments.Compacted != 4 || len(rep.Notes) != 2 || rep.Notes[0].Kind != verify.KindUnfinished {
		t.Errorf("the inputs are not removed yet: %+v %+v", rep.Findings, rep.Notes)
	}
	f.must(f.fs.Remove(out.Path))
	if rep := f.verify(verify.Options{}); !has(rep, verify.KindMissing, out.Path) {
		t.Errorf("an output is missing: %+v", rep.Findings)
	}
}

func TestDestroyed(t *testing.T) {
	f := newFolder(t, 0)
	out := f.compact()
	f.append(f.certificate(out))
	rep := f.verify(verify.Options{})
	kinds := func() (out []string) {
		for _, x := range rep.Findings {
			out = append(out, x.Kind+" "+x.File)
		}
		return out
	}
	if got := kinds(); rep.Verdict != verify.Incomplete || len(got) != 2 || !strings.HasPrefix(got[0], "destruction ledger/tile/entries/") || got[1] != "destruction "+out.Path {
		t.Fatalf("key and file are there: %s %v", rep.Verdict, got)
	}
	f.append(f.shred(out.KeyID))
	if rep = f.verify(verify.Options{}); rep.Verdict != verify.Incomplete || len(rep.Findings) != 1 || rep.Findings[0].File != out.Path {
		t.Fatalf("the file is there: %s %v", rep.Verdict, kinds())
	}
	f.must(f.fs.Remove(out.Path))
	rep = f.verify(verify.Options{})
	if s := rep.Segments; rep.Verdict != verify.Verified || s.Listed != 2 || s.Destroyed != 1 || s.DestroyedRecords != 5 || s.Records != 6 {
		t.Fatalf("%s %+v %v", rep.Verdict, s, kinds())
	}
	// Late records of the day are kept under a new key, and destroyed again.
	f.ingest(2)
	f.seal(2000)
	if rep = f.verify(verify.Options{}); rep.Verdict != verify.Tampered {
		t.Errorf("a segment under a destroyed key: %s", rep.Verdict)
	}
}

func TestLate(t *testing.T) {
	f := newFolder(t, 0)
	gone := []ledger.Segment{f.segments[1], f.segments[3]}
	f.append(f.certificate(gone...), f.shred(gone[0].KeyID))
	f.must(f.fs.Remove(gone[0].Path))
	f.must(f.fs.Remove(gone[1].Path))
	f.ingest(4)
	f.keyOf = func(day string) string { return "new " + day }
	f.seal(0, 3000)
	late := f.segments[4]
	if rep := f.verify(verify.Options{}); rep.Verdict != verify.Verified {
		t.Fatalf("late: %+v", rep.Findings)
	}
	f.append(f.certificate(late), f.shred(late.KeyID))
	f.must(f.fs.Remove(late.Path))
	if rep := f.verify(verify.Options{}); rep.Verdict != verify.Verified || rep.Segments.Destroyed != 3 {
		t.Errorf("destroyed again: %+v", rep.Findings)
	}
}

func TestHolds(t *testing.T) {
	hold := ledger.Hold{Action: "placed", ID: "case-7", Class: "app", From: "2023-11-01", To: "2023-11-14"}
	released := hold
	released.Action = "released"
	for name, c := range map[string]struct {
		leaves []any
		want   verify.Verdict
	}{
		"held":         {[]any{hold}, verify.Tampered},
		"released":     {[]any{hold, released}, verify.Verified},
		"other day":    {[]any{ledger.Hold{Action: "placed", ID: "a", From: "2023-11-15"}}, verify.Verified},
		"other tenant": {[]any{ledger.Hold{Action: "placed", ID: "a", Tenant: "x"}}, verify.Verified},
		"everything":   {[]any{ledger.Hold{Action: "placed", ID: "a"}}, verify.Tampered},
		"one of two":   {[]any{hold, ledger.Hold{Action: "placed", ID: "b"}, released}, verify.Tampered},
	} {
		f := newFolder(t, 0)
		f.append(c.leaves...)
		f.append(f.certificate(f.segments[0], f.segments[2]), f.shred(f.segments[0].KeyID))
		f.must(f.fs.Remove(f.segments[0].Path))
		f.must(f.fs.Remove(f.segments[2].Path))
		if rep := f.verify(verify.Options{}); rep.Verdict != c.want {
			t.Errorf("%s: %s %+v", name, rep.Verdict, rep.Findings)
		}
	}
}

// TestLiesOfLife signs compactions and destructions that hide records with the
// true key.
func TestLiesOfLife(t *testing.T) {
	f := func(name, kind string, lie func(f *folder) []any) {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, 0)
			f.append(lie(f)...)
			rep := f.verify(verify.Options{})
			found := false
			for _, x := range rep.Findings {
				found = found || x.Kind == kind && strings.HasPrefix(x.File, "ledger/")
			}
			if !found || rep.Verdict != verify.Tampered {
				t.Errorf("%s, %+v", rep.Verdict, rep.Findings)
			}
		})
	}
	// compaction lies about the merge of segments 0 and 2.
	compaction := func(change func(f *folder, c *ledger.Compact, out *ledger.Segment)) func(f *folder) []any {
		return func(f *folder) []any {
			c, out := f.compaction(f.segments[0], f.segments[2])
			change(f, &c, &out)
			for _, i := range []int{0, 2} {
				f.must(f.fs.Remove(f.segments[i].Path))
			}
			return []any{c, out}
		}
	}
	type C = ledger.Compact
	type S = ledger.Segment
	f("output drops records", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.Records-- }))
	f("both drop records", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { c.Records--; out.Records-- }))
	f("records out of nowhere", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { c.Records++; out.Records++ }))
	f("newest records are cut off", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.MaxTime-- }))
	f("oldest records are cut off", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.MinIngest++ }))
	f("last order is cut off", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.LastOrd-- }))
	f("journal range", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.JournalUpto-- }))
	f("output of another tenant", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.Tenant = "evil" }))
	f("output of another class", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.Class = "ops" }))
	f("output of another day", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.Day = "2023-11-13" }))
	f("output under another key", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { out.KeyID = "x" }))
	f("all of another tenant", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { c.Tenant, out.Tenant = "evil", "evil" }))
	f("input of another day", verify.KindLeaf, compaction(func(f *folder, c *C, out *S) { c.Inputs = append(c.Inputs, f.segments[1].ID) }))
	f("input that is not there", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { c.Inputs[1] = "nothing" }))
	f("input twice", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { c.Inputs[1] = c.Inputs[0] }))
	f("no inputs", verify.KindLeaf, compaction(func(_ *folder, c *C, out *S) { c.Inputs = nil }))
	f("input of another tenant", verify.KindLeaf, func(f *folder) []any {
		s := f.segment(2000, "2023-11-14")
		s.Tenant, s.JournalAfter, s.JournalUpto = "other", f.sealed, f.sealed+1
		f.must(f.fs.Rename(s.Path+".new", s.Path))
		c, out := f.compaction(f.segments[0], f.segments[2], s)
		return []any{s, c, out}
	})
	f("around a segment that stays", verify.KindLeaf, func(f *folder) []any {
		f.ingest(3)
		f.seal(2000)
		c, out := f.compaction(f.segments[0], f.segments[4])
		return []any{c, out}
	})
	f("compacted twice", verify.KindLeaf, func(f *folder) []any {
		c, out := f.compaction(f.segments[0], f.segments[2])
		d, other := f.compaction(f.segments[0], f.segments[2])
		return []any{c, out, d, other}
	})
	f("compaction without output", verify.KindLeaf, func(f *folder) []any {
		c, _ := f.compaction(f.segments[0], f.segments[2])
		return []any{c}
	})
	f("compaction and then something else", verify.KindLeaf, func(f *folder) []any {
		c, out := f.compaction(f.segments[0], f.segments[2])
		return []any{c, f.newEpoch("interval"), out}
	})
	f("compaction into what was sealed", verify.KindLeaf, func(f *folder) []any {
		c, _ := f.compaction(f.segments[0], f.segments[2])
		return []any{c, f.segments[1]}
	})
	destruction := func(change func(f *folder, d *ledger.Destruction)) func(f *folder) []any {
		return func(f *folder) []any {
			d := f.certificate(f.segments[0], f.segments[2])
			change(f, &d)
			f.must(f.fs.Remove(f.segments[0].Path))
			f.must(f.fs.Remove(f.segments[2].Path))
			return []any{d, f.shred(f.segments[0].KeyID)}
		}
	}
	type D = ledger.Destruction
	f("half of a day", verify.KindLeaf, destruction(func(f *folder, d *D) { *d = f.certificate(f.segments[0]) }))
	f("fewer records than there were", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.Records-- }))
	f("fewer bytes than there were", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.Bytes-- }))
	f("another tenant's segment", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.Tenant = "evil" }))
	f("another day's segment", verify.KindLeaf, destruction(func(f *folder, d *D) { d.Segments[1] = f.segments[1].ID }))
	f("unknown segment", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.Segments[1] = "nothing" }))
	f("key is not named", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.KeyIDs = nil }))
	f("before its time", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.End = d.At + 1 }))
	f("part of many", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.Parts = 2 }))
	f("second part first", verify.KindLeaf, destruction(func(_ *folder, d *D) { d.Part, d.Parts = 2, 2 }))
	f("destroyed twice", verify.KindLeaf, func(f *folder) []any {
		d := f.certificate(f.segments[0], f.segments[2])
		return []any{d, f.shred(d.KeyIDs[0]), d}
	})
	f("compacted after destruction", verify.KindLeaf, func(f *folder) []any {
		d := f.certificate(f.segments[0], f.segments[2])
		c, out := f.compaction(f.segments[0], f.segments[2])
		return []any{d, f.shred(d.KeyIDs[0]), c, out}
	})
	f("key without certificate", verify.KindLeaf, func(f *folder) []any { return []any{f.shred(f.segments[0].KeyID)} })
	f("file removed without certificate", verify.KindAccount, func(f *folder) []any {
		e := f.newEpoch("interval")
		e.Sources[0].Stored, e.Sources[0].Deduplicated = 10, e.Sources[0].Received-12
		return []any{e} // the account shrinks, and 11 records are in segments
	})
	f("hold released that was never placed", verify.KindLeaf, func(f *folder) []any { return []any{ledger.Hold{Action: "released", ID: "x"}} })
	f("hold placed twice", verify.KindLeaf, func(f *folder) []any {
		return []any{ledger.Hold{Action: "placed", ID: "x"}, ledger.Hold{Action: "placed", ID: "x"}}
	})
}

// TestMoreThanStored finds segments that hold more than sources ever gave.
func TestMoreThanStored(t *testing.T) {
	f := newFolder(t, 0)
	s := f.segment(2000, "2023-11-20")
	s.JournalAfter, s.JournalUpto, s.Records = f.sealed, f.sealed+1, 1000
	f.must(f.fs.Rename(s.Path+".new", s.Path))
	f.append(s)
	if rep := f.verify(verify.Options{}); !has(rep, verify.KindAccount, "ledger/checkpoint") {
		t.Errorf("%s %+v", rep.Verdict, rep.Findings)
	}
}

// TestMissingWhileCompacting does not take a segment for missing that a server
// compacted after the ledger was read, and does when nothing says so.
func TestMissingWhileCompacting(t *testing.T) {
	f := newFolder(t, 0)
	moved := false
	o := verify.Options{Progress: func(int64, int64) {
		if moved {
			return
		}
		moved = true
		f.compact() // segment 0 is done by now, 2 is not
	}}
	if rep := f.verify(o); rep.Verdict != verify.Verified || len(rep.Notes) != 1 || rep.Segments.Verified != 3 {
		t.Errorf("%s %+v %+v", rep.Verdict, rep.Findings, rep.Notes)
	}
	f = newFolder(t, 0)
	gone := f.segments[2].Path
	moved = false
	o.Progress = func(int64, int64) {
		if !moved {
			moved = true
			f.must(f.fs.Remove(gone))
			f.epoch("interval")
		}
	}
	if rep := f.verify(o); !has(rep, verify.KindMissing, gone) {
		t.Errorf("%s %+v", rep.Verdict, rep.Findings)
	}
}
