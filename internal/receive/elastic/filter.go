package elastic

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// A filter says which members of an answer a client wants: the parameter
// filter_path, a list of paths with * in a name and ** for any names between.
// Paths with - before them are left out. Elements of arrays have no name.
type filter struct {
	with, without [][]string
}

// Bounds of a filter: what is beyond them is not looked at.
const (
	maxFilters = 64
	maxNames   = 16
)

func filterPath(text string) filter {
	var f filter
	for path := range strings.SplitSeq(text, ",") {
		path = strings.TrimSpace(path)
		names, without := strings.CutPrefix(path, "-")
		list := strings.Split(names, ".")
		if names == "" || len(list) > maxNames || len(f.with)+len(f.without) == maxFilters {
			continue
		}
		if without {
			f.without = append(f.without, list)
		} else {
			f.with = append(f.with, list)
		}
	}
	return f
}

// bulk reports whether the answer to a bulk that holds nothing but errors and the
// status and error of each item is all that the filter asks for, and whether it
// asks for took, too. It is what Beats and Logstash ask for.
func (f filter) bulk() (brief, took bool) {
	status, errs := false, false
	for _, path := range f.with {
		switch strings.Join(path, ".") {
		case "took":
			took = true
		case "errors":
			errs = true
		case "items.*.status":
			status = true
		case "items.*.error", "items.*.error.*":
		default:
			return false, false
		}
	}
	return status && errs && len(f.without) == 0, took
}

// apply returns what is wanted of a body, or the body when it is no JSON.
func (f filter) apply(body []byte) []byte {
	if len(f.with)+len(f.without) == 0 {
		return body
	}
	set := receive.NewSet()
	defer set.Release()
	j := jsontext.NewReader(body, 256, set)
	var with, without []place
	for i := range f.with {
		with = append(with, place{i, 0})
	}
	for i := range f.without {
		without = append(without, place{i, 0})
	}
	out, any := f.value(&j, make([]byte, 0, len(body)), with, without, len(with) == 0)
	if j.Err() != nil {
		return body
	}
	if !any {
		return []byte("{}")
	}
	return out
}

// A place is how far of a path was matched.
type place struct{ path, at int }

// value appends what is wanted of the next value, and reports whether that is
// anything. all is set where the whole value is.
func (f filter) value(j *jsontext.Reader, dst []byte, with, without []place, all bool) ([]byte, bool) {
	if all && len(without) == 0 {
		return append(dst, j.Raw()...), true
	}
	start := len(dst)
	any := false
	switch j.Peek() {
	case '{':
		j.Begin('{')
		dst = append(dst, '{')
		for {
			key, ok := j.Field()
			if !ok {
				break
			}
			in, whole := step(f.with, with, key)
			out, gone := step(f.without, without, key)
			whole = whole || all
			if gone || !whole && len(in) == 0 {
				j.Raw()
				continue
			}
			before := len(dst)
			if any {
				dst = append(dst, ',')
			}
			dst = append(jsontext.AppendString(dst, key), ':')
			var some bool
			if dst, some = f.value(j, dst, in, out, whole); some {
				any = true
			} else {
				dst = dst[:before]
			}
		}
		dst = append(dst, '}')
	case '[':
		j.Begin('[')
		dst = append(dst, '[')
		for j.Elem() {
			before := len(dst)
			if any {
				dst = append(dst, ',')
			}
			var some bool
			if dst, some = f.value(j, dst, with, without, all); some {
				any = true
			} else {
				dst = dst[:before]
			}
		}
		dst = append(dst, ']')
	default:
		if text := j.Raw(); all {
			return append(dst, text...), true
		}
	}
	if !any && !all {
		return dst[:start], false
	}
	return dst, true
}

// step goes one name further on every path, and reports whether one ends here.
func step(paths [][]string, places []place, key []byte) (next []place, whole bool) {
	for _, p := range places {
		path := paths[p.path]
		for at := p.at; at < len(path); at++ {
			if path[at] == "**" {
				if at == len(path)-1 {
					return nil, true
				}
				next = append(next, place{p.path, at})
				continue // the name may also be that of the next
			}
			if matches(path[at], receive.Str(key)) {
				if at == len(path)-1 {
					return nil, true
				}
				next = append(next, place{p.path, at + 1})
			}
			break
		}
		if len(next) > 4*maxFilters {
			break
		}
	}
	return next, false
}

// matches reports whether a name has the form of a pattern with *.
func matches(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}
