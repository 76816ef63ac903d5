package filetail

import (
	"bytes"
	"regexp"
)

// Bounds of a record of several lines. Its bytes are bounded by Config.Record.
const (
	maxGroupLines = 4096
	maxBlank      = 2 // empty lines in a row within a stack trace
)

// A group is lines of one stream that make one record: usually one, which may turn
// out to be the first of a stack trace.
type group struct {
	open     bool
	sealed   bool // nothing follows
	expected bool // a stack trace may follow, whose lines were not written yet
	state    trace
	start    int // of its first line
	time     int64
	first    []byte
	text     []byte // all lines, when they are several
	lines    int
	blank    int
	maybe    int // bytes of text before a last line that is of the group only if a frame follows; 0 is none
	later    int64
}

// single reports whether the group is one line that nothing need follow.
func (g *group) single() bool { return g.state == ordinary && !g.expected && g.maybe == 0 }

// A joiner decides which lines are one record.
type joiner struct {
	off    bool
	start  *regexp.Regexp // nil: lines are joined that are provably of one stack trace
	groups [streams]group
}

func (j *joiner) grouping() bool { return j.groups[0].open || j.groups[1].open || j.groups[2].open }

// holding reports whether a group may go on in lines that were not written yet.
func (j *joiner) holding() bool {
	for s := range j.groups {
		if g := &j.groups[s]; g.open && !g.sealed && (j.start != nil || !g.single()) {
			return true
		}
	}
	return false
}

// add adds a whole line: to the group of its stream, or as the first of another.
// start is where its first byte is, at where the line that ended it began.
func (p *parser) add(b []byte, at int64, stream, start int) {
	if p.join.off {
		p.whole(b, at, stream)
		return
	}
	g := &p.join.groups[stream]
	if g.open && len(b) > 0 && p.goesOn(g, b, at) {
		return
	}
	p.endSingles(stream)
	if start == p.at {
		p.reach()
	}
	if len(b) > p.record {
		p.whole(b, at, stream)
		return
	}
	state, expected := ordinary, false
	if p.join.start == nil {
		state, expected = beginning(b)
	}
	*g = group{open: true, state: state, expected: expected, start: start, time: at, first: b, lines: 1, text: g.text[:0]}
}

// reach notes that all before the line that is read needs nothing behind it, if so.
func (p *parser) reach() {
	if !p.joining() && !p.join.grouping() {
		p.taken, p.clean = p.at, len(p.set.Raws)
	}
}

// before ends single lines before the first part of a line that its runtime split:
// nobody need wait for its end.
func (p *parser) before() {
	p.endSingles(-1)
	p.reach()
}

// goesOn adds a line to a group, if it goes on with it.
func (p *parser) goesOn(g *group, b []byte, at int64) bool {
	size := max(len(g.text), len(g.first)) + g.blank + 1 + len(b)
	if g.sealed || size > p.record || g.lines >= maxGroupLines {
		return false
	}
	how, state := yes, ordinary
	switch {
	case p.join.start != nil:
		if p.join.start.Match(b) {
			return false
		}
	case g.maybe > 0:
		if b[0] != ' ' && b[0] != '\t' || !frame(bytes.TrimLeft(b, " \t")) {
			return false
		}
		g.maybe, state = 0, jvm
	default:
		if g.expected && g.state == ordinary && g.blank > 0 {
			return false
		}
		if how, state = follows(g.state, g.first, b); how == no {
			return false
		}
	}
	if g.lines == 1 {
		g.text = append(g.text[:0], g.first...)
	}
	if how == maybe {
		g.maybe, g.later = len(g.text), at
	}
	for range g.blank {
		g.text = append(g.text, '\n')
	}
	g.text = append(append(g.text, '\n'), b...)
	g.state, g.blank = state, 0
	g.lines++
	return true
}

// empty notes an empty line: stack traces have some.
func (p *parser) empty(stream int) {
	g := &p.join.groups[stream]
	switch {
	case !g.open:
	case p.join.start != nil || g.state != ordinary && g.maybe == 0:
		if g.blank++; g.blank > maxBlank {
			g.sealed = true
		}
	default:
		g.sealed = true
	}
}

// endSingles ends the group of a stream, and those of other streams that are one
// line, in the order in which they began.
func (p *parser) endSingles(stream int) {
	p.end(func(s int, g *group) bool { return s == stream || g.sealed || p.join.start == nil && g.single() })
}

// endAll ends all groups.
func (p *parser) endAll() { p.end(func(int, *group) bool { return true }) }

func (p *parser) end(which func(stream int, g *group) bool) {
	for {
		next := -1
		for s := range p.join.groups {
			g := &p.join.groups[s]
			if g.open && which(s, g) && (next < 0 || g.start < p.join.groups[next].start) {
				next = s
			}
		}
		if next < 0 {
			return
		}
		p.emit(&p.join.groups[next], next)
	}
}

// emit makes a group a record, or two when its last line was not of it.
func (p *parser) emit(g *group, stream int) {
	g.open = false
	if g.lines == 1 {
		p.whole(g.first, g.time, stream)
		return
	}
	text := p.set.Keep(append(p.set.Text(len(g.text)), g.text...))
	if g.maybe > 0 {
		p.whole(text[:g.maybe:g.maybe], g.time, stream)
		p.whole(text[g.maybe+1:], g.later, stream)
		return
	}
	p.joined++
	p.whole(text, g.time, stream)
}

// drop forgets groups that were not taken.
func (j *joiner) drop() {
	for s := range j.groups {
		j.groups[s].open = false
	}
}
