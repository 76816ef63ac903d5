package elastic

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// typesOf says which type each field has: that of its values where they have one,
// double where they are numbers of both kinds, else keyword. The message is text.
func typesOf(fields []store.FieldInfo) fieldTypes {
	t := fieldTypes{timeField: "date", "class": "keyword", indexField: "keyword"}
	for _, f := range fields {
		if hidden(f.Name) {
			continue
		}
		name, kind := shownName(f.Name), kindName(f.Kind)
		if name == "message" {
			kind = "text"
		}
		t[name] = joined(t[name], kind)
	}
	return t
}

// joined is the type that holds values of both.
func joined(a, b string) string {
	switch {
	case a == "" || a == b:
		return b
	case a == "text" || b == "text":
		return "text"
	case (a == "long" || a == "double") && (b == "long" || b == "double"):
		return "double"
	}
	return "keyword"
}

// of returns the type of an asked name: that of all stored fields that it means.
func (t fieldTypes) of(name string) string {
	name = strings.TrimSuffix(name, ".keyword")
	if typ, ok := t[name]; ok && typ != "text" {
		return typ
	}
	res := schema.Resolve(nameOf(name))
	typ := ""
	for stored, kind := range t {
		if stored == timeField || stored == indexField {
			continue
		}
		if stored == "message" {
			stored = record.Body
		}
		if _, _, ok := res.Match(stored); ok {
			typ = joined(typ, kind)
		}
	}
	return typ
}

// know reports whether the fields whose values become keys are known.
func (t fieldTypes) know(aggs []*agg) bool {
	for _, a := range aggs {
		if a.kind == "terms" && a.field != idField && t.of(a.field) == "" || !t.know(a.subs) || !t.know(a.sources) {
			return false
		}
	}
	return true
}

// names lists the fields in order.
func (t fieldTypes) names() []string {
	out := make([]string, 0, len(t))
	for n := range t {
		if n != indexField {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a, b) })
	return out
}

// catalogue reads which of the tenant's indices the path names, and the fields.
func (c *call) catalogue() (picked []index, types fieldTypes, err error) {
	set, err := c.indices()
	if err != nil {
		return nil, nil, err
	}
	err = c.ask("list indices and fields", func(ctx context.Context, a *query.Asking) error {
		if err := c.d.checkIndices(ctx, c.scope, a, set); err != nil {
			return err
		}
		l, err := c.d.list(ctx, c.scope, a)
		picked, types = set.pick(l.indices), typesOf(l.fields)
		return err
	})
	return picked, types, err
}

// property is a field as a mapping shows it.
func property(typ string) object {
	o := object{{"type", typ}}
	if typ == "text" {
		o.put("fields", object{{"keyword", object{{"type", "keyword"}}}})
	}
	return o
}

// properties nests names at their dots, as Elasticsearch does. A name that is a
// field and holds others is shown as the field, with the others beside it under
// their whole name.
func properties(t fieldTypes) object {
	root := &branch{}
	for _, name := range t.names() {
		root.add(strings.Split(name, "."), name, t[name])
	}
	return root.object()
}

type branch struct {
	keys  []string
	nodes map[string]*branch
	typ   string
	flat  []member
}

func (b *branch) add(path []string, whole, typ string) {
	at := b
	for i, key := range path {
		if at.typ != "" || key == "" { // within a field
			b.flat = append(b.flat, member{whole, property(typ)})
			return
		}
		if at.nodes == nil {
			at.nodes = map[string]*branch{}
		}
		next := at.nodes[key]
		if next == nil {
			next = &branch{}
			at.nodes[key] = next
			at.keys = append(at.keys, key)
		}
		if i == len(path)-1 && next.nodes != nil {
			b.flat = append(b.flat, member{whole, property(typ)})
			return
		}
		at = next
	}
	at.typ = typ
}

func (b *branch) object() object {
	var o object
	for _, k := range b.keys {
		n := b.nodes[k]
		if n.typ != "" {
			o.put(k, property(n.typ))
		} else {
			o.put(k, object{{"properties", n.object()}})
		}
	}
	return append(o, b.flat...)
}

func (c *call) mapping() (any, error) {
	picked, types, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	props := properties(types)
	o := object{}
	for _, x := range picked {
		o.put(x.name, object{{"mappings", object{{"properties", props}}}})
	}
	return o, nil
}

func (c *call) fieldMapping() (any, error) {
	picked, types, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	want := c.r.PathValue("fields")
	if want == "" {
		want = c.r.PathValue("id")
	}
	found := object{}
	for _, name := range types.names() {
		for p := range strings.SplitSeq(want, ",") {
			if globMatch(p, name) {
				last := name[strings.LastIndexByte(name, '.')+1:]
				found.put(name, object{{"full_name", name}, {"mapping", object{{last, property(types[name])}}}})
				break
			}
		}
	}
	o := object{}
	for _, x := range picked {
		o.put(x.name, object{{"mappings", found}})
	}
	return o, nil
}

// index answers GET and HEAD /{index}.
func (c *call) index() (any, error) {
	if strings.HasPrefix(c.r.PathValue("index"), "_") && c.r.PathValue("index") != "_all" {
		return nil, errElsewhere
	}
	picked, types, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	props := properties(types)
	o := object{}
	for _, x := range picked {
		o.put(x.name, object{{"aliases", object{}}, {"mappings", object{{"properties", props}}}, {"settings", settingsOf(x.name)}})
	}
	return o, nil
}

func settingsOf(name string) object {
	return object{{"index", object{{"number_of_shards", "1"}, {"number_of_replicas", "0"}, {"provided_name", name}, {"max_result_window", strconv.Itoa(window)}}}}
}

func (c *call) settings() (any, error) {
	picked, _, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	o := object{}
	for _, x := range picked {
		o.put(x.name, object{{"settings", settingsOf(x.name)}})
	}
	return o, nil
}

func (c *call) aliases() (any, error) {
	picked, _, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	o := object{}
	for _, x := range picked {
		o.put(x.name, object{{"aliases", object{}}})
	}
	return o, nil
}

func (c *call) stats() (any, error) {
	picked, _, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	sum := uint64(0)
	per := object{}
	show := func(n uint64) object {
		docs := object{{"docs", object{{"count", n}, {"deleted", 0}}}}
		return object{{"primaries", docs}, {"total", docs}}
	}
	for _, x := range picked {
		if x.name == everything || len(picked) == 1 || !slices.ContainsFunc(picked, func(y index) bool { return y.name == everything }) {
			sum += x.count
		}
		per.put(x.name, show(x.count))
	}
	return object{{"_shards", object{{"total", 1}, {"successful", 1}, {"failed", 0}}}, {"_all", show(sum)}, {"indices", per}}, nil
}

func (c *call) resolve() (any, error) {
	picked, _, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	names := []any{}
	for _, x := range picked {
		names = append(names, object{{"name", x.name}, {"attributes", []any{"open"}}})
	}
	return object{{"indices", names}, {"aliases", []any{}}, {"data_streams", []any{}}}, nil
}

func (c *call) dataStreams() (any, error) { return object{{"data_streams", []any{}}}, nil }

func (c *call) clusterSettings() (any, error) {
	o := object{{"persistent", object{}}, {"transient", object{}}}
	if isSet(c.v, "include_defaults") {
		o.put("defaults", object{{"search", object{{"max_buckets", strconv.Itoa(maxBuckets)}}}})
	}
	return o, nil
}

func (c *call) clusterStats() (any, error) {
	picked, _, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	return object{{"status", "green"}, {"indices", object{{"count", len(picked)}}}, {"nodes", object{{"count", object{{"total", 1}}}}}}, nil
}

// fieldCaps answers _field_caps.
func (c *call) fieldCaps() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	var want []string
	for p := range strings.SplitSeq(c.v.Get("fields"), ",") {
		if p != "" {
			want = append(want, p)
		}
	}
	more, err := patterns(body.get("fields"))
	if err != nil {
		return nil, err
	}
	want = append(want, more...)
	if len(want) == 0 {
		return nil, badf("action_request_validation_exception", "Validation Failed: 1: no fields specified;")
	}
	picked, types, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	indices, fields := []any{}, object{}
	for _, x := range picked {
		indices = append(indices, x.name)
	}
	put := func(name, typ string) {
		if !fields.has(name) {
			meta := strings.HasPrefix(name, "_")
			fields.put(name, object{{typ, object{{"type", typ}, {"metadata_field", meta}, {"searchable", true}, {"aggregatable", typ != "text"}}}})
		}
	}
	if len(picked) > 0 {
		for _, p := range want {
			c.caps(p, types, put)
		}
	}
	return object{{"indices", indices}, {"fields", fields}}, nil
}

func (c *call) caps(pattern string, types fieldTypes, put func(name, typ string)) {
	if !strings.Contains(pattern, "*") {
		switch pattern {
		case indexField, idField, "_source":
			put(pattern, pattern)
			return
		}
		if typ := types.of(pattern); typ != "" { // by any of its names
			put(pattern, typ)
		}
		return
	}
	for _, name := range types.names() {
		if globMatch(pattern, name) {
			put(name, types[name])
		}
		if types[name] == "text" && globMatch(pattern, name+".keyword") {
			put(name+".keyword", "keyword")
		}
	}
	if globMatch(pattern, indexField) {
		put(indexField, indexField)
		put(idField, idField)
	}
}

// A table is an answer of _cat: lines of text, or JSON.
type table struct {
	names []string // of the columns
	short []string // what else they may be called
	rows  [][]string
}

// cat writes a table as it was asked for.
func (c *call) cat(t table) (any, error) {
	columns := make([]int, len(t.names))
	for i := range columns {
		columns[i] = i
	}
	if h := c.v.Get("h"); h != "" {
		columns = nil
		for name := range strings.SplitSeq(h, ",") {
			for i := range t.names {
				if globMatch(name, t.names[i]) || i < len(t.short) && t.short[i] == name {
					columns = append(columns, i)
				}
			}
		}
	}
	if by := c.v.Get("s"); by != "" {
		name, dir, _ := strings.Cut(by, ":")
		if i := slices.Index(t.names, name); i >= 0 {
			slices.SortStableFunc(t.rows, func(a, b []string) int {
				r := strings.Compare(a[i], b[i])
				if x, _, isX, _ := match.ParseNumber(a[i]); isX {
					if y, _, isY, _ := match.ParseNumber(b[i]); isY {
						r = cmp.Compare(x, y)
					}
				}
				if dir == "desc" {
					return -r
				}
				return r
			})
		}
	}
	if c.v.Get("format") == "json" || strings.Contains(c.r.Header.Get("Accept"), "json") && !c.v.Has("format") {
		out := []any{}
		for _, row := range t.rows {
			o := object{}
			for _, i := range columns {
				o.put(t.names[i], row[i])
			}
			out = append(out, o)
		}
		return out, nil
	}
	var b strings.Builder
	line := func(cell func(i int) string) {
		for k, i := range columns {
			if k > 0 {
				b.WriteByte(' ')
			}
			width := len(t.names[i])
			for _, row := range t.rows {
				width = max(width, len(row[i]))
			}
			if !isSet(c.v, "v") {
				width = 0
				for _, row := range t.rows {
					width = max(width, len(row[i]))
				}
			}
			fmt.Fprintf(&b, "%-*s", width, cell(i))
		}
		b.WriteByte('\n')
	}
	if isSet(c.v, "v") {
		line(func(i int) string { return t.names[i] })
	}
	for _, row := range t.rows {
		line(func(i int) string { return row[i] })
	}
	return plainText(b.String()), nil
}

func (c *call) catIndices() (any, error) {
	picked, _, err := c.catalogue()
	if err != nil {
		return nil, err
	}
	t := table{
		names: []string{"health", "status", "index", "uuid", "pri", "rep", "docs.count", "docs.deleted", "store.size", "pri.store.size"},
		short: []string{"h", "s", "i", "id", "p", "r", "dc", "dd", "ss", "pri.store.size"},
	}
	for _, x := range picked {
		t.rows = append(t.rows, []string{"green", "open", x.name, x.name, "1", "0", strconv.FormatUint(x.count, 10), "0", "", ""})
	}
	return c.cat(t)
}

func (c *call) catNothing() (any, error) {
	return c.cat(table{names: []string{"alias", "index", "filter", "routing.index", "routing.search", "is_write_index"}})
}

func (c *call) catHealth() (any, error) {
	now := c.d.o.Engine.Now().UTC()
	return c.cat(table{
		names: []string{"epoch", "timestamp", "cluster", "status", "node.total", "node.data", "shards", "pri", "relo", "init", "unassign", "pending_tasks", "max_task_wait_time", "active_shards_percent"},
		rows:  [][]string{{strconv.FormatInt(now.Unix(), 10), now.Format("15:04:05"), everything, "green", "1", "1", "1", "1", "0", "0", "0", "0", "-", "100.0%"}},
	})
}

func (c *call) catNodes() (any, error) {
	return c.cat(table{
		names: []string{"ip", "heap.percent", "ram.percent", "cpu", "node.role", "master", "name"},
		rows:  [][]string{{"127.0.0.1", "-", "-", "-", "dim", "*", everything}},
	})
}

func (c *call) catCount() (any, error) {
	set, err := c.indices()
	if err != nil {
		return nil, err
	}
	n := uint64(0)
	err = c.d.o.Engine.Ask(c.r.Context(), c.scope, query.Question{Text: "count", Where: []match.Predicate{set.where}, Remote: c.r.RemoteAddr}, func(ctx context.Context, a *query.Asking) error {
		if err := c.d.checkIndices(ctx, c.scope, a, set); err != nil {
			return err
		}
		n, err = countAll(ctx, a, set)
		return err
	})
	if err != nil {
		return nil, err
	}
	now := c.d.o.Engine.Now().UTC()
	return c.cat(table{names: []string{"epoch", "timestamp", "count"},
		rows: [][]string{{strconv.FormatInt(now.Unix(), 10), now.Format("15:04:05"), strconv.FormatUint(n, 10)}}})
}
