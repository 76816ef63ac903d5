package verify_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// flips changes every byte of a file, one at a time (or every stride-th), and
// asks for exit code 1 and a finding that covers the byte.
func flips(t *testing.T, f *folder, name string, stride int64, o verify.Options) {
	t.Helper()
	size := int64(len(f.read(name)))
	for off := int64(0); off < size; off += stride {
		f.flip(name, off)
		rep := f.verify(o)
		if rep.Verdict.ExitCode() != 1 {
			t.Errorf("%s: changed byte %d: %s", name, off, rep.Verdict)
		}
		named := false
		for _, x := range rep.Findings {
			named = named || x.File == name && x.Offset <= off && (off < x.Offset+x.Length || x.Length == 0)
		}
		if !named {
			t.Errorf("%s: byte %d is not named: %+v", name, off, rep.Findings)
		}
		f.flip(name, off)
		if t.Failed() {
			return
		}
	}
}

func TestFlipSegment(t *testing.T) {
	f := newFolder(t, 0)
	stride := int64(29)
	if long {
		stride = 1
	}
	flips(t, f, f.segments[0].Path, stride, verify.Options{})
	if n := len(f.read(f.segments[0].Path)); n < 60<<10 {
		t.Errorf("the segment has only %d bytes", n)
	}
}

func TestFlipLedger(t *testing.T) {
	f := newFolder(t, 0)
	flips(t, f, "ledger/checkpoint", 1, verify.Options{})
	for _, name := range f.files("ledger/tile") {
		flips(t, f, name, 1, verify.Options{})
	}
	f = newFolder(t, 300)
	stride := int64(397)
	if long {
		stride = 7
	}
	for _, name := range f.files("ledger/tile") {
		flips(t, f, name, stride, verify.Options{})
	}
}

func TestFlipJournal(t *testing.T) {
	f := newFolder(t, 0)
	f.journal.Close()
	for _, name := range f.files("journal") {
		if strings.HasSuffix(name, ".lock") {
			continue
		}
		// Behind the anchor the chain itself shows a change, unless it is in the
		// very last group, which a crash may tear.
		data := f.read(name)
		last := int64(bytes.LastIndex(data, []byte("MTJF")))
		for off := int64(0); off < last; off++ {
			f.flip(name, off)
			rep := f.verify(verify.Options{})
			if rep.Verdict.ExitCode() != 1 || rep.Findings[0].File != name || rep.Findings[0].Offset > off {
				t.Fatalf("%s: changed byte %d: %+v", name, off, rep.Findings)
			}
			f.flip(name, off)
		}
	}
}

func TestFlipKey(t *testing.T) {
	f := newFolder(t, 0)
	for off := range int64(len(f.vkey)) {
		f.flip(verify.KeyFile, off)
		if rep := f.verify(verify.Options{}); rep.Verdict == verify.Verified {
			t.Errorf("byte %d of the key: %s", off, rep.Verdict)
		}
		if rep := f.verify(verify.Options{LogKey: f.vkey}); rep.Verdict != verify.Tampered {
			t.Errorf("byte %d of the key beside a pinned one: %s", off, rep.Verdict)
		}
		f.flip(verify.KeyFile, off)
	}
}

// TestAttacks is the corpus: each entry is something that another product's
// verifier once let pass, or something an insider would try.
func TestAttacks(t *testing.T) {
	type want struct {
		kind, file string
	}
	f := func(name string, change func(f *folder, o *verify.Options) []want) {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, 0)
			var o verify.Options
			wants := change(f, &o)
			rep := f.verify(o)
			if rep.Verdict.ExitCode() != 1 {
				t.Fatalf("%s: %+v", rep.Verdict, rep.Findings)
			}
			for _, w := range wants {
				found := false
				for _, x := range rep.Findings {
					found = found || x.Kind == w.kind && x.File == w.file
				}
				if !found {
					t.Errorf("no %s of %s: %+v", w.kind, w.file, rep.Findings)
				}
			}
			var text strings.Builder
			rep.WriteText(&text)
			if !strings.Contains(text.String(), "TAMPERED") || !strings.Contains(text.String(), wants[0].file) {
				t.Errorf("%s", &text)
			}
		})
	}
	f("drop one segment", func(f *folder, _ *verify.Options) []want {
		f.must(f.fs.Remove(f.segments[1].Path))
		return []want{{verify.KindMissing, f.segments[1].Path}}
	})
	f("drop two adjacent segments", func(f *folder, _ *verify.Options) []want {
		f.must(f.fs.Remove(f.segments[1].Path))
		f.must(f.fs.Remove(f.segments[2].Path))
		return []want{{verify.KindMissing, f.segments[1].Path}, {verify.KindMissing, f.segments[2].Path}}
	})
	f("drop all segments", func(f *folder, _ *verify.Options) []want {
		f.restore("segments", nil)
		return []want{{verify.KindMissing, f.segments[0].Path}, {verify.KindMissing, f.segments[3].Path}}
	})
	f("swap two segments", func(f *folder, _ *verify.Options) []want {
		a, b := f.segments[2].Path, f.segments[3].Path
		x, y := f.read(a), f.read(b)
		f.write(a, y)
		f.write(b, x)
		return []want{{verify.KindChanged, a}, {verify.KindChanged, b}}
	})
	for _, cut := range []int{1, 64, 1000} {
		f("truncate a segment", func(f *folder, _ *verify.Options) []want {
			data := f.read(f.segments[0].Path)
			f.write(f.segments[0].Path, data[:len(data)-cut])
			return []want{{verify.KindChanged, f.segments[0].Path}}
		})
		f("append to a segment", func(f *folder, _ *verify.Options) []want {
			f.write(f.segments[0].Path, append(f.read(f.segments[0].Path), make([]byte, cut)...))
			return []want{{verify.KindChanged, f.segments[0].Path}}
		})
	}
	f("empty a segment", func(f *folder, _ *verify.Options) []want {
		f.write(f.segments[0].Path, nil)
		return []want{{verify.KindChanged, f.segments[0].Path}}
	})
	f("add a segment", func(f *folder, _ *verify.Options) []want {
		s := f.segment(2000, "2023-11-30")
		f.must(f.fs.Rename(s.Path+".new", s.Path))
		return []want{{verify.KindExtra, s.Path}}
	})
	f("copy a segment to another day", func(f *folder, _ *verify.Options) []want {
		to := strings.Replace(f.segments[0].Path, "2023-11-14", "2023-12-24", 1)
		f.write(to, f.read(f.segments[0].Path))
		return []want{{verify.KindExtra, to}}
	})
	f("drop a hash tile", func(f *folder, _ *verify.Options) []want {
		f.must(f.fs.Remove("ledger/tile/0/000.p/8"))
		return []want{{verify.KindMissing, "ledger/tile/0/000.p/8"}}
	})
	f("drop an entries tile", func(f *folder, _ *verify.Options) []want {
		f.must(f.fs.Remove("ledger/tile/entries/000.p/8"))
		return []want{{verify.KindMissing, "ledger/tile/entries/000.p/8"}}
	})
	f("truncate a hash tile", func(f *folder, _ *verify.Options) []want {
		f.write("ledger/tile/0/000.p/8", f.read("ledger/tile/0/000.p/8")[:7*32])
		return []want{{verify.KindChanged, "ledger/tile/0/000.p/8"}}
	})
	f("append to a hash tile", func(f *folder, _ *verify.Options) []want {
		f.write("ledger/tile/0/000.p/8", append(f.read("ledger/tile/0/000.p/8"), 0))
		return []want{{verify.KindChanged, "ledger/tile/0/000.p/8"}}
	})
	f("truncate an entries tile", func(f *folder, _ *verify.Options) []want {
		data := f.read("ledger/tile/entries/000.p/8")
		f.write("ledger/tile/entries/000.p/8", data[:len(data)-5])
		return []want{{verify.KindChanged, "ledger/tile/entries/000.p/8"}}
	})
	f("edit the counts of an epoch", func(f *folder, _ *verify.Options) []want {
		name := "ledger/tile/entries/000.p/8"
		data := f.read(name)
		edited := bytes.Replace(data, []byte(`"received":9`), []byte(`"received":8`), 1)
		if bytes.Equal(data, edited) {
			f.t.Fatal("nothing to edit")
		}
		f.write(name, edited)
		return []want{{verify.KindChanged, name}}
	})
	f("roll the checkpoint back", func(f *folder, _ *verify.Options) []want {
		f.write("ledger/checkpoint", f.first)
		return []want{{verify.KindMissing, "ledger/tile/entries/000.p/5"}}
	})
	f("unsign the checkpoint", func(f *folder, _ *verify.Options) []want {
		text, _, _ := strings.Cut(string(f.read("ledger/checkpoint")), "\n\n")
		f.write("ledger/checkpoint", []byte(text+"\n"))
		return []want{{verify.KindSignature, "ledger/checkpoint"}}
	})
	f("empty the checkpoint", func(f *folder, _ *verify.Options) []want {
		f.write("ledger/checkpoint", nil)
		return []want{{verify.KindSignature, "ledger/checkpoint"}}
	})
	f("rewrite the ledger under another key", func(f *folder, _ *verify.Options) []want {
		forge(f, 2)
		return []want{{verify.KindSignature, "ledger/checkpoint"}}
	})
	f("rewrite the ledger and replace the key in the folder", func(f *folder, o *verify.Options) []want {
		o.LogKey = f.vkey
		forge(f, 2)
		_, other := keys(f.t, 2)
		f.write(verify.KeyFile, []byte(other))
		return []want{{verify.KindSignature, "ledger/checkpoint"}, {verify.KindKey, verify.KeyFile}}
	})
	f("pin a wrong key", func(f *folder, o *verify.Options) []want {
		_, o.LogKey = keys(f.t, 2)
		return []want{{verify.KindSignature, "ledger/checkpoint"}}
	})
	f("rewrite the ledger with the true key", func(f *folder, o *verify.Options) []want {
		o.Checkpoint = f.first
		forge(f, 1)
		return []want{{verify.KindRollback, "ledger/checkpoint"}}
	})
	f("expect a checkpoint of somebody else", func(f *folder, o *verify.Options) []want {
		o.Checkpoint = bytes.Replace(f.first, []byte("\n5\n"), []byte("\n6\n"), 1)
		return []want{{verify.KindRollback, "ledger/checkpoint"}}
	})
	f("drop the oldest journal file", func(f *folder, _ *verify.Options) []want {
		f.ingest(100)
		f.epoch("interval")
		var names []string
		for _, name := range f.files("journal") {
			if strings.HasSuffix(name, ".wal") {
				names = append(names, name)
			}
		}
		if len(names) < 3 {
			f.t.Fatalf("journal files: %v", names)
		}
		f.must(f.fs.Remove(names[0]))
		return []want{{verify.KindMissing, "journal"}}
	})
	f("drop the journal", func(f *folder, _ *verify.Options) []want {
		f.restore("journal", nil)
		return []want{{verify.KindJournal, "journal"}}
	})
}

// forge replaces the ledger by one that says something else.
func forge(f *folder, seed byte) {
	f.t.Helper()
	signer, _ := keys(f.t, seed)
	f.ledger.Close()
	f.restore("ledger", nil)
	f.must(ledger.Create(vfs.Sub(f.fs, "ledger"), signer, origin, birth, "forged"))
	f.openLedger(seed)
	for range 9 {
		f.epoch("interval")
	}
}

// TestRollback takes the whole ledger back to an earlier, genuine state.
func TestRollback(t *testing.T) {
	f := newFolder(t, 0)
	early := f.snapshot("ledger")
	f.ingest(4)
	f.seal(2000)
	late := f.ledger.Checkpoint().Note
	sealed := f.segments[4].Path
	f.restore("ledger", early)
	rep := f.verify(verify.Options{Checkpoint: late})
	if !has(rep, verify.KindRollback, "ledger/checkpoint") {
		t.Errorf("with a later checkpoint: %+v", rep.Findings)
	}
	rep = f.verify(verify.Options{})
	if !has(rep, verify.KindExtra, sealed) {
		t.Errorf("without one: %+v", rep.Findings)
	}
}

func has(rep *verify.Report, kind, file string) bool {
	for _, x := range rep.Findings {
		if rep.Verdict == verify.Tampered && x.Kind == kind && x.File == file {
			return true
		}
	}
	return false
}

// TestLies signs contradictions with the true key: what an insider with the
// key would have to write is found by what the leaves say.
func TestLies(t *testing.T) {
	f := func(name, kind string, lie func(f *folder) []any) {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, 0)
			f.append(lie(f)...)
			rep := f.verify(verify.Options{})
			found := false
			for _, x := range rep.Findings {
				found = found || x.Kind == kind && strings.HasPrefix(x.File, "ledger/tile/entries/") && x.Offset > 0
			}
			if !found || rep.Verdict != verify.Tampered {
				t.Errorf("%s, %+v", rep.Verdict, rep.Findings)
			}
		})
	}
	epoch := func(change func(e *ledger.Epoch)) func(f *folder) []any {
		return func(f *folder) []any {
			e := f.newEpoch("interval")
			change(&e)
			return []any{e}
		}
	}
	f("account does not add up", verify.KindAccount, epoch(func(e *ledger.Epoch) { e.Sources[0].Received++ }))
	f("account shrinks", verify.KindAccount, epoch(func(e *ledger.Epoch) { e.Sources[0].Received--; e.Sources[0].Dropped = nil }))
	f("drops move to stored", verify.KindAccount, epoch(func(e *ledger.Epoch) { e.Sources[0].Stored++; e.Sources[0].Dropped = nil }))
	f("source disappears", verify.KindAccount, epoch(func(e *ledger.Epoch) { e.Sources = nil }))
	f("source twice", verify.KindAccount, epoch(func(e *ledger.Epoch) { e.Sources = append(e.Sources, e.Sources[0]) }))
	f("backdated epoch", verify.KindEpoch, epoch(func(e *ledger.Epoch) { e.At -= 1e12 }))
	f("journal goes back", verify.KindEpoch, epoch(func(e *ledger.Epoch) { e.JournalSeq = 1 }))
	f("part without others", verify.KindEpoch, epoch(func(e *ledger.Epoch) { e.Part = 2; e.Parts = 2 }))
	f("part is missing", verify.KindEpoch, func(f *folder) []any {
		e := f.newEpoch("interval")
		e.Parts = 2
		return []any{e, f.newEpoch("interval")}
	})
	f("second genesis", verify.KindGenesis, func(f *folder) []any { return []any{ledger.Genesis{Origin: origin, At: f.at}} })
	f("segment twice", verify.KindLeaf, func(f *folder) []any { return []any{f.segments[0]} })
	f("path outside", verify.KindLeaf, func(f *folder) []any {
		s := f.segments[0]
		s.ID, s.Path = "x", "segments/../keys/root.key"
		return []any{s}
	})
	f("journal range twice", verify.KindLeaf, func(f *folder) []any {
		s := f.segment(2000, "2023-11-14")
		s.JournalAfter, s.JournalUpto = 2, f.sealed+1
		f.must(f.fs.Rename(s.Path+".new", s.Path))
		return []any{s}
	})
}

// FuzzFolder puts bytes anywhere into any file: nothing panics, and nothing
// that differs under the ledger verifies.
func FuzzFolder(f *testing.F) {
	f.Add(uint8(0), uint16(0), []byte{0})
	f.Add(uint8(3), uint16(40), []byte("00000"))
	f.Fuzz(func(t *testing.T, which uint8, off uint16, patch []byte) {
		f := newFolder(t, 0)
		names := append(f.files("ledger/tile"), "ledger/checkpoint", f.segments[1].Path, f.segments[3].Path)
		name := names[int(which)%len(names)]
		was := f.read(name)
		at := min(int(off), len(was))
		now := append(bytes.Clone(was[:at]), patch...)
		if at+len(patch) < len(was) {
			now = append(now, was[at+len(patch):]...)
		}
		f.write(name, now)
		rep := f.verify(verify.Options{})
		if same := bytes.Equal(was, now); same != (rep.Verdict == verify.Verified) {
			t.Errorf("%s: same %v, %s", name, same, rep.Verdict)
		}
	})
}
