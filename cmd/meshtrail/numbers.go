package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// series is one line of numbers of a metric answer.
type series struct {
	Metric map[string]string    `json:"metric"`
	Values [][2]json.RawMessage `json:"values"` // Unix seconds, text of the number
	Value  [2]json.RawMessage   `json:"value"`  // of an instant
}

// series asks a metric query.
func (a *asking) series(ctx context.Context, q url.Values, step string, instant bool) ([]series, error) {
	q.Set("start", q.Get("from"))
	q.Set("end", q.Get("to"))
	path := "/loki/api/v1/query_range"
	switch {
	case instant:
		path = "/loki/api/v1/query"
		q.Set("time", q.Get("to"))
	case step == "":
		q.Set("step", defaultStep(q))
	default:
		d, err := parseSpan(step)
		if err != nil || d <= 0 {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "--step %q is no length of time", step), "write it as 30s, 5m or 1h")
		}
		q.Set("step", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	}
	var answer struct {
		Data struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := a.fetchJSON(ctx, path, q, &answer); err != nil {
		return nil, err
	}
	var all []series
	kind, result := answer.Data.ResultType, answer.Data.Result
	var err error
	if kind == "scalar" {
		all = make([]series, 1)
		err = json.Unmarshal(result, &all[0].Value)
	} else {
		err = json.Unmarshal(result, &all)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Corrupt, "read the %s of the answer: %w", kind, err)
	}
	for i := range all {
		if all[i].Value[0] != nil {
			all[i].Values = append(all[i].Values, all[i].Value)
		}
	}
	return all, nil
}

// numbers asks a metric query and prints one line a point, oldest first.
func (a *asking) numbers(ctx context.Context, t *terminal, q url.Values, step string, p *printer) error {
	all, err := a.series(ctx, q, step, false)
	if err != nil {
		return err
	}
	points, err := flatten(all)
	if err != nil {
		return err
	}
	switch a.output {
	case "pretty":
		p.record = prettyNumbers(t.out, points)
	case "csv":
		p.record, p.end = csvPrinter(t.data(), columns(all), false)
	}
	for _, s := range points {
		if err := p.record(s); err != nil {
			return err
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	if len(points) == 0 {
		return &exitError{code: exitNoMatch}
	}
	return nil
}

// prettyNumbers writes time, number and labels below one another.
func prettyNumbers(w io.Writer, points []*shown) func(*shown) error {
	width := 0
	for _, s := range points {
		width = max(width, len(readable(s.text("value"))))
	}
	return func(s *shown) error {
		_, err := fmt.Fprintf(w, "%s  %*s  %s\n", time.Unix(0, s.time).Format(stampLayout), width, readable(s.text("value")), escapeLine(s.labels))
		return err
	}
}

// readable shortens a long fraction. Whole numbers stay exact.
func readable(number string) string {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !strings.Contains(number, ".") || len(number) < 9 {
		return number
	}
	return strconv.FormatFloat(f, 'g', 6, 64)
}

// columns are the labels of all series, and the number.
func columns(all []series) []string {
	names := map[string]bool{}
	for _, one := range all {
		for n := range one.Metric {
			names[n] = true
		}
	}
	return append(slices.Sorted(maps.Keys(names)), "value")
}

// defaultStep is a sixtieth of the range, in whole seconds.
func defaultStep(q url.Values) string {
	from, _ := time.Parse(time.RFC3339Nano, q.Get("from"))
	to, _ := time.Parse(time.RFC3339Nano, q.Get("to"))
	return strconv.Itoa(max(1, int(to.Sub(from).Seconds()/60)))
}

// labelSet writes labels as LogQL does.
func labelSet(metric map[string]string) string {
	names := slices.Sorted(maps.Keys(metric))
	labels := make([]string, len(names))
	for i, n := range names {
		labels[i] = fmt.Sprintf("%s=%q", n, metric[n])
	}
	return "{" + strings.Join(labels, ", ") + "}"
}

// readPoint reads a time and the text of a number.
func readPoint(v [2]json.RawMessage) (at time.Time, text string, err error) {
	var seconds json.Number
	if err = json.Unmarshal(v[0], &seconds); err == nil {
		err = json.Unmarshal(v[1], &text)
	}
	if err == nil {
		at, err = parseTime(seconds.String(), time.Time{})
	}
	if err != nil {
		err = fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	return at, text, err
}

// flatten turns series into records of one number each, in order of time.
func flatten(all []series) ([]*shown, error) {
	var out []*shown
	for _, one := range all {
		names, set := slices.Sorted(maps.Keys(one.Metric)), labelSet(one.Metric)
		for _, v := range one.Values {
			at, text, err := readPoint(v)
			if err != nil {
				return nil, err
			}
			s := &shown{time: at.UnixNano(), line: text + "  " + set, labels: set, names: append(slices.Clone(names), "value"), fields: map[string]any{"value": json.Number(text)}}
			for _, n := range names {
				s.fields[n] = one.Metric[n]
			}
			s.raw, _ = json.Marshal(map[string]any{"time": at.UTC().Format(time.RFC3339Nano), "labels": one.Metric, "value": text})
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b *shown) int { return int(min(1, max(-1, a.time-b.time))) })
	return out, nil
}
