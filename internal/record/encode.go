package record

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
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
	MaxBody    = 64 << 20 // bytes, before anything is packed or left out
	MaxCounts  = 1 << 12  // reasons or rules in an Account
)

const (
	batchMagic   = "MTB"
	batchVersion = 2
	headerSize   = 16

	// maxRatio is how many bytes one encoded byte may stand for. What packs
	// better is padded, so that a decoder need not make room for more than a
	// fixed multiple of what it was sent.
	maxRatio = 256
	// maxStand is what a body may stand for: 8 bytes for each value, and all
	// strings.
	maxStand = 8*MaxValues + MaxBody

	sparse = 0
	dense  = 1
)

// The forms of a column's values.
const (
	formPlain      = 0
	formConstant   = 1
	formDictionary = 2
	formPacked     = 3
)

// Strings that are not numbered are packed when there are minPacked bytes and
// the first sampled of them shrink to five eighths: below that, sealing and
// writing what packing would have spared costs less than packing.
const (
	minPacked = 4 << 10
	sampled   = 2 << 10
)

// crcTable is that of CRC-32C (Castagnoli), which processors compute.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// packings holds scratch buffers (*[]byte) for packed strings and bodies.
var packings = sync.Pool{New: func() any { return new([]byte) }}

// keepPacking is the largest scratch buffer that is kept, in bytes.
const keepPacking = 4 << 20

func returnPacking(p *[]byte) {
	if cap(*p) <= keepPacking {
		packings.Put(p)
	}
}

// Size returns an upper bound of the batch's encoding, in bytes.
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
		n += len(c.Name) + 16 + len(c.Data)
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

// AppendEncoded appends the encoding of b to dst (see spec/batch.md) and numbers
// its values. The same records and account give the same bytes: columns come in
// the order in which the builder first used them, and empty ones not at all.
// Ord is not encoded. It allocates nothing if dst has room. The batch MUST have
// passed Check.
func (b *Batch) AppendEncoded(dst []byte) []byte {
	b.Number()
	start := len(dst)
	dst = append(dst, batchMagic...)
	dst = append(dst, batchVersion)
	dst = append(dst, make([]byte, 12)...) // set below
	at := len(dst)
	dst = b.appendBody(dst)
	body := dst[at:]
	stand := b.stand()
	head := dst[start:]
	binary.LittleEndian.PutUint32(head[4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[8:], uint32(stand))
	binary.LittleEndian.PutUint32(head[12:], crc32.Checksum(body, crcTable))
	for range padding(stand, len(body)) {
		dst = append(dst, 0)
	}
	return dst
}

// padding returns how many zero bytes follow a body that stands for more.
func padding(stand, body int) int {
	return max(0, (stand+maxRatio-1)/maxRatio-body)
}

// stand returns what the encoded batch stands for, in bytes.
func (b *Batch) stand() (n int) {
	for _, c := range b.cols {
		n += 8*len(c.Rows) + len(c.Data)
	}
	return n
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
	density := uint8(dense)
	if len(c.Rows) < n {
		density = sparse
	}
	w.U8(density)
	form := c.form()
	at := len(w.B)
	w.U8(form)
	if density == sparse {
		w.Uvarint(uint64(len(c.Rows)))
		next := uint32(0)
		for _, row := range c.Rows {
			w.B = appendSmall(w.B, row-next)
			next = row + 1
		}
	}
	switch {
	case form == formConstant:
		c.putValue(w, 0)
	case form == formDictionary:
		w.Uvarint(uint64(len(c.Entries)))
		c.putEntries(w)
		w.B = appendCodes(w.B, c.Codes, len(c.Entries))
	case c.Kind == String:
		if !c.putStrings(w, form == formPacked) {
			w.B[at] = formPlain
		}
	default:
		c.putNums(w)
	}
}

// form returns how the values of a column are written.
func (c *Column) form() uint8 {
	switch {
	case len(c.Entries) == 1:
		return formConstant
	case len(c.Entries) > 1:
		return formDictionary
	case c.Kind == String && len(c.Data) >= minPacked && packs(c.Data[:sampled]):
		return formPacked
	}
	return formPlain
}

// packs reports whether bytes shrink to five eighths at least.
func packs(sample []byte) bool {
	scratch := packings.Get().(*[]byte)
	defer packings.Put(scratch)
	return 8*len(pack(scratch, sample)) <= 5*len(sample)
}

// pack packs bytes into scratch.
func pack(scratch *[]byte, data []byte) []byte {
	if need := s2.MaxEncodedLen(len(data)); cap(*scratch) < need {
		*scratch = make([]byte, need)
	}
	return s2.Encode((*scratch)[:cap(*scratch)], data)
}

// appendSmall appends a uvarint that is mostly one byte.
func appendSmall(dst []byte, v uint32) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return binary.AppendUvarint(dst, uint64(v))
}

func appendCodes(dst []byte, codes []uint16, entries int) []byte {
	if entries <= 256 {
		at := len(dst)
		dst = slices.Grow(dst, len(codes))[:at+len(codes)]
		for i, code := range codes {
			dst[at+i] = byte(code)
		}
		return dst
	}
	for _, code := range codes {
		dst = binary.LittleEndian.AppendUint16(dst, code)
	}
	return dst
}

// putValue writes value i alone.
func (c *Column) putValue(w *wire.Writer, i int) {
	switch c.Kind {
	case String:
		w.Bytes(c.Bytes(i))
	case Int:
		w.Varint(int64(c.Nums[i]))
	case Float:
		w.U64(c.Nums[i])
	default:
		w.U8(uint8(c.Nums[i]))
	}
}

// putEntries writes the distinct values of a string or int column.
func (c *Column) putEntries(w *wire.Writer) {
	if c.Kind == Int {
		last := uint64(0)
		for _, i := range c.Entries {
			w.Varint(int64(c.Nums[i] - last))
			last = c.Nums[i]
		}
		return
	}
	for _, i := range c.Entries {
		w.B = appendSmall(w.B, uint32(len(c.Bytes(int(i)))))
	}
	for _, i := range c.Entries {
		w.B = append(w.B, c.Bytes(int(i))...)
	}
}

// putStrings writes the strings of a column and reports whether packed, if they
// were to be: what did not shrink is plain.
func (c *Column) putStrings(w *wire.Writer, packed bool) bool {
	start := uint32(0)
	for _, end := range c.Ends {
		w.B = appendSmall(w.B, end-start)
		start = end
	}
	if !packed {
		w.Raw(c.Data)
		return false
	}
	scratch := packings.Get().(*[]byte)
	out := pack(scratch, c.Data)
	shrunk := len(out) < len(c.Data)
	if shrunk {
		w.Bytes(out)
	} else {
		w.Raw(c.Data)
	}
	returnPacking(scratch)
	return shrunk
}

func (c *Column) putNums(w *wire.Writer) {
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
	}
}
