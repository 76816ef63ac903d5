package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A Reader follows the durable frames of a journal while it is written. It is
// not safe for concurrent use; many Readers may read at once. A file that is
// released while a Reader is in it stays readable.
type Reader struct {
	j      *Journal
	after  uint64 // frames up to here are skipped
	cipher *cipher
	file   vfs.File
	info   fileInfo
	scan   *scanner
	pos    Position // of the frame given last
}

// Reader returns a Reader of the frames with seq > after. Close it.
func (j *Journal) Reader(after uint64) *Reader {
	return &Reader{j: j, after: after, cipher: newCipher(crypt.NewSealer(j.o.Key), j.id)}
}

// Next waits for the next durable frame. The payload is lent until the next
// call. Once the journal is closed and everything was read it returns io.EOF.
func (r *Reader) Next(ctx context.Context) (seq uint64, payload []byte, err error) {
	for {
		r.j.mu.Lock()
		ended := r.j.closed || r.j.dead != nil
		if r.j.grown == nil && !ended {
			r.j.grown = make(chan struct{})
		}
		grown := r.j.grown
		r.j.mu.Unlock()
		seq, payload, err = r.TryNext()
		if !errors.Is(err, io.EOF) || ended {
			return seq, payload, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, nil, fault.Errorf(fault.Canceled, "read journal: %w", ctx.Err())
		}
	}
}

// TryNext returns the next durable frame, or io.EOF if there is none yet. The
// payload is lent until the next call. Bytes that changed since they were
// written are fault.Tampered; then the Reader is of no more use.
func (r *Reader) TryNext() (seq uint64, payload []byte, err error) {
	for {
		if r.file == nil {
			if err := r.openFile(); err != nil {
				return 0, nil, err
			}
		}
		limit, following := r.limit()
		r.scan.win.size = limit
		f, v, why, err := r.scan.frame()
		switch {
		case err != nil:
			return 0, nil, err
		case v == bad:
			return 0, nil, fault.Errorf(fault.Tampered, "journal file %s at offset %d: %s", r.info.name, r.scan.off, why)
		case v == ended && !following:
			return 0, nil, io.EOF
		case v == ended:
			r.after = max(r.after, r.scan.pos.Seq)
			r.Close()
			continue
		case f.seq <= r.after:
			continue
		}
		payload, err = r.cipher.open(f.seq, f.sealed)
		if err != nil {
			return 0, nil, fault.Errorf(fault.Tampered, "journal file %s at offset %d: %w", r.info.name, f.off, err)
		}
		r.after, r.pos = f.seq, Position{f.seq, f.hash}
		return f.seq, payload, nil
	}
}

// Position returns the position of the frame that was given last, which may
// serve as an Options.Anchor.
func (r *Reader) Position() Position { return r.pos }

// limit returns up to where the file in hand holds durable frames, and whether
// another one follows.
func (r *Reader) limit() (end int64, following bool) {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	for i := range r.j.files {
		if r.j.files[i].first == r.info.first {
			return r.j.files[i].end, i+1 < len(r.j.files)
		}
	}
	return r.info.end, true // released: it was complete, see openFile
}

// openFile opens the file with the first frame behind after.
func (r *Reader) openFile() error {
	for {
		info := r.pick()
		file, err := r.j.o.FS.Open(info.name)
		if errors.Is(err, fs.ErrNotExist) && r.pick().name != info.name {
			continue // released meanwhile
		}
		if err != nil {
			return fmt.Errorf("open journal file %s: %w", info.name, err)
		}
		r.file, r.info = file, info
		r.scan = newScanner(file, info.end, &header{id: r.j.id, first: info.first, prev: info.prev})
		return nil
	}
}

func (r *Reader) pick() fileInfo {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	at := 0
	for i, f := range r.j.files {
		if f.prev.Seq <= r.after {
			at = i
		}
	}
	return r.j.files[at]
}

// Close gives the file back. The Reader may be used on: it opens it again.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
