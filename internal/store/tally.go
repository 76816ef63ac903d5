package store

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A tally is what one worker has counted. Texts are numbered for each field of
// By, and groups are found by those numbers: nothing is looked up by text more
// than once for each entry of a dictionary.
type tally struct {
	fields []texts
	groups []counted
	single []uint32          // of one field: by number, its group plus one
	index  map[string]uint32 // of several: by their numbers
	key    []byte

	buckets int // of each group; 0: the groups have no counts
	sum     bool
	cells   int

	memory  *memory
	unnoted int // bytes of texts that memory does not know of yet
}

// A memory bounds what all workers of a request hold for its answer, in bytes: a
// number of groups bounds nothing, since texts may be large.
type memory struct {
	limit int64
	used  atomic.Int64
	lease *Lease
}

// release gives back what the question took from others.
func (m *memory) release() { m.lease.Give(int(m.used.Load())) }

func (m *memory) take(n int) error {
	if err := m.lease.Take(n); err != nil {
		return err
	}
	if m.used.Add(int64(n)) > m.limit {
		return fault.WithHint(fault.Errorf(fault.Overload, "the answer takes more than %d bytes of memory", m.limit),
			"group by fewer fields, use a longer step or a shorter time range")
	}
	return nil
}

// What a tally holds besides texts, numbers and counts, in bytes, about.
const (
	overText  = 64 // of slice and map
	overGroup = 96
)

// texts are the values of one field, by number.
type texts struct {
	list  []string
	index map[string]uint32
}

// counted is a group.
type counted struct {
	codes  []uint32
	counts []uint64 // by bucket
	bytes  []uint64
}

func (c *counter) newTally() *tally {
	t := newTally(len(c.by), &c.memory)
	t.buckets, t.sum = c.buckets, c.req.Sum
	return t
}

// newTally returns a tally of groups by so many fields, without buckets.
func newTally(fields int, m *memory) *tally {
	t := &tally{fields: make([]texts, fields), memory: m}
	for i := range t.fields {
		t.fields[i].index = make(map[string]uint32)
	}
	if fields > 1 {
		t.index = make(map[string]uint32)
	}
	return t
}

// Code implements filter.Coder.
func (t *tally) Code(i int, text []byte) uint32 {
	f := &t.fields[i]
	n, ok := f.index[string(text)]
	if !ok {
		n = uint32(len(f.list))
		s := string(text)
		t.unnoted += len(s) + overText
		f.index[s] = n
		f.list = append(f.list, s)
	}
	return n
}

// group returns which group has these numbers.
func (t *tally) group(codes []uint32) (int, error) {
	switch len(codes) {
	case 0:
		if len(t.groups) == 0 {
			return t.grow(codes)
		}
		return 0, nil
	case 1:
		for len(t.single) <= int(codes[0]) {
			t.single = append(t.single, 0)
		}
		if g := t.single[codes[0]]; g > 0 {
			return int(g - 1), nil
		}
		t.single[codes[0]] = uint32(len(t.groups)) + 1
		return t.grow(codes)
	}
	t.key = t.key[:0]
	for _, c := range codes {
		t.key = binary.LittleEndian.AppendUint32(t.key, c)
	}
	if g, ok := t.index[string(t.key)]; ok {
		return int(g), nil
	}
	t.index[string(t.key)] = uint32(len(t.groups))
	return t.grow(codes)
}

func (t *tally) grow(codes []uint32) (int, error) {
	if t.cells += t.buckets; t.cells > maxCells {
		return 0, tooMany()
	}
	n := t.unnoted + overGroup + 12*len(codes) + 16*t.buckets
	t.unnoted = 0
	if err := t.memory.take(n); err != nil {
		return 0, err
	}
	g := counted{codes: slices.Clone(codes), counts: make([]uint64, t.buckets)}
	if t.sum {
		g.bytes = make([]uint64, t.buckets)
	}
	t.groups = append(t.groups, g)
	return len(t.groups) - 1, nil
}

func tooMany() error {
	return fault.WithHint(fault.Errorf(fault.Overload, "count: more than %d groups times buckets", maxCells),
		"group by fewer fields or use a longer step")
}

// add counts n records, of bytes together, in a bucket of a group.
func (t *tally) add(codes []uint32, bucket int, n, bytes uint64) error {
	at, err := t.group(codes)
	if err != nil {
		return err
	}
	g := &t.groups[at]
	g.counts[bucket] += n
	if t.sum {
		g.bytes[bucket] += bytes
	}
	return nil
}

// values returns the texts of a group.
func (t *tally) values(g *counted) []string {
	out := make([]string, len(g.codes))
	for i, c := range g.codes {
		out[i] = t.fields[i].list[c]
	}
	return out
}

// merge puts the tallies of all workers together, by the values of the groups,
// unless w ends.
func (c *counter) merge(w *fault.Watch) ([]Group, error) {
	if err := w.Look(); err != nil {
		return nil, err
	}
	var out []Group
	var err error
	index := make(map[string]int)
	var key []byte
	for _, t := range c.tallies {
		for i := range t.groups {
			g := &t.groups[i]
			if err := w.Step(1 + len(g.counts)/64); err != nil {
				return nil, err
			}
			values := t.values(g)
			if len(c.tallies) > 1 {
				key = appendKey(key[:0], values)
				if at, ok := index[string(key)]; ok {
					addAll(out[at].Counts, g.counts)
					addAll(out[at].Bytes, g.bytes)
					continue
				}
				index[string(key)] = len(out)
			}
			if (len(out)+1)*c.buckets > maxCells {
				err = tooMany()
				continue
			}
			out = append(out, Group{Values: values, Counts: g.counts, Bytes: g.bytes})
		}
	}
	if ended := fault.Sort(w, out, func(a, b Group) int { return slices.Compare(a.Values, b.Values) }); ended != nil {
		return nil, ended
	}
	return out, err
}

// appendKey appends the values of a group so that those of another one differ.
func appendKey(dst []byte, values []string) []byte {
	for _, v := range values {
		dst = append(binary.AppendUvarint(dst, uint64(len(v))), v...)
	}
	return dst
}

func addAll(dst, src []uint64) {
	for i, n := range src {
		dst[i] += n
	}
}
