package query

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A DetectedLabel is a stream label and how many values it has, at most
// maxValues.
type DetectedLabel struct {
	Label  string
	Values int
	// IDs is set when every value is a number or a UUID.
	IDs bool
}

// DetectLabels lists the stream labels of the span with the numbers of their
// values.
func (e *Engine) DetectLabels(ctx context.Context, scope access.Scope, s Span) ([]DetectedLabel, error) {
	out := []DetectedLabel{}
	err := e.explore(ctx, scope, "labels", &s, nil, func(ctx context.Context, l *plan.Log) error {
		if l.Pipe != nil {
			shown, err := e.shownLabels(ctx, scope, l, &s)
			for name, values := range shown {
				ids := true
				for v := range values {
					ids = ids && isID(v)
				}
				out = append(out, DetectedLabel{Label: name, Values: len(values), IDs: ids})
			}
			return err
		}
		req := store.ValuesRequest{Tenant: scope.Tenant(), From: s.From, To: s.To, Where: where(scope, l)}
		ask := []string{}
		for _, label := range schema.StreamLabels() {
			ask = append(ask, label.Label)
		}
		declared, err := exec.DeclaredLabels(ctx, e.opt.Store, req, &store.Stats{})
		if err != nil {
			return err
		}
		ask = append(ask, declared...)
		for _, name := range ask {
			label := schema.Identifier(name)
			if slices.ContainsFunc(out, func(d DetectedLabel) bool { return d.Label == label }) {
				continue
			}
			req.Field, req.Limit = name, maxValues
			values, _, err := e.opt.Store.Values(ctx, req)
			if err != nil {
				return err
			}
			if len(values) > 0 {
				ids := !slices.ContainsFunc(values, func(c record.Count) bool { return !isID(c.Name) })
				out = append(out, DetectedLabel{Label: label, Values: len(values), IDs: ids})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b DetectedLabel) int { return cmp.Compare(a.Label, b.Label) })
	return out, err
}

// isStreamLabel reports whether the schema shows a stored field as a stream label.
func isStreamLabel(field string) bool {
	return slices.ContainsFunc(schema.StreamLabels(), func(l schema.StreamLabel) bool { return l.Field == field })
}

// isID reports whether a value is a number or a UUID.
func isID(s string) bool {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return true
	}
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return true
}

// A DetectRequest asks which fields the newest records of a log query have.
type DetectRequest struct {
	Query    string
	From, To int64
	Lines    int    // records to look at; 0: 1,000, the engine's MaxEntries at most
	Limit    int    // fields, or values; 0: 1,000
	Name     string // list the values of this field as well
	Remote   string
}

// A FieldType is what the values of a field look like.
type FieldType string

// The types, as Loki names them.
const (
	TypeString   FieldType = "string"
	TypeInt      FieldType = "int"
	TypeFloat    FieldType = "float"
	TypeBoolean  FieldType = "boolean"
	TypeDuration FieldType = "duration"
	TypeBytes    FieldType = "bytes"
)

// A DetectedField is a field of some records, by the name that LogQL writes.
type DetectedField struct {
	Name   string
	Type   FieldType
	Values int // distinct ones
	// Parsers names the stages that make the field out of the line: json, logfmt.
	// Of a stored field, which needs no stage, it is empty.
	Parsers []string
	// Path is where json finds the field: the names from the outermost object in.
	Path []string
}

// Detected is what was found.
type Detected struct {
	Fields []DetectedField // by name
	Values []string        // of DetectRequest.Name, sorted
}

// DetectFields looks at the newest records of a log query: at their stored
// fields, at what the query's own stages made, and at what json or logfmt would
// make out of the line besides. It is audited as a query.
func (e *Engine) DetectFields(ctx context.Context, scope access.Scope, req DetectRequest) (*Detected, error) {
	if req.Lines <= 0 {
		req.Lines = 1000
	}
	if req.Limit <= 0 {
		req.Limit = 1000
	}
	if _, err := logql.ParseLog(cmp.Or(req.Query, "{}")); err != nil {
		return nil, err
	}
	members, err := pipe.Compile([]logql.Stage{&logql.Parser{Name: "json"}})
	if err != nil {
		return nil, err
	}
	pairs, err := pipe.Compile([]logql.Stage{&logql.Parser{Name: "logfmt"}})
	if err != nil {
		return nil, err
	}
	res, err := e.Query(ctx, scope, Request{
		Query: cmp.Or(req.Query, "{}"), Start: req.From, End: req.To, Limit: min(req.Lines, e.limits.MaxEntries), Remote: req.Remote,
	})
	if err != nil {
		return nil, err
	}
	d := &detector{limit: req.Limit, fields: map[string]*detected{}, parsers: []parser{{"json", members.NewRun()}, {"logfmt", pairs.NewRun()}}}
	for i := range res.Streams {
		for j := range res.Streams[i].Entries {
			d.look(&res.Streams[i].Entries[j], res.Streams[i].Labels)
		}
	}
	return d.result(req.Name), nil
}

type parser struct {
	name string
	run  *pipe.Run
}

// A detector gathers what records have.
type detector struct {
	limit   int
	fields  map[string]*detected
	parsers []parser
}

// detected is one field so far. Values are counted to maxValues.
type detected struct {
	kind    FieldType
	values  map[string]struct{}
	parsers []string
	path    []string
}

func (d *detector) look(e *Entry, stream Labels) {
	r := &e.Record
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Name == record.Body || f.Name == record.Labels || isStreamLabel(f.Name) {
			continue
		}
		if name := schema.Identifier(f.Name); stream.Get(name) == "" {
			d.add(name, f.Value.Text(), typeOf(f.Value), "")
		}
	}
	if v, ok := match.Value(levelName, r); ok {
		d.add(levelName, v.Text(), TypeString, "")
	}
	for _, l := range e.Parsed {
		if l.Name != pipe.ErrorName && l.Name != pipe.DetailsName {
			d.add(l.Name, l.Value, guess(l.Value), "")
		}
	}
	for _, p := range d.parsers {
		row, ok := p.run.Do(r)
		if !ok {
			continue
		}
		if kind, _ := row.Err(); kind != "" {
			continue
		}
		labels := row.Labels()
		for _, l := range labels {
			d.add(l.Name, l.Value, guess(l.Value), p.name)
		}
		if len(labels) > 0 && p.name == "json" {
			d.paths(e.Line)
		}
		if len(labels) > 0 {
			break // a line that is JSON is not taken for logfmt
		}
	}
}

func (d *detector) add(name, value string, kind FieldType, parser string) {
	f := d.fields[name]
	if f == nil {
		if len(d.fields) >= d.limit {
			return
		}
		f = &detected{kind: kind, values: map[string]struct{}{}}
		d.fields[name] = f
	}
	switch {
	case f.kind == kind:
	case f.kind == TypeInt && kind == TypeFloat, f.kind == TypeFloat && kind == TypeInt:
		f.kind = TypeFloat
	default:
		f.kind = TypeString
	}
	if len(f.values) < maxValues {
		f.values[value] = struct{}{}
	}
	if parser != "" && !slices.Contains(f.parsers, parser) {
		f.parsers = append(f.parsers, parser)
	}
}

// maxDepth is how deep a path of JSON is followed.
const maxDepth = 16

// paths notes where in a JSON line the fields are that json made of it.
func (d *detector) paths(line string) {
	var object map[string]any
	if json.Unmarshal([]byte(line), &object) == nil {
		d.walk(object, nil)
	}
}

func (d *detector) walk(object map[string]any, path []string) {
	if len(path) >= maxDepth {
		return
	}
	for name, v := range object {
		at := append(path[:len(path):len(path)], name)
		if inner, ok := v.(map[string]any); ok {
			d.walk(inner, at)
			continue
		}
		f := d.fields[schema.Identifier(strings.Join(at, "."))]
		if f != nil && f.path == nil && slices.Contains(f.parsers, "json") {
			f.path = at
		}
	}
}

func (d *detector) result(name string) *Detected {
	out := &Detected{Fields: []DetectedField{}}
	for n, f := range d.fields {
		out.Fields = append(out.Fields, DetectedField{n, f.kind, len(f.values), f.parsers, f.path})
	}
	slices.SortFunc(out.Fields, func(a, b DetectedField) int { return cmp.Compare(a.Name, b.Name) })
	if f := d.fields[name]; name != "" && f != nil {
		for v := range f.values {
			out.Values = append(out.Values, v)
		}
		slices.Sort(out.Values)
		out.Values = out.Values[:min(d.limit, len(out.Values))]
	}
	return out
}

// typeOf says what a stored value looks like: a text may be a number, too.
func typeOf(v record.Value) FieldType {
	switch v.Kind {
	case record.Int:
		return TypeInt
	case record.Float:
		return TypeFloat
	case record.Bool:
		return TypeBoolean
	}
	return guess(v.Str)
}

// guess says what a text looks like.
func guess(s string) FieldType {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return TypeInt
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return TypeFloat
	}
	if s == "true" || s == "false" {
		return TypeBoolean
	}
	if _, err := time.ParseDuration(s); err == nil {
		return TypeDuration
	}
	if _, ok := match.ParseBytes(s); ok {
		return TypeBytes
	}
	return TypeString
}

// Parses reports whether a log query has a stage that makes fields out of all
// that the line holds: json, logfmt or unpack.
func Parses(text string) bool {
	x, err := logql.ParseLog(text)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(x.Stages, func(s logql.Stage) bool {
		p, ok := s.(*logql.Parser)
		return ok && len(p.Fields) == 0 && p.Expr == ""
	})
}

// Label is one of Labels.
type Label = exec.Label
