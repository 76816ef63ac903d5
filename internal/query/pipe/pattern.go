package pipe

import (
	"regexp"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// A piece of a pattern is a literal, or a capture: <name>, or <_> without name.
type piece struct {
	text    string
	capture bool
}

// pieces reads a pattern. A '<' that does not begin a capture is a literal.
func pieces(src string) []piece {
	var out []piece
	lit := 0
	for i := 0; i < len(src); i++ {
		if src[i] != '<' {
			continue
		}
		end := i + 1
		for end < len(src) && (isIdent(rune(src[end])) && (end > i+1 || src[end] < '0' || src[end] > '9')) {
			end++
		}
		if end == i+1 || end == len(src) || src[end] != '>' {
			continue
		}
		if lit < i {
			out = append(out, piece{text: src[lit:i]})
		}
		out = append(out, piece{text: src[i+1 : end], capture: true})
		i = end
		lit = end + 1
	}
	if lit < len(src) {
		out = append(out, piece{text: src[lit:]})
	}
	return out
}

// maxPieces bounds a pattern.
const maxPieces = 512

func readPattern(src string) ([]piece, error) {
	ps := pieces(src)
	if len(ps) > maxPieces {
		return nil, fault.Errorf(fault.TooLarge, "pattern has %d parts, limit %d", len(ps), maxPieces)
	}
	for i := 1; i < len(ps); i++ {
		if ps[i].capture && ps[i-1].capture {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "pattern %q has two captures <%s><%s> with nothing between them", clip(src), ps[i-1].text, ps[i].text),
				"put the text that separates them between")
		}
	}
	return ps, nil
}

// linePattern returns the predicate of |> "…": literals in their order, and at
// least one byte for each <_> between, before or after them.
func linePattern(src string) (match.Predicate, error) {
	ps, err := readPattern(src)
	if err != nil {
		return nil, err
	}
	var re strings.Builder
	re.WriteString(`^(?s:`)
	for _, p := range ps {
		switch {
		case !p.capture:
			re.WriteString(regexp.QuoteMeta(p.text))
		case p.text != "_":
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "named captures are not allowed in a pattern filter: <%s>", p.text), "write <_>")
		default:
			re.WriteString(`.+?`)
		}
	}
	re.WriteString(`)$`)
	return match.Unanchored(match.Line, re.String())
}

// patternParser makes fields of the parts of a line between literals.
type patternParser struct {
	parts []piece
	refs  []*ref // by part; nil: none
}

func newPatternParser(src string) (stage, error) {
	ps, err := readPattern(src)
	if err != nil {
		return nil, err
	}
	s := patternParser{parts: ps, refs: make([]*ref, len(ps))}
	seen := map[string]bool{}
	for i, p := range ps {
		if !p.capture || p.text == "_" {
			continue
		}
		if seen[p.text] {
			return nil, fault.Errorf(fault.Invalid, "pattern %q has two captures called <%s>", clip(src), p.text)
		}
		seen[p.text] = true
		s.refs[i] = newRef(p.text)
	}
	if len(seen) == 0 {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "pattern %q has no named capture", clip(src)), "write <name> where the value stands, <_> for what does not matter")
	}
	return s, nil
}

func (patternParser) needs() needs { return needs{all: true} }

// do matches from the start of the line. Where a literal is not found, the
// capture before it takes the rest, and the ones after it are not made.
func (s patternParser) do(w *Row) bool {
	line, from := w.Line(), len(w.made)
	parts, refs := s.parts, s.refs
	if line == "" {
		return true
	}
	if !parts[0].capture {
		rest, ok := strings.CutPrefix(line, parts[0].text)
		if !ok {
			return true
		}
		line, parts, refs = rest, parts[1:], refs[1:]
	}
	for len(parts) > 0 {
		value, rest, found := line, "", false
		if len(parts) > 1 {
			value, rest, found = strings.Cut(line, parts[1].text)
		}
		if refs[0] != nil {
			w.extract(refs[0], value, from)
		}
		if !found {
			return true
		}
		line, parts, refs = rest, parts[2:], refs[2:]
	}
	return true
}
