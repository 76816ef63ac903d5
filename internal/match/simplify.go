package match

// Simplify returns a predicate that holds for the same records and has no
// needless parts: nested And and Or are joined, constants folded, double
// negations removed, and an Or of Eq on one field becomes an In.
func Simplify(p Predicate) Predicate {
	return Reduce(p, func(Predicate) (bool, bool) { return false, false })
}

// Reduce is Simplify with some leaves already decided: where know returns
// (holds, true), the leaf is replaced by True or False. A store uses it to drop
// what a whole segment or block decides, such as its class or an absent column.
func Reduce(p Predicate, know func(leaf Predicate) (holds, known bool)) Predicate {
	switch p := p.(type) {
	case nil, True:
		return True{}
	case False:
		return p
	case And:
		return reduceAnd(p, know)
	case Or:
		return reduceOr(p, know)
	case Not:
		switch q := Reduce(p.P, know).(type) {
		case True:
			return False{}
		case False:
			return True{}
		case Not:
			return q.P
		default:
			return Not{q}
		}
	case In:
		if holds, known := know(p); known {
			return constant(holds)
		}
		switch len(p.Values) {
		case 0:
			return False{}
		case 1:
			return Eq{p.Field, p.Values[0]}
		}
		return p
	}
	if holds, known := know(p); known {
		return constant(holds)
	}
	return p
}

func constant(b bool) Predicate {
	if b {
		return True{}
	}
	return False{}
}

func reduceAnd(parts And, know func(Predicate) (bool, bool)) Predicate {
	var out And
	for _, q := range parts {
		switch q := Reduce(q, know).(type) {
		case True:
		case False:
			return q
		case And:
			out = append(out, q...)
		default:
			out = append(out, q)
		}
	}
	switch len(out) {
	case 0:
		return True{}
	case 1:
		return out[0]
	}
	return out
}

func reduceOr(parts Or, know func(Predicate) (bool, bool)) Predicate {
	var out Or
	for _, q := range parts {
		switch q := Reduce(q, know).(type) {
		case False:
		case True:
			return q
		case Or:
			out = append(out, q...)
		default:
			out = append(out, q)
		}
	}
	out = joinEqual(out)
	switch len(out) {
	case 0:
		return False{}
	case 1:
		return out[0]
	}
	return out
}

// joinEqual makes one In of every Eq and In on the same field.
func joinEqual(parts Or) Or {
	at := map[string]int{} // field → index in out
	out := parts[:0:0]
	for _, q := range parts {
		field, values := equalTo(q)
		if values == nil {
			out = append(out, q)
			continue
		}
		i, seen := at[field]
		if !seen {
			at[field] = len(out)
			out = append(out, q)
			continue
		}
		_, before := equalTo(out[i])
		joined := make([]string, 0, len(before)+len(values))
		joined = append(append(joined, before...), values...)
		out[i] = In{field, unique(joined)}
	}
	return out
}

func equalTo(p Predicate) (field string, values []string) {
	switch p := p.(type) {
	case Eq:
		return p.Field, []string{p.Value}
	case In:
		return p.Field, p.Values
	}
	return "", nil
}

func unique(values []string) []string {
	seen := make(map[string]bool, len(values))
	out := values[:0]
	for _, v := range values {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
