package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// The examples of C2SP tlog-tiles.
func TestTilePath(t *testing.T) {
	f := func(level int, n int64, w int, want string) {
		t.Helper()
		in := tlog.Tile{H: TileHeight, L: level, N: n, W: w}
		if got := TilePath(in); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
		if got, ok := ParseTilePath(want); !ok || got != in {
			t.Errorf("%s: %v %v", want, got, ok)
		}
	}
	f(0, 0, 256, "tile/0/000")
	f(0, 273, 112, "tile/0/273.p/112")
	f(1, 1, 17, "tile/1/001.p/17")
	f(0, 1234067, 256, "tile/0/x001/x234/067")
	f(-1, 1234067, 8, "tile/entries/x001/x234/067.p/8")
	f(63, 999999999, 255, "tile/63/x999/x999/999.p/255")
	for _, bad := range []string{"", "tile", "tile/0", "tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p",
		"tile/64/000", "tile/-1/000", "tile/data/000", "tile/00/000", "tile/0/x000/000", "tile/0/001/000", "tile/8/0/000",
		"tile/0/x001/x234/x067", "tile/0/000.p/1/2", "other/0/000", "tile/0/+01"} {
		if got, ok := ParseTilePath(bad); ok {
			t.Errorf("%q parsed as %v", bad, got)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/entries/x001/234.p/8", "tile/0/x000/000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if tile, ok := ParseTilePath(s); ok && TilePath(tile) != s {
			t.Errorf("%q is not the path of %v", s, tile)
		}
	})
}

func FuzzSplitEntries(f *testing.F) {
	f.Add(appendEntry(appendEntry(nil, []byte("a")), nil), 2)
	f.Add([]byte{0, 3, 'a'}, 1)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		if width < 0 || width > TileWidth {
			return
		}
		entries, err := SplitEntries(data, width)
		var again []byte
		for _, e := range entries {
			if e.Offset != int64(len(again)) {
				t.Fatalf("offset %d, want %d", e.Offset, len(again))
			}
			again = appendEntry(again, e.Data)
		}
		if !bytes.HasPrefix(data, again) || (err == nil) != (len(entries) == width && len(again) == len(data)) {
			t.Errorf("%d entries of %d bytes, %v", len(entries), len(data), err)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	signer, verifier := testKeys(f, 1)
	good, err := sign(signer, origin, tlog.Tree{N: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Note)
	f.Add(bytes.ReplaceAll(good.Note, []byte("3"), []byte("4")))
	f.Fuzz(func(t *testing.T, msg []byte) {
		// Nothing that the signer did not sign passes.
		cp, err := ParseCheckpoint(msg, verifier)
		if err == nil && (cp.Size != 3 || cp.Origin != origin) {
			t.Errorf("forged: %q", msg)
		}
		parseBody(string(msg))
	})
}

func TestParseBody(t *testing.T) {
	root := strings.Repeat("A", 43) + "="
	for _, bad := range []string{"", "o\n1\n", "o\n01\n" + root + "\n", "o\n-1\n" + root + "\n", "o\n1\nAA==\n", "\n1\n" + root + "\n", "o\n1\n" + root, "o\n99999999999999999999\n" + root + "\n"} {
		if c, err := parseBody(bad); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%q: %v, %v", bad, c, err)
		}
	}
	if c, err := parseBody("o\n7\n" + root + "\nextension\n"); err != nil || c.Size != 7 {
		t.Errorf("extension line: %v, %v", c, err)
	}
}

func TestDecode(t *testing.T) {
	leaves := []any{
		Genesis{Origin: "o", At: 1, Version: "v"},
		Segment{ID: "s", Path: "segments/s.seg", SealedAt: 2, Records: 1<<64 - 1},
		Epoch{At: 3, Reason: "seal", Part: 1, Parts: 1, Sources: []Source{{Tenant: "t", Source: "a<b>&", Rejected: []Count{{"r", 1}}}}},
		Key{At: 4, Action: "created"}, Config{At: 5}, Report{At: 6}, Damage{At: 7, Offset: -1},
		Compact{At: 8, Reason: "merge", Output: "c", Inputs: []string{"a", "b"}, Records: 1<<64 - 1, Reencoded: 3},
		Destruction{At: 9, Reason: "retention", Policy: "app 90d", Segments: []string{"c"}, KeyIDs: []string{"k"}, Part: 1, Parts: 1},
		Hold{At: 10, Action: "placed", ID: "case-7", From: "2026-01-01"},
		Policy{At: 11, SHA256: "ab", Was: "cd", Owner: "security", Changes: []string{"+ a rule"}},
		Tokens{At: 12, Seq: 3, Hash: "ef"},
	}
	for i, leaf := range leaves {
		data, err := encode(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, []byte(`{"type":"`)) {
			t.Errorf("type is not first: %s", data)
		}
		d, err := Decode(data)
		if err != nil || d.At() != int64(i+1) || len(d.Unknown) != 0 {
			t.Fatalf("%s: %+v, %v", data, d, err)
		}
		want, _ := withType(leaf)
		if !reflect.DeepEqual(d.Value, want) {
			t.Errorf("%+v, want %+v", d.Value, want)
		}
	}
	d, err := Decode([]byte(`{"type":"approval","case":"x"}`))
	if err != nil || d.Type != "approval" || d.Value != nil || d.At() != 0 {
		t.Errorf("unknown type: %+v, %v", d, err)
	}
	d, err = Decode([]byte(`{"type":"key","zeta":1,"alpha":2,"at":9}`))
	if err != nil || !reflect.DeepEqual(d.Unknown, []string{"alpha", "zeta"}) || d.At() != 9 {
		t.Errorf("unknown fields: %+v, %v", d, err)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"type":1}`, `{"type":""}`, `{"type":"key","at":"x"}`, `{"type":"key"} x`} {
		if d, err := Decode([]byte(bad)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %+v, %v", bad, d, err)
		}
	}
}

// TestSplitDestruction cuts a certificate of very many segments into leaves that
// fit, and loses nothing.
func TestSplitDestruction(t *testing.T) {
	for _, n := range []int{0, 1, maxDestroyed, maxDestroyed + 1, 5 * maxDestroyed} {
		d := Destruction{At: 1, Tenant: strings.Repeat("t", 64), Class: strings.Repeat("c", 64), Day: "2026-01-01", Reason: "retention", Policy: strings.Repeat("p", 500)}
		for i := range n {
			d.Segments, d.KeyIDs = append(d.Segments, fmt.Sprintf("%032x", i)), append(d.KeyIDs, fmt.Sprintf("%032x", n+i))
		}
		var records uint64
		var bytes int64
		var segments, keys []string
		leaves := d.Split(func(string) (uint64, int64) { return 3, 5 })
		for i, l := range leaves {
			if _, err := encode(l); err != nil {
				t.Fatal(err)
			}
			p := l.(Destruction)
			if p.Part != i+1 || p.Parts != len(leaves) || p.Tenant != d.Tenant {
				t.Errorf("part %+v of %d", p, len(leaves))
			}
			records, bytes = records+p.Records, bytes+p.Bytes
			segments, keys = append(segments, p.Segments...), append(keys, p.KeyIDs...)
		}
		if records != uint64(3*n) || bytes != int64(5*n) || !slices.Equal(segments, d.Segments) || !slices.Equal(keys, d.KeyIDs) {
			t.Errorf("%d segments: %d records, %d bytes, %d segments, %d keys", n, records, bytes, len(segments), len(keys))
		}
	}
}

func TestHoldCovers(t *testing.T) {
	h := Hold{Tenant: "t", From: "2026-01-02", To: "2026-01-03"}
	for day, want := range map[string]bool{"2026-01-01": false, "2026-01-02": true, "2026-01-03": true, "2026-01-04": false} {
		if h.Covers("t", "app", day) != want {
			t.Errorf("%s: not %v", day, want)
		}
	}
	if h.Covers("u", "app", "2026-01-02") || !(&Hold{}).Covers("u", "x", "2026-01-02") || (&Hold{Class: "x"}).Covers("u", "y", "2026-01-02") {
		t.Error("tenant or class of a hold")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"epoch","at":1,"sources":[{"tenant":"t"}]}`))
	f.Add([]byte(`{"type":"segment","records":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Decode(data)
		if err != nil || d.Value == nil {
			return
		}
		if _, err := encode(d.Value); err != nil && !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
	})
}

func TestSplitEpoch(t *testing.T) {
	for _, n := range []int{0, 1, 100, 3000} {
		e := Epoch{At: 1, Reason: "interval"}
		for i := range n {
			e.Sources = append(e.Sources, Source{Tenant: "t", Source: strings.Repeat("s", i%200), Received: uint64(i)})
		}
		leaves, err := e.Split()
		if err != nil {
			t.Fatal(err)
		}
		var got []Source
		for i, leaf := range leaves {
			p := leaf.(Epoch)
			if p.Part != i+1 || p.Parts != len(leaves) || p.At != 1 {
				t.Errorf("part %d of %d: %+v", i+1, len(leaves), p)
			}
			data, err := encode(p)
			if err != nil || bytes.Contains(data, []byte("null")) {
				t.Fatalf("%v: %.80s", err, data)
			}
			got = append(got, p.Sources...)
		}
		if !reflect.DeepEqual(got, e.Sources) {
			t.Errorf("%d sources became %d", n, len(got))
		}
	}
	e := Epoch{Sources: []Source{{Source: strings.Repeat("x", MaxLeaf)}}}
	if _, err := e.Split(); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
	if b, _ := json.Marshal(Source{}); len(b) == 0 {
		t.Error("no JSON")
	}
}

// TestEdge compares the head that grows with the one package tlog computes,
// over three levels of tiles.
func TestEdge(t *testing.T) {
	var e Edge
	var stored []tlog.Hash
	full := map[int]int64{}
	reader := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(idx))
		for i, x := range idx {
			out[i] = stored[x]
		}
		return out, nil
	})
	for n := range int64(66_000) {
		h := tlog.RecordHash([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
		more, err := tlog.StoredHashesForRecordHash(n, h, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		e.Add(h, func(level int, tile []tlog.Hash) {
			for i, got := range tile {
				if level > 0 && got != stored[tlog.StoredHashIndex(level*TileHeight, full[level]*TileWidth+int64(i))] {
					t.Fatalf("leaf %d: hash %d of tile %d of level %d", n, i, full[level], level)
				}
			}
			full[level]++
		})
		if size := n + 1; size < 1000 || size%97 == 0 || size > 65_500 && size < 65_600 {
			want, err := tlog.TreeHash(size, reader)
			if err != nil || e.Root() != want {
				t.Fatalf("%d leaves: %v, want %v, %v", size, e.Root(), want, err)
			}
		}
	}
	if full[0] != 257 || full[1] != 1 {
		t.Errorf("full tiles by level: %v", full)
	}
	if got := (Edge{}).Root(); got.String() != "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		t.Errorf("empty root %v", got)
	}
}
