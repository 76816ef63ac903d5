package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// takeOut removes damage from the journal: everything from offset end of file i
// on, and all later files. good is the scan whose last frame is the last one to
// keep: of file i, or of the file before; nil if there is none.
//
// The order makes a crash harmless at each step: copies first, then the file in
// which the journal will go on, then the cuts. A crash before the new file was
// there repeats all of it; after a crash behind that only the cuts are left. The
// copies are then made twice, because an unreported loss would be worse.
func (r *recovery) takeOut(names []string, headers []header, bad []string, i int, good *fileScan, end int64, f *Finding, b behind) error {
	pos := Position{}
	if good != nil {
		pos = good.to
	}
	for k := i; k < len(names); k++ {
		if h := headers[k]; k > i && bad[k] == "" && h.gap && h.prev == pos {
			if err := r.moveOut(names[i:k], end, f); err != nil {
				return err
			}
			return r.dropDamaged(names[i:k], end)
		}
	}
	if err := r.moveOut(names[i:], end, f); err != nil {
		return err
	}
	next, err := r.nextSeq(names[i:], headers[i:], bad[i:], max(pos.Seq, b.highest))
	if err != nil {
		return err
	}
	h := header{gap: true, id: r.journalID(headers, bad), first: next, prev: pos, commitment: commitment(r.o.Key)}
	file, err := createFile(r.o.FS, &h, r.sealer)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return r.dropDamaged(names[i:], end)
}

// moveOut copies the first file from offset end on and the others as a whole,
// and notes the damage.
func (r *recovery) moveOut(names []string, end int64, f *Finding) error {
	for k, name := range names {
		off, detail := int64(0), "stands behind the damage in "+f.File
		if k == 0 {
			off, detail = end, f.Detail
		}
		if err := r.noteDamage(name, off, detail); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) noteDamage(name string, off int64, detail string) error {
	l, err := r.copyOut(name, off, detail, true)
	if err != nil {
		return err
	}
	r.out.Damage = append(r.out.Damage, l)
	r.o.Logger.Error("journal: damage moved to quarantine", "file", l.File, "offset", l.Offset,
		"bytes", l.Bytes, "copy", l.Moved, "detail", l.Detail)
	return nil
}

// dropDamaged cuts the first file at end (or removes it, if nothing of it is
// kept) and removes the others, newest first: the damage that shows where to go
// on is the last thing to disappear.
func (r *recovery) dropDamaged(names []string, end int64) error {
	for k := len(names) - 1; k > 0 || k == 0 && end == 0; k-- {
		if err := r.o.FS.Remove(names[k]); err != nil {
			return err
		}
		if err := r.o.FS.SyncDir("."); err != nil {
			return err
		}
	}
	if end == 0 {
		return nil
	}
	return cutFile(r.o.FS, names[0], end)
}

func cutFile(f vfs.FS, name string, end int64) error {
	file, err := f.OpenRW(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(end); err != nil {
		return err
	}
	return file.Sync()
}

// takeTrailing removes bytes that belong to no frame from a file that another
// one continues.
func (r *recovery) takeTrailing(s *fileScan) error {
	if err := r.noteDamage(s.name, s.end, s.finding.Detail); err != nil {
		return err
	}
	return cutFile(r.o.FS, s.name, s.end)
}

func (r *recovery) journalID(headers []header, bad []string) journalID {
	for i, h := range headers {
		if bad[i] == "" {
			return h.id
		}
	}
	var id journalID // every header is gone, and every frame with them
	rand.Read(id[:])
	return id
}

// nextSeq returns a seq above every one that may have been given out: readers
// build the order of records on it. Only what the key confirms counts, or a
// forger could use all numbers up.
func (r *recovery) nextSeq(names []string, headers []header, bad []string, highest uint64) (uint64, error) {
	if r.w.anchor != nil {
		highest = max(highest, r.w.anchor.Seq)
	}
	var frames uint64 // more than fit into what cannot be read
	for k, name := range names {
		st, err := r.o.FS.Stat(name)
		if err != nil {
			return 0, err
		}
		frames += uint64(st.Size() / frameHeaderSize)
		if bad[k] != "" {
			continue
		}
		s, err := (&walker{fs: r.w.fs, genuine: r.w.genuine}).scan(name, headers[k], nil, true)
		if err != nil {
			return 0, err
		}
		highest = max(highest, headers[k].first, s.to.Seq, s.behind.highest)
	}
	if highest > math.MaxUint64/2 {
		return 0, fault.Errorf(fault.Tampered, "journal has used up its numbers")
	}
	next := highest + frames + 1
	for slices.Contains(names, fileName(next)) { // it would replace what is about to go
		next++
	}
	return next, nil
}

// copyOut describes the bytes of a file from off on, without trailing zeros, and
// copies them to quarantine if they are to be kept.
func (r *recovery) copyOut(name string, off int64, detail string, keep bool) (Loss, error) {
	loss := Loss{File: name, Offset: off, Detail: detail}
	file, err := r.o.FS.Open(name)
	if err != nil {
		return loss, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return loss, err
	}
	w := window{r: file, size: st.Size()}
	last := off
	for at := off; at < w.size; {
		b, err := w.at(at, readAhead)
		if err != nil {
			return loss, err
		}
		for i, c := range b {
			if c != 0 {
				last = at + int64(i) + 1
			}
		}
		at += int64(len(b))
	}
	if loss.Bytes = last - off; loss.Bytes == 0 || !keep {
		return loss, nil
	}
	loss.Moved, err = r.writeCopy(&w, name, off, last)
	return loss, err
}

// writeCopy writes bytes [from, to) of w to a new file in quarantine, durably,
// and returns its name. Nothing in quarantine is ever replaced.
func (r *recovery) writeCopy(w *window, name string, from, to int64) (string, error) {
	q := r.o.Quarantine
	if err := q.MkdirAll("."); err != nil {
		return "", fmt.Errorf("make quarantine: %w", err)
	}
	base := fmt.Sprintf("journal-%s-at-%d", name, from)
	for try := 1; ; try++ {
		target := base
		if try > 1 {
			target = fmt.Sprintf("%s-%d", base, try)
		}
		file, err := q.Create(target)
		if errors.Is(err, fs.ErrExist) && try < 1<<16 {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("copy to quarantine: %w", err)
		}
		err = copyRange(file, w, from, to)
		if e := file.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = q.SyncDir(".")
		}
		if err != nil {
			return "", fmt.Errorf("copy to quarantine: %w", err)
		}
		return target, nil
	}
}

func copyRange(dst vfs.File, w *window, from, to int64) error {
	for at := from; at < to; {
		b, err := w.at(at, int(min(readAhead, to-at)))
		if err != nil {
			return err
		}
		n, err := dst.Write(b)
		if err != nil {
			return err
		}
		if n < len(b) {
			return io.ErrShortWrite
		}
		at += int64(n)
	}
	return dst.Sync()
}
