package merkle_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/merkle"
)

// naive is the definition of RFC 9162, 2.1.1, word for word.
func naive(leaves []merkle.Hash) merkle.Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		return merkle.NodeHash(naive(leaves[:k]), naive(leaves[k:]))
	}
}

func leaves(n int) []merkle.Hash {
	out := make([]merkle.Hash, n)
	for i := range out {
		out[i] = merkle.LeafHash(binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	return out
}

func TestKnownAnswers(t *testing.T) {
	check := func(name string, got merkle.Hash, want string) {
		t.Helper()
		if got.String() != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	// From the Certificate Transparency reference tests.
	check("empty root", merkle.Root(nil), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	check("empty leaf", merkle.LeafHash(nil), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
	check("leaf 00", merkle.LeafHash([]byte{0}), "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")
	check("root of 8", merkle.Root([]merkle.Hash{
		merkle.LeafHash(nil), merkle.LeafHash([]byte{0}), merkle.LeafHash([]byte{0x10}),
		merkle.LeafHash([]byte{0x20, 0x21}), merkle.LeafHash([]byte{0x30, 0x31}),
		merkle.LeafHash([]byte{0x40, 0x41, 0x42, 0x43}),
		merkle.LeafHash([]byte{0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57}),
		merkle.LeafHash([]byte{0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f}),
	}), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
}

func TestRootIsTheDefinition(t *testing.T) {
	for n := range 140 {
		l := leaves(n)
		if got, want := merkle.Root(l), naive(l); got != want {
			t.Fatalf("root of %d leaves = %s, want %s", n, got, want)
		}
	}
}

// The transparency log of package ledger uses x/mod's tree: both must agree, or
// one auditor needs two kinds of proof.
func TestLeafAndNodeAgreeWithTlog(t *testing.T) {
	if got, want := merkle.LeafHash([]byte("x")), merkle.Hash(tlog.RecordHash([]byte("x"))); got != want {
		t.Errorf("leaf hash %s, tlog says %s", got, want)
	}
	a, b := merkle.LeafHash([]byte("a")), merkle.LeafHash([]byte("b"))
	if got, want := merkle.NodeHash(a, b), merkle.Hash(tlog.NodeHash(tlog.Hash(a), tlog.Hash(b))); got != want {
		t.Errorf("node hash %s, tlog says %s", got, want)
	}
}

func TestInclusion(t *testing.T) {
	for n := 1; n <= 40; n++ {
		l := leaves(n)
		root := merkle.Root(l)
		for i := range n {
			path := merkle.Inclusion(l, i)
			if err := merkle.CheckInclusion(path, i, n, l[i], root); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			refused := func(what string, path []merkle.Hash, i, n int, leaf, root merkle.Hash) {
				t.Helper()
				if err := merkle.CheckInclusion(path, i, n, leaf, root); !fault.Is(err, fault.Tampered) {
					t.Fatalf("leaf %d of %d with %s: got %v, want tampered", i, n, what, err)
				}
			}
			other := merkle.LeafHash([]byte("other"))
			refused("another leaf", path, i, n, other, root)
			refused("another root", path, i, n, l[i], other)
			refused("a longer path", append(path[:len(path):len(path)], other), i, n, l[i], root)
			refused("index -1", path, -1, n, l[i], root)
			refused("index n", path, n, n, l[i], root)
			if n > 1 {
				refused("a shorter path", path[1:], i, n, l[i], root)
				refused("the neighbour's index", path, (i+1)%n, n, l[i], root)
				bad := append([]merkle.Hash(nil), path...)
				bad[len(bad)-1][31] ^= 1
				refused("one flipped bit", bad, i, n, l[i], root)
			}
		}
	}
	if err := merkle.CheckInclusion(nil, 0, 0, merkle.Hash{}, merkle.Root(nil)); !fault.Is(err, fault.Tampered) {
		t.Errorf("empty tree: got %v, want tampered", err)
	}
}

func TestParseHash(t *testing.T) {
	h := merkle.LeafHash([]byte("x"))
	if got, err := merkle.ParseHash(h.String()); err != nil || got != h {
		t.Errorf("ParseHash(String) = %v, %v", got, err)
	}
	for _, s := range []string{"", "00", h.String() + "0", "zz" + h.String()[2:]} {
		if _, err := merkle.ParseHash(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseHash(%q): got %v, want invalid", s, err)
		}
	}
}

func FuzzCheckInclusion(f *testing.F) {
	f.Add([]byte("0123456789012345678901234567890123456789"), 3, 9)
	f.Fuzz(func(t *testing.T, b []byte, i, n int) {
		var path []merkle.Hash
		for len(b) >= merkle.Size {
			path = append(path, merkle.Hash(b[:merkle.Size]))
			b = b[merkle.Size:]
		}
		if merkle.CheckInclusion(path, i, n, merkle.Hash{1}, merkle.Hash{2}) == nil {
			t.Fatal("a path of noise proves inclusion")
		}
	})
}

func BenchmarkLeafHash(b *testing.B) {
	data := make([]byte, 64<<10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		merkle.LeafHash(data)
	}
}

func BenchmarkRoot(b *testing.B) {
	l := leaves(10_000)
	b.ReportAllocs()
	for b.Loop() {
		merkle.Root(l)
	}
}
