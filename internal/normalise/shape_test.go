package normalise

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// alone returns what a Normaliser that has seen nothing makes of raw: the
// batch's encoding, or why it was refused.
func alone(raw *record.Raw, opt *Options) (string, record.Record) {
	return encoded(New(), &record.Batch{}, raw, opt)
}

func encoded(n *Normaliser, b *record.Batch, raw *record.Raw, opt *Options) (string, record.Record) {
	if err := n.Append(b, raw, opt); err != nil {
		return err.Error(), record.Record{}
	}
	r := b.Record(b.Len() - 1)
	return string(b.AppendEncoded(nil)), r
}

func byName(r record.Record) record.Record {
	r.Ord = 0
	slices.SortFunc(r.Fields, func(a, b record.Field) int { return cmp.Compare(a.Name, b.Name) })
	return r
}

// experienced holds a Normaliser that knows the shape, and one whose batch has
// the columns of everything before, against one that has seen nothing.
func experienced(t *testing.T, n *Normaliser, long *record.Batch, raw *record.Raw, opt *Options) {
	t.Helper()
	want, wantRecord := alone(raw, opt)
	for range 2 {
		if got, _ := encoded(n, &record.Batch{}, raw, opt); got != want {
			t.Fatalf("%q: a known shape makes another batch", raw.Payload)
		}
	}
	if _, got := encoded(n, long, raw, opt); !reflect.DeepEqual(byName(got), byName(wantRecord)) {
		t.Fatalf("%q in a long batch\n got %v\nwant %v", raw.Payload, byName(got), byName(wantRecord))
	}
}

func corpus(t testing.TB) [][]byte {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var lines [][]byte
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(data, []byte("\n")) {
			if len(line) > 0 {
				lines = append(lines, line)
			}
		}
	}
	for _, s := range shapes {
		lines = append(lines, []byte(s.line))
	}
	return lines
}

// TestKnownShapesMakeTheSame holds every line of the corpus to one result,
// whatever was read before it.
func TestKnownShapesMakeTheSame(t *testing.T) {
	lines := corpus(t)
	attrs := [][]record.Field{nil, {{Name: "elastic.index", Value: record.StringValue("logs")}},
		{{Name: "service.name", Value: record.StringValue("taken")}, {Name: "http.response.status_code", Value: record.IntValue(7)}, {Name: "mesh", Value: record.StringValue("x")}}}
	for _, platform := range []string{"", "istio", "hubble"} {
		n, long := New(), &record.Batch{}
		for i, line := range lines {
			raw := record.Raw{Payload: line, JSON: line[0] == '{', Attrs: attrs[i%len(attrs)]}
			if i%7 == 0 {
				raw.Time = 1_700_000_000_000_000_000
			}
			if i%100 == 0 {
				long.Reset()
			}
			experienced(t, n, long, &raw, &Options{Platform: platform, Source: "s", Now: 1, Class: "app"})
		}
	}
}

// TestColumnsThatGoAway holds records to their columns when the batch renames
// one or is replaced between two records.
func TestColumnsThatGoAway(t *testing.T) {
	n, b := New(), &record.Batch{}
	raw := record.Raw{Payload: []byte(shapes[0].line), JSON: true}
	opt := Options{Now: 1, Class: "app", Source: "s"}
	_, want := alone(&raw, &opt)
	check := func(when string) {
		t.Helper()
		if err := n.Append(b, &raw, &opt); err != nil {
			t.Fatal(err)
		}
		if got := b.Record(b.Len() - 1); !reflect.DeepEqual(byName(got), byName(want)) {
			t.Errorf("%s\n got %v\nwant %v", when, byName(got), byName(want))
		}
	}
	check("at first")
	for _, c := range b.Columns() {
		if c.Name == "service" || c.Name == "url.path" {
			b.Rename(c, "renamed."+c.Name)
		}
	}
	check("after a column was renamed")
	*b = record.Batch{}
	check("after the batch was replaced")
	for i := range 600 {
		b.Open(string(rune('0'+i)), record.Int)
	}
	b.Reset()
	check("after the batch let its columns go")
}

// TestManyNames holds records to their own names while the tables of names start
// anew, wherever that happens: of text that turns out to be JSON, of JSON in JSON,
// of attributes.
func TestManyNames(t *testing.T) {
	n, b, opt := New(), &record.Batch{}, Options{Now: 1, Class: "app"}
	for i := range 60_000 {
		name := "n" + strconv.Itoa(i)
		raw := record.Raw{Attrs: []record.Field{{Name: "a" + name, Value: record.StringValue("a")}, {Name: "both", Value: record.StringValue("attribute")}}}
		switch i % 3 {
		case 0:
			members := []string{`"same":"` + name + `"`, `"both":"` + name + `"`, `"` + name + `":"` + name + `"`}
			r := i / 3 % 3 // IDs are given in the order of names
			raw.Payload = []byte("{" + strings.Join(slices.Concat(members[r:], members[:r]), ",") + "}")
		case 1:
			raw.Payload, raw.JSON = []byte(`{"same":"`+name+`","both":"`+name+`","log":"{\"`+name+`\":\"`+name+`\"}","time":"x"}`), true
		case 2:
			raw.Payload, raw.JSON = []byte(`{"log":"{\"`+name+`\":\"`+name+`\",\"same\":\"`+name+`\"}","both":"`+name+`"}`), true
		}
		if i%500 == 0 {
			b.Reset()
		}
		if err := n.Append(b, &raw, &opt); err != nil {
			t.Fatal(err)
		}
		r := b.Record(b.Len() - 1)
		for field, want := range map[string]string{name: name, "same": name, "both_extracted": name, "both": "attribute", "a" + name: "a"} {
			if v, _ := r.Get(field); v.Str != want {
				t.Fatalf("record %d: %s is %q, want %q: %+v", i, field, v.Str, want, r.Fields)
			}
		}
	}
}

// FuzzKnownShapes holds any two payloads to one result each, whatever their order.
func FuzzKnownShapes(f *testing.F) {
	for _, s := range shapes {
		f.Add([]byte(s.line), []byte(shapes[0].line), true, "")
		f.Add([]byte(s.line), []byte(`{"time":"2026-01-01T00:00:00Z","msg":"m","stream":"stdout","n":1.5,"ok":true,"x":null}`), false, "istio")
	}
	f.Fuzz(func(t *testing.T, one, other []byte, isJSON bool, platform string) {
		if !Known(platform) {
			platform = ""
		}
		n, long := New(), &record.Batch{}
		opt := Options{Platform: platform, Source: "s", Now: 1, Class: "app"}
		for range 2 {
			experienced(t, n, long, &record.Raw{Payload: one, JSON: isJSON}, &opt)
			experienced(t, n, long, &record.Raw{Payload: other, JSON: isJSON}, &opt)
		}
	})
}
