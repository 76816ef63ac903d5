package jsonscan

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func markOf(name string) (uint64, uint64, any) {
	return uint64(len(name)), uint64(len(name)) << 16, nil
}

// read is what a Scan says, detached.
func read(o *Object, data []byte, names *Names) string {
	if err := o.Scan(data, names); err != nil {
		return "refused: " + err.Error()
	}
	var b strings.Builder
	for i := range o.Members {
		m := &o.Members[i]
		fmt.Fprintf(&b, "%q %d %q", m.Name.Text, m.Kind, m.Text)
		switch m.Kind {
		case Int, Bool:
			fmt.Fprintf(&b, " %d", m.Int)
		case Float:
			fmt.Fprintf(&b, " %v", m.Float)
		}
		b.WriteByte('\n')
	}
	for _, n := range o.Nulls {
		fmt.Fprintf(&b, "null %q\n", n.Text)
	}
	fmt.Fprintf(&b, "%q %x %x %v", o.Overflow, o.Marks, o.Counts, o.Escaped)
	return b.String()
}

// known reports whether the last Scan was a walk through known leads.
func known(o *Object) bool {
	return len(o.Members) > 0 && o.slots != nil && &o.Members[0] == &o.slots[0]
}

// same holds a Scan with what names has learned against one that knows nothing.
func same(t *testing.T, o *Object, data []byte, names *Names) {
	t.Helper()
	var fresh Object
	want := read(&fresh, data, NewNames(markOf))
	for range 2 { // the second one may be the first that knows the shape
		if got := read(o, data, names); got != want {
			t.Fatalf("%q\n got %s\nwant %s", data, got, want)
		}
	}
}

// TestShapesOfCorpus holds real lines to the same result whether their shape is
// known or not. Most are of a known shape when they are read again.
func TestShapesOfCorpus(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.log")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	lines, walked := 0, 0
	var o Object
	for _, name := range files {
		names := NewNames(markOf) // all of them together are more than one tree holds
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(data, []byte("\n")) {
			if !bytes.HasPrefix(line, []byte("{")) {
				continue
			}
			same(t, &o, line, names)
			lines++
			if known(&o) {
				walked++
			}
		}
	}
	if lines < 70 || walked < lines*9/10 {
		t.Errorf("%d of %d lines were read by their shape", walked, lines)
	}
}

// object writes a random object: few names, so that shapes repeat, and every
// form of value, white space and nesting.
func object(r *rand.Rand, b []byte, depth int) []byte {
	gap := func() {
		if r.IntN(12) == 0 {
			b = append(b, " \t\n"[r.IntN(3)])
		}
	}
	b = append(b, '{')
	for i := range r.IntN(5) {
		if i > 0 {
			b = append(b, ',')
		}
		gap()
		b = append(b, []string{`"a"`, `"b"`, `"long_name_of_a_field"`, `"c.d"`, `"\u0061"`, `""`, `"é"`, `"time"`}[r.IntN(8)]...)
		gap()
		b = append(b, ':')
		gap()
		switch r.IntN(12) {
		case 0, 1:
			b = append(b, fmt.Sprintf(`"v%d"`, r.IntN(1000))...)
		case 2:
			b = append(b, `"esc\n\"q\" \ud83d\ude00 \ud800"`...)
		case 3:
			b = append(b, fmt.Sprint(r.IntN(1000)-100)...)
		case 4:
			b = append(b, []string{"1.5", "-0", "1e3", "01", "12345678901234567890", "999999999999999999", "-", "0.1"}[r.IntN(8)]...)
		case 5:
			b = append(b, []string{"true", "false", "tru"}[r.IntN(3)]...)
		case 6, 7:
			b = append(b, "null"...)
		case 8:
			b = append(b, []string{"[]", "[1,{\"x\":null}]", "{}", "{ }", "[", "\"\xff\""}[r.IntN(6)]...)
		default:
			if depth < 4 {
				b = object(r, b, depth+1)
			} else {
				b = append(b, `""`...)
			}
		}
		gap()
	}
	return append(b, '}')
}

func TestShapesOfRandomObjects(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names, walked := NewNames(markOf), 0
	var o Object
	for range 30_000 {
		same(t, &o, object(r, nil, 0), names)
		if known(&o) {
			walked++
		}
	}
	if walked < 3000 {
		t.Errorf("only %d objects were read by their shape", walked)
	}
	if names.shapes.nodes > maxNodes || names.shapes.bytes > maxLeads+1024 {
		t.Errorf("%d nodes, %d bytes", names.shapes.nodes, names.shapes.bytes)
	}
}

// TestLeadsThatBeginAlike holds shapes apart whose leads are prefixes of one
// another.
func TestLeadsThatBeginAlike(t *testing.T) {
	names := NewNames(markOf)
	var o Object
	lines := []string{`{"a":1}`, `{"a":null,"b":1}`, `{"a":{"b":1}}`, `{"a":{}}`, `{"a":{ }}`, `{"a":{"b":null},"c":2}`, `{"a":"null"}`, `{"a":[null]}`,
		`{"a":{"b":{"c":1}},"b":"x"}`, `{"a":1,"b":1}`, `{"a":1, "b":1}`, `{"a":1,"a":2}`, `{"a":1,"b":null}`, `{"a":1} `, `{"a":nul}`, `{"a":{"b":1}`, `{"a":1}}`, `{"a":`, `{"a":{`}
	for range 3 {
		for _, line := range lines {
			same(t, &o, []byte(line), names)
		}
	}
}

// TestShapesAreBounded holds a sender of ever new shapes to the limits, and a
// full tree to start anew in the end.
func TestShapesAreBounded(t *testing.T) {
	names := NewNames(nil)
	var o Object
	var line []byte
	for i := range 20_000 {
		line = fmt.Appendf(line[:0], `{"n":1,%*s"m":%d}`, i%700, "", i)
		if err := o.Scan(line, names); err != nil {
			t.Fatal(err)
		}
		t := &names.shapes
		if len(t.root.more.next) > maxFan || t.nodes > maxNodes || t.bytes > maxLeads+len(line) {
			break
		}
	}
	if tr := &names.shapes; len(tr.root.more.next) > maxFan || tr.nodes > maxNodes || tr.bytes > maxLeads+len(line) {
		t.Fatalf("%d leads, %d nodes, %d bytes", len(tr.root.more.next), tr.nodes, tr.bytes)
	}
	full := &shapes{nodes: maxNodes}
	o.reset(names)
	if err := o.scan([]byte(`{"x":1}`)); err != nil {
		t.Fatal(err)
	}
	for range forgetting {
		o.learn(full)
	}
	if full.nodes != 1 {
		t.Errorf("a full tree did not start anew: %d nodes", full.nodes)
	}
}

// TestShapeIsOfTheObject holds the Note of a shape to it and to no other.
func TestShapeIsOfTheObject(t *testing.T) {
	names := NewNames(nil)
	var o Object
	scan := func(line string) *Shape {
		if err := o.Scan([]byte(line), names); err != nil {
			t.Fatal(err)
		}
		return o.Shape
	}
	a := scan(`{"a":1,"b":"x"}`)
	a.Note = "a"
	if scan(`{"a":"other","b":2.5}`) != a || scan(`{"a":1,"b":null}`) == a || scan(`{"a":1}`) == a {
		t.Error("shapes are mixed up")
	}
	if scan(`{"a":1,"a":2}`) != nil {
		t.Error("a repeated name has a shape")
	}
	epoch := names.Epoch()
	for i := range 2 * maxNames {
		scan(fmt.Sprintf(`{"k%d":1}`, i))
	}
	if names.Epoch() == epoch || scan(`{"a":1,"b":"x"}`) == a {
		t.Error("a shape outlived the names that it is made of")
	}
}

func FuzzShapes(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":"x"}`, `{"a":null,"b":{"c":[1]}}`, `{"a":{"b":1},"c":"\u00e9"}`, ` { "a" : 1.5e3 } `, `{"a":{},"b":""}`, access} {
		f.Add([]byte(s), []byte(`{"a":"1","b":2}`))
	}
	f.Fuzz(func(t *testing.T, data, other []byte) {
		names := NewNames(markOf)
		var o Object
		for range 2 {
			same(t, &o, other, names)
			same(t, &o, data, names)
		}
	})
}

func TestASCII(t *testing.T) {
	for n := range 200 {
		d := bytes.Repeat([]byte{'a'}, n)
		if !ascii(d) {
			t.Errorf("%d bytes of a", n)
		}
		for i := range d {
			d[i] = 0x80
			if ascii(d) {
				t.Errorf("0x80 at %d of %d is not seen", i, n)
			}
			d[i] = 0x7f
		}
	}
}

func TestIntegerIsNumber(t *testing.T) {
	for _, s := range []string{"0,", "7}", "10,", "01,", "", ",", "999999999999999999,", "9999999999999999999,", "1 ,", "1.5,", "1e3,", "12"} {
		var m, want Member
		n := m.integer([]byte(s))
		o := Object{data: []byte(s)}
		if n == 0 {
			continue
		}
		if i, err := o.number(&want, 0); err != nil || i != n || !reflect.DeepEqual(m, want) {
			t.Errorf("%q: %d %v, want %d %v %v", s, n, m, i, want, err)
		}
	}
	var m Member
	if m.integer([]byte("4711}")) != 4 || m.Int != 4711 {
		t.Error("a plain number is not read")
	}
}
