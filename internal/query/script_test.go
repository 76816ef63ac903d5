package query_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// base is time 0 of the scripts.
var base = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// recorder keeps acts, and fails when told to. Acts may be recorded by several
// goroutines; they are read when all have ended.
type recorder struct {
	mu   sync.Mutex
	acts []audit.Act
	err  error
	gate chan struct{} // when set, Record waits for it
}

func (r *recorder) Record(ctx context.Context, a audit.Act) error {
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acts = append(r.acts, a)
	return r.err
}

func scopeOf(t testing.TB, grants ...access.Permission) access.Scope {
	t.Helper()
	s, err := access.ReadScope(&access.Principal{Name: "alice", Tenant: "acme", Grants: append(grants, access.LogsRead)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func engine(t testing.TB, r store.Reader, change ...func(*query.Options)) *query.Engine {
	t.Helper()
	o := query.Options{Store: r, Audit: &recorder{}, Now: func() time.Time { return base.Add(time.Hour) }}
	for _, c := range change {
		c(&o)
	}
	e, err := query.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var seed = flag.Int("seed", 1, "seed of the differential tests")

// rounds of the differential tests; MESHTRAIL_LONG makes them many.
func rounds() int {
	if os.Getenv("MESHTRAIL_LONG") != "" {
		return 500
	}
	return 100
}

// readers are what every script runs against.
var readers = map[string]func(t *testing.T, b []*record.Batch) store.Reader{
	"naive": func(t *testing.T, batches []*record.Batch) store.Reader {
		s := &querytest.Store{}
		for _, b := range batches {
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		return s
	},
	"unsealed": realReader(func(int) bool { return false }),
	"sealed":   realReader(func(int) bool { return true }),
}

// TestScripts runs testdata/*.txt. A script is a list of commands, each with its
// expected answer indented below it:
//
//	load                    records: time after 12:00, class, fields
//	query Q                 a log query over all time, newest first: time and line
//	oldest Q                the same, oldest first
//	made Q                  the same as query, with the labels that the stages made
//	limit N Q               the same, N records at most
//	records A,B Q           the fields A and B (* is all) of its records as the native
//	                        API has them, oldest first
//	streams Q               its streams: labels and number of records
//	at T Q                  a metric query at one time: labels and value
//	range T1 T2 STEP Q      a metric query over time: labels and values, - for none
//	refuse Q                the error
//
// "as auditor" lets the following commands read audit records.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range slices.Sorted(maps.Keys(readers)) {
		open := readers[name]
		for _, f := range files {
			t.Run(name+"/"+strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
				text, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				runScript(t, string(text), open)
			})
		}
	}
}

type command struct {
	line int
	text string
	body []string
}

func commands(text string) (out []command) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "  "):
			c := &out[len(out)-1]
			c.body = append(c.body, strings.TrimSpace(line))
		default:
			out = append(out, command{line: i + 1, text: line})
		}
	}
	return out
}

func runScript(t *testing.T, text string, open func(*testing.T, []*record.Batch) store.Reader) {
	var batches []*record.Batch
	var e *query.Engine
	scope := scopeOf(t)
	for _, c := range commands(text) {
		verb, rest, _ := strings.Cut(c.text, " ")
		switch verb {
		case "load":
			batches = append(batches, loadBatch(t, c))
			e = engine(t, open(t, batches))
			continue
		case "as":
			scope = scopeOf(t, access.AuditRead)
			continue
		}
		got := answer(t, e, scope, verb, rest)
		if strings.Join(got, "\n") != strings.Join(c.body, "\n") {
			t.Errorf("line %d: %s\n got:\n  %s\nwant:\n  %s", c.line, c.text, strings.Join(got, "\n  "), strings.Join(c.body, "\n  "))
		}
	}
}

func loadBatch(t *testing.T, c command) *record.Batch {
	t.Helper()
	b := &record.Batch{Tenant: "acme", Source: "test", Ingest: base.UnixNano()}
	for _, line := range c.body {
		parts := strings.SplitN(line, " ", 3)
		at, err := time.ParseDuration(parts[0])
		if err != nil {
			t.Fatalf("line %d: %v", c.line, err)
		}
		b.Begin(base.Add(at).UnixNano(), record.Class(parts[1]))
		d := json.NewDecoder(strings.NewReader(parts[2]))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			t.Fatalf("line %d: %s: %v", c.line, line, err)
		}
		for _, k := range sortedKeys(m) {
			switch v := m[k].(type) {
			case string:
				b.Str(k, v)
			case bool:
				b.Bool(k, v)
			case json.Number:
				if i, err := v.Int64(); err == nil {
					b.Int(k, i)
				} else {
					f, _ := v.Float64()
					b.Float(k, f)
				}
			}
		}
		b.End()
	}
	b.Account.Received = uint64(b.Len())
	return b
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func answer(t *testing.T, e *query.Engine, scope access.Scope, verb, rest string) []string {
	t.Helper()
	req := query.Request{Start: base.Add(-24 * time.Hour).UnixNano(), End: base.Add(24 * time.Hour).UnixNano(), Step: 1e9 * 3600}
	after := func(s string) (at int64, rest string) {
		word, rest, _ := strings.Cut(s, " ")
		d, err := time.ParseDuration(word)
		if err != nil {
			t.Fatal(err)
		}
		return base.Add(d).UnixNano(), rest
	}
	switch verb {
	case "at":
		req.End, rest = after(rest)
		req.Instant = true
	case "range":
		req.Start, rest = after(rest)
		req.End, rest = after(rest)
		req.Step, rest = after(rest)
		req.Step -= base.UnixNano()
	case "oldest":
		req.Order = store.Oldest
	case "limit":
		n, after, _ := strings.Cut(rest, " ")
		rest = after
		var err error
		if req.Limit, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	case "records":
		return stream(t, e, scope, &req, rest)
	}
	req.Query = rest
	res, err := e.Query(t.Context(), scope, req)
	if err != nil {
		if verb != "refuse" {
			return []string{"error: " + err.Error()}
		}
		out := []string{err.Error()}
		if h := fault.HintOf(err); h != "" {
			out = append(out, "hint: "+h)
		}
		return out
	}
	return render(verb, res)
}

// stream answers "records".
func stream(t *testing.T, e *query.Engine, scope access.Scope, req *query.Request, rest string) (out []string) {
	names, q, _ := strings.Cut(rest, " ")
	r := query.StreamRequest{Query: q, From: req.Start, To: req.End, Order: store.Oldest}
	if names != "*" {
		r.Fields = strings.Split(names, ",")
	}
	_, err := e.Stream(t.Context(), scope, r, func(rs []record.Record) error {
		for i := range rs {
			out = append(out, fmt.Sprintf("%s %s", time.Unix(0, rs[i].Time).Sub(base), match.AppendJSON(nil, rs[i].Fields)))
		}
		return nil
	})
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	return out
}

func render(verb string, res *query.Result) (out []string) {
	switch res.Kind {
	case query.Streams:
		if verb == "streams" {
			for _, s := range res.Streams {
				out = append(out, fmt.Sprintf("%s %d", labelText(s.Labels), len(s.Entries)))
			}
			return out
		}
		var all []query.Entry
		for _, s := range res.Streams {
			all = append(all, s.Entries...)
		}
		sort.Slice(all, func(i, j int) bool {
			a, b := all[i].Record, all[j].Record
			if a.Time != b.Time {
				return (a.Time < b.Time) == (verb == "oldest")
			}
			return a.Ord < b.Ord
		})
		for _, e := range all {
			made := ""
			if verb == "made" {
				made = " " + labelText(e.Parsed)
			}
			out = append(out, fmt.Sprintf("%s %s%s", time.Unix(0, e.Record.Time).Sub(base), e.Line, made))
		}
	case query.Scalar:
		out = append(out, number(res.Scalar))
	default:
		for _, s := range res.Series {
			line := labelText(s.Labels)
			for i := range s.Vals {
				if s.Has[i] {
					line += " " + number(s.Vals[i])
				} else {
					line += " -"
				}
			}
			out = append(out, line)
		}
	}
	return out
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func labelText(l query.Labels) string {
	parts := make([]string, len(l))
	for i := range l {
		parts[i] = fmt.Sprintf("%s=%q", l[i].Name, l[i].Value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
