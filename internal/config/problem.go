package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Path    string `json:"path"`            // server.listen; "" is the whole file
	Value   string `json:"value,omitempty"` // as written
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1; 0 is unknown
	Column  int    `json:"column,omitempty"`
}

// String renders the problem in one line.
func (p Problem) String() string {
	var s strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&s, "%d:%d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		s.WriteString(p.Path + ": ")
	}
	s.WriteString(p.Problem)
	if p.Value != "" {
		fmt.Fprintf(&s, " (found %.80q)", p.Value)
	}
	if p.Hint != "" {
		fmt.Fprintf(&s, "; hint: %s", p.Hint)
	}
	return s.String()
}

// Problems is everything that is wrong with a configuration. As an error it is
// of kind fault.Invalid.
type Problems []Problem

// Error renders one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// with adds what the parts say to what decoding found, in the order of the file. Of
// a value that could not be read only that is told: it still holds its default.
func (ps Problems) with(more []Problem) Problems {
	unread := map[string]bool{}
	for _, p := range ps {
		unread[p.Path] = true
	}
	for _, p := range more {
		if !unread[p.Path] {
			ps = append(ps, p)
		}
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

func (ps Problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	return fault.Wrap(fault.Invalid, ps)
}
