package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/merkle"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A sealed segment is written as PATH.new, gets its leaf, and is then renamed.
const (
	segmentSuffix = ".seg"
	newSuffix     = ".new"
)

// segments reads every segment that the ledger lists, and looks for others.
func (r *run) segments(ctx context.Context) {
	var done, total int64
	for _, s := range r.book.segments {
		if s.fate == live {
			total += s.Size
		}
	}
	for _, s := range r.book.segments {
		if ctx.Err() != nil {
			return
		}
		if s.fate != live {
			continue
		}
		if r.segment(ctx, s) {
			r.rep.Segments.Verified++
			r.rep.Segments.Bytes += s.Size
			r.rep.Segments.Records += s.Records
			if n := &r.rep.Segments; n.Verified == 1 {
				n.MinSchema, n.MaxSchema = s.MinSchema, s.MaxSchema
			} else {
				n.MinSchema, n.MaxSchema = min(n.MinSchema, s.MinSchema), max(n.MaxSchema, s.MaxSchema)
			}
		}
		if done += s.Size; r.o.Progress != nil {
			r.o.Progress(done, total)
		}
	}
	for _, name := range r.listed {
		path, unfinished := strings.CutSuffix(name, newSuffix)
		n, known := r.book.byPath[path]
		switch {
		case known:
			r.remains(name, &r.book.segments[n])
		case unfinished:
			r.rep.add(Finding{Kind: KindUnfinished, File: name, Detail: "a segment that was being sealed or compacted; its records are elsewhere still"})
		case strings.HasSuffix(name, segmentSuffix):
			id := strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], segmentSuffix)
			r.rep.add(Finding{Kind: KindExtra, File: name, Segment: id, Detail: "a segment that the ledger does not list: it was added, or the ledger was rolled back, or the folder was copied during a seal"})
		default:
			r.rep.add(Finding{Kind: KindUnknown, File: name, Detail: "not a file of ours"})
		}
	}
}

// openSegment opens a listed segment under its name or, if the server stopped
// between leaf and rename, under the name it was written with.
func (r *run) openSegment(path string) (f vfs.File, name string, err error) {
	for _, name = range []string{path, path + newSuffix, path} { // again: it may be renamed right now
		if f, err = r.fs.Open(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, name, err
		}
	}
	return nil, path, err
}

// isFile reports whether a regular file stands at name itself: a folder, a link
// or a pipe in a file's place is no passing fault of the disk.
func (r *run) isFile(name string) bool {
	at := strings.LastIndexByte(name, '/')
	list, err := r.fs.ReadDir(name[:max(at, 0)])
	if err != nil {
		return true // unknown
	}
	for _, d := range list {
		if d.Name() == name[at+1:] {
			return d.Type().IsRegular()
		}
	}
	return true
}

// remains reports the file of a segment that is not live any more.
func (r *run) remains(name string, s *listed) {
	if s.fate == live {
		return
	}
	if _, err := r.fs.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return // removed since the files were listed
	}
	if s.fate == compacted {
		r.rep.add(Finding{Kind: KindUnfinished, File: name, Segment: s.ID, Detail: "a segment that was compacted: its records are in another one, and its file is not removed yet"})
		return
	}
	r.rep.add(Finding{Kind: KindDestruction, File: name, Length: s.Size, Segment: s.ID, Detail: "a segment that was destroyed, and its file is still there; the next start of the server removes it"})
}

// retired reports whether a running server compacted or destroyed a segment
// since the ledger was read: then its file is rightly gone. It is not known when
// the ledger moves too fast to be read again.
func (r *run) retired(ctx context.Context, id string) (gone, known bool) {
	msg, err := ledger.ReadCheckpoint(vfs.Sub(r.fs, ledgerDir))
	if err != nil || string(msg) == r.rep.Ledger.Note {
		return false, true
	}
	if r.later == nil || r.later.rep.Ledger.Note != string(msg) {
		again := &run{fs: r.fs, o: Options{Checkpoint: []byte(r.rep.Ledger.Note)}, rep: &Report{}, verifier: r.verifier}
		if !again.ledger(ctx) {
			return false, !slices.ContainsFunc(again.rep.Findings, func(f Finding) bool { return f.Kind == KindMoving })
		}
		if again.rep.tampered() > r.found {
			return false, true // whatever is wrong with it, the file is missing
		}
		r.later = again
	}
	n, listed := r.later.book.byID[id]
	return listed && r.later.book.segments[n].fate != live, true
}

// segment compares one segment with its leaf, and reports whether it is whole.
func (r *run) segment(ctx context.Context, s listed) bool {
	f, name, err := r.openSegment(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		gone, known := r.retired(ctx, s.ID)
		if gone {
			r.rep.add(Finding{Kind: KindUnfinished, File: s.Path, Segment: s.ID, Detail: "the server compacted or destroyed this segment while the folder was verified; it was not looked at"})
			return false
		}
		if !known {
			r.rep.add(Finding{Kind: KindMoving, File: s.Path, Segment: s.ID, Detail: "the file is not there, and the ledger grew faster than it could be asked why; try again"})
			return false
		}
		r.rep.add(Finding{Kind: KindMissing, File: s.Path, Length: s.Size, Segment: s.ID, Detail: fmt.Sprintf("segment %s (%d records) is in the ledger, and its file is not there", s.ID, s.Records)})
		return false
	}
	if err != nil && !r.isFile(name) {
		r.rep.add(Finding{Kind: KindMissing, File: name, Length: s.Size, Segment: s.ID, Detail: fmt.Sprintf("segment %s (%d records) is in the ledger, and something else stands in its file's place: %v", s.ID, s.Records, err)})
		return false
	}
	var root merkle.Hash
	if err == nil {
		defer f.Close()
		if !unhex(root[:], s.Root) {
			r.book.find(KindLeaf, s.at, s.ID, "the root %q of segment %s is no hash", s.Root, s.ID)
			return false
		}
	}
	var st fs.FileInfo
	if err == nil {
		st, err = f.Stat()
	}
	var damage []chunkfile.Damage
	if err == nil {
		damage, err = chunkfile.Verify(f, st.Size(), root)
	}
	if err != nil {
		r.rep.add(Finding{Kind: KindUnreadable, File: name, Segment: s.ID, Detail: fmt.Sprintf("segment %s: %v", s.ID, err)})
		return false
	}
	for _, d := range damage {
		r.rep.add(Finding{Kind: KindChanged, File: name, Offset: d.Offset, Length: d.Length, Segment: s.ID, Detail: fmt.Sprintf("segment %s: %s", s.ID, d.String())})
	}
	if len(damage) == 0 && st.Size() != s.Size {
		r.rep.add(Finding{Kind: KindLeaf, File: name, Offset: min(st.Size(), s.Size), Segment: s.ID, Detail: fmt.Sprintf("segment %s has %d bytes, its leaf says %d", s.ID, st.Size(), s.Size)})
		return false
	}
	if len(damage) == 0 && name == s.Path+newSuffix {
		r.rep.add(Finding{Kind: KindUnfinished, File: name, Segment: s.ID, Detail: "sealed and whole, but not renamed yet"})
	}
	return len(damage) == 0
}

// journal checks the chain of the journal, and that it reaches from what the
// segments hold to the newest epoch and beyond.
func (r *run) journal() {
	anchor := r.book.anchor()
	if anchor != nil && anchor.Seq == 0 {
		anchor = nil
	}
	rep, err := journal.Verify(vfs.Sub(r.fs, journalDir), anchor)
	if err != nil && !errors.Is(err, io.EOF) {
		r.rep.add(Finding{Kind: KindUnreadable, File: journalDir, Detail: err.Error()})
		return
	}
	j := Journal{Files: rep.Files, Frames: rep.Frames, Bytes: rep.Bytes, First: rep.Base.Seq, Head: rep.Head.Seq, Anchored: rep.Anchored}
	if anchor != nil {
		j.Anchor = anchor.Seq
	}
	r.rep.Journal = j
	r.rep.Unanchored = Unanchored{Since: r.book.epoch.At}
	if j.Head > j.Anchor {
		r.rep.Unanchored.Frames = min(j.Head-max(j.Anchor, j.First), j.Frames) // numbers have gaps where damage was
	}
	for _, f := range rep.Findings {
		file := journalDir
		if f.File != "" {
			file += "/" + f.File
		}
		out := Finding{Kind: KindJournal, File: file, Offset: f.Offset, Detail: fmt.Sprintf("%s, frame %d: %s", f.Kind, f.Seq, f.Detail)}
		if f.Kind == journal.Torn || (rep.Files == 0 && anchor == nil) {
			out.Kind = KindUnfinished
		}
		r.rep.add(out)
	}
	// A running server may have sealed and released since the ledger was read.
	released := r.firstJournal() != r.oldest
	if j.Files > 0 && j.First > r.book.sealed && !released {
		r.rep.add(Finding{Kind: KindMissing, File: journalDir, Detail: fmt.Sprintf("the journal begins after frame %d, but segments and seals reach only to frame %d: files were dropped, or the ledger was rolled back", j.First, r.book.sealed)})
	}
}

// tokens checks the chain of the token vault: a journal of which nothing is ever
// released. What was given out since the newest tokens leaf is chained only.
func (r *run) tokens() {
	anchor := r.book.vault()
	if _, err := r.fs.Stat(tokensDir); errors.Is(err, fs.ErrNotExist) {
		if anchor != nil {
			r.rep.add(Finding{Kind: KindMissing, File: tokensDir, Detail: fmt.Sprintf("the ledger knows of %d frames of tokens, and there is no vault: no token can be turned back", anchor.Seq)})
		}
		return
	}
	rep, err := journal.Verify(vfs.Sub(r.fs, tokensDir), anchor)
	if err != nil && !errors.Is(err, io.EOF) {
		r.rep.add(Finding{Kind: KindUnreadable, File: tokensDir, Detail: err.Error()})
		return
	}
	r.rep.Tokens = &Journal{Files: rep.Files, Frames: rep.Frames, Bytes: rep.Bytes, First: rep.Base.Seq, Head: rep.Head.Seq, Anchored: rep.Anchored}
	if anchor != nil {
		r.rep.Tokens.Anchor = anchor.Seq
	}
	for _, f := range rep.Findings {
		file := tokensDir
		if f.File != "" {
			file += "/" + f.File
		}
		out := Finding{Kind: KindJournal, File: file, Offset: f.Offset, Detail: fmt.Sprintf("token vault, %s, frame %d: %s", f.Kind, f.Seq, f.Detail)}
		if f.Kind == journal.Torn || rep.Files == 0 && anchor == nil {
			out.Kind = KindUnfinished
		}
		r.rep.add(out)
	}
	if rep.Files > 0 && rep.Base.Seq > 0 {
		r.rep.add(Finding{Kind: KindMissing, File: tokensDir, Detail: fmt.Sprintf("the token vault begins after frame %d: files were dropped", rep.Base.Seq)})
	}
}

// firstJournal returns the name of the oldest journal file.
func (r *run) firstJournal() string {
	list, _ := r.fs.ReadDir(journalDir)
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".wal") {
			return e.Name()
		}
	}
	return ""
}

func unhex(dst []byte, s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && copy(dst, b) == len(dst) && len(b) == len(dst)
}

// stamp renders nanoseconds since 1970 for people.
func stamp(ns int64) string {
	if ns == 0 {
		return "never"
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.999Z")
}
