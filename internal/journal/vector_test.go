package journal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
)

var update = flag.Bool("update", false, "write the vectors anew; only for a new format version")

const vectorDir = "../../spec/vectors/journal"

// vectorFolder builds the journal of the vectors: nine payloads in groups of
// three, in three files, with a fixed key, id and nonces.
func vectorFolder(t *testing.T) (folder, Position) {
	t.Helper()
	key := testKey(0x4d)
	s := crypt.NewSealerWithNonces(key, rand.NewChaCha8([32]byte{'j'}))
	id := journalID([]byte("meshtrail vector"))
	c, ch := newCipher(s, id), newChain(id)
	out, pos := folder{}, Position{}
	for first := uint64(1); first <= 7; first += 3 {
		h := header{id: id, first: first, prev: pos, commitment: commitment(key)}
		data, err := h.encode(s)
		if err != nil {
			t.Fatal(err)
		}
		for seq := first; seq < first+3; seq++ {
			start := len(data)
			if data, err = c.seal(appendFrameHeader(data, seq, first), vectorPayload(seq), seq); err != nil {
				t.Fatal(err)
			}
			pos = Position{seq, ch.finishFrame(data[start:], &pos.Hash)}
		}
		out[fileName(first)] = data
	}
	return out, pos
}

func vectorPayload(seq uint64) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("payload %d ", seq), int(seq)-1)) // the first is empty
}

func vectorText(head Position) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Nine frames in three files. Each payload repeats \"payload SEQ \" SEQ-1 times.\nkey %x\nanchor-seq %d\nanchor-hash %x\n",
		testKey(0x4d).Bytes(), head.Seq, head.Hash)
	return b.String()
}

func wrapHex(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(40, len(b))
		out.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return out.String()
}

func TestVectors(t *testing.T) {
	built, head := vectorFolder(t)
	if *update {
		for name, data := range built {
			if err := os.WriteFile(filepath.Join(vectorDir, name+".hex"), []byte(wrapHex(data)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(vectorDir, "vector.txt"), []byte(vectorText(head)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(vectorDir, "vector.txt"))
	if err != nil || string(text) != vectorText(head) {
		t.Fatalf("vector.txt: %v\n%s\nwant\n%s", err, text, vectorText(head))
	}
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.hex"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	golden := folder{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(string(raw), "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(f), ".hex")
		golden[name] = b
		if !bytes.Equal(b, built[name]) {
			t.Errorf("%s: this program writes other bytes: a new format needs a new version and new vectors", name)
		}
	}

	m := golden.write(t)
	rep, err := Verify(m, &head)
	if err != nil || len(rep.Findings) > 0 || rep.Frames != 9 || !rep.Anchored {
		t.Fatalf("verify: %+v %v", rep, err)
	}
	if _, _, err := Open(Options{FS: m, Key: testKey(1)}); !fault.Is(err, fault.Tampered) {
		t.Fatalf("wrong key: %v", err)
	}
	j, rec := mustOpen(t, Options{FS: m, Key: testKey(0x4d), Anchor: &head})
	defer closeJournal(t, j)
	if rec.Frames != 9 || rec.Torn != nil || rec.Damage != nil {
		t.Fatalf("recovery %+v", rec)
	}
	n := uint64(0)
	err = j.Replay(t.Context(), 0, func(seq uint64, p []byte) error {
		if n++; seq != n || !bytes.Equal(p, vectorPayload(seq)) {
			t.Errorf("frame %d holds %q", seq, p)
		}
		return nil
	})
	if err != nil || n != 9 {
		t.Fatalf("%d frames, %v", n, err)
	}
}

// FuzzFile feeds bytes as a journal file to Verify and to Open. Whatever they
// are, nothing panics, and after Open the journal works and keeps what it says.
func FuzzFile(f *testing.F) {
	built, _ := vectorFolder(&testing.T{})
	first := built[fileName(1)]
	f.Add(first)
	f.Add(first[:len(first)-9])
	f.Add(append(bytes.Clone(first), make([]byte, 300)...))
	f.Add(first[:headerSize])
	f.Add([]byte{})
	damaged := bytes.Clone(first)
	damaged[headerSize+70] ^= 1
	f.Add(damaged)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := folder{fileName(1): data}.write(t)
		rep, err := Verify(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		j, rec, err := Open(Options{FS: m, Key: testKey(0x4d), FileSize: 1 << 12})
		if err != nil {
			if !fault.Is(err, fault.Tampered) { // another key's commitment
				t.Fatal(err)
			}
			return
		}
		if rec.Frames > rep.Frames {
			t.Fatalf("open kept %d frames, %d verify", rec.Frames, rep.Frames)
		}
		n := uint64(0)
		if err := j.Replay(t.Context(), 0, func(uint64, []byte) error { n++; return nil }); err != nil || n != rec.Frames {
			t.Fatalf("replayed %d of %d: %v", n, rec.Frames, err)
		}
		if _, err := j.Append(t.Context(), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		closeJournal(t, j)
	})
}

// FuzzFrame decodes bytes as a frame; what it accepts must encode to the same.
func FuzzFrame(f *testing.F) {
	built, _ := vectorFolder(&testing.T{})
	f.Add(built[fileName(4)][headerSize:])
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		decodeHeader(data)
		n, why := frameLen(data)
		if why != "" || n > len(data) {
			return
		}
		fr := decodeFrame(data[:n], 0)
		again := append(appendFrameHeader(nil, fr.seq, fr.group), fr.sealed...)
		newChain(journalID{}).finishFrame(again, &fr.hash)
		copy(again[24:], fr.hash[:])
		if !bytes.Equal(again, data[:n]) {
			t.Fatalf("%x became %x", data[:n], again)
		}
	})
}
