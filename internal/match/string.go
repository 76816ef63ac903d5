package match

import (
	"strconv"
	"strings"
)

// String renders the predicate.
func (True) String() string { return "true" }

// String renders the predicate.
func (False) String() string { return "false" }

// String renders the predicate.
func (p And) String() string { return join(p, " and ", "true") }

// String renders the predicate.
func (p Or) String() string { return join(p, " or ", "false") }

// String renders the predicate.
func (p Not) String() string { return "not " + p.P.String() }

// String renders the predicate.
func (p Exists) String() string { return "exists(" + p.Field + ")" }

// String renders the predicate.
func (p Eq) String() string { return p.Field + " = " + strconv.Quote(p.Value) }

// String renders the predicate.
func (p In) String() string {
	q := make([]string, len(p.Values))
	for i, v := range p.Values {
		q[i] = strconv.Quote(v)
	}
	return p.Field + " in (" + strings.Join(q, ", ") + ")"
}

// String renders the predicate.
func (p Prefix) String() string { return "prefix(" + p.Field + ", " + strconv.Quote(p.Value) + ")" }

// String renders the predicate.
func (p Contains) String() string {
	name := "contains("
	if p.Fold {
		name = "icontains("
	}
	return name + p.Field + ", " + strconv.Quote(p.Value) + ")"
}

// String renders the predicate.
func (p Word) String() string {
	name := "word("
	if p.Fold {
		name = "iword("
	}
	return name + p.Field + ", " + strconv.Quote(p.Value) + ")"
}

// String renders the predicate.
func (p Regex) String() string { return p.Field + " ~ " + strconv.Quote(p.Re.String()) }

// String renders the predicate.
func (p Range) String() string {
	var parts []string
	add := func(b Bound, strict, loose string) {
		if !b.Set {
			return
		}
		op := strict
		if b.Inclusive {
			op = loose
		}
		n := strconv.FormatFloat(b.Float, 'g', -1, 64)
		if b.IsInt {
			n = strconv.FormatInt(b.Int, 10)
		}
		parts = append(parts, p.Field+" "+op+" "+n+p.Unit.suffix())
	}
	add(p.Min, ">", ">=")
	add(p.Max, "<", "<=")
	if len(parts) == 0 {
		return "number(" + p.Field + ")"
	}
	return strings.Join(parts, " and ")
}

func (u Unit) suffix() string {
	switch u {
	case Duration:
		return "ns"
	case Bytes:
		return "B"
	}
	return ""
}

// String renders the predicate.
func (p CIDR) String() string { return p.Field + " in " + p.Net.String() }

func join(ps []Predicate, sep, empty string) string {
	if len(ps) == 0 {
		return empty
	}
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = p.String()
	}
	return "(" + strings.Join(parts, sep) + ")"
}
