package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
)

// cost is what the store did for one reading of a query.
type cost struct {
	Segments        int   `json:"segments"`
	Blocks          int   `json:"blocks"`
	BlocksPruned    int   `json:"blocksPruned"`
	BlocksScanned   int   `json:"blocksScanned"`
	PrunedByTime    int   `json:"prunedByTime"`
	PrunedByColumns int   `json:"prunedByColumns"`
	PrunedByTokens  int   `json:"prunedByTokens"`
	RowsScanned     int64 `json:"rowsScanned"`
	RowsMatched     int64 `json:"rowsMatched"`
}

// explained is one reading and, when the server was asked, its cost.
type explained struct {
	query.Reading
	Cost *cost `json:"cost,omitempty"`
}

func newExplain(t *terminal) *cobra.Command {
	e := &exploring{t: t}
	analyze := false
	cmd := &cobra.Command{
		Use:   "explain 'QUERY'",
		Short: "Show how a query is planned, and what it would prune",
		Long: `Shows what a query asks of the store (where), what is left to do for each record
(stages), and how the records become an answer. No server is asked.

With --analyze it counts the records of the time range as the query would read
them and shows which blocks were not looked at, and why: outside of the time
range, known from their columns' names and bounds not to match, or without a
sought word in the token index.`,
		Example: `  meshtrail explain '{mesh="istio"} |= "timeout" | json | status >= 500'
  meshtrail explain 'sum by (service) (rate({} |= "error" [5m]))'
  meshtrail explain '{mesh="istio"} | http_response_status_code >= 500' --analyze --since 7d
  meshtrail explain --lang search 'status:>=500 AND NOT path:/healthz' -o jsonl`,
		Args: arguments(1, 1, "one query in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at(args[0], e.explain(cmd, args[0], analyze))
		},
	}
	e.windowFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&analyze, "analyze", false, "ask the server what reading it prunes")
	f.StringVarP(&e.output, "output", "o", "pretty", "form of the output: pretty, jsonl")
	e.langFlag(cmd)
	e.client.flags(cmd)
	cmd.ValidArgsFunction = e.completeQuery(0)
	e.completeAsking(cmd, []string{"pretty", "jsonl"})
	return cmd
}

func (e *exploring) explain(cmd *cobra.Command, text string, analyze bool) error {
	if err := checkOutput(e.output, []string{"pretty", "jsonl"}); err != nil {
		return err
	}
	lang, err := query.ParseLanguage(e.lang)
	if err != nil {
		return err
	}
	x, err := query.Explain(lang, text)
	if err != nil {
		return err
	}
	reads := make([]explained, len(x.Reads))
	for i := range reads {
		reads[i].Reading = x.Reads[i]
	}
	if analyze {
		if err := e.analyze(cmd, text, reads); err != nil {
			return err
		}
	}
	if e.output == "jsonl" {
		data, err := json.Marshal(struct {
			Language string      `json:"language"`
			Query    string      `json:"query"`
			Kind     string      `json:"kind"`
			Reads    []explained `json:"reads"`
		}{x.Language, x.Query, x.Kind, reads})
		if err != nil {
			return fault.Errorf(fault.Internal, "encode an explanation: %w", err)
		}
		fmt.Fprintf(e.t.out, "%s\n", data)
		return nil
	}
	return writeExplanation(e.t, x, reads)
}

// analyze asks the server what each reading asks of the store, the asker's scope
// included, and what counting its records skips.
func (e *exploring) analyze(cmd *cobra.Command, text string, reads []explained) error {
	q, err := e.window(time.Now())
	if err != nil {
		return err
	}
	if err := e.open(); err != nil {
		return err
	}
	q.Set("query", text)
	q.Set("run", "true")
	e.put(q)
	var answer struct {
		Reads []struct {
			Where string
			Stats *cost
		}
	}
	if err := e.fetchJSON(cmd.Context(), "/api/v1/explain", q, &answer); err != nil {
		return err
	}
	if len(answer.Reads) != len(reads) {
		return fault.WithHint(fault.Errorf(fault.Corrupt, "the server reads the store %d times for this query, not %d", len(answer.Reads), len(reads)),
			"is it of another version? see: meshtrail version")
	}
	for i := range reads {
		reads[i].Where, reads[i].Cost = answer.Reads[i].Where, answer.Reads[i].Stats
	}
	return nil
}

func writeExplanation(t *terminal, x *query.Explanation, reads []explained) error {
	out := t.data()
	defer out.flush()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		for i, line := range strings.Split(strings.ReplaceAll(value, "\t", " "), "\n") {
			if i > 0 {
				name = ""
			}
			io.WriteString(w, name+"\t"+line+"\n")
		}
	}
	row(x.Kind+" query", x.Query)
	for i, r := range reads {
		if len(reads) > 1 {
			row(fmt.Sprintf("read %d", i+1), r.Query)
		}
		row("  where", r.Where)
		if len(r.Stages) > 0 {
			row("  stages", strings.Join(r.Stages, "\n"))
		}
		row("  how", r.How)
		if !r.NamesClass {
			row("  class", "every class but audit: the query does not name it")
		}
		if c := r.Cost; c != nil {
			row("  blocks", fmt.Sprintf("%d read, %d not looked at: %d by time, %d by columns, %d by words, %d by their heads",
				c.BlocksScanned, c.BlocksPruned+c.PrunedByTime, c.PrunedByTime, c.PrunedByColumns, c.PrunedByTokens,
				max(0, c.BlocksPruned-c.PrunedByColumns-c.PrunedByTokens)))
			row("  records", fmt.Sprintf("%d matched of %d looked at, in %d segments", c.RowsMatched, c.RowsScanned, c.Segments))
		}
	}
	return w.Flush()
}
