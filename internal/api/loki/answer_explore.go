package loki

import (
	"strconv"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/store"
)

func appendIndexStats(b []byte, e query.Extent) []byte {
	o := &object{b: b}
	o.begin()
	o.int("streams", int64(e.Streams))
	o.int("chunks", int64(e.Blocks))
	o.int("bytes", int64(e.Bytes))
	o.int("entries", int64(e.Records))
	o.close()
	return o.b
}

// appendVolumes appends volumes as a query's answer: a vector when no series has
// more than one bucket, else a matrix. A bucket's time is its end.
func appendVolumes(b []byte, v *query.Volumes) []byte {
	kind := query.Vector
	for i := range v.Series {
		if filled(v.Series[i].Bytes) > 1 {
			kind = query.Matrix
		}
	}
	b = append(b, `{"status":"success"`...)
	b = appendWarnings(b, v.Warnings)
	b = append(b, `,"data":{"resultType":"`...)
	b = append(b, kind...)
	b = append(b, `","result":[`...)
	for i := range v.Series {
		b = appendVolume(comma(b, i), &v.Series[i], v.Ends, kind)
	}
	b = append(b, `],"stats":`...)
	b = appendStats(b, &v.Stats, len(v.Series))
	return append(b, "}}"...)
}

func filled(buckets []uint64) (n int) {
	for _, c := range buckets {
		if c > 0 {
			n++
		}
	}
	return n
}

func appendVolume(b []byte, s *query.Volume, ends []int64, kind query.Kind) []byte {
	b = append(b, `{"metric":`...)
	if s.Name != "" {
		b = appendLabels(b, query.Labels{{Name: s.Name}})
	} else {
		b = appendLabels(b, s.Labels)
	}
	if kind == query.Matrix {
		b = append(b, `,"values":[`...)
	} else {
		b = append(b, `,"value":`...)
	}
	n := 0
	for i, bytes := range s.Bytes {
		if bytes > 0 {
			b = appendSample(comma(b, n), ends[i], float64(bytes))
			n++
		}
	}
	if kind == query.Matrix {
		b = append(b, ']')
	}
	return append(b, '}')
}

// unknown is the level of lines without one.
const unknown = "unknown"

// appendPatterns appends patterns; a sample is [seconds, records].
func appendPatterns(b []byte, p *query.Patterns) []byte {
	b = append(b, `{"status":"success"`...)
	b = appendWarnings(b, p.Warnings)
	b = append(b, `,"data":[`...)
	for i := range p.List {
		x := &p.List[i]
		b = append(comma(b, i), `{"pattern":`...)
		b = match.AppendQuoted(b, x.Text)
		b = append(b, `,"level":`...)
		if x.Level == "" {
			b = match.AppendQuoted(b, unknown)
		} else {
			b = match.AppendQuoted(b, x.Level)
		}
		b = append(b, `,"samples":[`...)
		for j, s := range x.Samples {
			b = append(comma(b, j), '[')
			b = strconv.AppendInt(b, s.At/1e9, 10)
			b = append(b, ',')
			b = strconv.AppendUint(b, s.Records, 10)
			b = append(b, ']')
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}

func appendDetectedLabels(b []byte, labels []query.DetectedLabel) []byte {
	b = append(b, `{"detectedLabels":[`...)
	for i, l := range labels {
		b = append(comma(b, i), `{"label":`...)
		b = match.AppendQuoted(b, l.Label)
		b = append(b, `,"cardinality":`...)
		b = append(strconv.AppendInt(b, int64(l.Values), 10), '}')
	}
	return append(b, "]}"...)
}

// appendDetectedFields appends fields. A stored field needs no parser: clients
// ask for it as for Loki's structured metadata.
func appendDetectedFields(b []byte, fields []query.DetectedField, limit int) []byte {
	b = append(b, '{')
	if len(fields) > 0 {
		b = append(b, `"fields":[`...)
		for i := range fields {
			f := &fields[i]
			b = append(comma(b, i), `{"label":`...)
			b = match.AppendQuoted(b, f.Name)
			b = append(b, `,"type":"`...)
			b = append(b, f.Type...)
			b = append(b, `","cardinality":`...)
			b = strconv.AppendInt(b, int64(f.Values), 10)
			b = append(b, `,"parsers":`...)
			if len(f.Parsers) == 0 {
				b = append(b, "null"...)
			} else {
				b = appendStrings(b, f.Parsers)
			}
			if len(f.Path) > 0 {
				b = appendStrings(append(b, `,"jsonPath":`...), f.Path)
			}
			b = append(b, '}')
		}
		b = append(b, "],"...)
	}
	b = append(b, `"limit":`...)
	return append(strconv.AppendInt(b, int64(limit), 10), '}')
}

func appendDetectedValues(b []byte, values []string, limit int) []byte {
	b = append(b, '{')
	if len(values) > 0 {
		b = append(appendStrings(append(b, `"values":`...), values), ',')
	}
	b = append(b, `"limit":`...)
	return append(strconv.AppendInt(b, int64(limit), 10), '}')
}

// appendLegacy appends the answer to a log query as it was before version 1.
func appendLegacy(b []byte, streams []query.Stream, stats *store.Stats) []byte {
	b = append(b, `{"streams":[`...)
	n := 0
	for i := range streams {
		b = appendLegacyStream(comma(b, i), &streams[i])
		n += len(streams[i].Entries)
	}
	b = append(b, `],"stats":`...)
	return append(appendStats(b, stats, n), '}')
}
