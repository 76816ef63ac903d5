// Package catalog derives from the ledger's leaves what the store must know to
// open: which segments exist, how far the journal is sealed, and the accounts
// of the newest epoch. It keeps no file of its own: the ledger is the truth,
// and what is not under a checkpoint does not exist.
package catalog

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
)

// A Catalog is what the leaves say. It is built once and then the caller's.
type Catalog struct {
	Segments []ledger.Segment // in the order of their leaves
	Epoch    ledger.Epoch     // the newest whole one, its sources put together
	Keys     map[string]bool  // ids of data keys that a leaf says were created
	Damaged  map[string]bool  // files that a leaf says are damaged
	Sealed   uint64           // the journal's frames up to here are in segments
}

// Reader is what of a ledger Load needs.
type Reader interface {
	Checkpoint() ledger.Checkpoint
	Entries(from, to int64, f func(i int64, leaf []byte) error) error
}

// Load reads every leaf.
func Load(l Reader) (*Catalog, error) {
	c := &Catalog{Keys: make(map[string]bool), Damaged: make(map[string]bool)}
	var parts []ledger.Epoch
	err := l.Entries(0, l.Checkpoint().Size, func(i int64, data []byte) error {
		leaf, err := ledger.Decode(data)
		if err != nil {
			return fault.Errorf(fault.KindOf(err), "read leaf %d: %w", i, err)
		}
		switch v := leaf.Value.(type) {
		case ledger.Segment:
			c.Segments = append(c.Segments, v)
			c.Sealed = max(c.Sealed, v.JournalUpto)
		case ledger.Key:
			c.Keys[v.ID] = v.Action == "created"
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
	return c, nil
}

func join(parts []ledger.Epoch) ledger.Epoch {
	e := parts[0]
	e.Sources = nil
	for _, p := range parts {
		e.Sources = append(e.Sources, p.Sources...)
	}
	return e
}
