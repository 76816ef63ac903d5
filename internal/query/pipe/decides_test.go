package pipe_test

import (
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// TestDecides: with no more than the fields that decide, a record goes on or not
// as it does whole, with the same error and the same shown fields.
func TestDecides(t *testing.T) {
	str := record.StringValue
	field := func(name string, v record.Value) record.Field { return record.Field{Name: name, Value: v} }
	records := [][]record.Field{
		{field("body", str(`lvl=info n=7 took=5ms path=/a`)), field("lvl", str("stored")), field("path", str("/b"))},
		{field("body", str(`lvl=info n=3`)), field("n", record.IntValue(9)), field("service.name", str("cart"))},
		{field("body", str(`{"lvl":"info","n":7,"service":"inner","deep":{"code":"200"}}`)), field("service.name", str("cart"))},
		{field("body", str(`no pairs`)), field("parse.status", str("none")), field("n", record.IntValue(9))},
		{field("body", str("n=1")), field("n", str("")), field("deep.code", record.IntValue(404))},
		{field("n", record.IntValue(7)), field("lvl", str("info")), field("http.response.status_code", record.IntValue(200))},
		{field("body", record.IntValue(5)), field("lvl", str("info"))},
	}
	shown := []string{"service", "lvl", "n", "n_extracted", "status", "deep_code"}
	narrow := 0
	for _, q := range []string{
		`{} | logfmt | n > 5`, `{} | logfmt | n_extracted > 1`, `{} | json | n > 5`, `{} | json | __error__="" | lvl="info"`,
		`{} | logfmt | lvl_extracted="info"`, `{} | json | service="cart"`, `{} | json | service_extracted="inner"`,
		`{} | logfmt --strict | __error__!=""`, `{} | logfmt m="n" | m > 2`, `{} | json c="deep.code" | c="200"`,
		`{} | logfmt | line_format "{{.lvl}} {{.n}}" |= "info 7"`, `{} | logfmt | label_format x=lvl | x="info"`,
		`{} | logfmt | drop lvl | lvl=""`, `{} | logfmt | keep n | lvl="" | n > 1`, `{} | regexp "(?P<n>[0-9])" | n > 2`,
		`{} | line_format "n={{.status}}" | logfmt | n_extracted > 5`, `{} | logfmt |= "info"`, `{} | json | deep_code=~"2.*|4.*"`,
	} {
		x, err := logql.ParseLog(q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		p, err := pipe.Compile(x.Stages)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		names, all := p.Decides(shown)
		if !all {
			narrow++
		}
		for i, fields := range records {
			whole := record.Record{Fields: fields}
			part := record.Record{Fields: slices.DeleteFunc(slices.Clone(fields), func(f record.Field) bool {
				return !all && !slices.ContainsFunc(names, func(n string) bool {
					r := schema.Resolve(n)
					_, _, ok := r.Match(f.Name)
					return ok
				})
			})}
			tell := func(r *record.Record) (out []string) {
				row, ok := p.NewRun().Do(r)
				if !ok {
					return nil
				}
				kind, _ := row.Err()
				out = append(out, "goes on", kind)
				for _, name := range shown {
					text, _ := row.Get(name)
					out = append(out, text)
				}
				return out
			}
			if got, want := tell(&part), tell(&whole); !slices.Equal(got, want) {
				t.Errorf("%s, record %d with %v: %q, want %q", q, i, part.Fields, got, want)
			}
		}
	}
	if narrow < 12 {
		t.Errorf("only %d queries do with less than all fields", narrow)
	}
}
