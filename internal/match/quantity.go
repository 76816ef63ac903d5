package match

import (
	"math"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Scale returns the factor that turns a plain number of a column, where mul is
// what res.Match gave for it, into the number that the asker means: with NoUnit in
// the unit of the asked name, with Duration in nanoseconds, with Bytes in bytes. A
// plain number of a name whose unit is not known counts as nanoseconds or bytes,
// as it does in a Range.
func (u Unit) Scale(res *schema.Resolution, mul float64) (num, den float64) {
	num = 1
	if u == Duration {
		if n := res.Unit.Nanos(); n > 0 {
			num = n
		}
	}
	return num, mul
}

// Number returns the number that a value counts as, scaled as Scale says: an
// integer, a float, or a text that is a plain number or, when u has a unit, a
// duration ("250ms", in nanoseconds) or a size ("5KB", in bytes). A boolean is no
// number, nor is what is not finite.
func (u Unit) Number(v record.Value, res *schema.Resolution, mul float64) (float64, bool) {
	num, den := u.Scale(res, mul)
	var f float64
	switch v.Kind {
	case record.Int:
		f = float64(v.Int) * num / den
	case record.Float:
		f = v.Flt * num / den
	case record.String:
		return u.Text(v.Str, num, den)
	default:
		return 0, false
	}
	return f, finite(f)
}

// Text is Number for a text, with the factor that Scale gave.
func (u Unit) Text(s string, num, den float64) (float64, bool) {
	if _, f, _, ok := ParseNumber(s); ok {
		f = f * num / den
		return f, finite(f)
	}
	switch u {
	case Duration:
		n, ok := ParseDuration(s)
		return float64(n), ok
	case Bytes:
		n, ok := ParseBytes(s)
		return float64(n), ok
	}
	return 0, false
}

func finite(f float64) bool { return math.Abs(f) <= math.MaxFloat64 }
