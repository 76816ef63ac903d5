package pipeline

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

func TestShapeOfText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(appendShape(nil, []byte(text))); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	f("job 17 took 3.5s", "job 0 took 0.0s")
	f("user deadbeef01 of 9b2d3c4e-1111-4222-8333-444455556666", "user 0 of 0-0-0-0-0")
	f("cafe and decade are words", "cafe and decade are words")
	f(`open "/etc/pass wd": it's 'so' "`, `open "…": it's '…' "`)
	f(`say "a \" b" end`, `say "…" end`)
	f(`\'\'\' "x"`, `\'\'\' "…"`)
	f(`\'\'\'\'\' "x"`, `\'\'\'\'\' "x"`) // many that never end are not all followed
	f("a\t \tb\n", "a b ")
	f("node07 up2date", "node0 up0date")
	f("größe 12", "größe 0")
	if got := appendShape(nil, []byte(strings.Repeat("ß", 300))); len(got) > maxShape || got[len(got)-1] == 0xc3 {
		t.Errorf("%d bytes, the last is %x", len(got), got[len(got)-1])
	}
}

// TestUnparsedShapes: what was not understood is counted by layout and shown by
// its shape, with an example that policy has redacted, for its own tenant only.
func TestUnparsedShapes(t *testing.T) {
	m := telemetry.New()
	pol, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{Appender: &kept{}, Policy: pol, Now: func() time.Time { return now }, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	var raws []record.Raw
	for i := range 1000 {
		raws = append(raws, record.Raw{Payload: fmt.Appendf(nil, "flux %d with Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlc2lnbmF0dXJl", i)})
	}
	if _, err := p.Ingest(t.Context(), &Request{Tenant: "main", Source: "test/x", Raws: raws}); err != nil {
		t.Fatal(err)
	}
	raws = append(raws[:0], record.Raw{JSON: true, Payload: []byte(`{"start_time":"2026-03-01T10:00:00Z","method":"GET","path":"/","response_code":true,"response_flags":"-","upstream_cluster":"c","upstream_host":"1.2.3.4:5","route_name":"r","duration":5}`)})
	if _, err := p.Ingest(t.Context(), &Request{Tenant: "main", Source: "test/x", Raws: raws}); err != nil {
		t.Fatal(err)
	}
	list := p.Unparsed().Shapes("main")
	if len(list) != 2 {
		t.Fatalf("%d shapes: %+v", len(list), list)
	}
	text, object := list[0], list[1]
	if text.Count != 1000 || text.Over != 0 || text.Format != "text" || text.Status != "none" || !strings.HasPrefix(text.Shape, "flux 0 with") || text.First != now.UnixNano() {
		t.Errorf("%+v", text)
	}
	if !strings.HasPrefix(text.Example, "flux ") || strings.Contains(text.Example, "c2lnbmF0dXJl") || strings.Contains(text.Shape, "c2lnbmF0dXJl") {
		t.Errorf("the example is not as policy left it: %s", text.Example)
	}
	if object.Count != 1 || object.Status != "partial" || object.Error != "response_code" || !strings.Contains(object.Shape, "http.request.method, ") || !strings.HasPrefix(object.Example, "{") {
		t.Errorf("%+v", object)
	}
	if other := p.Unparsed().Shapes("other"); len(other) != 0 {
		t.Errorf("another tenant sees %+v", other)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`meshtrail_records_parsed_total{format="text",status="none"} 1000`,
		`meshtrail_records_parsed_total{format="` + object.Format + `",status="partial"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// TestUnparsedIsBounded: ever new shapes and sources cost bounded memory, and the
// frequent one is found among them.
func TestUnparsedIsBounded(t *testing.T) {
	u := newUnparsed()
	for i := range 5000 {
		b := &record.Batch{Tenant: "main", Source: fmt.Sprint("s", i%2*i), Ingest: int64(i)}
		for _, body := range []string{strings.Repeat("x", i%300) + " y", "the same " + fmt.Sprint(i)} {
			b.Begin(1, "app")
			b.Str("body", body)
			b.Str("parse.format", "text")
			b.Str("parse.status", "none")
			b.End()
		}
		cols := map[string]*record.Column{}
		for _, c := range b.Columns() {
			cols[c.Name] = c
		}
		u.look(b, cols["parse.format"], cols["parse.status"], 2)
	}
	if len(u.byKey) > maxShapeSources || u.order.Len() != len(u.byKey) {
		t.Errorf("%d sources", len(u.byKey))
	}
	most := u.Shapes("main")[0]
	if most.Source != "s0" || most.Shape != "the same 0" || most.Count < 2500 || most.Count-most.Over > 2500 {
		t.Errorf("%+v", most)
	}
	for e := u.order.Front(); e != nil; e = e.Next() {
		if n := len(e.Value.(*shapesOf).shapes); n > maxShapes {
			t.Errorf("%d shapes", n)
		}
	}
}

func BenchmarkUnderstood(b *testing.B) {
	for _, status := range []string{"ok", "none"} {
		b.Run(status, func(b *testing.B) {
			batch := &record.Batch{Tenant: "main", Source: "s"}
			for i := range 1000 {
				batch.Begin(1, "app")
				batch.Str("body", fmt.Sprintf("job %d of node07 took 3.%ds and was well received by 10.0.0.%d", i, i, i%256))
				batch.Str("parse.format", "text")
				batch.Str("parse.status", status)
				batch.End()
			}
			batch.Number() // as Append does
			u := newUnderstood(telemetry.New())
			b.ReportAllocs()
			for b.Loop() {
				u.count(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}

// TestTallies: the same is counted whether values are numbered or not.
func TestTallies(t *testing.T) {
	for _, n := range []int{1, 3, 200} {
		b := &record.Batch{}
		want := map[string]int{}
		for i := range n * 7 {
			f, s := fmt.Sprint("f", i%n), []string{"ok", "partial", "none"}[i%3]
			b.Begin(1, "app")
			b.Str("parse.format", f)
			b.Str("parse.status", s)
			b.End()
			want[f+s]++
		}
		for _, numbered := range []bool{false, true} {
			if numbered {
				b.Number()
			}
			got, all := map[string]int{}, 0
			for _, x := range tallies(nil, b.Columns()[0], b.Columns()[1], b.Len()) {
				got[string(x.format)+string(x.status)] += x.n
				all += x.n
			}
			if all != b.Len() || n < 20 && !maps.Equal(got, want) {
				t.Errorf("%d layouts, numbered %v: %d of %d, %v", n, numbered, all, b.Len(), got)
			}
		}
	}
}
