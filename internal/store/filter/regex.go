package filter

import (
	"regexp/syntax"

	"github.com/meshtrail/meshtrail/internal/match"
)

// maxNeedles is the number of texts of which a regular expression's matches hold
// one, up to which they are sought before it is run.
const maxNeedles = 8

// prepareRegexp finds out what running a regular expression costs for a byte, and
// texts of which every match holds one.
func (l *leaf) prepareRegexp(src string) {
	l.steps = 1
	re, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return
	}
	re = re.Simplify()
	if p, err := syntax.Compile(re); err == nil {
		l.steps = int64(len(p.Inst))
	}
	all := required(re)
	if len(all) == 0 || len(all) > maxNeedles {
		return
	}
	var needles []string
	for _, pieces := range all {
		needle := ""
		for _, x := range pieces {
			if !x.fold && len(x.text) > len(needle) {
				needle = x.text
			}
		}
		if needle == "" {
			return // this alternative may be anything
		}
		needles = append(needles, needle)
	}
	l.needles = needles
}

// tickSteps is how many steps of regular expressions are run between two calls
// of Evaluator.Tick: some milliseconds of work.
const tickSteps = 1 << 22

// text evaluates a leaf on a present value's text form, and counts what a regular
// expression costs. Once Tick has failed nothing holds any more.
func (e *Evaluator) text(l *leaf, s string, numbers *match.Interval) bool {
	if l.steps > 0 {
		if e.err != nil {
			return false
		}
		if e.steps += l.steps * int64(len(s)+1); e.steps >= tickSteps && e.Tick != nil {
			e.err = e.Tick(e.steps)
			e.steps = 0
		}
	}
	return l.text(s, numbers)
}
