package pipe

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"text/template"

	"github.com/meshtrail/meshtrail/internal/match"
)

// addMath adds the functions on numbers. Arguments are numbers or texts; a text
// that is no number counts as 0, as in Loki, and a fraction is cut off where
// whole numbers are wanted.
func (e *env) addMath(m template.FuncMap) {
	m["int"] = func(v any) int { return int(intOf(v)) }
	m["float64"] = floatOf
	m["add"] = func(vs ...any) int64 { return foldInt(0, vs, func(a, b int64) int64 { return a + b }) }
	m["sub"] = func(a, b any) int64 { return intOf(a) - intOf(b) }
	m["mul"] = func(a any, vs ...any) int64 {
		return foldInt(intOf(a), vs, func(a, b int64) int64 { return a * b })
	}
	m["div"] = func(a, b any) (int64, error) {
		return divide(intOf(a), intOf(b), func(a, b int64) int64 { return a / b })
	}
	m["mod"] = func(a, b any) (int64, error) {
		return divide(intOf(a), intOf(b), func(a, b int64) int64 { return a % b })
	}
	m["max"] = func(a any, vs ...any) int64 {
		return foldInt(intOf(a), vs, func(a, b int64) int64 { return max(a, b) })
	}
	m["min"] = func(a any, vs ...any) int64 {
		return foldInt(intOf(a), vs, func(a, b int64) int64 { return min(a, b) })
	}
	m["addf"] = func(vs ...any) float64 { return foldFloat(0, vs, func(a, b float64) float64 { return a + b }) }
	m["subf"] = func(a any, vs ...any) float64 {
		return foldFloat(floatOf(a), vs, func(a, b float64) float64 { return a - b })
	}
	m["mulf"] = func(a any, vs ...any) float64 {
		return foldFloat(floatOf(a), vs, func(a, b float64) float64 { return a * b })
	}
	m["divf"] = func(a any, vs ...any) float64 {
		return foldFloat(floatOf(a), vs, func(a, b float64) float64 { return a / b })
	}
	m["maxf"] = func(a any, vs ...any) float64 { return foldFloat(floatOf(a), vs, math.Max) }
	m["minf"] = func(a any, vs ...any) float64 { return foldFloat(floatOf(a), vs, math.Min) }
	m["ceil"] = func(v any) float64 { return math.Ceil(floatOf(v)) }
	m["floor"] = func(v any) float64 { return math.Floor(floatOf(v)) }
	m["round"] = round
	m["bytes"] = bytesOf
	m["duration"] = secondsOf
	m["duration_seconds"] = secondsOf
}

func foldInt(a int64, vs []any, f func(a, b int64) int64) int64 {
	for _, v := range vs {
		a = f(a, intOf(v))
	}
	return a
}

func foldFloat(a float64, vs []any, f func(a, b float64) float64) float64 {
	for _, v := range vs {
		a = f(a, floatOf(v))
	}
	return a
}

func divide(a, b int64, f func(a, b int64) int64) (int64, error) {
	if b == 0 {
		return 0, errors.New("integer divide by zero")
	}
	return f(a, b), nil
}

// round rounds to p digits after the point; from is the fraction from which on
// it rounds up, .5 unless given.
func round(v any, p int, from ...float64) float64 {
	on := .5
	if len(from) > 0 {
		on = from[0]
	}
	f := floatOf(v)
	scale := math.Pow(10, float64(p))
	whole, rest := math.Modf(f * scale)
	if math.Abs(rest) >= on {
		whole += math.Copysign(1, f)
	}
	if out := whole / scale; !math.IsNaN(out) && !math.IsInf(out, 0) {
		return out
	}
	return f
}

func intOf(v any) int64 {
	switch x := reflect.ValueOf(v); {
	case !x.IsValid():
		return 0
	case x.CanInt():
		return x.Int()
	case x.CanUint():
		return int64(min(x.Uint(), math.MaxInt64))
	case x.CanFloat():
		return toInt(x.Float())
	case x.Kind() == reflect.String:
		i, _ := numberText(x.String())
		return i
	case x.Kind() == reflect.Bool && x.Bool():
		return 1
	}
	return 0
}

func floatOf(v any) float64 {
	switch x := reflect.ValueOf(v); {
	case !x.IsValid():
		return 0
	case x.CanFloat():
		return x.Float()
	case x.Kind() == reflect.String:
		_, f := numberText(x.String())
		return f
	}
	return float64(intOf(v))
}

// toInt cuts off the fraction; a number that no int64 holds becomes the nearest.
func toInt(f float64) int64 {
	switch {
	case f != f:
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// bytesOf reads a size such as "5 KB".
func bytesOf(s string) (float64, error) {
	if n, ok := match.ParseBytes(s); ok {
		return float64(n), nil
	}
	if _, f, _, ok := match.ParseNumber(s); ok {
		return f, nil
	}
	return 0, fmt.Errorf("%q is no size", clip(s))
}

// secondsOf reads a duration such as "250ms".
func secondsOf(s string) (float64, error) {
	if ns, ok := match.ParseDuration(s); ok {
		return float64(ns) / 1e9, nil
	}
	if s == "0" {
		return 0, nil
	}
	return 0, fmt.Errorf("%q is no duration", clip(s))
}
