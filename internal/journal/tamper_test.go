package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// folder is the content of a journal folder, as tampering tests change it.
type folder map[string][]byte

func (f folder) clone() folder {
	c := folder{}
	for n, b := range f {
		c[n] = bytes.Clone(b)
	}
	return c
}

func (f folder) write(t testing.TB) *memfs.FS {
	t.Helper()
	m := memfs.New()
	for n, b := range f {
		if err := vfs.WriteFile(m, n, b); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (f folder) names() []string { return slices.Sorted(maps.Keys(f)) }

// makeFolder returns a cleanly closed journal of about size bytes in files of
// fileSize, and its head.
func makeFolder(t testing.TB, size, fileSize int64) (folder, Position) {
	t.Helper()
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m, FileSize: fileSize})
	for n := uint64(0); j.Size() < size; n++ {
		appendAll(t, j, n, n+1, 20+int(n*37%900))
	}
	head := j.Head()
	closeJournal(t, j)
	return dump(t, m), head
}

// frameStarts returns the offsets of the frames of a good file.
func frameStarts(t testing.TB, b []byte) []int {
	t.Helper()
	var out []int
	for off := headerSize; off < len(b); {
		n, why := frameLen(b[off:])
		if why != "" {
			t.Fatalf("offset %d: %s", off, why)
		}
		out = append(out, off)
		off += n
	}
	return out
}

// want checks that a report has exactly one proof of tampering, at this place.
func want(t *testing.T, rep Report, err error, what, file string, offset int) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !rep.Tampered() {
		t.Fatalf("%s: not found: %+v", what, rep)
	}
	if f := rep.Findings[0]; f.File != file || f.Offset != int64(offset) || f.Detail == "" {
		t.Fatalf("%s: found %+v, want file %s offset %d", what, f, file, offset)
	}
}

// TestEveryFlippedByteIsNamed flips each byte of a closed file of about 64 KiB
// and wants the file and the offset of the header or frame concerned.
func TestEveryFlippedByteIsNamed(t *testing.T) {
	good, head := makeFolder(t, 64<<10, 1<<20)
	name := good.names()[0]
	data := good[name]
	starts := frameStarts(t, data)
	m := good.write(t)
	file, err := m.OpenRW(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	at := 0 // start of what byte i belongs to
	for i := range data {
		for len(starts) > 0 && i >= starts[0] {
			at, starts = starts[0], starts[1:]
		}
		if i >= headerSize && i-at >= frameHeaderSize+12 && i%7 != 0 && !long() {
			continue // of the payloads every seventh; all of them in the long run
		}
		flip := data[i] ^ 1<<(i%8)
		if _, err := file.WriteAt([]byte{flip}, int64(i)); err != nil {
			t.Fatal(err)
		}
		rep, err := Verify(m, &head)
		want(t, rep, err, fmt.Sprintf("byte %d", i), name, at)
		if _, err := file.WriteAt(data[i:i+1], int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if rep, err := Verify(m, &head); err != nil || len(rep.Findings) > 0 {
		t.Fatalf("the good file: %+v %v", rep, err)
	}
}

// TestFlippedByteOpensLoudly: the server starts on a new file, with the frames
// before the damage, and the rest is in quarantine.
func TestFlippedByteOpensLoudly(t *testing.T) {
	good, head := makeFolder(t, 12_000, 3000)
	total := head.Seq
	for k, name := range good.names() {
		for i := 0; i < len(good[name]); i += 41 {
			bad := good.clone()
			bad[name][i] ^= 0x10
			m := bad.write(t)
			j, rec := mustOpen(t, Options{FS: m, Anchor: &head})
			if len(rec.Damage) == 0 || rec.Err() == nil || rec.Damage[0].File != name && k == 0 {
				t.Fatalf("%s byte %d: recovery %+v", name, i, rec)
			}
			before := replay(t, j, 0)
			wantNumbers(t, before, 0, uint64(len(before)))
			if uint64(len(before)) >= total {
				t.Fatalf("%s byte %d: all frames came back", name, i)
			}
			seq, err := j.Append(t.Context(), payload(1<<30, 10), nil)
			if err != nil || seq <= total {
				t.Fatalf("%s byte %d: append got seq %d, of which %d were used: %v", name, i, seq, total, err)
			}
			after := j.Head()
			closeJournal(t, j)
			checkQuarantine(t, m, bad, rec)

			// It stays open, the gap stays visible, and release ends it.
			j, rec = mustOpen(t, Options{FS: m, Anchor: &after})
			if rec.Damage != nil || len(replay(t, j, 0)) == 0 {
				t.Fatalf("%s byte %d: second open: %+v", name, i, rec)
			}
			if rep, err := Verify(m, &after); err != nil || len(before) > 0 && !rep.Tampered() {
				t.Fatalf("%s byte %d: the gap is hidden: %+v %v", name, i, rep, err)
			}
			if err := j.Release(after.Seq); err != nil {
				t.Fatal(err)
			}
			closeJournal(t, j)
			if rep, err := Verify(m, &after); err != nil || len(rep.Findings) > 0 {
				t.Fatalf("%s byte %d: after release: %+v %v", name, i, rep, err)
			}
		}
	}
}

// checkQuarantine wants each lost range to be in quarantine, byte for byte.
func checkQuarantine(t *testing.T, m *memfs.FS, bad folder, rec Recovery) {
	t.Helper()
	for _, l := range rec.Damage {
		if l.Bytes == 0 {
			continue
		}
		got, err := vfs.ReadFile(m, "quarantine/"+l.Moved)
		if err != nil || !bytes.Equal(got, bad[l.File][l.Offset:l.Offset+l.Bytes]) {
			t.Fatalf("quarantine of %+v: %d bytes, %v", l, len(got), err)
		}
	}
}

// TestCrashDuringRecovery takes a crash clone at each step of taking damage out:
// a second recovery must end in the same journal, and report.
func TestCrashDuringRecovery(t *testing.T) {
	good, head := makeFolder(t, 9000, 2500)
	names := good.names()
	bad := good.clone()
	bad[names[1]][700] ^= 1
	rng := rand.New(rand.NewPCG(8, 8))
	for range 20 {
		var clones []*memfs.FS
		m := bad.write(t)
		fs := watched(m, func() { clones = append(clones, m.CrashClone(rng)) })
		j, _ := mustOpen(t, Options{FS: fs, Anchor: &head})
		first := replay(t, j, 0)
		closeJournal(t, j)
		for i, c := range clones {
			j, rec := mustOpen(t, Options{FS: c, Anchor: &head})
			got := replay(t, j, 0)
			if !slices.Equal(got, first) {
				t.Fatalf("clone %d: %d frames, want %d", i, len(got), len(first))
			}
			if rec.Damage == nil {
				// Reported already, unless the process died before it could.
				dir, err := c.ReadDir("quarantine")
				if err != nil || len(dir) == 0 {
					t.Fatalf("clone %d: neither reported nor kept: %v", i, err)
				}
			}
			seq, err := j.Append(t.Context(), payload(1, 8), nil)
			if err != nil || seq <= head.Seq {
				t.Fatalf("clone %d: seq %d of %d used, %v", i, seq, head.Seq, err)
			}
			closeJournal(t, j)
		}
	}
}

// TestTruncatedAtEveryLength: with an anchor every missing byte is found.
func TestTruncatedAtEveryLength(t *testing.T) {
	good, head := makeFolder(t, 8<<10, 5000)
	for _, name := range good.names() {
		starts := append(frameStarts(t, good[name]), len(good[name]))
		for n := range good[name] {
			bad := good.clone()
			bad[name] = bad[name][:n]
			at := 0
			for _, s := range starts {
				if s <= n {
					at = s
				}
			}
			rep, err := Verify(bad.write(t), &head)
			want(t, rep, err, fmt.Sprintf("%s cut to %d", name, n), name, at)
		}
	}
}

func TestFilesDroppedSwappedAndExchanged(t *testing.T) {
	good, head := makeFolder(t, 16<<10, 4000)
	other, _ := makeFolder(t, 16<<10, 4000)
	names := good.names()
	if len(names) < 4 || !slices.Equal(names, other.names()) {
		t.Fatalf("files %v and %v", names, other.names())
	}
	last := len(names) - 1
	end := func(i int) int { return len(good[names[i]]) }
	f := func(what, file string, offset int, change func(folder)) {
		t.Helper()
		bad := good.clone()
		change(bad)
		m := bad.write(t)
		rep, err := Verify(m, &head)
		want(t, rep, err, what, file, offset)
		j, rec := mustOpen(t, Options{FS: m, Anchor: &head})
		if len(rec.Damage) == 0 {
			t.Errorf("%s: opened without a word", what)
		}
		closeJournal(t, j)
	}
	f("drop a middle file", names[0], end(0), func(b folder) { delete(b, names[1]) })
	f("drop the last file", names[last-1], end(last-1), func(b folder) { delete(b, names[last]) })
	f("swap two files", names[1], 0, func(b folder) { b[names[1]], b[names[2]] = b[names[2]], b[names[1]] })
	f("a middle file of another journal", names[1], 0, func(b folder) { b[names[1]] = other[names[1]] })
	f("the first file of another journal", names[1], 0, func(b folder) { b[names[0]] = other[names[0]] })
	f("the last file of another journal", names[last], 0, func(b folder) { b[names[last]] = other[names[last]] })
	f("bytes behind a closed file", names[1], end(1), func(b folder) { b[names[1]] = append(b[names[1]], 0, 0, 9) })
	f("an older state of the last file", names[last], frameStarts(t, good[names[last]])[2], func(b folder) {
		b[names[last]] = b[names[last]][:frameStarts(t, good[names[last]])[2]]
	})
	f("a frame twice", names[1], frameStarts(t, good[names[1]])[1], func(b folder) {
		s := frameStarts(t, b[names[1]])
		b[names[1]] = slices.Insert(b[names[1]], s[1], b[names[1]][s[0]:s[1]]...)
	})
	f("two frames exchanged", names[1], frameStarts(t, good[names[1]])[0], func(b folder) {
		s := frameStarts(t, b[names[1]])
		x := b[names[1]]
		b[names[1]] = slices.Concat(x[:s[0]], x[s[1]:s[2]], x[s[0]:s[1]], x[s[2]:])
	})

	if rep, _ := Verify(memfs.New(), &head); !rep.Tampered() {
		t.Error("an empty folder verifies")
	}
	bad := good.clone() // nonsense that is no journal file of ours
	bad["x.wal"] = []byte("hello")
	if rep, err := Verify(bad.write(t), &head); err != nil || !rep.Tampered() {
		t.Errorf("a foreign file: %+v %v", rep, err)
	}
	// Behind the anchor nothing can be proved, but it is said.
	bad = good.clone()
	bad[names[last]] = append(bad[names[last]], bad[names[1]]...)
	if rep, err := Verify(bad.write(t), &head); err != nil || len(rep.Findings) != 1 || rep.Findings[0].Kind != Torn {
		t.Errorf("bytes behind the last file: %+v %v", rep, err)
	}
	bad = good.clone() // all of the oldest: this is a release, and only Base tells
	delete(bad, names[0])
	rep, err := Verify(bad.write(t), &head)
	if err != nil || len(rep.Findings) > 0 || rep.Base.Seq == 0 {
		t.Errorf("released file: %+v %v", rep, err)
	}
}

// rechain recomputes every chain value from a change on, as somebody who can
// write the files and has no key would.
func rechain(b []byte) {
	h, _ := decodeHeader(b)
	c, prev := newChain(h.id), h.prev.Hash
	for off := headerSize; off < len(b); {
		n, why := frameLen(b[off:])
		if why != "" {
			return
		}
		prev = c.finishFrame(b[off:off+n], &prev)
		off += n
	}
}

func TestForgedChainIsFound(t *testing.T) {
	good, head := makeFolder(t, 6000, 1<<20)
	name := good.names()[0]
	starts := frameStarts(t, good[name])
	bad := good.clone()
	bad[name][starts[3]+frameHeaderSize+20] ^= 1 // a payload byte
	rechain(bad[name])
	m := bad.write(t)

	// The anchor contradicts, without any key.
	rep, err := Verify(m, &head)
	want(t, rep, err, "forged chain", name, starts[len(starts)-1])
	if rep.Findings[0].Kind != Rewritten {
		t.Fatalf("kind %s", rep.Findings[0].Kind)
	}
	// Without an anchor the chain holds; the key does not.
	if rep, err := Verify(m, nil); err != nil || rep.Tampered() {
		t.Fatalf("%+v %v", rep, err)
	}
	j, rec := mustOpen(t, Options{FS: m})
	if len(rec.Damage) == 0 || rec.Damage[0].Offset != int64(starts[3]) {
		t.Fatalf("recovery %+v", rec)
	}
	wantNumbers(t, replay(t, j, 0), 0, 3)
	closeJournal(t, j)

	// A frame dropped, and the later ones renumbered.
	bad = good.clone()
	bad[name] = slices.Delete(bad[name], starts[3], starts[4])
	for off, seq := headerSize, uint64(1); off < len(bad[name]); seq++ {
		n, _ := frameLen(bad[name][off:])
		binary.LittleEndian.PutUint64(bad[name][off+8:], seq)
		binary.LittleEndian.PutUint64(bad[name][off+16:], seq)
		off += n
	}
	rechain(bad[name])
	j, rec = mustOpen(t, Options{FS: bad.write(t)})
	if len(rec.Damage) == 0 || rec.Damage[0].Offset != int64(starts[3]) {
		t.Fatalf("dropped and renumbered: recovery %+v", rec)
	}
	closeJournal(t, j)
}

// TestForgedGapIsRefused: only a holder of the key can say that a loss was
// seen and reported.
func TestForgedGapIsRefused(t *testing.T) {
	good, _ := makeFolder(t, 6000, 1<<20)
	name := good.names()[0]
	starts := frameStarts(t, good[name])
	h, _ := decodeHeader(good[name])
	var hash [32]byte
	copy(hash[:], good[name][starts[3]+24:])
	forged := header{gap: true, id: h.id, first: 1000, prev: Position{4, hash}, commitment: h.commitment}
	b, err := forged.encode(newCipher(sealerOf(9), h.id).sealer)
	if err != nil {
		t.Fatal(err)
	}
	bad := good.clone()
	bad[name] = bad[name][:starts[4]]
	bad[fileName(1000)] = b
	m := bad.write(t)
	if rep, err := Verify(m, nil); err != nil || rep.Findings[0].Kind != Gap {
		t.Fatalf("verify: %+v %v", rep, err)
	}
	j, rec := mustOpen(t, Options{FS: m})
	defer closeJournal(t, j)
	if len(rec.Damage) == 0 || !strings.Contains(rec.Damage[0].Detail, "key") {
		t.Fatalf("recovery %+v", rec)
	}
}
