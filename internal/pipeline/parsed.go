package pipeline

import (
	"bytes"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// The fields by which intake says how much of a record it understood.
const (
	parseFormat = "parse.format"
	parseStatus = "parse.status"
	parseError  = "parse.error"
)

// understood counts records by layout and by how much of them was understood, and
// shows what was not to an Unparsed. It costs what the runs of equal values of a
// batch cost, not what its records do.
type understood struct {
	total   *prometheus.CounterVec
	formats *telemetry.Bounded
	shapes  *Unparsed
}

// maxCustomFormats is room for the names of an operator's formats.
const maxCustomFormats = 128

func newUnderstood(m *telemetry.Metrics) *understood {
	known := normalise.Formats()
	u := &understood{
		total:   m.Counter("meshtrail_records_parsed_total", "Records kept, by layout and by how much of them was understood: ok, partial, none.", "format", "status"),
		formats: telemetry.NewBounded(len(known) + maxCustomFormats),
		shapes:  newUnparsed(),
	}
	for i := range known { // no sender's layout takes the place of one of ours
		u.formats.Value(known[i].Name)
	}
	return u
}

// A tally is how many records of a batch have a layout and a status.
type tally struct {
	format, status []byte
	n              int
}

// maxTallies bounds the layouts of one batch that are told apart.
const maxTallies = 64

// count counts a batch that was appended.
func (u *understood) count(b *record.Batch) {
	if b.Account.Deduplicated > 0 || b.Len() == 0 {
		return
	}
	var format, status *record.Column
	for _, c := range b.Columns() {
		switch {
		case c.Kind != record.String || len(c.Rows) != b.Len():
		case c.Name == parseFormat:
			format = c
		case c.Name == parseStatus:
			status = c
		}
	}
	if format == nil || status == nil { // not made by a pipeline
		return
	}
	var few [8]tally
	odd := 0
	for _, t := range tallies(few[:0], format, status, b.Len()) {
		f, s := u.formats.Value(string(t.format)), statusOf(t.status)
		u.total.WithLabelValues(f, s).Add(float64(t.n))
		if s != "ok" {
			odd += t.n
		}
	}
	if odd > 0 {
		u.shapes.look(b, format, status, odd)
	}
}

// statusOf returns the status as a label.
func statusOf(s []byte) string {
	for _, known := range [...]string{"ok", "partial", "none"} {
		if string(s) == known {
			return known
		}
	}
	return telemetry.Other
}

// tallies appends how many of n records have which layout and status. What they
// hold is the batch's.
func tallies(dst []tally, format, status *record.Column, n int) []tally {
	fs, ss := len(format.Entries), len(status.Entries)
	switch {
	case fs == 1 && ss == 1:
		return append(dst, tally{format.Bytes(0), status.Bytes(0), n})
	case fs > 0 && ss > 0 && fs*ss <= maxTallies: // Append has numbered the values
		var counts [maxTallies]int
		for i := range n {
			counts[code(format, i)*ss+code(status, i)]++
		}
		for k, c := range counts[:fs*ss] {
			if c > 0 {
				dst = append(dst, tally{format.Bytes(int(format.Entries[k/ss])), status.Bytes(int(status.Entries[k%ss])), c})
			}
		}
		return dst
	}
	at := -1
	for i := range n {
		f, s := format.Bytes(i), status.Bytes(i)
		if at < 0 || !dst[at].is(f, s) {
			at = find(&dst, f, s)
		}
		dst[at].n++
	}
	return dst
}

// code returns the number of value i of a column whose values are numbered.
func code(c *record.Column, i int) int {
	if len(c.Codes) == 0 {
		return 0
	}
	return int(c.Codes[i])
}

func (t *tally) is(format, status []byte) bool {
	return bytes.Equal(t.format, format) && bytes.Equal(t.status, status)
}

// find returns the place of a tally, which is made if there is none.
func find(list *[]tally, format, status []byte) int {
	for i := range *list {
		if (*list)[i].is(format, status) {
			return i
		}
	}
	if len(*list) < maxTallies-1 {
		*list = append(*list, tally{format: format, status: status})
		return len(*list) - 1
	}
	if len(*list) < maxTallies {
		*list = append(*list, tally{format: []byte(telemetry.Other), status: []byte(telemetry.Other)})
	}
	return maxTallies - 1
}
