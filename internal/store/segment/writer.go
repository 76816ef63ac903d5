package segment

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/merkle"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// Meta names a segment before it is written.
type Meta struct {
	ID                 ID
	Tenant, Class, Day string
	KeyID              string
	Key                *crypt.Key
	// MinSchema and MaxSchema are the versions of the dictionary that the records of
	// prepared blocks were written under.
	MinSchema, MaxSchema int
	// Sealer seals the chunks; nil means crypt.NewSealer(Key).
	Sealer *crypt.Sealer
}

// A Writer writes a segment front to back. It is not safe for concurrent use;
// Prepare is, so that blocks are encoded in parallel.
type Writer struct {
	meta          Meta
	out           *chunkfile.Writer
	dir           Directory
	index         map[columnKey]int
	tokens        pairSet  // of the blocks that were prepared
	donors        []*donor // of the blocks that were relocated
	sealed, plain []byte   // a chunk on its way
	err           error
}

// NewWriter starts a segment on w, which the caller buffers, syncs and closes.
func NewWriter(w io.Writer, m Meta) (*Writer, error) {
	if m.Sealer == nil {
		m.Sealer = crypt.NewSealer(m.Key)
	}
	out, err := chunkfile.NewWriter(w, chunkfile.Header{Version: Version, ID: m.ID})
	if err != nil {
		return nil, fmt.Errorf("write segment %s: %w", m.ID, err)
	}
	return &Writer{
		meta: m, out: out, index: make(map[columnKey]int),
		dir: Directory{
			Tenant: m.Tenant, Class: m.Class, Day: m.Day,
			MinTime: math.MaxInt64, MaxTime: math.MinInt64,
			MinIngest: math.MaxInt64, MaxIngest: math.MinInt64,
			FirstOrd: math.MaxUint64,
		},
	}, nil
}

// A Prepared block is encoded, tokenised and sealed.
type Prepared struct {
	uid     UID
	header  []byte
	bodies  [][]byte
	rows    int
	raw     int64
	columns []blockColumn
	tokens  []uint64

	minTime, maxTime     int64
	minIngest, maxIngest int64
	minOrd, maxOrd       uint64
}

// Prepare encodes block n of the segment. It keeps nothing of in.
func (w *Writer) Prepare(n int, in *block.Input) (*Prepared, error) {
	e := block.Encode(in)
	p := &Prepared{
		uid: uidOf(w.meta.ID, n), rows: e.Rows, raw: e.Raw,
		minTime: e.MinTime, maxTime: e.MaxTime,
		minIngest: math.MaxInt64, maxIngest: math.MinInt64, minOrd: math.MaxUint64,
	}
	for i, o := range in.Ords {
		p.minOrd, p.maxOrd = min(p.minOrd, o), max(p.maxOrd, o)
		p.minIngest, p.maxIngest = min(p.minIngest, in.Ingests[i]), max(p.maxIngest, in.Ingests[i])
	}
	var err error
	var ad [64]byte
	if p.header, err = w.meta.Sealer.Seal(nil, e.Header, aad(ad[:0], chunkHeader, p.uid, 0)); err != nil {
		return nil, err
	}
	for i, b := range e.Bodies {
		sealed, err := w.meta.Sealer.Seal(make([]byte, 0, len(b)+crypt.Overhead), b, aad(ad[:0], chunkBody, p.uid, i))
		if err != nil {
			return nil, err
		}
		p.bodies = append(p.bodies, sealed)
	}
	p.tokens = tokenise(in.Columns, in.Rest, e)
	for _, s := range e.Columns() {
		p.columns = append(p.columns, blockColumn{s.Name, s.Kind, s.Values, s.Min, s.Max})
	}
	if in.Rest.Len() > 0 {
		p.columns = append(p.columns, restColumn(in.Rest))
	}
	return p, nil
}

var hashSets = sync.Pool{New: func() any { return new(hashSet) }}

// tokenise returns the distinct token hashes of a block's string columns and of
// its rest.
func tokenise(columns []*record.Column, rest *block.Rest, e *block.Encoded) []uint64 {
	s := hashSets.Get().(*hashSet)
	defer hashSets.Put(s)
	s.reset()
	n := -1
	for _, c := range columns {
		if len(c.Rows) == 0 {
			continue
		}
		n++
		if c.Kind != record.String {
			continue
		}
		seed := Seed(c.Name)
		if first := e.Distinct(n); first != nil {
			for _, i := range first {
				s.tokens(view(c.Bytes(int(i))), seed)
			}
			continue
		}
		for i := range c.Ends {
			s.tokens(view(c.Bytes(i)), seed)
		}
	}
	s.rest(rest)
	return slices.Clone(s.list)
}

// view reads bytes as a string for the length of a call.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Add writes the next block. Blocks MUST be added in the order of the n they
// were prepared with.
func (w *Writer) Add(p *Prepared) error {
	if w.err != nil {
		return w.err
	}
	n := len(w.dir.Blocks)
	if p.uid != uidOf(w.meta.ID, n) {
		return fault.Errorf(fault.Internal, "write segment %s: block %d added out of order", w.meta.ID, n)
	}
	off, err := w.add(p.header)
	for _, b := range p.bodies {
		if err == nil {
			_, err = w.add(b)
		}
	}
	if err != nil {
		return err
	}
	d := &w.dir
	d.written(w.meta.MinSchema, w.meta.MaxSchema)
	d.Blocks = append(d.Blocks, Block{
		UID: p.uid, Offset: off, Header: len(p.header), Rows: p.rows, Raw: p.raw,
		MinTime: p.minTime, MaxTime: p.maxTime,
	})
	d.Records += uint64(p.rows)
	d.MinTime, d.MaxTime = min(d.MinTime, p.minTime), max(d.MaxTime, p.maxTime)
	d.MinIngest, d.MaxIngest = min(d.MinIngest, p.minIngest), max(d.MaxIngest, p.maxIngest)
	d.FirstOrd, d.LastOrd = min(d.FirstOrd, p.minOrd), max(d.LastOrd, p.maxOrd)
	d.merge(w.index, p.columns, n)
	return w.tokens.add(p.tokens, n)
}

func (w *Writer) add(chunk []byte) (int64, error) {
	off, err := w.out.Add(chunk)
	if err != nil {
		w.err = fmt.Errorf("write segment %s: %w", w.meta.ID, err)
	}
	return off, w.err
}

// Summary is what the ledger says of a segment.
type Summary struct {
	Directory
	Root          merkle.Hash
	Size          int64
	KeyCommitment [32]byte
}

// Finish writes index, directory and footer. A segment has a block at least.
func (w *Writer) Finish() (*Summary, error) {
	if w.err != nil {
		return nil, w.err
	}
	w.dir.finish()
	if err := w.writeIndex(); err != nil {
		return nil, err
	}
	footer := append([]byte{Version}, byte(len(w.meta.KeyID)))
	footer = append(footer, w.meta.KeyID...)
	commitment := Commitment(w.meta.Key, w.meta.KeyID)
	footer = append(footer, commitment[:]...)
	footer, err := w.meta.Sealer.Seal(footer, w.dir.encode(), aad(nil, chunkDirectory, uidOf(w.meta.ID, 0), 0))
	if err != nil {
		return nil, err
	}
	sum, err := w.out.Finish(footer)
	if err != nil {
		return nil, fmt.Errorf("write segment %s: %w", w.meta.ID, err)
	}
	return &Summary{Directory: w.dir, Root: sum.Root, Size: sum.Size, KeyCommitment: commitment}, nil
}

// writeIndex writes the token index: those of the relocated blocks are merged
// with the tokens of the others.
func (w *Writer) writeIndex() error {
	d := &w.dir
	n, err := w.settleDonors()
	if err != nil {
		return fmt.Errorf("write token index of segment %s: %w", w.meta.ID, err)
	}
	pairs, sources := w.tokens.total, w.tokens.sources(n)
	for _, in := range w.donors {
		if in.table {
			pairs += in.r.index.pairs
			sources = append(sources, in.entries(n))
		}
	}
	i, at, size := 0, int64(0), 0
	var sealed []byte
	t := newTable(len(d.Blocks), n, pairs, func(page []byte, last bool) (err error) {
		var ad [64]byte
		if sealed, err = w.meta.Sealer.Seal(sealed[:0], page, aad(ad[:0], chunkIndex, uidOf(w.meta.ID, 0), i)); err != nil {
			return err
		}
		off, err := w.add(sealed)
		if i == 0 {
			at = off
		}
		i++
		size = len(sealed)
		return err
	})
	if err := t.merge(sources); err != nil {
		return fmt.Errorf("write token index of segment %s: %w", w.meta.ID, err)
	}
	d.index = t.index
	d.index.at, d.index.last = at, size
	w.tokens, w.donors = pairSet{}, nil
	return nil
}
