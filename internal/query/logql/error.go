package logql

import "github.com/meshtrail/meshtrail/internal/query/syntax"

// An Error is a query that could not be understood, and where.
type Error = syntax.Error

// newError places an error at byte offset pos of src; its kind is fault.Invalid.
func newError(src string, pos int, hint, format string, args ...any) error {
	return syntax.ErrorAt(src, pos, hint, format, args...)
}

func (l *lexer) errorAt(pos int, hint, format string, args ...any) error {
	return newError(l.src, pos, hint, format, args...)
}

func clip(s string) string { return syntax.Clip(s) }
