// Package syntax says where a query stops making sense: the error that every
// query language of the house fails with, in the form that Loki's clients show.
//
// It knows no language and keeps nothing but what an error holds.
package syntax

import (
	"fmt"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// An Error is a query that could not be understood: "parse error at line 1,
// col 9: …".
type Error struct {
	Pos  int // byte offset in the query, its length at most
	Line int // from 1
	Col  int // in characters, from 1
	Msg  string
}

// Error renders the error.
func (e *Error) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
}

// ErrorAt returns an *Error at byte offset pos of src, with the kind
// fault.Invalid and, if it is not empty, a hint.
func ErrorAt(src string, pos int, hint, format string, args ...any) error {
	e := &Error{Pos: min(pos, len(src)), Line: 1, Col: 1, Msg: fmt.Sprintf(format, args...)}
	for i := 0; i < e.Pos; {
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

// Clip shortens what an error repeats of the query to 64 bytes.
func Clip(s string) string {
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
