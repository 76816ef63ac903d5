package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestWhole(t *testing.T) {
	for _, epochs := range []int{0, 300} {
		f := newFolder(t, epochs)
		_, vkey := keys(t, 1)
		var progress int64
		rep := f.verify(verify.Options{LogKey: vkey, Checkpoint: f.first, Progress: func(done, total int64) {
			if done <= progress || done > total {
				t.Errorf("progress %d after %d of %d", done, progress, total)
			}
			progress = done
		}})
		if rep.Verdict != verify.Verified || len(rep.Findings)+len(rep.Notes) != 0 {
			t.Fatalf("%+v", rep)
		}
		if rep.Segments.Listed != 4 || rep.Segments.Verified != 4 || rep.Segments.Records != 11 || rep.Segments.Bytes != progress {
			t.Errorf("segments: %+v", rep.Segments)
		}
		if rep.Ledger.Size != int64(8+epochs) || rep.Ledger.Since != 5 || !rep.Ledger.Pinned || rep.Epochs != 3+epochs || rep.Sources != 1 {
			t.Errorf("ledger: %+v", rep)
		}
		if rep.Unanchored.Frames != 3 || !rep.Journal.Anchored || rep.Journal.Head != 14 || rep.Journal.Anchor != 11 {
			t.Errorf("journal: %+v, %+v", rep.Journal, rep.Unanchored)
		}
		f.journal.Close() // a copy of a stopped server
		if rep := f.verify(verify.Options{}); rep.Verdict != verify.Verified {
			t.Errorf("closed: %+v", rep.Findings)
		}
	}
}

// TestReport pins what people and programs read.
func TestReport(t *testing.T) {
	f := newFolder(t, 0)
	rep := f.verify(verify.Options{})
	var text strings.Builder
	if err := rep.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"VERIFIED", "4 of 4 verified", "3 frames since the epoch of 2023-11-14T22:16:20Z", "NOT CHECKED", "--log-key", "--checkpoint", "content of records", "the keys", "witnesses", "after the newest epoch"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
	}
	a, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(f.verify(verify.Options{})); !bytes.Equal(a, b) {
		t.Errorf("two verifications differ:\n%s\n%s", a, b)
	}
	if bytes.Contains(a, []byte("null")) || !bytes.HasPrefix(a, []byte(`{"format":"meshtrail-verify/1","verdict":"verified","ledger":{"origin":`)) {
		t.Errorf("%s", a)
	}
}

// TestHarmless goes through what a crash or a running server leaves.
func TestHarmless(t *testing.T) {
	f := func(name string, note string, change func(*folder)) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			f := newFolder(t, 0)
			change(f)
			rep := f.verify(verify.Options{Checkpoint: f.first})
			if rep.Verdict != verify.Verified {
				t.Fatalf("%s: %+v", rep.Verdict, rep.Findings)
			}
			for _, n := range rep.Notes {
				if note != "" && n.Kind == note {
					return
				}
			}
			if note != "" {
				t.Errorf("no note of kind %s: %+v", note, rep.Notes)
			}
		})
	}
	f("segment without leaf", verify.KindUnfinished, func(f *folder) { f.segment(2000, "2023-11-20") })
	f("leaf without rename", verify.KindUnfinished, func(f *folder) {
		f.must(f.fs.Rename(f.segments[1].Path, f.segments[1].Path+".new"))
	})
	f("next checkpoint", "", func(f *folder) { f.write("ledger/checkpoint.tmp", []byte("half")) })
	f("tiles beyond the checkpoint", "", func(f *folder) {
		f.write("ledger/tile/0/000.p/9", make([]byte, 9*32))
		f.write("ledger/tile/entries/000.p/9", []byte("half"))
		f.write("ledger/tile/0/001.p/1", nil)
	})
	f("torn journal", verify.KindUnfinished, func(f *folder) {
		f.journal.Close()
		files := f.files("journal")
		last := files[len(files)-1]
		if strings.HasSuffix(last, ".lock") {
			last = files[len(files)-2]
		}
		data := f.read(last)
		f.write(last, data[:len(data)-10])
	})
	f("quarantine", verify.KindQuarantine, func(f *folder) { f.write("quarantine/journal-x-at-7", []byte("torn")) })
	f("clock set back", verify.KindClock, func(f *folder) {
		f.at -= int64(2 * time.Minute)
		f.epoch("interval")
	})
	f("foreign file", verify.KindUnknown, func(f *folder) { f.write("segments/README", nil) })
}

func TestCannotVerify(t *testing.T) {
	f := func(want verify.Verdict, change func(*folder)) {
		t.Helper()
		f := newFolder(t, 0)
		change(f)
		rep := f.verify(verify.Options{})
		if rep.Verdict != want {
			t.Errorf("%s, want %s: %+v", rep.Verdict, want, rep.Findings)
		}
	}
	f(verify.CannotVerify, func(f *folder) { f.fs = memfs.New() })
	f(verify.CannotVerify, func(f *folder) { f.must(f.fs.Remove(verify.KeyFile)) })
	f(verify.CannotVerify, func(f *folder) { f.fs = memfs.New(); f.write(verify.KeyFile, []byte(f.vkey)) })
	f(verify.Tampered, func(f *folder) { f.must(f.fs.Remove("ledger/checkpoint")) })
	f(verify.Tampered, func(f *folder) { f.restore("ledger", nil) })
	f(verify.Tampered, func(f *folder) { f.write(verify.KeyFile, []byte("nonsense")) })
	if verify.Verified.ExitCode() != 0 || verify.Tampered.ExitCode() != 1 || verify.Incomplete.ExitCode() != 2 || verify.CannotVerify.ExitCode() != 3 {
		t.Error("exit codes are a promise")
	}
	_, err := verify.Folder(context.Background(), memfs.New(), verify.Options{LogKey: "x"})
	if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := verify.Folder(ctx, newFolder(t, 0).fs, verify.Options{}); !fault.Is(err, fault.Canceled) {
		t.Error(err)
	}
}

// TestRecordedDamage shows that damage which the server found by itself is not
// forgiven.
func TestRecordedDamage(t *testing.T) {
	f := newFolder(t, 0)
	f.append(ledger.Damage{At: f.at, File: "journal/1.wal", Moved: "quarantine/x", Offset: 77, Detail: "d"})
	rep := f.verify(verify.Options{})
	if rep.Verdict != verify.Tampered || len(rep.Findings) != 1 || rep.Findings[0].Kind != verify.KindDamage || !strings.Contains(rep.Findings[0].Detail, "byte 77") {
		t.Errorf("recorded damage: %+v", rep.Findings)
	}
}

// TestLive verifies while a server appends.
func TestLive(t *testing.T) {
	f := newFolder(t, 0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				f.ingest(2)
				f.seal(2000)
				f.epoch("interval")
			}
		}
	}()
	rounds := 20
	if long {
		rounds = 60 // the folder grows all the while: each takes longer than the last
	}
	for range rounds {
		rep := f.verify(verify.Options{Checkpoint: f.first})
		if rep.Verdict != verify.Verified && rep.Verdict != verify.Incomplete {
			t.Errorf("%+v", rep.Findings)
			break
		}
	}
	close(stop)
	<-done
	if rep := f.verify(verify.Options{Checkpoint: f.first}); rep.Verdict != verify.Verified {
		t.Errorf("%+v", rep.Findings)
	}
}

// BenchmarkLedger verifies a month of epochs.
func BenchmarkLedger(b *testing.B) {
	f := newFolder(b, 0)
	var leaves []any
	for range 43_200 {
		leaves = append(leaves, f.newEpoch("interval"))
	}
	f.append(leaves...)
	b.ResetTimer()
	for b.Loop() {
		if rep := f.verify(verify.Options{}); rep.Verdict != verify.Verified {
			b.Fatal(rep.Findings)
		}
	}
}
