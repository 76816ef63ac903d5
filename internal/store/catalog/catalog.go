// Package catalog derives from the ledger's leaves what the store must know to
// open: which segments exist, how far the journal is sealed, the accounts of the
// newest epoch, which destructions are not finished and which holds are placed.
// It keeps no file of its own: the ledger is the truth, and what is not under a
// checkpoint does not exist.
package catalog

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
)

// A Catalog is what the leaves say. It is built once and then the caller's.
type Catalog struct {
	Segments []Segment             // live ones, in the order of their leaves
	Removed  map[string]bool       // paths of compacted and destroyed segments: their files may be left
	Epoch    ledger.Epoch          // the newest whole one, its sources put together
	Keys     map[string]bool       // ids of data keys that a leaf says were created
	Doomed   map[string]ledger.Key // keys that a certificate names and no leaf says are destroyed, by id
	Holds    []ledger.Hold         // placed and not released, in the order of their leaves
	Damaged  map[string]bool       // files that a leaf says are damaged
	Sealed   uint64                // the journal's frames up to here are in segments

	Written Written
}

// A Segment is a live segment.
type Segment struct {
	ledger.Segment
	// Level is how often the records were compacted: 0 as they were sealed, 1
	// merged, 2 when their day was closed.
	Level uint8
}

// Written counts what was ever written and destroyed.
type Written struct {
	SealedBytes       int64 // of segments as they were sealed
	Compactions       int64
	CompactedBytes    int64 // of outputs
	DestroyedSegments int64
	DestroyedRecords  uint64
}

// Reader is what of a ledger Load needs.
type Reader interface {
	Checkpoint() ledger.Checkpoint
	Entries(from, to int64, f func(i int64, leaf []byte) error) error
}

// Load reads every leaf.
func Load(l Reader) (*Catalog, error) {
	c := &Catalog{Keys: make(map[string]bool), Damaged: make(map[string]bool), Removed: make(map[string]bool), Doomed: make(map[string]ledger.Key)}
	var parts []ledger.Epoch
	var segments []Segment
	byID := make(map[string]int)
	outputs := make(map[string]uint8)
	remove := func(ids []string) {
		for _, id := range ids {
			if n, ok := byID[id]; ok {
				c.Removed[segments[n].Path] = true
				delete(byID, id)
			}
		}
	}
	err := l.Entries(0, l.Checkpoint().Size, func(i int64, data []byte) error {
		leaf, err := ledger.Decode(data)
		if err != nil {
			return fault.Errorf(fault.KindOf(err), "read leaf %d: %w", i, err)
		}
		switch v := leaf.Value.(type) {
		case ledger.Segment:
			level := outputs[v.ID]
			byID[v.ID] = len(segments)
			segments = append(segments, Segment{v, level})
			c.Sealed = max(c.Sealed, v.JournalUpto)
			if level == 0 {
				c.Written.SealedBytes += v.Size
			} else {
				c.Written.CompactedBytes += v.Size
			}
		case ledger.Compact:
			outputs[v.Output] = LevelOf(v.Reason)
			c.Written.Compactions++
			remove(v.Inputs)
		case ledger.Destruction:
			c.Written.DestroyedSegments += int64(len(v.Segments))
			c.Written.DestroyedRecords += v.Records
			remove(v.Segments)
			for _, id := range v.KeyIDs {
				c.Doomed[id] = ledger.Key{ID: id, Tenant: v.Tenant, Class: v.Class, Day: v.Day}
			}
		case ledger.Key:
			c.Keys[v.ID] = v.Action == "created"
			if v.Action == "destroyed" {
				delete(c.Doomed, v.ID)
			}
		case ledger.Hold:
			c.Holds = slices.DeleteFunc(c.Holds, func(h ledger.Hold) bool { return h.ID == v.ID })
			if v.Action == "placed" {
				c.Holds = append(c.Holds, v)
			}
		case ledger.Damage:
			c.Damaged[v.File] = true
		case ledger.Epoch:
			if v.Part == 1 {
				parts = parts[:0]
			}
			if parts = append(parts, v); len(parts) == v.Parts {
				c.Epoch = join(parts)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "derive catalog: %w", err)
	}
	for i, seg := range segments {
		if n, live := byID[seg.ID]; live && n == i {
			c.Segments = append(c.Segments, seg)
		}
	}
	return c, nil
}

// The reasons of compactions.
const (
	Merge = "merge" // a run of small segments
	Close = "close" // the rest of a day that is over
)

// LevelOf returns the level of the output of a compaction.
func LevelOf(reason string) uint8 {
	if reason == Close {
		return 2
	}
	return 1
}

func join(parts []ledger.Epoch) ledger.Epoch {
	e := parts[0]
	e.Sources = nil
	for _, p := range parts {
		e.Sources = append(e.Sources, p.Sources...)
	}
	return e
}
