package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

func newStats(t *terminal) *cobra.Command {
	e := &exploring{t: t}
	by, step, instant := "", "", false
	cmd := e.command(&cobra.Command{
		Use:   "stats ['QUERY']",
		Short: "Count records, or compute a metric query, as a table",
		Long: `Of a log query it counts the records by the values of a field (--by). Of a
metric query it shows each series with its last, least, mean and greatest value.
On a terminal a picture of each over time stands beside it; on others, and as
csv or jsonl, there are only numbers: csv has one row a point.

It exits 1 when there is nothing to count.`,
		Example: `  meshtrail stats --since 1h
  meshtrail stats '{mesh="istio"}' --by http_response_status_code --since 15m
  meshtrail stats 'sum by (service) (rate({}[5m]))' --step 1m
  meshtrail stats 'topk(5, sum by (url_path) (count_over_time({service="cart"}[1h])))' --instant
  meshtrail stats 'quantile_over_time(0.99, {mesh="istio"} | unwrap duration [5m]) by (service)' -o csv`,
		Args: arguments(0, 1, "one query in quotes"),
	}, func(cmd *cobra.Command, q url.Values, args []string) (int, error) {
		var x logql.Expr
		if len(args) == 1 {
			var err error
			if x, err = e.parse(args[0], false); err != nil {
				return 0, err
			}
			q.Set("query", args[0])
		}
		e.put(q)
		if _, isLog := x.(*logql.Log); x != nil && !isLog {
			if by != "" {
				return 0, usage(cmd, "--by is for log queries; write: sum by (%s) (…)", by)
			}
			return 1, e.series(cmd.Context(), q, step, instant)
		}
		if step != "" || instant {
			return 0, usage(cmd, "--step and --instant are for metric queries, such as rate({…}[5m])")
		}
		return e.counts(cmd, q, firstOf(by, "mesh"))
	})
	f := cmd.Flags()
	f.StringVar(&by, "by", "", "field to count the records of a log query by (default mesh)")
	f.StringVar(&step, "step", "", "distance between the points of a metric query (default: a sixtieth of the range)")
	f.BoolVar(&instant, "instant", false, "compute a metric query at the end of the range only")
	cmd.ValidArgsFunction = e.completeQuery(0)
	e.completeAsking(cmd, tables)
	return cmd
}

// counts shows the records of a log query by the values of a field.
func (e *exploring) counts(cmd *cobra.Command, q url.Values, by string) (int, error) {
	type group struct {
		Value  string   `json:"value"`
		Total  uint64   `json:"total"`
		Counts []uint64 `json:"counts"`
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
	n, err := table(e, answer.Groups, []string{"records", by}, func(g group) []string {
		heights := make([]float64, len(g.Counts))
		for i, n := range g.Counts {
			heights[i] = float64(n)
		}
		cells := []string{strconv.FormatUint(g.Total, 10), firstOf(g.Value, "(none)")}
		if e.t.outTTY {
			cells = append(cells, sparkline(heights))
		}
		return cells
	})
	if e.output == "pretty" && err == nil {
		fmt.Fprintf(e.t.out, "%d records in all\n", answer.Total)
	}
	return n, err
}

// picture is a sparkline where people look, and nothing elsewhere.
func (e *exploring) picture(heights []float64) string {
	if !e.t.outTTY {
		return ""
	}
	return sparkline(heights)
}

// sparkline draws values in one line of block characters, from 0 or the least
// below it up to the greatest. What is not a number is blank.
func sparkline(values []float64) string {
	low, high := 0.0, 0.0
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	bars := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v) || v == 0 && low == 0:
			b.WriteRune(bars[0])
		case high == low:
			b.WriteRune(bars[4])
		default:
			share := (min(max(v, low), high) - low) / (high - low)
			b.WriteRune(bars[1+int(share*7)])
		}
	}
	return b.String()
}

// A curve is one series with what a table shows of it.
type curve struct {
	Labels map[string]string `json:"labels"`
	Last   number            `json:"last"`
	Min    number            `json:"min"`
	Mean   number            `json:"mean"`
	Max    number            `json:"max"`
	Points []point           `json:"points"`
	name   string
}

// A point is a time and a value.
type point struct {
	Time  time.Time `json:"time"`
	Value number    `json:"value"`
}

// A number prints what JSON has no number for as text.
type number float64

// MarshalJSON writes NaN, +Inf and -Inf as texts.
func (n number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return json.Marshal(n.String())
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
}

// String writes the number as Prometheus does.
func (n number) String() string { return strconv.FormatFloat(float64(n), 'f', -1, 64) }

// series shows a metric query.
func (e *exploring) series(ctx context.Context, q url.Values, step string, instant bool) error {
	answer, err := e.metric(ctx, e.t, q, step, instant)
	if err != nil {
		return err
	}
	curves, err := curvesOf(answer.Series)
	if err != nil {
		return err
	}
	switch e.output {
	case "csv":
		points, err := flatten(answer.Series)
		if err != nil {
			return err
		}
		record, end := csvPrinter(e.t.data(), columns(answer.Series), false)
		for _, s := range points {
			if err := record(s); err != nil {
				return err
			}
		}
		if err := end(); err != nil {
			return err
		}
	case "jsonl":
		_, err = table(e, curves, nil, func(curve) []string { return nil })
	default:
		err = e.draw(curves, instant)
	}
	if err != nil {
		return err
	}
	return answer.verdict(e.t, len(curves))
}

// curvesOf reads the points of series and what sums them up.
func curvesOf(all []series) ([]curve, error) {
	var out []curve
	for _, one := range all {
		c := curve{Labels: one.Labels, name: labelSet(one.Labels), Min: number(math.Inf(1)), Max: number(math.Inf(-1))}
		sum := 0.0
		for _, v := range one.Points {
			at, err := time.Parse(time.RFC3339Nano, v.Time)
			if err != nil {
				return nil, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
			}
			f, err := strconv.ParseFloat(v.Value, 64)
			if err != nil {
				return nil, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
			}
			c.Points = append(c.Points, point{at.UTC(), number(f)})
			c.Last = number(f)
			c.Min, c.Max = min(c.Min, c.Last), max(c.Max, c.Last)
			sum += f
		}
		if len(c.Points) == 0 {
			continue
		}
		c.Mean = number(sum / float64(len(c.Points)))
		out = append(out, c)
	}
	return out, nil
}

// draw writes the table for people. The pictures share their times: a series
// without a value at one is blank there.
func (e *exploring) draw(curves []curve, instant bool) error {
	var times []time.Time
	for _, c := range curves {
		for _, p := range c.Points {
			times = append(times, p.Time)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	times = slices.Compact(times)
	w := tabwriter.NewWriter(e.t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "last\tmin\tmean\tmax\t"
	if instant {
		head = "value\t"
	}
	if len(curves) > 0 {
		fmt.Fprintln(w, head)
	}
	for _, c := range curves {
		shown := []number{c.Last, c.Min, c.Mean, c.Max}
		if instant {
			shown = shown[:1]
		}
		for _, n := range shown {
			fmt.Fprintf(w, "%s\t", readable(n.String()))
		}
		tail := "  " + escapeLine(c.name)
		if pic := e.picture(heights(c.Points, times)); pic != "" && !instant {
			tail = "  " + pic + tail
		}
		io.WriteString(w, tail+"\n")
	}
	return w.Flush()
}

// most pictures are this wide at most.
const pictureColumns = 60

// heights gives the values of a series at all times, the greatest of neighbours
// where there are more than columns.
func heights(points []point, times []time.Time) []float64 {
	out := make([]float64, min(len(times), pictureColumns))
	for i := range out {
		out[i] = math.NaN()
	}
	for _, p := range points {
		i, _ := slices.BinarySearchFunc(times, p.Time, time.Time.Compare)
		i = i * len(out) / len(times)
		if v := float64(p.Value); math.IsNaN(out[i]) || v > out[i] {
			out[i] = v
		}
	}
	return out
}
