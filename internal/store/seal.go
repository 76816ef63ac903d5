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
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/store/segment"
	"github.com/meshtrail/meshtrail/internal/vfs"
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

// partsAtOnce is how many segments share what waits for the disk: their keys are
// synced in one folder, their folders in another. Who needs a key meanwhile waits
// for that many syncs at most.
const partsAtOnce = 256

// A writing is the segments of one seal on their way to the disk. They are
// written one after the other; a few are synced meanwhile.
type writing struct {
	s     *Store
	g     *generation
	buf   *bufio.Writer
	syncs *errgroup.Group
	files []*sealedFile // all that may exist
	keys  []any         // the leaves of keys that are used for the first time
}

// writeAll writes one segment for each part of the generation, durable but for
// its last name. A load of old logs may have thousands of them. Files that are
// returned with an error may exist.
func (s *Store) writeAll(ctx context.Context, g *generation) (files []*sealedFile, keys []any, err error) {
	g.table.Close()
	parts := make(map[memtable.Part][]*memtable.View)
	for _, v := range g.table.Views(func(memtable.Part) bool { return true }) {
		parts[v.Part] = append(parts[v.Part], v)
	}
	order := slices.SortedFunc(maps.Keys(parts), func(a, b memtable.Part) int { return strings.Compare(folder(a), folder(b)) })
	b := &writing{s: s, g: g, buf: bufio.NewWriterSize(nil, 1<<20)}
	b.syncs, ctx = errgroup.WithContext(ctx)
	b.syncs.SetLimit(vfs.SyncsAtOnce)
	for some := range slices.Chunk(order, partsAtOnce) {
		if err = b.prepare(some); err != nil {
			break
		}
		for _, p := range some {
			if err = ctx.Err(); err == nil {
				err = b.write(p, parts[p])
			}
			if err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if e := b.syncs.Wait(); e != nil {
		err = e // what the loop saw is that it was called off
	}
	return b.files, b.keys, err
}

func folder(p memtable.Part) string {
	return path.Join(segmentsDir, string(p.Tenant), string(p.Class), p.Date())
}

// prepare makes the folders and keys of parts, which are in order.
func (b *writing) prepare(parts []memtable.Part) error {
	var dirs []string
	for _, p := range parts {
		dirs = append(dirs, folder(p))
	}
	if err := b.s.o.FS.MkdirAll(dirs...); err != nil {
		return fmt.Errorf("make folders of segments: %w", err)
	}
	for len(parts) > 0 {
		first := parts[0]
		var days []string
		for len(parts) > 0 && parts[0].Tenant == first.Tenant && parts[0].Class == first.Class {
			days, parts = append(days, parts[0].Date()), parts[1:]
		}
		if err := b.s.o.Keyring.MakeDataKeys(string(first.Tenant), string(first.Class), days); err != nil {
			return err
		}
	}
	return nil
}

// write makes one segment, and leaves it to others to sync it.
func (b *writing) write(p memtable.Part, views []*memtable.View) error {
	s := b.s
	tenant, class, day := string(p.Tenant), string(p.Class), p.Date()
	keyID, key, _, err := s.o.Keyring.DataKey(tenant, class, day)
	if err != nil {
		return fmt.Errorf("get data key of %s: %w", folder(p), err)
	}
	meta := segment.Meta{Tenant: tenant, Class: class, Day: day, KeyID: keyID, Key: key, MinSchema: schema.Version, MaxSchema: schema.Version}
	s.name(&meta)
	f := &sealedFile{dir: folder(p)}
	f.leaf.Path = path.Join(f.dir, meta.ID.String()+suffix)
	b.files = append(b.files, f)
	file, err := s.o.FS.Create(f.temporary())
	if err != nil {
		return fmt.Errorf("write segment %s: %w", meta.ID, err)
	}
	sum, err := b.fill(file, meta, views)
	if err != nil {
		file.Close()
		return fmt.Errorf("write segment %s: %w", meta.ID, err)
	}
	f.leaf = s.leafOf(f.leaf.Path, meta, sum)
	f.leaf.JournalAfter, f.leaf.JournalUpto = b.g.after, b.g.upto
	if s.keys.first(keyID) {
		b.keys = append(b.keys, ledger.Key{At: f.leaf.SealedAt, Action: "created", ID: keyID, Tenant: tenant, Class: class, Day: day, Commitment: f.leaf.KeyCommitment})
	}
	b.syncs.Go(func() error {
		defer file.Close()
		err := file.Sync()
		if err == nil {
			err = s.o.FS.SyncDir(f.dir) // no other segment of the seal is in it
		}
		if err != nil {
			return fmt.Errorf("write segment %s: %w", meta.ID, err)
		}
		return nil
	})
	return nil
}

// fill writes the content of a segment.
func (b *writing) fill(file vfs.File, meta segment.Meta, views []*memtable.View) (*segment.Summary, error) {
	b.buf.Reset(file)
	w, err := segment.NewWriter(b.buf, meta)
	if err != nil {
		return nil, err
	}
	plan := b.s.shape().Plan(views)
	if err := writeBlocks(w, 0, plan); err != nil {
		return nil, err
	}
	b.s.counts.spilled(plan)
	sum, err := w.Finish()
	if err == nil {
		err = b.buf.Flush()
	}
	return sum, err
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
		SealedAt: s.o.Now().UnixNano(), MinSchema: sum.MinSchema, MaxSchema: sum.MaxSchema,
	}
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

// rename gives committed files their last names. It does not wait until those are
// durable: a file that has the old one after a crash gets its last one by Open.
func (s *Store) rename(files []*sealedFile) error {
	for _, f := range files {
		if err := s.o.FS.Rename(f.temporary(), f.leaf.Path); err != nil {
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
