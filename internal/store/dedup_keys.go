package store

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// keyLimits say how long the keys of requests are remembered.
type keyLimits struct {
	least int           // the newest ones are, however old they are
	keep  time.Duration // younger ones are, beyond that
	most  int           // no more are, however young they are
}

// Shippers come again after minutes: Fluentd when an acknowledgement is 190 seconds
// late, and others wait longer each time. A key takes 50 bytes of memory and 17 of
// a checkpoint, so the most are 50 MiB, which is 1,700 requests a second.
var defaultKeys = keyLimits{least: 1 << 16, keep: 10 * time.Minute, most: 1 << 20}

// A keySet remembers batches that were numbered by a key: each is used once, so a
// hash of it is enough. Like windows it changes in commit order only, and what it
// forgets depends on nothing but what a checkpoint holds: ages are counted from the
// newest receipt of a batch, and no clock is asked, or a replay would take for a
// repetition what was none.
type keySet struct {
	limits keyLimits
	known  map[keyHash]struct{}
	lots   [lots]keyLot
	newest uint32 // receipt in seconds since 1970
}

type keyHash [16]byte

type keyStamp struct {
	hash keyHash
	at   uint32 // as keySet.newest, when it came
}

// A keyLot is the keys of the senders of one lot, oldest first, in chunks.
type keyLot struct {
	chunks [][]keyStamp
	head   int // of chunks[0]
	n      int
}

const keyChunk = 128

func newKeySet(l keyLimits) *keySet { return &keySet{limits: l, known: make(map[keyHash]struct{})} }

// hashOfID is of no more than what makes a batch what it is, each part told from
// the next.
func hashOfID(tenant record.TenantID, id *record.BatchID, seq uint64) (h keyHash) {
	buf := make([]byte, 0, 256) // a tenant has 64 bytes at most, an origin 128
	buf = append(append(buf, tenant...), 0)
	buf = append(append(buf, id.Origin...), 0)
	buf = binary.LittleEndian.AppendUint64(buf, id.Epoch)
	buf = binary.LittleEndian.AppendUint64(buf, seq)
	sum := sha256.Sum256(buf)
	copy(h[:], sum[:])
	return h
}

func (k *keySet) knows(h keyHash) bool {
	_, ok := k.known[h]
	return ok
}

func (k *keySet) has(b *record.Batch) bool { return k.knows(hashOfID(b.Tenant, &b.ID, b.ID.Seq)) }

// add notes a batch and reports whether it was new.
func (k *keySet) add(b *record.Batch) bool {
	k.age(uint32(min(max(b.Ingest/1e9, 0), math.MaxUint32)))
	h := hashOfID(b.Tenant, &b.ID, b.ID.Seq)
	if k.knows(h) {
		return false
	}
	k.put(lotOf(b), keyStamp{h, k.newest})
	k.forget()
	return true
}

// age lets time pass. Each minute those are forgotten that are too old, the oldest
// first, of whatever lot.
func (k *keySet) age(now uint32) {
	if now <= k.newest {
		return
	}
	before := k.newest
	k.newest = now
	if before/60 == now/60 {
		return
	}
	old := int64(now) - int64(k.limits.keep/time.Second)
	for len(k.known) > k.limits.least {
		first := int64(math.MaxInt64)
		for i := range k.lots {
			if l := &k.lots[i]; l.n > 0 {
				first = min(first, int64(l.front().at))
			}
		}
		if first >= old {
			return
		}
		minute := min(first-first%60+60, old)
		for i := range k.lots {
			l := &k.lots[i]
			for len(k.known) > k.limits.least && l.n > 0 && int64(l.front().at) < minute {
				delete(k.known, l.pop())
			}
		}
	}
}

// forget makes the keys as few as the limit. The oldest goes of the lot that has
// most.
func (k *keySet) forget() {
	for len(k.known) > k.limits.most {
		most := &k.lots[0]
		for i := range k.lots {
			if l := &k.lots[i]; l.n > most.n {
				most = l
			}
		}
		delete(k.known, most.pop())
	}
}

func (k *keySet) put(lot uint8, s keyStamp) {
	k.known[s.hash] = struct{}{}
	l := &k.lots[lot]
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == keyChunk {
		l.chunks = append(l.chunks, make([]keyStamp, 0, keyChunk))
		last++
	}
	l.chunks[last] = append(l.chunks[last], s)
	l.n++
}

func (l *keyLot) front() *keyStamp { return &l.chunks[0][l.head] }

// pop takes the oldest key away. There is one.
func (l *keyLot) pop() keyHash {
	h := l.front().hash
	l.n--
	if l.head++; l.head == len(l.chunks[0]) {
		l.chunks[0] = nil
		l.chunks, l.head = l.chunks[1:], 0
	}
	return h
}

// encode appends what a checkpoint has of the keys, see windows.
func (k *keySet) encode(out *wire.Writer) {
	out.B = slices.Grow(out.B, len(k.known)*18+len(k.lots)*3+8)
	out.Uvarint(uint64(k.newest))
	for i := range k.lots {
		l := &k.lots[i]
		out.Uvarint(uint64(l.n))
		last, head := uint32(0), l.head
		for _, chunk := range l.chunks {
			for _, s := range chunk[head:] {
				out.Raw(s.hash[:])
				out.Uvarint(uint64(s.at - last))
				last = s.at
			}
			head = 0
		}
	}
}

// decode fills an empty set.
func (k *keySet) decode(in *wire.Reader) {
	k.newest = uint32(in.Max(math.MaxUint32))
	for i := range k.lots {
		at := uint64(0)
		for range in.Count(maxKeyStamps, len(keyHash{})+1) {
			var s keyStamp
			copy(s.hash[:], in.Raw(len(s.hash)))
			at += in.Max(math.MaxUint32)
			if at > uint64(k.newest) {
				in.Fail("a key is newer than the newest")
			}
			if k.knows(s.hash) {
				in.Fail("a key is there twice")
			}
			if in.Err() != nil {
				return
			}
			s.at = uint32(at)
			k.put(uint8(i), s)
		}
	}
	k.forget()
}

// hadWindow notes a key that has a window in a checkpoint before version 3. Of a
// request of many batches that is the first one.
func (k *keySet) hadWindow(x *window) {
	if len(x.seen) == 0 {
		return
	}
	id := record.BatchID{Origin: x.key.origin, Epoch: x.key.epoch}
	if h := hashOfID(x.key.tenant, &id, x.seen[0].from); !k.knows(h) {
		k.put(x.lot, keyStamp{h, 0})
	}
}

// maxKeyStamps bounds the keys of one lot of a checkpoint.
const maxKeyStamps = 1 << 22
