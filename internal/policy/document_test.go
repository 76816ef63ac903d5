package policy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

func TestDocument(t *testing.T) {
	c := Config{Owner: "security team", Rules: []Rule{
		{ID: "a", Why: "because | of\nthat", When: []Condition{{Field: "x", Is: "y"}}, Sample: 0.25, Class: "ops"},
		{ID: "b", Redact: &Redact{Literal: "hunter2-literal"}},
		{ID: "c", Mask: &Mask{Detect: []string{"pan"}, Last: 4}},
	}}
	p := must(t, c)
	d := p.Document(Readers{Logs: []string{"reader"}})
	text := string(d.Markdown())
	for _, want := range []string{"Who decides: security team", `| a | x = "y" | keeps 25 % of the records, whole traces, and drops the others; class ops | because \| of that |`, "a text of 15 bytes", "Luhn", "| app | 90d |", "builtin-secrets", "reader"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Error("a literal is shown")
	}
	if HashOf([]byte(text)) != p.SHA256() || len(p.SHA256()) != 64 {
		t.Error("the document names another hash")
	}
	if again := must(t, c).Document(Readers{Logs: []string{"reader"}}).Markdown(); !bytes.Equal(again, []byte(text)) {
		t.Error("the same policy is rendered in two ways")
	}
	c.Rules = c.Rules[:2]
	c.Rules[1].Redact = &Redact{Literal: "other--literal2"}
	q := must(t, c)
	if q.SHA256() == p.SHA256() {
		t.Error("two policies have one hash")
	}
	diff := Diff([]byte(text), q.Document(Readers{Logs: []string{"reader"}}).Markdown())
	if len(diff) == 0 || !strings.HasPrefix(diff[0], "- | c | every record | masks") {
		t.Errorf("the difference is %q", diff)
	}
}

func TestDiff(t *testing.T) {
	f := func(was, is, want string) {
		t.Helper()
		if got := strings.Join(Diff([]byte(was), []byte(is)), ","); got != want {
			t.Errorf("%q to %q: %s, want %s", was, is, got, want)
		}
	}
	f("", "a\nb", "+ a,+ b")
	f("a\nb\nc", "a\nc", "- b")
	f("a\nb\nc", "a\nx\nc", "- b,+ x")
	f("a\nb", "b\na", "- a,+ a")
	f(hashLine+"1\n\na", hashLine+"2\na", "")
	f(strings.Repeat("x\n", maxDiff+1)+"a", "b", strings.Repeat("- x,", maxDiff+1)+"- a,+ b")
}

// TestTrial: what is told is what the policy does, and the vault stays as it was.
func TestTrial(t *testing.T) {
	c := Config{NoBuiltin: true, Rules: []Rule{
		{ID: "drop", When: []Condition{{Field: "body", Is: "noise"}}, Drop: true},
		{ID: "class", When: []Condition{{Field: "body", Regex: "ann"}}, Class: "security"},
		{ID: "tokens", Tokenise: &Tokenise{Detect: []string{"email"}}},
	}}
	trial, err := NewTrial(c)
	if err != nil {
		t.Fatal(err)
	}
	body := func(class record.Class, text string) record.Record {
		return record.Record{Time: 1, Class: class, Fields: []record.Field{{Name: "body", Value: record.StringValue(text)}}}
	}
	rs := []record.Record{body("app", "noise"), body("app", "to ann@example.org"), body("ops", "other"), body("audit", "x was allowed")}
	trial.Add("shop", rs)
	trial.Add("shop", rs[:2])
	r := trial.Result()
	if r.Records != 5 || r.Dropped != 2 || fmt.Sprint(r.Classes) != "[{app security 2} {ops app 1}]" {
		t.Errorf("%+v", r)
	}
	if d := r.Rules[0]; d.Dropped != 2 || d.Bytes != 18 || len(d.Samples) != 2 || d.Samples[0].Before != `{"body":"noise"}` {
		t.Errorf("%+v", d)
	}
	if d := r.Rules[1]; d.Classified != 2 || fmt.Sprint(d.Classes) != "[{app security 2}]" {
		t.Errorf("%+v", d)
	}
	if d := r.Rules[2]; d.Records != 2 || d.Values != 2 || !strings.HasPrefix(d.Samples[0].After, "to tok_") || d.Samples[0].After != d.Samples[1].After {
		t.Errorf("%+v", d)
	}
	if rs[1].Fields[0].Value.Str != "to ann@example.org" {
		t.Error("a trial changes what it is shown")
	}
}
