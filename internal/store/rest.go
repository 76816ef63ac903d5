package store

import (
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// A block's fields without a column of their own (block.Rest) are listed when
// somebody asks for them: see filter.Wide.

// columns returns what a source lists, at first its own columns.
func columns(w *filter.Widened, own []block.Column) []block.Column {
	if w.Columns == nil {
		return own
	}
	return w.Columns
}

// InRest implements filter.Wide. An error of the token index is left to Widen,
// which reads the rest itself.
func (b *sealedBlock) InRest(res *schema.Resolution) bool {
	if b.header.Rest == nil {
		return false
	}
	for _, name := range res.Names() {
		if ok, err := b.x.reader.InRest(b.n, name, b.cost); ok || err != nil {
			return true
		}
	}
	return false
}

// Widen implements filter.Wide.
func (b *sealedBlock) Widen(res *schema.Resolution) error {
	rest, err := b.x.reader.LoadRest(b.n, b.cost)
	if err != nil || rest == nil {
		return err
	}
	if b.wide.Columns == nil {
		b.wide.Start(b.header.Columns)
	}
	b.wide.List(rest, res)
	return nil
}

// Rest implements filter.Wide.
func (b *sealedBlock) Rest() (*block.Rest, int, error) {
	rest, err := b.x.reader.LoadRest(b.n, b.cost)
	return rest, len(b.header.Columns), err
}

// InRest implements filter.Wide.
func (b *memoryBlock) InRest(res *schema.Resolution) bool { return filter.Means(b.v.Rest(), res) }

// Widen implements filter.Wide.
func (b *memoryBlock) Widen(res *schema.Resolution) error {
	if b.v.Rest() == nil {
		return nil
	}
	if b.wide.Columns == nil {
		b.wide.Start(b.v.Columns)
	}
	b.wide.List(b.v.Rest(), res)
	return nil
}

// Rest implements filter.Wide.
func (b *memoryBlock) Rest() (*block.Rest, int, error) { return b.v.Rest(), len(b.v.Columns), nil }

var (
	_ filter.Wide = (*sealedBlock)(nil)
	_ filter.Wide = (*memoryBlock)(nil)
)
