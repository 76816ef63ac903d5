package filter

import (
	"cmp"
	"slices"
)

// seen is what the segments so far have told about a token.
type seen struct {
	have, of int // blocks that have it, of those that were asked
	asked    int // segments
	skipped  int
}

// about returns what is known of a token, nil where nothing is learnt.
func (p *pruner) about(token string) *seen {
	if p.seen == nil {
		return nil
	}
	s := p.seen[token]
	if s == nil {
		s = new(seen)
		p.seen[token] = s
	}
	return s
}

// useless reports whether to ask for a token is not worth the page that has to
// be read: several segments had it in nearly every block. Now and then it is
// asked for all the same, because other days may be different.
func (s *seen) useless() bool {
	if s == nil || s.asked < 3 || 16*s.have < 15*s.of {
		return false
	}
	s.skipped++
	return s.skipped%16 != 0
}

// share returns which part of the blocks has a token, about.
func (p *pruner) share(token string) float64 { return p.seen[token].share(token) }

// share is that of a pruner. Before one segment was asked, the token's form has
// to tell: long ones with digits are names of one thing.
func (s *seen) share(token string) float64 {
	if s != nil && s.of > 0 {
		return float64(s.have) / float64(s.of)
	}
	digit, least := false, 0.0
	for i := 0; i < len(token) && !digit; i++ {
		digit = token[i] >= '0' && token[i] <= '9'
	}
	if !digit {
		least = 0.2
	}
	return max(least, 1/float64(1+len(token)*len(token)))
}

// asked is a token that is asked for.
type asked struct {
	token string
	seen  *seen
	share float64
}

// rarestFirst appends tokens to dst in the order in which they are asked for.
func (p *pruner) rarestFirst(dst []asked, tokens []string) []asked {
	for _, t := range tokens {
		s := p.about(t)
		dst = append(dst, asked{t, s, s.share(t)})
	}
	if len(dst) > 1 && p.seen != nil {
		slices.SortStableFunc(dst, func(a, b asked) int { return cmp.Compare(a.share, b.share) })
	}
	return dst
}

// unknown is the share of what no token tells about: it comes last.
const unknown = 2

// expect returns which part of the blocks a node leaves, about, as far as the
// token index can tell.
func (p *pruner) expect(n *node) float64 {
	switch n.kind {
	case kindAnd:
		least := float64(unknown)
		for i := range n.parts {
			least = min(least, p.expect(&n.parts[i]))
		}
		return least
	case kindOr:
		sum := 0.0
		for i := range n.parts {
			sum += p.expect(&n.parts[i])
		}
		return min(unknown, sum)
	case kindLeaf:
		if n.leaf.want == nil {
			return unknown
		}
		sum := 0.0
		for _, tokens := range n.leaf.want {
			least := float64(unknown)
			for _, t := range tokens {
				least = min(least, p.share(t))
			}
			sum += least
		}
		return min(unknown, sum)
	}
	return unknown
}

// order returns in which order the parts of a conjunction are asked: the one
// that leaves the fewest blocks first.
func (p *pruner) order(parts []node) []int {
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	if p.seen == nil || p.bounds || len(parts) < 2 {
		return order
	}
	expect := make([]float64, len(parts))
	for i := range parts {
		expect[i] = p.expect(&parts[i])
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(expect[a], expect[b]) })
	return order
}
