package block

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/record"
)

// The template split takes the values of a text column apart: messages and paths
// that were made from few patterns are written as which pattern each has, and as
// one section of variables for each of a pattern's slots, so that numbers are
// packed as numbers.
//
// A word is a run of [A-Za-z0-9_]; one that holds a digit is a variable, and
// where the digits of one stand at its end, or at its beginning, the letters
// beside them are a word of their own. Values that agree in everything but their
// variables share a template. Those whose template is rare share one with all
// that agree in what stands between their words: then each word is a slot. What
// is left is written as it is, a slot without any text around it.
//
//	values uvarint of bytes | templates uvarint | ints: slots of each |
//	strings: the pieces of all, one more than slots of each | codes | slot … |
const (
	maxTokens     = 48      // words of a value that is split
	maxTemplates  = 1 << 12 // of a column
	maxSlotValues = 1 << 22 // of a column
	minSplit      = 64      // values worth splitting
	wordBit       = 1 << 31 // of token.from: the word is no variable
)

// A token is a word or a variable: where it stands in the column's data.
type token struct{ from, to uint32 }

// A splitter finds the templates of a column. It is reused.
type splitter struct {
	tokens []token
	starts []uint32 // value → its first token
	full   []uint64 // value → hash of its template
	skel   []uint64 // value → hash of what is between its words
	groups []uint32 // value → its group
	temp   []uint32 // value → its template
	ids    []uint32 // group → its template
	counts []uint32 // group → its values
	reps   []uint32 // group → its first value
	slots  []dictSlot
	gen    uint32

	temps  []template
	order  []uint32 // values by template
	column record.Column
	nums   []uint64
	ends   []uint32
	data   []byte
	codes  []uint16
}

// template is a kind of value; rep is one of it.
type template struct {
	rep   uint32
	count uint32
	all   bool // every word is a slot
	plain bool // the value is the only slot
}

var splitters = sync.Pool{New: func() any { return new(splitter) }}

// splitFallbacks counts columns that did not come back from the split as they
// were, and were written without it.
var splitFallbacks atomic.Int64

// SplitFallbacks returns how many columns did not survive the template split and
// were written in another form. Any but zero is a bug, which cost space only.
func SplitFallbacks() int64 { return splitFallbacks.Load() }

// letter classes.
const (
	isLetter = 1 << iota // of a word
	isDigit
	isHexa
)

var letters = func() (t [256]byte) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = isLetter | isDigit | isHexa
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			t[c] = isLetter | isHexa
		case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' || c == '_':
			t[c] = isLetter
		}
	}
	return t
}()

const (
	prime = 0x9e3779b97f4a7c15
	other = 0xd6e8feb86659fd93
)

// scan finds the tokens of value i.
func (x *splitter) scan(c *record.Column, i int) {
	end := int(c.Ends[i])
	at := 0
	if i > 0 {
		at = int(c.Ends[i-1])
	}
	first := len(x.tokens)
	x.starts[i] = uint32(first)
	full, skel := uint64(1), uint64(1)
	data := c.Data[:end]
	for at < end {
		b := data[at]
		if letters[b] == 0 {
			full = (full ^ uint64(b)) * prime
			skel = (skel ^ uint64(b)) * prime
			full ^= full >> 29
			skel ^= skel >> 29
			at++
			continue
		}
		from := at
		any, all := byte(0), byte(0xff)
		for at < end {
			l := letters[data[at]]
			if l == 0 {
				break
			}
			any |= l
			all &= l
			at++
		}
		skel = (skel ^ 0x100) * other
		if any&isDigit == 0 {
			full = word(full, data[from:at])
			x.tokens = append(x.tokens, token{uint32(from) | wordBit, uint32(at)})
			continue
		}
		full = x.variable(data, from, at, all&isHexa == 0, full)
	}
	if len(x.tokens)-first > maxTokens {
		x.tokens = x.tokens[:first]
		full, skel = 0, 0
	}
	x.full[i], x.skel[i] = full, skel
}

// word mixes the text of a word into a hash, most of it: equal hashes are
// checked.
func word(h uint64, b []byte) uint64 {
	n := len(b)
	h ^= uint64(n)
	switch {
	case n >= 8:
		h = (h ^ binary.LittleEndian.Uint64(b)) * prime
		h = (h ^ h>>32 ^ binary.LittleEndian.Uint64(b[n-8:])) * other
	case n >= 4:
		h = (h ^ uint64(binary.LittleEndian.Uint32(b)) ^ uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32) * other
	default:
		h = (h ^ uint64(b[0]) ^ uint64(b[n/2])<<16 ^ uint64(b[n-1])<<32) * other
	}
	return h ^ h>>31
}

// variable adds a word with a digit. If not all of it is hexadecimal, it is cut
// where letters end and digits begin, or the other way round, when there is one
// such place.
func (x *splitter) variable(data []byte, from, to int, cut bool, full uint64) uint64 {
	if cut {
		front, back := from, to
		for letters[data[front]]&isDigit != 0 {
			front++
		}
		for letters[data[back-1]]&isDigit != 0 {
			back--
		}
		switch {
		case front == from && back < to && !anyDigit(data[from:back]):
			full = word(full, data[from:back])
			x.tokens = append(x.tokens, token{uint32(from) | wordBit, uint32(back)})
			from = back
		case back == to && front > from && !anyDigit(data[front:to]):
			x.tokens = append(x.tokens, token{uint32(from), uint32(front)}, token{uint32(front) | wordBit, uint32(to)})
			return word((full^0x200)*other, data[front:to])
		}
	}
	x.tokens = append(x.tokens, token{uint32(from), uint32(to)})
	full = (full ^ 0x200) * other
	return full ^ full>>31
}

func anyDigit(b []byte) bool {
	for _, c := range b {
		if letters[c]&isDigit != 0 {
			return true
		}
	}
	return false
}

// begins returns where value i begins.
func begins(c *record.Column, i uint32) uint32 {
	if i == 0 {
		return 0
	}
	return c.Ends[i-1]
}

// of returns the tokens of value i.
func (x *splitter) of(i uint32) []token {
	end := uint32(len(x.tokens))
	if int(i)+1 < len(x.starts) {
		end = x.starts[i+1]
	}
	return x.tokens[x.starts[i]:end]
}

// group numbers equal hashes of the chosen values in order of first use, and
// counts them; values that are not chosen keep their group.
func (x *splitter) group(hashes []uint64, choose func(i int) bool) {
	size := 64
	for size < 2*len(hashes) {
		size *= 2
	}
	if len(x.slots) < size {
		x.slots, x.gen = make([]dictSlot, size), 0
	}
	if x.gen++; x.gen == 0 {
		clear(x.slots)
		x.gen = 1
	}
	mask := uint32(size - 1)
	x.counts, x.reps = x.counts[:0], x.reps[:0]
	for i, h := range hashes {
		if choose != nil && !choose(i) {
			continue
		}
		at := uint32(h>>32^h) & mask
		for {
			s := &x.slots[at]
			if s.gen != x.gen {
				*s = dictSlot{uint32(h >> 32), x.gen, uint32(len(x.counts))}
				x.counts, x.reps = append(x.counts, 0), append(x.reps, uint32(i))
			}
			if s.hash == uint32(h>>32) && hashes[x.reps[s.entry]] == h {
				x.groups[i] = s.entry
				x.counts[s.entry]++
				break
			}
			at = (at + 1) & mask
		}
	}
}

// split finds the templates of c. It reports false when they are not worth it.
func (x *splitter) split(c *record.Column) bool {
	n := len(c.Ends)
	x.tokens = x.tokens[:0]
	x.starts = slices.Grow(x.starts[:0], n)[:n]
	x.full = slices.Grow(x.full[:0], n)[:n]
	x.skel = slices.Grow(x.skel[:0], n)[:n]
	x.groups = slices.Grow(x.groups[:0], n)[:n]
	try := max(n/8, min(n, 2*minSplit))
	for i := range n {
		x.scan(c, i)
		if i == try-1 && try < n && !x.promising(try) {
			return false
		}
	}
	x.find(c)
	return len(x.tokens) <= maxSlotValues
}

// promising reports whether most of the first n values share what is between
// their words with others.
func (x *splitter) promising(n int) bool {
	x.group(x.skel[:n], nil)
	shared := 0
	for _, k := range x.counts {
		if k >= 4 {
			shared += int(k)
		}
	}
	return shared > n/2
}

const unsplit = 1<<32 - 1

// find chooses the templates and says which each value has.
func (x *splitter) find(c *record.Column) {
	n := len(c.Ends)
	x.temps = x.temps[:0]
	x.temp = slices.Grow(x.temp[:0], n)[:n]
	for i := range x.temp {
		x.temp[i] = unsplit
	}
	left := 0
	x.group(x.full, nil)
	x.choose(false)
	left = x.assign(c, n)
	if left > 0 {
		x.group(x.skel, func(i int) bool { return x.temp[i] == unsplit })
		x.choose(true)
		left = x.assign(c, left)
	}
	if left > 0 {
		for i := range x.temp {
			if x.temp[i] == unsplit {
				x.temp[i] = uint32(len(x.temps))
			}
		}
		x.temps = append(x.temps, template{plain: true, count: uint32(left)})
	}
}

// choose makes templates of the groups that are worth it: a slot takes some
// bytes besides its values.
func (x *splitter) choose(all bool) {
	x.ids = slices.Grow(x.ids[:0], len(x.counts))[:len(x.counts)]
	for g, count := range x.counts {
		rep := x.reps[g]
		least := uint32(2)
		for _, t := range x.of(rep) {
			if all {
				least += 4
			} else if t.from&wordBit == 0 {
				least += 2
			}
		}
		x.ids[g] = unsplit
		if count >= least && x.full[rep] != 0 && len(x.temps) < maxTemplates-1 {
			x.ids[g] = uint32(len(x.temps))
			x.temps = append(x.temps, template{rep: rep, all: all})
		}
	}
}

// assign gives the values that have no template that of their group, where they
// do have its text, and returns how many are left of so many.
func (x *splitter) assign(c *record.Column, left int) int {
	for i := range x.temp {
		if x.temp[i] != unsplit {
			continue
		}
		if id := x.ids[x.groups[i]]; id != unsplit && x.fits(c, uint32(i), &x.temps[id]) {
			x.temp[i] = id
			x.temps[id].count++
			left--
		}
	}
	return left
}

// fits reports whether value i has the text and the slots of t: equal hashes do
// not say so.
func (x *splitter) fits(c *record.Column, i uint32, t *template) bool {
	if i == t.rep {
		return true
	}
	a, b := x.of(i), x.of(t.rep)
	if len(a) != len(b) {
		return false
	}
	at, bt := begins(c, i), begins(c, t.rep)
	for k := range a {
		if a[k].from&wordBit != b[k].from&wordBit {
			return false
		}
		if !t.slot(a[k]) {
			continue
		}
		if string(c.Data[at:a[k].from&^wordBit]) != string(c.Data[bt:b[k].from&^wordBit]) {
			return false
		}
		at, bt = a[k].to, b[k].to
	}
	return string(c.Data[at:c.Ends[i]]) == string(c.Data[bt:c.Ends[t.rep]])
}

// slot reports whether a token is a slot of t.
func (t *template) slot(k token) bool { return t.all || k.from&wordBit == 0 }

// appendSplit writes c as templates and variables, or reports false: when it is
// not made of templates, or when what it decodes to is not c.
func appendSplit(dst []byte, c *record.Column) ([]byte, bool) {
	if len(c.Ends) < minSplit || len(c.Data) < 8*len(c.Ends) {
		return dst, false
	}
	x := splitters.Get().(*splitter)
	defer splitters.Put(x)
	if !x.split(c) {
		return dst, false
	}
	at := len(dst)
	dst = x.appendTemplates(dst, c)
	in := cursor{b: dst[at:]}
	var v Vector
	in.templates(&v, len(c.Ends))
	if in.end("templates") != nil || !slices.Equal(v.Ends, c.Ends) || !bytes.Equal(v.Data, c.Data) {
		splitFallbacks.Add(1)
		return dst[:at], false
	}
	return dst, true
}
