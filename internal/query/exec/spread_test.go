package exec

import (
	"math"
	"testing"
)

// TestEqualNumbersHaveNoSpread: rounding makes a difference of equal numbers that
// is negative at times, and the root of it would be NaN.
func TestEqualNumbersHaveNoSpread(t *testing.T) {
	third := 1.0 / 3
	for _, values := range [][]float64{{0.2, 0.1 + 0.1, 0.3 - 0.1}, {third, 1 - 2*third, third}, {0.6, 0.1 + 0.2 + 0.3, 0.6}, {1e300, 1e300}, {0, 0}} {
		var v, mean float64
		for i, x := range values {
			combine("stddev", &v, &mean, float64(i+1), x)
		}
		if got := conclude("stddev", v, mean, float64(len(values))); got != 0 {
			t.Errorf("the deviation of %v is %v", values, got)
		}
	}
	for _, variance := range []float64{-1e-34, -1e-40, 1e-34} {
		if got := conclude("stddev", 3*variance, 0.2, 3); got != 0 {
			t.Errorf("the root of %v around 0.2 is %v", variance, got)
		}
	}
	if got := conclude("stddev", 8, 2, 2); got != 2 {
		t.Errorf("a deviation of %v, want 2", got)
	}
	if got := conclude("stdvar", math.NaN(), 1, 2); !math.IsNaN(got) {
		t.Errorf("a variance of %v, want NaN", got)
	}
}
