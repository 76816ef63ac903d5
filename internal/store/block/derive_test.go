package block

import (
	"math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

func relatedBlock(rows int) (*Input, *Header, *Encoded) {
	in := &Input{Times: make([]int64, rows), Ords: make([]uint64, rows), Ingests: make([]int64, rows)}
	in.Columns = related(rand.New(rand.NewPCG(8, 8)), rows)
	e := Encode(in)
	h, err := DecodeHeader(e.Header)
	if err != nil {
		panic(err)
	}
	return in, h, e
}

func TestColumnsDerive(t *testing.T) {
	in, h, e := relatedBlock(5000)
	check(t, in, e)
	want := map[string]struct {
		base string
		form byte
	}{
		"host": {}, "zone": {"host", derivedMap}, "some zone": {"zone", 0}, "host again": {"host", derivedSame},
		"port": {}, "port again": {"port", derivedSame}, "less": {"port", derivedDiff},
		"text": {}, "text again": {"text", derivedSame}, "odd zone": {},
	}
	want["some zone"] = want["zone"] // and not from the zone, which is derived itself
	for i := range h.Columns {
		c := &h.Columns[i]
		base := ""
		if c.Base() >= 0 {
			base = h.Columns[c.Base()].Name
		}
		if w := want[c.Name]; base != w.base || c.derived != w.form {
			t.Errorf("column %q derives from %q in form %d, want %q in form %d", c.Name, base, c.derived, w.base, w.form)
		}
	}
	zone, again := &h.Columns[1], &h.Columns[3]
	if zone.Form() != Dict || zone.Head() == nil || zone.Counts() == nil {
		t.Error("a derived dictionary has no head or no counts")
	}
	if again.Form() != Dict || again.Head() != h.Columns[0].Head() || again.Counts() == nil {
		t.Error("an equal dictionary has not the base's head")
	}
	if h.Columns[5].Form() != Plain {
		t.Error("an equal column of ints is not plain")
	}
}

// TestFewTriesToDerive keeps the search from going through all pairs of columns.
func TestFewTriesToDerive(t *testing.T) {
	const rows, n = 2000, 400
	r := rand.New(rand.NewPCG(1, 9))
	var arena []uint16
	var ds []draft
	for range n {
		c := &record.Column{Kind: record.Int}
		for row := range rows {
			c.Rows, c.Nums = append(c.Rows, uint32(row)), append(c.Nums, r.Uint64N(100))
		}
		ds = append(ds, newDraft(c, nil, &arena))
	}
	var x deriver
	x.run(ds, rows)
	if len(x.bases) != maxBases {
		t.Errorf("%d bases, want %d", len(x.bases), maxBases)
	}
	if x.work < -2*rows {
		t.Errorf("%d steps more than allowed", -x.work)
	}
}

func TestBasesAreChecked(t *testing.T) {
	cols := func() []Column {
		return []Column{
			{Name: "dict", Kind: record.String, Values: 5, rows: 9, codec: codecDict},
			{Name: "ints", Kind: record.Int, Values: 5, rows: 9, codec: codecInts},
			{Name: "derived", Kind: record.Int, Values: 5, rows: 9, codec: codecDerived},
		}
	}
	for _, x := range []struct {
		base   int
		form   byte
		kind   record.Kind
		values int
		ok     bool
	}{
		{0, derivedMap, record.Int, 5, true},
		{0, derivedMap, record.Int, 6, false},
		{1, derivedMap, record.Int, 5, false},
		{2, derivedMap, record.Int, 5, false},
		{3, derivedMap, record.Int, 5, false},
		{0, derivedSame, record.Int, 5, false},
		{0, derivedSame, record.String, 5, true},
		{0, derivedSame, record.String, 4, false},
		{1, derivedDiff, record.Int, 5, true},
		{1, derivedDiff, record.Int, 4, false},
		{2, derivedDiff, record.Int, 5, false},
	} {
		h := &Header{Columns: cols()}
		c := &h.Columns[2]
		c.base, c.derived, c.Kind, c.Values = x.base, x.form, x.kind, x.values
		if err := h.link(); (err == nil) != x.ok || err != nil && fault.KindOf(err) != fault.Corrupt {
			t.Errorf("form %d from column %d, kind %d, %d values: %v", x.form, x.base, x.kind, x.values, err)
		}
	}
}

// TestBaseMustHaveTheRows decodes derived columns against bases of other rows.
func TestBaseMustHaveTheRows(t *testing.T) {
	_, h, e := relatedBlock(3000)
	bodies, at := map[string][]byte{}, 0
	for _, c := range append([]*Column{h.Time, h.Origin}, pointersTo(h.Columns)...) {
		if bodies[c.Name] = c.Inline(); c.Body > 0 {
			bodies[c.Name] = e.Bodies[at]
			at++
		}
	}
	base, err := h.Columns[0].Decode(bodies["host"], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zone", "some zone"} {
		for i := range h.Columns {
			c := h.Columns[i]
			if c.Name != name {
				continue
			}
			other := *base
			other.N--
			other.Rows, other.Codes = other.Rows[1:], other.Codes[1:]
			if _, err := c.Decode(bodies[name], &other); fault.KindOf(err) != fault.Corrupt {
				t.Errorf("column %s of a base without its first row: %v", name, err)
			}
			few := *base
			few.Rows, few.Codes, few.N = nil, few.Codes[:10], 10
			if _, err := c.Decode(bodies[name], &few); fault.KindOf(err) != fault.Corrupt {
				t.Errorf("column %s of a base of ten rows: %v", name, err)
			}
		}
	}
}

func pointersTo(cols []Column) (out []*Column) {
	for i := range cols {
		out = append(out, &cols[i])
	}
	return out
}
