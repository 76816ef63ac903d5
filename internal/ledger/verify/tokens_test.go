package verify_test

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// vault gives the folder a token vault of some frames and returns its head.
func (f *folder) vault(frames int) journal.Position {
	f.t.Helper()
	key, sub := crypt.NewKey(), vfs.Sub(f.fs, "tokens")
	f.must(journal.Create(sub, key))
	j, _, err := journal.Open(journal.Options{FS: sub, Key: key})
	f.must(err)
	for range frames {
		_, err := j.Append(context.Background(), []byte("a frame of tokens"), nil)
		f.must(err)
	}
	head := j.Head()
	f.must(j.Close())
	return head
}

func (f *folder) noteTokens(head journal.Position) {
	f.append(ledger.Tokens{At: f.at, Seq: head.Seq, Hash: hex.EncodeToString(head.Hash[:])})
}

func TestTokenVault(t *testing.T) {
	whole := func() *folder {
		f := newFolder(t, 2)
		f.noteTokens(f.vault(4))
		return f
	}
	f := whole()
	rep := f.verify(verify.Options{})
	if rep.Verdict != verify.Verified || rep.Tokens == nil || rep.Tokens.Frames != 4 || !rep.Tokens.Anchored {
		t.Errorf("a whole vault: %s, %+v, %v", rep.Verdict, rep.Tokens, rep.Findings)
	}
	for _, name := range f.files("tokens") {
		if data := f.read(name); len(data) > 500 {
			f.flip(name, 500)
			if rep := f.verify(verify.Options{}); rep.Verdict != verify.Tampered || !has(rep, verify.KindJournal, name) {
				t.Errorf("a changed byte: %s, %v", rep.Verdict, rep.Findings)
			}
		}
	}

	f = whole()
	for _, name := range f.files("tokens") {
		f.must(f.fs.Remove(name))
	}
	if rep := f.verify(verify.Options{}); rep.Verdict != verify.Tampered {
		t.Errorf("a lost vault: %s", rep.Verdict)
	}

	f = newFolder(t, 2)
	head := f.vault(2)
	head.Seq = 9
	f.noteTokens(head)
	if rep := f.verify(verify.Options{}); rep.Verdict != verify.Tampered {
		t.Errorf("a vault that was rolled back: %s", rep.Verdict)
	}

	f = whole()
	f.noteTokens(journal.Position{Seq: 1})
	if rep := f.verify(verify.Options{}); rep.Verdict != verify.Tampered || rep.Findings[0].Kind != verify.KindLeaf {
		t.Errorf("a vault that shrank: %v", rep.Findings)
	}
}
