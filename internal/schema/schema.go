// Package schema is the field dictionary: for every field the house knows, its
// name, type, unit, meaning and sensitivity, and what each platform calls it.
//
// Names are OpenTelemetry semantic conventions plus mesh.*; a field the
// dictionary does not know keeps the sender's own name. Because a query may use
// any of a field's names, Resolve turns the asked name into a Resolution, which
// the store holds against the columns of each segment.
package schema

import "strings"

// Sensitivity says how a field's values must be handled.
type Sensitivity uint8

// The sensitivities.
const (
	Public   Sensitivity = iota // names of systems, codes, sizes
	Personal                    // may identify a person: addresses, users
	Secret                      // must never be stored: credentials
)

// Unit of a numeric field.
type Unit string

// The units. Canonical columns hold Nanoseconds and ByteCount only; the others
// are units of aliases.
const (
	NoUnit       Unit = ""
	Nanoseconds  Unit = "ns"
	Microseconds Unit = "us"
	Milliseconds Unit = "ms"
	Seconds      Unit = "s"
	ByteCount    Unit = "bytes"
)

// Nanos returns how many nanoseconds one of u is, or 0 if u is no time unit.
func (u Unit) Nanos() float64 {
	switch u {
	case Nanoseconds:
		return 1
	case Microseconds:
		return 1e3
	case Milliseconds:
		return 1e6
	case Seconds:
		return 1e9
	}
	return 0
}

// A Ref is one stored column that an asked name may mean. A number in the unit
// of the asked name, times Mul, is in the unit of the column.
type Ref struct {
	Column string
	Mul    float64
}

// A Resolution says which stored columns an asked name means, best first. A
// record's value is that of the first column it has.
type Resolution struct {
	Asked string
	// Unit is the unit that a bare number beside the asked name is in.
	Unit Unit
	refs []Ref
}

// Match reports whether the asked name means the stored column, and the factor
// that turns a number in the asked name's unit into the column's unit. Rank
// orders several matching columns of one record: lower wins.
func (r *Resolution) Match(column string) (mul float64, rank int, ok bool) {
	if column == r.Asked {
		return 1, 0, true
	}
	for i := range r.refs {
		if r.refs[i].Column == column {
			return r.refs[i].Mul, 2 + i, true
		}
	}
	if SameName(r.Asked, column) {
		return 1, 1, true
	}
	return 0, 0, false
}

// Names returns the stored names that the asked name may mean: a column means it
// when it has one of them, or is SameName with the first, as asked.
func (r *Resolution) Names() []string {
	names := make([]string, 1, 1+len(r.refs))
	names[0] = r.Asked
	for i := range r.refs {
		names = append(names, r.refs[i].Column)
	}
	return names
}

// SameName reports whether a LogQL identifier means a stored name: equal when
// every byte of the stored name outside [A-Za-z0-9_] is read as '_'.
func SameName(ident, stored string) bool {
	if len(ident) != len(stored) {
		return false
	}
	for i := 0; i < len(ident); i++ {
		if c := stored[i]; c != ident[i] && !(ident[i] == '_' && !word(c)) {
			return false
		}
	}
	return true
}

// Identifier returns the form of a stored name that LogQL can write.
func Identifier(stored string) string {
	for i := 0; i < len(stored); i++ {
		if !word(stored[i]) {
			return strings.Map(func(r rune) rune {
				if r < 128 && word(byte(r)) {
					return r
				}
				return '_'
			}, stored)
		}
	}
	return stored
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
