// Package cef reads what security products send: ArcSight's Common Event Format and
// QRadar's Log Event Extended Format.
//
//	CEF:0|VENDOR|PRODUCT|VERSION|ID|NAME|SEVERITY|k=v k=v           values may hold spaces; \| \\ \= \n are escapes
//	LEEF:1.0|VENDOR|PRODUCT|VERSION|ID|k=v<TAB>k=v                  2.0 has |DELIMITER| before the pairs
//
// Keys of the two dictionaries that have a canonical name get it, all others are
// cef.KEY and leef.KEY. It never panics on bytes from outside and keeps nothing
// beyond a call.
package cef

import (
	"bytes"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: "cef", Platform: "cef", Kind: facts.Audit, Of: "security products, in the Common Event Format"},
	{Name: "leef", Platform: "leef", Kind: facts.Audit, Of: "security products, in the Log Event Extended Format"},
}

// A Line reads lines of both formats. The zero Line is ready to use.
type Line struct{ made, key []byte }

// maxPairs bounds the pairs of a line that become fields: the body has them all.
const maxPairs = 256

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	switch {
	case bytes.HasPrefix(line, []byte("CEF:")):
		return l.cef(line[4:], o)
	case bytes.HasPrefix(line, []byte("LEEF:")):
		return l.leef(line[5:], o)
	case string(o.Program) == "CEF": // the program's name of syslog's header ends in a colon too
		return l.cef(line, o)
	case string(o.Program) == "LEEF":
		return l.leef(line, o)
	}
	return false
}

// column cuts the next column of a header off. ok is false when no bar ends it.
func column(b []byte) (v, rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '|':
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

func (l *Line) cef(b []byte, o *facts.Out) bool {
	version, b, ok := column(bytes.TrimLeft(b, " "))
	if n, good := facts.Uint(version); !ok || !good || n > 9 {
		return false
	}
	if bytes.IndexByte(b, '|') < 0 {
		return false
	}
	o.Format, o.Status = "cef", facts.OK
	for i, f := range [...]field.ID{field.ObserverVendor, field.ObserverProduct, field.ObserverVersion, field.EventCode, field.EventName} {
		var v []byte
		if v, b, ok = column(b); !ok {
			o.PartialOf("header")
			if i == 4 && len(v) > 0 {
				o.DeriveBytes(f, l.text(v))
			}
			return true
		}
		o.DeriveBytes(f, l.text(v))
	}
	level, pairs, ok := column(b)
	if !ok {
		o.PartialOf("header")
	}
	severity(level, o)
	for range maxPairs {
		var key, v []byte
		if key, v, pairs = next(pairs); key == nil {
			break
		}
		l.pair("cef.", key, l.text(v), o)
	}
	return true
}

// severity writes CEF's and LEEF's severity: a number of 0 to 10, or a word.
func severity(v []byte, o *facts.Out) {
	if len(v) == 0 {
		return
	}
	o.DeriveBytes(field.SeverityText, v)
	number := int64(0)
	n, ok := facts.Uint(v)
	switch {
	case ok && n <= 3, string(v) == "Low":
		number = 9
	case ok && n <= 6, string(v) == "Medium":
		number = 13
	case ok && n <= 8, string(v) == "High":
		number = 17
	case ok && n <= 10, string(v) == "Very-High":
		number = 21
	}
	if number > 0 {
		o.DeriveInt(field.SeverityNumber, number)
	}
}

// next returns the first pair of CEF's extension. A value ends where a word follows
// that is a key; key is nil when there is none.
func next(b []byte) (key, v, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	n := keyLen(b)
	if n == 0 {
		return nil, nil, nil
	}
	key, b = b[:n], b[n+1:]
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case ' ':
			if keyLen(b[i+1:]) > 0 {
				return key, b[:i], b[i+1:]
			}
		}
	}
	return key, bytes.TrimRight(b, " "), nil
}

// keyLen returns the length of the key that b begins with, 0 when it is none.
func keyLen(b []byte) int {
	for i, c := range b {
		switch {
		case c == '=':
			return i
		case c|0x20 >= 'a' && c|0x20 <= 'z', c-'0' < 10, c == '_', c == '.', c == '-', c == '[', c == ']':
		default:
			return 0
		}
		if i > 100 {
			return 0
		}
	}
	return 0
}

// text returns a value without escapes; it is valid until the next call.
func (l *Line) text(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	l.made = l.made[:0]
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '\\' && i+1 < len(v) {
			switch v[i+1] {
			case '|', '\\', '=':
				c = v[i+1]
				i++
			case 'n':
				c = '\n'
				i++
			case 'r':
				c = '\r'
				i++
			}
		}
		l.made = append(l.made, c)
	}
	return l.made
}

func (l *Line) leef(b []byte, o *facts.Out) bool {
	version, b, ok := column(bytes.TrimLeft(b, " "))
	if !ok || len(version) == 0 || version[0] != '1' && version[0] != '2' {
		return false
	}
	if bytes.IndexByte(b, '|') < 0 {
		return false
	}
	o.Format, o.Status = "leef", facts.OK
	for _, f := range [...]field.ID{field.ObserverVendor, field.ObserverProduct, field.ObserverVersion, field.EventCode} {
		var v []byte
		if v, b, ok = column(b); !ok {
			o.PartialOf("header")
			return true
		}
		o.DeriveBytes(f, l.text(v))
	}
	by := byte('\t')
	if version[0] == '2' {
		if d, rest, ok := column(b); ok && len(d) <= 5 {
			b = rest
			by = delimiter(d)
		}
	}
	for range maxPairs {
		var one []byte
		if one, b = facts.CutByte(b, by); len(one) > 0 {
			key, v, ok := bytes.Cut(bytes.TrimSpace(one), []byte("="))
			if ok && len(key) > 0 {
				l.pair("leef.", key, v, o)
			}
		}
		if len(b) == 0 {
			break
		}
	}
	return true
}

// delimiter reads LEEF's: a character, or x09 or 0x09.
func delimiter(d []byte) byte {
	if len(d) == 1 {
		return d[0]
	}
	hex := bytes.TrimPrefix(bytes.TrimPrefix(d, []byte("0")), []byte("x"))
	if n, err := strconv.ParseUint(string(hex), 16, 8); err == nil && len(hex) > 0 {
		return byte(n)
	}
	return '\t'
}
