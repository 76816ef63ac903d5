package querytest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A Line is a record after a pipeline: its line, and its fields as changed.
type Line struct {
	Record *record.Record
	Text   string
	Made   map[string]string // fields that the pipeline made or changed

	whole   *record.Record // before anything was dropped
	changed bool           // line_format wrote the line
}

// Get returns the text of a field after the pipeline.
func (l *Line) Get(name string) (string, bool) {
	if v, ok := l.Made[name]; ok {
		return v, true
	}
	if name == "class" {
		return string(l.Record.Class), true
	}
	v, ok := match.Value(name, l.Record)
	return v.Text(), ok
}

func (l *Line) set(name, value string) { l.Made[name] = value }

func (l *Line) remove(name string) {
	delete(l.Made, name)
	res := schema.Resolve(name)
	l.drop(func(f record.Field) bool { _, _, ok := res.Match(f.Name); return ok })
}

// drop takes stored fields away, in a record of the line's own.
func (l *Line) drop(which func(record.Field) bool) {
	r := *l.Record
	r.Fields = slices.DeleteFunc(slices.Clone(r.Fields), which)
	l.Record = &r
}

// extract sets a field that a parser found, unless the record has it already:
// what is stored under a name that is written the same way, or is a stream label,
// keeps it.
func (l *Line) extract(name, value string, done map[string]bool) {
	name = identifier(name)
	if name == "" {
		return
	}
	stored := ""
	for _, s := range schema.StreamLabels() {
		if v, ok := match.Value(name, l.whole); ok && s.Label == name {
			stored = v.Text()
		}
	}
	for _, f := range l.whole.Fields {
		if stored == "" && identifier(f.Name) == name {
			stored = f.Value.Text()
		}
	}
	switch {
	case stored == value && value != "":
		return
	case stored != "":
		name += "_extracted"
	}
	if !done[name] {
		l.Made[name] = value
		done[name] = true
	}
}

// identifier writes a key as LogQL does.
func identifier(key string) string {
	key = strings.TrimSpace(key)
	if key == "" {
		return ""
	}
	out := []rune(key)
	for i, r := range out {
		if !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
			out[i] = '_'
		}
	}
	if out[0] >= '0' && out[0] <= '9' {
		return "_" + string(out)
	}
	return string(out)
}

// Select runs a log query over records, in their order. It supports what the
// random queries of the differential test are made of, and panics on the rest.
func Select(q *logql.Log, records []record.Record) []Line {
	var out []Line
	distinct := map[*logql.Distinct]map[string]bool{}
	for i := range records {
		l := Line{Record: &records[i], Text: string(match.AppendLine(nil, &records[i])), Made: map[string]string{}, whole: &records[i]}
		if selects(q, &l) && l.run(q.Stages, distinct) {
			out = append(out, l)
		}
	}
	return out
}

func selects(q *logql.Log, l *Line) bool {
	for _, m := range q.Matchers {
		if !l.text(m) {
			return false
		}
	}
	// Audit records are shown to those who name the class; here nobody does.
	return l.Record.Class != "audit"
}

func (l *Line) run(stages []logql.Stage, distinct map[*logql.Distinct]map[string]bool) bool {
	for _, s := range stages {
		keep := true
		switch s := s.(type) {
		case *logql.LineFilter:
			keep = l.filter(s)
		case *logql.LabelFilter:
			keep = l.cond(s.Cond)
		case *logql.Parser:
			l.parse(s)
		case *logql.LineFormat:
			l.Text, l.changed = l.render(s.Template), true
		case *logql.LabelFormat:
			l.format(s)
		case *logql.Decolorize:
			l.Text = colour.ReplaceAllString(l.Text, "")
		case *logql.Names:
			l.names(s)
		case *logql.Distinct:
			key := ""
			for _, n := range s.Names {
				v, _ := l.Get(n)
				key += strconv.Quote(v)
			}
			if distinct[s] == nil {
				distinct[s] = map[string]bool{}
			}
			keep = !distinct[s][key]
			distinct[s][key] = true
		default:
			panic(fmt.Sprintf("stage %T", s))
		}
		if !keep {
			return false
		}
	}
	return true
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*[a-zA-Z]")

func (l *Line) filter(f *logql.LineFilter) bool {
	any := false
	for _, v := range f.Values {
		any = any || contains(f.Op, v, l.Text)
	}
	switch f.Op {
	case logql.OpNotEq, logql.OpNotRegex, logql.OpNotPat:
		return !any
	}
	return any
}

func contains(op logql.Op, v logql.LineValue, line string) bool {
	switch {
	case v.IP:
		return slices.ContainsFunc(address.FindAllString(line, -1), func(s string) bool { return within(v.Text, s) })
	case op == logql.OpHasRegex || op == logql.OpNotRegex:
		return regexp.MustCompile(v.Text).MatchString(line)
	case op == logql.OpPattern || op == logql.OpNotPat:
		return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(v.Text), "<_>", ".+?") + "$").MatchString(line)
	}
	return strings.Contains(line, v.Text)
}

var address = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`)

func within(network, addr string) bool {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	if p, err := netip.ParsePrefix(network); err == nil {
		return p.Contains(a)
	}
	if low, high, ok := strings.Cut(network, "-"); ok {
		return netip.MustParseAddr(low).Compare(a) <= 0 && a.Compare(netip.MustParseAddr(high)) <= 0
	}
	return netip.MustParseAddr(network) == a
}

func (l *Line) text(m logql.Matcher) bool {
	v, _ := l.Get(m.Name)
	switch m.Op {
	case logql.OpEq:
		return v == m.Value
	case logql.OpNotEq:
		return v != m.Value
	case logql.OpRegex:
		return regexp.MustCompile("^(?s:" + m.Value + ")$").MatchString(v)
	}
	return !regexp.MustCompile("^(?s:" + m.Value + ")$").MatchString(v)
}

func (l *Line) cond(c logql.Cond) bool {
	switch c := c.(type) {
	case *logql.TextCond:
		return l.text(c.Matcher)
	case logql.All:
		return !slices.ContainsFunc(c, func(c logql.Cond) bool { return !l.cond(c) })
	case logql.Any:
		return slices.ContainsFunc(c, l.cond)
	case *logql.IPCond:
		v, ok := l.Get(c.Name)
		return (ok && within(c.Net, v)) == (c.Op == logql.OpEq)
	case *logql.NumberCond:
		return l.number(c)
	}
	panic(fmt.Sprintf("condition %T", c))
}

// number leaves the units to match.Eval, which is the definition of them.
func (l *Line) number(c *logql.NumberCond) bool {
	r := record.Record{}
	text, made := l.Made[c.Name]
	if made {
		r.Fields = []record.Field{{Name: c.Name, Value: record.StringValue(text)}}
	} else {
		r.Fields = l.Record.Fields
	}
	p := match.Range{Field: c.Name}
	end := match.FloatBound(c.Value.Num, c.Op != logql.OpGt && c.Op != logql.OpLt)
	switch c.Value.Unit {
	case logql.Duration:
		p.Unit, end = match.Duration, match.IntBound(c.Value.Int, end.Inclusive)
	case logql.Bytes:
		p.Unit, end = match.Bytes, match.IntBound(c.Value.Int, end.Inclusive)
	}
	number := match.Eval(p, &r)
	if made && !number && text != "" { // of what a stage made, Loki's rule holds
		l.Made["__error__"] = "LabelFilterErr"
		return true
	}
	switch c.Op {
	case logql.OpGt, logql.OpGe:
		p.Min = end
	case logql.OpLt, logql.OpLe:
		p.Max = end
	default:
		p.Min, p.Max = end, end
	}
	return number && match.Eval(p, &r) != (c.Op == logql.OpNotEq)
}

func (l *Line) parse(p *logql.Parser) {
	done := map[string]bool{} // by this stage
	switch p.Name {
	case "json":
		var v map[string]any
		d := json.NewDecoder(strings.NewReader(l.Text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil || d.More() {
			if l.changed || l.Text != string(match.AppendLine(nil, l.whole)) { // which intake cannot have understood
				l.Made["__error__"] = "JSONParserErr"
			}
			return
		}
		if _, ok := l.whole.Get("body"); !ok {
			return // the line is the record's fields already
		}
		l.flatten("", v, done)
	case "logfmt":
		for word := range strings.FieldsSeq(l.Text) {
			if k, v, ok := strings.Cut(word, "="); ok && k != "" && v != "" {
				l.extract(k, v, done)
			}
		}
	case "regexp":
		re := regexp.MustCompile(p.Expr)
		if m := re.FindStringSubmatch(l.Text); m != nil {
			for i, name := range re.SubexpNames() {
				if name != "" {
					l.extract(name, m[i], done)
				}
			}
		}
	default:
		panic("parser " + p.Name)
	}
}

func (l *Line) flatten(prefix string, v map[string]any, done map[string]bool) {
	for k, x := range v {
		switch x := x.(type) {
		case map[string]any:
			l.flatten(prefix+k+"_", x, done)
		case string:
			l.extract(prefix+k, x, done)
		case json.Number:
			l.extract(prefix+k, x.String(), done)
		case bool:
			l.extract(prefix+k, strconv.FormatBool(x), done)
		}
	}
}

var reference = regexp.MustCompile(`\{\{\.([a-z_]+)\}\}`)

// render knows templates of texts and {{.name}} alone.
func (l *Line) render(template string) string {
	return reference.ReplaceAllStringFunc(template, func(s string) string {
		v, _ := l.Get(reference.FindStringSubmatch(s)[1])
		return v
	})
}

func (l *Line) format(f *logql.LabelFormat) {
	for _, s := range f.Sets {
		if !s.Rename {
			l.set(s.Name, l.render(s.Template))
		} else if v, ok := l.Get(s.From); ok {
			l.remove(s.From)
			l.set(s.Name, v)
		}
	}
}

func (l *Line) names(s *logql.Names) {
	listed := func(name string) bool {
		return slices.ContainsFunc(s.Items, func(m logql.Matcher) bool {
			return m.Name == name && (m.Op == "" || l.text(m))
		})
	}
	if !s.Keep {
		for _, m := range s.Items {
			if listed(m.Name) {
				l.remove(m.Name)
			}
		}
		return
	}
	var kept []schema.Resolution
	for _, m := range s.Items {
		if listed(m.Name) {
			kept = append(kept, schema.Resolve(m.Name))
		}
	}
	for name := range l.Made {
		if name != "__error__" && !slices.ContainsFunc(kept, func(r schema.Resolution) bool { return r.Asked == name }) {
			delete(l.Made, name)
		}
	}
	l.drop(func(f record.Field) bool {
		return !slices.ContainsFunc(kept, func(r schema.Resolution) bool { _, _, ok := r.Match(f.Name); return ok })
	})
}
