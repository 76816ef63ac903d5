package receive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// KeyHeader is the request header by which a sender numbers a request itself:
// 1 to 128 printable bytes. Two requests with the same key, sender, protocol,
// path and content are one request, so a retry is seen once.
const KeyHeader = "Idempotency-Key"

// RequestID returns the identity of a request that carries KeyHeader, and the
// zero ID for one that does not. The content is part of the identity: a sender
// that reuses a key for other records has them kept, not mistaken for a retry.
func RequestID(r *http.Request, from Sender, protocol string, content []byte) (record.BatchID, error) {
	key := r.Header.Get(KeyHeader)
	if key == "" {
		return record.BatchID{}, nil
	}
	if len(key) > 128 {
		return record.BatchID{}, fault.Errorf(fault.Invalid, "%s has %d bytes, more than 128", KeyHeader, len(key))
	}
	for i := 0; i < len(key); i++ {
		if key[i] < ' ' || key[i] > 0x7e {
			return record.BatchID{}, fault.Errorf(fault.Invalid, "%s has a byte that is not printable", KeyHeader)
		}
	}
	h := sha256.New()
	for _, part := range []string{string(from.Tenant), from.Name, protocol, r.URL.Path, key} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(content)
	return record.BatchID{Origin: "key:" + hex.EncodeToString(h.Sum(nil))}, nil
}

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

// contentID returns id, or, if it is zero, the identity that a request has by what
// it holds: zero for one of which a repetition is another request.
func contentID(id record.BatchID, from Sender, protocol string, set *Set, body *Body) record.BatchID {
	switch {
	case !id.IsZero():
		return id
	case set.Key != nil:
		return KeyID(from, protocol, set.Key...)
	case set.Once:
		return KeyID(from, protocol, body.Bytes)
	}
	return id
}
