package loki

import (
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
)

// Bounds of one message of a live tail.
const (
	frameEntries = 100
	frameBytes   = 256 << 10 // of lines
)

// A frame gathers the records of one message of a live tail. Records that follow
// one another with the same labels share a stream.
type frame struct {
	form   form
	legacy bool

	streams []query.Stream
	keys    []string
	entries int
	bytes   int
}

func (f *frame) empty() bool { return f.entries == 0 }
func (f *frame) full() bool  { return f.entries >= frameEntries || f.bytes >= frameBytes }

func (f *frame) add(e *told) {
	l := f.form.labels(&e.Entry, e.stream)
	key := l.Key()
	if n := len(f.keys); n == 0 || f.keys[n-1] != key {
		f.keys = append(f.keys, key)
		f.streams = append(f.streams, query.Stream{Labels: l})
	}
	s := &f.streams[len(f.streams)-1]
	s.Entries = append(s.Entries, e.Entry)
	f.entries++
	f.bytes += len(e.Line)
}

// finish returns the message and begins another.
func (f *frame) finish(dropped []lost) []byte {
	b := []byte(`{"streams":[`)
	for i := range f.streams {
		if b = comma(b, i); f.legacy {
			b = appendLegacyStream(b, &f.streams[i])
		} else {
			b = f.form.appendStream(nil, b, &f.streams[i])
		}
	}
	b = append(b, ']')
	if len(dropped) > 0 {
		b = append(b, `,"dropped_entries":[`...)
		for i, l := range dropped {
			b = f.appendLost(comma(b, i), l)
		}
		b = append(b, ']')
	} else if f.legacy {
		b = append(b, `,"dropped_entries":null`...)
	}
	if f.form.apart && !f.legacy {
		b = append(b, ","+encodingFlags...)
	}
	f.streams, f.keys, f.entries, f.bytes = nil, nil, 0, 0
	return append(b, '}')
}

func (f *frame) appendLost(b []byte, l lost) []byte {
	if f.legacy {
		b = append(b, `{"Timestamp":"`...)
		b = time.Unix(0, l.time).UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, `","Labels":`...)
		return append(match.AppendQuoted(b, selector(l.labels)), '}')
	}
	b = append(b, `{"timestamp":"`...)
	b = strconv.AppendInt(b, l.time, 10)
	b = append(b, '"')
	if len(l.labels) > 0 {
		b = appendLabels(append(b, `,"labels":`...), l.labels)
	}
	return append(b, '}')
}
