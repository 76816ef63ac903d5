package block

import "github.com/meshtrail/meshtrail/internal/record"

// A Compactor copies vectors into small ones that live as long as a reader may:
// a value that repeats is held once, and all of a block's vectors share a few
// allocations of their exact size. It keeps its own memory for the next block.
// It is not safe for concurrent use.
type Compactor struct {
	dict  dictBuilder
	data  []byte
	words []uint32 // ends and rows
	nums  []uint64
	codes []uint16
	made  []compacted
}

// compacted is a vector whose parts lie in the Compactor's memory up to here.
type compacted struct {
	v                        Vector
	data, words, nums, codes int
	rows                     int // the last of words are rows
}

// Add copies a vector, whose memory may be used again afterwards. It is Plain.
func (p *Compactor) Add(v *Vector) {
	out := compacted{v: Vector{Kind: v.Kind, N: v.N}}
	c := record.Column{Kind: v.Kind, Nums: v.Nums, Ends: v.Ends, Data: v.Data}
	switch {
	case v.N > 0 && constant(&c):
		out.v.Form = Const
		p.entry(&c, 0, len(p.data))
	case (v.Kind == record.String || v.Kind == record.Int) && p.dict.build(&c):
		out.v.Form = Dict
		base := len(p.data)
		for _, i := range p.dict.first {
			p.entry(&c, int(i), base)
		}
		p.codes = append(p.codes, p.dict.codes...)
	default:
		p.nums, p.words, p.data = append(p.nums, v.Nums...), append(p.words, v.Ends...), append(p.data, v.Data...)
	}
	out.rows = len(v.Rows)
	p.words = append(p.words, v.Rows...)
	out.data, out.words, out.nums, out.codes = len(p.data), len(p.words), len(p.nums), len(p.codes)
	p.made = append(p.made, out)
}

// entry adds value i; base is where the vector's bytes begin.
func (p *Compactor) entry(c *record.Column, i, base int) {
	if c.Kind != record.String {
		p.nums = append(p.nums, c.Nums[i])
		return
	}
	p.data = append(p.data, c.Bytes(i)...)
	p.words = append(p.words, uint32(len(p.data)-base))
}

// Take returns the vectors in the order of Add and begins anew.
func (p *Compactor) Take() []Vector {
	out := make([]Vector, len(p.made))
	data, words := cut(p.data), cut(p.words)
	nums, codes := cut(p.nums), cut(p.codes)
	var at compacted
	for i, c := range p.made {
		v := c.v
		if v.Kind == record.String {
			v.Data = data[at.data:c.data:c.data]
			v.Ends = words[at.words : c.words-c.rows : c.words-c.rows]
		} else {
			v.Nums = nums[at.nums:c.nums:c.nums]
		}
		if c.rows > 0 {
			v.Rows = words[c.words-c.rows : c.words : c.words]
		}
		if v.Form == Dict {
			v.Codes = codes[at.codes:c.codes:c.codes]
		}
		out[i], at = v, c
	}
	p.data, p.words, p.nums, p.codes, p.made = p.data[:0], p.words[:0], p.nums[:0], p.codes[:0], p.made[:0]
	return out
}

// cut copies s to its exact size.
func cut[T any](s []T) []T { return append(make([]T, 0, len(s)), s...) }
