// Package merkle is the tree arithmetic of RFC 9162, section 2.1 (the same as
// RFC 6962): SHA-256 with a prefix byte that tells leaves from nodes.
//
//	leaf hash   SHA-256(0x00 ‖ data)
//	node hash   SHA-256(0x01 ‖ left ‖ right)
//	root        of no leaves: SHA-256(); of one: its leaf hash; of n: the node
//	            over the first k and the other n-k, k the largest power of
//	            two below n
//
// It holds no state, keeps no reference to what it is given, and knows nothing
// of files or logs.
package merkle

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math/bits"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Size is the length of a hash in bytes.
const Size = sha256.Size

// Hash is a leaf hash, a node hash or a root.
type Hash [Size]byte

// String returns the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash is the inverse of String.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*Size {
		return h, fault.Errorf(fault.Invalid, "hash has %d characters, want %d of hex", len(s), 2*Size)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fault.Errorf(fault.Invalid, "hash is not hex: %w", err)
	}
	return h, nil
}

// LeafHash returns the hash of a leaf.
func LeafHash(data []byte) Hash {
	l := NewLeaf()
	l.Write(data)
	return l.Sum()
}

// A Leaf hashes one leaf that comes in pieces. Write never fails.
type Leaf struct{ h hash.Hash }

// NewLeaf returns an empty leaf.
func NewLeaf() *Leaf {
	l := &Leaf{h: sha256.New()}
	l.Reset()
	return l
}

// Reset empties the leaf.
func (l *Leaf) Reset() {
	l.h.Reset()
	l.h.Write([]byte{0})
}

// Write adds data to the leaf.
func (l *Leaf) Write(data []byte) (int, error) { return l.h.Write(data) }

// Sum returns the hash of what was written.
func (l *Leaf) Sum() (h Hash) {
	l.h.Sum(h[:0])
	return h
}

// NodeHash returns the hash of a node.
func NodeHash(left, right Hash) Hash {
	var b [1 + 2*Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+Size:], right[:])
	return sha256.Sum256(b[:])
}

// Root returns the root over leaf hashes.
func Root(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return sha256.Sum256(nil)
	}
	// stack[i] is the root of a full subtree; the number of leaves so far in
	// binary says which levels are on it.
	var room [bits.UintSize]Hash
	stack := room[:0]
	for i, h := range leaves {
		for n := i; n&1 == 1; n >>= 1 {
			h = NodeHash(stack[len(stack)-1], h)
			stack = stack[:len(stack)-1]
		}
		stack = append(stack, h)
	}
	root := stack[len(stack)-1]
	for i := len(stack) - 2; i >= 0; i-- {
		root = NodeHash(stack[i], root)
	}
	return root
}

// Inclusion returns the path that proves leaf i of leaves, from the leaf's
// sibling upwards. i MUST be within leaves.
func Inclusion(leaves []Hash, i int) []Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if i < k {
		return append(Inclusion(leaves[:k], i), Root(leaves[k:]))
	}
	return append(Inclusion(leaves[k:], i-k), Root(leaves[:k]))
}

// split returns the largest power of two below n, for n > 1.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// CheckInclusion returns nil if path proves that leaf is number i of the n
// leaves under root, and fault.Tampered if not.
func CheckInclusion(path []Hash, i, n int, leaf, root Hash) error {
	if i < 0 || n <= 0 || i >= n {
		return fault.Errorf(fault.Tampered, "check inclusion: leaf %d of %d", i, n)
	}
	// RFC 9162, 2.1.3.2.
	fn, sn, h := uint(i), uint(n-1), leaf
	for _, p := range path {
		if sn == 0 {
			return fault.Errorf(fault.Tampered, "check inclusion of leaf %d of %d: the path is too long", i, n)
		}
		if fn&1 == 1 || fn == sn {
			h = NodeHash(p, h)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			h = NodeHash(h, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 {
		return fault.Errorf(fault.Tampered, "check inclusion of leaf %d of %d: the path is too short", i, n)
	}
	if h != root {
		return fault.Errorf(fault.Tampered, "check inclusion of leaf %d of %d: the path leads to another root", i, n)
	}
	return nil
}
