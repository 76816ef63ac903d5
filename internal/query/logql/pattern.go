package logql

import (
	"github.com/meshtrail/meshtrail/internal/fault"
)

// A PatternPart is a piece of a pattern: text that must stand there, or a
// capture <name>; <_> captures nothing.
type PatternPart struct {
	At      int // byte offset in the pattern
	Capture bool
	Text    string // the literal text, or the capture's name
}

// ParsePattern cuts a pattern such as <ip> - <_> "<method> <path>" into parts.
// No two literals follow each other; what is not exactly <name> is literal.
func ParsePattern(s string) []PatternPart {
	var out []PatternPart
	start := 0 // of the literal at hand
	for i := 0; i < len(s); {
		n := captureLen(s[i:])
		if n == 0 {
			i++
			continue
		}
		if i > start {
			out = append(out, PatternPart{At: start, Text: s[start:i]})
		}
		out = append(out, PatternPart{At: i, Capture: true, Text: s[i+1 : i+n-1]})
		i += n
		start = i
	}
	if start < len(s) {
		out = append(out, PatternPart{At: start, Text: s[start:]})
	}
	return out
}

// captureLen returns the length of the capture that s starts with, or 0. It
// looks no further than the name goes, so that the whole stays linear: a second
// '<' ends a name.
func captureLen(s string) int {
	if len(s) < 3 || s[0] != '<' || !isIdentStart(s[1]) {
		return 0
	}
	i := 2
	for i < len(s) && isIdentPart(s[i]) {
		i++
	}
	if i == len(s) || s[i] != '>' {
		return 0
	}
	return i + 1
}

// checkPattern says what is wrong with a pattern, and where in it: of the parser
// stage, or with filter set of a line filter, whose captures have no names.
func checkPattern(s string, filter bool) (at int, err error) {
	parts := ParsePattern(s)
	seen := map[string]bool{}
	for i, p := range parts {
		if !p.Capture {
			continue
		}
		if i > 0 && parts[i-1].Capture {
			return p.At, fault.Errorf(fault.Invalid, "found consecutive capture '<%s><%s>'", clip(parts[i-1].Text), clip(p.Text))
		}
		if p.Text == "_" {
			continue
		}
		switch {
		case filter:
			return p.At, fault.Errorf(fault.Invalid, "named captures are not allowed: found '<%s>'", clip(p.Text))
		case seen[p.Text]:
			return p.At, fault.Errorf(fault.Invalid, "duplicate capture name (%s)", clip(p.Text))
		case len(seen) == maxNames:
			return p.At, fault.Errorf(fault.Invalid, "more than %d captures", maxNames)
		}
		seen[p.Text] = true
	}
	if !filter && len(seen) == 0 {
		return 0, fault.Errorf(fault.Invalid, "at least one capture is required")
	}
	return 0, nil
}
