package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a configuration file. It is trusted, but a wrong file named by
// mistake must give an answer, not an exhausted machine.
const (
	MaxSize  = 1 << 20
	maxDepth = 32
)

// Decode fills in into, a pointer to a struct that holds the defaults, from a
// YAML document. It goes on after a mistake and returns every one as Problems:
// unknown and repeated keys, values of the wrong type, anchors and tags. What
// the document does not mention keeps its default.
//
// Durations are written 250ms, 10s, 5m, 1h or 30d; integers may carry KiB, MiB
// or GiB.
func Decode(data []byte, into any) error {
	_, problems := decode(data, into)
	return problems.orNil()
}

// decode returns where each path stands, too.
func decode(data []byte, into any) (map[string]place, Problems) {
	d := &decoder{places: make(map[string]place)}
	if len(data) > MaxSize {
		d.problem("", nil, "", fmt.Sprintf("the file has %d bytes, more than %d", len(data), MaxSize), "is this the configuration file?")
		return d.places, d.problems
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		p := Problem{Problem: err.Error()}
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			p.Problem = syntax.GetMessage()
			if t := syntax.GetToken(); t != nil {
				p.Value, p.Line, p.Column = t.Value, t.Position.Line, t.Position.Column
				if strings.Contains(t.Value, "\t") {
					p.Value, p.Hint = "", "YAML indents with blanks, not with tabs"
				}
			}
		}
		return d.places, Problems{p}
	}
	n := 0
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if n++; n > 1 {
			d.problem("", doc.Body, "", "a second YAML document", "put everything into one document, without ---")
			continue
		}
		d.value("", doc.Body, reflect.ValueOf(into).Elem(), 0)
	}
	return d.places, d.problems
}

type place struct{ line, column int }

type decoder struct {
	places   map[string]place
	problems Problems
}

func (d *decoder) problem(path string, n ast.Node, value, what, hint string) {
	p := Problem{Path: path, Value: value, Problem: what, Hint: hint}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p.Line, p.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	d.problems = append(d.problems, p)
}

// value decodes node n into v.
func (d *decoder) value(path string, n ast.Node, v reflect.Value, depth int) {
	if t := n.GetToken(); t != nil && t.Position != nil {
		if _, ok := d.places[path]; !ok {
			d.places[path] = place{t.Position.Line, t.Position.Column}
		}
	}
	if depth > maxDepth {
		d.problem(path, n, "", fmt.Sprintf("nested more than %d deep", maxDepth), "")
		return
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.problem(path, n, n.String(), "anchors, aliases, merge keys and tags are not supported", "write the value out")
		return
	case *ast.NullNode:
		return // "key:" with nothing after it keeps the default
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(path, n, v.Elem(), depth)
		return
	}
	if d.text(path, n, v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(path, n, v, depth)
	case reflect.Map:
		d.entries(path, n, v, depth)
	case reflect.Slice:
		d.list(path, n, v, depth)
	case reflect.Interface:
		d.free(path, n, v, depth)
	default:
		d.scalar(path, n, v)
	}
}

// text decodes a scalar into a type that reads its own text form.
func (d *decoder) text(path string, n ast.Node, v reflect.Value) bool {
	u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	if !ok {
		return false
	}
	s, ok := scalarText(n)
	if !ok {
		d.problem(path, n, "", "want one value, not a list or a mapping", "")
		return true
	}
	if err := u.UnmarshalText([]byte(s)); err != nil {
		d.problem(path, n, s, err.Error(), "")
	}
	return true
}

// pairs returns the key-value pairs of a mapping.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// eachPair calls f for each key of a mapping, once.
func (d *decoder) eachPair(path string, n ast.Node, f func(key string, kn, vn ast.Node)) {
	ps, ok := pairs(n)
	if !ok {
		s, _ := scalarText(n)
		d.problem(path, n, s, "want a mapping (key: value)", "")
		return
	}
	seen := map[string]bool{}
	for _, p := range ps {
		key, ok := scalarText(p.Key)
		switch {
		case !ok || p.Key.IsMergeKey():
			d.problem(path, p.Key, p.Key.String(), "anchors, aliases, merge keys and tags are not supported", "write the value out")
		case seen[key]:
			d.problem(join(path, key), p.Key, "", "the key is given twice", "remove one of them")
		default:
			seen[key] = true
			f(key, p.Key, p.Value)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) fields(path string, n ast.Node, v reflect.Value, depth int) {
	known := fieldsOf(v.Type())
	d.eachPair(path, n, func(key string, kn, vn ast.Node) {
		for _, f := range known {
			if f.name == key {
				d.value(join(path, key), vn, v.FieldByIndex(f.index), depth+1)
				return
			}
		}
		d.problem(join(path, key), kn, "", "unknown key", unknownHint(path, key, known))
	})
}

// maxHinted is how many keys a hint lists: more help nobody.
const maxHinted = 12

// unknownHint helps with a key that path does not have.
func unknownHint(path, key string, known []field) string {
	if like := nearest(key, known); like != "" {
		return fmt.Sprintf("did you mean %s?", like)
	}
	if len(known) > maxHinted {
		return ""
	}
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.name
	}
	list := strings.Join(names, ", ")
	if path == "receivers" {
		return "those with settings are " + list + "; all others are always there, on the one port (docs/receivers.md)"
	}
	return "the keys here are " + list
}

func (d *decoder) entries(path string, n ast.Node, v reflect.Value, depth int) {
	m := reflect.MakeMap(v.Type())
	d.eachPair(path, n, func(key string, _, vn ast.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key), vn, e, depth+1)
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	})
	if m.Len() > 0 || v.Len() > 0 {
		v.Set(m)
	}
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value, depth int) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		s, _ := scalarText(n)
		d.problem(path, n, s, "want a list", "write [a, b] or one - item per line")
		return
	}
	if len(seq.Values) == 0 && v.Len() == 0 {
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, e := range seq.Values {
		d.value(fmt.Sprintf("%s[%d]", path, i), e, out.Index(i), depth+1)
	}
	v.Set(out)
}

// free decodes a value of any form: a mapping as map[string]any, a list as []any,
// a scalar as the text that is written.
func (d *decoder) free(path string, n ast.Node, v reflect.Value, depth int) {
	if s, ok := scalarText(n); ok {
		v.Set(reflect.ValueOf(s))
		return
	}
	into := reflect.New(reflect.TypeFor[map[string]any]()).Elem()
	if _, list := n.(*ast.SequenceNode); list {
		into = reflect.New(reflect.TypeFor[[]any]()).Elem()
	}
	d.value(path, n, into, depth+1)
	v.Set(into)
}

// scalarText returns a scalar as it is written.
func scalarText(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *decoder) scalar(path string, n ast.Node, v reflect.Value) {
	s, ok := scalarText(n)
	if !ok {
		d.problem(path, n, "", "want one value, not a list or a mapping", "")
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		t, err := parseDuration(s)
		if err != nil {
			d.problem(path, n, s, "want a duration", "write it as 250ms, 10s, 5m, 1h or 30d")
			return
		}
		v.SetInt(int64(t))
		return
	}
	switch v.Kind() {
	case reflect.String:
		switch n.(type) {
		case *ast.StringNode, *ast.LiteralNode:
			v.SetString(s)
		default:
			d.problem(path, n, s, "want text", "put it in quotes: "+strconv.Quote(s))
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.problem(path, n, s, "want true or false", "")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := parseInt(s)
		if err != nil || v.OverflowInt(i) {
			d.problem(path, n, s, "want an integer", "sizes may be written 64KiB, 32MiB, 1GiB")
			return
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := parseInt(s)
		if err != nil || i < 0 || v.OverflowUint(uint64(i)) {
			d.problem(path, n, s, "want an integer that is not negative", "sizes may be written 64KiB, 32MiB, 1GiB")
			return
		}
		v.SetUint(uint64(i))
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != f {
			d.problem(path, n, s, "want a number", "")
			return
		}
		v.SetFloat(f)
	default:
		d.problem(path, n, s, "this key cannot be set in a file", "")
	}
}

// parseInt reads an integer, or a size with a binary unit.
func parseInt(s string) (int64, error) {
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		digits, ok := strings.CutSuffix(s, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		shift := 10 * (i + 1)
		if err != nil || n < 0 || n > (1<<62)>>shift {
			return 0, strconv.ErrRange
		}
		return n << shift, nil
	}
	return strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
}

// parseDuration reads a Go duration, or whole days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > 100_000 {
			return 0, strconv.ErrRange
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}
