package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// newUnparsed shows what records look like that no parser understood.
func newUnparsed(t *terminal) *cobra.Command {
	var e exploring
	e.t = t
	type shape struct {
		Source    string `json:"source"`
		Format    string `json:"format"`
		Status    string `json:"status"`
		Error     string `json:"error,omitempty"`
		Shape     string `json:"shape"`
		Records   uint64 `json:"records"`
		Estimated uint64 `json:"estimated"`
		FirstSeen int64  `json:"firstSeen"`
		LastSeen  int64  `json:"lastSeen"`
		Class     string `json:"class"`
		Example   string `json:"example"`
	}
	cmd := &cobra.Command{
		Use:   "unparsed",
		Short: "List what records look like that no parser understood whole",
		Long: `Lists the most frequent shapes, by source, of records that came in since the
server started and that no parser understood whole: their text with numbers, ids
and quoted parts collapsed, or the names of a JSON object. With each stands how
much was understood, what did not fit, and in other forms than pretty an example
as the policy left it. It exits 1 when there is none.`,
		Example: `  meshtrail unparsed
  meshtrail unparsed -o jsonl | jq -r .example`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(e.output, tables); err != nil {
				return err
			}
			if err := e.open(); err != nil {
				return err
			}
			var answer struct{ Shapes []shape }
			if err := e.fetchJSON(cmd.Context(), "/api/v1/unparsed", nil, &answer); err != nil {
				return err
			}
			head := []string{"records", "source", "format", "status", "error", "shape", "example"}
			n, err := table(&e, answer.Shapes, head, func(s shape) []string {
				cells := []string{strconv.FormatUint(s.Records, 10), s.Source, s.Format, s.Status, s.Error, s.Shape}
				if e.output == "csv" {
					cells = append(cells, s.Example)
				}
				return cells
			})
			if err == nil && n == 0 {
				return &exitError{code: exitNoMatch}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&e.output, "output", "o", "pretty", "form of the output: "+strings.Join(tables, ", "))
	e.client.flags(cmd)
	return cmd
}

// A consistency is what the server says of sources, as far as it is shown.
type consistency struct {
	From, To   string
	BeforeFrom string
	Records    uint64
	More       int
	Sources    []sourceConsistency
	Unknown    []fieldCount
	NewFields  []string
	GoneFields []string
}

type fieldCount struct {
	Name string
	N    uint64
}

type sourceConsistency struct {
	Source                          string
	Records, Before                 uint64
	Who, What, When, Where, Outcome float64
	Sampled                         uint64
	Skew                            *struct{ MedianSeconds, P95Seconds, MaxSeconds float64 }
	Parsed, ParsedBefore            struct{ OK, Partial, None float64 }
	NewFormats, GoneFormats         []string
	Unknown                         []fieldCount
}

// newConsistency shows how well records answer who, what, when, where and how.
func newConsistency(t *terminal) *cobra.Command {
	var c client
	var from, to, output string
	cmd := &cobra.Command{
		Use:   "consistency",
		Short: "Show by source who, what, when, where and outcome of its records, and what changed in a week",
		Long: `Shows of each source the share of its records that say who did something, what it
was, when (by a time of their own), where, and how it ended; how late they come;
how much of them was understood; and what changed against the same span a week
before: layouts, names of fields, and shares. Fields that the dictionary does not
know are listed. With -o json the answer is that of /api/v1/consistency.`,
		Example: `  meshtrail consistency --from -24h
  meshtrail consistency --from -7d -o json | jq '.sources[] | select(.who < 0.5) | .source'`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, []string{"pretty", "json"}); err != nil {
				return err
			}
			q, err := period(from, to, time.Now())
			if err != nil {
				return err
			}
			if err := c.open(); err != nil {
				return err
			}
			var raw json.RawMessage
			if err := c.fetchJSON(cmd.Context(), "/api/v1/consistency", q, &raw); err != nil {
				return err
			}
			if output == "json" {
				_, err := fmt.Fprintf(t.out, "%s\n", raw)
				return err
			}
			var answer consistency
			if err := json.Unmarshal(raw, &answer); err != nil {
				return fault.Errorf(fault.Corrupt, "read the answer: %w", err)
			}
			return answer.print(t.out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "-24h", "begin of the time range: RFC 3339, Unix seconds, or relative")
	f.StringVar(&to, "to", "now", "end of the time range, in the same forms")
	f.StringVarP(&output, "output", "o", "pretty", "form of the output: pretty, json")
	c.flags(cmd)
	return cmd
}

// print writes the tables for people.
func (a *consistency) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) {
		for i := range cells {
			cells[i] = escapeLine(strings.ReplaceAll(cells[i], "\t", `\t`))
		}
		io.WriteString(w, strings.Join(cells, "\t")+"\n")
	}
	line("source", "records", "a week before", "who", "what", "when", "where", "outcome", "parsed", "before", "lag p50", "p95", "max")
	for _, s := range a.Sources {
		when, p50, p95, most := "-", "-", "-", "-"
		if s.Sampled > 0 {
			when = percent(s.When)
		}
		if s.Skew != nil {
			p50, p95, most = seconds(s.Skew.MedianSeconds), seconds(s.Skew.P95Seconds), seconds(s.Skew.MaxSeconds)
		}
		before := "-"
		if s.Before > 0 {
			before = percent(s.ParsedBefore.OK)
		}
		line(firstOf(s.Source, "(none)"), strconv.FormatUint(s.Records, 10), strconv.FormatUint(s.Before, 10),
			percent(s.Who), percent(s.What), when, percent(s.Where), percent(s.Outcome), percent(s.Parsed.OK), before, p50, p95, most)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d records from %s to %s; \"a week before\" begins at %s\n", a.Records, a.From, a.To, a.BeforeFrom)
	if a.More > 0 {
		fmt.Fprintf(out, "%d more sources are not shown\n", a.More)
	}
	list := func(what string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(out, "%s: %s\n", what, escapeLine(strings.Join(names, ", ")))
		}
	}
	for _, s := range a.Sources {
		list(s.Source+": new layouts", s.NewFormats)
		list(s.Source+": layouts that are gone", s.GoneFormats)
		list(s.Source+": unknown fields", withCounts(s.Unknown))
	}
	list("new fields", a.NewFields)
	list("fields that are gone", a.GoneFields)
	list("fields that the dictionary does not know", withCounts(a.Unknown))
	return nil
}

// mostCounted is how many names people are shown.
const mostCounted = 12

func withCounts(list []fieldCount) (out []string) {
	for i, c := range list {
		if i == mostCounted {
			return append(out, fmt.Sprintf("and %d more", len(list)-i))
		}
		out = append(out, fmt.Sprintf("%s (%d)", c.Name, c.N))
	}
	return out
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + "%" }

// seconds writes a time for people: of many days, only those.
func seconds(s float64) string {
	if s > 2*86400 || s < -2*86400 {
		return strconv.FormatFloat(s/86400, 'f', 1, 64) + "d"
	}
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}
