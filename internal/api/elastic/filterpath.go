package elastic

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A filterPath is the parameter filter_path: what an answer shows, and what not.
type filterPath struct {
	show, hide [][]string
}

const maxFilterPaths = 200

func readFilterPath(s string) (*filterPath, error) {
	f := &filterPath{}
	for p := range strings.SplitSeq(s, ",") {
		p = strings.TrimSpace(p)
		if p == "" {
			continue
		}
		if len(f.show)+len(f.hide) == maxFilterPaths || strings.Count(p, ".") > 50 || strings.Count(p, "**") > 3 {
			return nil, badf("illegal_argument_exception", "filter_path has more than %d paths, or one that is too deep", maxFilterPaths)
		}
		if rest, ok := strings.CutPrefix(p, "-"); ok {
			f.hide = append(f.hide, strings.Split(rest, "."))
		} else {
			f.show = append(f.show, strings.Split(p, "."))
		}
	}
	return f, nil
}

// apply returns what is left of v; until w ends.
func (f *filterPath) apply(w *fault.Watch, v any) any {
	if len(f.hide) > 0 {
		v = hide(w, v, f.hide)
	}
	if len(f.show) > 0 {
		var ok bool
		if v, ok = show(w, v, f.show); !ok {
			v = object{}
		}
	}
	return v
}

// step returns the paths that go on below key, and whether one ends there. A name
// with dots may be written as it is.
func step(paths [][]string, key string) (rest [][]string, ends bool) {
	for _, p := range paths {
		if len(p) == 0 {
			continue
		}
		if p[0] == "**" {
			rest = append(rest, p)
			r, e := step([][]string{p[1:]}, key)
			rest, ends = append(rest, r...), ends || e
			continue
		}
		n := 1 + strings.Count(key, ".")
		if n > len(p) {
			n = len(p)
		}
		for ; n >= 1; n-- {
			if globMatch(strings.Join(p[:n], "."), key) {
				if n == len(p) {
					ends = true
				} else {
					rest = append(rest, p[n:])
				}
				break
			}
		}
	}
	return rest, ends
}

func show(w *fault.Watch, v any, paths [][]string) (any, bool) {
	if w.Step(len(paths)) != nil {
		return nil, false
	}
	switch v := v.(type) {
	case object:
		var out object
		for _, m := range v {
			rest, ends := step(paths, m.key)
			if ends {
				out = append(out, m)
				continue
			}
			if len(rest) == 0 {
				continue
			}
			if sub, ok := show(w, m.val, rest); ok {
				out = append(out, member{m.key, sub})
			}
		}
		return out, len(out) > 0
	case []any:
		var out []any
		for _, x := range v {
			if sub, ok := show(w, x, paths); ok {
				out = append(out, sub)
			}
		}
		return out, len(out) > 0
	}
	return nil, false
}

func hide(w *fault.Watch, v any, paths [][]string) any {
	if w.Step(len(paths)) != nil {
		return nil
	}
	switch v := v.(type) {
	case object:
		out := object{}
		for _, m := range v {
			rest, ends := step(paths, m.key)
			if ends {
				continue
			}
			if len(rest) > 0 {
				m.val = hide(w, m.val, rest)
			}
			out = append(out, m)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = hide(w, v[i], paths)
		}
		return out
	}
	return v
}
