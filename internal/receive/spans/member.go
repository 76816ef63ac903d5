package spans

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// AppendMember appends "name":value to the members of a JSON object, for the
// attributes of events and links. Integers and floats stay apart: a float always
// has a point or an exponent. NaN and the infinities are text.
func AppendMember(dst, name []byte, v record.Value) []byte {
	if v.Kind == 0 {
		return dst
	}
	return AppendJSON(key(dst, name), v)
}

// AppendBytesMember appends bytes as {"base64":"…"}: JSON has no bytes.
func AppendBytesMember(dst, name, v []byte) []byte {
	dst = append(key(dst, name), `{"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, v), `"}`...)
}

// AppendTextMember is AppendMember of text.
func AppendTextMember(dst, name, text []byte) []byte {
	return jsontext.AppendString(key(dst, name), text)
}

// AppendRawMember appends a member whose value is JSON already.
func AppendRawMember(dst, name, json []byte) []byte { return append(key(dst, name), json...) }

func key(dst, name []byte) []byte {
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	return append(jsontext.AppendString(dst, name), ':')
}

// AppendJSON appends v as a JSON value; see AppendMember.
func AppendJSON(dst []byte, v record.Value) []byte {
	switch v.Kind {
	case record.String:
		return jsontext.AppendString(dst, []byte(v.Str))
	case record.Float:
		if math.IsNaN(v.Flt) || math.IsInf(v.Flt, 0) {
			dst = strconv.AppendFloat(append(dst, '"'), v.Flt, 'g', -1, 64)
			return append(dst, '"')
		}
		start := len(dst)
		dst = v.AppendText(dst)
		for _, c := range dst[start:] {
			if c == '.' || c == 'e' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	return v.AppendText(dst)
}

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }
