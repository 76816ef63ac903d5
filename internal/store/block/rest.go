package block

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// RestKind is the kind of the column that holds a block's Rest.
const RestKind record.Kind = 18

// Limits of a rest, far beyond what fits into a block.
const (
	maxGroups     = 1 << 21
	maxRestValues = 1 << 22
)

// A Rest holds the fields of a block that have no column of their own, because
// few records have them or too many fields are asked for: senders who invent
// names cost a few bytes a value, and not a column each. It is a list of groups,
// each the values of one name and kind, by name, then kind.
//
// It is built group by group: Begin, then Number or String for each value, rows
// ascending. A Rest that is not being built is immutable.
type Rest struct {
	groups []group
	rows   []uint32 // by value, group after group
	nums   []uint64 // of the values that are no strings
	ends   []uint32 // of those that are, from the group's first byte on
	data   []byte
	names  int // bytes of all names

	once  sync.Once
	byRow restRows
}

type group struct {
	name  string
	kind  record.Kind
	value int // its first, in rows
	at    int // its first, in nums or ends
	data  int // its first byte
}

// NewRest returns an empty rest with room for so many groups, values and bytes.
func NewRest(groups, values, data int) *Rest {
	return &Rest{groups: make([]group, 0, groups), rows: make([]uint32, 0, values), data: make([]byte, 0, data)}
}

// Begin starts the next group. Its name and kind MUST follow those before.
func (r *Rest) Begin(name string, kind record.Kind) {
	g := group{name: name, kind: kind, value: len(r.rows), data: len(r.data), at: len(r.nums)}
	if kind == record.String {
		g.at = len(r.ends)
	}
	r.groups = append(r.groups, g)
	r.names += len(name)
}

// Number adds a value that is no string, as record.Column holds it.
func (r *Rest) Number(row uint32, v uint64) {
	r.rows, r.nums = append(r.rows, row), append(r.nums, v)
}

// String adds a string, which is copied.
func (r *Rest) String(row uint32, v []byte) {
	r.rows, r.data = append(r.rows, row), append(r.data, v...)
	r.ends = append(r.ends, uint32(len(r.data)-r.groups[len(r.groups)-1].data))
}

// Reset empties r, whose memory is used again.
func (r *Rest) Reset() {
	clear(r.groups) // they hold names
	r.groups, r.rows, r.nums, r.ends, r.data = r.groups[:0], r.rows[:0], r.nums[:0], r.ends[:0], r.data[:0]
	r.names = 0
}

// Len returns the number of groups; a nil Rest has none.
func (r *Rest) Len() int {
	if r == nil {
		return 0
	}
	return len(r.groups)
}

// Values returns the number of values.
func (r *Rest) Values() int {
	if r == nil {
		return 0
	}
	return len(r.rows)
}

// Name returns the name and kind of group i and how many values it has.
func (r *Rest) Name(i int) (name string, kind record.Kind, values int) {
	g := &r.groups[i]
	return g.name, g.kind, r.end(i) - g.value
}

// end returns where the values of group i end.
func (r *Rest) end(i int) int {
	if i+1 < len(r.groups) {
		return r.groups[i+1].value
	}
	return len(r.rows)
}

// Column describes group i like a column that may hold any value.
func (r *Rest) Column(i int) Column {
	name, kind, values := r.Name(i)
	return MemoryColumn(name, kind, values)
}

// Vector returns the values of group i, aliasing r.
func (r *Rest) Vector(i int) *Vector {
	v := &Vector{}
	r.Read(i, v)
	return v
}

// Read makes v the values of group i, aliasing r.
func (r *Rest) Read(i int, v *Vector) {
	g, end := &r.groups[i], r.end(i)
	n := end - g.value
	*v = Vector{Kind: g.kind, N: n, Rows: r.rows[g.value:end:end]}
	if g.kind != record.String {
		v.Nums = r.nums[g.at : g.at+n : g.at+n]
		return
	}
	v.Ends = r.ends[g.at : g.at+n : g.at+n]
	to := g.data + int(v.Ends[n-1])
	v.Data = r.data[g.data:to:to]
}

// Find returns which group has a name and kind.
func (r *Rest) Find(name string, kind record.Kind) (int, bool) {
	if r == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(r.groups, group{name: name, kind: kind}, func(a, b group) int { return compareGroups(&a, &b) })
}

// Holds reports whether a group has the name, or, when alike is set, one that
// schema.SameName reads as it.
func (r *Rest) Holds(name string, alike bool) bool {
	if r.Len() == 0 {
		return false
	}
	i, ok := r.Find(name, 0)
	if ok || i < len(r.groups) && r.groups[i].name == name {
		return true
	}
	if !alike || strings.IndexByte(name, '_') < 0 {
		return false
	}
	for i := range r.groups {
		if schema.SameName(name, r.groups[i].name) {
			return true
		}
	}
	return false
}

func compareGroups(a, b *group) int {
	return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
}

// restRows lists values by row: those of row i are values[starts[i]:starts[i+1]].
type restRows struct {
	starts []uint32
	values []uint32
	groups []uint32 // by value
}

// Row returns the numbers of a row's values, by name, then kind.
func (r *Rest) Row(row int) []uint32 {
	r.once.Do(r.index)
	if row+1 >= len(r.byRow.starts) {
		return nil
	}
	return r.byRow.values[r.byRow.starts[row]:r.byRow.starts[row+1]]
}

// index finds the values of each row.
func (r *Rest) index() {
	last := uint32(0)
	for _, row := range r.rows {
		last = max(last, row)
	}
	x := restRows{starts: make([]uint32, last+2), values: make([]uint32, len(r.rows)), groups: make([]uint32, len(r.rows))}
	for _, row := range r.rows {
		x.starts[row+1]++
	}
	for i := range last + 1 {
		x.starts[i+1] += x.starts[i]
	}
	next := slices.Clone(x.starts)
	for i := range r.groups {
		for k := r.groups[i].value; k < r.end(i); k++ {
			row := r.rows[k]
			x.values[next[row]], x.groups[k] = uint32(k), uint32(i)
			next[row]++
		}
	}
	r.byRow = x
}

// Value returns value i, of those that Row lists: its name, kind and number, or
// its text, which aliases r.
func (r *Rest) Value(i uint32) (name string, kind record.Kind, number uint64, text []byte) {
	g := &r.groups[r.byRow.groups[i]]
	k := int(i) - g.value
	if g.kind != record.String {
		return g.name, g.kind, r.nums[g.at+k], nil
	}
	from := 0
	if k > 0 {
		from = int(r.ends[g.at+k-1])
	}
	from, to := g.data+from, g.data+int(r.ends[g.at+k])
	return g.name, g.kind, 0, r.data[from:to:to]
}

// Size returns the bytes of memory that r holds, about.
func (r *Rest) Size() int64 {
	if r == nil {
		return 0
	}
	return int64(48*cap(r.groups)+16*cap(r.rows)+8*cap(r.nums)+4*cap(r.ends)+cap(r.data)+r.names) + 160
}

// present returns how many of so many rows have a value.
func (r *Rest) present(rows int) (n int) {
	seen := make([]bool, rows)
	for _, row := range r.rows {
		if !seen[row] {
			seen[row] = true
			n++
		}
	}
	return n
}

// encodeRest writes a rest: the head tells its size, the body is
//
//	| names strings | kinds ints | values of each ints | rows ints |
//	| int values ints | float values floats | bool values bits | string values strings |
func encodeRest(r *Rest) encoded {
	e := encoded{codec: codecRest}
	e.head = binary.AppendUvarint(nil, uint64(len(r.groups)))
	e.head = binary.AppendUvarint(e.head, uint64(len(r.rows)))
	var names []byte
	ends := make([]uint32, len(r.groups))
	kinds, counts := make([]uint64, len(r.groups)), make([]uint64, len(r.groups))
	nums := make(map[record.Kind][]uint64)
	texts, base := make([]uint32, 0, len(r.ends)), uint32(0)
	for i := range r.groups {
		g := &r.groups[i]
		n := r.end(i) - g.value
		names = append(names, g.name...)
		ends[i], kinds[i], counts[i] = uint32(len(names)), uint64(g.kind), uint64(n)
		if g.kind != record.String {
			nums[g.kind] = append(nums[g.kind], r.nums[g.at:g.at+n]...)
			continue
		}
		for _, end := range r.ends[g.at : g.at+n] {
			texts = append(texts, base+end)
		}
		base = texts[len(texts)-1]
	}
	rows := make([]uint64, len(r.rows))
	for i, row := range r.rows {
		rows[i] = uint64(row)
	}
	b := appendStrings(nil, ends, names)
	b = appendInts(b, kinds)
	b = appendInts(b, counts)
	b = appendInts(b, rows)
	b = appendInts(b, nums[record.Int])
	b = appendFloats(b, nums[record.Float])
	b = appendBits(b, nums[record.Bool])
	e.body = appendStrings(b, texts, r.data)
	return e
}

// restHead reads the head of a rest.
func (c *Column) restHead(head []byte) error {
	in := cursor{b: head}
	c.Groups = in.count(maxGroups, "fields of the rest")
	c.total = in.count(maxRestValues, "values of the rest")
	if in.err == nil && (c.Groups == 0 || c.total < max(c.Groups, c.Values)) {
		return corrupt("a rest of %d fields with %d values in %d rows", c.Groups, c.total, c.Values)
	}
	return in.end("the head of the rest")
}

// DecodeRest reads a rest, of a column of RestKind, from its body.
func (c *Column) DecodeRest(body []byte) (*Rest, error) {
	in := cursor{b: body}
	var names Vector
	in.strings(&names, c.Groups)
	kinds, counts, rows := in.ints(c.Groups), in.ints(c.Groups), in.ints(c.total)
	if in.err != nil {
		return nil, in.err
	}
	r := &Rest{groups: make([]group, c.Groups), rows: make([]uint32, c.total), names: len(names.Data)}
	var sizes [record.Bool + 1]int // values of each kind
	all, value := string(names.Data), 0
	for i := range r.groups {
		g, n := &r.groups[i], counts[i]
		if kinds[i] < uint64(record.String) || kinds[i] > uint64(record.Bool) || n == 0 || n > uint64(c.total-value) {
			return nil, corrupt("field %d of the rest has kind %d and %d values", i, kinds[i], n)
		}
		*g = group{name: all[len(all)-len(names.Data)+int(start(&names, i)) : names.Ends[i]], kind: record.Kind(kinds[i]), value: value}
		g.at = sizes[g.kind]
		if g.name == "" || i > 0 && compareGroups(&r.groups[i-1], g) >= 0 {
			return nil, corrupt("field %d of the rest, %q, is out of order", i, g.name)
		}
		for k := range int(n) {
			row := rows[value+k]
			if row >= uint64(c.rows) || k > 0 && row <= rows[value+k-1] {
				return nil, corrupt("row %d of field %q of the rest", row, g.name)
			}
			r.rows[value+k] = uint32(row)
		}
		sizes[g.kind] += int(n)
		value += int(n)
	}
	if value != c.total {
		return nil, corrupt("%d values of the rest, want %d", value, c.total)
	}
	return r, in.restValues(r, &sizes)
}

func start(v *Vector, i int) uint32 {
	if i == 0 {
		return 0
	}
	return v.Ends[i-1]
}

// restValues reads the values, of which there are sizes by kind, into r.
func (c *cursor) restValues(r *Rest, sizes *[record.Bool + 1]int) error {
	ints, floats, bools := c.ints(sizes[record.Int]), c.floats(sizes[record.Float]), c.bits(sizes[record.Bool])
	var texts Vector
	c.strings(&texts, sizes[record.String])
	if err := c.end("the rest"); err != nil {
		return err
	}
	first := map[record.Kind]int{record.Int: 0, record.Float: len(ints), record.Bool: len(ints) + len(floats)}
	r.nums = append(append(append(make([]uint64, 0, len(ints)+len(floats)+len(bools)), ints...), floats...), bools...)
	r.ends, r.data = texts.Ends, texts.Data
	at := 0
	for i := range r.groups {
		g := &r.groups[i]
		if g.kind != record.String {
			g.at += first[g.kind]
			continue
		}
		g.data = at
		for k := g.at; k < g.at+r.end(i)-g.value; k++ {
			at = int(r.ends[k])
			r.ends[k] -= uint32(g.data)
		}
	}
	return nil
}

// Total returns how many values the fields of a rest have.
func (c *Column) Total() int { return c.total }
