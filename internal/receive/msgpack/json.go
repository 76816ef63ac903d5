package msgpack

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// AppendJSON appends the next value of r as JSON, following at most depth
// containers. It returns dst as it was given when the value is not whole or
// nests too deep (r.Err).
//
// str and bin are strings, their bytes as they are but for JSON's own escapes;
// what is not UTF-8 is for the reader of the JSON to find. An EventTime (ext 0
// of Fluentd) is a time of RFC 3339; other extensions, and infinity and NaN,
// which JSON has not, become strings: base64, and their names. A key that is no
// string is written as its text; a container as a key is an error.
func (r *Reader) AppendJSON(dst []byte, depth int) []byte {
	n := len(dst)
	dst = r.appendValue(dst, depth)
	if r.err != nil {
		return dst[:n]
	}
	return dst
}

func (r *Reader) appendValue(dst []byte, depth int) []byte {
	t := r.Next()
	switch t.Kind {
	case None:
		if r.err == nil {
			r.err = ErrShort
		}
		return dst
	case Map:
		return r.AppendMembers(append(dst, '{'), t.N, depth)
	case Array:
		if depth <= 0 {
			r.err = ErrDeep
			return dst
		}
		dst = append(dst, '[')
		for i := range t.N {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst = r.appendValue(dst, depth-1); r.err != nil {
				return dst
			}
		}
		return append(dst, ']')
	case Str, Bin:
		return AppendString(dst, t.Bytes)
	}
	return appendScalar(dst, &t, false)
}

// AppendMembers appends the n pairs of a map whose head was read, and the closing
// brace; the opening one is there.
func (r *Reader) AppendMembers(dst []byte, n, depth int) []byte {
	if depth <= 0 {
		r.err = ErrDeep
		return dst
	}
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		key := r.Next()
		switch key.Kind {
		case Str, Bin:
			dst = AppendString(dst, key.Bytes)
		case None:
			if r.err == nil {
				r.err = ErrShort
			}
			return dst
		case Array, Map:
			r.err = errKey
			return dst
		default:
			dst = appendScalar(dst, &key, true)
		}
		dst = append(dst, ':')
		if dst = r.appendValue(dst, depth-1); r.err != nil {
			return dst
		}
	}
	return append(dst, '}')
}

// appendScalar appends a token that is neither text nor a container, in quotes if
// quoted or where JSON has no such value.
func appendScalar(dst []byte, t *Token, quoted bool) []byte {
	text := quoted
	switch t.Kind {
	case Ext:
		text = true
	case Float:
		text = text || math.IsNaN(t.Float) || math.IsInf(t.Float, 0)
	}
	if text {
		dst = append(dst, '"')
	}
	switch t.Kind {
	case Nil:
		dst = append(dst, "null"...)
	case Bool:
		dst = strconv.AppendBool(dst, t.Int != 0)
	case Int:
		dst = strconv.AppendInt(dst, t.Int, 10)
	case Uint:
		dst = strconv.AppendUint(dst, uint64(t.Int), 10)
	case Float:
		dst = strconv.AppendFloat(dst, t.Float, 'g', -1, 64)
	case Ext:
		if ns, ok := t.EventTime(); ok {
			dst = time.Unix(0, ns).UTC().AppendFormat(dst, time.RFC3339Nano)
		} else {
			dst = base64.StdEncoding.AppendEncode(dst, t.Bytes)
		}
	}
	if text {
		dst = append(dst, '"')
	}
	return dst
}

// EventTime returns the time of Fluentd's extension 0, in ns since 1970: seconds
// and nanoseconds, four bytes each.
func (t *Token) EventTime() (ns int64, ok bool) {
	if t.Kind != Ext || t.Type != 0 || len(t.Bytes) != 8 {
		return 0, false
	}
	sec, nsec := binary.BigEndian.Uint32(t.Bytes), binary.BigEndian.Uint32(t.Bytes[4:])
	return int64(sec)*1e9 + int64(nsec), true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// AppendString appends s as a JSON string: its bytes, with quotation marks,
// backslashes and control characters escaped.
func AppendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	start, i := 0, 0
	for i < len(s) {
		for len(s)-i >= 8 {
			x := binary.LittleEndian.Uint64(s[i:])
			quote, slash := x^ones*'"', x^ones*'\\'
			if ((x-ones*0x20)&^x|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
				break
			}
			i += 8
		}
		for end := min(i+8, len(s)); i < end; i++ {
			c := s[i]
			if c >= 0x20 && c != '"' && c != '\\' {
				continue
			}
			dst = append(dst, s[start:i]...)
			start = i + 1
			dst = appendEscape(dst, c)
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\t':
		return append(dst, '\\', 't')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
