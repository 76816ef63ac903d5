package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// Decode fills into with the batch that AppendEncoded wrote to data, in this
// version of the format or an earlier one. It keeps the memory of into, and no
// reference to data. Everything is verified: what breaks a rule of spec/batch.md
// is fault.Corrupt and leaves into empty. The memory it takes is bounded by a
// fixed multiple of len(data), and by the limits of this package. The numbers of
// values are those that the encoding has.
func Decode(data []byte, into *Batch) error {
	into.Reset()
	err := into.decode(data)
	if err != nil {
		into.Reset()
		return fmt.Errorf("decode batch: %w", err)
	}
	return nil
}

func (b *Batch) decode(data []byte) error {
	if len(data) < headerSize || string(data[:3]) != batchMagic {
		return fault.Errorf(fault.Corrupt, "%d bytes that are no batch", len(data))
	}
	switch data[3] {
	case 1:
		scratch := packings.Get().(*[]byte)
		body, err := unpack(data, (*scratch)[:0])
		if err == nil {
			err = b.decodeBody(body, 1, maxStand)
		}
		*scratch = body[:0]
		returnPacking(scratch)
		return err
	case batchVersion:
		size, stand := binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:])
		sum := binary.LittleEndian.Uint32(data[12:])
		data = data[headerSize:]
		if size > MaxBody || stand > maxStand || int(size)+padding(int(stand), int(size)) != len(data) {
			return fault.Errorf(fault.Corrupt, "a body of %d bytes that stands for %d cannot be in %d bytes", size, stand, len(data))
		}
		if err := zeros(data[size:]); err != nil {
			return err
		}
		if crc32.Checksum(data[:size], crcTable) != sum {
			return fault.Errorf(fault.Corrupt, "the body's checksum is wrong")
		}
		return b.decodeBody(data[:size], batchVersion, int(stand))
	default:
		return fault.Errorf(fault.Corrupt, "version %d, this program reads 1 and %d", data[3], batchVersion)
	}
}

func zeros(padding []byte) error {
	for _, c := range padding {
		if c != 0 {
			return fault.Errorf(fault.Corrupt, "the padding is not zero")
		}
	}
	return nil
}

// unpack appends the body of a batch in version 1 to dst, which is empty.
func unpack(data, dst []byte) ([]byte, error) {
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	packed := int64(binary.LittleEndian.Uint32(data[8:]))
	sum := binary.LittleEndian.Uint32(data[12:])
	data = data[headerSize:]
	if size > MaxBody || packed > int64(len(data)) || int(packed)+padding(int(size), int(packed)) != len(data) {
		return dst, fault.Errorf(fault.Corrupt, "a body of %d bytes packed in %d cannot be in %d bytes", size, packed, len(data))
	}
	if err := zeros(data[packed:]); err != nil {
		return dst, err
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

// decodeBody fills the empty batch b from a body, which stands for at most, and
// from version 2 on for exactly, that many bytes.
func (b *Batch) decodeBody(body []byte, version uint8, stand int) error {
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
	left := room{values: MaxValues, strings: MaxBody, stand: stand}
	columns := r.Count(MaxColumns, 4) // name, kind, density and a value at least
	for i := range columns {
		c := b.readName(r, i)
		if c == nil {
			break
		}
		c.read(r, n, version, &left)
		if r.Err() != nil {
			break
		}
	}
	if version > 1 && left.stand != 0 && r.Err() == nil {
		r.Fail("the body stands for %d bytes less than its header says", left.stand)
	}
	return r.Done()
}

// room is what the columns that are still to be read may take.
type room struct {
	values  int
	strings int // bytes of all string values
	stand   int
}

// take takes n more values, or strings of n bytes, out of the room.
func (l *room) take(r *wire.Reader, values, strings int) bool {
	l.values, l.strings, l.stand = l.values-values, l.strings-strings, l.stand-8*values-strings
	if l.values < 0 || l.strings < 0 || l.stand < 0 {
		r.Fail("%d values and %d bytes of strings are more than this batch may have or said to have", values, strings)
		return false
	}
	return true
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

// read fills the empty column c of a batch of n records.
func (c *Column) read(r *wire.Reader, n int, version uint8, left *room) {
	count, density, form := n, r.U8(), uint8(formPlain)
	if version > 1 {
		form = r.U8()
	}
	switch {
	case density == sparse:
		if count = r.Count(n, 1); count == n {
			r.Fail("column %q has a value for every record, and says it has not", c.Name)
		}
	case density != dense:
		r.Fail("column %q has flag %d", c.Name, density)
	}
	if count == 0 || form != formConstant && count > r.Len() {
		r.Fail("column %q has %d values, and %d bytes are left", c.Name, count, r.Len())
		return
	}
	if r.Err() != nil || !left.take(r, count, 0) {
		return
	}
	c.readRows(r, n, count)
	switch {
	case r.Err() != nil:
	case form == formConstant && count > 1:
		c.readConstant(r, count, left)
	case form == formDictionary && (c.Kind == String || c.Kind == Int):
		c.readDictionary(r, count, left)
	case c.Kind == String && (form == formPlain || form == formPacked):
		c.readStrings(r, count, form == formPacked, left)
	case form == formPlain:
		c.readNums(r, count)
	default:
		r.Fail("column %q of kind %d with %d values is written in form %d", c.Name, c.Kind, count, form)
	}
}

func (c *Column) readRows(r *wire.Reader, n, count int) {
	c.Rows = slices.Grow(c.Rows, count)
	if count == n {
		c.Rows = c.Rows[:n]
		for i := range c.Rows {
			c.Rows[i] = uint32(i)
		}
		return
	}
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

// readConstant reads the one value of a column.
func (c *Column) readConstant(r *wire.Reader, count int, left *room) {
	c.Entries = append(c.Entries, 0)
	if c.Kind != String {
		c.readNums(r, 1)
		for len(c.Nums) > 0 && len(c.Nums) < count {
			c.Nums = append(c.Nums, c.Nums[0])
		}
		return
	}
	v := r.Bytes(MaxBody)
	if r.Err() != nil || !left.take(r, 0, len(v)*count) {
		return
	}
	c.Data, c.Ends = slices.Grow(c.Data, len(v)*count), slices.Grow(c.Ends, count)
	for range count {
		c.Data = append(c.Data, v...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
	}
}

// readDictionary reads entries and numbers of a string or int column.
func (c *Column) readDictionary(r *wire.Reader, count int, left *room) {
	e := r.Count(min(MaxEntries, count), 1)
	if e < 2 {
		r.Fail("column %q has a dictionary of %d", c.Name, e)
		return
	}
	table := tables.Get().(*Column)
	defer func() {
		if cap(table.Data) <= keepPacking {
			tables.Put(table)
		}
	}()
	table.Name, table.Kind = c.Name, c.Kind
	table.Nums, table.Ends, table.Data = table.Nums[:0], table.Ends[:0], table.Data[:0]
	if c.Kind == String {
		table.readStrings(r, e, false, &room{strings: left.strings, stand: left.strings})
	} else {
		table.readNums(r, e)
	}
	c.readCodes(r, count, e)
	if r.Err() != nil {
		return
	}
	if c.Kind == Int {
		c.Nums = slices.Grow(c.Nums, count)
		for _, code := range c.Codes {
			c.Nums = append(c.Nums, table.Nums[code])
		}
	} else {
		size := 0
		for _, code := range c.Codes {
			size += len(table.Bytes(int(code)))
		}
		if !left.take(r, 0, size) {
			return
		}
		c.Data, c.Ends = slices.Grow(c.Data, size), slices.Grow(c.Ends, count)
		for _, code := range c.Codes {
			c.Data = append(c.Data, table.Bytes(int(code))...)
			c.Ends = append(c.Ends, uint32(len(c.Data)))
		}
	}
	if !c.distinct() {
		r.Fail("column %q has an entry twice", c.Name)
	}
}

// tables hold the entries of one column while it is read.
var tables = sync.Pool{New: func() any { return new(Column) }}

// readCodes reads the numbers of count values among e entries, in the order of
// whose first use they stand.
func (c *Column) readCodes(r *wire.Reader, count, e int) {
	c.Codes = slices.Grow(c.Codes, count)
	width := 1
	if e > 256 {
		width = 2
	}
	p := r.Raw(width * count)
	for i := 0; len(p) > 0; i, p = i+1, p[width:] {
		code := uint16(p[0])
		if width == 2 {
			code = binary.LittleEndian.Uint16(p)
		}
		switch used := len(c.Entries); {
		case int(code) < used:
		case int(code) == used && used < e:
			c.Entries = append(c.Entries, uint32(i))
		default:
			r.Fail("column %q has number %d behind %d of %d entries", c.Name, code, used, e)
			return
		}
		c.Codes = append(c.Codes, code)
	}
	if r.Err() == nil && len(c.Entries) < e {
		r.Fail("column %q uses %d of %d entries", c.Name, len(c.Entries), e)
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

func (c *Column) readStrings(r *wire.Reader, count int, packed bool, left *room) {
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
	if r.Err() != nil || !left.take(r, 0, int(end)) {
		return
	}
	if !packed {
		c.Data = append(c.Data, r.Raw(int(end))...)
		return
	}
	p := r.Bytes(int(max(end, 1)) - 1)
	if r.Err() != nil {
		return
	}
	if size, err := s2.DecodedLen(p); err != nil || size != int(end) {
		r.Fail("the strings of column %q do not unpack to %d bytes", c.Name, end)
		return
	}
	c.Data = slices.Grow(c.Data, int(end))[:end]
	if out, err := s2.Decode(c.Data, p); err != nil || len(out) != int(end) {
		c.Data = c.Data[:0]
		r.Fail("unpack the strings of column %q: %w", c.Name, err)
	}
}
