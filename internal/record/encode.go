package record

import (
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// What one encoded batch may hold. A batch within these limits can always be
// decoded; Check tells. MaxRows is a limit too.
const (
	MaxName    = 256      // bytes in a column's or count's name
	MaxSource  = 128      // bytes in a source's or origin's name
	MaxColumns = 1 << 16  // columns with values
	MaxValues  = 1 << 23  // values of all columns
	MaxBody    = 64 << 20 // bytes, before packing
	MaxCounts  = 1 << 12  // reasons or rules in an Account
)

const (
	batchMagic   = "MTB"
	batchVersion = 1
	headerSize   = 16

	// maxRatio is how many bytes of body one packed byte may stand for. What
	// packs better is padded, so that a decoder need not make room for more
	// than a fixed multiple of what it was sent.
	maxRatio = 256

	sparse = 0
	dense  = 1
)

// crcTable is that of CRC-32C (Castagnoli), which processors compute.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// bodies holds scratch buffers (*[]byte) for unpacked bodies.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// keepBody is the largest scratch buffer that is kept, in bytes.
const keepBody = 8 << 20

func returnBody(p *[]byte, used []byte) {
	if cap(used) <= keepBody {
		*p = used[:0]
		bodies.Put(p)
	}
}

// Size returns an upper bound of the batch's encoding before packing, in bytes.
func (b *Batch) Size() int {
	n := 1024 + len(b.times)*(binary.MaxVarintLen64+1) + len(b.names)*65
	for _, c := range b.Account.Rejected {
		n += len(c.Name) + 12
	}
	for _, c := range b.Account.Dropped {
		n += len(c.Name) + 12
	}
	for _, c := range b.cols {
		if len(c.Rows) == 0 {
			continue
		}
		n += len(c.Name) + 12 + len(c.Data)
		if len(c.Rows) < len(b.times) {
			n += len(c.Rows) * 3 // a gap is below MaxRows
		}
		switch c.Kind {
		case Int:
			n += len(c.Rows) * binary.MaxVarintLen64
		case Float:
			n += len(c.Rows) * 8
		case Bool:
			n += len(c.Rows)
		default:
			n += len(c.Rows) * 4 // lengths below MaxBody
		}
	}
	return n
}

// Check reports why the batch cannot be encoded: fault.Invalid or
// fault.TooLarge. An Appender MUST refuse such a batch, because nobody could
// decode it again.
func (b *Batch) Check() error {
	switch {
	case b.open:
		return fault.Errorf(fault.Invalid, "check batch: a record is still open")
	case !ValidName(string(b.Tenant)):
		return fault.Errorf(fault.Invalid, "check batch: tenant %q is no valid name", b.Tenant)
	case len(b.Source) == 0 || len(b.Source) > MaxSource:
		return fault.Errorf(fault.Invalid, "check batch: source has %d bytes, 1 to %d are allowed", len(b.Source), MaxSource)
	case len(b.ID.Origin) > MaxSource:
		return fault.Errorf(fault.Invalid, "check batch: origin has %d bytes, at most %d are allowed", len(b.ID.Origin), MaxSource)
	case len(b.times) > MaxRows:
		return fault.Errorf(fault.TooLarge, "check batch: %d records, at most %d are allowed", len(b.times), MaxRows)
	}
	for _, c := range b.names {
		if !ValidName(string(c)) {
			return fault.Errorf(fault.Invalid, "check batch: class %q is no valid name", c)
		}
	}
	if err := b.Account.check(); err != nil {
		return fault.Errorf(fault.Invalid, "check batch: %w", err)
	}
	columns, values := 0, 0
	for _, c := range b.cols {
		if len(c.Rows) == 0 {
			continue
		}
		columns++
		values += len(c.Rows)
		if len(c.Name) == 0 || len(c.Name) > MaxName {
			return fault.Errorf(fault.Invalid, "check batch: a field's name has %d bytes, 1 to %d are allowed", len(c.Name), MaxName)
		}
	}
	if size := b.Size(); columns > MaxColumns || values > MaxValues || size > MaxBody {
		return fault.Errorf(fault.TooLarge, "check batch: %d columns, %d values, %d bytes; at most %d, %d, %d are allowed",
			columns, values, size, MaxColumns, MaxValues, MaxBody)
	}
	return nil
}

// check reports what cannot be: unnamed counts, or more records gone than were
// received.
func (a *Account) check() error {
	gone := a.Deduplicated
	for _, list := range [2][]Count{a.Rejected, a.Dropped} {
		if len(list) > MaxCounts {
			return fault.Errorf(fault.TooLarge, "account has %d counts, at most %d are allowed", len(list), MaxCounts)
		}
		for _, c := range list {
			if len(c.Name) == 0 || len(c.Name) > MaxName {
				return fault.Errorf(fault.Invalid, "a count's name has %d bytes, 1 to %d are allowed", len(c.Name), MaxName)
			}
			if gone += c.N; gone < c.N {
				return fault.Errorf(fault.Invalid, "the counts of an account overflow")
			}
		}
	}
	if gone > a.Received {
		return fault.Errorf(fault.Invalid, "account lost %d records of %d received", gone, a.Received)
	}
	return nil
}

// AppendEncoded appends the encoding of b to dst (see spec/batch.md). One
// batch has one encoding: columns come in the order in which the builder first
// used them, and empty ones not at all. Ord is not encoded. It allocates
// nothing if dst has room. The batch MUST have passed Check.
func (b *Batch) AppendEncoded(dst []byte) []byte {
	scratch := bodies.Get().(*[]byte)
	body := b.appendBody((*scratch)[:0])

	start := len(dst)
	dst = append(dst, batchMagic...)
	dst = append(dst, batchVersion)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, 0, 0, 0, 0) // packed length, set below
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, crcTable))

	at := len(dst)
	if need := s2.MaxEncodedLen(len(body)); cap(dst)-at < need {
		dst = append(make([]byte, 0, at+need), dst...)
	}
	packed := s2.Encode(dst[at:cap(dst)], body)
	binary.LittleEndian.PutUint32(dst[start+8:], uint32(len(packed)))
	dst = dst[:at+len(packed)]
	for range padding(len(body), len(packed)) {
		dst = append(dst, 0)
	}
	returnBody(scratch, body)
	return dst
}

// padding returns how many zero bytes follow the packed body.
func padding(body, packed int) int {
	return max(0, (body+maxRatio-1)/maxRatio-packed)
}

func (b *Batch) appendBody(dst []byte) []byte {
	w := wire.Writer{B: dst}
	w.String(string(b.Tenant))
	w.String(b.Source)
	w.String(b.ID.Origin)
	w.Uvarint(b.ID.Epoch)
	w.Uvarint(b.ID.Seq)
	w.Varint(b.Ingest)
	w.Uvarint(b.Account.Received)
	w.Uvarint(b.Account.Deduplicated)
	putCounts(&w, b.Account.Rejected)
	putCounts(&w, b.Account.Dropped)

	w.Uvarint(uint64(len(b.times)))
	b.putClasses(&w)
	last := b.Ingest
	for _, t := range b.times {
		w.Varint(t - last) // wraps, as it does when read
		last = t
	}
	columns := 0
	for _, c := range b.cols {
		if len(c.Rows) > 0 {
			columns++
		}
	}
	w.Uvarint(uint64(columns))
	for _, c := range b.cols {
		if len(c.Rows) > 0 {
			c.put(&w, len(b.times))
		}
	}
	return w.B
}

func putCounts(w *wire.Writer, list []Count) {
	w.Uvarint(uint64(len(list)))
	for _, c := range list {
		w.String(c.Name)
		w.Uvarint(c.N)
	}
}

// putClasses writes the classes in use, and one byte a record if there are
// several. Names that no record bears any more (Discard, Keep) are left out.
func (b *Batch) putClasses(w *wire.Writer) {
	var used [256]bool
	for _, c := range b.classes {
		used[c] = true
	}
	var code [256]uint8
	n := uint8(0)
	for i := range b.names {
		if used[i] {
			code[i] = n
			n++
		}
	}
	w.Uvarint(uint64(n))
	for i, name := range b.names {
		if used[i] {
			w.String(string(name))
		}
	}
	if n > 1 {
		for _, c := range b.classes {
			w.B = append(w.B, code[c])
		}
	}
}

// put writes a column of a batch of n records.
func (c *Column) put(w *wire.Writer, n int) {
	w.String(c.Name)
	w.U8(uint8(c.Kind))
	if len(c.Rows) == n {
		w.U8(dense)
	} else {
		w.U8(sparse)
		w.Uvarint(uint64(len(c.Rows)))
		next := uint32(0)
		for _, row := range c.Rows {
			w.Uvarint(uint64(row - next))
			next = row + 1
		}
	}
	switch c.Kind {
	case Int:
		last := uint64(0)
		for _, v := range c.Nums {
			w.Varint(int64(v - last))
			last = v
		}
	case Float:
		for _, v := range c.Nums {
			w.U64(v)
		}
	case Bool:
		for _, v := range c.Nums {
			w.U8(uint8(v))
		}
	default:
		start := uint32(0)
		for _, end := range c.Ends {
			w.Uvarint(uint64(end - start))
			start = end
		}
		w.Raw(c.Data)
	}
}
