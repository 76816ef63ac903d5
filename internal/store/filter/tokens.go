package filter

import (
	"regexp/syntax"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// alternatives are sets of tokens: a matching text holds every token of one of
// the sets. Nil means that nothing is known.
type alternatives [][]string

// Most alternatives and tokens that are followed up.
const (
	maxAlternatives = 64
	maxTokens       = 16
)

// A piece is a text that a matching value contains, and how it is bounded.
type piece struct {
	text        string
	left, right segment.End
	fold        bool
}

// tokensOf returns which tokens a text must hold for p to hold, and a text that
// it must contain byte for byte.
func tokensOf(p match.Predicate) (alternatives, string) {
	one := func(text string, left, right segment.End, fold bool) (alternatives, string) {
		needle := text
		if fold {
			needle = ""
		}
		return alternativesOf([][]piece{{{text, left, right, fold}}}), needle
	}
	switch p := p.(type) {
	case match.Eq:
		return one(p.Value, segment.WholeEnd, segment.WholeEnd, false)
	case match.Prefix:
		return one(p.Value, segment.WholeEnd, segment.AnyEnd, false)
	case match.Contains:
		return one(p.Value, segment.AnyEnd, segment.AnyEnd, p.Fold)
	case match.Word:
		return one(p.Value, segment.WordEnd, segment.WordEnd, p.Fold)
	case match.In:
		if len(p.Values) > maxAlternatives {
			return nil, ""
		}
		var all [][]piece
		for _, v := range p.Values {
			all = append(all, []piece{{v, segment.WholeEnd, segment.WholeEnd, false}})
		}
		return alternativesOf(all), ""
	case match.Regex:
		return tokensOfRegexp(p.Re.String())
	}
	return nil, ""
}

func alternativesOf(all [][]piece) alternatives {
	out := alternatives{}
	for _, pieces := range all {
		var tokens []string
		for _, x := range pieces {
			text := x.text
			if x.fold {
				text = lower(text)
			}
			segment.Tokens(text, x.left, x.right, func(t string) {
				if x.fold && len(t) > segment.MaxFolded {
					return
				}
				tokens = withoutParts(tokens, t)
				if len(tokens) < maxTokens {
					tokens = append(tokens, t)
				}
			})
		}
		if len(tokens) == 0 {
			return nil // this alternative can not be ruled out, so none can
		}
		out = append(out, tokens)
	}
	return out
}

// withoutParts takes from tokens the parts of t, which come before it when it is
// a compound: what holds the whole holds them. The longest stays, for the few
// blocks that a table names falsely.
func withoutParts(tokens []string, t string) []string {
	n := segment.Parts(t)
	if n < 2 || n > len(tokens) {
		return tokens
	}
	longest := ""
	for _, part := range tokens[len(tokens)-n:] {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return append(tokens[:len(tokens)-n], longest)
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func tokensOfRegexp(src string) (alternatives, string) {
	re, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil, ""
	}
	all := required(re.Simplify())
	if all == nil {
		return nil, ""
	}
	needle := ""
	if len(all) == 1 {
		for _, x := range all[0] {
			if !x.fold && len(x.text) > len(needle) {
				needle = x.text
			}
		}
	}
	return alternativesOf(all), needle
}

// required returns pieces of which every match holds all of one alternative.
// Nil means that nothing is known.
func required(re *syntax.Regexp) [][]piece {
	switch re.Op {
	case syntax.OpLiteral:
		fold := re.Flags&syntax.FoldCase != 0
		for _, r := range re.Rune {
			if fold && r >= 0x80 {
				return nil
			}
			// Folding takes K and S to U+212A and U+017F too, which are no ASCII.
			if fold && strings.ContainsRune("kKsS", r) {
				return nil
			}
		}
		return [][]piece{{{text: string(re.Rune), fold: fold}}}
	case syntax.OpCapture:
		return required(re.Sub[0])
	case syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpAlternate:
		var all [][]piece
		for _, s := range re.Sub {
			sub := required(s)
			if sub == nil || len(all)+len(sub) > maxAlternatives {
				return nil
			}
			all = append(all, sub...)
		}
		return all
	case syntax.OpConcat:
		return requiredConcat(re.Sub)
	}
	return nil
}

// requiredConcat joins what the parts require. An anchor or word boundary
// beside a literal bounds it.
func requiredConcat(subs []*syntax.Regexp) [][]piece {
	all := [][]piece{{}}
	for i, s := range subs {
		sub := required(s)
		if sub == nil || len(all)*len(sub) > maxAlternatives {
			continue
		}
		if s.Op == syntax.OpLiteral {
			x := &sub[0][0]
			if i > 0 {
				x.left = bound(subs[i-1].Op, syntax.OpBeginText)
			}
			if i+1 < len(subs) {
				x.right = bound(subs[i+1].Op, syntax.OpEndText)
			}
		}
		var next [][]piece
		for _, a := range all {
			for _, b := range sub {
				next = append(next, append(a[:len(a):len(a)], b...))
			}
		}
		all = next
	}
	for _, a := range all {
		if len(a) == 0 {
			return nil
		}
	}
	return all
}

func bound(op, anchor syntax.Op) segment.End {
	switch op {
	case anchor:
		return segment.WholeEnd
	case syntax.OpWordBoundary:
		return segment.WordEnd
	}
	return segment.AnyEnd
}

// lineTexts returns texts of which each stands in one value or name of a record
// whose JSON line p holds for, and whether p holds exactly when the only one
// does.
func lineTexts(p match.Predicate) (texts []string, exact bool) {
	text := ""
	switch p := p.(type) {
	case match.Contains:
		if match.LineText(p.Value) {
			return []string{p.Value}, true
		}
		text = p.Value
	case match.Word:
		text = p.Value
	case match.Eq:
		text = p.Value
	case match.Prefix:
		text = p.Value
	case match.Regex:
		_, text = tokensOfRegexp(p.Re.String())
	}
	// The line's own signs cut the text; what is between them is in one place. The
	// index need not know how JSON writes a value: an escape begins with a
	// backslash, which no such text has, so what it changes is never an inner token.
	for _, t := range strings.FieldsFunc(text, func(r rune) bool {
		return r < 0x20 || strings.ContainsRune("\"\\{}:,", r) || r == '\ufffd'
	}) {
		if len(t) >= 2 && match.LineText(t) && len(texts) < 4 {
			texts = append(texts, t)
		}
	}
	return texts, false
}
