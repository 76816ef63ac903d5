package main

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// A queryError is an error at a place of a query.
type queryError struct {
	query     string
	line, col int // from 1; col in characters
	err       error
}

func (e *queryError) Error() string { return e.err.Error() }
func (e *queryError) Unwrap() error { return e.err }

// place is how an error of the server says where it is.
var place = regexp.MustCompile(`\bline (\d{1,6}), col (\d{1,6})\b`)

// at tells an error of a query where in its text it is, if it says so.
func at(query string, err error) error {
	if err == nil {
		return nil
	}
	e := &queryError{query: query, err: err}
	var parse *logql.Error
	if errors.As(err, &parse) {
		e.line, e.col = parse.Line, parse.Col
		return e
	}
	m := place.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	e.line, _ = strconv.Atoi(m[1])
	e.col, _ = strconv.Atoi(m[2])
	return e
}

// pictureWidth is how many characters of a long line are shown around a place.
const pictureWidth = 100

// picture is the line of the query with a caret below the place. It is empty
// where the query has no such place.
func (e *queryError) picture() string {
	lines := strings.Split(e.query, "\n")
	if e.line < 1 || e.line > len(lines) || e.col < 1 {
		return ""
	}
	return caret(lines[e.line-1], e.col)
}

// caret shows one line and a caret below its character col, from 1.
func caret(line string, col int) string {
	runes := []rune(line)
	if col > len(runes)+1 {
		return ""
	}
	begin, end, before, after := 0, len(runes), "", ""
	if col > pictureWidth*3/4 {
		begin, before = col-pictureWidth*3/4, "…"
	}
	if end > begin+pictureWidth {
		end, after = begin+pictureWidth, "…"
	}
	text := escapeLine(string(runes[begin:end]))
	lead := escapeLine(string(runes[begin : col-1]))
	var b strings.Builder
	b.WriteString("  " + before + text + after + "\n  " + strings.Repeat(" ", utf8.RuneCountInString(before)))
	for _, r := range lead {
		switch {
		case r == '\t':
			b.WriteByte('\t')
		case wide(r):
			b.WriteString("  ")
		default:
			b.WriteByte(' ')
		}
	}
	b.WriteString("^\n")
	return b.String()
}

// wide reports characters that take two columns: East Asian scripts, full-width
// forms and most emoji (Unicode TR 11).
func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
		r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 ||
		r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd
}
