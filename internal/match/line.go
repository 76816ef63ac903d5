package match

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/record"
)

// AppendLine appends the record's line: the text form of its body or, when it
// has none, its fields as one JSON object in the order of CompareFields. The field
// that names stream labels is not part of it.
func AppendLine(dst []byte, r *record.Record) []byte {
	if v, ok := r.Get(record.Body); ok {
		return v.AppendText(dst)
	}
	return AppendJSON(dst, r.Fields)
}

// AppendJSON appends fields as one JSON object in the order of CompareFields.
// Bytes that are not UTF-8 become U+FFFD; a float that is no number is a string.
func AppendJSON(dst []byte, fields []record.Field) []byte {
	var few [64]record.Field
	sorted := append(few[:0], fields...)
	slices.SortStableFunc(sorted, func(a, b record.Field) int {
		return CompareFields(a.Name, a.Value.Kind, b.Name, b.Value.Kind)
	})
	return AppendSorted(dst, sorted)
}

// AppendSorted is AppendJSON for fields that are in the order of CompareFields.
func AppendSorted(dst []byte, fields []record.Field) []byte {
	dst = append(dst, '{')
	n := 0
	for i := range fields {
		if fields[i].Name == record.Labels {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = AppendQuoted(dst, fields[i].Name)
		dst = append(dst, ':')
		dst = appendValue(dst, fields[i].Value)
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v record.Value) []byte {
	switch v.Kind {
	case record.String:
		return AppendQuoted(dst, v.Str)
	case record.Float:
		if math.IsNaN(v.Flt) || math.IsInf(v.Flt, 0) {
			return strconv.AppendQuote(dst, v.Text())
		}
	}
	return v.AppendText(dst)
}

const hexDigits = "0123456789abcdef"

// AppendQuoted appends s as a JSON string.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		i++
		start = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			if c >= utf8.RuneSelf {
				dst = append(dst, "\uFFFD"...)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
