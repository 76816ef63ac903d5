package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/catalog"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/store/segment"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Open opens a store that exists, brings what a crash left unfinished to its
// end, and replays what is not sealed. Damage does not make it fail: it is in
// Status, in the log and in the ledger.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.Limits.setDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		o: o, log: o.Logger,
		keys:   &keyCache{keys: o.Keyring, byID: map[string]*crypt.Key{}, leaf: map[string]bool{}},
		cache:  segment.NewCache(max(o.Limits.CacheBytes, 0)),
		active: memtable.New(), wake: make(chan struct{}, 1), damaged: map[string]string{},
	}
	s.grouped = sync.NewCond(&s.mu)
	s.files = &openFiles{limit: o.Limits.OpenSegments, load: s.load}
	s.counts = newCounters(o.Metrics)
	s.freed()
	if err := s.open(ctx); err != nil {
		if s.journal != nil {
			s.journal.Close()
		}
		return nil, fmt.Errorf("open store: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	if o.Limits.SealAge > 0 {
		s.done.Add(1)
		go s.sealLoop(run)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	c, err := catalog.Load(s.o.Ledger)
	if err != nil {
		return err
	}
	s.keys.leaf = c.Keys
	s.totals, s.sealed = totalsOf(c.Epoch.Sources), c.Sealed
	if err := s.finishSegments(c); err != nil {
		return err
	}
	rec, err := s.openJournal(c)
	if err != nil {
		return err
	}
	if err := s.replay(ctx, c); err != nil {
		return err
	}
	s.pos = s.journal.Head()
	s.last = s.pos.Seq
	for _, d := range rec.Damage {
		s.damage(path.Join(journalDir, d.File), path.Join(quarantineDir, d.Moved), d.Offset, fault.Errorf(fault.Tampered, "journal: %s", d.Detail))
	}
	return s.Epoch(ctx, "start")
}

func (s *Store) openJournal(c *catalog.Catalog) (journal.Recovery, error) {
	var anchor *journal.Position
	if c.Epoch.JournalSeq > 0 {
		anchor = &journal.Position{Seq: c.Epoch.JournalSeq}
		if n, err := hex.Decode(anchor.Hash[:], []byte(c.Epoch.JournalHash)); err != nil || n != len(anchor.Hash) {
			return journal.Recovery{}, fault.Errorf(fault.Corrupt, "the newest epoch has no position of the journal")
		}
	}
	j, rec, err := journal.Open(journal.Options{
		FS: vfs.Sub(s.o.FS, journalDir), Quarantine: vfs.Sub(s.o.FS, quarantineDir),
		Key: s.o.Keyring.JournalKey(), Anchor: anchor, FileSize: s.o.Limits.JournalFile,
		Logger: s.log, Metrics: s.o.Metrics, Committed: s.committed,
		Poisoned: func(err error) { s.fail(err) },
	})
	if err != nil {
		return rec, err
	}
	s.journal = j
	return rec, nil
}

// replay applies the frames that the journal still has. Windows start from the
// newest checkpoint; accounts from the newest epoch; records of frames that are
// not in segments go into the memtable.
func (s *Store) replay(ctx context.Context, c *catalog.Catalog) error {
	s.dedup = newWindows(s.o.Limits.Origins)
	from := uint64(0)
	err := s.journal.Replay(ctx, 0, func(seq uint64, payload []byte) error {
		if len(payload) == 0 || payload[0] != frameCheckpoint {
			return nil
		}
		w, upto, err := decodeWindows(payload[1:], s.o.Limits.Origins)
		if err != nil {
			return fault.Errorf(fault.KindOf(err), "frame %d: %w", seq, err)
		}
		s.dedup, from = w, upto
		return nil
	})
	if err != nil {
		return err
	}
	var b record.Batch
	return s.journal.Replay(ctx, from, func(seq uint64, payload []byte) error {
		if len(payload) == 0 {
			return fault.Errorf(fault.Corrupt, "frame %d is empty", seq)
		}
		switch kind := payload[0]; kind {
		case frameCheckpoint:
			return nil
		case frameBatch, frameAccount:
			b.Reset()
			if err := record.Decode(payload[1:], &b); err != nil {
				return fault.Errorf(fault.KindOf(err), "frame %d: %w", seq, err)
			}
			s.mu.Lock()
			s.apply(seq, &frame{kind, &b}, seq > c.Epoch.JournalSeq, seq > s.sealed)
			s.mu.Unlock()
			return nil
		default:
			return fault.Errorf(fault.Corrupt, "frame %d is of kind %d, which this version does not know", seq, kind)
		}
	})
}

// finishSegments gives committed segments their names, removes what was never
// committed, and reports segments whose file is gone.
func (s *Store) finishSegments(c *catalog.Catalog) error {
	known := make(map[string]bool, len(c.Segments))
	for _, leaf := range c.Segments {
		s.segments = append(s.segments, s.newHandle(leaf))
		known[leaf.Path] = true
	}
	for f := range c.Damaged {
		s.damaged[f] = "damaged, as the ledger says"
	}
	found := make(map[string]bool)
	changed := make(map[string]bool)
	err := s.walk(segmentsDir, 0, func(name string) error {
		final, unfinished := strings.CutSuffix(name, newSuffix)
		if !unfinished {
			if strings.HasSuffix(name, suffix) && !known[name] {
				s.log.Error("segment file that no leaf names; it is ignored", "file", name)
				s.damaged[name] = "no leaf of the ledger names this file"
			}
			found[name] = true
			return nil
		}
		final += suffix
		changed[path.Dir(name)] = true
		if known[final] {
			found[final] = true
			return s.o.FS.Rename(name, final)
		}
		return s.o.FS.Remove(name)
	})
	if err != nil {
		return fmt.Errorf("finish segments: %w", err)
	}
	for dir := range changed {
		if err := s.o.FS.SyncDir(dir); err != nil {
			return fmt.Errorf("finish segments: %w", err)
		}
	}
	for _, leaf := range c.Segments {
		if !found[leaf.Path] {
			s.damage(leaf.Path, "", 0, fault.Errorf(fault.Tampered, "segment %s is in the ledger and its file is missing", leaf.ID))
		}
	}
	return nil
}

// walk calls f for each file below a folder of at most four levels.
func (s *Store) walk(dir string, depth int, f func(name string) error) error {
	list, err := s.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && depth == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		name := path.Join(dir, e.Name())
		switch {
		case !e.IsDir():
			err = f(name)
		case depth < 4:
			err = s.walk(name, depth+1, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
