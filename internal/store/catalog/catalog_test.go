package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
)

// log is a ledger of leaves as they are on disk.
type log [][]byte

func (l log) Checkpoint() ledger.Checkpoint { return ledger.Checkpoint{Size: int64(len(l))} }

func (l log) Entries(from, to int64, f func(i int64, leaf []byte) error) error {
	for i := from; i < to; i++ {
		if err := f(i, l[i]); err != nil {
			return err
		}
	}
	return nil
}

func logOf(t *testing.T, leaves ...any) log {
	t.Helper()
	var l log
	for _, leaf := range leaves {
		data, err := json.Marshal(leaf)
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, data)
	}
	return l
}

func epoch(part, parts int, seq uint64, sources ...string) ledger.Epoch {
	e := ledger.Epoch{Type: ledger.TypeEpoch, Part: part, Parts: parts, JournalSeq: seq}
	for _, s := range sources {
		e.Sources = append(e.Sources, ledger.Source{Tenant: "t", Source: s})
	}
	return e
}

func TestLoad(t *testing.T) {
	c, err := Load(logOf(t,
		ledger.Genesis{Type: ledger.TypeGenesis},
		epoch(1, 1, 3, "a"),
		ledger.Key{Type: ledger.TypeKey, Action: "created", ID: "k1"},
		ledger.Segment{Type: ledger.TypeSegment, ID: "s1", JournalUpto: 9},
		ledger.Segment{Type: ledger.TypeSegment, ID: "s2", JournalUpto: 7},
		epoch(1, 2, 12, "a"),
		epoch(2, 2, 12, "b"),
		ledger.Damage{Type: ledger.TypeDamage, File: "x"},
		map[string]any{"type": "of the future"},
	))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Segments) != 2 || c.Sealed != 9 || !c.Keys["k1"] || !c.Damaged["x"] {
		t.Errorf("catalog %+v", c)
	}
	if e := c.Epoch; e.JournalSeq != 12 || len(e.Sources) != 2 || e.Sources[1].Source != "b" {
		t.Errorf("epoch %+v", e)
	}
}

func TestLoadRefusesWhatIsNoLeaf(t *testing.T) {
	if _, err := Load(log{[]byte("not a leaf")}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("load: %v", err)
	}
}

// TestLives follows segments through compaction and destruction.
func TestLives(t *testing.T) {
	seg := func(id, key string) ledger.Segment {
		return ledger.Segment{Type: ledger.TypeSegment, ID: id, Path: "p/" + id, KeyID: key, Size: 10}
	}
	hold := func(action, id string) ledger.Hold {
		return ledger.Hold{Type: ledger.TypeHold, Action: action, ID: id}
	}
	leaves := []any{
		ledger.Genesis{Type: ledger.TypeGenesis},
		seg("a", "k"), seg("b", "k"), seg("c", "k"), seg("x", "l"),
		ledger.Compact{Type: ledger.TypeCompact, Reason: Merge, Output: "ab", Inputs: []string{"a", "b"}}, seg("ab", "k"),
		hold("placed", "h1"), hold("placed", "h2"),
		ledger.Compact{Type: ledger.TypeCompact, Reason: Close, Output: "abc", Inputs: []string{"ab", "c"}}, seg("abc", "k"),
		hold("released", "h1"),
		ledger.Destruction{Type: ledger.TypeDestruction, Segments: []string{"abc"}, KeyIDs: []string{"k", "m"}, Records: 7},
		ledger.Key{Type: ledger.TypeKey, Action: "destroyed", ID: "m"},
	}
	for _, step := range []struct {
		leaves          int
		live, removed   string
		doomed, holding string
	}{
		{5, "a0 b0 c0 x0", "", "", ""},
		{7, "c0 x0 ab1", "p/a p/b", "", ""},
		{9, "c0 x0 ab1", "p/a p/b", "", "h1 h2"},
		{11, "x0 abc2", "p/a p/ab p/b p/c", "", "h1 h2"},
		{12, "x0 abc2", "p/a p/ab p/b p/c", "", "h2"},
		{13, "x0", "p/a p/ab p/abc p/b p/c", "k m", "h2"},
		{14, "x0", "p/a p/ab p/abc p/b p/c", "k", "h2"},
	} {
		c, err := Load(logOf(t, leaves[:step.leaves]...))
		if err != nil {
			t.Fatal(err)
		}
		var live, holds []string
		for _, s := range c.Segments {
			live = append(live, fmt.Sprint(s.ID, s.Level))
		}
		for _, h := range c.Holds {
			holds = append(holds, h.ID)
		}
		removed, doomed := slices.Sorted(maps.Keys(c.Removed)), slices.Sorted(maps.Keys(c.Doomed))
		for _, x := range [][2]string{{strings.Join(live, " "), step.live}, {strings.Join(removed, " "), step.removed}, {strings.Join(doomed, " "), step.doomed}, {strings.Join(holds, " "), step.holding}} {
			if x[0] != x[1] {
				t.Errorf("after %d leaves: %q, want %q", step.leaves, x[0], x[1])
			}
		}
		if step.leaves == len(leaves) && c.Written != (Written{SealedBytes: 40, Compactions: 2, CompactedBytes: 20, DestroyedSegments: 1, DestroyedRecords: 7}) {
			t.Errorf("written: %+v", c.Written)
		}
	}
}
