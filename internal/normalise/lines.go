package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
)

// lines are the text parsers of one Normaliser.
type lines struct {
	parsers []facts.Line
	custom  *customs // nil: the operator declared none
}

func newLines(custom *Custom) lines {
	l := lines{parsers: make([]facts.Line, len(texts))}
	for i := range texts {
		l.parsers[i] = texts[i].fresh()
	}
	if custom != nil && len(custom.list) > 0 {
		l.custom = &customs{Custom: custom}
	}
	return l
}

// byFirst lists the parsers that a line may be of, by its first byte, of lines
// that begin with a date and of others.
var byFirst = func() (list [2][256][]uint8) {
	for c := range list[0] {
		for i, t := range texts {
			if t.begins != "" && !containsByte(t.begins, byte(c)) {
				continue
			}
			digit := byte(c)-'0' < 10
			if t.date != always || !digit {
				list[0][c] = append(list[0][c], uint8(i))
			}
			if t.date != never && digit {
				list[1][c] = append(list[1][c], uint8(i))
			}
		}
	}
	return list
}()

// candidates returns the parsers that a line may be of.
func candidates(line []byte) []uint8 {
	if len(line) > 9 && line[4] == '-' && line[7] == '-' && line[0]-'0' < 10 && line[3]-'0' < 10 && line[9]-'0' < 10 {
		return byFirst[1][line[0]]
	}
	return byFirst[0][line[0]]
}

func containsByte(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}

// byPlatform lists the parsers of declared platforms.
var byPlatform = func() map[string][]uint8 {
	m := map[string][]uint8{}
	for i, t := range texts {
		for _, p := range t.platforms {
			m[p] = append(m[p], uint8(i))
		}
	}
	return m
}()

// read has the platform whose layout a line matches read it, and reports whether
// one did: the operator's own formats are asked first. The caller keeps the line
// as the body.
func (l *lines) read(line []byte, o *facts.Out) bool {
	if len(line) == 0 {
		return false
	}
	if l.custom != nil && l.custom.read(line, o) {
		return true
	}
	var asked []uint8
	if o.Declared != "" {
		asked = byPlatform[o.Declared]
		for _, i := range asked {
			if l.parsers[i].Text(line, o) {
				return true
			}
		}
	}
	for _, i := range candidates(line) {
		if (asked == nil || !slices.Contains(asked, i)) && l.parsers[i].Text(line, o) {
			return true
		}
	}
	return false
}
