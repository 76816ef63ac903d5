package scrape

import (
	"bytes"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// samples calls f with every sample of a text in Prometheus' format 0.0.4:
//
//	name{label="value",…} number [milliseconds]
//
// labels is what stands between the braces. Everything aliases b.
func samples(b []byte, f func(name, labels []byte, v float64) error) error {
	for line := 1; len(b) > 0; line++ {
		var l []byte
		l, b, _ = bytes.Cut(b, []byte("\n"))
		l = bytes.TrimSpace(l)
		if len(l) == 0 || l[0] == '#' {
			continue
		}
		name, labels, v, ok := sample(l)
		if !ok {
			return fault.Errorf(fault.Invalid, "line %d is no sample: %.80q", line, l)
		}
		if err := f(name, labels, v); err != nil {
			return err
		}
	}
	return nil
}

func sample(l []byte) (name, labels []byte, v float64, ok bool) {
	end := bytes.IndexAny(l, "{ \t")
	if end <= 0 {
		return nil, nil, 0, false
	}
	name, rest := l[:end], l[end:]
	if rest[0] == '{' {
		n := closing(rest)
		if n < 0 {
			return nil, nil, 0, false
		}
		labels, rest = rest[1:n], rest[n+1:]
	}
	rest = bytes.TrimLeft(rest, " \t")
	if i := bytes.IndexAny(rest, " \t"); i >= 0 {
		rest = rest[:i]
	}
	if len(rest) > 64 {
		return nil, nil, 0, false
	}
	v, err := strconv.ParseFloat(string(rest), 64)
	return name, labels, v, err == nil
}

// closing returns where the brace that b begins with is closed, or -1.
func closing(b []byte) int {
	quoted := false
	for i := 1; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case b[i] == '}' && !quoted:
			return i
		}
	}
	return -1
}

var errLabels = fault.Errorf(fault.Invalid, "labels are not name=\"value\" with commas between")

// pair takes the first label off b. A value with escapes is kept in set.
func pair(b []byte, set *receive.Set) (name, value, rest []byte, err error) {
	name, rest, found := bytes.Cut(b, []byte("=\""))
	name = bytes.TrimSpace(name)
	if !found || len(name) == 0 || len(name) > 128 {
		return nil, nil, nil, errLabels
	}
	escaped := false
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			value = rest[:i]
			if escaped {
				value = unescape(set, value)
			}
			rest = bytes.TrimLeft(rest[i+1:], " \t")
			if len(rest) > 0 {
				if rest[0] != ',' {
					return nil, nil, nil, errLabels
				}
				rest = bytes.TrimLeft(rest[1:], " \t")
			}
			return name, value, rest, nil
		}
	}
	return nil, nil, nil, errLabels
}

func unescape(set *receive.Set, v []byte) []byte {
	out := set.Text(len(v))
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '\\' && i+1 < len(v) {
			if i++; v[i] == 'n' {
				c = '\n'
			} else {
				c = v[i]
			}
		}
		out = append(out, c)
	}
	return set.Keep(out)
}
