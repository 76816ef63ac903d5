package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
)

// maxQueryFile bounds a file of one query: no query is longer.
const maxQueryFile = 1 << 20

// A source is one query and where it came from.
type source struct {
	name string // of a file; "" for an argument or standard input
	text string
}

// sources reads the queries that a verb is given: each argument is one; "-", or
// no argument, is standard input; --file names files of one query each.
func (t *terminal) sources(args, files []string) ([]source, error) {
	if len(args) == 0 && len(files) == 0 {
		args = []string{"-"}
	}
	var out []source
	for _, a := range args {
		if a != "-" {
			out = append(out, source{text: a})
			continue
		}
		text, err := readQuery(t.in)
		if err != nil {
			return nil, err
		}
		out = append(out, source{text: text})
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, &exitError{exitUsage, fault.Errorf(fault.NotFound, "read a query: %w", err)}
		}
		text, err := readQuery(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, source{name, text})
	}
	return out, nil
}

func readQuery(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxQueryFile+1))
	if err != nil {
		return "", &exitError{exitUsage, fault.Errorf(fault.Invalid, "read a query: %w", err)}
	}
	if len(data) > maxQueryFile {
		return "", &exitError{exitUsage, fault.Errorf(fault.TooLarge, "a query of more than %d bytes", maxQueryFile)}
	}
	return strings.TrimSuffix(string(data), "\n"), nil
}

func newFmt(t *terminal) *cobra.Command {
	var a asking
	var check, canonical bool
	var files []string
	cmd := &cobra.Command{
		Use:   "fmt ['QUERY'...]",
		Short: "Print queries in one form for people",
		Long: `Prints queries as people write them: short ones on a line, long ones with one
stage, argument or operand to a line. The meaning stays the same, and formatting
again changes nothing. Without an argument it reads one query from standard
input. No server is asked.

With --check it prints nothing, names the queries that are written otherwise, and
exits 1 if there are any. It exits 2 for a text that is no query.`,
		Example: `  meshtrail fmt 'sum by(service)(rate({mesh="istio"}|="timeout"[5m]))'
  meshtrail fmt < panel.logql
  meshtrail fmt --check --file alerts/errors.logql --file alerts/latency.logql`,
		Args: arguments(0, -1, "queries in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := t.sources(args, files)
			if err != nil {
				return err
			}
			lang, err := query.ParseLanguage(a.lang)
			if err != nil {
				return err
			}
			other := 0
			for _, s := range list {
				text, err := query.Format(lang, s.text, !canonical)
				if err != nil {
					return at(s.text, err)
				}
				switch {
				case !check:
					fmt.Fprintln(t.out, t.safeText(text))
				case text != s.text:
					other++
					fmt.Fprintf(t.err, "%s: not formatted\n", escapeLine(firstOf(s.name, s.text)))
				}
			}
			if other > 0 {
				return &exitError{code: exitNoMatch}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&check, "check", false, "print nothing; exit 1 when a query is written otherwise")
	a.langFlag(cmd)
	cmd.ValidArgsFunction = a.completeQuery(0)
	a.completeAsking(cmd, nil)
	f.BoolVar(&canonical, "canonical", false, "print the form for programs: one line, always the same")
	f.StringArrayVar(&files, "file", nil, "file of one query; may be given more than once")
	return cmd
}

// safeText escapes what people look at, and nothing that is piped.
func (t *terminal) safeText(s string) string {
	if t.outTTY {
		return escapeText(s)
	}
	return s
}

func newLint(t *terminal) *cobra.Command {
	var a asking
	var output string
	var files []string
	cmd := &cobra.Command{
		Use:   "lint ['QUERY'...]",
		Short: "Find what is wrong, slow or misleading in queries",
		Long: `Reads queries and says what in them cannot be read (error), does needless work
or hardly means what it says (warning), or could be written better (info), each
with its place and what to write instead. Without an argument it reads one query
from standard input. No server is asked.

It exits 0 when there is nothing to say, 1 when there are findings.`,
		Example: `  meshtrail lint '{service="cart"} |~ "timeout"'
  meshtrail lint --file alerts/errors.logql -o jsonl | jq .text`,
		Args: arguments(0, -1, "queries in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, []string{"pretty", "jsonl"}); err != nil {
				return err
			}
			list, err := t.sources(args, files)
			if err != nil {
				return err
			}
			lang, err := query.ParseLanguage(a.lang)
			if err != nil {
				return err
			}
			found := 0
			for _, s := range list {
				findings, err := query.Lint(lang, s.text)
				if err != nil {
					return err
				}
				for _, f := range findings {
					found++
					if err := t.finding(s, f, output == "jsonl"); err != nil {
						return err
					}
				}
			}
			if found > 0 {
				return &exitError{code: exitNoMatch}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "pretty", "form of the output: pretty, jsonl")
	a.langFlag(cmd)
	cmd.ValidArgsFunction = a.completeQuery(0)
	a.completeAsking(cmd, []string{"pretty", "jsonl"})
	f.StringArrayVar(&files, "file", nil, "file of one query; may be given more than once")
	return cmd
}

// finding prints one finding: FILE:LINE:COL: SEVERITY: TEXT, the place in the
// query, and what to write instead.
func (t *terminal) finding(s source, f query.Finding, asJSON bool) error {
	if asJSON {
		data, err := json.Marshal(struct {
			File       string `json:"file,omitempty"`
			Line       int    `json:"line"`
			Col        int    `json:"col"`
			Severity   string `json:"severity"`
			Text       string `json:"text"`
			Suggestion string `json:"suggestion,omitempty"`
		}{s.name, f.Line, f.Col, f.Severity, f.Text, f.Suggestion})
		if err != nil {
			return fault.Errorf(fault.Internal, "encode a finding: %w", err)
		}
		fmt.Fprintf(t.out, "%s\n", data)
		return nil
	}
	where := fmt.Sprintf("%d:%d", f.Line, f.Col)
	if s.name != "" {
		where = s.name + ":" + where
	}
	fmt.Fprintf(t.out, "%s: %s: %s\n", escapeLine(where), f.Severity, escapeLine(f.Text))
	lines := strings.Split(s.text, "\n")
	if f.Line <= len(lines) {
		io.WriteString(t.out, caret(lines[f.Line-1], f.Col))
	}
	if f.Suggestion != "" {
		fmt.Fprintf(t.out, "  %s\n", escapeText(f.Suggestion))
	}
	return nil
}
