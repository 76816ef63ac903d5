package pipe_test

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestStagesThatDoNothingAllocateNothing: most records of most queries pass
// stages that find nothing to do in them.
func TestStagesThatDoNothingAllocateNothing(t *testing.T) {
	plain := text("GET /cart/7 took 15ms", "app", "cart", "k8s.pod.name", "p-1")
	plain.Fields[1].Value.Str = "ok"
	plain.Fields = append(plain.Fields, record.Field{Name: "http.response.status_code", Value: record.IntValue(503)})
	for _, stages := range []string{
		`| json`,
		`| json | status >= 500 | app = "cart"`,
		`| json | __error__ = ""`,
		`| logfmt`,
		`| json | app =~ "cart|pay" |= "took" |~ "GET .*ms"`,
		`|> "<_> took <_>"`,
		`| decolorize`,
		`| json | pod = "other" or status > 400 and app != "x"`,
		`| drop nothing`,
		`|= ip("10.0.0.0/8")`,
	} {
		run := compile(t, stages).NewRun()
		run.Do(plain)
		if n := testing.AllocsPerRun(100, func() { run.Do(plain) }); n > 0 {
			t.Errorf("%s allocates %.0f times", stages, n)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	fields := []string{"app", "cart", "k8s.pod.name", "p-1", "k8s.namespace.name", "shop", "log.iostream", "stdout", "level", "info"}
	for _, x := range []struct{ name, stages, line string }{
		{"json of plain", `| json | status >= 500`, "GET /cart/7 took 15ms"},
		{"json", `| json | status >= 500`, `{"ts":"2026-11-20T12:00:00Z","status":503,"req":{"method":"GET","path":"/cart/7"},"took":12.5,"msg2":"a longer text that says something"}`},
		{"logfmt", `| logfmt | status >= 500`, `ts=2026-11-20T12:00:00Z status=503 method=GET path=/cart/7 took=12.5ms msg2="a longer text that says something"`},
		{"regexp", "| regexp `(?P<method>\\w+) (?P<path>\\S+) took (?P<took>\\S+)`", "GET /cart/7 took 15ms"},
		{"pattern", `| pattern "<method> <path> took <took>"`, "GET /cart/7 took 15ms"},
		{"line_format simple", `| line_format "{{.app}} {{.pod}}"`, "GET /cart/7 took 15ms"},
		{"line_format", "| line_format `{{.app | upper}} {{.pod}}`", "GET /cart/7 took 15ms"},
	} {
		b.Run(x.name, func(b *testing.B) {
			run := compile(b, x.stages).NewRun()
			r := text(x.line, fields...)
			b.ReportAllocs()
			for b.Loop() {
				run.Do(r)
			}
		})
	}
}
