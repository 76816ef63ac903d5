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

// An answer is what a metric query gives.
type metricAnswer struct {
	Series   []series
	Partial  bool
	Warnings []string
}

// series is one line of numbers of a metric answer.
type series struct {
	Labels map[string]string
	Points []struct{ Time, Value string } // RFC 3339, text of the number
}

// metric asks a metric query, at every step of the range or at its end only.
func (a *asking) metric(ctx context.Context, t *terminal, q url.Values, step string, instant bool) (*metricAnswer, error) {
	switch {
	case instant && step != "":
		return nil, &exitError{exitUsage, fault.Errorf(fault.Invalid, "both --instant and --step")}
	case instant:
		q.Set("time", q.Get("to"))
		q.Del("from")
		q.Del("to")
	case step != "":
		d, err := parseSpan(step)
		if err != nil || d <= 0 {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "--step %q is no length of time", step), "write it as 30s, 5m or 1h")
		}
		q.Set("step", strconv.FormatInt(int64(d), 10)+"ns")
	}
	defer t.meter("numbers").waiting()()
	var answer metricAnswer
	if err := a.fetchJSON(ctx, "/api/v1/metric", q, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// verdict says how a metric answer of n points ended.
func (m *metricAnswer) verdict(t *terminal, n int) error {
	return verdict(t, n, &manifest{Rows: n, Partial: m.Partial, Warnings: m.Warnings})
}

// numbers asks a metric query and prints one line a point, oldest first.
func (a *asking) numbers(ctx context.Context, t *terminal, q url.Values, step string, p *printer) error {
	answer, err := a.metric(ctx, t, q, step, false)
	if err != nil {
		return err
	}
	points, err := flatten(answer.Series)
	if err != nil {
		return err
	}
	switch a.output {
	case "pretty":
		p.record = prettyNumbers(t.out, points)
	case "csv":
		p.record, p.end = csvPrinter(t.data(), columns(answer.Series), false)
	}
	for _, s := range points {
		if err := p.record(s); err != nil {
			return err
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	return answer.verdict(t, len(points))
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
		for n := range one.Labels {
			names[n] = true
		}
	}
	return append(slices.Sorted(maps.Keys(names)), "value")
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

// flatten turns series into records of one number each, in order of time.
func flatten(all []series) ([]*shown, error) {
	var out []*shown
	for _, one := range all {
		names, set := slices.Sorted(maps.Keys(one.Labels)), labelSet(one.Labels)
		for _, v := range one.Points {
			at, err := time.Parse(time.RFC3339Nano, v.Time)
			if err != nil {
				return nil, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
			}
			s := &shown{time: at.UnixNano(), line: v.Value + "  " + set, labels: set, names: append(slices.Clone(names), "value"), fields: map[string]any{"value": json.Number(v.Value)}}
			for _, n := range names {
				s.fields[n] = one.Labels[n]
			}
			s.raw, _ = json.Marshal(map[string]any{"time": at.UTC().Format(time.RFC3339Nano), "labels": one.Labels, "value": v.Value})
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b *shown) int { return int(min(1, max(-1, a.time-b.time))) })
	return out, nil
}
