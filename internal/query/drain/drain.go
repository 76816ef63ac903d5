// Package drain groups lines of text that differ only in some of their words,
// and says what each group has in common: its pattern.
//
// It follows the idea of Drain (He et al., "Drain: An Online Log Parsing
// Approach with Fixed Depth Tree", ICWS 2017): lines are sorted by their number
// of tokens and their first word, and then put to the most similar group there.
// What differs within a group becomes a wildcard, written <_>, so that a pattern
// is also a pattern filter of LogQL:
//
//	m := drain.New(drain.Limits{})
//	m.Add("took 5ms for alice")
//	m.Add("took 17ms for bob").Pattern() // took <_> for <_>
//
// Memory is bounded by Limits whatever the lines are; a line that no group has
// room for is not grouped. The package keeps the words of the first line of each
// group, knows nothing of records, and is not safe for concurrent use.
package drain

import (
	"strconv"
	"strings"
)

// Limits of a Miner. Zero fields are the defaults.
type Limits struct {
	Groups int // default 1,000
	Tokens int // of a line; what comes after them is a wildcard, default 200
	Bytes  int // of a line, likewise, default 4,096
	Places int // of the tree, each with groups of its own, default 2,000
}

// similar is the part of the words not yet wildcards that a line must share
// with a group to join it.
const similar = 0.5

// leading is how many of the first words decide the place of a line in the tree.
const leading = 1

// most is how many groups one place of the tree holds.
const most = 50

// wild is the text of a wildcard.
const wild = "<_>"

// A Miner collects groups.
type Miner struct {
	limits Limits
	places map[string][]*Group
	groups []*Group
	tokens []token // of the line at hand
	key    []byte
}

// A Group is lines that have a pattern in common.
type Group struct {
	// ID counts the groups of a Miner from 0.
	ID     int
	tokens []token
	fixed  int // words that are no wildcards
	tail   bool
}

// A token is a word, or what stands between words.
type token struct {
	text string
	word bool
	wild bool
}

// New returns a Miner.
func New(l Limits) *Miner {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.Groups, 1000)
	def(&l.Tokens, 200)
	def(&l.Bytes, 4096)
	def(&l.Places, 2000)
	return &Miner{limits: l, places: map[string][]*Group{}}
}

// Groups returns the groups in the order of their first lines. They belong to
// the Miner.
func (m *Miner) Groups() []*Group { return m.groups }

// Add puts a line to its group and returns it, or nil when there is no room for
// another group. The Miner does not keep line.
func (m *Miner) Add(line string) *Group {
	tail := m.split(line)
	key := m.place(tail)
	place, known := m.places[string(key)]
	if !known && len(m.places) >= m.limits.Places {
		key = key[:0] // one place for all the others
		place = m.places[""]
	}
	g := m.best(place, tail)
	if g == nil {
		if len(m.groups) >= m.limits.Groups || len(place) >= most {
			return nil
		}
		g = m.begin(tail)
		m.places[string(key)] = append(place, g)
		return g
	}
	g.join(m.tokens)
	return g
}

// place makes the key of a line's place: how many tokens it has, and its first
// words, of which those with digits are taken for variable.
func (m *Miner) place(tail bool) []byte {
	m.key = strconv.AppendInt(m.key[:0], int64(len(m.tokens)), 10)
	if tail {
		m.key = append(m.key, '+')
	}
	words := 0
	for i := range m.tokens {
		t := &m.tokens[i]
		if !t.word {
			continue
		}
		if words++; words > leading {
			break
		}
		m.key = append(m.key, 0)
		if !t.wild && !digits(t.text) {
			m.key = append(m.key, t.text...)
		}
	}
	return m.key
}

func digits(s string) bool { return strings.ContainsAny(s, "0123456789") }

// best returns the group that the line at hand shares most words with, if they
// are enough.
func (m *Miner) best(place []*Group, tail bool) *Group {
	var best *Group
	bestSame := -1.0
	for _, g := range place {
		if len(g.tokens) != len(m.tokens) || g.tail != tail {
			continue
		}
		same, ok := g.same(m.tokens)
		if !ok {
			continue
		}
		share := 1.0
		if g.fixed > 0 {
			share = float64(same) / float64(g.fixed)
		}
		if share < similar {
			continue
		}
		// Of equally similar groups the more specific one.
		if score := share + float64(same); score > bestSame {
			best, bestSame = g, score
		}
	}
	return best
}

// same counts the words that a line has in common with the group. It reports
// false when what stands between the words differs: then no word is in its place.
func (g *Group) same(line []token) (n int, ok bool) {
	for i := range line {
		t := &g.tokens[i]
		switch {
		case t.word != line[i].word:
			return 0, false
		case !t.word:
			if t.text != line[i].text {
				return 0, false
			}
		case !t.wild && !line[i].wild && t.text == line[i].text:
			n++
		}
	}
	return n, true
}

// begin makes a group of the line at hand.
func (m *Miner) begin(tail bool) *Group {
	g := &Group{ID: len(m.groups), tokens: make([]token, len(m.tokens)), tail: tail}
	for i, t := range m.tokens {
		t.text = strings.Clone(t.text)
		g.tokens[i] = t
		if t.word && !t.wild {
			g.fixed++
		}
	}
	m.groups = append(m.groups, g)
	return g
}

// join turns the words that differ into wildcards.
func (g *Group) join(line []token) {
	for i := range line {
		t := &g.tokens[i]
		if t.word && !t.wild && (line[i].wild || t.text != line[i].text) {
			t.wild, t.text = true, ""
			g.fixed--
		}
	}
}

// Pattern returns what the lines have in common. Between two wildcards there is
// always a text.
func (g *Group) Pattern() string {
	var b strings.Builder
	open := false
	put := func() {
		if !open {
			b.WriteString(wild)
		}
		open = true
	}
	for i := range g.tokens {
		if g.tokens[i].wild {
			put()
			continue
		}
		b.WriteString(g.tokens[i].text)
		open = false
	}
	if g.tail {
		put()
	}
	return b.String()
}
