package catalog

import (
	"encoding/json"
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
