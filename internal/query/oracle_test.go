package query_test

import (
	"fmt"
	"maps"
	"math"
	mrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// oracleRounds is how many random queries TestOracle asks.
func oracleRounds() int {
	if os.Getenv("MESHTRAIL_LONG") != "" {
		return 100_000
	}
	return 4_000
}

// TestOracle asks the engine random queries over random records, on the real
// store, and holds the answers against querytest's evaluator, which works by
// definition: one record and one moment at a time.
func TestOracle(t *testing.T) {
	const perWorld = 500
	for world := range oracleRounds() / perWorld {
		rnd := mrand.New(mrand.NewPCG(uint64(*seed), uint64(world)))
		batches := pipelineBatches(rnd, 250)
		var records []record.Record
		for i, b := range batches {
			b.Ord = uint64(i+1) << 20
			for j := range b.Len() {
				records = append(records, b.Record(j))
			}
		}
		slices.SortStableFunc(records, func(a, b record.Record) int { return int(a.Time - b.Time) })
		e := engine(t, realReader(func(int) bool { return rnd.IntN(3) == 0 })(t, batches))
		for i := range perWorld {
			g := generator{rnd}
			what := fmt.Sprintf("-seed %d, world %d, round %d", *seed, world, i)
			if rnd.IntN(2) == 0 {
				q := g.log()
				err := checkLog(t, e, q, records, query.Request{
					Query: q, Start: base.UnixNano(), End: base.Add(time.Hour).UnixNano(), Limit: 5000, Order: store.Oldest,
				})
				if err != nil {
					t.Fatalf("%s: %s\n%v", what, q, err)
				}
				continue
			}
			q := g.metric(2)
			req := query.Request{Query: q, Step: []int64{1e9, 3e9, 7e9, 500e6}[rnd.IntN(4)]}
			req.Start = base.Add(time.Duration(rnd.IntN(20_000)) * time.Millisecond).UnixNano()
			req.End = req.Start + req.Step*int64(rnd.IntN(8))
			if err := checkMetric(t, e, q, records, req); err != nil {
				t.Fatalf("%s: %s\n%v", what, q, err)
			}
		}
	}
}

func checkLog(t *testing.T, e *query.Engine, q string, records []record.Record, req query.Request) error {
	x, err := logql.ParseLog(q)
	if err != nil {
		return err
	}
	res, err := e.Query(t.Context(), scopeOf(t), req)
	if err != nil {
		return err
	}
	var got, want []string
	for _, s := range res.Streams {
		for _, e := range s.Entries {
			got = append(got, fmt.Sprint(e.Record.Time, " ", e.Line))
		}
	}
	for _, l := range querytest.Select(x, records) {
		want = append(want, fmt.Sprint(l.Record.Time, " ", l.Text))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d lines, want %d\n%s", len(got), len(want), difference(got, want))
	}
	return nil
}

// difference shows the first lines that one side has and the other has not.
func difference(got, want []string) string {
	count := map[string]int{}
	for _, s := range got {
		count[s]++
	}
	for _, s := range want {
		count[s]--
	}
	out := ""
	for _, s := range slices.Sorted(maps.Keys(count)) {
		if n := count[s]; n != 0 && strings.Count(out, "\n") < 6 {
			out += fmt.Sprintf("  %+d %s\n", n, s)
		}
	}
	return out
}

func checkMetric(t *testing.T, e *query.Engine, q string, records []record.Record, req query.Request) error {
	x, err := logql.Parse(q)
	if err != nil {
		return err
	}
	res, err := e.Query(t.Context(), scopeOf(t), req)
	var wantErr error
	for i, at := 0, req.Start; at <= req.End; i, at = i+1, at+req.Step {
		want, werr := querytest.Eval(x, records, at)
		if werr != nil {
			wantErr = werr
			continue
		}
		if err != nil {
			continue
		}
		got := map[string]float64{}
		for _, s := range res.Series {
			if s.Has[i] {
				got[querytest.Sample{Labels: s.Labels.Map()}.Key()] = s.Vals[i]
			}
		}
		if diff := compareSamples(got, want, strings.Contains(q, "topk") || strings.Contains(q, "bottomk")); diff != "" {
			return fmt.Errorf("start %d, step %s, at %s\n%s", req.Start, time.Duration(req.Step), time.Duration(at-base.UnixNano()), diff)
		}
	}
	if (err == nil) != (wantErr == nil) {
		return fmt.Errorf("error %v, want %v", err, wantErr)
	}
	return nil
}

// compareSamples reports where two answers differ. Of a ranking only the values
// are compared, as equal values may be ranked in any order.
func compareSamples(got map[string]float64, want []querytest.Sample, values bool) string {
	same := func(a, b float64) bool {
		return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-3)
	}
	if values {
		g, w := slices.Sorted(maps.Values(got)), []float64{}
		for _, s := range want {
			w = append(w, s.Value)
		}
		slices.Sort(w)
		if !slices.EqualFunc(g, w, same) {
			return fmt.Sprintf("values %v, want %v", g, w)
		}
		return ""
	}
	out := ""
	for _, s := range want {
		v, ok := got[s.Key()]
		if !ok || !same(v, s.Value) {
			out += fmt.Sprintf("  %s is %v (%v), want %v\n", s.Key(), v, ok, s.Value)
		}
		delete(got, s.Key())
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		out += fmt.Sprintf("  %s is %v, want nothing\n", k, got[k])
	}
	return out
}

// pipelineBatches makes records for pipelines: bodies that are JSON, logfmt,
// plain, coloured, or absent.
func pipelineBatches(rnd *mrand.Rand, n int) []*record.Batch {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	var out []*record.Batch
	at := base.UnixNano()
	for i := 0; i < n; {
		b := &record.Batch{Tenant: "acme", Source: "test", Ingest: base.UnixNano()}
		for range min(n-i, 1+rnd.IntN(60)) {
			at += 1 + rnd.Int64N(200e6) // no two records of one time: first and last are clear
			b.Begin(at, record.Class(pick("app", "app", "app", "ops", "audit")))
			b.Str("service.name", pick("cart", "pay", "users"))
			switch rnd.IntN(5) {
			case 0: // understood at intake
				b.Str("mesh.type", pick("istio", "linkerd"))
				b.Int("http.response.status_code", int64(200+rnd.IntN(4)*101))
				b.Int("mesh.duration_ns", rnd.Int64N(5e8))
				b.Str("client.address", fmt.Sprintf("10.%d.0.%d", rnd.IntN(3), rnd.IntN(9)))
			case 1:
				b.Str("body", fmt.Sprintf(`{"lvl":"%s","n":%d,"deep":{"code":"%s","ok":%t},"service":"inner"}`,
					pick("info", "warn"), rnd.IntN(50), pick("200", "404", "x"), rnd.IntN(2) == 0))
			case 2:
				b.Str("body", fmt.Sprintf(`lvl=%s n=%d took=%dms msg=%s`, pick("info", "error"), rnd.IntN(50), rnd.IntN(900), pick("up", "down")))
				b.Str("lvl", pick("stored", "info"))
			case 3:
				b.Str("body", fmt.Sprintf("%sGET /cart/%d from 10.%d.0.7 took %dms%s", pick("", "\x1b[31m"), rnd.IntN(5), rnd.IntN(3), rnd.IntN(900), pick("", "\x1b[0m")))
				b.Str("elapsed", fmt.Sprintf("%dms", rnd.IntN(900)))
				b.Str("size", pick("5KB", "2KiB", "700B"))
				b.Float("ratio", float64(rnd.IntN(40))/4)
			default:
				b.Str("job", pick("a", "b"))
				b.Str(record.Labels, pick("job", ""))
				b.Str("body", pick("", "up", "down"))
				b.Str("mixed", pick("1", "2.5", "7"))
			}
			b.End()
			i++
		}
		b.Account.Received = uint64(b.Len())
		out = append(out, b)
	}
	return out
}

// A generator draws queries of which most select something.
type generator struct{ rnd *mrand.Rand }

func (g generator) pick(list ...string) string { return list[g.rnd.IntN(len(list))] }

func (g generator) chance(percent int) bool { return g.rnd.IntN(100) < percent }

func (g generator) selector() string {
	var parts []string
	for range g.rnd.IntN(3) {
		parts = append(parts, g.pick(`service`, `service_name`, `mesh`, `lvl`, `job`, `absent`)+
			g.pick(`=`, `!=`, `=~`, `!~`)+g.pick(`"cart"`, `"pay|users"`, `"istio"`, `""`, `".*"`, `".+"`, `"a"`, `"info"`, `"c.*t"`))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (g generator) log() string {
	q := g.selector()
	names := false
	for range g.rnd.IntN(5) {
		s := g.stage()
		if names && strings.HasPrefix(s, "!") {
			continue // would be read as a comparison of the last name
		}
		q += " " + s
		names = strings.HasPrefix(s, "| drop") || strings.HasPrefix(s, "| keep")
	}
	return q
}

func (g generator) stage() string {
	switch g.rnd.IntN(12) {
	case 0, 1:
		return g.lineFilter()
	case 2, 3, 4:
		return "| " + g.cond()
	case 5:
		return "| json"
	case 6:
		return "| logfmt"
	case 7:
		return "| regexp " + g.pick("`took (?P<took>[0-9]+)ms`", "`(?P<method>[A-Z]+) (?P<path>/[a-z]+)`", "`n.{1,2}(?P<n>[0-9]+)`")
	case 8:
		return "| line_format " + g.pick("`{{.service}} {{.lvl}}`", "`x={{.n}} {{.took}}`", "`plain`", "`{{.absent}}{{.path}}`")
	case 9:
		return "| label_format " + g.pick("who=service", "lvl=\"{{.lvl}}!\"", "n=took", "both=`{{.service}}/{{.n}}`, level2=lvl")
	case 10:
		return g.pick("| decolorize", "| drop lvl", "| drop n, took", "| drop lvl=\"info\"", "| keep service, n", "| keep lvl=~\"i.*\"")
	}
	return "| distinct " + g.pick("service", "lvl, service", "n")
}

func (g generator) lineFilter() string {
	switch g.rnd.IntN(4) {
	case 0:
		return g.pick("|=", "!=") + " " + g.pick(`"took"`, `"cart"`, `"e"`, `"lvl" or "up"`, `"503"`, `"plain"`, `"GET" or "POST"`, `"{"`)
	case 1:
		return g.pick("|~", "!~") + " " + g.pick(`"took [0-9]+ms"`, `"(?i)INFO"`, `"cart|down"`, `"^lvl"`, `"[0-9]$"`)
	case 2:
		return g.pick("|>", "!>") + " " + g.pick(`"<_>took<_>"`, `"lvl=<_> n=<_>"`, `"<_>GET /cart/<_> from <_>"`)
	}
	return g.pick("|=", "!=") + " " + g.pick(`ip("10.1.0.0/16")`, `ip("10.0.0.7")`, `ip("10.1.0.0-10.2.255.255")`)
}

func (g generator) cond() string {
	one := func() string {
		switch g.rnd.IntN(4) {
		case 0:
			return g.pick(`lvl`, `service`, `msg`, `deep_code`, `deep_ok`, `service_extracted`, `lvl_extracted`, `path`, `who`, `job`) +
				g.pick(`=`, `!=`, `=~`, `!~`) + g.pick(`"info"`, `"warn|error"`, `""`, `"cart"`, `"200"`, `".+"`, `"true"`, `"i.*"`)
		case 1:
			return g.pick(`elapsed`, `took`, `mesh_duration_ns`) + g.pick(` > `, ` >= `, ` < `, ` <= `) + g.pick(`250ms`, `0s`, `100ms`)
		case 2:
			return `client_address` + g.pick(`=`, `!=`) + g.pick(`ip("10.1.0.0/16")`, `ip("10.0.0.3")`)
		}
		return g.pick(`status`, `http_response_status_code`, `n`, `ratio`, `mixed`, `duration`, `took`, `deep_code`, `absent`) +
			g.pick(` > `, ` >= `, ` < `, ` <= `, ` == `, ` != `) + g.pick(`404`, `200`, `2.5`, `20`, `7`)
	}
	c := one()
	for g.chance(25) {
		c += g.pick(" and ", " or ") + one()
	}
	return c
}

func (g generator) rangeAgg() string {
	grouping := ""
	window := " [" + g.pick("1s", "5s", "13s", "700ms") + "]" + g.pick("", "", "", " offset 2s", " offset -1s")
	if g.chance(45) {
		return g.pick("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time") + "(" + g.log() + window + ")"
	}
	op := g.pick("sum", "avg", "min", "max", "first", "last", "stddev", "stdvar", "quantile", "rate")
	grouped := op != "sum" && op != "rate"
	if grouped && g.chance(40) {
		grouping = g.pick(" by (service)", " without (service)", " by ()", " by (lvl, service)")
	}
	if op = op + "_over_time"; op == "rate_over_time" {
		op = "rate"
	}
	if op == "quantile_over_time" {
		op += "(" + g.pick("0.5", "0.99", "0", "1", "0.25") + ", "
	} else {
		op += "("
	}
	unwrap := " | unwrap " + g.pick("ratio", "n", "mesh_duration_ns", "duration", "mixed", "http_response_status_code", "duration(elapsed)", "bytes(size)", "deep_code") + g.pick("", ` | __error__=""`)
	return op + g.log() + unwrap + window + ")" + grouping
}

func (g generator) metric(depth int) string {
	if depth == 0 {
		return g.rangeAgg()
	}
	switch g.rnd.IntN(8) {
	case 0, 1, 2:
		op := g.pick("sum", "sum", "max", "min", "count", "avg", "stddev", "stdvar")
		return op + g.pick(" ", " by (service) ", " by (mesh, http_response_status_code) ", " without (service) ", " by (lvl, n) ") + "(" + g.metric(depth-1) + ")"
	case 3:
		if depth == 2 { // what a ranking keeps among equals is nobody else's input
			return g.pick("topk", "bottomk") + "(" + g.pick("1", "2", "5") + ", " + g.rangeAgg() + ")"
		}
	case 4:
		return "(" + g.metric(depth-1) + g.pick(" + ", " - ", " * ", " / ", " > ", " >= bool ") + g.pick("2", "0.5", "0") + ")"
	case 5:
		by := g.pick("(service)", "(lvl)")
		return "(sum by " + by + " (" + g.metric(depth-1) + ")" + g.pick(" / ", " + ", " and ", " or ", " unless ", " > ", " <= bool ") + "sum by " + by + " (" + g.metric(depth-1) + "))"
	case 6:
		return `label_replace(` + g.metric(depth-1) + `, "dst", "$1-x", "service", "(c|p)(.*)")`
	}
	return g.rangeAgg()
}
