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
		gate:   newGate(),
		active: memtable.New(), wake: make(chan struct{}, 1), damaged: map[string]string{}, shunned: map[string]time.Time{},
	}
	s.active.Limit(o.Limits.Columns)
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
		s.done.Add(2)
		go s.sealLoop(run)
		go s.compactLoop(run)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	c, err := catalog.Load(s.o.Ledger)
	if err != nil {
		return err
	}
	s.keys.leaf, s.doomed, s.written, s.holds = c.Keys, c.Doomed, c.Written, c.Holds
	s.totals, s.sealed = totalsOf(c.Epoch.Sources), c.Sealed
	if c.Epoch.At > 0 {
		s.resumed = time.Unix(0, c.Epoch.At)
	}
	if err := s.shred(ctx); err != nil {
		if s.failed != nil {
			return err
		}
		s.log.Error("finish a destruction; it is tried again with the next one", "err", err)
	}
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

// finishSegments gives committed segments their names, removes what was never
// committed and what was compacted or destroyed, and reports segments whose file
// is gone.
func (s *Store) finishSegments(c *catalog.Catalog) error {
	known := make(map[string]bool, len(c.Segments))
	for _, seg := range c.Segments {
		h := s.newHandle(seg.Segment)
		h.level = seg.Level
		s.segments = append(s.segments, h)
		known[seg.Path] = true
	}
	for f := range c.Damaged {
		if c.Removed[f] {
			continue
		}
		s.damaged[f] = "damaged, as the ledger says"
	}
	found := make(map[string]bool)
	changed := make(map[string]bool)
	err := s.walk(segmentsDir, 0, func(name string) error {
		final, unfinished := strings.CutSuffix(name, newSuffix)
		if !unfinished {
			if c.Removed[name] {
				changed[path.Dir(name)] = true
				return s.o.FS.Remove(name)
			}
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
