package filter

import (
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// A Meaning is a column that an asked name means. A number in the unit of the
// asked name, times Mul, is in the unit of the column.
type Meaning struct {
	Column int // index into the columns
	Mul    float64
}

// Meanings is Resolve with the units. It appends to dst.
func Meanings(dst []Meaning, res *schema.Resolution, columns []block.Column) []Meaning {
	var buf [4]meaning
	for _, m := range resolve(buf[:0], res, columns) {
		dst = append(dst, Meaning{m.column, m.mul})
	}
	return dst
}
