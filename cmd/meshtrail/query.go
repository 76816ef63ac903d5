package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	queries "github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// maxLine bounds one record of an answer, in bytes.
const maxLine = 64 << 20

// asking is what the verbs that read records have in common.
type asking struct {
	client
	since, from, to string
	output          string
	lang            string
	color           string
	fields          []string
}

func (a *asking) flags(cmd *cobra.Command) {
	a.windowFlags(cmd)
	a.outputFlags(cmd, append(slices.Clone(outputs), exports...))
}

func (a *asking) windowFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.since, "since", "", "how far back from --to: 15m, 1h, 7d (default 1h)")
	f.StringVar(&a.from, "from", "", "begin of the time range: RFC 3339, Unix seconds, or relative (-1h)")
	f.StringVar(&a.to, "to", "now", "end of the time range, in the same forms")
}

func (a *asking) langFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.lang, "lang", "logql", "language of the query: logql, or search as in the search bar")
}

func (a *asking) outputFlags(cmd *cobra.Command, forms []string) {
	f := cmd.Flags()
	f.StringVarP(&a.output, "output", "o", "pretty", "form of the output: "+strings.Join(forms, ", "))
	f.StringSliceVar(&a.fields, "fields", nil, "fields to show, separated by commas")
	f.StringVar(&a.color, "color", "auto", "colours: auto (on a terminal, unless $NO_COLOR is set), always, never")
	a.langFlag(cmd)
	a.client.flags(cmd)
}

// printer returns the printer that the flags ask for.
func (a *asking) printer(t *terminal) (*printer, error) {
	colour, err := t.colours(a.color)
	if err != nil {
		return nil, err
	}
	return newPrinter(t, a.output, a.fields, colour)
}

// languages are the ones that --lang knows.
var languages = []string{"logql", "search"}

// parse reads a query as far as that can be done without a server: LogQL. The
// tree of a query in another language is nil.
func (a *asking) parse(query string, logOnly bool) (logql.Expr, error) {
	if a.lang != "" && !slices.Contains(languages, a.lang) {
		return nil, &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "--lang %q is unknown", a.lang), "use "+strings.Join(languages, " or "))}
	}
	if query == "" {
		return nil, nil
	}
	if a.lang == "search" {
		_, err := queries.Format(queries.Search, query, false)
		return nil, at(query, err)
	}
	x, err := logql.Parse(query)
	if err == nil && logOnly {
		x, err = logql.ParseLog(query)
	}
	return x, at(query, err)
}

// put adds the language to what a server is asked, and what no query means.
func (a *asking) put(q url.Values) {
	if a.lang != "" && a.lang != "logql" {
		q.Set("lang", a.lang)
	} else if q.Get("query") == "" {
		q.Set("query", "{}")
	}
}

// window returns the time range as query parameters.
func (a *asking) window(now time.Time) (url.Values, error) {
	from := a.from
	if from != "" && a.since != "" {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "both --since and --from"), "give one of them")
	}
	if from == "" {
		span, err := parseSpan(firstOf(a.since, "1h"))
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "--since: %w", err)
		}
		to, err := parseTime(a.to, now)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "--to: %w", err)
		}
		from = instant(to.Add(-span))
	}
	return period(from, a.to, now)
}

// querying is one call of the verb query.
type querying struct {
	asking
	t                *terminal
	limit            int
	limitSet         bool
	order            string
	forward, reverse bool
	step             string
	context          int
	before, after    int
}

func newQuery(t *terminal) *cobra.Command {
	a := querying{t: t}
	cmd := &cobra.Command{
		Use:   "query 'QUERY'",
		Short: "Find records, or compute numbers from them",
		Long: `Asks a server a question about a time range. Log queries print records, metric
queries print numbers. Names are those of the schema, or the platform's own:
http_response_status_code, response_code and status are one field. See
"meshtrail help query-language", and "meshtrail help search" for --lang search.

Records go to standard output, newest first, everything else to standard error,
so that the output can be piped: -o jsonl is one JSON object a line.

It exits 0 when something was found, 1 when nothing was, 2 when the question
cannot be understood, 3 when the answer is not whole, 4 when it is denied, and
75 when the server cannot answer now.`,
		Example: `  meshtrail query '{mesh="istio"} | http_response_status_code >= 500' --since 1h
  meshtrail query '{namespace="shop"} |= "timeout"' --from -1d --to -12h -o jsonl | jq .fields
  meshtrail query '{mesh="linkerd"} | duration > 250ms' --fields duration,url_path
  meshtrail query '{service="cart"} |= "panic"' --context 10
  meshtrail query --lang search 'service:cart AND status:>=500' --forward
  meshtrail query '{mesh="istio"}' --since 7d --limit 0 -o parquet > week.parquet
  meshtrail query 'sum by (destination_workload) (rate({mesh="istio"}[5m]))' --since 1h --step 5m`,
		Args: arguments(1, 1, "one query in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at(args[0], a.run(cmd, args[0]))
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&a.limit, "limit", 1000, "records to show at most; 0 is all")
	f.BoolVar(&a.forward, "forward", false, "oldest records first")
	f.BoolVar(&a.reverse, "reverse", false, "newest records first, as usual")
	f.StringVar(&a.order, "order", "newest", "which come first: newest or oldest")
	f.StringVar(&a.step, "step", "", "distance between the points of a metric query (default: a sixtieth of the range)")
	f.IntVarP(&a.context, "context", "C", 0, "show this many records of the same source before and after each")
	f.IntVarP(&a.before, "before", "B", 0, "show this many before each")
	f.IntVarP(&a.after, "after", "A", 0, "show this many after each")
	cmd.ValidArgsFunction = a.completeQuery(0)
	a.completeAsking(cmd, append(slices.Clone(outputs), exports...))
	return cmd
}

// maxSurrounded bounds the records whose surroundings are asked for, each by
// itself.
const maxSurrounded = 10_000

// check refuses flags that cannot be right.
func (a *querying) check(cmd *cobra.Command) error {
	if err := checkOutput(a.output, append(slices.Clone(outputs), exports...)); err != nil {
		return err
	}
	switch {
	case a.forward && a.reverse:
		return usage(cmd, "both --forward and --reverse")
	case a.forward:
		a.order = "oldest"
	}
	if a.order != "newest" && a.order != "oldest" {
		return usage(cmd, "--order %q: want newest or oldest", a.order)
	}
	a.limitSet = cmd.Flags().Changed("limit")
	if a.limit < 0 || a.context < 0 || a.before < 0 || a.after < 0 {
		return usage(cmd, "--limit, --context, --before and --after are numbers from 0")
	}
	a.before, a.after = max(a.before, a.context), max(a.after, a.context)
	if a.before+a.after > 0 && (a.limit == 0 || a.limit > maxSurrounded) {
		return usage(cmd, "--context goes with a --limit from 1 to %d", maxSurrounded)
	}
	if a.before+a.after > 0 && a.exporting() {
		return usage(cmd, "--context has no form %s", a.output)
	}
	return nil
}

func (a *querying) run(cmd *cobra.Command, query string) error {
	if err := a.check(cmd); err != nil {
		return err
	}
	x, err := a.parse(query, false)
	if err != nil {
		return err
	}
	q, err := a.window(time.Now())
	if err != nil {
		return err
	}
	if err := a.open(); err != nil {
		return err
	}
	q.Set("query", query)
	a.put(q)
	_, isLog := x.(*logql.Log)
	isLog = isLog || x == nil
	if isLog {
		q.Set("limit", strconv.Itoa(a.limit))
		q.Set("order", a.order)
	}
	switch {
	case a.exporting() && !isLog:
		return usage(cmd, "a metric query has no form %s; use csv or jsonl", a.output)
	case a.exporting():
		return a.export(cmd.Context(), a.t, q)
	}
	p, err := a.printer(a.t)
	if err != nil {
		return err
	}
	switch {
	case !isLog:
		return a.numbers(cmd.Context(), a.t, q, a.step, p)
	case a.before+a.after > 0:
		return a.surroundings(cmd.Context(), q, p)
	}
	return a.records(cmd.Context(), a.t, q, p)
}

// manifest closes a streamed answer: without it the answer was cut off.
type manifest struct {
	Rows      int      `json:"rows"`
	Truncated bool     `json:"truncated"`
	Partial   bool     `json:"partial"`
	Warnings  []string `json:"warnings"`
}

// records asks a log query and prints the answer as it arrives.
func (a *asking) records(ctx context.Context, t *terminal, q url.Values, p *printer) error {
	bar := t.meter("records")
	defer bar.end()
	n := 0
	rows, end, err := a.stream(ctx, q, func(s *shown) error {
		n++
		bar.at(n)
		return p.record(s)
	})
	bar.end()
	if perr := p.end(); err == nil {
		err = perr
	}
	if err != nil {
		return err
	}
	return verdict(t, rows, end)
}

// verdict says how an answer ended: what it lacks, and the exit code.
func verdict(t *terminal, rows int, end *manifest) error {
	for _, w := range end.Warnings {
		fmt.Fprintf(t.err, "warning: %s\n", escapeLine(w))
	}
	switch {
	case end.Partial:
		return &exitError{exitPartial, fault.Errorf(fault.Unavailable, "the answer is not whole")}
	case rows == 0:
		fmt.Fprintln(t.err, "nothing matches in this time range")
		return &exitError{code: exitNoMatch}
	case end.Truncated:
		fmt.Fprintf(t.err, "note: %d records shown, more match; --limit 0 shows all\n", rows)
	}
	return nil
}

// stream asks a log query and visits its records, which are lent for the call.
// An answer without its manifest, or with one that counts other records, was cut
// off on its way.
func (a *asking) stream(ctx context.Context, q url.Values, visit func(*shown) error) (rows int, end *manifest, err error) {
	resp, err := a.do(ctx, http.MethodGet, "/api/v1/query", q)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	err = eachLine(resp.Body, func(line []byte) error {
		s, m, err := decodeShown(line)
		switch {
		case err != nil:
			return err
		case m != nil:
			end = m
			return nil
		}
		rows++
		return visit(s)
	})
	switch {
	case ctx.Err() != nil:
		return rows, nil, fault.Wrap(fault.Canceled, ctx.Err())
	case fault.Is(err, fault.Unavailable) || err == nil && end == nil:
		return rows, nil, &exitError{exitPartial, fault.Errorf(fault.Unavailable, "the answer was cut off after %d records", rows)}
	case err != nil:
		return rows, nil, err
	case end.Rows != rows:
		return rows, nil, &exitError{exitPartial, fault.Errorf(fault.Corrupt, "the answer has %d records and says %d", rows, end.Rows)}
	}
	return rows, end, nil
}

// eachLine calls f for every line that is not empty.
func eachLine(r io.Reader, f func(line []byte) error) error {
	return eachText(r, func(line []byte) error {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			return nil
		}
		return f(line)
	})
}

// eachText calls f for every line, which is lent for the call.
func eachText(r io.Reader, f func(line []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	for sc.Scan() {
		if err := f(sc.Bytes()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fault.Errorf(fault.Unavailable, "read the answer: %w", err)
	}
	return nil
}

// cutField splits a line of server-sent events.
func cutField(line string) (field, value string) {
	field, value, _ = strings.Cut(line, ":")
	return field, strings.TrimPrefix(value, " ")
}

// decodeShown reads one line of an answer: a record, or the manifest.
func decodeShown(line []byte) (*shown, *manifest, error) {
	var o struct {
		Time     time.Time       `json:"time"`
		Ord      string          `json:"ord"`
		Class    string          `json:"class"`
		Severity string          `json:"severity"`
		Line     string          `json:"line"`
		Fields   json.RawMessage `json:"fields"`
		Manifest *manifest       `json:"manifest"`
	}
	if err := json.Unmarshal(line, &o); err != nil {
		return nil, nil, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	if o.Manifest != nil {
		return nil, o.Manifest, nil
	}
	s := &shown{raw: line, time: o.Time.UnixNano(), class: o.Class, severity: o.Severity, line: o.Line, fields: map[string]any{}}
	s.ord, _ = strconv.ParseUint(o.Ord, 10, 64) // 0 when it is missing
	if err := s.decodeFields(o.Fields); err != nil {
		return nil, nil, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	return s, nil, nil
}

// decodeFields reads an object and keeps the order of its names.
func (s *shown) decodeFields(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if _, err := d.Token(); err != nil { // {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return err
		}
		key, _ := name.(string)
		s.names = append(s.names, key)
		s.fields[key] = v
	}
	return nil
}
