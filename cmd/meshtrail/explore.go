package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// exploring is a verb that asks about a time range and prints a table.
type exploring struct {
	asking
	t *terminal
}

// command fills in what the exploring verbs have in common. ask prints the
// answer and returns how many lines it had.
func (e *exploring) command(cmd *cobra.Command, ask func(cmd *cobra.Command, q url.Values, args []string) (int, error)) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if e.output != "pretty" && e.output != "jsonl" {
			return usage(cmd, "--output %q: %s prints pretty or jsonl", e.output, cmd.Name())
		}
		q, err := e.window(time.Now())
		if err != nil {
			return err
		}
		if err := e.open(); err != nil {
			return err
		}
		n, err := ask(cmd, q, args)
		if err == nil && n == 0 {
			return &exitError{code: exitNoMatch}
		}
		return err
	}
	f := cmd.Flags()
	f.StringVar(&e.since, "since", "", "how far back from now: 15m, 1h, 7d (default 1h)")
	f.StringVar(&e.from, "from", "", "begin of the time range: RFC 3339, Unix seconds, or relative (-1h)")
	f.StringVar(&e.to, "to", "now", "end of the time range, in the same forms")
	f.StringVarP(&e.output, "output", "o", "pretty", "form of the output: pretty, jsonl")
	e.client.flags(cmd)
	return cmd
}

// fetch reads one JSON answer.
func (e *exploring) fetch(cmd *cobra.Command, path string, q url.Values, into any) error {
	resp, err := e.do(cmd.Context(), http.MethodGet, path, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	return nil
}

// table prints rows as columns, or each value as a JSON object.
func table[T any](e *exploring, rows []T, cells func(T) []string) (int, error) {
	out := e.t.data()
	defer out.flush()
	if e.output == "jsonl" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return 0, err
			}
		}
		return len(rows), nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		line := cells(r)
		for i := range line {
			line[i] = escapeLine(strings.ReplaceAll(line[i], "\t", `\t`))
		}
		io.WriteString(w, strings.Join(line, "\t")+"\n")
	}
	return len(rows), w.Flush()
}

func newFields(t *terminal) *cobra.Command {
	e := &exploring{t: t}
	type field struct {
		Name    string `json:"name"`
		Type    string `json:"type"`
		Records uint64 `json:"records"`
		Query   string `json:"query"`
		Meaning string `json:"meaning,omitempty"`
	}
	return e.command(&cobra.Command{
		Use:   "fields",
		Short: "List the fields that records of a time range have",
		Long: `Lists the fields of a time range: how LogQL writes the name, its type, in how
many records it is at most, and what it means. Where senders invent names, some
of the fields that few records have are shown and the others counted. It exits 1
when there is none.`,
		Example: `  meshtrail fields --since 1h
  meshtrail fields --from -7d -o jsonl | jq -r .query`,
		Args: arguments(0, 0, "no arguments"),
	}, func(cmd *cobra.Command, q url.Values, _ []string) (int, error) {
		var answer struct {
			Fields []field
			More   uint64
		}
		if err := e.fetch(cmd, "/api/v1/fields", q, &answer); err != nil {
			return 0, err
		}
		if answer.More > 0 {
			fmt.Fprintf(t.err, "note: up to %d more fields are not shown, each of few records; narrow the time range\n", answer.More)
		}
		return table(e, answer.Fields, func(f field) []string {
			return []string{f.Query, f.Type, strconv.FormatUint(f.Records, 10), f.Meaning}
		})
	})
}

func newValues(t *terminal) *cobra.Command {
	e := &exploring{t: t}
	limit := 100
	type value struct {
		Name string `json:"name"`
		N    uint64 `json:"n"`
	}
	cmd := e.command(&cobra.Command{
		Use:   "values FIELD ['LOGQL']",
		Short: "List the values of a field, most frequent first",
		Long: `Lists the distinct values of a field and in how many records each is, among all
records of a time range or those that a query matches. It exits 1 when there is
none.`,
		Example: `  meshtrail values service --since 1h
  meshtrail values response_flags '{mesh="istio"} | http_response_status_code >= 500'`,
		Args: arguments(1, 2, "a field and perhaps one LogQL query"),
	}, func(cmd *cobra.Command, q url.Values, args []string) (int, error) {
		q.Set("field", args[0])
		q.Set("limit", strconv.Itoa(limit))
		if len(args) == 2 {
			if _, err := logql.ParseLog(args[1]); err != nil {
				return 0, err
			}
			q.Set("query", args[1])
		}
		var answer struct {
			Values    []value
			Truncated bool
		}
		if err := e.fetch(cmd, "/api/v1/values", q, &answer); err != nil {
			return 0, err
		}
		if answer.Truncated {
			fmt.Fprintf(t.err, "note: %d values shown, there are more; raise --limit\n", len(answer.Values))
		}
		return table(e, answer.Values, func(v value) []string { return []string{strconv.FormatUint(v.N, 10), v.Name} })
	})
	cmd.Flags().IntVar(&limit, "limit", limit, "values to show at most")
	return cmd
}

func newStats(t *terminal) *cobra.Command {
	e := &exploring{t: t}
	by := "mesh"
	type group struct {
		Value  string   `json:"value"`
		Total  uint64   `json:"total"`
		Counts []uint64 `json:"counts"`
	}
	cmd := e.command(&cobra.Command{
		Use:   "stats ['LOGQL']",
		Short: "Count the records of a query, by a field and over time",
		Long: `Counts the records that a query matches, by the values of a field, with a
picture of each over time. It exits 1 when nothing matches.`,
		Example: `  meshtrail stats --since 1h
  meshtrail stats '{mesh="istio"}' --by http_response_status_code --since 15m`,
		Args: arguments(0, 1, "one LogQL query in quotes"),
	}, func(cmd *cobra.Command, q url.Values, args []string) (int, error) {
		if len(args) == 1 {
			if _, err := logql.ParseLog(args[0]); err != nil {
				return 0, err
			}
			q.Set("query", args[0])
		}
		q.Set("by", by)
		q.Set("buckets", "48")
		var answer struct {
			Total  uint64
			Groups []group
			Rest   []uint64
		}
		if err := e.fetch(cmd, "/api/v1/histogram", q, &answer); err != nil {
			return 0, err
		}
		if len(answer.Rest) > 0 {
			g := group{Value: "(others)", Counts: answer.Rest}
			for _, n := range answer.Rest {
				g.Total += n
			}
			answer.Groups = append(answer.Groups, g)
		}
		n, err := table(e, answer.Groups, func(g group) []string {
			return []string{strconv.FormatUint(g.Total, 10), firstOf(g.Value, "(none)"), sparkline(g.Counts)}
		})
		if e.output == "pretty" && err == nil {
			fmt.Fprintf(t.out, "%d records in all\n", answer.Total)
		}
		return n, err
	})
	cmd.Flags().StringVar(&by, "by", by, "field to count by")
	return cmd
}

// sparkline draws counts in one line of block characters.
func sparkline(counts []uint64) string {
	var peak uint64
	for _, n := range counts {
		peak = max(peak, n)
	}
	bars := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, n := range counts {
		i := 0
		if n > 0 {
			i = 1 + int(n*7/peak)
		}
		b.WriteRune(bars[i])
	}
	return b.String()
}
