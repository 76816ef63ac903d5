package pipe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// wide is a record with n fields and a line of n other members, the first
// hundred of which are stored as well.
func wide(n int) *record.Record {
	var line strings.Builder
	r := text("")
	for i := range n {
		fmt.Fprintf(&line, `,"name.%06d":"v%d"`, i, i)
		stored := fmt.Sprintf("field.%05d", i)
		if i < 100 {
			stored = fmt.Sprintf("name.%06d", i)
		}
		r.Fields = append(r.Fields, record.Field{Name: stored, Value: record.StringValue("x")})
	}
	r.Fields[0].Value.Str = "{" + line.String()[1:] + "}"
	return r
}

// TestWideRecords: what finds names among many agrees with what looks at few one
// by one.
func TestWideRecords(t *testing.T) {
	for _, n := range []int{5, 31, 33, 500} {
		run := compile(t, "| json | name_000003_extracted = `v3` | drop name_000001_extracted | label_format a=`{{.name_000004_extracted}}`, name_000004_extracted=`new`, b=`{{.name_000004_extracted}}{{.a}}`").NewRun()
		for range 2 {
			w, ok := run.Do(wide(n))
			if !ok {
				t.Fatal(n, "fields: the record is gone")
			}
			if got := len(w.Labels()); got != n+1 {
				t.Errorf("%d fields make %d labels", n, got)
			}
			for name, want := range map[string]string{"name_000000_extracted": "v0", "name_000000": "x", "name_000001_extracted": "", "a": "v4", "b": "v4", "name_000004_extracted": "new"} {
				if got, _ := w.Get(name); got != want {
					t.Errorf("%d fields: %s is %q, want %q", n, name, got, want)
				}
			}
			if n == 500 {
				if got, _ := w.Get("name_000499"); got != "v499" {
					t.Error(got)
				}
			}
			if got, want := len(w.Fields()), len(w.Record().Fields)+n+1; got != want {
				t.Errorf("%d fields become %d, want %d", n, got, want)
			}
		}
	}
}

func BenchmarkWide(b *testing.B) {
	run, r := compile(b, "| json | keep a").NewRun(), wide(2000)
	for b.Loop() {
		run.Do(r)
	}
}
