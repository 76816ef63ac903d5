package match

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// How many plain texts an expression may be spelled out into.
const (
	maxSpelled   = 256
	maxContained = 16
)

// Anchored returns the cheapest predicate that holds exactly where src matches
// the whole text of field ('.' matches every character): Eq, In, Prefix,
// Contains, Exists, True or Regex. Errors are those of CompileRegexp.
//
// What Anchored says of absent fields is what the leaves say: they do not hold,
// but True does.
func Anchored(field, src string) (Predicate, error) {
	re, err := CompileRegexp("^(?s:" + src + ")$")
	if err != nil {
		if _, plain := CompileRegexp(src); plain != nil {
			return nil, plain
		}
		return nil, err
	}
	full := Regex{field, re}
	t, err := syntax.Parse("(?s:"+src+")", syntax.Perl)
	if err != nil {
		return full, nil
	}
	if all, ok := spell(t); ok {
		return Simplify(In{field, all}), nil
	}
	parts := sequence(t)
	lead, trail := 0, len(parts)
	for lead < trail && anything(parts[lead]) {
		lead++
	}
	for trail > lead && anything(parts[trail-1]) {
		trail--
	}
	if lead == len(parts) {
		return True{}, nil
	}
	if len(parts) == 1 && parts[0].Op == syntax.OpPlus && parts[0].Sub[0].Op == syntax.OpAnyChar {
		return Exists{field}, nil
	}
	if lit, ok := literal(parts[lead:trail]); ok && lit != "" && trail < len(parts) {
		if lead == 0 {
			return Prefix{field, lit}, nil
		}
		return Contains{Field: field, Value: lit}, nil
	}
	if lead == 0 { // a literal start narrows the search
		if lit, ok := literal(parts[:1]); ok && lit != "" {
			return And{Prefix{field, lit}, full}, nil
		}
	}
	if lit := longest(parts); len(lit) > 2 {
		return And{Contains{Field: field, Value: lit}, full}, nil
	}
	return full, nil
}

// Unanchored returns the cheapest predicate that holds exactly where src
// matches somewhere in the text of field.
func Unanchored(field, src string) (Predicate, error) {
	re, err := CompileRegexp(src)
	if err != nil {
		return nil, err
	}
	full := Regex{field, re}
	t, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return full, nil
	}
	if v, ok := folded(t); ok {
		return Contains{field, v, true}, nil
	}
	if all, ok := spell(t); ok && len(all) <= maxContained {
		var or Or
		for _, v := range all {
			or = append(or, Contains{Field: field, Value: v})
		}
		return Simplify(or), nil
	}
	parts := sequence(t)
	for len(parts) > 0 && someLine(parts[0]) {
		parts = parts[1:]
	}
	for len(parts) > 0 && someLine(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	if lit, ok := literal(parts); ok {
		return Contains{Field: field, Value: lit}, nil
	}
	if lit := longest(parts); len(lit) > 2 {
		return And{Contains{Field: field, Value: lit}, full}, nil
	}
	return full, nil
}

// sequence returns the parts of a concatenation, groups opened.
func sequence(t *syntax.Regexp) []*syntax.Regexp {
	switch t.Op {
	case syntax.OpCapture:
		return sequence(t.Sub[0])
	case syntax.OpConcat:
		var out []*syntax.Regexp
		for _, s := range t.Sub {
			out = append(out, sequence(s)...)
		}
		return out
	}
	return []*syntax.Regexp{t}
}

// anything reports whether t is .* with . matching every character.
func anything(t *syntax.Regexp) bool {
	return t.Op == syntax.OpStar && t.Sub[0].Op == syntax.OpAnyChar
}

// someLine reports whether t is .*, which may always match nothing.
func someLine(t *syntax.Regexp) bool {
	return t.Op == syntax.OpStar && (t.Sub[0].Op == syntax.OpAnyChar || t.Sub[0].Op == syntax.OpAnyCharNotNL)
}

// literal returns the text that a run of parts stands for.
func literal(parts []*syntax.Regexp) (string, bool) {
	var b strings.Builder
	for _, t := range parts {
		if t.Op == syntax.OpEmptyMatch {
			continue
		}
		s, ok := text(t)
		if !ok {
			return "", false
		}
		b.WriteString(s)
	}
	return b.String(), true
}

// text returns the text of a case-sensitive literal. U+FFFD is none: it would
// match any invalid byte as well.
func text(t *syntax.Regexp) (string, bool) {
	if t.Op != syntax.OpLiteral || t.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	for _, r := range t.Rune {
		if r == utf8.RuneError {
			return "", false
		}
	}
	return string(t.Rune), true
}

// longest returns the longest literal that every match contains.
func longest(parts []*syntax.Regexp) string {
	best := ""
	for _, t := range parts {
		if t.Op == syntax.OpPlus {
			t = t.Sub[0]
		}
		for t.Op == syntax.OpCapture {
			t = t.Sub[0]
		}
		if s, ok := text(t); ok && len(s) > len(best) {
			best = s
		}
	}
	return best
}

// folded returns the text of a literal without regard to case, when ASCII
// folding is all it asks for: k and s have other forms outside ASCII.
func folded(t *syntax.Regexp) (string, bool) {
	for t.Op == syntax.OpCapture {
		t = t.Sub[0]
	}
	if t.Op != syntax.OpLiteral || t.Flags&syntax.FoldCase == 0 {
		return "", false
	}
	for _, r := range t.Rune {
		if r >= utf8.RuneSelf || strings.ContainsRune("kKsS", r) {
			return "", false
		}
	}
	return string(t.Rune), true
}

// spell returns every text that t matches, when they are few.
func spell(t *syntax.Regexp) ([]string, bool) {
	switch t.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		s, ok := text(t)
		return []string{s}, ok
	case syntax.OpCapture:
		return spell(t.Sub[0])
	case syntax.OpQuest:
		all, ok := spell(t.Sub[0])
		return unique(append(all, "")), ok
	case syntax.OpCharClass:
		return spellClass(t)
	case syntax.OpAlternate:
		var out []string
		for _, s := range t.Sub {
			all, ok := spell(s)
			if !ok || len(out)+len(all) > maxSpelled {
				return nil, false
			}
			out = append(out, all...)
		}
		return unique(out), true
	case syntax.OpConcat:
		out := []string{""}
		for _, s := range t.Sub {
			all, ok := spell(s)
			if !ok || len(out)*len(all) > maxSpelled {
				return nil, false
			}
			next := make([]string, 0, len(out)*len(all))
			for _, a := range out {
				for _, b := range all {
					next = append(next, a+b)
				}
			}
			out = next
		}
		return unique(out), true
	}
	return nil, false
}

func spellClass(t *syntax.Regexp) ([]string, bool) {
	n := 0
	for i := 0; i < len(t.Rune); i += 2 {
		if n += int(t.Rune[i+1]-t.Rune[i]) + 1; n > 16 || t.Rune[i] <= utf8.RuneError && t.Rune[i+1] >= utf8.RuneError {
			return nil, false
		}
	}
	out := make([]string, 0, n)
	for i := 0; i < len(t.Rune); i += 2 {
		for r := t.Rune[i]; r <= t.Rune[i+1]; r++ {
			out = append(out, string(r))
		}
	}
	return out, true
}

// HoldsEmpty reports whether p, a predicate about one field, holds for a field
// that is present with an empty text.
func HoldsEmpty(p Predicate) bool {
	switch p := p.(type) {
	case nil, True:
		return true
	case False, Range:
		return false
	case And:
		for _, q := range p {
			if !HoldsEmpty(q) {
				return false
			}
		}
		return true
	case Or:
		for _, q := range p {
			if HoldsEmpty(q) {
				return true
			}
		}
		return false
	case Not:
		return !HoldsEmpty(p.P)
	}
	return HoldsText(p, "")
}
