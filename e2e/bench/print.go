package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// A grid is a table of texts. The first row is its head.
type grid [][]string

func (g *grid) row(cells ...string) { *g = append(*g, cells) }

// write writes g in columns, or as a table of Markdown.
func (g grid) write(w io.Writer, markdown bool) {
	if !markdown {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, row := range g {
			fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
		}
		t.Flush()
		return
	}
	for i, row := range g {
		fmt.Fprintln(w, "| "+strings.Join(row, " | ")+" |")
		if i == 0 {
			fmt.Fprintln(w, "|"+strings.Repeat("---|", len(row)))
		}
	}
	fmt.Fprintln(w)
}

// print writes the results as tables, a part each, the stores side by side. The
// number in brackets is ours divided by the rival's.
func (rep *report) print(w io.Writer, markdown bool) {
	m := rep.Machine
	fmt.Fprintf(w, "%s; %d cores of %s, %.0f GiB, %s, a sync of 4 KiB takes %.1f ms\n%s\n", m.Date, m.Cores, m.CPU, m.Memory, m.Kernel, m.Sync, rep.Options)
	for _, s := range rep.Missing {
		fmt.Fprintf(w, "not measured: %s\n", s)
	}
	var group []*result
	for i, r := range rep.Results {
		group = append(group, r)
		if i+1 == len(rep.Results) || rep.Results[i+1].Part != r.Part {
			printPart(w, group, markdown)
			group = nil
		}
	}
}

func printPart(w io.Writer, group []*result, markdown bool) {
	r := group[0]
	fmt.Fprintf(w, "\n== %s: %d records, %.1f MB as JSON, %d streams, batches of %d over %d connections\n\n",
		r.Part, r.Records, float64(r.Raw)/1e6, r.Streams, r.Batch, r.Connections)
	if r.Part == inWays {
		waysTable(group).write(w, markdown)
		printWrong(w, group)
		return
	}
	t := &table{group: group}
	head := []string{""}
	for _, r := range group {
		head = append(head, r.Target)
	}
	t.grid.row(head...)
	switch {
	case r.Heavy != nil:
		heavyRows(t)
	case r.Kill != nil:
		killRows(t)
	default:
		loadRows(t)
	}
	t.grid.write(w, markdown)
	if len(r.Queries) > 0 {
		fmt.Fprintln(w)
		queryTable(group).write(w, markdown)
	}
	printWrong(w, group)
}

// printWrong tells what failed, and which answers were wrong.
func printWrong(w io.Writer, group []*result) {
	for _, r := range group {
		if r.Failed != "" {
			fmt.Fprintf(w, "%s failed: %s\n", r.Target, r.Failed)
		}
		for _, q := range r.Queries {
			if q.Wrong != "" {
				fmt.Fprintf(w, "WRONG %s %s: %s\n", r.Target, q.Name, q.Wrong)
			}
		}
	}
}

// waysTable has a row a protocol. The number in brackets is the time of the first
// one divided by that of this one.
func waysTable(group []*result) (g grid) {
	g.row("protocol", "MB/s", "records/s", "CPU-s per GB", "acknowledged, median ms", "p99 ms", "peak MiB")
	for _, r := range group {
		if r.Failed != "" {
			g.row(r.Target, "failed", "", "", "", "", "")
			continue
		}
		gb := float64(r.Raw) / 1e9
		g.row(r.Target, fmt.Sprintf("%.1f (%.2f)", gb*1000/r.Load.Seconds, group[0].Load.Seconds/r.Load.Seconds), fmt.Sprintf("%.0f", float64(r.Records)/r.Load.Seconds),
			fmt.Sprintf("%.2f (%.2f)", r.CPU/gb, group[0].CPU/r.CPU), fmt.Sprintf("%.1f", r.Load.AckMedian), fmt.Sprintf("%.1f", r.Load.Ack99), fmt.Sprintf("%.0f", r.Peak))
	}
	return g
}

// table has one row a figure.
type table struct {
	grid  grid
	group []*result
}

// row writes a figure of each store, and ours divided by each rival's.
func (t *table) row(name, format string, f func(*result) float64) {
	cells := []string{name}
	for i, r := range t.group {
		if r.Failed != "" {
			cells = append(cells, "-")
			continue
		}
		v := f(r)
		cell := fmt.Sprintf(format, v)
		if i > 0 && v > 0 && t.group[0].Target == "meshtrail" {
			cell += fmt.Sprintf(" (%.2f)", f(t.group[0])/v)
		}
		cells = append(cells, cell)
	}
	t.grid.row(cells...)
}

func loadRows(t *table) {
	gb := func(r *result) float64 { return float64(r.Raw) / 1e9 }
	t.row("MB/s", "%.1f", func(r *result) float64 { return gb(r) * 1000 / r.Load.Seconds })
	t.row("records/s", "%.0f", func(r *result) float64 { return float64(r.Records) / r.Load.Seconds })
	t.row("CPU-s per GB, end of load", "%.2f", func(r *result) float64 { return r.Load.CPU / gb(r) })
	t.row("CPU-s per GB, settled", "%.2f", func(r *result) float64 { return r.CPU / gb(r) })
	ackRows(t, "", func(r *result) loaded { return r.Load })
	t.row("peak memory, MiB", "%.0f", func(r *result) float64 { return r.Peak })
	t.row("memory settled, MiB", "%.0f", func(r *result) float64 { return r.RSS })
	t.row("disk, MB", "%.1f", func(r *result) float64 { return float64(r.Disk) / 1e6 })
	t.row("JSON / disk", "%.1f", func(r *result) float64 { return float64(r.Raw) / float64(r.Disk) })
	t.row("written to the device, MB", "%.1f", func(r *result) float64 { return float64(r.Written) / 1e6 })
	t.row("written / disk", "%.2f", func(r *result) float64 { return float64(r.Written) / float64(r.Disk) })
	if t.group[0].Reopen == nil {
		return
	}
	t.row("peak memory with queries, MiB", "%.0f", func(r *result) float64 { return r.QueryPeak })
	reopen := func(f func(*reopened) float64) func(*result) float64 {
		return func(r *result) float64 {
			if r.Reopen == nil {
				return 0
			}
			return f(r.Reopen)
		}
	}
	t.row("ready after a restart, ms", "%.0f", reopen(func(r *reopened) float64 { return r.Ready }))
	t.row("memory when ready, MiB", "%.0f", reopen(func(r *reopened) float64 { return r.RSS }))
}

func ackRows(t *table, suffix string, f func(*result) loaded) {
	t.row("acknowledged, median ms"+suffix, "%.1f", func(r *result) float64 { return f(r).AckMedian })
	t.row("acknowledged, p99 ms"+suffix, "%.1f", func(r *result) float64 { return f(r).Ack99 })
	t.row("acknowledged, worst ms"+suffix, "%.1f", func(r *result) float64 { return f(r).AckWorst })
	t.row("requests sent again"+suffix, "%.0f", func(r *result) float64 { return float64(f(r).Retries) })
}

func heavyRows(t *table) {
	rate := func(l loaded) float64 { return float64(l.Records) / l.Seconds }
	t.row("records/s alone", "%.0f", func(r *result) float64 { return rate(r.Heavy.Alone) })
	t.row("records/s beside queries", "%.0f", func(r *result) float64 { return rate(r.Heavy.Beside) })
	t.row("slower by", "%.2f", func(r *result) float64 { return rate(r.Heavy.Alone) / rate(r.Heavy.Beside) })
	ackRows(t, ", alone", func(r *result) loaded { return r.Heavy.Alone })
	ackRows(t, ", beside", func(r *result) loaded { return r.Heavy.Beside })
	t.row("queries answered", "%.0f", func(r *result) float64 { return float64(r.Heavy.Answered) })
	t.row("queries failed", "%.0f", func(r *result) float64 { return float64(r.Heavy.Failed) })
	t.row("a query, median ms", "%.1f", func(r *result) float64 { return r.Heavy.QueryMedian })
	t.row("a query, p99 ms", "%.1f", func(r *result) float64 { return r.Heavy.Query99 })
	t.row("peak memory, MiB", "%.0f", func(r *result) float64 { return r.Peak })
}

func killRows(t *table) {
	t.row("records acknowledged", "%.0f", func(r *result) float64 { return float64(r.Kill.Acknowledged) })
	t.row("records found", "%.0f", func(r *result) float64 { return float64(r.Kill.Found) })
	t.row("acknowledged and lost, at least", "%.0f", func(r *result) float64 { return float64(r.Kill.Lost) })
	t.row("ready after the kill, ms", "%.0f", func(r *result) float64 { return r.Kill.Ready })
}

// queryTable has a row a question: the median of the warm runs and in brackets
// ours divided by theirs, the first run, and CPU.
func queryTable(group []*result) (g grid) {
	head := []string{"query"}
	for i, r := range group {
		if head = append(head, r.Target+", ms"); i > 0 {
			head[len(head)-1] += " (ours / theirs)"
		}
		head = append(head, "first", "CPU ms")
	}
	g.row(head...)
	logs, counted := make([]float64, len(group)), make([]int, len(group))
	for i := range group[0].Queries {
		ours := &group[0].Queries[i]
		cells := []string{ours.Name}
		for k, r := range group {
			if i >= len(r.Queries) {
				cells = append(cells, "-", "", "")
				continue
			}
			q := &r.Queries[i]
			cell := fmt.Sprintf("%.1f", q.Median)
			switch {
			case q.Wrong != "":
				cell += " WRONG"
			case k > 0 && q.Median > 0 && ours.Median > 0:
				cell += fmt.Sprintf(" (%.2f)", ours.Median/q.Median)
				logs[k] += math.Log(ours.Median / q.Median)
				counted[k]++
			}
			cells = append(cells, cell, fmt.Sprintf("%.1f", q.First), fmt.Sprintf("%.0f", q.CPU))
		}
		g.row(cells...)
	}
	if len(group) > 1 {
		cells := []string{"geometric mean"}
		for k := range group {
			mean := ""
			if counted[k] > 0 {
				mean = fmt.Sprintf("(%.2f)", math.Exp(logs[k]/float64(counted[k])))
			}
			cells = append(cells, mean, "", "")
		}
		g.row(cells...)
	}
	return g
}
