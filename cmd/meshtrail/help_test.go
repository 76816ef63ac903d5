package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
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
		if !cmd.HasParent() {
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
		case c == '|' || c == ';' || c == '&' || c == '>':
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
