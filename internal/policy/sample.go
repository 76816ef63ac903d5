package policy

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A sampler gives each record a key. Records of one trace have one key, at every
// server, agent and rule: so both sides of a call and all spans of a trace stay
// or go together, and what a rule of 1 % keeps one of 10 % keeps as well. Without
// a trace the request decides, and without that the record itself.
type sampler struct {
	trace, request seeker
	bound          bool
	batch          *record.Batch
}

func (s *sampler) bind(b *record.Batch) { s.bound, s.batch = false, b }

// limitOf returns the bound of the keys that a share of records has.
func limitOf(share float64) uint64 { return uint64(math.Ldexp(share, 64)) }

func (s *sampler) key(b *record.Batch, row int) uint64 {
	if !s.bound || s.batch != b {
		s.bound, s.batch = true, b
		s.trace.bind(b, "trace_id")
		s.request.bind(b, "http.request.header.x-request-id")
	}
	var buf [16]byte
	if id := traceKey(buf[:0], s.trace.value(uint32(row))); id != nil {
		return xxh3.Hash(id)
	}
	if id := s.request.value(uint32(row)); len(id) > 0 {
		return xxh3.Hash(id)
	}
	return recordKey(b, row)
}

// traceKey returns the last 16 hexadecimal digits of a trace id, in lower case:
// some senders know only those. Another form of id is taken as it is. The id of
// no trace is nil. buf has room for 16 bytes.
func traceKey(buf, id []byte) []byte {
	zero := true
	for i := len(id) - 1; i >= 0; i-- {
		c := id[i]
		switch {
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		case c == '-':
			continue
		default:
			return id
		}
		zero = zero && c == '0'
		if len(buf) < cap(buf) {
			buf = append(buf, c)
		}
	}
	if zero {
		return nil
	}
	return buf
}

// recordKey is the key of a record by all that it says, in whatever order.
func recordKey(b *record.Batch, row int) uint64 {
	const odd = 0x9e3779b97f4a7c15
	sum := uint64(b.Times()[row])
	var num [8]byte
	for _, c := range b.Columns() {
		i, ok := c.Find(uint32(row))
		if !ok {
			continue
		}
		v := num[:]
		if c.Kind == record.String {
			v = c.Bytes(i)
		} else {
			binary.LittleEndian.PutUint64(v, c.Nums[i])
		}
		sum += xxh3.HashSeed(v, xxh3.HashString(c.Name)+uint64(c.Kind)) * odd
	}
	binary.LittleEndian.PutUint64(num[:], sum)
	return xxh3.Hash(num[:])
}

// A seeker finds the text of a field by its schema name in the records of a batch.
type seeker struct {
	ranks map[string]int // of columns' names; -1 is no column of the field
	cols  []*record.Column
	best  []int
	num   []byte
}

func (s *seeker) bind(b *record.Batch, name string) {
	s.cols, s.best = s.cols[:0], s.best[:0]
	var res schema.Resolution
	for _, c := range b.Columns() {
		if len(c.Rows) == 0 {
			continue
		}
		rank, known := s.ranks[c.Name]
		if !known {
			if res.Asked == "" {
				res = schema.Resolve(name)
			}
			if s.ranks == nil || len(s.ranks) >= maxCovered {
				s.ranks = make(map[string]int)
			}
			rank = -1
			if _, at, ok := res.Match(c.Name); ok {
				rank = at
			}
			s.ranks[c.Name] = rank
		}
		if rank < 0 {
			continue
		}
		at := len(s.cols)
		for at > 0 && rank < s.best[at-1] {
			at--
		}
		s.cols, s.best = append(s.cols, nil), append(s.best, 0)
		copy(s.cols[at+1:], s.cols[at:])
		copy(s.best[at+1:], s.best[at:])
		s.cols[at], s.best[at] = c, rank
	}
}

// value returns the text of a record's field, lent; nil without one.
func (s *seeker) value(row uint32) []byte {
	for _, c := range s.cols {
		i, ok := c.Find(row)
		if !ok {
			continue
		}
		if c.Kind == record.String {
			return bytes.TrimSpace(c.Bytes(i))
		}
		s.num = c.Value(i).AppendText(s.num[:0])
		return s.num
	}
	return nil
}
