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
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// maxLine bounds one record of an answer, in bytes.
const maxLine = 64 << 20

// asking is what the verbs that read records have in common.
type asking struct {
	client
	since, from, to string
	output          string
	fields          []string
}

func (a *asking) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.since, "since", "", "how far back from now: 15m, 1h, 7d (default 1h)")
	f.StringVar(&a.from, "from", "", "begin of the time range: RFC 3339, Unix seconds, or relative (-1h)")
	f.StringVar(&a.to, "to", "now", "end of the time range, in the same forms")
	a.outputFlags(cmd)
}

func (a *asking) outputFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&a.output, "output", "o", "pretty", "form of the output: "+strings.Join(outputs, ", "))
	f.StringSliceVar(&a.fields, "fields", nil, "fields to show, separated by commas")
	a.client.flags(cmd)
}

// window returns the time range as query parameters.
func (a *asking) window(now time.Time) (url.Values, error) {
	from := a.from
	if from != "" && a.since != "" {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "both --since and --from"), "give one of them")
	}
	if from == "" {
		since := firstOf(a.since, "1h")
		if _, err := parseSpan(since); err != nil {
			return nil, fault.Errorf(fault.Invalid, "--since: %w", err)
		}
		from = "-" + since
	}
	return period(from, a.to, now)
}

func newQuery(t *terminal) *cobra.Command {
	var a asking
	var limit int
	var order string
	var step string
	cmd := &cobra.Command{
		Use:   "query 'LOGQL'",
		Short: "Find records, or count them",
		Long: `Asks a server a LogQL question about a time range. Log queries print records,
metric queries print numbers. Names are those of the schema, or the platform's
own: http_response_status_code, response_code and status are one field.

It exits 0 when something was found, 1 when nothing was, 2 when the question
cannot be understood, 3 when the answer is not whole, 4 when it is denied, and
75 when the server cannot answer now.`,
		Example: `  meshtrail query '{mesh="istio"} | http_response_status_code >= 500' --since 1h
  meshtrail query '{namespace="shop"} |= "timeout"' --from -1d --to -12h -o jsonl | jq .fields
  meshtrail query '{mesh="linkerd"} | duration > 250ms' --fields duration,url_path
  meshtrail query 'sum by (destination_workload) (count_over_time({mesh="istio"}[5m]))' --since 1h --step 5m`,
		Args: arguments(1, 1, "one LogQL query in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(a.output); err != nil {
				return err
			}
			if order != "newest" && order != "oldest" {
				return usage(cmd, "--order %q: want newest or oldest", order)
			}
			x, err := logql.Parse(args[0])
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
			q.Set("query", args[0])
			p, err := newPrinter(t, a.output, a.fields)
			if err != nil {
				return err
			}
			if _, isLog := x.(*logql.Log); !isLog {
				return a.numbers(cmd.Context(), t, q, step, p)
			}
			q.Set("limit", strconv.Itoa(limit))
			q.Set("order", order)
			return a.records(cmd.Context(), t, q, p)
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&limit, "limit", 1000, "records to show at most; 0 is all")
	f.StringVar(&order, "order", "newest", "which come first: newest or oldest")
	f.StringVar(&step, "step", "", "distance between the points of a metric query (default: a sixtieth of the range)")
	return cmd
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
	resp, err := a.do(ctx, http.MethodGet, "/api/v1/query", q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var end *manifest
	rows := 0
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
		return p.record(s)
	})
	if perr := p.end(); err == nil {
		err = perr
	}
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(fault.Canceled, ctx.Err())
	case err != nil:
		return err
	case end == nil:
		return &exitError{exitPartial, fault.Errorf(fault.Unavailable, "the answer was cut off after %d records", rows)}
	}
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

// eachLine calls f for every line that is not empty.
func eachLine(r io.Reader, f func(line []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	for sc.Scan() {
		if line := bytes.TrimSpace(sc.Bytes()); len(line) > 0 {
			if err := f(line); err != nil {
				return err
			}
		}
	}
	if err := sc.Err(); err != nil {
		return fault.Errorf(fault.Unavailable, "read the answer: %w", err)
	}
	return nil
}

// decodeShown reads one line of an answer: a record, or the manifest.
func decodeShown(line []byte) (*shown, *manifest, error) {
	var o struct {
		Time     time.Time       `json:"time"`
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
