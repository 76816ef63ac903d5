package match

import (
	"regexp"
	"regexp/syntax"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// maxProgram bounds a compiled expression, so that parsing and matching a
// hostile one stays cheap (VictoriaLogs issue 1124: seconds to parse a regex).
const maxProgram = 10_000

// Regexp is a compiled expression in Go's RE2 syntax.
type Regexp struct {
	re  *regexp.Regexp
	src string
}

// CompileRegexp compiles src, which matches anywhere unless it is anchored.
// Errors are fault.Invalid.
func CompileRegexp(src string) (*Regexp, error) {
	p, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "regular expression %q: %w", src, err)
	}
	size := unrolled(p)
	if size <= maxProgram {
		prog, err := syntax.Compile(p.Simplify())
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "regular expression %q: %w", src, err)
		}
		size = len(prog.Inst)
	}
	if size > maxProgram {
		return nil, fault.WithHint(
			fault.Errorf(fault.TooLarge, "regular expression has %d instructions, limit %d", size, maxProgram),
			"use smaller repetition counts")
	}
	re, err := regexp.Compile(src)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "regular expression %q: %w", src, err)
	}
	return &Regexp{re: re, src: src}, nil
}

// unrolled counts the characters of an expression once for every repetition:
// about its instructions, without the time to make them.
func unrolled(p *syntax.Regexp) int {
	n := 0
	switch p.Op {
	case syntax.OpLiteral:
		n = len(p.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	}
	for _, sub := range p.Sub {
		n += unrolled(sub)
	}
	if p.Op == syntax.OpRepeat { // at most 1,000 times, and so at each level
		n *= max(p.Min, p.Max)
	}
	return n
}

// String returns the source.
func (r *Regexp) String() string { return r.src }

// MatchString reports whether s contains a match.
func (r *Regexp) MatchString(s string) bool { return r.re.MatchString(s) }

// Match reports whether b contains a match.
func (r *Regexp) Match(b []byte) bool { return r.re.Match(b) }

// Expand returns template with $1 or ${name} replaced by what the first match in
// s holds there; false when there is no match.
func (r *Regexp) Expand(template, s string) (string, bool) {
	m := r.re.FindStringSubmatchIndex(s)
	if m == nil {
		return "", false
	}
	return string(r.re.ExpandString(nil, template, s, m)), true
}
