package pipe

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// lineFormat replaces the line.
type lineFormat struct {
	tmpl *tmpl
	env  *env
}

func newLineFormat(s *logql.LineFormat) (stage, error) {
	t, err := newTmpl(s.Template)
	return &lineFormat{tmpl: t}, err
}

func (s *lineFormat) fresh(r *Run) stage {
	e := newEnv()
	return &lineFormat{tmpl: s.tmpl.bind(e), env: e}
}

func (s *lineFormat) needs() needs {
	n := s.tmpl.needs()
	n.changes = true
	return n
}

func (s *lineFormat) do(w *Row) bool {
	text, err := s.tmpl.run(s.env, w, nil)
	if err != nil {
		w.fail(ErrTemplate, err.Error())
		return true
	}
	w.setLine(text)
	return true
}

// labelFormat sets fields.
type labelFormat struct {
	sets []labelSet
	env  *env
}

type labelSet struct {
	name string
	from *ref  // rename this, or
	tmpl *tmpl // compute
}

func newLabelFormat(s *logql.LabelFormat) (stage, error) {
	out := &labelFormat{}
	seen := map[string]bool{}
	for _, x := range s.Sets {
		if x.Name == ErrorName || x.Name == DetailsName {
			return nil, fault.Errorf(fault.Invalid, "%s cannot be formatted", x.Name)
		}
		set := labelSet{name: identifier(x.Name)}
		if seen[set.name] {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "label_format sets %s twice", set.name), "use two stages")
		}
		seen[set.name] = true
		if x.Rename {
			set.from = newRef(x.From)
		} else {
			var err error
			if set.tmpl, err = newTmpl(x.Template); err != nil {
				return nil, err
			}
		}
		out.sets = append(out.sets, set)
	}
	return out, nil
}

func (s *labelFormat) fresh(r *Run) stage {
	out := &labelFormat{env: newEnv(), sets: make([]labelSet, len(s.sets))}
	for i, set := range s.sets {
		if set.tmpl != nil {
			set.tmpl = set.tmpl.bind(out.env)
		}
		out.sets[i] = set
	}
	return out
}

func (s *labelFormat) needs() (n needs) {
	for i := range s.sets {
		if from := s.sets[i].from; from != nil {
			n.names = append(n.names, from.name)
			continue
		}
		t := s.sets[i].tmpl.needs()
		n.names, n.line, n.all = append(n.names, t.names...), n.line || t.line, n.all || t.all
	}
	return n
}

// do sets fields in their order. Templates see the fields as they were before
// the first template of the stage.
func (s *labelFormat) do(w *Row) bool {
	var before *snapshot
	for i := range s.sets {
		set := &s.sets[i]
		if set.from != nil {
			if v, _, ok := w.value(set.from); ok {
				text := v.Text()
				if set.from.ident != set.name {
					w.remove(set.from)
				}
				w.set(set.name, text)
			}
			continue
		}
		if before == nil {
			before = w.snapshot(len(s.sets) - i)
		}
		text, err := set.tmpl.run(s.env, w, before)
		if err != nil {
			w.fail(ErrTemplate, err.Error())
			continue
		}
		w.set(set.name, text)
	}
	return true
}

// A snapshot is what a row's made fields were; nil means now.
type snapshot struct{ made []Label }

// snapshot is needed only where a later set could see an earlier one.
func (w *Row) snapshot(sets int) *snapshot {
	if sets == 1 {
		return &snapshot{w.made}
	}
	return &snapshot{append([]Label(nil), w.made...)}
}
