package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

func newTail(t *terminal) *cobra.Command {
	w := watching{t: t}
	cmd := &cobra.Command{
		Use:   "tail 'LOGQL'",
		Short: "Show records as they are kept, until Ctrl-C",
		Long: `Shows the records that match a LogQL log query from the moment they are durable.
When the connection breaks it resumes where it stopped: nothing is lost or shown
twice. A reader that is too slow is told how many records it did not see.`,
		Example: `  meshtrail tail '{mesh="istio"} | http_response_status_code >= 500'
  meshtrail tail '{namespace="shop"}' -o jsonl | jq .fields`,
		Args: arguments(0, 1, "one LogQL query in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(w.output); err != nil {
				return err
			}
			w.query = "{}"
			if len(args) == 1 {
				w.query = args[0]
			}
			if _, err := logql.ParseLog(w.query); err != nil {
				return err
			}
			if err := w.open(); err != nil {
				return err
			}
			var err error
			if w.print, err = newPrinter(t, w.output, w.fields); err != nil {
				return err
			}
			return w.run(cmd.Context())
		},
	}
	w.outputFlags(cmd)
	cmd.Flags().IntVar(&w.limit, "limit", 0, "end after this many records; 0 is never")
	return cmd
}

// watching is one tail and where it is.
type watching struct {
	asking
	t     *terminal
	query string
	limit int
	print *printer
	after string // the place of the last record shown
	shown int
	met   bool          // the server was there once
	pause time.Duration // before connecting again, at first
}

// errEnough ends a tail that has shown what was asked for.
var errEnough = errors.New("enough")

// run tails until ctx ends, which is no error. It connects again after a
// broken connection, waiting longer each time.
func (w *watching) run(ctx context.Context) error {
	if w.pause == 0 {
		w.pause = time.Second
	}
	wait := w.pause
	for {
		before := w.shown
		err := w.once(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errEnough):
			return w.print.end()
		case err != nil && !fault.KindOf(err).Retryable():
			return err
		case err != nil && !w.met:
			return err // never connected: say so instead of waiting
		}
		if w.shown > before {
			wait = w.pause
		}
		fmt.Fprintf(w.t.err, "connection lost; again in %v\n", wait)
		select {
		case <-ctx.Done():
			return w.print.end()
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// once connects and shows what comes until the connection ends.
func (w *watching) once(ctx context.Context) error {
	q := url.Values{"query": {w.query}}
	if w.after != "" {
		q.Set("after", w.after)
	}
	resp, err := w.do(ctx, http.MethodGet, "/api/v1/tail", q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w.met = true
	return eachEvent(resp.Body, w.event)
}

// An sse is one server-sent event.
type sse struct{ name, id, data string }

// eachEvent calls f for every event of a stream.
func eachEvent(r io.Reader, f func(sse) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var e sse
	var data []string
	for sc.Scan() {
		field, value, _ := strings.Cut(sc.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			data = append(data, value)
		}
		if sc.Text() != "" || len(data) == 0 {
			continue
		}
		e.data = strings.Join(data, "\n")
		if err := f(e); err != nil {
			return err
		}
		e, data = sse{}, nil
	}
	if err := sc.Err(); err != nil {
		return fault.Errorf(fault.Unavailable, "read the stream: %w", err)
	}
	return nil
}

func (w *watching) event(e sse) error {
	switch e.name {
	case "dropped":
		var d struct{ Records uint64 }
		if err := json.Unmarshal([]byte(e.data), &d); err != nil {
			return fault.Errorf(fault.Corrupt, "read the stream: %w", err)
		}
		fmt.Fprintf(w.t.err, "warning: %d records not shown, too many at once; query finds them\n", d.Records)
		return nil
	case "failed":
		var body httpd.ErrorBody
		if err := json.Unmarshal([]byte(e.data), &body); err != nil {
			return fault.Errorf(fault.Corrupt, "read the stream: %w", err)
		}
		return fault.WithHint(fault.Errorf(fault.Internal, "the server ended the tail: %s", body.Error.Message), body.Error.Hint)
	case "":
	default:
		return nil // of a newer server
	}
	s, _, err := decodeShown([]byte(e.data))
	if err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	if err := w.print.record(s); err != nil {
		return err
	}
	w.after = e.id
	if w.shown++; w.limit > 0 && w.shown >= w.limit {
		return errEnough
	}
	return nil
}
