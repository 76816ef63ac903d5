package policy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

func batch(records ...map[string]any) *record.Batch {
	var b record.Batch
	for i, r := range records {
		b.Begin(int64(i+1), DefaultClass)
		for _, name := range []string{"body", "path", "response_code", "level", "parse.format", "mesh.policy.decision", "card", "secretname-xyzzy", "ok", "ratio", "authorization", "Cookie", "headers"} {
			switch v := r[name].(type) {
			case string:
				b.Str(name, v)
			case int:
				b.Int(name, int64(v))
			case bool:
				b.Bool(name, v)
			case float64:
				b.Float(name, v)
			}
		}
		b.End()
	}
	return &b
}

func show(b *record.Batch) string {
	var out []string
	for i := range b.Len() {
		r := b.Record(i)
		s := string(r.Class)
		for _, f := range r.Fields {
			s += " " + f.Name + "=" + f.Value.Text()
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

func must(t *testing.T, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func apply(t testing.TB, p *Policy, b *record.Batch) Effects {
	t.Helper()
	e, err := p.Apply(b, "")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestBuiltinClasses(t *testing.T) {
	p := must(t, Config{})
	b := batch(
		map[string]any{"parse.format": "istio-json"},
		map[string]any{"parse.format": "istio-json", "mesh.policy.decision": "deny"},
		map[string]any{"parse.format": "hubble-flow", "mesh.policy.decision": "allow"},
		map[string]any{"parse.format": "json", "level": "info"},
		map[string]any{"parse.format": "text", "mesh.policy.decision": "audit"},
	)
	e := apply(t, p, b)
	for i, want := range []record.Class{"ops", "security", "ops", "app", "security"} {
		if got := b.ClassAt(i); got != want {
			t.Errorf("record %d is %s, want %s", i, got, want)
		}
	}
	if len(e.Classified) != 2 || e.Classified[0] != (record.Count{Name: "builtin-decisions", N: 2}) || e.Classified[1] != (record.Count{Name: "builtin-mesh-access", N: 2}) {
		t.Errorf("counted %v", e.Classified)
	}
}

func TestRulesInOrder(t *testing.T) {
	p := must(t, Config{DefaultClass: "ops", NoBuiltin: true, Classes: map[string]string{"long": "2y"}, Rules: []Rule{
		{ID: "keep-errors", When: []Condition{{Field: "response_code", Regex: "^5"}}, Class: "long"},
		{ID: "health", When: []Condition{{Field: "path", In: []string{"/healthz", "/readyz"}}}, Drop: true},
		{ID: "noise", When: []Condition{{Field: "level", Is: "debug"}, {Field: "body", Regex: "key", Not: true}}, Drop: true},
	}})
	b := batch(
		map[string]any{"path": "/healthz", "response_code": 200},
		map[string]any{"path": "/healthz", "response_code": 503},
		map[string]any{"path": "/x", "response_code": 200},
		map[string]any{"level": "debug", "body": "a key"},
		map[string]any{"level": "debug", "body": "nothing"},
	)
	apply(t, p, b)
	want := "long path=/healthz response_code=503\nops path=/x response_code=200\nops body=a key level=debug"
	if got := show(b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if fmt.Sprint(b.Account.Dropped) != "[{health 1} {noise 1}]" {
		t.Errorf("counted %v", b.Account.Dropped)
	}
	if got := p.Retention("long"); got != (Retention{Years: 2}) {
		t.Errorf("long is kept %v", got)
	}
}

func TestRedact(t *testing.T) {
	p := must(t, Config{Rules: []Rule{
		{ID: "canary", Redact: &Redact{Literal: "xyzzy"}},
		{ID: "cards", Redact: &Redact{Pattern: `\b[0-9]{13,16}\b`}},
		{ID: "mail", Redact: &Redact{Pattern: `([a-z]+)@[a-z.]+`, Replace: "$1@[host]", Fields: []string{"message"}}},
		{ID: "only-debug", When: []Condition{{Field: "level", Is: "debug"}}, Redact: &Redact{Pattern: `token=\S+`}},
	}})
	b := batch(
		map[string]any{"body": "to ann@example.org with xyzzy", "path": "/bob@example.org", "card": 4111111111111111, "ratio": 1.5},
		map[string]any{"body": "token=abc", "level": "debug", "card": 12},
		map[string]any{"body": "token=abc", "level": "info", "card": "4111111111111111", "secretname-xyzzy": true},
		map[string]any{"authorization": "whole", "Cookie": "a=b", "headers": `{"x":"Bearer abcdef0123456789.abc"}`, "body": "basic cable"},
	)
	e := apply(t, p, b)
	want := `app body=to ann@[host] with [redacted:canary] path=/bob@example.org ratio=1.5 card=[redacted:cards]
app body=[redacted:only-debug] level=debug card=12
app body=token=abc level=info card=[redacted:cards] secretname-[redacted:canary]=true
app body=basic cable authorization=[redacted:builtin-secrets:secret-assignment] Cookie=[redacted:builtin-secrets:cookie] headers={"x":"Bearer [redacted:builtin-secrets:bearer]"}`
	if sorted(show(b)) != sorted(want) {
		t.Errorf("got\n%s\nwant\n%s", show(b), want)
	}
	if fmt.Sprint(e.Redacted) != "[{canary 2} {cards 2} {mail 1} {only-debug 1} {builtin-secrets 3}]" {
		t.Errorf("counted %v", e.Redacted)
	}
	for _, c := range b.Columns() {
		if strings.Contains(c.Name+string(c.Data), "xyzzy") {
			t.Errorf("column %s still holds the literal", c.Name)
		}
	}
}

// sorted makes the order of fields no part of a comparison.
func sorted(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		n := make([]byte, 0, len(l))
		counts := [256]int{}
		for j := range len(l) {
			counts[l[j]]++
		}
		for c, k := range counts {
			n = fmt.Appendf(n, "%d*%d ", c, k)
		}
		lines[i] = string(n)
	}
	return strings.Join(lines, "\n")
}

// TestRedactAgainstRegexp holds the prefilters against plain regexp: whatever
// they skip must hold no match.
func TestRedactAgainstRegexp(t *testing.T) {
	patterns := []string{`password=\S+`, `(?i)password`, `(?i)KISS`, `^top`, `end$`, `\bword\b`, `a{3,}`, `(abc|defg)+x?`, `[0-9]{4}`, `(?i)bearer\s+x`, `.`, `x|yy`, `foo.*bar`, `(?m)^b`, `é+`, `\b[0-9]{13,16}\b`, `x[0-9]{2}`, `([a-f0-9]{8})`}
	values := []string{"", "password=1", "PassWord here", "kiss", "\u212aiss", "ki\u017fs", "top of", "not top", "the end", "end not", "a word.", "swords", "aaa", "aa", "abcx", "12345", "BEARER  x", "foo and bar", "bar foo", "a\nb", "éé", "x", "yy", "4111111111111111", "41111111111111112222", "411111111111 1111", "x1", "x12", "deadbee", "deadbeef", "xdeadbeefx"}
	for _, pattern := range patterns {
		p := must(t, Config{NoBuiltin: true, Rules: []Rule{{ID: "r", Redact: &Redact{Pattern: pattern, Replace: "#"}}}})
		re := regexp.MustCompile(pattern)
		for _, v := range values {
			for _, around := range []string{"%s", "before %s", "%s after"} {
				v := fmt.Sprintf(around, v)
				want := re.ReplaceAllString(v, "#")
				var b record.Batch
				for _, s := range []string{"other", v, "more"} {
					b.Begin(1, "app")
					b.Str("f", s)
					b.End()
				}
				p.session().values(0, b.Columns()[0])
				if got := string(b.Columns()[0].Bytes(1)); got != want {
					t.Errorf("%q in %q: %q, want %q", pattern, v, got, want)
				}
			}
		}
	}
}

func TestValidate(t *testing.T) {
	c := Config{
		Classes:      map[string]string{"Bad": "30d", "x": "soon"},
		DefaultClass: "none",
		Rules: []Rule{
			{ID: "ok", Drop: true},
			{ID: "ok", Class: "nowhere"},
			{ID: "builtin-x", Drop: true, Class: "ops"},
			{ID: "UPPER"},
			{ID: "r1", Redact: &Redact{}},
			{ID: "r2", Redact: &Redact{Pattern: "(", Literal: "abcd"}},
			{ID: "r3", Redact: &Redact{Pattern: "x*"}},
			{ID: "r4", Redact: &Redact{Literal: "ab"}},
			{ID: "c1", Drop: true, When: []Condition{{}, {Field: "a", Is: "b", Regex: "("}}},
		},
	}
	err := c.Validate()
	if !fault.Is(err, fault.Invalid) && err != nil {
		var many interface{ Unwrap() []error }
		if !errors.As(err, &many) {
			t.Fatalf("%T", err)
		}
		for _, e := range many.Unwrap() {
			if !fault.Is(e, fault.Invalid) {
				t.Errorf("kind %v: %v", fault.KindOf(e), e)
			}
		}
	}
	for _, want := range []string{"classes.Bad: ", "classes.x: ", "default_class: ", "rules[1].id: rules[0]", "rules[1].class: ", "rules[2].id: reserved",
		"rules[2]: what is dropped", "rules[3].id: ", "rules[3]: the rule does nothing", "rules[4].redact: nothing", "rules[5].redact: both", "rules[5].redact.pattern: ",
		"rules[6].redact.pattern: matches the empty", "rules[7].redact.literal: ", "rules[8].when[0].field: ", "rules[8].when[1]: more than one", "rules[8].when[1].regex: "} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("no problem %q in\n%v", want, err)
		}
	}
	if _, err := New(c); err == nil {
		t.Error("an invalid policy is compiled")
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
	for _, r := range Builtin() {
		if _, err := r.compile(nil); err != nil {
			t.Error(err)
		}
	}
}

func TestRetention(t *testing.T) {
	at := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	f := func(s, want string) {
		t.Helper()
		r, err := ParseRetention(s)
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", s, err)
			}
			return
		}
		if got := r.End(at).Format(time.DateOnly); got != want {
			t.Errorf("%s from %s ends %s, want %s", s, at.Format(time.DateOnly), got, want)
		}
		if back, err := ParseRetention(r.String()); err != nil || back != r {
			t.Errorf("%s: String is %s", s, r)
		}
	}
	f("30d", "2026-03-02")
	f("2w", "2026-02-14")
	f("13mo", "2027-03-03")
	f("7y", "2033-01-31")
	for _, s := range []string{"", "d", "0d", "-1d", "+1d", "1", "1h", "1.5d", "101y", "99999999999d"} {
		f(s, "")
	}
}

func TestApplyAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	p := must(t, Config{Rules: []Rule{{ID: "canary", Redact: &Redact{Literal: "xyzzy"}}}})
	rows := make([]map[string]any, 200)
	for i := range rows {
		rows[i] = map[string]any{"body": fmt.Sprint("line ", i), "parse.format": "istio-json", "response_code": 200}
	}
	b := batch(rows...)
	if n := testing.AllocsPerRun(20, func() { apply(t, p, b) }); n > 20 {
		t.Errorf("%v allocations for %d records", n, b.Len())
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("say xyzzy", "key", int64(4111111111111111))
	f.Add("", "xyzzy", int64(-1))
	p, err := New(Config{Rules: []Rule{{ID: "canary", Redact: &Redact{Literal: "xyzzy"}}, {ID: "cards", Redact: &Redact{Pattern: `[0-9]{13,16}`}}}})
	if err != nil {
		f.Fatal(err)
	}
	card := regexp.MustCompile(`[0-9]{13,16}`)
	f.Fuzz(func(t *testing.T, v, name string, n int64) {
		var b record.Batch
		for i := range 3 {
			b.Begin(int64(i), "app")
			b.Str("f", v)
			b.Str(name, "x")
			b.Int("n", n)
			b.End()
		}
		apply(t, p, &b)
		if b.Len() != 3 {
			t.Fatalf("%d records", b.Len())
		}
		for i := range 3 {
			for _, f := range b.Record(i).Fields {
				text := f.Name + "\x00" + f.Value.Text()
				if strings.Contains(text, "xyzzy") || card.MatchString(f.Value.Text()) || card.MatchString(f.Name) {
					t.Fatalf("%q is still there", text)
				}
			}
		}
	})
}

func BenchmarkApply(b *testing.B) {
	rows := make([]map[string]any, 2000)
	for i := range rows {
		rows[i] = map[string]any{"body": fmt.Sprint("a line of some length for customer ", i), "parse.format": "istio-json", "response_code": 200, "path": "/api/v1/cart/17", "level": "info"}
	}
	bt := batch(rows...)
	for name, c := range map[string]Config{
		"builtin": {},
		"literal": {NoBuiltin: true, Rules: []Rule{{ID: "canary", Redact: &Redact{Literal: "xyzzy"}}}},
		"cards":   {NoBuiltin: true, Rules: []Rule{{ID: "cards", Redact: &Redact{Pattern: `\b[0-9]{13,16}\b`}}}},
		"none":    {NoBuiltin: true},
	} {
		p, err := New(c)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				apply(b, p, bt)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
		})
	}
}

// FuzzHasOne holds the look at eight bytes together to a look at each.
func FuzzHasOne(f *testing.F) {
	f.Add([]byte("no white space in these forty bytes, no? "), "\t\n\r ")
	f.Add(bytes.Repeat([]byte{0x80, 0xff, 0x21}, 40), " \n")
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		if got, want := hasOne(data, []byte(set)), set == "" || anyOf(data, set); got != want {
			t.Errorf("%q in %q: %v", set, data, got)
		}
	})
}

func anyOf(data []byte, set string) bool {
	for _, c := range data {
		if strings.IndexByte(set, c) >= 0 {
			return true
		}
	}
	return false
}

// TestCoveredNamesAreBounded holds a sender of ever new names to the limit, and
// a remembered name to what the rule says of it.
func TestCoveredNamesAreBounded(t *testing.T) {
	p, err := New(Config{Rules: []Rule{{ID: "r", Redact: &Redact{Fields: []string{"user_agent"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := p.session()
	for i := range 2*maxCovered + 10 {
		if s.covers(0, fmt.Sprint("n", i)) || !s.covers(0, "user_agent.original") {
			t.Fatal("a rule covers a name that it does not mean, or not one that it does")
		}
	}
	if n := len(s.covered[0]); n > maxCovered {
		t.Errorf("%d names are remembered", n)
	}
}

// TestAccessLogsAllocateNothing holds the whole of a policy with all detectors on
// to no allocation per record of an access log.
func TestAccessLogsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	p := must(t, everything)
	var b record.Batch
	accessLogs(&b, 1000)
	apply(t, p, &b) // addresses are personal: from now on they are redacted
	n := testing.AllocsPerRun(20, func() {
		apply(t, p, &b)
		b.Account.Dropped = b.Account.Dropped[:0]
	})
	if n > 20 {
		t.Errorf("%v allocations for %d records", n, b.Len())
	}
}
