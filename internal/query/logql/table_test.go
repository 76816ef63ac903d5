package logql

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

var update = flag.Bool("update", false, "write testdata anew")

// paragraphs reads the texts of a file of testdata that blank lines part.
func paragraphs(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range strings.Split(strings.TrimSpace(string(b)), "\n\n") {
		if !strings.HasPrefix(p, "# ") && !strings.HasPrefix(p, "## ") {
			out = append(out, p)
		}
	}
	return out
}

// unplaced returns a tree without its positions and without the difference
// between no list and an empty one, to be compared.
func unplaced(e Expr) Expr {
	v := reflect.New(reflect.TypeOf(&e).Elem()).Elem()
	v.Set(reflect.ValueOf(strip(reflect.ValueOf(e)).Interface()))
	return v.Interface().(Expr)
}

func strip(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(strip(v.Elem()))
		return out
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(strip(v.Elem()))
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "At" {
				out.Field(i).Set(strip(v.Field(i)))
			}
		}
		return out
	case reflect.Slice:
		out := reflect.Zero(v.Type())
		for i := range v.Len() {
			out = reflect.Append(out, strip(v.Index(i)))
		}
		return out
	}
	return v
}

// checkPrint fails when a tree is not what its own prints are read as.
func checkPrint(t testing.TB, query string, e Expr) {
	t.Helper()
	want := unplaced(e)
	for _, p := range []struct {
		name  string
		print func(Expr) string
	}{{"String", Expr.String}, {"Pretty", Pretty}} {
		s := p.print(e)
		if len(s) > maxLength {
			return
		}
		again, err := Parse(s)
		if err != nil {
			t.Fatalf("%q: %s is %q: %v", query, p.name, s, err)
		}
		if got := unplaced(again); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %s is %q, which is read as another tree:\n got %#v\nwant %#v", query, p.name, s, got, want)
		}
		if s2 := p.print(again); s2 != s {
			t.Fatalf("%q: %s is %q, and then %q", query, p.name, s, s2)
		}
	}
}

// TestQueries reads what people write.
func TestQueries(t *testing.T) {
	queries := paragraphs(t, "testdata/queries.txt")
	if len(queries) < 400 {
		t.Errorf("only %d queries", len(queries))
	}
	stages, functions := map[string]bool{}, map[string]bool{}
	for _, q := range queries {
		e, err := Parse(q)
		if err != nil {
			t.Errorf("%s\n%v", q, err)
			continue
		}
		checkPrint(t, q, e)
		for _, line := range strings.Split(Pretty(e), "\n") {
			if strings.HasSuffix(line, " ") {
				t.Errorf("%s is printed with blanks at the end of a line: %q", q, line)
			}
		}
		Walk(e, func(e Expr) {
			switch e := e.(type) {
			case *Log:
				for _, s := range e.Stages {
					name := fmt.Sprintf("%T", s)
					if p, ok := s.(*Parser); ok {
						name = p.Name
					}
					stages[name] = true
				}
			case *RangeAgg:
				functions[e.Op] = true
			case *VectorAgg:
				functions[e.Op] = true
			}
		})
	}
	// The table holds the whole language.
	for op := range rangeOps {
		if !functions[op] {
			t.Errorf("no query has %s", op)
		}
	}
	for _, op := range []string{"sum", "count", "min", "max", "avg", "stddev", "stdvar", "topk", "bottomk", "approx_topk", "sort", "sort_desc"} {
		if !functions[op] {
			t.Errorf("no query has %s", op)
		}
	}
	for _, s := range []string{
		"json", "logfmt", "regexp", "pattern", "unpack", "*logql.LineFilter", "*logql.LabelFilter", "*logql.LineFormat",
		"*logql.LabelFormat", "*logql.Decolorize", "*logql.Names", "*logql.Distinct",
	} {
		if !stages[s] {
			t.Errorf("no query has the stage %s", s)
		}
	}
}

// TestRefused reads what nobody should write, and looks at what is said of it.
func TestRefused(t *testing.T) {
	const path = "testdata/refused.txt"
	var b strings.Builder
	b.WriteString("# Queries that are refused: each is followed by line and column, what is said\n# and, where there is one, the hint.\n")
	cases := paragraphs(t, path)
	if len(cases) < 200 {
		t.Errorf("only %d queries", len(cases))
	}
	for _, c := range cases {
		i := strings.Index(c, "\n  at ")
		if i < 0 {
			t.Fatalf("%q: no place", c)
		}
		query, want := c[:i], c[i+1:]
		e, err := Parse(query)
		var at *Error
		if !errors.As(err, &at) || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s\nis read as %v, %v", query, e, err)
			continue
		}
		got := fmt.Sprintf("  at %d:%d %s", at.Line, at.Col, at.Msg)
		if h := fault.HintOf(err); h != "" {
			got += "\n  hint: " + h
		}
		if got != want && !*update {
			t.Errorf("%s\n got %s\nwant %s", query, got, want)
		}
		if text := fmt.Sprintf("parse error at line %d, col %d: %s", at.Line, at.Col, at.Msg); err.Error() != text {
			t.Errorf("%s\nprints %s", query, err)
		}
		b.WriteString("\n" + query + "\n" + got + "\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
