package store

import (
	"cmp"
	"container/list"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// windows remembers which batches were kept: for each tenant, origin and epoch
// the intervals of record numbers; of requests with a key, which are used once
// each, a hash (keySet). It changes in commit order only, so that a replay decides
// as the first time. It is durable through checkpoint frames:
//
//	| version u8 | upto uvarint | windows uvarint | window … | keys |, least recently used of each lot first
//	window | lot u8 | tenant | origin | epoch uvarint | intervals uvarint | (gap uvarint, length uvarint) … |
//	keys   | newest uvarint | 256 times: n uvarint | (hash 16 bytes, seconds after the one before uvarint) … |
//
// (Version 1 had no lots, version 2 a window for each key.)
//
// An origin that numbers its records without holes has one interval. More than
// maxIntervals of one window are joined at the lowest gap: a number that is so
// far behind counts as seen. When there are more than the limit, the least recently
// used window is forgotten of the lot that has most. So that no number of keys makes
// an agent forgotten. A lot is what comes of one sender, or of the few whose names
// share a hash: who sends ever new keys makes his own forgotten, and those of others
// only down to the share that he has himself.
type windows struct {
	limits windowLimits
	byKey  map[windowKey]*list.Element
	lots   [lots]list.List // of *window; front: least recently used
	keys   *keySet
}

// windowLimits bound what is remembered.
type windowLimits struct {
	origins int
	keys    keyLimits
}

const lots = 256

// keyOrigin begins the origin of a request that was numbered by a key; no agent
// can have such an origin.
const keyOrigin = "key:"

func isKey(origin string) bool { return strings.HasPrefix(origin, keyOrigin) }

// lotOf returns the lot of a batch's sender. A key, or the random name of a stream,
// says nothing of him, but his source is the receiver's word; of a relayed batch
// the source ends in what the agent says, and the origin begins with
// relay/TENANT/AGENT.
func lotOf(b *record.Batch) uint8 {
	name := b.Source
	if strings.HasPrefix(b.ID.Origin, "relay/") {
		name = b.ID.Origin
		for i, slashes := 0, 0; i < len(name); i++ {
			if name[i] == '/' {
				if slashes++; slashes == 3 {
					name = name[:i]
				}
			}
		}
	}
	h := uint32(2166136261) // FNV-1a: a checkpoint of one program is read by the next
	for _, s := range [...]string{string(b.Tenant), "/", name} {
		for i := range len(s) {
			h = (h ^ uint32(s[i])) * 16777619
		}
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}

type windowKey struct {
	tenant record.TenantID
	origin string
	epoch  uint64
}

type window struct {
	key  windowKey
	lot  uint8
	seen []interval // ascending, not touching
}

type interval struct{ from, to uint64 } // [from, to)

const (
	maxIntervals     = 4096
	windowsVersion   = 3
	maxWindowsFrames = 1 << 20
)

func newWindows(l windowLimits) *windows {
	return &windows{limits: l, byKey: make(map[windowKey]*list.Element), keys: newKeySet(l.keys)}
}

func keyOf(b *record.Batch) windowKey { return windowKey{b.Tenant, b.ID.Origin, b.ID.Epoch} }

// has reports whether the batch was kept before.
func (w *windows) has(b *record.Batch) bool {
	if b.ID.IsZero() {
		return false
	}
	if isKey(b.ID.Origin) {
		return w.keys.has(b)
	}
	e, ok := w.byKey[keyOf(b)]
	return ok && e.Value.(*window).has(b.ID.Seq)
}

// add notes a batch and reports whether it was new.
func (w *windows) add(b *record.Batch) bool {
	if b.ID.IsZero() {
		return true
	}
	if isKey(b.ID.Origin) {
		return w.keys.add(b)
	}
	k := keyOf(b)
	e, ok := w.byKey[k]
	if !ok {
		e = w.put(&window{key: k, lot: lotOf(b)})
	}
	x := e.Value.(*window)
	w.lots[x.lot].MoveToBack(e)
	w.forget()
	if x.has(b.ID.Seq) {
		return false
	}
	x.add(b.ID.Seq, uint64(max(b.Len(), 1)))
	return true
}

// put adds a window as the one that was used last.
func (w *windows) put(x *window) *list.Element {
	e := w.lots[x.lot].PushBack(x)
	w.byKey[x.key] = e
	return e
}

// forget makes the windows as few as the limit. It depends on nothing but what a
// checkpoint holds.
func (w *windows) forget() {
	for len(w.byKey) > w.limits.origins {
		most := &w.lots[0]
		for i := range w.lots {
			if l := &w.lots[i]; l.Len() > most.Len() {
				most = l
			}
		}
		delete(w.byKey, most.Remove(most.Front()).(*window).key)
	}
}

func (x *window) has(seq uint64) bool {
	i, found := slices.BinarySearchFunc(x.seen, seq, func(v interval, seq uint64) int { return cmp.Compare(v.from, seq) })
	return found || i > 0 && seq < x.seen[i-1].to
}

// add joins [from, from+n) with what it touches.
func (x *window) add(from, n uint64) {
	to := from + n
	if to < from {
		to = ^uint64(0)
	}
	i, _ := slices.BinarySearchFunc(x.seen, from, func(v interval, from uint64) int { return cmp.Compare(v.to, from) })
	j := i
	for j < len(x.seen) && x.seen[j].from <= to {
		from, to = min(from, x.seen[j].from), max(to, x.seen[j].to)
		j++
	}
	x.seen = slices.Replace(x.seen, i, j, interval{from, to})
	if len(x.seen) > maxIntervals {
		x.seen[1].from = x.seen[0].from
		x.seen = slices.Delete(x.seen, 0, 1)
	}
}

// encode appends the windows as of frame upto.
func (w *windows) encode(dst []byte, upto uint64) []byte {
	out := wire.Writer{B: dst}
	out.U8(windowsVersion)
	out.Uvarint(upto)
	out.Uvarint(uint64(len(w.byKey)))
	for i := range w.lots {
		for e := w.lots[i].Front(); e != nil; e = e.Next() {
			e.Value.(*window).encode(&out)
		}
	}
	w.keys.encode(&out)
	return out.B
}

func (x *window) encode(out *wire.Writer) {
	out.U8(x.lot)
	out.String(string(x.key.tenant))
	out.String(x.key.origin)
	out.Uvarint(x.key.epoch)
	out.Uvarint(uint64(len(x.seen)))
	at := uint64(0)
	for _, v := range x.seen {
		out.Uvarint(v.from - at)
		out.Uvarint(v.to - v.from)
		at = v.to
	}
}

// decodeWindows reads what encode wrote.
func decodeWindows(data []byte, l windowLimits) (w *windows, upto uint64, err error) {
	in := wire.NewReader(data)
	v := in.U8()
	if in.Err() == nil && (v < 1 || v > windowsVersion) {
		return nil, 0, fault.Errorf(fault.Corrupt, "decode checkpoint: version %d is not known", v)
	}
	upto = in.Uvarint()
	w = newWindows(l)
	for range in.Count(maxWindowsFrames, 4) {
		x := &window{}
		if v > 1 {
			x.lot = in.U8()
		}
		x.key.tenant = record.TenantID(in.String(64))
		x.key.origin = in.String(128)
		x.key.epoch = in.Uvarint()
		at := uint64(0)
		for range in.Count(maxIntervals+1, 2) {
			from := at + in.Uvarint()
			to := from + in.Uvarint()
			if from < at || to < from {
				in.Fail("intervals out of order")
			}
			x.seen = append(x.seen, interval{from, to})
			at = to
		}
		if in.Err() != nil {
			break
		}
		switch _, twice := w.byKey[x.key]; {
		case twice:
			in.Fail("window of %q is there twice", x.key.origin)
		case isKey(x.key.origin):
			w.keys.hadWindow(x)
		default:
			w.put(x)
		}
	}
	if v > 2 {
		w.keys.decode(in)
	}
	if err := in.Done(); err != nil {
		return nil, 0, fault.Errorf(fault.Corrupt, "decode checkpoint: %w", err)
	}
	w.forget()
	return w, upto, nil
}
