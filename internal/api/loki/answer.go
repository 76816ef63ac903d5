package loki

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

const (
	// compressFrom is the size of answers that are worth compressing.
	compressFrom = 1024
	// pieceBytes are compressed between two looks at who asks.
	pieceBytes = 256 << 10
)

// send answers JSON, compressed when the client takes it.
func send(w http.ResponseWriter, r *http.Request, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("Vary", "Accept-Encoding")
	if len(b) < compressFrom || !takesGzip(r.Header.Get("Accept-Encoding")) {
		_, err := w.Write(b)
		return err
	}
	h.Set("Content-Encoding", "gzip")
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		if err := r.Context().Err(); err != nil {
			return err
		}
		n := min(len(b), pieceBytes)
		if _, err := z.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return z.Close()
}

// takesGzip reads an Accept-Encoding. A weight of 0 refuses.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, ok := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			n, err := strconv.ParseFloat(q, 64)
			return !ok || err != nil || n > 0
		}
	}
	return false
}

const encodingFlags = `"encodingFlags":["categorize-labels"]`

// appendResult appends the answer to a query, or a part of it when w ends.
func appendResult(w *fault.Watch, b []byte, res *query.Result, f form) []byte {
	b = append(b, `{"status":"success"`...)
	b = appendWarnings(b, res.Warnings)
	b = append(b, `,"data":{"resultType":"`...)
	b = append(b, res.Kind...)
	b = append(b, `",`...)
	if f.apart {
		b = append(b, encodingFlags+","...)
	}
	b = append(b, `"result":`...)
	returned := 0
	switch res.Kind {
	case query.Streams:
		b = append(b, '[')
		for i, s := range f.streams(res.Streams) {
			b = f.appendStream(w, comma(b, i), &s)
			returned += len(s.Entries)
		}
		b = append(b, ']')
	case query.Scalar:
		b = appendSample(b, res.Steps.Start, res.Scalar)
		returned = 1
	default:
		b = append(b, '[')
		for i, s := range res.Series {
			if w.Step(1+len(s.Vals)/8) != nil {
				return b
			}
			b = appendSeries(comma(b, i), s, res.Steps, res.Kind == query.Vector)
			returned += len(s.Vals)
		}
		b = append(b, ']')
	}
	b = append(b, `,"stats":`...)
	b = appendStats(b, &res.Stats, returned)
	return append(b, "}}"...)
}

func appendWarnings(b []byte, warnings []string) []byte {
	if len(warnings) == 0 {
		return b
	}
	return appendStrings(append(b, `,"warnings":`...), warnings)
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

// streams puts records into the streams of the form. Without apart, what the
// query's stages made are labels as well, and split the streams.
func (f form) streams(in []query.Stream) []query.Stream {
	if f.apart {
		return in
	}
	var out []query.Stream
	at := map[string]int{}
	for i := range in {
		for _, e := range in[i].Entries {
			l := f.labels(&e, in[i].Labels)
			key := l.Key()
			j, ok := at[key]
			if !ok {
				j = len(out)
				at[key] = j
				out = append(out, query.Stream{Labels: l})
			}
			out[j].Entries = append(out[j].Entries, e)
		}
	}
	return out
}

// labels returns the labels that the form shows of a record, by name.
func (f form) labels(e *query.Entry, stream query.Labels) query.Labels {
	if f.apart || len(e.Parsed) == 0 && !f.all {
		return stream
	}
	out := append(query.Labels(nil), e.Parsed...)
	add := func(l query.Label) {
		if l.Value != "" && !slices.ContainsFunc(out, func(o query.Label) bool { return o.Name == l.Name }) {
			out = append(out, l)
		}
	}
	for _, l := range stream {
		add(l)
	}
	if f.all {
		for _, l := range metadata(&e.Record, stream) {
			add(l)
		}
	}
	slices.SortFunc(out, func(a, b query.Label) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (f form) appendStream(w *fault.Watch, b []byte, s *query.Stream) []byte {
	b = append(b, `{"stream":`...)
	b = appendLabels(b, s.Labels)
	b = append(b, `,"values":[`...)
	for i := range s.Entries {
		if w.Step(4) != nil {
			return b
		}
		b = f.appendEntry(comma(b, i), &s.Entries[i], s.Labels)
	}
	return append(b, "]}"...)
}

// appendEntry appends ["ns","line"], and with apart the other fields:
// {"structuredMetadata":{…},"parsed":{…}}.
func (f form) appendEntry(b []byte, e *query.Entry, stream query.Labels) []byte {
	b = append(b, `["`...)
	b = strconv.AppendInt(b, e.Record.Time, 10)
	b = append(b, `",`...)
	b = match.AppendQuoted(b, e.Line)
	if f.apart {
		b = append(b, ",{"...)
		fields := metadata(&e.Record, stream)
		if len(fields) > 0 {
			b = appendLabels(append(b, `"structuredMetadata":`...), fields)
		}
		if len(e.Parsed) > 0 {
			if len(fields) > 0 {
				b = append(b, ',')
			}
			b = appendLabels(append(b, `"parsed":`...), e.Parsed)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// level is the name by which Loki's clients look for the severity.
const level = "detected_level"

// metadata returns the fields of a record that are not stream labels, by the
// names that LogQL can write, in the order in which they were stored.
func metadata(r *record.Record, stream query.Labels) query.Labels {
	out := make(query.Labels, 0, len(r.Fields))
	has := func(name string) bool {
		return stream.Get(name) != "" || slices.ContainsFunc(out, func(o query.Label) bool { return o.Name == name })
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Name == record.Body || f.Name == record.Labels || isLabel(f.Name) {
			continue
		}
		if name := schema.Identifier(f.Name); !has(name) {
			out = append(out, query.Label{Name: name, Value: f.Value.Text()})
		}
	}
	if v, ok := match.Value(level, r); ok && !has(level) {
		out = append(out, query.Label{Name: level, Value: v.Text()})
	}
	return out
}

// isLabel reports whether a field is shown as a stream label.
func isLabel(field string) bool {
	for _, l := range schema.StreamLabels() {
		if l.Field == field {
			return true
		}
	}
	return false
}

func appendSeries(b []byte, s *query.Series, steps query.Steps, instant bool) []byte {
	b = append(b, `{"metric":`...)
	b = appendLabels(b, s.Labels)
	if instant {
		b = append(b, `,"value":`...)
		b = appendSample(b, steps.Start, s.Vals[0])
		return append(b, '}')
	}
	b = append(b, `,"values":[`...)
	n := 0
	for i, has := range s.Has {
		if has {
			b = appendSample(comma(b, n), steps.At(i), s.Vals[i])
			n++
		}
	}
	return append(b, "]}"...)
}

// appendSample appends [seconds, "value"]; seconds have milliseconds.
func appendSample(b []byte, ns int64, v float64) []byte {
	b = append(b, '[')
	b = appendSeconds(b, ns)
	b = append(b, `,"`...)
	switch {
	case math.IsInf(v, 1):
		b = append(b, "+Inf"...)
	case math.IsInf(v, -1):
		b = append(b, "-Inf"...)
	default:
		b = strconv.AppendFloat(b, v, 'f', -1, 64)
	}
	return append(b, `"]`...)
}

func appendSeconds(b []byte, ns int64) []byte {
	return strconv.AppendFloat(b, float64(ns/int64(time.Millisecond))/1000, 'f', -1, 64)
}

func appendLabels(b []byte, l query.Labels) []byte {
	b = append(b, '{')
	for i := range l {
		b = match.AppendQuoted(comma(b, i), l[i].Name)
		b = append(b, ':')
		b = match.AppendQuoted(b, l[i].Value)
	}
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		b = match.AppendQuoted(comma(b, i), s)
	}
	return append(b, ']')
}

// appendNames is the answer that lists names; Loki omits data when there are
// none.
func appendNames(names []string) []byte {
	if len(names) == 0 {
		return []byte(`{"status":"success"}`)
	}
	return append(appendStrings([]byte(`{"status":"success","data":`), names), '}')
}
