package loki

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

func send(w http.ResponseWriter, b []byte) error {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, err := w.Write(b)
	return err
}

// appendResult appends the answer to a query.
func appendResult(b []byte, res *query.Result, categorize bool) []byte {
	b = append(b, `{"status":"success"`...)
	if len(res.Warnings) > 0 {
		b = append(b, `,"warnings":`...)
		b = appendStrings(b, res.Warnings)
	}
	b = append(b, `,"data":{"resultType":"`...)
	b = append(b, res.Kind...)
	b = append(b, `",`...)
	returned := 0
	switch res.Kind {
	case query.Streams:
		if categorize {
			b = append(b, `"encodingFlags":["categorize-labels"],`...)
		}
		b = append(b, `"result":[`...)
		for i := range res.Streams {
			b = comma(b, i)
			b = appendStream(b, &res.Streams[i], categorize)
			returned += len(res.Streams[i].Entries)
		}
		b = append(b, ']')
	case query.Scalar:
		b = append(b, `"result":`...)
		b = appendSample(b, res.Steps.Start, res.Scalar)
	default:
		b = append(b, `"result":[`...)
		for i, s := range res.Series {
			b = comma(b, i)
			b = appendSeries(b, s, res.Steps, res.Kind == query.Vector)
			returned += len(s.Vals)
		}
		b = append(b, ']')
	}
	b = append(b, `,"stats":`...)
	b = appendStats(b, &res.Stats, returned)
	return append(b, "}}"...)
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendStream(b []byte, s *query.Stream, categorize bool) []byte {
	b = append(b, `{"stream":`...)
	b = appendLabels(b, s.Labels)
	b = append(b, `,"values":[`...)
	for i := range s.Entries {
		e := &s.Entries[i]
		b = comma(b, i)
		b = append(b, `["`...)
		b = strconv.AppendInt(b, e.Record.Time, 10)
		b = append(b, `",`...)
		b = match.AppendQuoted(b, e.Line)
		if categorize {
			b = append(b, ',')
			b = appendMetadata(b, &e.Record, s.Labels)
		}
		b = append(b, ']')
	}
	return append(b, "]}"...)
}

// appendMetadata appends the fields of a record that are not stream labels, by
// the names that LogQL can write.
func appendMetadata(b []byte, r *record.Record, labels query.Labels) []byte {
	b = append(b, '{')
	var seen []string
	for i := range r.Fields {
		f := &r.Fields[i]
		name := schema.Identifier(f.Name)
		if f.Name == record.Body || f.Name == record.Labels || labels.Get(name) != "" || slices.Contains(seen, name) || isLabel(f.Name) {
			continue
		}
		if seen == nil {
			b = append(b, `"structuredMetadata":{`...)
		}
		b = comma(b, len(seen))
		seen = append(seen, name)
		b = match.AppendQuoted(b, name)
		b = append(b, ':')
		b = match.AppendQuoted(b, f.Value.Text())
	}
	if seen != nil {
		b = append(b, '}')
	}
	return append(b, '}')
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
			b = comma(b, n)
			b = appendSample(b, steps.At(i), s.Vals[i])
			n++
		}
	}
	return append(b, "]}"...)
}

// appendSample appends [seconds, "value"]; seconds have milliseconds.
func appendSample(b []byte, ns int64, v float64) []byte {
	b = append(b, '[')
	b = strconv.AppendFloat(b, float64(ns/int64(time.Millisecond))/1000, 'f', -1, 64)
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

func appendLabels(b []byte, l query.Labels) []byte {
	b = append(b, '{')
	for i := range l {
		b = comma(b, i)
		b = match.AppendQuoted(b, l[i].Name)
		b = append(b, ':')
		b = match.AppendQuoted(b, l[i].Value)
	}
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		b = comma(b, i)
		b = match.AppendQuoted(b, s)
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

func appendSorted(names []string) []byte {
	slices.Sort(names)
	return appendNames(names)
}

func appendIndexStats(streams int, records uint64) []byte {
	b := strconv.AppendInt([]byte(`{"streams":`), int64(streams), 10)
	b = append(b, `,"chunks":0,"bytes":0,"entries":`...)
	return append(strconv.AppendUint(b, records, 10), '}')
}

const (
	noCache = `{"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"bytesSent":0,"requests":0,"downloadTime":0,"queryLengthServed":0}`
	caches  = `{"chunk":` + noCache + `,"index":` + noCache + `,"result":` + noCache + `,"statsResult":` + noCache +
		`,"volumeResult":` + noCache + `,"seriesResult":` + noCache + `,"labelResult":` + noCache + `,"instantMetricResult":` + noCache + `}`
	noStore = `{"totalChunksRef":0,"totalChunksDownloaded":0,"chunksDownloadTime":0,"queryReferencedStructuredMetadata":false,` +
		`"chunk":{"headChunkBytes":0,"headChunkLines":0,"decompressedBytes":0,"decompressedLines":0,"compressedBytes":0,"totalDuplicates":0,"postFilterLines":0,` +
		`"headChunkStructuredMetadataBytes":0,"decompressedStructuredMetadataBytes":0},"chunkRefsFetchTime":0,"congestionControlLatency":0,"pipelineWrapperFilteredLines":0}`
)

// appendStats appends the statistics block, of which clients read the summary.
// What Meshtrail has no notion of is 0.
func appendStats(b []byte, s *store.Stats, returned int) []byte {
	seconds := s.Elapsed.Seconds()
	perSecond := func(n int64) int64 {
		if seconds <= 0 {
			return 0
		}
		return int64(float64(n) / seconds)
	}
	num := func(name string, n int64) {
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `":`...)
		b = append(strconv.AppendInt(b, n, 10), ',')
	}
	b = append(b, `{"summary":{`...)
	num("bytesProcessedPerSecond", perSecond(s.BytesDecoded))
	num("linesProcessedPerSecond", perSecond(s.RowsScanned))
	num("totalBytesProcessed", s.BytesDecoded)
	num("totalLinesProcessed", s.RowsScanned)
	num("totalPostFilterLines", s.RowsMatched)
	num("totalEntriesReturned", int64(returned))
	num("totalStructuredMetadataBytesProcessed", 0)
	num("subqueries", 0)
	num("splits", 0)
	num("shards", 0)
	num("queueTime", 0)
	b = append(b, `"execTime":`...)
	b = strconv.AppendFloat(b, seconds, 'f', 6, 64)
	b = append(b, `},"querier":{"store":`+noStore+`},"ingester":{"totalReached":0,"totalChunksMatched":0,"totalBatches":0,"totalLinesSent":0,"store":`+noStore+
		`},"cache":`+caches+`,"index":{"totalChunks":0,"postFilterChunks":0,"shardsDuration":0}}`...)
	return b
}
