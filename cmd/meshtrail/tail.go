package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func newTail(t *terminal) *cobra.Command {
	w := watching{t: t}
	cmd := &cobra.Command{
		Use:   "tail ['QUERY']",
		Short: "Show records as they are kept, until Ctrl-C",
		Long: `Shows the records that match a query from the moment they are durable, in the
order in which they were kept. With --since or --lines it begins with records
that are there already.

When the connection breaks, or the server restarts, it resumes where it stopped:
nothing is lost or shown twice. A reader that is slower than the records gets
them late; one that is too far behind is told so, and goes on with what comes
now. --rate shows a sample and counts the rest.

It exits 0 when it is ended, and 3 when there were records that it did not show.`,
		Example: `  meshtrail tail '{mesh="istio"} | http_response_status_code >= 500'
  meshtrail tail '{namespace="shop"}' --since 10m
  meshtrail tail '{namespace="shop"}' -o jsonl | jq -r .line
  meshtrail tail --lang search 'mesh:istio status:>=500' --rate 50`,
		Args: arguments(0, 1, "one query in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				w.query = args[0]
			}
			if err := w.check(); err != nil {
				return err
			}
			if err := w.open(); err != nil {
				return err
			}
			var err error
			if w.print, err = w.printer(t); err != nil {
				return err
			}
			return at(w.query, w.run(cmd.Context()))
		},
	}
	w.outputFlags(cmd, outputs)
	f := cmd.Flags()
	f.IntVar(&w.limit, "limit", 0, "end after this many records; 0 is never")
	f.StringVar(&w.since, "since", "", "begin with the records of the last 15m, 1h, 7d")
	f.IntVar(&w.lines, "lines", 0, "begin with this many records at most, of the last hour or --since")
	f.IntVar(&w.rate, "rate", 0, "records to show in a second at most; 0 is all")
	cmd.ValidArgsFunction = w.completeQuery(0)
	w.completeAsking(cmd, outputs)
	return cmd
}

// watching is one tail and where it is.
type watching struct {
	asking
	t     *terminal
	query string
	limit int
	lines int // of the records that are there already
	rate  int
	print *printer
	after string // the place to resume from
	shown int
	gaps  bool          // records were not shown
	met   bool          // the server was there once
	begun bool          // what was there already was shown
	pause time.Duration // before connecting again, at first
}

// check refuses what cannot be right before the server is asked.
func (w *watching) check() error {
	if err := checkOutput(w.output, outputs); err != nil {
		return err
	}
	if w.limit < 0 || w.lines < 0 || w.rate < 0 {
		return &exitError{exitUsage, fault.Errorf(fault.Invalid, "--limit, --lines and --rate are numbers from 0")}
	}
	if w.since != "" {
		if _, err := parseSpan(w.since); err != nil {
			return fault.Errorf(fault.Invalid, "--since: %w", err)
		}
	}
	_, err := w.parse(w.query, true)
	return err
}

// errEnough ends a tail that has shown what was asked for.
var errEnough = errors.New("enough")

// errTooFar ends a connection that was to resume from too far back.
var errTooFar = errors.New("too far behind")

// The waits before a lost connection is tried again.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// run tails until ctx ends, which is no error. It connects again after a
// broken connection, waiting longer each time.
func (w *watching) run(ctx context.Context) error {
	if w.pause == 0 {
		w.pause = firstPause
	}
	wait := w.pause
	for {
		before := w.after
		err := w.once(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errEnough):
			return w.end()
		case errors.Is(err, errTooFar):
			fmt.Fprintf(w.t.err, "warning: %v; going on with what comes now, query finds the others\n", err)
			w.after, w.gaps = "", true
			continue
		case err != nil && !fault.KindOf(err).Retryable():
			return err
		case err != nil && !w.met:
			return err // never connected: say so instead of waiting
		}
		if w.after != before {
			wait = w.pause
		}
		fmt.Fprintf(w.t.err, "connection lost; again in %v\n", wait)
		select {
		case <-ctx.Done():
			return w.end()
		case <-time.After(wait + rand.N(wait/4+1)): // not all clients at once
		}
		wait = min(2*wait, lastPause)
	}
}

// end is how a tail ends that was not refused.
func (w *watching) end() error {
	if err := w.print.end(); err != nil {
		return err
	}
	if w.gaps {
		return &exitError{code: exitPartial}
	}
	return nil
}

// once connects and shows what comes until the connection ends.
func (w *watching) once(ctx context.Context) error {
	q := url.Values{"query": {w.query}, "complete": {"true"}}
	w.put(q)
	if w.rate > 0 {
		q.Set("rate", strconv.Itoa(w.rate))
	}
	if w.after != "" {
		q.Set("after", w.after)
	}
	resp, err := w.do(ctx, http.MethodGet, "/api/v1/tail", q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w.met = true
	return eachEvent(resp.Body, func(e sse) error { return w.event(ctx, e) })
}

func (w *watching) event(ctx context.Context, e sse) error {
	switch e.name {
	case "dropped":
		return w.unseen(e)
	case "failed":
		return failed(e)
	case "":
	default:
		return nil // of a newer server
	}
	if e.data == "" { // the place alone
		w.after = e.id
		if !w.begun {
			w.begun = true
			return w.past(ctx, e.id)
		}
		return nil
	}
	s, _, err := decodeShown([]byte(e.data))
	if err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	if err := w.show(s); err != nil {
		return err
	}
	w.after = e.id
	if w.limit > 0 && w.shown >= w.limit {
		return errEnough
	}
	return nil
}

func (w *watching) show(s *shown) error {
	w.shown++
	return w.print.record(s)
}

func (w *watching) unseen(e sse) error {
	var d struct {
		Records uint64
		Why     string
	}
	if err := json.Unmarshal([]byte(e.data), &d); err != nil {
		return fault.Errorf(fault.Corrupt, "read the stream: %w", err)
	}
	w.gaps = true
	if e.id != "" {
		w.after = e.id
	}
	why := "too many at once"
	if d.Why == "rate" {
		why = "more than --rate in a second"
	}
	fmt.Fprintf(w.t.err, "warning: %d records not shown, %s; query finds them\n", d.Records, why)
	return nil
}

// failed reads why the server ended a tail.
func failed(e sse) error {
	var body struct {
		Error struct{ Kind, Message, Hint string }
		After string
	}
	if err := json.Unmarshal([]byte(e.data), &body); err != nil {
		return fault.Errorf(fault.Corrupt, "read the stream: %w", err)
	}
	if kindNamed(body.Error.Kind) == fault.Overload {
		return fmt.Errorf("%w: %s", errTooFar, body.Error.Message)
	}
	return fault.WithHint(fault.Errorf(kindNamed(body.Error.Kind), "the server ended the tail: %s", body.Error.Message), body.Error.Hint)
}

// past shows what was there already when the tail began at a place in the commit
// order: records behind it come live.
func (w *watching) past(ctx context.Context, at string) error {
	if w.since == "" && w.lines == 0 {
		return nil
	}
	end, err := strconv.ParseUint(at, 10, 64)
	if err != nil {
		return fault.Errorf(fault.Corrupt, "read the stream: %w", err)
	}
	span, _ := parseSpan(firstOf(w.since, "1h")) // checked before
	now := time.Now()
	q := url.Values{"query": {w.query}, "order": {"oldest"}, "limit": {"0"}}
	// A clock that is ahead of ours must not hide records.
	q.Set("from", now.Add(-span).UTC().Format(time.RFC3339Nano))
	q.Set("to", now.Add(24*time.Hour).UTC().Format(time.RFC3339Nano))
	if w.lines > 0 {
		q.Set("order", "newest")
		q.Set("limit", strconv.Itoa(w.lines))
	}
	w.put(q)
	var newest []*shown
	_, _, err = w.stream(ctx, q, func(s *shown) error {
		switch {
		case s.ord > end:
			return nil
		case w.lines > 0:
			newest = append(newest, s.keep())
			return nil
		}
		return w.show(s)
	})
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(newest) {
		if err := w.show(s); err != nil {
			return err
		}
	}
	if w.limit > 0 && w.shown >= w.limit {
		return errEnough
	}
	return nil
}

// An sse is one server-sent event. One without data only moves the place.
type sse struct{ name, id, data string }

// eachEvent calls f for every event of a stream.
func eachEvent(r io.Reader, f func(sse) error) error {
	var e sse
	any := false
	return eachText(r, func(text []byte) error {
		line := string(text)
		if line == "" {
			ready := e
			complete := any
			e, any = sse{}, false
			if !complete {
				return nil
			}
			return f(ready)
		}
		field, value := cutField(line)
		switch field {
		case "event":
			e.name = value
		case "id":
			e.id, any = value, true
		case "data":
			if e.data != "" {
				e.data += "\n"
			}
			e.data += value
			any = true
		}
		return nil
	})
}
