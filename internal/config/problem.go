package config

import (
	"fmt"
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

func (ps Problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	return fault.Wrap(fault.Invalid, ps)
}
