package pipe_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/record"
)

func format(t testing.TB, template string) *pipe.Run {
	t.Helper()
	p, err := pipe.Compile([]logql.Stage{&logql.LineFormat{Template: template}})
	if err != nil {
		t.Fatalf("%s: %v", template, err)
	}
	return p.NewRun()
}

// subject is what the templates of the tests are about.
var subject = text("The line", "path", "/api/v1/users", "foo", "250ms", "size", "5 KB", "ip", " 10.0.0.1 ",
	"method", "get", "n", "42", "f", "3.7", "empty", "", "from", "1679577215",
	"queries", `[{"query":"a"},{"query":"b"}]`, "object", `{"foo": 55}`, "when", "2021-11-02T10:00:00Z", "k8s.pod.name", "p-1", "bad", "x")

// TestFunctions holds each function against what Loki's documentation says of
// it.
func TestFunctions(t *testing.T) {
	for template, want := range map[string]string{
		`{{ .path | replace "/" "_" | trunc 5 | upper }}`:                                                   "_API_",
		`{{ if and (contains "he" "hello") (contains "llo" "hello") }}yes{{end}}`:                           "yes",
		`{{ if contains "ErrTimeout" .foo }} timeout {{else if contains "he" "hello"}}yes{{else}}no{{end}}`: "yes",
		`{{ __line__ | lower }}`: "the line",
		`{{ __timestamp__ }}`:    "2023-11-14 22:13:20.123456789 +0000 UTC",
		`{{ __timestamp__ | date "2006-01-02T15:04:05.00Z-07:00" }}`:                                                       "2023-11-14T22:13:20.12Z+00:00",
		`{{ __timestamp__ | unixEpoch }}`:                                                                                  "1700000000",
		`{{ __timestamp__ | unixEpochMillis }}`:                                                                            "1700000000123",
		`{{ unixEpochNanos __timestamp__ }}`:                                                                               "1700000000123456789",
		`{{ __timestamp__.Year }}{{ (__timestamp__).Format "-01" }}`:                                                       "2023-11",
		`{{ .foo | duration }} {{ duration_seconds "1h" }}`:                                                                "0.25 3600",
		`{{ toDate "2006-01-02" "2021-11-02" }}`:                                                                           "2021-11-02 00:00:00 +0000 UTC",
		`{{ .when | toDateInZone "2006-01-02T15:04:05Z" "UTC" | unixEpoch }}`:                                              "1635847200",
		`{{ toDateInZone "2006-01-02 15:04" "no/zone" "2021-11-02 01:00" }}`:                                               "2021-11-02 01:00:00 +0000 UTC",
		`{{date "2006-01-02" (unixToTime .from)}}`:                                                                         "2023-03-23",
		`{{ unixToTime "19373" | date "2006-01-02" }}`:                                                                     "2023-01-16",
		`{{ unixToTime "1673798889902000000" | unixEpochMillis }}`:                                                         "1673798889902",
		`{{ alignLeft 5 "hello world"}}|{{ alignLeft 5 "hi"}}|`:                                                            "hello|hi   |",
		`{{ alignRight 5 "hello world"}}|{{ alignRight 5 "hi"}}|`:                                                          "world|   hi|",
		`{{ .path | b64enc }} {{ b64dec "aGk" }} {{ b64dec "aGk=" }}`:                                                      "L2FwaS92MS91c2Vycw== hi hi",
		`{{ .size | bytes }} {{ bytes "2KiB" }}`:                                                                           "5000 2048",
		`{{ default "-" "" }}{{ default "-" "foo" }}{{ .none | default "?" }}{{ .empty | default "!" }}`:                   "-foo?!",
		`{{ $o := fromJson .object }}{{ $o.foo }}{{ fromJson "{" }}`:                                                       "55",
		`{{ range $q := fromJson .queries }}{{ $q.query }},{{ end }}`:                                                      "a,b,",
		`{{ indent 2 "a\nb" }}`:                                                                                            "  a\n  b",
		`{{ nindent 2 "a\nb" }}`:                                                                                           "\n  a\n  b",
		`{{ repeat 3 "hello" }}`:                                                                                           "hellohellohello",
		`{{ printf "The address was %s, %5d|%-6.3s|%%|%5.1f" .ip 42 "hello" 2.25 }}`:                                       "The address was  10.0.0.1 ,    42|hel   |%|  2.2",
		`{{ printf "%d" }}{{ printf "x" 1 }}`:                                                                              "%!d(MISSING)x%!(EXTRA 1 arguments)",
		`{{ print .n 1 2 "x" }}{{ println "y" }}`:                                                                          "421 2x" + "y\n",
		`{{ substr 0 5 "hello world"}} {{ substr 6 11 "hello world"}} {{ substr -1 3 "hello" }} {{ substr 2 -1 "hello" }}`: "hello world hel llo",
		`{{ title "hello world"}} {{ .method | title }}`:                                                                   "Hello World Get",
		`[{{ .ip | trim }}] {{ .path | trimAll "/" }} {{ trimAll "$" "$5.00" }} {{ trimPrefix "-" "-hello" }} {{ trimSuffix "-" "hello-" }}`: "[10.0.0.1] api/v1/users 5.00 hello hello",
		`{{ trunc 5 "hello world"}} {{ trunc -5 "hello world"}} {{ trunc 99 "x" }}`:                                                          "hello world x",
		`{{ urlencode "a b&c" }} {{ urldecode "a+b%26c" }}`:                                                                                  "a+b%26c a b&c",
		`{{ if eq "hello" "hello" }}1{{end}}{{ if hasSuffix "users" .path }}2{{end}}{{ if hasPrefix "/api" .path }}3{{end}}`:                 "123",
		`{{ add 3 2 5 }} {{ addf 3.5 2 5 }} {{ sub 5 2 }} {{ subf 5.5 2 1.5 }} {{ mul 5 2 3}} {{ mulf 5.5 2 2.5 }}`:                          "10 10.5 3 2 30 27.5",
		`{{ div 10 2}} {{ divf 10 2 4}} {{ mod 10 3}} {{ div .n "4" }}`:                                                                      "5 1.25 1 10",
		`{{ ceil 123.001 }} {{ floor 123.9999 }} {{ round 123.555555 3 }} {{ round 123.88571428571 5 .2 }} {{ round 123.88571428571 5 }}`:    "124 123 123.556 123.88572 123.88571",
		`{{ "3.5" | float64 }} {{ "3" | int }} {{ .f | int }} {{ int .bad }}`:                                                                "3.5 3 3 0",
		`{{ max 1 2 3 }} {{ min 1 2 3 }} {{ maxf 1 2.5 3 }} {{ minf 1 2.5 3 }}`:                                                              "3 1 3 1",
		`{{ count "a|b" "abab" }} {{ __line__ | count "i" }}`:                                                                                "4 1",
		`{{ regexReplaceAll "(a*)bc" "aabcx" "${1}y" }}`:                                                                                     "aayx",
		`{{ regexReplaceAllLiteral "(ts=)" "ts=1 ts=2" "$1=" }}`:                                                                             "$1=1 $1=2",
		`{{ ToUpper "a" }}{{ Replace "aaa" "a" "b" 2 }}{{ TrimPrefix "xy" "x" }}{{ Trim "-a-" "-" }}`:                                        "Abbaya",
		`{{ range $k, $v := . }}{{ if hasPrefix "k8s" $k }}{{ $k }}={{ $v }}{{ end }}{{ end }}`:                                              "k8s_pod_name=p-1",
		`{{ index . "foo" }} {{ .k8s_pod_name }} {{ .pod }}`:                                                                                 "250ms p-1 p-1",
		`{{ with .foo }}<{{ . }}>{{ end }}{{/* nothing */}}`:                                                                                 "<250ms>",
		`{{ html "<a>" }} {{ js "'" }} {{ urlquery "a b" }} {{ len .foo }}`:                                                                  `&lt;a&gt; \' a+b 5`,
		``: "",
	} {
		w, _ := format(t, template).Do(subject)
		if kind, details := w.Err(); kind != "" || w.Line() != want {
			t.Errorf("%s\ngot  %q %s %s\nwant %q", template, w.Line(), kind, details, want)
		}
	}
	before := time.Now()
	w, _ := format(t, `{{ now | unixEpochNanos }}`).Do(subject)
	if len(w.Line()) != 19 || w.Line() < "1"+strings.Repeat("0", 18) || before.IsZero() {
		t.Error("now:", w.Line())
	}
}

func TestFunctionsFail(t *testing.T) {
	for _, template := range []string{
		`{{ div 1 0 }}`, `{{ mod 1 0 }}`, `{{ duration "x" }}`, `{{ bytes "x" }}`, `{{ unixToTime "123" }}`, `{{ unixToTime "x" }}`,
		`{{ urldecode "%zz" }}`, `{{ regexReplaceAll "(" "x" "y" }}`, `{{ .foo.bar }}`, `{{ upper 5 }}`, `{{ index .foo 99 }}`,
		`{{ printf "%99999d" 1 }}`, `{{ printf "%*d" 1 2 }}`, `{{ printf "%[1]d" 1 }}`,
	} {
		w, ok := format(t, template).Do(subject)
		if !ok {
			t.Errorf("%s lets go of the record", template)
			continue
		}
		if kind, details := w.Err(); kind != pipe.ErrTemplate || details == "" || w.Line() != "The line" {
			t.Errorf("%s: %q %q, line %q", template, kind, details, w.Line())
		}
	}
}

// TestTemplatesAreBounded runs templates that would eat memory or time.
func TestTemplatesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 1<<19)
	r := &record.Record{Fields: []record.Field{{Name: "body", Value: record.StringValue(long)}, {Name: "json", Value: record.StringValue("[" + strings.Repeat("0,", 1<<18) + "0]")}}}
	for _, template := range []string{
		`{{ repeat 1000000000 "x" }}`,
		`{{ repeat 9223372036854775807 "xxxxxxxxxxxxxxxxxxxx" }}`,
		`{{ alignLeft 1000000000 "x" }}`,
		`{{ indent 1000000000 "x" }}`,
		`{{ __line__ | replace "x" "0123456789" }}`,
		`{{ __line__ | replace "" "0123456789" }}`,
		`{{ regexReplaceAll "" __line__ "0123456789" }}`,
		`{{ regexReplaceAll "x*" __line__ "$0$0$0$0" }}`,
		`{{ regexReplaceAllLiteral "x" __line__ "0123456789" }}`,
		`{{ range 1000000000 }}{{ end }}`,
		`{{ range 1000000000 }}x{{ end }}`,
		`{{ range $i := 100000 }}{{ range $j := 100000 }}{{ end }}{{ end }}`,
		`{{ $x := "x" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}`,
		`{{ $x := "x" }}{{ range 100 }}{{ $x = printf "%s%s" $x $x }}{{ end }}`,
		`{{ $t := toDate "01" "11" }}{{ $x := "1" }}{{ range 100 }}{{ $x = $t.Format $x }}{{ end }}`,
		`{{ printf "` + strings.Repeat("%4000d", 1000) + `" ` + strings.Repeat("1 ", 1000) + `}}`,
		`{{ print ` + strings.Repeat("__line__ ", 1000) + `}}`,
		`{{ __line__ }}{{ __line__ }}{{ __line__ }}`,
		`{{ range 100 }}{{ fromJson . }}{{ end }}`,
		`{{ fromJson .json }}`,
		`{{ range 1000 }}{{ if regexReplaceAll "(x+x+)+y" __line__ "" }}{{ end }}{{ end }}`,
		`{{ html (repeat 200000 "'\"") }}`,
	} {
		run := format(t, template)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		w, ok := run.Do(r)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if len(template) > 80 {
			template = template[:80]
		}
		if kind, _ := w.Err(); !ok || kind != pipe.ErrTemplate {
			t.Errorf("%s gives %d bytes, error %q", template, len(w.Line()), kind)
		}
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 200 {
			t.Errorf("%s allocates %d MiB", template, n)
		}
		if took > 10*time.Second {
			t.Errorf("%s takes %s", template, took)
		}
		t.Logf("%4d MiB %8s %s", (after.TotalAlloc-before.TotalAlloc)>>20, took.Round(time.Millisecond), template)
	}
}

func TestLabelFormatSeesTheFieldsBefore(t *testing.T) {
	check(t, []example{
		{"| label_format a=`{{.app}}`, app=`{{.a}}x` | line_format `{{.a}} {{.app}}`", "l", `stored x {a="stored" app="x"}`},
	}, "app", "stored")
}
