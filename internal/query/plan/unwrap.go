package plan

import (
	"reflect"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
)

// An Unwrap says which field of a record is its sample.
type Unwrap struct {
	Name string
	Unit match.Unit // Duration: samples are nanoseconds, to be shown as seconds
	// A record whose field is no number is left out with Skip, and else fails the
	// query. With Good and Bad set, which is rare, filters after the unwrap look at
	// that error: a record counts when Good lets it pass and its field is a number,
	// and fails the query when Bad does and it is none. Log then knows nothing of
	// those filters.
	Skip      bool
	Good, Bad *pipe.Pipeline
}

// unwrap plans the log query of e with the filters that follow the unwrap. They
// compare the same fields as filters before it would, and __error__ besides,
// which may by then say that the field is no number.
func unwrap(e *logql.RangeAgg) (*Log, *Unwrap, error) {
	u := &Unwrap{Name: e.Unwrap.Name}
	switch e.Unwrap.Conv {
	case "bytes":
		u.Unit = match.Bytes
	case "duration", "duration_seconds":
		u.Unit = match.Duration
	}
	var good logql.Cond = always
	switch f := e.Unwrap.Filters; len(f) {
	case 0:
	case 1:
		good = f[0]
	default:
		good = logql.All(f)
	}
	bad := assume(good, pipe.ErrSample)
	if !fallible(e.Log.Stages) {
		good = assume(good, "")
	}
	switch {
	case bad == never:
		u.Skip = true // and what is left is like any other filter
	case !reflect.DeepEqual(bad, good):
		return mixed(e.Log, u, good, bad)
	}
	l, err := Select(after(e.Log, good))
	return l, u, err
}

// mixed plans filters that treat records whose field is no number neither all
// alike nor like others.
func mixed(l *logql.Log, u *Unwrap, good, bad logql.Cond) (*Log, *Unwrap, error) {
	out, err := Select(l)
	if err == nil {
		u.Good, err = pipe.Compile(after(l, good).Stages)
	}
	if err == nil {
		u.Bad, err = pipe.Compile(after(l, bad).Stages)
	}
	return out, u, err
}

// after returns l with a filter at its end.
func after(l *logql.Log, c logql.Cond) *logql.Log {
	out := *l
	var stages []logql.Stage
	switch c := c.(type) {
	case constant:
		if c == always {
			return l
		}
		// Nothing passes: no text is both empty and not.
		stages = append(stages, &logql.LabelFilter{Cond: &logql.TextCond{Matcher: logql.Matcher{Name: pipe.ErrorName, Op: logql.OpEq}}},
			&logql.LabelFilter{Cond: &logql.TextCond{Matcher: logql.Matcher{Name: pipe.ErrorName, Op: logql.OpNotEq}}})
	case logql.All:
		for _, p := range c {
			stages = append(stages, &logql.LabelFilter{Cond: p})
		}
	default:
		stages = append(stages, &logql.LabelFilter{Cond: c})
	}
	out.Stages = slices.Concat(l.Stages, stages)
	return &out
}

// fallible reports whether a stage may leave an error in a record.
func fallible(stages []logql.Stage) bool {
	return slices.ContainsFunc(stages, func(s logql.Stage) bool {
		switch s.(type) {
		case *logql.LineFilter, *logql.Decolorize, *logql.Names, *logql.Distinct:
			return false
		case *logql.LabelFilter:
			return false // of a stored field, which is a number or does not pass
		}
		return true
	})
}

// A constant is a condition that is known.
type constant struct {
	logql.Cond // nil: only the type matters
	holds      bool
}

var always, never = constant{holds: true}, constant{}

// assume returns what is left of c when __error__ is known to be kind.
func assume(c logql.Cond, kind string) logql.Cond {
	switch c := c.(type) {
	case *logql.TextCond:
		known := c.Name == pipe.ErrorName
		if c.Name == pipe.DetailsName { // what they say is not known, but whether there are any
			known = kind == "" || c.Value == "" && (c.Op == logql.OpEq || c.Op == logql.OpNotEq)
		}
		if is, err := holds(c.Matcher, kind); known && err == nil {
			return constant{holds: is}
		}
	case logql.All:
		return join(c, kind, never, func(parts []logql.Cond) logql.Cond { return logql.All(parts) })
	case logql.Any:
		return join(c, kind, always, func(parts []logql.Cond) logql.Cond { return logql.Any(parts) })
	}
	return c
}

// join assumes the parts of a condition, which one part that is strong decides.
func join(parts []logql.Cond, kind string, strong constant, wrap func([]logql.Cond) logql.Cond) logql.Cond {
	var left []logql.Cond
	for _, p := range parts {
		switch q := assume(p, kind).(type) {
		case constant:
			if q == strong {
				return strong
			}
		default:
			left = append(left, q)
		}
	}
	switch len(left) {
	case 0:
		return constant{holds: !strong.holds}
	case 1:
		return left[0]
	}
	return wrap(left)
}

// holds compares a text that is known.
func holds(m logql.Matcher, text string) (bool, error) {
	is := text == m.Value
	if m.Op == logql.OpRegex || m.Op == logql.OpNotRegex {
		re, err := match.CompileRegexp("^(?s:" + m.Value + ")$")
		if err != nil {
			return false, err
		}
		is = re.MatchString(text)
	}
	return is != (m.Op == logql.OpNotEq || m.Op == logql.OpNotRegex), nil
}
