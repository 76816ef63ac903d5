package lucene

import (
	"fmt"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// An Error is a query that could not be understood. It prints as those of LogQL:
// "parse error at line 1, col 9: …".
type Error struct {
	Pos  int // byte offset in the query
	Line int // from 1
	Col  int // in characters, from 1
	Msg  string
}

// Error renders the error.
func (e *Error) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
}

// errorAt places an error at byte offset pos; its kind is fault.Invalid.
func (p *parser) errorAt(pos int, hint, format string, args ...any) error {
	e := &Error{Pos: min(pos, len(p.src)), Line: 1, Col: 1, Msg: fmt.Sprintf(format, args...)}
	for i := 0; i < pos && i < len(p.src); {
		if p.src[i] == '\n' {
			e.Line, e.Col = e.Line+1, 1
			i++
			continue
		}
		_, n := utf8.DecodeRuneInString(p.src[i:])
		i += n
		e.Col++
	}
	err := fault.Wrap(fault.Invalid, e)
	if hint != "" {
		err = fault.WithHint(err, hint)
	}
	return err
}

// clip shortens what an error repeats of the query.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
