package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheAskingVerbsBeyondRecords(t *testing.T) {
	_, flags := served(t)
	ask := func(code int, want string, args ...string) string {
		t.Helper()
		got, out, errs := run(t, append(args, flags...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
		}
		return out
	}
	// Metric queries as tables.
	out := ask(exitOK, `20   20    20   20  {service="cart"}`, "stats", `sum by (service) (count_over_time({service="cart"}[1h]))`, "--step", "30m", "--from", "-30m")
	if strings.ContainsAny(out, "▁▄█\x1b") {
		t.Errorf("a picture where nobody looks: %q", out)
	}
	ask(exitOK, "20  {}", "stats", `sum(count_over_time({service="cart"}[1h]))`, "--instant")
	ask(exitOK, "time,service,value\n", "stats", `sum by (service) (rate({service="cart"}[1h]))`, "-o", "csv")
	jsonl := ask(exitOK, "", "stats", `sum by (service) (count_over_time({service="cart"}[1h]))`, "-o", "jsonl", "--instant")
	var c struct {
		Labels map[string]string
		Last   float64
		Points []struct{ Value float64 }
	}
	if err := json.Unmarshal([]byte(jsonl), &c); err != nil || c.Labels["service"] != "cart" || c.Last != 20 || len(c.Points) != 1 {
		t.Errorf("%v: %s", err, jsonl)
	}
	ask(exitNoMatch, "nothing matches", "stats", `sum(count_over_time({service="nosuch"}[1h]))`)
	ask(exitUsage, "sum by (n)", "stats", `rate({}[5m])`, "--by", "n")
	ask(exitUsage, "metric queries", "stats", `{}`, "--step", "1m")
	ask(exitUsage, "both --instant and --step", "stats", `rate({}[5m])`, "--step", "1m", "--instant")

	// The language of the search bar.
	ask(exitOK, "order 07", "query", "--lang", "search", `service:cart AND "order 07"`)
	ask(exitUsage, "^", "query", "--lang", "search", `service:(cart`)
	ask(exitUsage, "--lang", "query", "--lang", "sql", `x`)
	ask(exitOK, "20", "stats", "--lang", "search", `service:cart`, "--by", "service")

	// What surrounds a record, oldest first, each once.
	out = ask(exitOK, "", "query", `{service="cart"} |= "order 07"`, "-C", "2", "-o", "raw", "--color", "never")
	if got := strings.Join(strings.Fields(strings.NewReplacer("order ", "", "\x1b[31mplaced", "").Replace(out)), " "); got != "05 06 07 08 09" {
		t.Errorf("context: %q", out)
	}
	out = ask(exitOK, "", "query", `{service="cart"} |~ "order (03|04|12)"`, "-A", "1", "-B", "1", "-o", "raw", "--forward")
	if got := strings.Join(strings.Fields(strings.NewReplacer("order ", "", "\x1b[31mplaced", "").Replace(out)), " "); got != "11 12 13 -- 02 03 04 05" {
		t.Errorf("context of neighbours: %q", got)
	}
	ask(exitUsage, "--limit", "query", "{}", "-C", "1", "--limit", "0")

	// A file for others, held against its manifest.
	code, file, errs := run(t, append([]string{"query", `{service="cart"}`, "-o", "parquet"}, flags...)...)
	if code != exitOK || !strings.HasPrefix(file, "PAR1") || !strings.HasSuffix(file, "PAR1") || !strings.Contains(errs, "20 records") {
		t.Errorf("parquet: exit %d, %d bytes, %s", code, len(file), errs)
	}
	ask(exitUsage, "no limit", "query", `{}`, "-o", "parquet", "--limit", "5")
	ask(exitUsage, "metric query", "query", `rate({}[5m])`, "-o", "parquet")
	ask(exitUsage, "both --forward and --reverse", "query", "{}", "--forward", "--reverse")

	// How a query is planned, and what that prunes.
	ask(exitOK, `service = "cart"`, "explain", `{service="cart"} | json`)
	ask(exitOK, "20 matched of", "explain", `{service="cart"}`, "--analyze")
	ask(exitOK, `"cost":{`, "explain", `rate({service="cart"}[5m])`, "--analyze", "-o", "jsonl")
}

func TestExportsThatAreCutOff(t *testing.T) {
	body := []byte("PAR1 and so on")
	sum := sha256.Sum256(body)
	for name, c := range map[string]struct {
		trailer string
		cut     bool
		code    int
	}{
		"whole":         {fmt.Sprintf(`{"rows":2,"bytes":%d,"sha256":"%s"}`, len(body), hex.EncodeToString(sum[:])), false, exitOK},
		"partial":       {fmt.Sprintf(`{"rows":2,"partial":true,"bytes":%d,"sha256":"%s"}`, len(body), hex.EncodeToString(sum[:])), false, exitPartial},
		"no manifest":   {"", false, exitPartial},
		"other length":  {fmt.Sprintf(`{"rows":2,"bytes":%d,"sha256":"%s"}`, len(body)+1, hex.EncodeToString(sum[:])), false, exitPartial},
		"other bytes":   {fmt.Sprintf(`{"rows":2,"bytes":%d,"sha256":"%x"}`, len(body), sha256.Sum256(nil)), false, exitPartial},
		"cut off early": {"", true, exitPartial},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", manifestTrailer)
			w.Write(body)
			http.NewResponseController(w).Flush()
			if c.cut {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set(manifestTrailer, c.trailer)
		}))
		code, out, errs := run(t, "query", "{}", "-o", "parquet", "--server", srv.URL, "--token-file", tokenFile(t))
		srv.Close()
		if code != c.code || out != string(body) {
			t.Errorf("%s: exit %d, want %d\n%q\n%s", name, code, c.code, out, errs)
		}
	}
}

// TestAnswersThatAreCutOff: records without the manifest, or with another number
// of them, are no answer.
func TestAnswersThatAreCutOff(t *testing.T) {
	const record = `{"time":"2026-01-02T03:04:05Z","ord":"1","class":"app","line":"x","fields":{}}` + "\n"
	for body, want := range map[string]int{
		record + `{"manifest":{"rows":1}}`: exitOK,
		record:                             exitPartial,
		record + `{"manifest":{"rows":2}}`: exitPartial,
		record + `{"manifest":{"rows":1,"partial":true}}`: exitPartial,
		`{"manifest":{"rows":0}}`:                         exitNoMatch,
		"":                                                exitPartial,
		"no JSON":                                         3,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		code, _, errs := run(t, "query", "{}", "-o", "raw", "--server", srv.URL, "--token-file", tokenFile(t))
		srv.Close()
		if code != want {
			t.Errorf("%q: exit %d, want %d\n%s", body, code, want, errs)
		}
	}
}

// tokenFile is a credential that looks like one.
func tokenFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte("mt_"+strings.Repeat("a", 52)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFormatAndLint(t *testing.T) {
	dir := t.TempDir()
	good, bad, broken := filepath.Join(dir, "good.logql"), filepath.Join(dir, "bad.logql"), filepath.Join(dir, "broken.logql")
	for name, text := range map[string]string{good: "sum by (service) (rate({mesh=\"istio\"} [5m]))\n", bad: "sum by(service)(rate({mesh=\"istio\"} [5m]))\n", broken: "{a="} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(code int, want string, stdin string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := Main(args, strings.NewReader(stdin), &out, &errs); got != code || !strings.Contains(out.String()+errs.String(), want) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, got, code, want, &out, &errs)
		}
	}
	f(exitOK, "sum by (service) (rate({mesh=\"istio\"} [5m]))\n", "", "fmt", `sum by(service)(rate({mesh="istio"}[5m]))`)
	f(exitOK, "sum by (service) (rate({mesh=\"istio\"} [5m]))\n", `sum(rate({mesh="istio"}[5m]))by(service)`, "fmt")
	f(exitOK, "\n", `{a="b"}|="c"`, "fmt", "--canonical", "-")
	f(exitOK, "", "", "fmt", "--check", "--file", good)
	f(exitNoMatch, bad+": not formatted", "", "fmt", "--check", "--file", good, "--file", bad)
	f(exitUsage, "  {a=\n     ^\n", "", "fmt", `{a=`)
	f(exitUsage, "no such file", "", "fmt", "--file", good+"x")
	f(exitOK, "a:b", "", "fmt", "--lang", "search", "a:b")
	f(exitOK, "", "", "lint", `{service="cart"} |= "timeout"`)
	f(exitNoMatch, "1:4: error: ", "", "lint", `{a=`)
	f(exitNoMatch, broken+":1:4: error: ", "", "lint", "--file", good, "--file", broken)
	f(exitNoMatch, `"line":1,"col":4,"severity":"error"`, "", "lint", "-o", "jsonl", `{a=`)
	f(exitNoMatch, "error", "a:(b", "lint", "--lang", "search")
}

func TestCaret(t *testing.T) {
	for _, c := range []struct {
		line string
		col  int
		want string
	}{
		{"{a=", 4, "  {a=\n     ^\n"},
		{"é日{", 3, "  é日{\n     ^\n"},
		{"\t{", 2, "  \t{\n  \t^\n"},
		{"a\x1b{", 3, "  a\\x1b{\n       ^\n"},
		{"x", 9, ""},
		{strings.Repeat("a", 300), 200, "  …" + strings.Repeat("a", 100) + "…\n   " + strings.Repeat(" ", 74) + "^\n"},
	} {
		if got := caret(c.line, c.col); got != c.want {
			t.Errorf("%q at %d:\n%q, want\n%q", c.line, c.col, got, c.want)
		}
	}
	// A query of several lines, and an error that only the server knows.
	code, _, errs := run(t, "explain", "{}\n| a >= ")
	if code != exitUsage || !strings.Contains(errs, "\n  | a >= \n") || !strings.Contains(errs, "^\n") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	err := at("{a=}", fmt.Errorf("the server answered: parse error at line 1, col 4: x"))
	if q, ok := err.(*queryError); !ok || q.picture() != "  {a=}\n     ^\n" {
		t.Errorf("%v", err)
	}
}

func TestColours(t *testing.T) {
	severe := func(severity string) string {
		var out bytes.Buffer
		if err := writePretty(&out, &shown{severity: severity, line: "x", fields: map[string]any{"service.name": "cart"}}, nil, true); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for severity, colour := range map[string]string{"ERROR": red, "fatal": boldRed, "Warning": yellow, "debug": dim, "INFO": green} {
		if got := severe(severity); !strings.Contains(got, colour+severity) || strings.Count(got, plain) != strings.Count(got, "\x1b[")/2 {
			t.Errorf("%s: %q", severity, got)
		}
	}
	look := &terminal{outTTY: true}
	for _, c := range []struct {
		when, noColor string
		t             *terminal
		want          bool
	}{{"auto", "", look, true}, {"auto", "1", look, false}, {"auto", "", &terminal{}, false}, {"always", "1", &terminal{}, true}, {"never", "", look, false}} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", "xterm")
		if got, err := c.t.colours(c.when); got != c.want || err != nil {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	if _, err := look.colours("sometimes"); err == nil {
		t.Error("--color sometimes")
	}
}

func TestMeter(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	m := (&terminal{err: &out, errTTY: true}).meter("records")
	m.now = func() time.Time { return now }
	m.begun = now
	m.at(64)
	if out.Len() > 0 {
		t.Errorf("of short work: %q", out.String())
	}
	now = now.Add(2 * time.Second)
	m.at(128)
	m.at(192) // too soon
	m.end()
	m.end()
	if got := out.String(); got != "\r\x1b[K128 records in 2s\r\x1b[K" {
		t.Errorf("%q", got)
	}
	for _, quiet := range []*terminal{{err: &out}, {err: &out, errTTY: true, outTTY: true}} {
		out.Reset()
		m := quiet.meter("records")
		m.begun = now.Add(-time.Hour)
		m.at(0)
		m.end()
		if out.Len() > 0 {
			t.Errorf("%q", out.String())
		}
	}
}

func TestSparkline(t *testing.T) {
	nan := math.NaN()
	for want, values := range map[string][]float64{
		" ▁▄█":  {0, 0.1, 4, 8},
		"▁█ █":  {-1, 1, nan, 1},
		"█  █":  {3, 0, nan, 3},
		"":      nil,
		" █ ▂█": {nan, math.Inf(1), nan, 1, 7},
	} {
		if got := sparkline(values); got != want {
			t.Errorf("%v gives %q, want %q", values, got, want)
		}
	}
}
