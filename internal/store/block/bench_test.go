package block

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
)

// benchBlocks returns blocks of mesh records: the first n of the file of JSON
// lines that MESHTRAIL_BENCH_LOGS names, by service and time as a seal does, or
// drawn ones. Fields have the names of the file; addresses are split from ports
// and numbers in texts are numbers, as normalise would do.
func benchBlocks(t testing.TB, n int) []*Input {
	t.Helper()
	name := os.Getenv("MESHTRAIL_BENCH_LOGS")
	if name == "" {
		return []*Input{gen(rand.New(rand.NewPCG(1, 1)), 6000)}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type rec struct {
		at     int64
		ord    int
		size   int
		fields map[string]any
	}
	groups := map[string][]rec{}
	for s := bufio.NewScanner(f); n > 0 && s.Scan(); n-- {
		r := rec{ord: n, size: len(s.Bytes()), fields: map[string]any{}}
		if err := json.Unmarshal(s.Bytes(), &r.fields); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(r.fields["@timestamp"]))
		if err != nil {
			t.Fatal(err)
		}
		r.at = at.UnixNano()
		delete(r.fields, "@timestamp")
		g := fmt.Sprint(r.fields["service"], r.fields["level"] == nil)
		groups[g] = append(groups[g], r)
	}
	var out []*Input
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		recs := groups[g]
		slices.SortFunc(recs, func(a, b rec) int { return cmp.Compare(a.at, b.at) })
		for part := range slices.Chunk(recs, 8000) {
			in := &Input{}
			cols := map[string]*record.Column{}
			for row, r := range part {
				in.Times, in.Raw = append(in.Times, r.at), in.Raw+int64(r.size)
				in.Ords = append(in.Ords, uint64(1+r.ord/2000)<<OrdShift|uint64(r.ord%2000))
				in.Ingests = append(in.Ingests, int64(r.ord/2000))
				for k, v := range r.fields {
					put(cols, uint32(row), k, v)
				}
			}
			for _, k := range slices.Sorted(maps.Keys(cols)) {
				in.Columns = append(in.Columns, cols[k])
			}
			out = append(out, in)
		}
	}
	return out
}

func put(cols map[string]*record.Column, row uint32, name string, v any) {
	kind := record.Int
	var num uint64
	s, isText := v.(string)
	host, port, err := net.SplitHostPort(s)
	if err == nil && strings.HasPrefix(name, "downstream") {
		p, _ := strconv.ParseFloat(port, 64)
		put(cols, row, name+".port", p)
		s = host
	}
	if n, err := strconv.ParseUint(s, 10, 32); isText && err == nil && len(s) < 6 {
		num = n
	} else if isText {
		kind = record.String
	} else {
		num = uint64(v.(float64))
	}
	c := cols[name]
	if c == nil || c.Kind != kind {
		name = fmt.Sprint(name, map[bool]string{true: "'"}[c != nil])
		if c = cols[name]; c == nil {
			c = &record.Column{Name: name, Kind: kind}
			cols[name] = c
		}
	}
	c.Rows = append(c.Rows, row)
	if kind == record.String {
		c.Data = append(c.Data, s...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
		return
	}
	c.Nums = append(c.Nums, num)
}

// TestColumnSizes accounts for every byte of blocks by column and codec. Run it
// with -v to see them; MESHTRAIL_BENCH_LOGS names a file of JSON lines to measure.
func TestColumnSizes(t *testing.T) {
	type size struct{ blocks, values, bytes int }
	sizes := map[string]*size{}
	add := func(name string, c codec, values, bytes int) {
		k := fmt.Sprintf("%-28s codec %2d", name, c)
		if sizes[k] == nil {
			sizes[k] = &size{}
		}
		s := sizes[k]
		s.blocks, s.values, s.bytes = s.blocks+1, s.values+values, s.bytes+bytes
	}
	rows, total, raw := 0, 0, int64(0)
	for _, in := range benchBlocks(t, 200_000) {
		e := Encode(in)
		h, err := DecodeHeader(e.Header)
		if err != nil {
			t.Fatal(err)
		}
		rows, raw, total = rows+h.Rows, raw+in.Raw, total+len(e.Header)
		add("(header)", 0, h.Rows, len(e.Header))
		add("(time)", h.Time.codec, h.Rows, h.Time.Body)
		add("(origin)", h.Origin.codec, h.Rows, h.Origin.Body)
		for i := range h.Columns {
			c := &h.Columns[i]
			add(c.Name, c.codec, c.Values, c.Body)
		}
		for _, b := range e.Bodies {
			total += len(b)
		}
	}
	sum := 0
	for _, s := range sizes {
		sum += s.bytes
	}
	if sum != total || rows == 0 {
		t.Errorf("the columns of %d records take %d bytes, their blocks %d", rows, sum, total)
	}
	t.Logf("%d records in %d bytes, %.1f times smaller than JSON", rows, total, float64(raw)/float64(total))
	keys := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int { return cmp.Compare(sizes[b].bytes, sizes[a].bytes) })
	for _, k := range keys {
		s := sizes[k]
		t.Logf("%s  %4d blocks %8d values %9d bytes, %6.2f bits a value", k, s.blocks, s.values, s.bytes, 8*float64(s.bytes)/float64(s.values))
	}
}

func BenchmarkEncode(b *testing.B) {
	ins := benchBlocks(b, 100_000)
	raw := int64(0)
	for _, in := range ins {
		raw += in.Raw
	}
	b.SetBytes(raw)
	b.ReportAllocs()
	for b.Loop() {
		for _, in := range ins {
			Encode(in)
		}
	}
}

// BenchmarkDecode reads every column of a block of each codec; bytes are those
// of the values.
func BenchmarkDecode(b *testing.B) {
	type coded struct {
		c    *Column
		body []byte
		base *Vector
		size int64
	}
	byCodec := map[codec][]coded{}
	for _, in := range benchBlocks(b, 100_000) {
		e := Encode(in)
		h, err := DecodeHeader(e.Header)
		if err != nil {
			b.Fatal(err)
		}
		var all []coded
		bodies := e.Bodies
		for _, c := range append([]*Column{h.Time, h.Origin}, pointersTo(h.Columns)...) {
			x := coded{c: c, body: c.Inline()}
			if c.Body > 0 {
				x.body, bodies = bodies[0], bodies[1:]
			}
			all = append(all, x)
		}
		for _, x := range all {
			if k := x.c.Base(); k >= 0 {
				if x.base, err = all[k+2].c.Decode(all[k+2].body, nil); err != nil {
					b.Fatal(err)
				}
			}
			v, err := x.c.Decode(x.body, x.base)
			if err != nil {
				b.Fatal(err)
			}
			x.size = int64(8 * v.N)
			for i := 0; i < v.N && v.Kind == record.String; i++ {
				x.size += int64(len(v.Bytes(v.Entry(i)))) - 8
			}
			byCodec[x.c.codec] = append(byCodec[x.c.codec], x)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(byCodec)) {
		b.Run(fmt.Sprint("codec", k), func(b *testing.B) {
			size := int64(0)
			for _, x := range byCodec[k] {
				size += x.size
			}
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, x := range byCodec[k] {
					if _, err := x.c.Decode(x.body, x.base); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
