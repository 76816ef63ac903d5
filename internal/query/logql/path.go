package logql

import (
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A Step of a path leads into an object by Key, or, where Index is not -1, into
// an array.
type Step struct {
	Key   string
	Index int
}

// ParsePath reads the path of a JSON parameter: a.b["c d"][0].e. There is at
// least one step. Errors are fault.Invalid.
func ParsePath(s string) ([]Step, error) {
	steps, _, err := parsePath(s)
	return steps, err
}

// parsePath says also where in s it went wrong.
func parsePath(s string) (steps []Step, at int, err error) {
	bad := func(i int, format string, args ...any) ([]Step, int, error) {
		return nil, i, fault.Errorf(fault.Invalid, format, args...)
	}
	space := func(i int) int {
		for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n') {
			i++
		}
		return i
	}
	for i := space(0); i < len(s); i = space(i) {
		c := s[i]
		if c == '[' {
			step, n, err := bracket(s[i:])
			if err != nil {
				return nil, i + n, err
			}
			steps = append(steps, step)
			i += n
			continue
		}
		if c == '.' && len(steps) > 0 {
			i = space(i + 1)
			if i == len(s) {
				return bad(len(s)-1, "the path ends with a dot")
			}
		} else if len(steps) > 0 {
			return bad(i, "a path goes on with . or [")
		}
		if !isIdentStart(s[i]) {
			return bad(i, "a path step is a name, [0] or [\"text\"]")
		}
		start := i
		for i < len(s) && isIdentPart(s[i]) {
			i++
		}
		steps = append(steps, Step{Key: s[start:i], Index: -1})
	}
	if len(steps) == 0 {
		return bad(0, "the path is empty")
	}
	return steps, 0, nil
}

// bracket reads [0] or ["text"], whose text has no escapes; n is its length, or
// where in it the error is.
func bracket(s string) (step Step, n int, err error) {
	if len(s) > 1 && s[1] == '"' {
		end := strings.IndexByte(s[2:], '"')
		if end < 0 {
			return step, 1, fault.Errorf(fault.Invalid, "the text in brackets is not terminated")
		}
		n = 2 + end + 1
		if n == len(s) || s[n] != ']' {
			return step, n - 1, fault.Errorf(fault.Invalid, "[\"text\"] is not closed")
		}
		return Step{Key: s[2 : 2+end], Index: -1}, n + 1, nil
	}
	n = 1
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n == 1 || n == len(s) || s[n] != ']' {
		return step, min(n, len(s)-1), fault.Errorf(fault.Invalid, "in brackets stands a number or a text in quotes")
	}
	i, err := strconv.Atoi(s[1:n])
	if err != nil {
		return step, 1, fault.Errorf(fault.Invalid, "the index is too large")
	}
	return Step{Index: i}, n + 1, nil
}

// LogfmtKey reads the key of a logfmt parameter: a name, or anything else in
// quotes within the string ("\"a.b\""). Errors are fault.Invalid.
func LogfmtKey(s string) (string, error) {
	key := strings.TrimSpace(s)
	if len(key) > 2 && key[0] == '"' && key[len(key)-1] == '"' {
		if key = key[1 : len(key)-1]; !strings.Contains(key, `"`) {
			return key, nil
		}
	}
	for i := 0; i < len(key); i++ {
		if !isIdentPart(key[i]) || i == 0 && !isIdentStart(key[i]) {
			return "", fault.Errorf(fault.Invalid, "not a key of logfmt")
		}
	}
	if key == "" {
		return "", fault.Errorf(fault.Invalid, "the key is empty")
	}
	return key, nil
}
