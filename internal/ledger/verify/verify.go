// Package verify checks a data folder without a server, without a decryption
// key, and without writing a byte. Whoever has the folder, or a copy of it, and
// the log's verifier key can tell whether anything that was kept was changed,
// dropped, reordered or rolled back, and where.
//
// The order of trust: the signature vouches for the checkpoint, the checkpoint
// for the leaves, a segment leaf for each byte of its file, the newest epoch
// for the journal up to it. What no signature covers is counted and named.
//
// A folder in use may be verified. Files are listed before the checkpoint is
// read, so that whatever is listed is known to it; when a server replaces a
// tile underneath, the ledger is read again.
//
// The package imports ledger, merkle, journal, crypt, vfs and fault, and MUST
// NOT know the store, records or the keyring.
package verify

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// The folders and files of a data folder that are looked at.
const (
	KeyFile       = "keys/ledger.pub"
	ledgerDir     = "ledger"
	segmentsDir   = "segments"
	journalDir    = "journal"
	quarantineDir = "quarantine"
	tokensDir     = "tokens"
)

// Options are the expectations of whoever verifies.
type Options struct {
	// LogKey is the verifier key ("name+hash+base64") that the ledger must be
	// signed with; "" takes the one in the folder.
	LogKey string
	// Checkpoint is an earlier signed checkpoint, kept elsewhere, that the
	// ledger must continue; nil if there is none.
	Checkpoint []byte
	// Progress, if not nil, is called now and then with the bytes of segments
	// read so far and in all.
	Progress func(done, total int64)
}

// run is one verification.
type run struct {
	fs       vfs.FS
	o        Options
	rep      *Report
	verifier note.Verifier
	listed   []string // files below segments, before the checkpoint was read
	oldest   string   // journal file, before the checkpoint was read
	cp       ledger.Checkpoint
	book     *book
	found    int  // of tampering, in the ledger alone
	later    *run // of the ledger as it was found later; see retired
}

// Folder verifies a data folder. The error says that the expectations could not
// be understood or ctx ended; whatever is wrong with the folder is in the
// report, which is then complete.
func Folder(ctx context.Context, fsys vfs.FS, o Options) (*Report, error) {
	r := &run{fs: fsys, o: o, rep: &Report{Format: Format}}
	if err := r.key(); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "verify folder: %w", err)
	}
	if err := r.all(ctx); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "verify folder: %w", err)
	}
	r.rep.conclude()
	return r.rep, nil
}

func (r *run) all(ctx context.Context) error {
	r.listed, r.oldest = r.walk(segmentsDir), r.firstJournal()
	if r.verifier == nil {
		r.noKey()
		return ctx.Err()
	}
	if ok := r.ledger(ctx); ok {
		r.found = r.rep.tampered()
		r.segments(ctx)
		r.journal()
		r.tokens()
	} else {
		r.rep.NotChecked = append(r.rep.NotChecked, "segments and journal: without a ledger that verifies there is nothing to compare them with")
	}
	r.quarantine()
	return ctx.Err()
}

// key finds the verifier key.
func (r *run) key() error {
	stored, err := vfs.ReadFile(r.fs, KeyFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.rep.add(Finding{Kind: KindUnreadable, File: KeyFile, Detail: err.Error()})
	}
	text := strings.TrimSpace(string(stored))
	if r.o.LogKey != "" {
		pinned := strings.TrimSpace(r.o.LogKey)
		if r.verifier, err = note.NewVerifier(pinned); err != nil {
			return fault.WithHint(fault.Errorf(fault.Invalid, "read the pinned log key: %w", err),
				"it is one line, name+hash+base64, as in "+KeyFile)
		}
		if text != "" && text != pinned {
			r.rep.add(Finding{Kind: KindKey, File: KeyFile, Length: int64(len(stored)), Detail: "the folder's verifier key is not the pinned one"})
		}
		r.rep.Ledger.Key, r.rep.Ledger.Pinned = pinned, true
		return nil
	}
	if text == "" {
		return nil
	}
	if r.verifier, err = note.NewVerifier(text); err != nil {
		r.rep.add(Finding{Kind: KindChanged, File: KeyFile, Length: int64(len(stored)), Detail: "not a verifier key: " + err.Error()})
		return nil
	}
	r.rep.Ledger.Key = text
	return nil
}

// noKey says why nothing could be verified. A folder with a ledger and without
// its key needs the key from elsewhere.
func (r *run) noKey() {
	if _, err := ledger.ReadCheckpoint(vfs.Sub(r.fs, ledgerDir)); fault.Is(err, fault.NotFound) && len(r.listed) == 0 {
		r.rep.add(Finding{Kind: KindNoLedger, File: ledgerDir + "/" + ledger.CheckpointFile, Detail: "there is no ledger: not a data folder, or not initialised"})
		return
	}
	r.rep.add(Finding{Kind: KindNoKey, File: KeyFile, Detail: "there is no key to check the ledger's signature with; pin the one you were given (--log-key)"})
}

// attempts bounds how often the ledger of a busy folder is read again.
const attempts = 16

// ledger verifies the ledger and reads its leaves. It returns false if there is
// nothing that the rest could rely on.
func (r *run) ledger(ctx context.Context) bool {
	fsys := vfs.Sub(r.fs, ledgerDir)
	before := *r.rep
	restart := func() {
		*r.rep = before
		r.rep.Findings, r.rep.Notes = slices.Clone(before.Findings), slices.Clone(before.Notes)
	}
	for range attempts {
		restart()
		msg, err := ledger.ReadCheckpoint(fsys)
		if err != nil {
			r.noCheckpoint(err)
			return false
		}
		ok, err := r.tryLedger(ctx, fsys, msg)
		if err == nil || ctx.Err() != nil {
			return ok && err == nil
		}
		// A tile was not there. A running server may have replaced it by a wider
		// one; then the checkpoint has moved on as well.
		if now, e := ledger.ReadCheckpoint(fsys); e == nil && string(now) != string(msg) {
			continue
		}
		f := Finding{Kind: KindUnreadable, File: ledgerDir, Detail: err.Error()}
		if gone, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) {
			f = Finding{Kind: KindMissing, File: ledgerDir + "/" + gone.Path, Detail: "the checkpoint covers this file, and it is not there"}
		}
		r.rep.add(f)
		return false
	}
	restart() // what the last attempt found, it found in a ledger that was gone
	r.rep.add(Finding{Kind: KindMoving, File: ledgerDir, Detail: "the ledger grew faster than it could be read; try again"})
	return false
}

func (r *run) noCheckpoint(err error) {
	file := ledgerDir + "/" + ledger.CheckpointFile
	switch {
	case !fault.Is(err, fault.NotFound):
		r.rep.add(Finding{Kind: KindUnreadable, File: file, Detail: err.Error()})
	case len(r.listed) > 0 || len(r.walk(ledgerDir+"/tile")) > 0 || len(r.o.Checkpoint) > 0:
		r.rep.add(Finding{Kind: KindMissing, File: file, Detail: "the ledger has no checkpoint, but there is something that one must have covered"})
	default:
		r.rep.add(Finding{Kind: KindNoLedger, File: file, Detail: "there is no ledger: not a data folder, or not initialised"})
	}
}

// tryLedger verifies the ledger under one checkpoint. An error means that a
// file was not there or could not be read.
func (r *run) tryLedger(ctx context.Context, fsys vfs.FS, msg []byte) (bool, error) {
	cp, err := ledger.ParseCheckpoint(msg, r.verifier)
	r.rep.Ledger.Note = string(msg)
	if err != nil {
		r.rep.add(Finding{Kind: KindSignature, File: ledgerDir + "/" + ledger.CheckpointFile, Length: int64(len(msg)), Detail: err.Error()})
		return false, nil
	}
	r.cp = cp
	l := &r.rep.Ledger
	l.Origin, l.Size, l.Root = cp.Origin, cp.Size, base64.StdEncoding.EncodeToString(cp.Root[:])
	t := &tree{fs: fsys, cp: cp, rep: r.rep, wrong: map[int64]bool{}}
	if err := t.check(ctx); err != nil {
		return false, err
	}
	if err := r.prefix(fsys, t); err != nil {
		return false, err
	}
	r.book = newBook(r.rep, cp)
	return true, t.leaves(ctx, r.book)
}

// walk lists all files below a folder, in order. What cannot be listed is a
// finding.
func (r *run) walk(dir string) []string {
	var files []string
	list, err := r.fs.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.rep.add(Finding{Kind: KindUnreadable, File: dir, Detail: err.Error()})
		}
		return nil
	}
	for _, e := range list {
		name := dir + "/" + e.Name()
		switch {
		case !e.IsDir():
			files = append(files, name)
		case strings.Count(name, "/") < 16:
			files = append(files, r.walk(name)...)
		default:
			r.rep.add(Finding{Kind: KindUnknown, File: name, Detail: "folders nested deeper than any of ours"})
		}
	}
	return files
}

// quarantine lists what was moved aside. A damage leaf says which of it was
// kept data; see book.damage.
func (r *run) quarantine() {
	for _, name := range slices.Concat(r.walk(quarantineDir), r.walk(journalDir+"/"+quarantineDir), r.walk(tokensDir+"/"+quarantineDir)) {
		size := int64(0)
		if st, err := r.fs.Stat(name); err == nil {
			size = st.Size()
		}
		r.rep.add(Finding{Kind: KindQuarantine, File: name, Length: size, Detail: fmt.Sprintf("%d bytes were moved aside by the server", size)})
	}
}
