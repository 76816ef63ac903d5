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
// the intervals of record numbers. It changes in commit order only, so that a
// replay decides as the first time. It is durable through checkpoint frames:
//
//	| version u8 | upto uvarint | windows uvarint | window … |, least recently used first
//	window | tenant | origin | epoch uvarint | intervals uvarint | (gap uvarint, length uvarint) … |
//
// An origin that numbers its records without holes has one interval. More than
// maxIntervals of one window are joined at the lowest gap: a number that is so
// far behind counts as seen. The least recently used window is forgotten when
// there are more than the limit: of origins that number their batches, and by
// itself of keys, which are used once each. So that no number of keys makes an
// agent forgotten.
type windows struct {
	limit int
	byKey map[windowKey]*list.Element
	order [2]list.List // of *window, of origins and of keys; front: least recently used
}

// keyOrigin begins the origin of a request that was numbered by a key; no agent
// can have such an origin.
const keyOrigin = "key:"

// among returns the windows that one of k competes with.
func (w *windows) among(k windowKey) *list.List {
	if strings.HasPrefix(k.origin, keyOrigin) {
		return &w.order[1]
	}
	return &w.order[0]
}

type windowKey struct {
	tenant record.TenantID
	origin string
	epoch  uint64
}

type window struct {
	key  windowKey
	seen []interval // ascending, not touching
}

type interval struct{ from, to uint64 } // [from, to)

const (
	maxIntervals     = 4096
	windowsVersion   = 1
	maxWindowsFrames = 1 << 20
)

func newWindows(limit int) *windows {
	return &windows{limit: limit, byKey: make(map[windowKey]*list.Element)}
}

func keyOf(b *record.Batch) windowKey { return windowKey{b.Tenant, b.ID.Origin, b.ID.Epoch} }

// has reports whether the batch was kept before.
func (w *windows) has(b *record.Batch) bool {
	if b.ID.IsZero() {
		return false
	}
	e, ok := w.byKey[keyOf(b)]
	return ok && e.Value.(*window).has(b.ID.Seq)
}

// add notes a batch and reports whether it was new.
func (w *windows) add(b *record.Batch) bool {
	if b.ID.IsZero() {
		return true
	}
	k := keyOf(b)
	order := w.among(k)
	e, ok := w.byKey[k]
	if !ok {
		e = order.PushBack(&window{key: k})
		w.byKey[k] = e
	}
	order.MoveToBack(e)
	w.forget(order)
	x := e.Value.(*window)
	if x.has(b.ID.Seq) {
		return false
	}
	x.add(b.ID.Seq, uint64(max(b.Len(), 1)))
	return true
}

// forget makes order as short as the limit.
func (w *windows) forget(order *list.List) {
	for order.Len() > w.limit {
		old := order.Remove(order.Front()).(*window)
		delete(w.byKey, old.key)
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
	out.Uvarint(uint64(w.order[0].Len() + w.order[1].Len()))
	for i := range w.order {
		for e := w.order[i].Front(); e != nil; e = e.Next() {
			e.Value.(*window).encode(&out)
		}
	}
	return out.B
}

func (x *window) encode(out *wire.Writer) {
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
func decodeWindows(data []byte, limit int) (w *windows, upto uint64, err error) {
	in := wire.NewReader(data)
	if v := in.U8(); in.Err() == nil && v != windowsVersion {
		return nil, 0, fault.Errorf(fault.Corrupt, "decode checkpoint: version %d is not known", v)
	}
	upto = in.Uvarint()
	w = newWindows(limit)
	for range in.Count(maxWindowsFrames, 4) {
		x := &window{}
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
		w.byKey[x.key] = w.among(x.key).PushBack(x)
	}
	if err := in.Done(); err != nil {
		return nil, 0, fault.Errorf(fault.Corrupt, "decode checkpoint: %w", err)
	}
	for i := range w.order {
		w.forget(&w.order[i])
	}
	return w, upto, nil
}
