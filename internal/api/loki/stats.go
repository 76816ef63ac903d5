package loki

import (
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/store"
)

const noCache = `{"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"bytesSent":0,"requests":0,"downloadTime":0,"queryLengthServed":0}`

// caches are Loki's, of which Meshtrail has the one of results: an entry is a part
// of a metric query's answer, by time.
func appendCaches(b []byte, s *store.Stats) []byte {
	use := s.ResultCache
	if use == (store.CacheUse{}) {
		return append(b, caches...)
	}
	found, asked := strconv.Itoa(use.Hits), strconv.Itoa(use.Hits+use.Misses)
	full := strings.NewReplacer(`"entriesFound":0`, `"entriesFound":`+found, `"entriesRequested":0`, `"entriesRequested":`+asked, `"requests":0`, `"requests":`+asked).Replace(noCache)
	return append(b, strings.Replace(caches, `"result":`+noCache, `"result":`+full, 1)...)
}

// caches are those that nothing was asked of.
var caches = func() string {
	var b strings.Builder
	for i, name := range []string{"chunk", "index", "result", "statsResult", "volumeResult", "seriesResult", "labelResult", "instantMetricResult", "logResult", "taskResult"} {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + name + `":` + noCache)
	}
	return "{" + b.String() + "}"
}()

// object writes a JSON object of numbers.
type object struct {
	b []byte
	n int
}

func (o *object) key(name string) {
	if o.n++; o.n > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, `":`...)
}

func (o *object) int(name string, n int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, n, 10)
}

func (o *object) zeros(names ...string) {
	for _, name := range names {
		o.int(name, 0)
	}
}

func (o *object) raw(name, json string) {
	o.key(name)
	o.b = append(o.b, json...)
}

func (o *object) seconds(name string, d time.Duration) {
	o.key(name)
	o.b = strconv.AppendFloat(o.b, d.Seconds(), 'f', 6, 64)
}

func (o *object) open(name string) {
	o.key(name)
	o.begin()
}

func (o *object) begin() {
	o.b = append(o.b, '{')
	o.n = 0
}

func (o *object) close() {
	o.b = append(o.b, '}')
	o.n = 1
}

// appendStats appends the statistics of a query with all the keys that Loki
// has. A chunk is a block. What Meshtrail has no notion of is 0; what Loki has no
// notion of is under "meshtrail": why blocks were not read.
func appendStats(b []byte, s *store.Stats, returned int) []byte {
	perSecond := func(n int64) int64 {
		if s.Elapsed <= 0 {
			return 0
		}
		return int64(float64(n) / s.Elapsed.Seconds())
	}
	o := &object{b: b}
	o.begin()
	o.open("summary")
	o.int("bytesProcessedPerSecond", perSecond(s.BytesDecoded))
	o.int("linesProcessedPerSecond", perSecond(s.RowsScanned))
	o.int("totalBytesProcessed", s.BytesDecoded)
	o.int("totalLinesProcessed", s.RowsScanned)
	o.seconds("execTime", s.Elapsed)
	o.zeros("queueTime", "subqueries")
	o.int("totalEntriesReturned", int64(returned))
	o.zeros("splits", "shards")
	o.int("totalPostFilterLines", s.RowsMatched)
	o.zeros("totalStructuredMetadataBytesProcessed")
	o.close()
	o.open("querier")
	o.store(s)
	o.seconds("querierExecTime", s.Elapsed)
	o.close()
	o.open("ingester")
	o.zeros("totalReached", "totalChunksMatched", "totalBatches", "totalLinesSent")
	o.store(&store.Stats{})
	o.close()
	o.raw("cache", string(appendCaches(nil, s)))
	o.open("index")
	o.int("totalChunks", int64(s.Blocks+s.PrunedByTime))
	o.int("postFilterChunks", int64(s.Blocks-s.BlocksPruned))
	o.zeros("shardsDuration")
	o.raw("usedBloomFilters", "false")
	o.zeros("totalStreams", "chunkRefsLookupTime", "bloomFilterTime")
	o.close()
	o.open("meshtrail")
	o.int("segments", int64(s.Segments))
	o.int("blocks", int64(s.Blocks))
	o.int("blocksScanned", int64(s.BlocksScanned))
	o.int("blocksPruned", int64(s.BlocksPruned))
	o.int("prunedByTime", int64(s.PrunedByTime))
	o.int("prunedByColumns", int64(s.PrunedByColumns))
	o.int("prunedByTokens", int64(s.PrunedByTokens))
	o.int("damaged", int64(len(s.Damaged)))
	o.close()
	o.close()
	return o.b
}

// store writes what Loki says of its chunks.
func (o *object) store(s *store.Stats) {
	o.open("store")
	o.int("totalChunksRef", int64(s.Blocks))
	o.int("totalChunksDownloaded", int64(s.BlocksScanned))
	o.zeros("chunksDownloadTime")
	o.raw("queryReferencedStructuredMetadata", "false")
	o.raw("queryUsedV2Engine", "false")
	o.open("chunk")
	o.zeros("headChunkBytes", "headChunkLines")
	o.int("decompressedBytes", s.BytesDecoded)
	o.int("decompressedLines", s.RowsScanned)
	o.int("compressedBytes", s.BytesRead)
	o.zeros("totalDuplicates")
	o.int("postFilterLines", s.RowsMatched)
	o.zeros("headChunkStructuredMetadataBytes", "decompressedStructuredMetadataBytes")
	o.close()
	o.zeros("chunkRefsFetchTime", "congestionControlLatency", "pipelineWrapperFilteredLines")
	o.open("dataobj")
	o.zeros("prePredicateDecompressedRows", "prePredicateDecompressedBytes", "prePredicateDecompressedStructuredMetadataBytes",
		"postPredicateRows", "postPredicateDecompressedBytes", "postPredicateStructuredMetadataBytes", "postFilterRows", "pagesScanned",
		"pagesDownloaded", "pagesDownloadedBytes", "pageBatches", "totalRowsAvailable", "totalPageDownloadTime", "wireBytesTransferred")
	o.close()
	o.close()
}
