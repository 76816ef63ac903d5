package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/app"
	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/policy"
)

func newPolicy(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show the logging policy, and try another before it is in force",
		Long: `The logging policy says what is kept of a record, for how long, and what nobody
may read. It is the section policy of the configuration (docs/policy.md).`,
		Example: `  meshtrail policy show
  meshtrail policy dry-run --server https://logs.example:7420 new.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: arguments(0, 0, "show or dry-run"),
	}
	cmd.AddCommand(newPolicyShow(t), newPolicyDryRun(t))
	return cmd
}

func newPolicyShow(t *terminal) *cobra.Command {
	var c client
	var format string
	cmd := &cobra.Command{
		Use:   "show [CONFIG]",
		Short: "Render the policy in force, or that of a file, as a document",
		Long: `Renders the policy as a readable document: what is logged, what is dropped,
sampled, redacted, masked, hashed or tokenised and why, who may read, how long it
is kept, who decides, and which detectors look for what with which validators.
Without CONFIG the server is asked for the policy in force.`,
		Example: `  meshtrail policy show > logging-policy.md
  meshtrail policy show --format json meshtrail.yaml`,
		Args: arguments(0, 1, "at most one configuration file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "markdown" && format != "json" {
				return usage(cmd, "unknown format %q: use markdown or json", format)
			}
			var data []byte
			if len(args) == 1 {
				cfg, err := config.Load(args[0])
				if err != nil {
					return &exitError{exitUsage, err}
				}
				doc, err := app.Document(cfg.Policy)
				if err != nil {
					return err
				}
				if data = doc.Markdown(); format == "json" {
					if data, err = json.MarshalIndent(doc, "", "  "); err != nil {
						return fault.Errorf(fault.Internal, "encode the policy: %w", err)
					}
				}
			} else {
				if err := c.open(); err != nil {
					return err
				}
				resp, err := c.do(cmd.Context(), http.MethodGet, "/api/v1/policy", url.Values{"format": {format}})
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if data, err = io.ReadAll(resp.Body); err != nil {
					return fault.Errorf(fault.Unavailable, "read the policy: %w", err)
				}
			}
			_, err := fmt.Fprintln(t.out, escapeLines(strings.TrimRight(string(data), "\n")))
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "markdown", "markdown or json")
	c.flags(cmd)
	return cmd
}

// escapeLines escapes what a terminal would obey, line by line.
func escapeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = escapeText(lines[i])
	}
	return strings.Join(lines, "\n")
}

func newPolicyDryRun(t *terminal) *cobra.Command {
	var c client
	var since, platform, output string
	var limit int
	cmd := &cobra.Command{
		Use:   "dry-run CONFIG [FILE...]",
		Short: "Show what a policy would do to records; nothing is changed",
		Long: `Tries the policy of a configuration file and shows for each rule how many records
it would drop, keep and classify, how many values it would change, how many bytes
that are, and a few samples.

With --server the newest stored records are tried, of the last hour unless --since
says otherwise. They have been through the policy in force: what it dropped is not
there to be kept, and what it redacted not to be found. Without --server raw lines
are tried, from files or standard input, as intake would understand them.`,
		Example: `  kubectl logs deploy/web -c istio-proxy | meshtrail policy dry-run new.yaml
  meshtrail policy dry-run --server https://logs.example:7420 --since 6h new.yaml`,
		Args: arguments(1, -1, "a configuration file, and files of lines"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usage(cmd, "unknown output %q: use text or json", output)
			}
			var result trialAnswer
			var err error
			if c.server != "" {
				if len(args) > 1 {
					return usage(cmd, "lines and a server: leave one of them out")
				}
				result, err = c.tryPolicy(cmd, args[0], since, limit)
			} else {
				result, err = tryLines(t, args[0], args[1:], platform)
			}
			if err != nil {
				return err
			}
			if output == "json" {
				e := json.NewEncoder(t.out)
				e.SetEscapeHTML(false)
				return e.Encode(result)
			}
			return result.write(t.out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "1h", "how far to go back on the server, at most 24h")
	f.IntVar(&limit, "limit", 100_000, "how many of the newest records of the server to try")
	f.StringVar(&platform, "source", "", "platform of the lines (default: told by their shape)")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	c.flags(cmd)
	return cmd
}

// trialAnswer is what a dry run found; From and To are empty for raw lines.
type trialAnswer struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	policy.TrialResult
}

// tryPolicy has a server try a configuration.
func (c *client) tryPolicy(cmd *cobra.Command, file, since string, limit int) (out trialAnswer, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return out, &exitError{exitUsage, fault.Errorf(fault.NotFound, "read configuration: %w", err)}
	}
	if err := c.open(); err != nil {
		return out, err
	}
	resp, err := c.send(cmd.Context(), http.MethodPost, "/api/v1/policy/dry-run",
		url.Values{"from": {"-" + strings.TrimPrefix(since, "-")}, "limit": {fmt.Sprint(limit)}}, "application/yaml", bytes.NewReader(data))
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	return out, nil
}

// tryLines tries a configuration on raw lines.
func tryLines(t *terminal, file string, inputs []string, platform string) (out trialAnswer, err error) {
	cfg, err := config.Load(file)
	if err != nil {
		return out, &exitError{exitUsage, err}
	}
	trial, err := policy.NewTrial(cfg.Policy)
	if err != nil {
		return out, err
	}
	formats, err := pipeline.CompileFormats(cfg.Formats)
	if err != nil {
		return out, err
	}
	if len(inputs) == 0 {
		inputs = []string{"-"}
	}
	opt := pipeline.ParseOptions{Platform: platform, Formats: formats}
	for _, name := range inputs {
		err := withLines(name, t, func(in io.Reader) error { return pipeline.Try(in, opt, trial) })
		if err != nil {
			return out, fault.Errorf(fault.KindOf(err), "try %s: %w", name, err)
		}
	}
	out.TrialResult = *trial.Result()
	return out, nil
}

// write shows a result to a person.
func (a *trialAnswer) write(w io.Writer) error {
	var b bytes.Buffer
	span := ""
	if a.From != "" {
		span = fmt.Sprintf(" from %s to %s", a.From, a.To)
	}
	fmt.Fprintf(&b, "policy %.12s, tried on %d records (%d bytes)%s: %d would be dropped (%d bytes)\n\n", a.SHA256, a.Records, a.Bytes, span, a.Dropped, a.Freed)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RULE\tDROPS\tKEEPS\tCLASSIFIES\tLABELS\tCHANGES\tVALUES\tBYTES")
	for _, r := range a.Rules {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.ID, r.Dropped, r.Kept, r.Classified, r.Labelled, r.Records, r.Values, r.Bytes)
	}
	table.Flush()
	if len(a.Classes) > 0 {
		fmt.Fprintln(&b, "\nclasses, as they are and as they would be:")
	}
	for _, m := range a.Classes {
		fmt.Fprintf(&b, "  %s → %s: %d\n", escapeText(cmp.Or(m.From, "none yet")), escapeText(m.To), m.N)
	}
	for _, r := range a.Rules {
		for _, s := range r.Samples {
			after := escapeText(s.After)
			if s.After == "" {
				after = "(dropped)"
			}
			fmt.Fprintf(&b, "\n%s %s\n  - %s\n  + %s\n", r.ID, escapeText(s.Field), escapeText(s.Before), after)
		}
	}
	fmt.Fprintln(&b)
	for _, n := range a.Notes {
		fmt.Fprintf(&b, "note: %s\n", escapeText(n))
	}
	_, err := w.Write(b.Bytes())
	return err
}
