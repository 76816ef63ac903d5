package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

var update = flag.Bool("update", false, "write spec/vectors anew")

// A vector is a ledger made from a fixed seed, as other implementations see it.
type vector struct {
	Comment    string            `json:"comment"`
	Seed       string            `json:"ed25519Seed"` // hex
	Verifier   string            `json:"verifierKey"`
	Appends    []int             `json:"leavesByAppend"` // how the leaves were grouped
	Leaves     []string          `json:"leaves"`         // the first three and the last two
	Checkpoint string            `json:"checkpoint"`
	Files      map[string]string `json:"files"` // SHA-256, hex
	Inclusion  []string          `json:"inclusionOfLeaf5"`
}

// TestVector builds the ledger of spec/vectors/ledger.json again.
func TestVector(t *testing.T) {
	m := memfs.New()
	create(t, m)
	l := open(t, m)
	_, verifier := testKeys(t, 1)
	v := vector{
		Comment:    "Leaf 0 is the genesis; leaf i > 0 is the epoch whose at is 1700000000000000000 + i and whose journalSeq is i; the last two leaves are a segment and an epoch. Listed are the first three leaves and the last two.",
		Seed:       "0101010101010101010101010101010101010101010101010101010101010101",
		Verifier:   verifierKey(t),
		Appends:    []int{1, 1, 6, 250, 42},
		Files:      map[string]string{},
		Checkpoint: "",
	}
	for _, n := range v.Appends[1:] {
		appendN(t, l, n)
	}
	leaves := []any{
		Segment{ID: "000102030405060708090a0b0c0d0e0f", Path: "segments/default/app/2023-11-14/000102030405060708090a0b0c0d0e0f.seg", Version: 1, Tenant: "default", Class: "app", Day: "2023-11-14", Size: 4096, Root: hex.EncodeToString(make([]byte, 32)), Records: 10, MinTime: 1, MaxTime: 2, MinIngest: 3, MaxIngest: 4, FirstOrd: 5, LastOrd: 6, KeyID: "k", KeyCommitment: hex.EncodeToString(make([]byte, 32)), JournalUpto: 7, SealedAt: 8},
		Epoch{At: 9, Reason: "seal", JournalSeq: 7, JournalHash: hex.EncodeToString(make([]byte, 32)), Part: 1, Parts: 1, Sources: []Source{{Tenant: "default", Source: "elastic/admin", Received: 13, Stored: 10, Rejected: []Count{{Name: "malformed_json", N: 1}}, Dropped: []Count{{Name: "health", N: 1}}, Deduplicated: 1, FirstSeen: 1, LastSeen: 2}}},
	}
	cp, err := l.Append(context.Background(), leaves...)
	if err != nil {
		t.Fatal(err)
	}
	v.Appends = append(v.Appends, len(leaves))
	v.Checkpoint = string(cp.Note)
	keep := func(_ int64, leaf []byte) error { v.Leaves = append(v.Leaves, string(leaf)); return nil }
	l.Entries(0, 3, keep)
	l.Entries(cp.Size-2, cp.Size, keep)
	walkTiles(m, func(name string, _ tlog.Tile, _ bool) error {
		data, err := vfs.ReadFile(m, name)
		sum := sha256.Sum256(data)
		v.Files[name] = hex.EncodeToString(sum[:])
		return err
	})
	proof, err := l.Prove(5, cp.Size)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range proof {
		v.Inclusion = append(v.Inclusion, hex.EncodeToString(h[:]))
	}
	if _, err := ParseCheckpoint([]byte(v.Checkpoint), verifier); err != nil {
		t.Error(err)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, filepath.Join("..", "..", "spec", "vectors", "ledger.json"), append(got, '\n'))
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs from what is built now; a released format never changes:\n%s", file, got)
	}
}
