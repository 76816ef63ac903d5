package block

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestCompactorKeepsValues compares small vectors with those they were made of.
func TestCompactorKeepsValues(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	var p Compactor
	for range 20 {
		var in []*Vector
		rows := 1 + r.IntN(3000)
		for k := range 12 {
			v := &Vector{Kind: []record.Kind{record.String, record.Int, record.Float, record.Bool}[k%4]}
			distinct := []int{1, 7, 1 << 20}[k/4]
			for row := range rows {
				if k%3 == 0 {
					if r.IntN(3) == 0 && row > 0 {
						continue
					}
					v.Rows = append(v.Rows, uint32(row))
				}
				v.N++
				x := r.IntN(distinct)
				switch v.Kind {
				case record.String:
					v.Data = fmt.Append(v.Data, "value ", x)
					v.Ends = append(v.Ends, uint32(len(v.Data)))
				case record.Bool:
					v.Nums = append(v.Nums, uint64(x%2))
				default:
					v.Nums = append(v.Nums, uint64(x))
				}
			}
			in = append(in, v)
		}
		for _, v := range in {
			p.Add(v)
		}
		out := p.Take()
		if len(out) != len(in) {
			t.Fatalf("%d vectors of %d", len(out), len(in))
		}
		for k, v := range in {
			if got := &out[k]; !slices.Equal(values(got), values(v)) || !slices.Equal(got.Rows, v.Rows) || got.N != v.N {
				t.Fatalf("vector %d of %d rows changed; its form is %d", k, rows, got.Form)
			}
		}
		if f := out[0].Form; f != Const {
			t.Errorf("a constant has form %d", f)
		}
		if f := out[4].Form; f != Dict && rows > 100 {
			t.Errorf("7 values have form %d", f)
		}
	}
}

func values(v *Vector) []string {
	var out []string
	for i := range v.N {
		if e := v.Entry(i); v.Kind == record.String {
			out = append(out, string(v.Bytes(e)))
		} else {
			out = append(out, fmt.Sprint(v.Nums[e]))
		}
	}
	return out
}

func TestCompactorAllocatesLittle(t *testing.T) {
	v := &Vector{Kind: record.String}
	for i := range 2000 {
		v.Data = fmt.Append(v.Data, i)
		v.Ends = append(v.Ends, uint32(len(v.Data)))
		v.N++
	}
	var p Compactor
	if n := testing.AllocsPerRun(20, func() {
		for range 30 {
			p.Add(v)
		}
		p.Take()
	}); n > 6 {
		t.Errorf("%v allocations for 30 columns", n)
	}
}
