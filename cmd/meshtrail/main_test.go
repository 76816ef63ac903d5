package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs one command line.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"nosuchverb"}, {"init", "--nosuchflag"}, {"check"}, {"check", "a", "b"}, {"version", "x"}, {"--nosuchflag"},
	} {
		code, out, errs := run(t, args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "meshtrail: ") {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestEveryVerbTeaches(t *testing.T) {
	root := newRoot(&terminal{})
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Hidden || c.IsAdditionalHelpTopicCommand() || c.Name() == "version" {
			continue
		}
		if c.GroupID == "" || c.Short == "" || c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s: group %q, short %q, example %q", c.Name(), c.GroupID, c.Short, c.Example)
		}
		if code, out, _ := run(t, c.Name(), "--help"); code != exitOK || !strings.Contains(out, "meshtrail "+c.Name()) {
			t.Errorf("%s --help: exit %d\n%s", c.Name(), code, out)
		}
	}
}

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("server:\n  lisen: x\nlog: {level: loud}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := run(t, "check", path)
	if code != exitUsage || !strings.Contains(errs, path+":2:3: server.lisen: unknown key") || !strings.Contains(errs, path+":3:") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := run(t, "check", path); code != exitOK || !strings.Contains(out, "ok") {
		t.Errorf("exit %d\n%s", code, out)
	}
	agent := "forward: {url: 'http://127.0.0.1:7420', token_file: t}\ndata: /var/lib/agent\n"
	for doc, want := range map[string]struct {
		code int
		text string
	}{
		agent:                          {exitUsage, "nothing to read"},
		agent + "inputs: {fils: []}\n": {exitUsage, "inputs.fils: unknown key"},
		agent + "inputs: {files: [{name: a, paths: ['/var/log/*.log']}]}\n": {exitOK, "an agent"},
	} {
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := run(t, "check", path); code != want.code || !strings.Contains(out+errs, want.text) || !strings.Contains(out+errs, "an agent") {
			t.Errorf("%q: exit %d\n%s%s", doc, code, out, errs)
		}
	}
	if code, _, _ := run(t, "check", path+"x"); code != exitUsage {
		t.Errorf("a file that is not there: exit %d", code)
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"ünïcödé 日本":                 "ünïcödé 日本",
		"\x1b[31mred\x1b]0;t\x07":    `\x1b[31mred\x1b]0;t\x07`,
		"a\nb\tc\r":                  "a\nb\tc" + `\x0d`,
		"c1 \u009b31m \u0085":        `c1 \x9b31m \x85`,
		"bad \xff\xc0":               `bad \xff\xc0`,
		"bidi \u202e \u2066 \u200b":  `bidi \u202e \u2066 \u200b`,
		"tag \U000e0041 bom \ufeff":  `tag \ue0041 bom \ufeff`,
		"\x7f\x00":                   `\x7f\x00`,
		"a real replacement \ufffd!": "a real replacement \ufffd!",
	} {
		if got := escapeText(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	if got := escapeLine("a\nb"); got != `a\nb` {
		t.Errorf("%q", got)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("\x1b]8;;http://x\x07")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range escapeLine(s) {
			if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 || misleading(r) {
				t.Errorf("%q keeps %U", s, r)
			}
		}
	})
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"now":                         now,
		"-1h":                         now.Add(-time.Hour),
		"now-1h30m":                   now.Add(-90 * time.Minute),
		"now+5m":                      now.Add(5 * time.Minute),
		"-90d":                        now.AddDate(0, 0, -90),
		"-2w":                         now.AddDate(0, 0, -14),
		"2026-01-02T03:04:05Z":        time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.5+02:00": time.Date(2026, 1, 2, 1, 4, 5, 5e8, time.UTC),
		"2026-01-02":                  time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"1700000000":                  time.Unix(1700000000, 0),
		"1700000000.25":               time.Unix(1700000000, 25e7),
		"0":                           time.Unix(0, 0),
	} {
		if got, err := parseTime(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q gives %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-", "1h", "yesterday", "now-", "nowish", "-1x", "--1h", "-1", "1700000000000000", "2026-13-01", "NaN", "1.2.3"} {
		if got, err := parseTime(s, now); err == nil {
			t.Errorf("%q gives %v", s, got)
		}
	}
}
