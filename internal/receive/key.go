package receive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/meshtrail/meshtrail/internal/record"
)

// KeyID returns the identity of a request that a protocol numbers in its own
// way: by a key that its sender keeps over retries, over the content that it
// names. Every part is told from the next. A part that may be another at a retry
// (the time of the attempt) MUST be left out, and all that is kept MUST be in:
// two requests with one identity are one.
func KeyID(from Sender, protocol string, parts ...[]byte) record.BatchID {
	h := sha256.New()
	var size [8]byte
	add := func(p []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write(p)
	}
	add([]byte(from.Tenant))
	add([]byte(from.Name))
	add([]byte(protocol))
	for _, p := range parts {
		add(p)
	}
	return record.BatchID{Origin: "key:" + hex.EncodeToString(h.Sum(nil))}
}
