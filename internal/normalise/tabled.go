package normalise

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
	"github.com/meshtrail/meshtrail/internal/record"
)

var index = table.NewIndex(tables...)

// tabled is a table that knows a shape, and its rules by member.
type tabled struct {
	table   *table.Table
	rules   []*table.Rule // nil: the member stays under its own name
	message int           // of the member that is the message, or -1
}

// tablesOf returns the tables that know an object's shape.
func tablesOf(o *jsonscan.Object) []tabled {
	var few [4]*table.Table
	found := index.Find(few[:0], o)
	if len(found) == 0 {
		return nil
	}
	out := make([]tabled, len(found))
	for i, t := range found {
		out[i] = tabled{table: t, rules: make([]*table.Rule, len(o.Members)), message: -1}
		for k := range o.Members {
			r := index.Rule(t, o.Members[k].Name)
			out[i].rules[k] = r
			if r != nil && r.Message() && out[i].message < 0 {
				out[i].message = k
			}
		}
	}
	return out
}

// tabled writes an object by the first table that accepts it, the declared
// platform's first, and reports whether one did.
func (n *Normaliser) tabled(o *jsonscan.Object, l *layout) bool {
	if n.out.Declared != "" {
		for i := range l.tables {
			if t := &l.tables[i]; t.table.Format.Platform == n.out.Declared && n.byTable(o, l, t) {
				return true
			}
		}
	}
	for i := range l.tables {
		if t := &l.tables[i]; t.table.Format.Platform != n.out.Declared && n.byTable(o, l, t) {
			return true
		}
	}
	return false
}

func (n *Normaliser) byTable(o *jsonscan.Object, l *layout, t *tabled) bool {
	s := &n.slots
	s.Reset(o)
	for i, r := range t.rules {
		if r != nil && r.Slot() != 0 {
			s.Set(r.Slot(), &o.Members[i])
		}
	}
	if t.table.Match != nil && !t.table.Match(s) {
		return false
	}
	n.out.Format, n.out.Status = t.table.Format.Name, facts.OK
	for i, r := range t.rules {
		m := &o.Members[i]
		if i == t.message {
			if m.Kind == jsonscan.String {
				continue
			}
			n.out.PartialOf(m.Name.Text)
		}
		// Of several members that one slot stands for Finish sees the first alone.
		if r != nil && (!r.Takes() || s.Member(r.Slot()) == m) {
			done, odd := r.Put(&n.out, m)
			if odd {
				n.out.PartialOf(m.Name.Text)
			}
			if done {
				continue
			}
		}
		if op := &l.ops[i]; op.plain {
			n.plain(op.id, m)
		} else {
			n.member(m)
		}
	}
	if t.table.Finish != nil {
		t.table.Finish(&n.out, s)
	}
	if t.table.Format.Mesh != "" {
		n.out.MeshType(t.table.Format.Mesh)
	}
	if t.message >= 0 && o.Members[t.message].Kind == jsonscan.String {
		n.envelop(o, t.message, -1)
		for _, r := range t.rules {
			if r == nil {
				continue
			}
			if f, ok := r.Field(); ok {
				n.around = append(n.around, record.Field{Name: f.String()})
			}
		}
		n.out.Around = n.around
		outer := n.out.Time
		if t.table.Envelope && outer != 0 {
			n.out.Time, n.out.Now = 0, outer // which also tells the year of a time without one
		}
		n.message(o, t.message, t.table.Format.Kind == facts.Host)
		if n.out.Time == 0 {
			n.out.Time = outer
		}
	}
	return true
}
