package store

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/merkle"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/catalog"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/store/segment"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// compact replaces the inputs by one segment. The commit point is the ledger:
// the Compact leaf and the Segment leaf of the output come under one checkpoint.
// What a crash leaves on either side of it is removed by the next Open.
func (s *Store) compact(ctx context.Context, c *compaction) error {
	start := time.Now()
	f, reencoded, err := s.writeCompacted(ctx, c)
	if err == nil {
		err = s.commitCompaction(ctx, c, f, reencoded)
	}
	if err != nil {
		if f != nil && !errors.Is(err, ledger.ErrPoisoned) {
			s.removeAll([]*sealedFile{f})
		}
		return err
	}
	if err := s.rename([]*sealedFile{f}); err != nil {
		s.fail(fmt.Errorf("name compacted segment: %w", err))
		return err
	}
	s.replace(c, f)
	s.counts.compacted(time.Since(start), c, f, reencoded)
	s.log.Debug("compacted", "reason", c.reason, "segments", len(c.inputs), "into", f.leaf.Path, "bytes", f.leaf.Size)
	return nil
}

// folderOf returns the folder of a segment below the data folder.
func folderOf(l *ledger.Segment) string { return path.Join(segmentsDir, l.Tenant, l.Class, l.Day) }

// A donor is an input that is open.
type donor struct {
	h      *handle
	file   vfs.File
	reader *segment.Reader
}

// compactCache is how much of the inputs is kept decoded, in bytes.
const compactCache = 8 << 20

// writeCompacted writes the output, durable but for its last name. A file that is
// returned with an error may exist. Inputs that do not fit are taken out of c.
func (s *Store) writeCompacted(ctx context.Context, c *compaction) (f *sealedFile, reencoded uint64, err error) {
	var open []*donor
	defer func() {
		for _, x := range open {
			x.file.Close()
		}
	}()
	pace := &pacer{s: s}
	cache := segment.NewCache(compactCache) // the store's is for those who ask
	raw := int64(0)
	for i, h := range c.inputs {
		x := &donor{h: h}
		if x.file, x.reader, err = s.loadInto(h, cache); err == nil {
			open = append(open, x)
			err = s.whole(ctx, x, pace)
		}
		if err != nil {
			s.unfit(h, err)
			return nil, 0, err
		}
		for b := range x.reader.Blocks {
			raw += x.reader.Blocks[b].Raw
		}
		if raw > maxRaw && i > 1 {
			x.file.Close()
			c.inputs, open = c.inputs[:i:i], open[:i]
			break
		}
	}
	first := &c.inputs[0].leaf
	key, err := s.keys.open(first.KeyID)
	if err != nil {
		return nil, 0, err
	}
	meta := segment.Meta{Tenant: first.Tenant, Class: first.Class, Day: first.Day, KeyID: first.KeyID, Key: key}
	for i, x := range open { // a block that is encoded anew may hold records of any input
		if i == 0 {
			meta.MinSchema, meta.MaxSchema = x.reader.MinSchema, x.reader.MaxSchema
		}
		meta.MinSchema, meta.MaxSchema = min(meta.MinSchema, x.reader.MinSchema), max(meta.MaxSchema, x.reader.MaxSchema)
	}
	s.name(&meta)
	f = &sealedFile{dir: folderOf(first)}
	f.leaf.Path = path.Join(f.dir, meta.ID.String()+suffix)
	m := &merger{s: s, ctx: ctx, pace: pace, inputs: open}
	sum, err := s.writeMerged(f.temporary(), meta, m)
	if err == nil {
		err = s.o.FS.SyncDir(f.dir)
	}
	if err != nil {
		return f, 0, err
	}
	f.leaf = s.leafOf(f.leaf.Path, meta, sum)
	f.leaf.JournalAfter, f.leaf.JournalUpto = first.JournalAfter, first.JournalUpto
	for _, h := range c.inputs {
		f.leaf.JournalAfter = min(f.leaf.JournalAfter, h.leaf.JournalAfter)
		f.leaf.JournalUpto = max(f.leaf.JournalUpto, h.leaf.JournalUpto)
	}
	return f, m.reencoded, same(c, &f.leaf)
}

// whole checks that a file is the one that the ledger names: a block that was
// moved with a flipped bit would be a genuine part of the output.
func (s *Store) whole(ctx context.Context, x *donor, pace *pacer) error {
	var root merkle.Hash
	if n, err := hex.Decode(root[:], []byte(x.h.leaf.Root)); err != nil || n != len(root) {
		return fault.Errorf(fault.Corrupt, "the root of segment %s is no hash", x.h.leaf.ID)
	}
	damage, err := chunkfile.Verify(pacedReader{ctx, x.file, pace}, x.h.leaf.Size, root)
	if err == nil && len(damage) > 0 {
		err = fault.Errorf(fault.Tampered, "segment %s: %s", x.h.leaf.ID, damage[0].String())
	}
	return err
}

type pacedReader struct {
	ctx  context.Context
	file vfs.File
	pace *pacer
}

func (r pacedReader) ReadAt(b []byte, off int64) (int, error) {
	if err := r.pace.step(r.ctx, len(b)); err != nil {
		return 0, err
	}
	return r.file.ReadAt(b, off)
}

// unfit notes an input that is damaged.
func (s *Store) unfit(h *handle, err error) {
	if fault.Is(err, fault.Corrupt) || fault.Is(err, fault.Tampered) || errors.Is(err, fs.ErrNotExist) {
		s.damage(h.leaf.Path, "", 0, err)
	}
}

// same reports an output that has not exactly the records of its inputs, as far
// as their leaves tell. That would be a mistake of ours: nothing is committed.
func same(c *compaction, out *ledger.Segment) error {
	want := c.inputs[0].leaf
	want.Records = 0
	for _, h := range c.inputs {
		l := &h.leaf
		want.Records += l.Records
		want.MinTime, want.MaxTime = min(want.MinTime, l.MinTime), max(want.MaxTime, l.MaxTime)
		want.MinIngest, want.MaxIngest = min(want.MinIngest, l.MinIngest), max(want.MaxIngest, l.MaxIngest)
		want.FirstOrd, want.LastOrd = min(want.FirstOrd, l.FirstOrd), max(want.LastOrd, l.LastOrd)
	}
	if out.Records != want.Records || out.MinTime != want.MinTime || out.MaxTime != want.MaxTime || out.MinIngest != want.MinIngest ||
		out.MaxIngest != want.MaxIngest || out.FirstOrd != want.FirstOrd || out.LastOrd != want.LastOrd || out.KeyCommitment != want.KeyCommitment {
		return fault.Errorf(fault.Internal, "the output has %d records from %d to %d, the inputs %d from %d to %d, or other ranges",
			out.Records, out.MinTime, out.MaxTime, want.Records, want.MinTime, want.MaxTime)
	}
	return nil
}

// syncEvery is how much of an output is written before it is synced, so that the
// sync of the journal never waits for all of it.
const syncEvery = 8 << 20

// pacedFile writes a file piece by piece, synced as it grows.
type pacedFile struct {
	vfs.File
	ctx   context.Context
	pace  *pacer
	dirty int
}

func (f *pacedFile) Write(b []byte) (int, error) {
	if err := f.pace.step(f.ctx, len(b)); err != nil {
		return 0, err
	}
	n, err := f.File.Write(b)
	if f.dirty += n; err == nil && f.dirty >= syncEvery {
		f.dirty, err = 0, f.File.Sync()
	}
	return n, err
}

func (s *Store) writeMerged(name string, meta segment.Meta, m *merger) (*segment.Summary, error) {
	file, err := s.o.FS.Create(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buf := bufio.NewWriterSize(&pacedFile{File: file, ctx: m.ctx, pace: m.pace}, 256<<10)
	if m.w, err = segment.NewWriter(buf, meta); err != nil {
		return nil, err
	}
	if err := m.run(); err != nil {
		return nil, err
	}
	sum, err := m.w.Finish()
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	return sum, err
}

// merger puts the blocks of the inputs into a segment.
type merger struct {
	s         *Store
	ctx       context.Context
	pace      *pacer
	w         *segment.Writer
	inputs    []*donor
	blocks    int // of the output so far
	reencoded uint64
	cost      segment.Cost
}

// keepSmall bounds the records of small blocks that are held decoded at once, as
// JSON would take.
const keepSmall = 32 << 20

// run moves full blocks as they are and encodes small ones anew, together. A
// lone small block is moved as well, and so is every block that was in an output
// before: each record is encoded twice at most.
func (m *merger) run() error {
	type ref struct {
		x *donor
		b int
	}
	var little []ref
	for _, x := range m.inputs {
		for b := range x.reader.Blocks {
			if k := &x.reader.Blocks[b]; x.h.level == 0 && k.Rows < m.s.o.Limits.BlockRows/4 && k.Raw < m.s.o.Limits.BlockBytes/4 {
				little = append(little, ref{x, b})
			} else if err := m.move(x, b); err != nil {
				return err
			}
		}
	}
	if len(little) == 1 {
		return m.move(little[0].x, little[0].b)
	}
	var views []*memtable.View
	raw := int64(0)
	for i, r := range little {
		v, err := m.view(r.x, r.b)
		if err != nil {
			return err
		}
		views, raw = append(views, v), raw+v.Raw
		if raw >= keepSmall || i == len(little)-1 {
			if err := m.encode(views); err != nil {
				return err
			}
			views, raw = nil, 0
		}
	}
	return nil
}

// move copies block b of a segment byte for byte.
func (m *merger) move(x *donor, b int) error {
	m.blocks++
	return m.w.Relocate(x.reader, b)
}

// view decodes a block.
func (m *merger) view(x *donor, b int) (*memtable.View, error) {
	if err := m.pace.step(m.ctx, int(x.reader.Blocks[b].Raw)); err != nil {
		return nil, err
	}
	r := x.reader
	h, err := r.Header(b, &m.cost)
	if err != nil {
		return nil, err
	}
	times, err := r.Load(b, segment.TimeColumn, &m.cost)
	if err != nil {
		return nil, err
	}
	origins, err := r.Load(b, segment.OriginColumn, &m.cost)
	if err != nil {
		return nil, err
	}
	ords, ingests := block.Origins(origins)
	v := &memtable.View{
		Part: memtable.Part{Tenant: record.TenantID(r.Tenant), Class: record.Class(r.Class)},
		Rows: h.Rows, Raw: r.Blocks[b].Raw, Times: signed(times.Nums), Ords: ords, Ingests: signed(ingests),
		Sources: []memtable.SourceRun{{}}, MinTime: h.MinTime, MaxTime: h.MaxTime, Columns: slices.Clone(h.Columns),
	}
	for i := range h.Columns {
		c, err := r.Load(b, i, &m.cost)
		if err != nil {
			return nil, err
		}
		v.Vectors = append(v.Vectors, c)
	}
	rest, err := r.LoadRest(b, &m.cost)
	for i := range rest.Len() {
		v.Columns, v.Vectors = append(v.Columns, rest.Column(i)), append(v.Vectors, rest.Vector(i))
	}
	return v, err
}

// encode cuts the records of views into blocks as a seal does.
func (m *merger) encode(views []*memtable.View) error {
	plan := m.s.shape().Plan(views)
	for i := range plan.Blocks() {
		in := plan.Block(i, inputs.Get().(*block.Input))
		p, err := m.w.Prepare(m.blocks, in)
		rows, raw := len(in.Times), in.Raw
		if raw <= keepInput {
			inputs.Put(in)
		}
		if err == nil {
			err = m.w.Add(p)
		}
		if err == nil {
			err = m.pace.step(m.ctx, int(raw))
		}
		if err != nil {
			return err
		}
		m.blocks++
		m.reencoded += uint64(rows)
	}
	return nil
}

// commitCompaction appends the leaves: from then on the output exists and the
// inputs do not.
func (s *Store) commitCompaction(ctx context.Context, c *compaction, f *sealedFile, reencoded uint64) error {
	l := &f.leaf
	leaf := ledger.Compact{
		At: l.SealedAt, Reason: c.reason, Tenant: l.Tenant, Class: l.Class, Day: l.Day,
		Output: l.ID, Records: l.Records, Reencoded: reencoded,
	}
	for _, h := range c.inputs {
		leaf.Inputs = append(leaf.Inputs, h.leaf.ID)
	}
	s.ledgerMu.Lock()
	defer s.ledgerMu.Unlock()
	return s.commit(ctx, []any{leaf, *l})
}

// replace lets queries see the output in place of the inputs, at once, and
// removes their files when nobody reads them any more.
func (s *Store) replace(c *compaction, f *sealedFile) {
	out := s.newHandle(f.leaf)
	out.level = catalog.LevelOf(c.reason)
	s.mu.Lock()
	kept := make([]*handle, 0, len(s.segments))
	for _, h := range s.segments {
		switch {
		case h == c.inputs[0]:
			kept = append(kept, out)
		case !slices.Contains(c.inputs, h):
			kept = append(kept, h)
		}
	}
	s.segments = kept
	s.written.Compactions++
	s.written.CompactedBytes += f.leaf.Size
	s.mu.Unlock()
	s.retire(c.inputs)
}

// retire removes the files of segments that do not exist any more. What can not
// be removed now is removed by the next Open.
func (s *Store) retire(handles []*handle) {
	for _, h := range handles {
		name := h.leaf.Path
		s.files.retire(h, func() {
			if err := s.o.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.log.Warn("remove segment file", "file", name, "err", err)
			}
		})
	}
}

// signed is the reverse of unsigned.
func signed(t []uint64) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(t))), len(t))
}
