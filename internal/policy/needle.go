package policy

import (
	"bytes"
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"strings"
)

// required returns texts one of which is in every match of an expression, and
// whether they are sought without regard to ASCII case (they are then in lower
// case); none when there is no such set.
func required(re *syntax.Regexp) (needles [][]byte, fold bool) {
	set, ok := sets(re)
	if !ok || len(set) == 0 || len(set) > 16 {
		return nil, false
	}
	for _, n := range set {
		if len(n.text) < 3 {
			return nil, false
		}
		fold = fold || n.fold
	}
	for _, n := range set {
		text := n.text
		if fold {
			text = strings.ToLower(text)
		}
		needles = append(needles, []byte(text))
	}
	return needles, fold
}

type needle struct {
	text string
	fold bool
}

// sets returns alternatives one of which every match contains.
func sets(re *syntax.Regexp) ([]needle, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		s := string(re.Rune)
		for i := 0; i < len(s); i++ {
			if s[i] >= 0x80 {
				return nil, false // Unicode folding is not ASCII's
			}
		}
		fold := re.Flags&syntax.FoldCase != 0
		if fold && strings.ContainsAny(strings.ToLower(s), "ks") {
			return nil, false // K folds to KELVIN SIGN, s to LONG S
		}
		return []needle{{s, fold}}, s != ""
	case syntax.OpCapture, syntax.OpPlus:
		return sets(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return sets(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []needle
		for _, sub := range re.Sub {
			if s, ok := sets(sub); ok && (best == nil || shortest(s) > shortest(best)) {
				best = s
			}
		}
		return best, best != nil
	case syntax.OpAlternate:
		var all []needle
		for _, sub := range re.Sub {
			s, ok := sets(sub)
			if !ok {
				return nil, false
			}
			all = append(all, s...)
		}
		return all, true
	}
	return nil, false
}

func shortest(set []needle) int {
	n := len(set[0].text)
	for _, s := range set {
		n = min(n, len(s.text))
	}
	return n
}

// anchored reports whether a match may depend on the text around it.
func anchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	for _, sub := range re.Sub {
		if anchored(sub) {
			return true
		}
	}
	return false
}

// minimum returns the bytes of the shortest match, or fewer.
func minimum(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return minimum(re.Sub[0])
	case syntax.OpRepeat:
		return min(re.Min*minimum(re.Sub[0]), 1<<16)
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			n += minimum(sub)
		}
		return min(n, 1<<16)
	case syntax.OpAlternate:
		n := minimum(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, minimum(sub))
		}
		return n
	}
	return 0
}

// contains is bytes.Contains; with fold, n is in lower case and ASCII letters of
// data count as lower case. The rarest start of n's first letter is sought with
// the fast byte search, in both cases.
func contains(data, n []byte, fold bool) bool {
	if !fold {
		return bytes.Contains(data, n)
	}
	lower, upper := n[0], n[0]
	if lower >= 'a' && lower <= 'z' {
		upper -= 'a' - 'A'
	}
	for _, c := range [...]byte{lower, upper} {
		rest := data
		for {
			i := bytes.IndexByte(rest, c)
			if i < 0 || len(rest)-i < len(n) {
				break
			}
			if equalFold(rest[i:i+len(n)], n) {
				return true
			}
			rest = rest[i+1:]
		}
		if lower == upper {
			break
		}
	}
	return false
}

func equalFold(b, lower []byte) bool {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// run is a stretch of at least n bytes, each of a class, that every match
// contains. The zero run is in every text.
type run struct {
	n     int
	class *[256]bool
}

// runOf returns the longest such stretch of an expression that is not simplified.
func runOf(re *syntax.Regexp) run {
	switch re.Op {
	case syntax.OpCapture:
		return runOf(re.Sub[0])
	case syntax.OpConcat:
		var best run
		for _, sub := range re.Sub {
			if r := runOf(sub); r.n > best.n {
				best = r
			}
		}
		return best
	case syntax.OpRepeat:
		class := re.Sub[0]
		if re.Min < 2 || class.Op != syntax.OpCharClass {
			return run{}
		}
		r := run{n: re.Min, class: new([256]bool)}
		for i := 0; i < len(class.Rune); i += 2 {
			if class.Rune[i+1] >= 0x80 {
				return run{} // a rune is more than a byte there
			}
			for c := class.Rune[i]; c <= class.Rune[i+1]; c++ {
				r.class[c] = true
			}
		}
		return r
	}
	return run{}
}

// in reports whether data has such a stretch. It looks at every n-th byte until
// one is of the class.
func (r run) in(data []byte) bool {
	if r.n == 0 {
		return true
	}
	for i := r.n - 1; i < len(data); {
		if !r.class[data[i]] {
			i += r.n
			continue
		}
		start := i
		for start > 0 && r.class[data[start-1]] && i-start < r.n {
			start--
		}
		end := i + 1
		for end < len(data) && r.class[data[end]] && end-start < r.n {
			end++
		}
		if end-start >= r.n {
			return true
		}
		i = end + r.n
	}
	return false
}

// oneOf returns a few bytes one of which is in every match: the smallest class
// that every match goes through. Most columns hold no white space, so for an
// expression that demands some this is the cheapest test of all.
func oneOf(re *syntax.Regexp) []byte {
	switch re.Op {
	case syntax.OpCharClass:
		var out []byte
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i+1] >= 0x80 || int(re.Rune[i+1]-re.Rune[i])+len(out) >= 8 {
				return nil
			}
			for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
				out = append(out, byte(c))
			}
		}
		return out
	case syntax.OpCapture, syntax.OpPlus:
		return oneOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return oneOf(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []byte
		for _, sub := range re.Sub {
			if s := oneOf(sub); len(s) > 0 && (best == nil || len(s) < len(best)) {
				best = s
			}
		}
		return best
	}
	return nil
}

// hasOne reports whether data holds one of set, or set is empty. Of white space,
// which is what most expressions demand, one look at the data tells that there
// is none at all.
func hasOne(data, set []byte) bool {
	if len(set) == 0 {
		return true
	}
	if max := slices.Max(set); len(set) > 1 && max < 0x80 && !anyBelow(data, max+1) {
		return false
	}
	for _, c := range set {
		if bytes.IndexByte(data, c) >= 0 {
			return true
		}
	}
	return false
}

// anyBelow reports whether a byte is below n, which is at most 0x80. Eight bytes
// are looked at together: of v - n·0x01…, a high bit that v has not is a byte
// below n, or follows from one.
func anyBelow(data []byte, n byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	least := ones * uint64(n)
	for ; len(data) >= 32; data = data[32:] {
		p := (*[32]byte)(data)
		a, b := binary.LittleEndian.Uint64(p[0:]), binary.LittleEndian.Uint64(p[8:])
		c, d := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
		if ((a-least)&^a|(b-least)&^b|(c-least)&^c|(d-least)&^d)&highs != 0 {
			return true
		}
	}
	for _, c := range data {
		if c < n {
			return true
		}
	}
	return false
}
