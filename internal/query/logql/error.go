package logql

import (
	"fmt"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// An Error is a query that could not be understood. It prints in the form that
// Loki's clients show: "parse error at line 1, col 9: …".
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

// newError places an error at byte offset pos of src; its kind is fault.Invalid.
func newError(src string, pos int, hint, format string, args ...any) error {
	e := &Error{Pos: pos, Line: 1, Col: 1, Msg: fmt.Sprintf(format, args...)}
	for i := 0; i < pos && i < len(src); {
		if src[i] == '\n' {
			e.Line, e.Col = e.Line+1, 1
			i++
			continue
		}
		_, n := utf8.DecodeRuneInString(src[i:])
		i += n
		e.Col++
	}
	err := fault.Wrap(fault.Invalid, e)
	if hint != "" {
		err = fault.WithHint(err, hint)
	}
	return err
}

func (l *lexer) errorAt(pos int, hint, format string, args ...any) error {
	return newError(l.src, pos, hint, format, args...)
}
