package elastic

import (
	"cmp"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// sortTerms orders buckets, in the end by key.
func sortTerms(w *fault.Watch, list []*bucketOut, by []termOrder) error {
	type row struct {
		b    *bucketOut
		vals []float64
	}
	rows := make([]row, len(list))
	for i, b := range list {
		if err := w.Step(1); err != nil {
			return err
		}
		rows[i].b = b
		for _, o := range by {
			v := 0.0
			if o.path != "_count" && o.path != "_key" {
				var err error
				if v, err = b.value(o.path); err != nil {
					return badf("illegal_argument_exception", "Invalid aggregation order path [%s]", short(o.path))
				}
			}
			rows[i].vals = append(rows[i].vals, v)
		}
	}
	ended := fault.Sort(w, rows, func(x, y row) int {
		for i, o := range by {
			var c int
			switch o.path {
			case "_count":
				c = cmp.Compare(x.b.docs, y.b.docs)
			case "_key":
				c = x.b.term.compare(&y.b.term)
			default:
				xn, yn := math.IsNaN(x.vals[i]), math.IsNaN(y.vals[i])
				if xn != yn { // those without a value are last
					if xn {
						return 1
					}
					return -1
				}
				c = cmp.Compare(x.vals[i], y.vals[i])
			}
			if o.desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return x.b.term.compare(&y.b.term)
	})
	for i := range rows {
		list[i] = rows[i].b
	}
	return ended
}

// order applies an order that is not that of the keys.
func (f *finisher) order(a *agg, o *out) error {
	if len(a.order) == 0 {
		return nil
	}
	for _, b := range o.buckets {
		b.term = termKey{num: b.sort, isNum: true}
	}
	return sortTerms(f.watch, o.buckets, a.order)
}
