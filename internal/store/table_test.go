package store

import (
	"context"
	"errors"
	mrand "math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestTableTellsWhatRecordsDo reads fields by columns and from the records
// themselves: filters, fields and time ranges are drawn.
func TestTableTellsWhatRecordsDo(t *testing.T) {
	for _, rows := range []int{1, 40, 300} {
		r := mrand.New(mrand.NewPCG(uint64(rows), 7))
		l := manual()
		l.BlockRows = rows
		s, _ := newWorld(t, l)
		o := &oracle{}
		put := func(b *record.Batch) { mustAppend(t, s, b); o.add(b) }
		for i := range 9 {
			put(meshBatch(r, noon+r.Int64N(5e10), 50))
			if i%3 == 2 {
				mustSeal(t, s)
			}
		}
		put(meshBatch(r, noon, 30)) // not sealed
		for range long(120, 2000) {
			req := TableRequest{Tenant: "acme", To: 1 << 62, Where: drawMeshFilter(r)}
			if r.IntN(2) == 0 {
				req.From = noon + r.Int64N(3e10)
				req.To = req.From + 1 + r.Int64N(8e10)
			}
			for range 1 + r.IntN(4) {
				req.Fields = append(req.Fields, []string{"service", "status", "cluster", "retried", "empty", "ratio", "path", "nowhere"}[r.IntN(8)])
			}
			var got, want []string
			_, err := s.Table(context.Background(), req, func(p *Part) error {
				for i := range p.Records {
					line := ""
					for k := range p.Columns {
						if c := &p.Columns[k]; c.Codes[i] != 0 {
							line += "=" + string(c.Text(i))
						}
						line += ";"
					}
					got = append(got, line)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range o.ask(ScanRequest{Tenant: "acme", From: req.From, To: req.To, Where: req.Where}) {
				line := ""
				for _, name := range req.Fields {
					if v, ok := match.Value(name, &rec); ok {
						line += "=" + v.Text()
					}
					line += ";"
				}
				want = append(want, line)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("%v from %d to %d where %v:\n%q\nwant\n%q", req.Fields, req.From, req.To, req.Where, got, want)
			}
		}
	}
}

// TestTableEndsWhenItsReaderDoes returns the error of who reads.
func TestTableEndsWhenItsReaderDoes(t *testing.T) {
	s, _ := newWorld(t, manual())
	mustAppend(t, s, meshBatch(mrand.New(mrand.NewPCG(1, 1)), noon, 500))
	mustSeal(t, s)
	enough := errors.New("enough")
	if _, err := s.Table(context.Background(), TableRequest{Tenant: "acme", To: 1 << 62}, func(*Part) error { return enough }); err != enough {
		t.Error(err)
	}
}
