package match

import (
	"cmp"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// LineText reports whether a text can be sought in values and names one by one
// instead of in the rendered JSON line, as far as AppendQuoted leaves those
// unchanged (Escapes): it holds no byte that is escaped, and none that the
// line's own punctuation could be. A text without a quote meets the line's ':'
// only at its start and ',' or '}' only at its end, because a quote stands on
// the other side.
func LineText(s string) bool {
	if s == "" || s[0] == ':' || s[0] == '{' || s[len(s)-1] == ',' || s[len(s)-1] == '}' {
		return false
	}
	return !Escapes(s)
}

// Escapes reports whether AppendQuoted changes s between the quotes.
func Escapes[T string | []byte](s T) bool {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c < 0x20 || c == '"' || c == '\\':
			return true
		case c < utf8.RuneSelf:
			i++
		default:
			var b [utf8.UTFMax]byte
			r, n := utf8.DecodeRune(b[:copy(b[:], s[i:])])
			if r == utf8.RuneError && n == 1 {
				return true
			}
			i += n
		}
	}
	return false
}

// CompareFields orders fields as lines and records show them: in the order of
// the schema, those of one place by name, one name by kind.
func CompareFields(an string, ak record.Kind, bn string, bk record.Kind) int {
	if an == bn {
		return cmp.Compare(ak, bk)
	}
	return cmp.Or(cmp.Compare(schema.Order(an), schema.Order(bn)), cmp.Compare(an, bn))
}
