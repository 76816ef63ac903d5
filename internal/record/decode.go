package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// Decode fills into with the batch that AppendEncoded wrote to data. It keeps
// the memory of into, and no reference to data. Everything is verified: what
// AppendEncoded could not have written is fault.Corrupt and leaves into empty.
// The memory it takes is bounded by a fixed multiple of len(data), and by the
// limits of this package.
func Decode(data []byte, into *Batch) error {
	into.Reset()
	scratch := bodies.Get().(*[]byte)
	body, err := unpack(data, (*scratch)[:0])
	if err == nil {
		err = into.decodeBody(body)
	}
	returnBody(scratch, body)
	if err != nil {
		into.Reset()
		return fmt.Errorf("decode batch: %w", err)
	}
	return nil
}

// unpack appends the body of an encoded batch to dst, which is empty.
func unpack(data, dst []byte) ([]byte, error) {
	if len(data) < headerSize || string(data[:3]) != batchMagic {
		return dst, fault.Errorf(fault.Corrupt, "%d bytes that are no batch", len(data))
	}
	if data[3] != batchVersion {
		return dst, fault.Errorf(fault.Corrupt, "version %d, this program reads %d", data[3], batchVersion)
	}
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	packed := int64(binary.LittleEndian.Uint32(data[8:]))
	sum := binary.LittleEndian.Uint32(data[12:])
	data = data[headerSize:]
	if size > MaxBody || packed > int64(len(data)) || int(packed)+padding(int(size), int(packed)) != len(data) {
		return dst, fault.Errorf(fault.Corrupt, "a body of %d bytes packed in %d cannot be in %d bytes", size, packed, len(data))
	}
	for _, c := range data[packed:] {
		if c != 0 {
			return dst, fault.Errorf(fault.Corrupt, "the padding is not zero")
		}
	}
	data = data[:packed]
	if n, err := s2.DecodedLen(data); err != nil || int64(n) != size {
		return dst, fault.Errorf(fault.Corrupt, "the packed body does not unpack to %d bytes", size)
	}
	dst = slices.Grow(dst, int(size))[:size]
	body, err := s2.Decode(dst, data)
	if err != nil || int64(len(body)) != size {
		return dst[:0], fault.Errorf(fault.Corrupt, "unpack body: %w", err)
	}
	if crc32.Checksum(body, crcTable) != sum {
		return body, fault.Errorf(fault.Corrupt, "the body's checksum is wrong")
	}
	return body, nil
}

// decodeBody fills the empty batch b from an unpacked body.
func (b *Batch) decodeBody(body []byte) error {
	r := wire.NewReader(body)
	b.Tenant = TenantID(r.String(64))
	b.Source = r.String(MaxSource)
	b.ID.Origin = r.String(MaxSource)
	b.ID.Epoch = r.Uvarint()
	b.ID.Seq = r.Uvarint()
	b.Ingest = r.Varint()
	b.Account.Received = r.Uvarint()
	b.Account.Deduplicated = r.Uvarint()
	b.Account.Rejected = readCounts(r, b.Account.Rejected)
	b.Account.Dropped = readCounts(r, b.Account.Dropped)
	if r.Err() == nil {
		if !ValidName(string(b.Tenant)) {
			r.Fail("tenant %q is no valid name", b.Tenant)
		}
		if b.Source == "" {
			r.Fail("the source has no name")
		}
		if err := b.Account.check(); err != nil {
			r.Fail("%w", err)
		}
	}
	n := r.Count(MaxRows, 1)
	b.readClasses(r, n)
	b.times = slices.Grow(b.times, n)
	last := b.Ingest
	for range n {
		last += r.Varint()
		b.times = append(b.times, last)
	}
	values := 0
	columns := r.Count(MaxColumns, 4) // name, kind, flag and a value at least
	for i := range columns {
		c := b.readName(r, i)
		if c == nil {
			break
		}
		c.read(r, n, MaxValues-values)
		if r.Err() != nil {
			break
		}
		values += len(c.Rows)
	}
	return r.Done()
}

func readCounts(r *wire.Reader, list []Count) []Count {
	n := r.Count(MaxCounts, 2)
	for range n {
		list = append(list, Count{Name: r.String(MaxName), N: r.Uvarint()})
	}
	return list
}

// readClasses reads the classes of n records. Each class named has a record.
func (b *Batch) readClasses(r *wire.Reader, n int) {
	k := r.Count(255, 2)
	for range k {
		c := Class(r.Bytes(64))
		if r.Err() == nil && !ValidName(string(c)) {
			r.Fail("class %q is no valid name", c)
		}
		if slices.Contains(b.names, c) {
			r.Fail("class %q twice", c)
		}
		b.names = append(b.names, c)
	}
	if (k == 0) != (n == 0) {
		r.Fail("%d classes for %d records", k, n)
	}
	if r.Err() != nil {
		return
	}
	if k < 2 {
		b.classes = slices.Grow(b.classes, n)[:n]
		clear(b.classes)
		return
	}
	b.classes = append(b.classes, r.Raw(n)...)
	var used [256]bool
	for _, c := range b.classes {
		used[c] = true
	}
	for c, u := range used {
		if u != (c < k) {
			r.Fail("%d classes, and class %d is used: %v", k, c, u)
			return
		}
	}
}

// readName reads name and kind of column i and returns the column, empty, in
// place i. Its memory is that of the column of the same name, if b had one.
func (b *Batch) readName(r *wire.Reader, i int) *Column {
	name := r.Bytes(MaxName)
	kind := Kind(r.U8())
	switch {
	case r.Err() != nil:
		return nil
	case len(name) == 0:
		r.Fail("a column has no name")
		return nil
	case kind < String || kind > Bool:
		r.Fail("column %q is of kind %d, which is unknown", name, kind)
		return nil
	}
	j, ok := b.index[colKey{string(name), kind}]
	if !ok {
		j = b.addColumn(string(name), kind)
	}
	if j < i {
		r.Fail("column %q twice", name)
		return nil
	}
	if j > i { // columns keep the order in which they were written
		b.cols[i], b.cols[j] = b.cols[j], b.cols[i]
		b.index[colKey{b.cols[i].Name, b.cols[i].Kind}] = i
		b.index[colKey{b.cols[j].Name, b.cols[j].Kind}] = j
	}
	return b.cols[i]
}

// read fills the empty column c of a batch of n records with at most limit
// values.
func (c *Column) read(r *wire.Reader, n, limit int) {
	count := n
	switch flag := r.U8(); {
	case flag == sparse:
		if count = r.Count(n, 2); count == n { // a row and a value each
			r.Fail("column %q has a value for every record, and says it has not", c.Name)
		}
	case flag != dense:
		r.Fail("column %q has flag %d", c.Name, flag)
	}
	if count == 0 || count > limit || count > r.Len() {
		r.Fail("column %q has %d values, %d more are allowed and %d bytes are left", c.Name, count, limit, r.Len())
		return
	}
	c.Rows = slices.Grow(c.Rows, count)
	if count == n {
		for i := range uint32(n) {
			c.Rows = append(c.Rows, i)
		}
	} else {
		next := uint64(0)
		for range count {
			row := next + r.Max(MaxRows)
			if row >= uint64(n) {
				r.Fail("column %q has a value for record %d of %d", c.Name, row, n)
				return
			}
			c.Rows = append(c.Rows, uint32(row))
			next = row + 1
		}
	}
	if c.Kind == String {
		c.readStrings(r, count)
	} else {
		c.readNums(r, count)
	}
}

func (c *Column) readNums(r *wire.Reader, count int) {
	c.Nums = slices.Grow(c.Nums, count)
	switch c.Kind {
	case Int:
		last := uint64(0)
		for range count {
			last += uint64(r.Varint())
			c.Nums = append(c.Nums, last)
		}
	case Float:
		p := r.Raw(8 * count)
		for ; len(p) > 0; p = p[8:] {
			c.Nums = append(c.Nums, binary.LittleEndian.Uint64(p))
		}
	case Bool:
		for _, v := range r.Raw(count) {
			if v > 1 {
				r.Fail("column %q: %d is neither true nor false", c.Name, v)
				return
			}
			c.Nums = append(c.Nums, uint64(v))
		}
	}
}

func (c *Column) readStrings(r *wire.Reader, count int) {
	c.Ends = slices.Grow(c.Ends, count)
	end := uint64(0)
	for range count {
		end += r.Max(MaxBody)
		if end > MaxBody {
			r.Fail("column %q has more than %d bytes", c.Name, MaxBody)
			return
		}
		c.Ends = append(c.Ends, uint32(end))
	}
	c.Data = append(c.Data, r.Raw(int(end))...)
}
