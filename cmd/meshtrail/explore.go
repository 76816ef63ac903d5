package main

import (
	"context"
	"encoding/csv"
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
		if err := checkOutput(e.output, tables); err != nil {
			return err
		}
		q, err := e.window(time.Now())
		if err != nil {
			return err
		}
		if err := e.open(); err != nil {
			return err
		}
		n, err := ask(cmd, q, args)
		if len(args) > 0 {
			err = at(args[len(args)-1], err)
		}
		if err == nil && n == 0 {
			return &exitError{code: exitNoMatch}
		}
		return err
	}
	e.windowFlags(cmd)
	cmd.Flags().StringVarP(&e.output, "output", "o", "pretty", "form of the output: "+strings.Join(tables, ", "))
	e.langFlag(cmd)
	e.client.flags(cmd)
	return cmd
}

// tables are the forms of the verbs that print tables.
var tables = []string{"pretty", "jsonl", "csv"}

// fetch reads one JSON answer.
func (e *exploring) fetch(cmd *cobra.Command, path string, q url.Values, into any) error {
	return e.fetchJSON(cmd.Context(), path, q, into)
}

func (c *client) fetchJSON(ctx context.Context, path string, q url.Values, into any) error {
	resp, err := c.do(ctx, http.MethodGet, path, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	return nil
}

// table prints rows as columns, or each value as a JSON object. head names the
// columns of CSV.
func table[T any](e *exploring, rows []T, head []string, cells func(T) []string) (int, error) {
	out := e.t.data()
	defer out.flush()
	switch e.output {
	case "csv":
		w := csv.NewWriter(out)
		w.Write(head)
		for _, r := range rows {
			line := cells(r)[:len(head)]
			for i := range line {
				line[i] = csvCell(line[i])
			}
			w.Write(line)
		}
		w.Flush()
		return len(rows), w.Error()
	case "jsonl":
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
	cmd := e.command(&cobra.Command{
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
		return table(e, answer.Fields, []string{"query", "type", "records", "meaning"}, func(f field) []string {
			return []string{f.Query, f.Type, strconv.FormatUint(f.Records, 10), f.Meaning}
		})
	})
	e.completeAsking(cmd, tables)
	return cmd
}

func newValues(t *terminal) *cobra.Command {
	e := &exploring{t: t}
	limit := 100
	type value struct {
		Name string `json:"name"`
		N    uint64 `json:"n"`
	}
	cmd := e.command(&cobra.Command{
		Use:   "values FIELD ['QUERY']",
		Short: "List the values of a field, most frequent first",
		Long: `Lists the distinct values of a field and in how many records each is, among all
records of a time range or those that a query matches. It exits 1 when there is
none.`,
		Example: `  meshtrail values service --since 1h
  meshtrail values response_flags '{mesh="istio"} | http_response_status_code >= 500'`,
		Args: arguments(1, 2, "a field and perhaps one query in quotes"),
	}, func(cmd *cobra.Command, q url.Values, args []string) (int, error) {
		q.Set("field", args[0])
		q.Set("limit", strconv.Itoa(limit))
		if len(args) == 2 {
			if _, err := e.parse(args[1], true); err != nil {
				return 0, err
			}
			q.Set("query", args[1])
			e.put(q)
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
		return table(e, answer.Values, []string{"records", "value"}, func(v value) []string { return []string{strconv.FormatUint(v.N, 10), v.Name} })
	})
	cmd.Flags().IntVar(&limit, "limit", limit, "values to show at most")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return e.completeFields(0)(cmd, args, typed)
		}
		return e.completeQuery(1)(cmd, args, typed)
	}
	e.completeAsking(cmd, tables)
	return cmd
}
