package lucene

import "github.com/meshtrail/meshtrail/internal/query/syntax"

// An Error is a query that could not be understood, and where.
type Error = syntax.Error

// errorAt places an error at byte offset pos; its kind is fault.Invalid.
func (p *parser) errorAt(pos int, hint, format string, args ...any) error {
	return syntax.ErrorAt(p.src, pos, hint, format, args...)
}

func clip(s string) string { return syntax.Clip(s) }
