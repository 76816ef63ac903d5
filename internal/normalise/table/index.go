package table

import "github.com/meshtrail/meshtrail/internal/normalise/jsonscan"

// An Index finds the table of a shape. It is immutable.
type Index struct {
	tables []*Table
	full   []uint8 // by table: a bit for each group
	names  map[string]Meanings
}

// Meanings is what a name is to each table that knows it; nil when none does.
type Meanings []meaning

type meaning struct {
	table int
	group uint8 // bit of the group, 0 for none
	none  bool
	rule  *Rule
}

// NewIndex returns an index of tables, of which the first that knows a shape
// reads it. It panics on a table that breaks a limit, which a test would show.
func NewIndex(tables ...*Table) *Index {
	x := &Index{tables: tables, names: make(map[string]Meanings)}
	if len(tables) > maxTables {
		panic("too many tables")
	}
	for i, t := range tables {
		if len(t.All) == 0 || len(t.All) > maxGroups {
			panic(t.Format.Name + ": a shape is known by one to eight groups of names")
		}
		x.full = append(x.full, uint8(1<<len(t.All)-1))
		for g, group := range t.All {
			for _, name := range group {
				x.at(name, i).group |= 1 << g
			}
		}
		for _, name := range t.None {
			x.at(name, i).none = true
		}
		for name, r := range t.Keys {
			if r.slot >= MaxSlots {
				panic(t.Format.Name + ": too many slots")
			}
			x.at(name, i).rule = &r
		}
	}
	return x
}

func (x *Index) at(name string, table int) *meaning {
	list := x.names[name]
	if n := len(list); n > 0 && list[n-1].table == table {
		return &list[n-1]
	}
	list = append(list, meaning{table: table})
	x.names[name] = list
	return &list[len(list)-1]
}

// Meanings returns what a name is to the tables: what the owner of a
// jsonscan.Names keeps as the Note of each name.
func (x *Index) Meanings(name string) Meanings { return x.names[name] }

// Find appends the tables that know an object's shape to dst, the best first.
func (x *Index) Find(dst []*Table, o *jsonscan.Object) []*Table {
	var have, none [maxTables]uint8
	seen := false
	add := func(n *jsonscan.Name) {
		list, _ := n.Note.(Meanings)
		for i := range list {
			m := &list[i]
			have[m.table] |= m.group
			if m.none {
				none[m.table] = 1
			}
			seen = seen || m.group != 0
		}
	}
	for i := range o.Members {
		add(o.Members[i].Name)
	}
	for _, n := range o.Nulls {
		add(n)
	}
	if !seen {
		return dst
	}
	for i, t := range x.tables {
		if have[i] == x.full[i] && none[i] == 0 {
			dst = append(dst, t)
		}
	}
	return dst
}

// Rule returns the rule of a member for a table, nil for none.
func (x *Index) Rule(t *Table, n *jsonscan.Name) *Rule {
	list, _ := n.Note.(Meanings)
	for i := range list {
		if x.tables[list[i].table] == t {
			return list[i].rule
		}
	}
	return nil
}
