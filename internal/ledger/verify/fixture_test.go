package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// long asks for the versions of the tests that take minutes.
var long = os.Getenv("MESHTRAIL_LONG") != ""

const origin = "meshtrail.test/verify"

var birth = time.Unix(1_700_000_000, 0)

func keys(t testing.TB, seed byte) (note.Signer, string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return signer, vkey
}

// folder is a data folder as a server would leave it, built without one.
type folder struct {
	t        testing.TB
	fs       *memfs.FS
	journal  *journal.Journal
	ledger   *ledger.Ledger
	vkey     string
	rng      *rand.Rand
	segments []ledger.Segment
	received uint64
	at       int64
	sealed   uint64
	first    []byte // the checkpoint after the first seal
	keyOf    func(day string) string
}

var journalKey = func() *crypt.Key {
	k, err := crypt.KeyFromBytes(bytes.Repeat([]byte{7}, crypt.KeySize))
	if err != nil {
		panic(err)
	}
	return k
}()

// newFolder builds a folder with two seals of two segments each. epochs more
// epochs are written between them.
func newFolder(t testing.TB, epochs int) *folder {
	t.Helper()
	signer, vkey := keys(t, 1)
	f := &folder{t: t, fs: memfs.New(), vkey: vkey, rng: rand.New(rand.NewPCG(1, 2)), at: birth.UnixNano(),
		keyOf: func(day string) string { return "key-" + day }}
	f.write(verify.KeyFile, []byte(vkey+"\n"))
	f.must(journal.Create(vfs.Sub(f.fs, "journal"), journalKey))
	f.must(ledger.Create(vfs.Sub(f.fs, "ledger"), signer, origin, birth, "test"))
	f.openJournal()
	f.openLedger(1)
	f.ingest(6)
	f.epoch("start")
	f.seal(64<<10, 3000)
	f.first = f.ledger.Checkpoint().Note
	for range epochs {
		f.epoch("interval")
	}
	f.ingest(5)
	f.seal(3000, 2000)
	f.ingest(3)
	t.Cleanup(func() { f.journal.Close(); f.ledger.Close() })
	return f
}

func (f *folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) openJournal() {
	var err error
	f.journal, _, err = journal.Open(journal.Options{FS: vfs.Sub(f.fs, "journal"), Key: journalKey, FileSize: 4096})
	f.must(err)
}

func (f *folder) openLedger(seed byte) {
	signer, vkey := keys(f.t, seed)
	verifier, err := note.NewVerifier(vkey)
	f.must(err)
	f.ledger, err = ledger.Open(ledger.Options{FS: vfs.Sub(f.fs, "ledger"), Signer: signer, Verifier: verifier})
	f.must(err)
}

// ingest appends n frames of one record each.
func (f *folder) ingest(n int) {
	f.t.Helper()
	for range n {
		_, err := f.journal.Append(context.Background(), bytes.Repeat([]byte{byte(f.received)}, 50), nil)
		f.must(err)
		f.received++
	}
}

func (f *folder) newEpoch(reason string) ledger.Epoch {
	f.at += int64(time.Minute)
	head := f.journal.Head()
	return ledger.Epoch{At: f.at, Reason: reason, JournalSeq: head.Seq, JournalHash: hex.EncodeToString(head.Hash[:]), Part: 1, Parts: 1,
		Sources: []ledger.Source{{Tenant: "default", Source: "elastic/admin", Received: f.received + 3, Stored: f.received,
			Rejected: []ledger.Count{{Name: "malformed_json", N: 1}}, Dropped: []ledger.Count{{Name: "health", N: 1}}, Deduplicated: 1,
			FirstSeen: birth.UnixNano(), LastSeen: f.at}}}
}

func (f *folder) epoch(reason string) {
	f.t.Helper()
	f.append(f.newEpoch(reason))
}

func (f *folder) append(leaves ...any) {
	f.t.Helper()
	_, err := f.ledger.Append(context.Background(), leaves...)
	f.must(err)
}

// seal writes a segment of each size and commits them with an epoch.
func (f *folder) seal(sizes ...int) {
	f.t.Helper()
	var leaves []any
	upto := f.journal.Head().Seq
	var made []ledger.Segment
	rest := upto - f.sealed
	for i, size := range sizes {
		if size == 0 {
			continue // nothing of this day
		}
		s := f.segment(size, fmt.Sprintf("2023-11-%02d", 14+i))
		s.JournalAfter, s.JournalUpto = f.sealed, upto
		s.Records = rest / uint64(len(sizes)-i)
		rest -= s.Records
		made = append(made, s)
		leaves = append(leaves, s)
	}
	f.sealed = upto
	f.append(append(leaves, f.newEpoch("seal"))...)
	for _, s := range made {
		f.must(f.fs.Rename(s.Path+".new", s.Path))
	}
	f.segments = append(f.segments, made...)
	f.must(f.journal.Release(upto))
}

// segment writes PATH.new of about size bytes.
func (f *folder) segment(size int, day string) ledger.Segment {
	var id [16]byte
	for i := range id {
		id[i] = byte(f.rng.Uint32())
	}
	var b bytes.Buffer
	w, err := chunkfile.NewWriter(&b, chunkfile.Header{Version: 1, ID: id})
	f.must(err)
	for b.Len() < size-1000 {
		chunk := make([]byte, min(size-500-b.Len(), 500+f.rng.IntN(8000)))
		for i := range chunk {
			chunk[i] = byte(f.rng.Uint32())
		}
		_, err := w.Add(chunk)
		f.must(err)
	}
	sum, err := w.Finish(bytes.Repeat([]byte("footer"), 20))
	f.must(err)
	name := hex.EncodeToString(id[:])
	s := ledger.Segment{ID: name, Path: "segments/default/app/" + day + "/" + name + ".seg", Version: 1, Tenant: "default", Class: "app", Day: day,
		Size: sum.Size, Root: hex.EncodeToString(sum.Root[:]), Records: 1, SealedAt: f.at, MinTime: f.at, MaxTime: f.at + 9, MinIngest: f.at, MaxIngest: f.at + 9, FirstOrd: f.sealed, LastOrd: f.sealed + 9, KeyID: f.keyOf(day), KeyCommitment: "c"}
	f.write(s.Path+".new", b.Bytes())
	return s
}

// verify runs the verification with the folder's own key.
func (f *folder) verify(o verify.Options) *verify.Report {
	f.t.Helper()
	rep, err := verify.Folder(context.Background(), f.fs, o)
	f.must(err)
	return rep
}

func (f *folder) read(name string) []byte {
	f.t.Helper()
	data, err := vfs.ReadFile(f.fs, name)
	f.must(err)
	return data
}

func (f *folder) write(name string, data []byte) {
	f.t.Helper()
	dir := name[:bytes.LastIndexByte([]byte(name), '/')]
	f.must(f.fs.MkdirAll(dir))
	f.must(vfs.WriteFile(f.fs, name, data))
}

// flip changes one bit.
func (f *folder) flip(name string, off int64) {
	f.t.Helper()
	file, err := f.fs.OpenRW(name)
	f.must(err)
	defer file.Close()
	var b [1]byte
	_, err = file.ReadAt(b[:], off)
	f.must(err)
	b[0] ^= 1 << (off % 8)
	_, err = file.WriteAt(b[:], off)
	f.must(err)
}

// files lists every file below a folder.
func (f *folder) files(dir string) []string {
	var out []string
	list, _ := f.fs.ReadDir(dir)
	for _, e := range list {
		if e.IsDir() {
			out = append(out, f.files(dir+"/"+e.Name())...)
		} else {
			out = append(out, dir+"/"+e.Name())
		}
	}
	return out
}

// snapshot copies the content of a folder.
func (f *folder) snapshot(dir string) map[string][]byte {
	out := map[string][]byte{}
	for _, name := range f.files(dir) {
		out[name] = f.read(name)
	}
	return out
}

// restore makes a folder what it was.
func (f *folder) restore(dir string, was map[string][]byte) {
	f.t.Helper()
	for _, name := range f.files(dir) {
		f.must(f.fs.Remove(name))
	}
	for name, data := range was {
		f.write(name, data)
	}
}
