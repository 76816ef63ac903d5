package applog_test

import (
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/meshtrail/meshtrail/internal/normalise/applog"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano()

// read returns what a Line makes of a text: its time and fields, or "" for
// nothing.
func read(line string) (at, fields string) {
	var (
		b record.Batch
		c facts.Columns
		l Line
	)
	c.Bind(&b)
	b.Begin(0, "")
	o := facts.Out{B: &b, Cols: &c, Now: now}
	if !l.Text([]byte(line), &o) {
		return "", ""
	}
	b.End()
	var out []string
	r := b.Record(0)
	for _, f := range r.Fields {
		out = append(out, f.Name+"="+f.Value.Text())
	}
	if o.Time != 0 {
		at = time.Unix(0, o.Time).UTC().Format("2006-01-02T15:04:05.999999999")
	}
	return at, o.Format + "/" + o.Status.String() + " " + strings.Join(out, " ")
}

// TestText holds lines of the usual loggers against what they say.
func TestText(t *testing.T) {
	data, err := os.ReadFile("testdata/text.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, entry := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		parts := strings.SplitN(entry, "\n", 2)
		at, fields := read(parts[0])
		got := strings.TrimSpace(at + " " + fields)
		want := ""
		if len(parts) == 2 {
			want = strings.TrimSpace(parts[1])
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", parts[0], got, want)
		}
		n++
	}
	if n < 50 {
		t.Errorf("%d lines", n)
	}
}

func FuzzText(f *testing.F) {
	data, err := os.ReadFile("testdata/text.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range strings.Split(string(data), "\n\n") {
		line, _, _ := strings.Cut(entry, "\n")
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if line == "" {
			return
		}
		if _, fields := read(line); fields != "" && !strings.Contains(fields, "/") {
			t.Fatalf("%q: no format", line)
		}
	})
}
