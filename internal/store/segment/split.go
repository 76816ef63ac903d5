package segment

import (
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// Split returns a column of block b that is split into templates, without putting
// its values together, or nil when it is not.
func (r *Reader) Split(b, column int, cost *Cost) (*block.Split, error) {
	if column < 0 {
		return nil, nil
	}
	h, err := r.header(b, cost)
	if err != nil || column >= len(h.Columns) {
		return nil, err
	}
	c := h.col(column)
	if k := c.SameAs(); k >= 0 {
		column, c = k, h.col(k)
	}
	if !c.IsSplit() {
		return nil, nil
	}
	s, err := r.split(b, column, c, h, cost)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	return s, nil
}

// split reads column c, which is split.
func (r *Reader) split(b, column int, c *block.Column, h *header, cost *Cost) (*block.Split, error) {
	key := cacheKey{r.ID, cachedSplit, int32(b), int32(column)}
	if s, ok := r.cache.get(key).(*block.Split); ok {
		return s, nil
	}
	body, err := r.body(b, column, h, cost)
	if err != nil {
		return nil, err
	}
	s, err := c.Split(body)
	if err != nil {
		return nil, err
	}
	cost.add(0, int(s.Size()))
	r.cache.put(key, s, s.Size())
	return s, nil
}

// cachedSplit marks columns in the cache whose values are not put together. It is
// no kind of a chunk.
const cachedSplit = 254
