package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/query"
)

// TestEveryExampleIsACommandLine holds the examples of every verb against its
// own flags and arguments.
func TestEveryExampleIsACommandLine(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		text := cmd.Example
		if !cmd.HasParent() || cmd.IsAdditionalHelpTopicCommand() {
			text = cmd.Long
		} else if cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s has no explanation or no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
			for _, args := range commands(line) {
				tryLine(t, line, args)
			}
		}
	}
	root := newRoot(&terminal{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	visit(root)
}

// tryLine parses the arguments as the verb itself would, and runs nothing.
func tryLine(t *testing.T, line string, args []string) {
	t.Helper()
	root := newRoot(&terminal{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	verb, rest, err := root.Find(args)
	if err != nil || verb == root {
		t.Errorf("%s: no such verb: %v", line, err)
		return
	}
	if err := verb.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if err := verb.ValidateArgs(verb.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	lang := verb.Flags().Lookup("lang")
	if lang == nil {
		return
	}
	for i, text := range verb.Flags().Args() {
		if verb.Name() == "values" && i == 0 || verb.Name() == "lint" {
			continue // a field; what lint is for
		}
		if _, err := query.Format(query.Language(lang.Value.String()), text, false); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// commands returns the arguments of each call of meshtrail in a line of shell.
func commands(line string) (out [][]string) {
	words, now, quote, open := []string{}, "", rune(0), false
	word := func() {
		if open {
			words = append(words, now)
		}
		now, open = "", false
	}
	end := func() {
		word()
		if len(words) > 0 && words[0] == "meshtrail" {
			out = append(out, words[1:])
		}
		words = nil
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			now += string(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == '|' || c == ';' || c == '&' || c == '>' || c == '<':
			end()
		case c == ' ':
			word()
		default:
			now, open = now+string(c), true
		}
	}
	end()
	return out
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestHelpIsAsItWas keeps what every verb and topic says in testdata/help, so that
// a change of it is seen in review. go test -update writes it anew.
func TestHelpIsAsItWas(t *testing.T) {
	root := newRoot(&terminal{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	names := map[string]bool{"meshtrail.txt": true}
	for _, c := range root.Commands() {
		if !c.Hidden {
			names[c.Name()+".txt"] = true
		}
	}
	for name := range names {
		args := []string{"help"}
		if verb := strings.TrimSuffix(name, ".txt"); verb != "meshtrail" {
			args = append(args, verb)
		}
		code, got, errs := run(t, args...)
		if code != exitOK || errs != "" {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
		path := filepath.Join("testdata", "help", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(path); err != nil || got != string(want) {
			t.Errorf("%v is not as in %s (go test -update writes it anew): %v\n%s", args, path, err, got)
		}
		for line := range strings.Lines(got) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 200 {
				t.Errorf("%v: a line of %d characters: %s", args, n, line)
			}
		}
	}
	old, err := filepath.Glob(filepath.Join("testdata", "help", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if !names[filepath.Base(path)] {
			t.Errorf("%s is of no verb", path)
		}
	}
}
