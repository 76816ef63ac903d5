package nginx

import (
	"encoding/json"
	"strings"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// compileJSON compiles a log_format that is a JSON object once its variables
// without quotes, which stand for numbers, have some.
func compileJSON(format string) (*Format, bool) {
	var members map[string]any
	if json.Unmarshal([]byte(quotedVariables(format)), &members) != nil {
		return nil, false
	}
	f := &Format{json: map[string]*piece{}}
	used := f.flatten("", members)
	return f, used > 0 && len(f.json) <= MaxVariables
}

// quotedVariables puts quotes around variables that stand without.
func quotedVariables(format string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(format); i++ {
		switch c := format[i]; {
		case quoted && c == '\\' && i+1 < len(format):
			b.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case c == '$' && !quoted:
			if name, n := variable(format[i:]); n > 0 {
				b.WriteString(`"$` + name + `"`)
				i += n - 1
				continue
			}
		}
		b.WriteByte(format[i])
	}
	return b.String()
}

// flatten puts the names of an object into the format, and returns how many of
// them are one variable. Of others the text is kept under its own name.
func (f *Format) flatten(prefix string, members map[string]any) (used int) {
	for name, v := range members {
		name = prefix + name
		switch v := v.(type) {
		case map[string]any:
			used += f.flatten(name+".", v)
		case string:
			f.json[name] = nil
			if of, n := variable(v); n == len(v) && n > 0 && v[0] == '$' {
				p := newPiece(of)
				f.json[name] = &p
				used++
			}
		default:
			f.json[name] = nil
		}
	}
	return used
}

// JSON reports whether the format is of JSON objects.
func (f *Format) JSON() bool { return f.json != nil }

// Rules returns what the members of an object stand for, nil for those that stay
// under their own names, and whether the object is of the format: it has all of
// its names.
func (f *Format) Rules(o *jsonscan.Object) (rules []*table.Rule, ok bool) {
	found := 0
	for _, n := range o.Nulls {
		if _, ok := f.json[n.Text]; ok {
			found++
		}
	}
	rules = make([]*table.Rule, len(o.Members))
	for i := range o.Members {
		p, ok := f.json[o.Members[i].Name.Text]
		if ok {
			found++
		}
		if p != nil {
			rules[i] = p.rule
		}
	}
	return rules, found == len(f.json)
}

// Object writes an object by the rules of its shape. What stays under its own name
// is given to own.
func (f *Format) Object(a *Access, object *jsonscan.Object, rules []*table.Rule, o *facts.Out, own func(m *jsonscan.Member)) {
	o.Format, o.Status = f.Name, facts.OK
	s := &a.slots
	s.Reset(object)
	for i, r := range rules {
		if r != nil && r.Slot() != 0 {
			s.Set(r.Slot(), &object.Members[i])
		}
	}
	for i, r := range rules {
		m := &object.Members[i]
		if r != nil && (!r.Takes() || s.Member(r.Slot()) == m) {
			done, odd := r.Put(o, m)
			if odd {
				o.PartialOf(m.Name.Text)
			}
			if done {
				continue
			}
		}
		own(m)
	}
	finish(o, s)
}
