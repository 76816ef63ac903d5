package match

import "slices"

// Equal reports whether two predicates are written the same, so that they hold
// for the same records. Predicates that mean the same in other words are not equal.
// nil is not True.
func Equal(a, b Predicate) bool {
	switch a := a.(type) {
	case And:
		b, ok := b.(And)
		return ok && slices.EqualFunc(a, b, Equal)
	case Or:
		b, ok := b.(Or)
		return ok && slices.EqualFunc(a, b, Equal)
	case Not:
		b, ok := b.(Not)
		return ok && Equal(a.P, b.P)
	case In:
		b, ok := b.(In)
		return ok && a.Field == b.Field && slices.Equal(a.Values, b.Values)
	case Regex:
		b, ok := b.(Regex)
		return ok && a.Field == b.Field && a.Re.String() == b.Re.String()
	case True, False, Exists, Eq, Prefix, Contains, Word, Range, CIDR:
		return a == b // of fields that can be compared
	}
	return a == nil && b == nil
}
