package comply

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"glyph": glyph, "list": list, "stampNs": stampNs, "when": when, "isTime": isTime, "num": num,
	"date": func(s string) string { return s[:min(len(s), len("2006-01-02"))] },
}).Parse(page))

// glyph marks a state without colour.
func glyph(s State) string {
	switch s {
	case Pass:
		return "✓"
	case Fail:
		return "✗"
	case NotOccurring:
		return "∅"
	case NotApplicable:
		return "–"
	case Error:
		return "!"
	}
	return "?"
}

// when shows a time to the second; what is no time stays as it is. The exact
// one is in the JSON.
func when(s string) string {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return brief(t)
	}
	return s
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// num writes 1234567 as 1,234,567.
func num(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// HTML renders the report as one file without outside resources or scripts. It
// shows the same content as the JSON, and its hash.
func (r *Report) HTML() ([]byte, error) {
	sum, err := r.SHA256()
	if err != nil {
		return nil, err
	}
	v := view{R: r, SHA256: sum, Shares: r.shares(), Lines: r.lines(), Gaps: r.gaps()}
	var tests, standings []State
	for _, t := range r.Tests {
		tests = append(tests, t.State)
	}
	for _, c := range r.Coverage {
		standings = append(standings, c.State)
		if n := len(v.Categories); n == 0 || v.Categories[n-1].Name != c.Category {
			v.Categories = append(v.Categories, category{Name: c.Category})
		}
		last := &v.Categories[len(v.Categories)-1]
		last.Coverage = append(last.Coverage, c)
	}
	v.TestStates, v.CoverageStates = tally(tests), tally(standings)
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return nil, fault.Errorf(fault.Internal, "render report: %w", err)
	}
	return b.Bytes(), nil
}

// view is what the page needs besides the report: charts and sums.
type view struct {
	R              *Report
	SHA256         string
	Shares         []share
	Lines          []sourceLine
	Gaps           []sourceGap
	TestStates     string
	CoverageStates string
	Categories     []category
}

type category struct {
	Name     string
	Coverage []Coverage
}

// share is a part of the bar of what became of the records.
type share struct {
	Name    string
	N       uint64
	X, W    int // of 1,000
	Percent string
}

type sourceLine struct {
	Source string
	Says   string // what the bars add up to, in words
	Width  int
	Cells  []cell
}

// cell is one bar of a timeline.
type cell struct {
	X, Y, W, H   int
	State, Title string
}

type sourceGap struct {
	Source string
	Gap
}

func tally(states []State) string {
	var parts []string
	for _, s := range slices.Backward(severity) {
		n := 0
		for _, x := range states {
			if x == s {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func (r *Report) shares() []share {
	c := r.Completeness
	all := []share{{Name: "stored", N: c.Stored}, {Name: "rejected", N: c.Rejected}, {Name: "dropped", N: c.Dropped}, {Name: "deduplicated", N: c.Deduped}}
	total := max(c.Received, c.Stored+c.Rejected+c.Dropped+c.Deduped, 1)
	x := 0
	for i := range all {
		s := &all[i]
		part := float64(s.N) / float64(total)
		s.X, s.W = x, int(part*1000)
		if s.N > 0 {
			s.W = max(s.W, 3) // a share of nothing must not look like nothing
		}
		s.W = min(s.W, 1000-x)
		x += s.W
		s.Percent = fmt.Sprintf("%.2f %%", part*100)
	}
	return all
}

// Units of a timeline: a bucket is unit wide, and the line lineHeight high.
const (
	unit       = 100
	lineHeight = 30
)

// lines draws the timelines. The height of a bar is the logarithm of its
// records, so that an hour of few is still seen.
func (r *Report) lines() []sourceLine {
	var out []sourceLine
	for _, a := range r.Completeness.Sources {
		l := sourceLine{Source: a.Source, Width: len(a.Timeline) * unit}
		top, peak := 1.0, uint64(0)
		for _, b := range a.Timeline {
			top, peak = max(top, math.Log1p(float64(b.Received))), max(peak, b.Received)
		}
		l.Says = fmt.Sprintf("at most %s in %s", num(peak), r.Completeness.Bucket)
		if peak == 0 {
			l.Says = "nothing received"
		}
		for i, b := range a.Timeline {
			last := len(l.Cells) - 1
			if b.State != Data && last >= 0 && l.Cells[last].State == b.State {
				l.Cells[last].W += unit
				continue
			}
			c := cell{X: i * unit, W: unit, State: b.State, Title: when(b.From) + ": " + b.State}
			switch b.State {
			case Data:
				c.H = 8 + int(math.Log1p(float64(b.Received))/top*(lineHeight-8))
				c.Title = fmt.Sprintf("%s: %s records", when(b.From), num(b.Received))
				c.W = unit - max(1, min(unit/10, l.Width/500)) // bars stand apart, few of them not far
			case Silence:
				c.H = 6
			case Unknown:
				c.H = lineHeight - 2
			default:
				c.H = 2
			}
			c.Y = lineHeight - c.H
			l.Cells = append(l.Cells, c)
		}
		out = append(out, l)
	}
	return out
}

func (r *Report) gaps() []sourceGap {
	var out []sourceGap
	for _, a := range r.Completeness.Sources {
		for _, g := range a.Silent {
			out = append(out, sourceGap{a.Source, g})
		}
	}
	return out
}
