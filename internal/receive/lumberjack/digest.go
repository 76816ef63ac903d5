package lumberjack

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// A digest sums up the records of a part. Each record is the sum of its members,
// so that their order does not count; the order of records does.
//
// A member is hashed under the hash of its path. The hash is no cryptographic
// one: who may send under a name could make two windows of its own look equal,
// and lose one of them.
type digest struct {
	records []byte // 16 bytes each
	timed   bool   // every record says when it happened
}

func (d *digest) reset() { d.records, d.timed = d.records[:0], true }

// add adds a record in JSON. Text that is not is hashed as it is.
func (d *digest) add(text []byte, depth int, set *receive.Set) {
	j := jsontext.NewReader(text, depth, set)
	var w walker
	if j.Peek() == '{' {
		w.object(&j, 0)
		j.End()
	} else {
		j.Fail("no object")
	}
	if j.Err() != nil {
		w = walker{sum: xxh3.Hash128(text)}
	}
	d.end(&w)
}

// pair adds a pair of a record of version 1.
func (w *walker) pair(key, value []byte) {
	w.timed = w.timed || string(key) == "offset"
	w.add(xxh3.Hash128Seed(value, xxh3.Hash(key)))
}

func (d *digest) end(w *walker) {
	d.records = binary.BigEndian.AppendUint64(d.records, w.sum.Hi)
	d.records = binary.BigEndian.AppendUint64(d.records, w.sum.Lo)
	d.timed = d.timed && w.timed
}

// sum returns the digest of all records.
func (d *digest) sum() [sha256.Size]byte { return sha256.Sum256(d.records) }

// A walker sums up one record.
type walker struct {
	sum   xxh3.Uint128
	timed bool
}

func (w *walker) add(h xxh3.Uint128) {
	lo := w.sum.Lo + h.Lo
	w.sum.Hi += h.Hi
	if lo < w.sum.Lo {
		w.sum.Hi++
	}
	w.sum.Lo = lo
}

// object adds the members of the object that j stands before; path is the hash of
// the names above it, 0 at the top.
func (w *walker) object(j *jsontext.Reader, path uint64) {
	if !j.Begin('{') {
		return
	}
	empty := true
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		empty = false
		w.timed = w.timed || path == 0 && string(key) == "@timestamp"
		w.value(j, xxh3.HashSeed(key, path))
	}
	if empty {
		w.add(xxh3.Hash128Seed([]byte("{"), path))
	}
}

func (w *walker) value(j *jsontext.Reader, path uint64) {
	switch j.Peek() {
	case '{':
		w.object(j, path)
	case '[':
		j.Begin('[')
		n := uint64(0)
		for ; j.Elem(); n++ {
			w.value(j, path*0x9e3779b97f4a7c15+n+1)
		}
		w.add(xxh3.Uint128{Lo: path, Hi: n})
	default:
		w.add(xxh3.Hash128Seed(j.Raw(), path))
	}
}
