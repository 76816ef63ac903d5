package store

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// A generation is a memtable that takes no more records: it holds the frames
// after < seq <= upto.
type generation struct {
	table       *memtable.Table
	after, upto uint64
	windows     []byte // the checkpoint as of upto
}

const (
	suffix    = ".seg"
	newSuffix = ".seg.new"
)

// Seal turns the records accepted so far into segments and releases their
// journal frames. When it returns nil they are under a checkpoint of the
// ledger. A seal that failed left the records where they were; the next one
// tries again.
func (s *Store) Seal(ctx context.Context) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	for {
		g, again, err := s.rotate()
		if g == nil {
			return err
		}
		if err := s.seal(ctx, g); err != nil {
			s.counts.sealFailed()
			return fmt.Errorf("seal frames %d to %d: %w", g.after+1, g.upto, err)
		}
		if !again {
			return nil
		}
	}
}

// rotate returns the generation to seal: the one that an earlier seal failed
// on, after which there may be another, or the active one, or nil if there is
// nothing to seal. A store that failed seals nothing: its ledger may name
// segments of the generation already.
func (s *Store) rotate() (g *generation, again bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pos.Seq != s.last && s.failed == nil {
		s.grouped.Wait()
	}
	if s.failed != nil {
		return nil, false, fault.Errorf(fault.Unavailable, "seal: %w", s.failed)
	}
	if s.pending != nil {
		return s.pending, true, nil
	}
	if !s.dirty {
		return nil, false, nil
	}
	g = &generation{table: s.active, after: s.sealed, upto: s.last}
	raw, _ := s.active.Raw()
	s.tail = raw >= s.o.Limits.SealBytes/idleShare
	g.windows = s.dedup.encode([]byte{frameCheckpoint}, g.upto)
	s.pending, s.active, s.dirty = g, memtable.New(), false
	s.active.Limit(s.o.Limits.Columns)
	return g, false, nil
}

// sealedFile is a segment on its way.
type sealedFile struct {
	leaf ledger.Segment
	dir  string
}

func (f *sealedFile) temporary() string { return strings.TrimSuffix(f.leaf.Path, suffix) + newSuffix }

func (s *Store) seal(ctx context.Context, g *generation) error {
	start := time.Now()
	files, keys, err := s.writeAll(ctx, g)
	if err != nil {
		s.removeAll(files)
		return err
	}
	if err := s.commitSeal(ctx, files, keys); err != nil {
		if !errors.Is(err, ledger.ErrPoisoned) {
			s.removeAll(files)
		}
		return err
	}
	if err := s.rename(files); err != nil {
		// Their leaves are durable and their content is: only the names are
		// missing, which the next Open gives them.
		s.fail(fmt.Errorf("name sealed segments: %w", err))
		return err
	}
	s.publish(g, files)
	s.counts.sealed(time.Since(start), files)
	return s.release(ctx, g)
}

// writeAll writes one segment for each part of the generation, durable but for
// its last name.
func (s *Store) writeAll(ctx context.Context, g *generation) (files []*sealedFile, keys []any, err error) {
	g.table.Close()
	parts := make(map[memtable.Part][]*memtable.View)
	for _, v := range g.table.Views(func(memtable.Part) bool { return true }) {
		parts[v.Part] = append(parts[v.Part], v)
	}
	var order []memtable.Part
	for p := range parts {
		order = append(order, p)
	}
	slices.SortFunc(order, func(a, b memtable.Part) int { return strings.Compare(folder(a), folder(b)) })
	for _, p := range order {
		if err := ctx.Err(); err != nil {
			return files, nil, err
		}
		f, key, err := s.write(g, p, parts[p])
		if f != nil {
			files = append(files, f)
		}
		if err != nil {
			return files, nil, err
		}
		if key != nil {
			keys = append(keys, *key)
		}
	}
	return files, keys, nil
}

func folder(p memtable.Part) string {
	return path.Join(segmentsDir, string(p.Tenant), string(p.Class), p.Date())
}

// write makes one segment. A file that is returned with an error may exist.
func (s *Store) write(g *generation, p memtable.Part, views []*memtable.View) (*sealedFile, *ledger.Key, error) {
	tenant, class, day := string(p.Tenant), string(p.Class), p.Date()
	keyID, key, _, err := s.o.Keyring.DataKey(tenant, class, day)
	if err != nil {
		return nil, nil, fmt.Errorf("get data key of %s: %w", folder(p), err)
	}
	meta := segment.Meta{Tenant: tenant, Class: class, Day: day, KeyID: keyID, Key: key}
	s.name(&meta)
	f := &sealedFile{dir: folder(p)}
	f.leaf.Path = path.Join(f.dir, meta.ID.String()+suffix)
	if err := s.makeFolder(f.dir); err != nil {
		return nil, nil, err
	}
	sum, err := s.writeFile(f.temporary(), meta, views)
	if err == nil {
		err = s.o.FS.SyncDir(f.dir)
	}
	if err != nil {
		return f, nil, fmt.Errorf("write segment %s: %w", meta.ID, err)
	}
	f.leaf = s.leafOf(f.leaf.Path, meta, sum)
	f.leaf.JournalAfter, f.leaf.JournalUpto = g.after, g.upto
	var leaf *ledger.Key
	if s.keys.first(keyID) {
		leaf = &ledger.Key{At: f.leaf.SealedAt, Action: "created", ID: keyID, Tenant: tenant, Class: class, Day: day, Commitment: f.leaf.KeyCommitment}
	}
	return f, leaf, nil
}

// name gives a segment that is to be written its id, and its chunks their nonces.
func (s *Store) name(m *segment.Meta) {
	if s.o.fixed == nil {
		rand.Read(m.ID[:])
		return
	}
	io.ReadFull(s.o.fixed.ids, m.ID[:])
	m.Sealer = crypt.NewSealerWithNonces(m.Key, s.o.fixed.nonces)
}

// leafOf describes a segment that was written, but for its range of the journal.
func (s *Store) leafOf(path string, meta segment.Meta, sum *segment.Summary) ledger.Segment {
	return ledger.Segment{
		Type: ledger.TypeSegment, ID: meta.ID.String(), Path: path, Version: segment.Version,
		Tenant: meta.Tenant, Class: meta.Class, Day: meta.Day, Size: sum.Size, Root: hex.EncodeToString(sum.Root[:]),
		Records: sum.Records, MinTime: sum.MinTime, MaxTime: sum.MaxTime, MinIngest: sum.MinIngest, MaxIngest: sum.MaxIngest,
		FirstOrd: sum.FirstOrd, LastOrd: sum.LastOrd, KeyID: meta.KeyID, KeyCommitment: hex.EncodeToString(sum.KeyCommitment[:]),
		SealedAt: s.o.Now().UnixNano(),
	}
}

// makeFolder makes a folder below the data folder durably.
func (s *Store) makeFolder(dir string) error {
	if _, err := s.o.FS.Stat(dir); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.o.FS.MkdirAll(dir); err != nil {
		return fmt.Errorf("make folder %s: %w", dir, err)
	}
	for up := path.Dir(dir); ; up = path.Dir(up) {
		if err := s.o.FS.SyncDir(up); err != nil {
			return fmt.Errorf("make folder %s: %w", dir, err)
		}
		if up == "." {
			return nil
		}
	}
}

func (s *Store) writeFile(name string, meta segment.Meta, views []*memtable.View) (*segment.Summary, error) {
	f, err := s.o.FS.Create(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	w, err := segment.NewWriter(buf, meta)
	if err != nil {
		return nil, err
	}
	plan := s.shape().Plan(views)
	if err := writeBlocks(w, 0, plan); err != nil {
		return nil, err
	}
	s.counts.spilled(plan)
	sum, err := w.Finish()
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return sum, err
}

// shape says how the blocks of a segment are cut.
func (s *Store) shape() memtable.Cut {
	l := &s.o.Limits
	return memtable.Cut{Rows: l.BlockRows, Raw: l.BlockBytes, Columns: l.Columns}
}

// keepInput is the largest block whose gathered columns are kept for the next
// one, as JSON would take: one of usual values, which may exceed Limits.BlockBytes
// by its last record.
const keepInput = 16 << 20

// inputs are reused between blocks.
var inputs = sync.Pool{New: func() any { return new(block.Input) }}

// writeBlocks encodes blocks in parallel, a few ahead, and writes them in order.
func writeBlocks(w *segment.Writer, first int, plan *memtable.Plan) error {
	type outcome struct {
		p   *segment.Prepared
		err error
	}
	ahead := runtime.GOMAXPROCS(0)
	queue := make(chan chan outcome, ahead-1) // with the one in hand, ahead are under way
	quit := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(queue)
		for i := range plan.Blocks() {
			c := make(chan outcome, 1)
			select {
			case queue <- c:
			case <-quit:
				return
			}
			go func() {
				in := plan.Block(i, inputs.Get().(*block.Input))
				p, err := w.Prepare(first+i, in)
				if in.Raw <= keepInput {
					inputs.Put(in)
				}
				c <- outcome{p, err}
			}()
		}
	}()
	var err error
	for c := range queue {
		o := <-c
		if err == nil {
			if err = o.err; err == nil {
				err = w.Add(o.p)
			}
			if err != nil {
				close(quit)
			}
		}
	}
	<-done
	return err
}

// commitSeal appends the leaves of a seal and a new epoch: the commit point.
func (s *Store) commitSeal(ctx context.Context, files []*sealedFile, keys []any) error {
	s.ledgerMu.Lock()
	defer s.ledgerMu.Unlock()
	leaves := keys
	for _, f := range files {
		leaves = append(leaves, f.leaf)
	}
	epoch, err := s.epochLeaves("seal")
	if err != nil {
		return err
	}
	if err := s.commit(ctx, append(leaves, epoch...)); err != nil {
		return err
	}
	for _, k := range keys {
		s.keys.noted(k.(ledger.Key).ID)
	}
	return nil
}

func (s *Store) rename(files []*sealedFile) error {
	for _, f := range files {
		if err := s.o.FS.Rename(f.temporary(), f.leaf.Path); err != nil {
			return err
		}
	}
	for i, f := range files {
		if i > 0 && files[i-1].dir == f.dir {
			continue
		}
		if err := s.o.FS.SyncDir(f.dir); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes files that were not committed. What can not be removed now
// is removed by the next Open.
func (s *Store) removeAll(files []*sealedFile) {
	for _, f := range files {
		if err := s.o.FS.Remove(f.temporary()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("remove unfinished segment", "file", f.temporary(), "err", err)
		}
	}
}

// publish lets queries see the segments in place of the generation, at once.
func (s *Store) publish(g *generation, files []*sealedFile) {
	s.mu.Lock()
	for _, f := range files {
		s.segments = append(s.segments, s.newHandle(f.leaf))
		s.written.SealedBytes += f.leaf.Size
	}
	s.pending = nil
	s.sealed = g.upto
	s.mu.Unlock()
	s.freed()
}

// release makes the windows durable as of the generation and then deletes the
// journal files that nobody needs any more.
func (s *Store) release(ctx context.Context, g *generation) error {
	if err := s.journal.Turn(g.upto); err != nil {
		s.log.Warn("begin a new journal file", "err", err) // its space returns with a later seal
	}
	if _, err := s.journal.Append(ctx, g.windows, nil); err != nil {
		s.log.Warn("journal is not released: write checkpoint", "err", err)
		return nil // the records are sealed; the next seal releases more
	}
	if err := s.journal.Release(g.upto); err != nil {
		s.log.Warn("journal is not released", "err", err)
	}
	return nil
}

// signal wakes the sealer.
func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sealLoop seals by size and by age.
func (s *Store) sealLoop(ctx context.Context) {
	defer s.done.Done()
	tick := time.NewTicker(max(min(s.o.Limits.SealAge/8, s.o.Limits.SealIdle/4), 10*time.Millisecond))
	defer tick.Stop()
	var wait time.Duration // after a failure
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
		if !s.due() {
			continue
		}
		err := s.Seal(ctx)
		if err == nil {
			wait = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Error("seal", "err", err, "kind", fault.KindOf(err).String())
		wait = min(max(2*wait, 100*time.Millisecond), 10*time.Second)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// due reports whether it is time to seal.
func (s *Store) due() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.failed != nil {
		return false
	}
	raw, _ := s.active.Raw()
	now := s.o.Now()
	quiet := (raw >= s.o.Limits.SealBytes/idleShare || s.dirty && s.tail) && now.Sub(s.latest) >= s.o.Limits.SealIdle
	return s.pending != nil || raw >= s.o.Limits.SealBytes || quiet || s.dirty && now.Sub(s.since) >= s.o.Limits.SealAge
}

// idleShare of Limits.SealBytes is worth a segment when a load has ended. Less is
// only when it is the tail of such a load, and waits for its age else: a sender
// of a little now and then would make many segments.
const idleShare = 8
