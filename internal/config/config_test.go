package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

func TestEmptyFilesAreWhole(t *testing.T) {
	for _, doc := range []string{"", "\n", "# nothing\n", "---\n", "server:\n", string(Example())} {
		c, err := Parse([]byte(doc))
		if err != nil {
			t.Errorf("%.30q: %v", doc, err)
			continue
		}
		c.sum = Default().sum
		if !reflect.DeepEqual(c, Default()) {
			t.Errorf("%.30q changed a default: %+v", doc, c)
		}
	}
}

// TestExampleShowsEveryDefault uncomments the whole example: it must say what
// Default says, and name every key.
func TestExampleShowsEveryDefault(t *testing.T) {
	var doc []string
	for line := range strings.Lines(string(Example())) {
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "#"); ok && (rest != "" && rest[0] != ' ' || strings.HasPrefix(rest, "  ") && inSetting(doc)) {
			doc = append(doc, rest)
			continue
		}
		doc = append(doc, "")
	}
	c, err := Parse([]byte(strings.Join(doc, "\n")))
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(doc, "\n"))
	}
	c.sum = Default().sum
	if !reflect.DeepEqual(c, Default()) {
		t.Errorf("the example says %+v\nthe defaults are %+v", c, Default())
	}
	missing(t, string(Example()), "", reflect.TypeFor[Config]())
}

// inSetting reports whether the last line shown was a setting: prose is
// indented by one blank, a nested setting by two.
func inSetting(doc []string) bool { return len(doc) > 0 && doc[len(doc)-1] != "" }

func missing(t *testing.T, doc, path string, typ reflect.Type) {
	t.Helper()
	for _, f := range fieldsOf(typ) {
		if !strings.Contains(doc, f.name+":") {
			t.Errorf("the example does not show %s", join(path, f.name))
		}
		if sub := typ.FieldByIndex(f.index).Type; sub.Kind() == reflect.Struct {
			missing(t, doc, join(path, f.name), sub)
		}
	}
}

func TestEveryProblemAtOnceWithItsPlace(t *testing.T) {
	_, err := Parse([]byte(`server:
  lisen: 127.0.0.1:1
  read_timeout: soon
  write_timeout: 5
  tls_cert: 7
log:
  level: loud
log2: {}
receive: 12
server:
  listen: x
`))
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v", err)
	}
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatalf("%T is not Problems", err)
	}
	// A key given twice is found by the YAML parser, which stops there.
	if len(ps) != 1 || ps[0].Line != 10 {
		t.Errorf("%v", err)
	}
	_, err = Parse([]byte(`server:
  lisen: 127.0.0.1:1
  read_timeout: soon
  write_timeout: 5
  tls_cert: 7
log:
  level: loud
log2: {}
receive: 12
`))
	if !errors.As(err, &ps) {
		t.Fatalf("%v", err)
	}
	want := []struct {
		path      string
		line, col int
		text      string
	}{
		{"server.lisen", 2, 3, "did you mean listen?"},
		{"server.read_timeout", 3, 17, "10s"},
		{"server.write_timeout", 4, 18, "10s"},
		{"server.tls_cert", 5, 13, `put it in quotes: "7"`},
		{"log", 7, 8, "use debug"},
		{"log2", 8, 1, "did you mean log?"},
		{"receive", 9, 10, "want a mapping"},
	}
	if len(ps) != len(want) {
		t.Fatalf("%d problems:\n%v", len(ps), err)
	}
	for i, w := range want {
		if ps[i].Path != w.path || ps[i].Line != w.line || !strings.Contains(ps[i].String(), w.text) {
			t.Errorf("problem %d: %v, want %+v", i, ps[i], w)
		}
	}
}

// TestOneMistakeIsOneProblem: what could not be read is not judged by its default,
// and of the keys that nobody knows the hint tells what there is.
func TestOneMistakeIsOneProblem(t *testing.T) {
	_, err := Parse([]byte("sources:\n  - {source: x, expect_every: 5}\nreceivers:\n  loki: {}\n  gelf: {ports: {}}\n"))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 3 {
		t.Fatalf("%v", err)
	}
	for i, want := range []string{"want a duration", "those with settings are elastic,", "the keys here are udp, tcp"} {
		if !strings.Contains(ps[i].String(), want) {
			t.Errorf("%v, want %q", ps[i], want)
		}
	}
}

func TestValidateSpeaksOfTheWholeTree(t *testing.T) {
	_, err := Parse([]byte("server: {listen: '0.0.0.0:1'}\n"))
	if err == nil || !strings.Contains(err.Error(), "without TLS") || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("%v", err)
	}
	c := Default()
	c.Log.Format = "xml"
	if err := c.Validate(); err == nil {
		t.Error("format xml is valid")
	}
}

func TestProblemsOfPolicyRulesHaveTheirPlace(t *testing.T) {
	_, err := Parse([]byte(`policy:
  rules:
    - id: Bad
      drop: true
    - id: b
      redact: {pattern: '('}
    - id: c
`))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 3 {
		t.Fatalf("%v", err)
	}
	for i, want := range []struct {
		path string
		line int
	}{{"policy.rules[0].id", 3}, {"policy.rules[1].redact.pattern", 6}, {"policy.rules[2]", 7}} {
		if ps[i].Path != want.path || ps[i].Line != want.line {
			t.Errorf("%+v, want %+v", ps[i], want)
		}
	}
}

func TestDecodeTypes(t *testing.T) {
	type inner struct {
		N int `yaml:"n"`
	}
	type shared struct {
		Common string `yaml:"common"`
	}
	type all struct {
		shared
		S  string            `yaml:"s"`
		B  bool              `yaml:"b"`
		I  int64             `yaml:"i"`
		U  uint8             `yaml:"u"`
		F  float64           `yaml:"f"`
		D  time.Duration     `yaml:"d"`
		L  []string          `yaml:"l"`
		LS []inner           `yaml:"ls"`
		M  map[string]string `yaml:"m"`
		P  *inner            `yaml:"p"`
		T  time.Time         `yaml:"t"`
	}
	ok := func(doc string, want all) {
		t.Helper()
		var got all
		if err := Decode([]byte(doc), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %+v, %v", doc, got, err)
		}
	}
	ok(`s: hello`, all{S: "hello"})
	ok("s: |\n  two\n  lines\n", all{S: "two\nlines\n"})
	ok(`s: "7"`, all{S: "7"})
	ok(`s: ""`, all{})
	ok(`b: true`, all{B: true})
	ok(`i: 64KiB`, all{I: 65536})
	ok(`i: -3`, all{I: -3})
	ok(`i: 1_000`, all{I: 1000})
	ok(`f: 2`, all{F: 2})
	ok(`f: 0.5`, all{F: 0.5})
	ok(`d: 30d`, all{D: 720 * time.Hour})
	ok(`d: 1m30s`, all{D: 90 * time.Second})
	ok(`l: [a, b]`, all{L: []string{"a", "b"}})
	ok("ls:\n  - n: 1\n  - {n: 2}\n", all{LS: []inner{{1}, {2}}})
	ok("m:\n  a: x\n  b.c: y\n", all{M: map[string]string{"a": "x", "b.c": "y"}})
	ok("p: {n: 4}", all{P: &inner{4}})
	ok("t: 2026-01-02T03:04:05Z", all{T: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})

	bad := func(doc, text string) {
		t.Helper()
		var got all
		err := Decode([]byte(doc), &got)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q gives %v, want %q", doc, err, text)
		}
	}
	bad(`u: 256`, "integer")
	bad(`u: -1`, "integer")
	bad(`i: 9999999999999999999`, "integer")
	bad(`i: 9999999TiB`, "integer")
	bad(`b: yes`, "true or false")
	bad(`s: [a]`, "want one value")
	bad(`l: a`, "want a list")
	bad(`l: [{a: b}]`, "l[0]")
	bad("ls:\n  - m: 1\n", "ls[0].m: unknown key")
	bad(`p: 3`, "want a mapping")
	bad(`t: tomorrow`, "t:")
	bad(`f: .nan`, "number")
	bad("s: &a x\n", "anchors")
	bad("s: !!str x\n", "tags")
	bad("a: 1\n---\nb: 2\n", "second YAML document")
	bad("s: 'open\n", "1:")
	bad("\ts: x\n", "")
	bad("- a\n", "want a mapping")
	bad("just text", "want a mapping")
	bad(strings.Repeat("x", MaxSize+1), "more than")
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.yaml")); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	path := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(path, []byte("log: {level: debug}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Log.Level != "debug" || c.SHA256() == Default().SHA256() {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.WriteFile(path, []byte("x: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("server: {listen: a}"))
	f.Add(Example())
	f.Add([]byte("a: &x [*x, *x]\n<<: *x"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse(data); err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatCredentialsDeclare(t *testing.T) {
	c, err := Parse([]byte(`tokens:
  - {name: edge, role: sender, file: x, source: e, platform: envoy, class: security, bytes_per_second: 5MiB, records_per_second: 100}
certificates:
  - {id: cn, role: sender, class: ops}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Sending{Source: "e", Platform: "envoy", Class: "security", BytesPerSecond: 5 << 20, RecordsPerSecond: 100}
	if got := c.Tokens[0].Identity().Sends; got != want || c.Certificates[0].Identity().Sends.Class != "ops" {
		t.Errorf("%+v", got)
	}
	_, err = Parse([]byte(`tokens:
  - name: edge
    role: sender
    file: x
    platform: nosuch
    class: a b
certificates:
  - {id: cn, role: monitor, platform: envoi}
`))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 4 {
		t.Fatalf("%v", err)
	}
	lines := map[string]int{"tokens[0].class": 6, "certificates[0].role": 8, "tokens[0].platform": 5, "certificates[0].platform": 8}
	for _, p := range ps {
		if lines[p.Path] != p.Line {
			t.Errorf("%+v, want %v", p, lines)
		}
	}
}

// TestPolicyRules reads every action that the example shows, and an expression.
func TestPolicyRules(t *testing.T) {
	var rules []string
	on := false
	for _, line := range strings.Split(string(Example()), "\n") {
		if strings.HasPrefix(line, "#     rules:") {
			on = true
		}
		if on && !strings.HasPrefix(line, "#   ") {
			break
		}
		if on {
			rules = append(rules, "  "+strings.TrimPrefix(line, "#     "))
		}
	}
	c, err := Parse([]byte("policy:\n" + strings.Join(rules, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Policy.Rules) != 7 || c.Policy.Rules[2].Sample != 0.1 {
		t.Errorf("%d rules: %+v", len(c.Policy.Rules), c.Policy.Rules)
	}
	_, err = Parse([]byte("policy:\n  rules:\n    - id: a\n      match: '{x='\n      drop: true"))
	if err == nil || !strings.Contains(err.Error(), "policy.rules[0].match") {
		t.Errorf("a wrong expression: %v", err)
	}
	_, err = ParseAgent([]byte("policy:\n  rules:\n    - id: a\n      hash: {detect: [email]}"))
	if err == nil || !strings.Contains(err.Error(), "policy.rules[0].hash") {
		t.Errorf("an agent that hashes: %v", err)
	}
}
