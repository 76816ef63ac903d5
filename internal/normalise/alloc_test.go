//go:build !race

package normalise

// The race detector allocates on its own: a build with it has none of these tests.

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestNoAllocations holds every known shape to zero allocations per record once
// its names and the batch's columns are there, also where the protocol says
// more.
func TestNoAllocations(t *testing.T) {
	opt := Options{Source: "test", Now: 1, Class: "app"}
	for i, raw := range raws() {
		n, b := New(), &record.Batch{}
		run := func() {
			b.Reset()
			for k := range 8 {
				raw.Service, raw.Level = []string{"", "web"}[k%2], []string{"", "error"}[k%2]
				if err := n.Append(b, &raw, &opt); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		run()
		if a := testing.AllocsPerRun(50, run); a != 0 {
			t.Errorf("%s: %v allocations for 8 records", shapes[i].name, a)
		}
	}
}

// TestAllShapesMixed holds a batch of all shapes, with attributes, to the same.
func TestAllShapesMixed(t *testing.T) {
	opt := Options{Source: "test", Now: 1, Class: "app"}
	all := raws()
	for i := range all {
		all[i].Attrs = []record.Field{{Name: "namespace", Value: record.StringValue("shop")}, {Name: record.Labels, Value: record.StringValue("namespace")}}
	}
	n, b := New(), &record.Batch{}
	run := func() {
		b.Reset()
		for i := range all {
			if err := n.Append(b, &all[i], &opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if a := testing.AllocsPerRun(50, run); a != 0 {
		t.Errorf("%v allocations for %d records", a, len(all))
	}
	for i := range b.Len() {
		r := b.Record(i)
		if v, _ := r.Get("namespace"); v.Str != "shop" {
			t.Errorf("%s: the label is overwritten: %v", shapes[i].name, v)
		}
		if v, ok := r.Get("parse.format"); !ok || strings.HasPrefix(v.Str, "none") {
			t.Errorf("%s: no format", shapes[i].name)
		}
	}
}

// TestMeshLinesAllocateNothing holds them to no allocation per record once names and
// columns are there.
func TestMeshLinesAllocateNothing(t *testing.T) {
	opt := Options{Source: "test", Now: 1, Class: "app"}
	for _, s := range meshShapes {
		raw := record.Raw{Payload: []byte(s.line), JSON: s.line[0] == '{'}
		n, b := New(), &record.Batch{}
		run := func() {
			b.Reset()
			for range 8 {
				if err := n.Append(b, &raw, &opt); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		run()
		if a := testing.AllocsPerRun(50, run); a != 0 {
			t.Errorf("%s: %v allocations for 8 records", s.name, a)
		}
	}
}

func TestCustomFormatsAllocateNothing(t *testing.T) {
	n, b, opt := custom(t), &record.Batch{}, &Options{Now: 1, Class: "app", Source: "tail"}
	raws := []record.Raw{
		{Payload: []byte(`GET|/a?b|200|7|acme|1772359200.528`)},
		{JSON: true, Payload: []byte(`{"when":"2026/03/01 10:00:00","req":{"verb":"GET","what":"/a of shop:80"},"status":503,"ms":12,"tenant":"acme","env":"prod"}`)},
	}
	run := func() {
		b.Reset()
		for i := range raws {
			if err := n.Append(b, &raws[i], opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	run()
	if a := testing.AllocsPerRun(50, run); a != 0 {
		t.Errorf("%v allocations for %d records", a, len(raws))
	}
}

func TestEnvoyFamilyAllocatesNothing(t *testing.T) {
	opt := Options{Source: "test", Now: 1, Class: "app"}
	for _, raw := range envoyLines(t) {
		n, b := New(), &record.Batch{}
		run := func() {
			b.Reset()
			for range 8 {
				if err := n.Append(b, &raw, &opt); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		run()
		if a := testing.AllocsPerRun(50, run); a != 0 {
			t.Errorf("%v allocations for 8 records of %s", a, raw.Payload)
		}
	}
}

func TestSplitAllocatesNothing(t *testing.T) {
	all := append(raws(), record.Raw{Payload: []byte(`{"Records":[{"eventVersion":"1.08"},{"eventVersion":"1.09"}]}`)},
		record.Raw{Payload: []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","items":[]}`)})
	dst := make([]record.Raw, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		for i := range all {
			dst = Split(dst[:0], &all[i])
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOperatorsAllocateNothing(t *testing.T) {
	n, b, opt, raw := New(), &record.Batch{}, &Options{Now: 1, Class: "app"}, &record.Raw{Time: 5, Attrs: istioAttributes}
	run := func() {
		b.Reset()
		for range 100 {
			if err := n.Append(b, raw, opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if a := testing.AllocsPerRun(20, run); a > 1 {
		t.Errorf("%v allocations for 100 records", a)
	}
}
