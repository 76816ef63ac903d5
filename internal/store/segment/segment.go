// Package segment writes and reads segment files: many blocks of one tenant,
// class and event day, a token index over them and a directory, every chunk
// sealed with AES-256-GCM under the day's data key.
//
//	chunk file | block 0 | block 1 | … | index chunks | footer |
//	block      | sealed header | sealed body … |
//	footer     | version u8 | key id | key commitment 32 | sealed directory |
//
// The outer form, with Merkle leaves over the sealed chunks, is package
// merkle/chunkfile: it is checked without a key. What is inside each block is
// package block. The additional data of a sealed chunk names its block and its
// column but not the segment, so a block can move to another segment byte for
// byte; that it was not moved by somebody else is what the root says.
//
//	AAD | "meshtrail segment" | u8 = 1 | kind u8 | uid 20 | number u32 |
//
// GCM does not commit to its key, so the footer does (crypt.Key.Commitment):
// nobody who holds keys can show two contents for one file.
//
// Memory: a Writer keeps the token hashes of its blocks until Finish. A Reader
// keeps the directory; headers and decoded columns live in a Cache that is
// bounded in bytes. Readers are safe for concurrent use. Damage is an error of
// kind fault.Corrupt or fault.Tampered, never a panic. Nothing here makes a
// file durable or decides that it exists: that is package store.
package segment

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
)

// Version of the segment format that a Writer writes, in the chunk file's header
// and in the footer. A Reader reads every version from 1 on.
const Version = 3

// sealVersion is how chunks are sealed; part of their additional data. It is the
// same in all versions of the format, or no block could move between them.
const sealVersion = 1

// ID names a segment; it is drawn at random.
type ID [16]byte

// String returns the ID in hexadecimal, which is also the file's name.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fault.Errorf(fault.Invalid, "segment id %q is not 32 hexadecimal digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// UID names a block for ever: the ID of the segment it was born in and its
// place there.
type UID [20]byte

func uidOf(id ID, n int) UID {
	var u UID
	copy(u[:], id[:])
	binary.LittleEndian.PutUint32(u[16:], uint32(n))
	return u
}

// Kinds of sealed chunks; part of the additional data.
const (
	chunkHeader    = 1
	chunkBody      = 2
	chunkIndex     = 3
	chunkDirectory = 4
)

const aadLabel = "meshtrail segment"

// aad returns the additional data of a chunk. Number is the body's place in the
// block, or the chunk's in the index.
func aad(dst []byte, kind byte, uid UID, number int) []byte {
	dst = append(dst, aadLabel...)
	dst = append(dst, sealVersion, kind)
	dst = append(dst, uid[:]...)
	return binary.LittleEndian.AppendUint32(dst, uint32(number))
}

// Commitment returns what a footer says of its key.
func Commitment(key *crypt.Key, keyID string) [32]byte { return key.Commitment("segment " + keyID) }

func corrupt(format string, args ...any) error {
	return fault.Errorf(fault.Corrupt, "read segment: "+format, args...)
}
