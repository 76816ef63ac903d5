package store

import (
	"context"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Order of the records that a scan visits.
type Order uint8

// The orders. Records of equal time come by Ord, so that each of the first two is
// the other one backwards, and that the records of a request have one order for
// ever: what is committed later takes its place among them.
const (
	Newest   Order = iota // by (event time, Ord), descending
	Oldest                // by (event time, Ord), ascending
	AsStored              // whatever is cheapest; for exports and counting
)

// A Place is the place of a record in the orders Newest and Oldest.
type Place struct {
	Time int64  // ns
	Ord  uint64 // 0 is before, and the largest uint64 behind, all records of Time in Oldest
}

// A ScanRequest asks for records. Times are event times, ns, From <= t < To.
type ScanRequest struct {
	Tenant  record.TenantID
	Classes []record.Class // nil: all
	From    int64
	To      int64
	Where   match.Predicate // nil: all
	// Fields names the fields to fill in, by any name the asker may use; nil
	// means all. Time, Ingest, Ord and Class are always filled.
	Fields []string
	// Keep, if not nil, tells of a record of which only the fields that KeepFields
	// names (as Fields) are filled in whether it matters. One that does not need not
	// be visited, so that its other fields are not read; it may be all the same, and
	// with a Limit all are. The record is lent. Keep is called by who visits, more
	// than once for some records, and not in their order; its error ends the scan.
	Keep       func(*record.Record) (bool, error)
	KeepFields []string
	Order      Order
	Limit      int // 0: no limit
	// After, if not nil, asks only for records that come behind this place in Order
	// (the next page; in both orders, the neighbours of a record). It is
	// fault.Invalid with AsStored.
	After *Place
	// AfterOrd, when not 0, asks for records of a larger Ord only (a tail that
	// resumes), UpToOrd for none of a larger one (pages of what was there when the
	// first one was read).
	AfterOrd uint64
	UpToOrd  uint64
	Budget   Budget
}

// A Budget bounds what one request may cost. A zero bound is the store's
// default. Exceeding one ends the request with fault.Overload and what was
// visited so far; the caller decides whether that is a partial answer.
type Budget struct {
	Bytes int64 // decoded bytes of column chunks
	Rows  int64 // records visited
	Steps int64 // of regular expressions: their instructions times the bytes they were run on
}

// Stats says what a request cost and what it skipped.
type Stats struct {
	Segments      int `json:"segments"`
	Blocks        int `json:"blocks"`        // in the time range
	BlocksPruned  int `json:"blocksPruned"`  // by min/max, dictionary or token index
	BlocksScanned int `json:"blocksScanned"` // data was read

	// Why blocks of the segments were not looked at: PrunedByTime are not among
	// Blocks; of BlocksPruned, what the other two do not count was known from the
	// blocks' headers.
	PrunedByTime    int `json:"prunedByTime"`
	PrunedByColumns int `json:"prunedByColumns"` // names, kinds and bounds
	PrunedByTokens  int `json:"prunedByTokens"`

	RowsScanned  int64         `json:"rowsScanned"` // in scanned blocks
	RowsMatched  int64         `json:"rowsMatched"`
	BytesRead    int64         `json:"bytesRead"` // sealed bytes read from files
	BytesDecoded int64         `json:"bytesDecoded"`
	Damaged      []string      `json:"damaged,omitempty"` // segments that could not be read: the answer is partial
	Elapsed      time.Duration `json:"elapsedNs"`

	// ResultCache is not the store's: package query notes there what it did not
	// have to ask for.
	ResultCache CacheUse `json:"resultCache,omitzero"`
}

// CacheUse says how many parts of an answer were kept from before, and how many
// were read.
type CacheUse struct {
	Hits   int `json:"hits"`
	Misses int `json:"misses"`
}

// Add adds the parts of another answer.
func (c *CacheUse) Add(o CacheUse) { c.Hits, c.Misses = c.Hits+o.Hits, c.Misses+o.Misses }

// A CountRequest asks how many records match, by the values of fields and by
// time. Bucket i holds times in [From+i*Step, From+(i+1)*Step); Step 0 means
// one bucket.
type CountRequest struct {
	Tenant  record.TenantID
	Classes []record.Class
	From    int64
	To      int64
	Where   match.Predicate
	By      []string
	Step    int64
	// Sum adds the bytes of each record's line as well (bytes_over_time).
	Sum    bool
	Budget Budget
}

// A Group is one combination of By values and its counts. Values are in the
// order of By; an absent field is "".
type Group struct {
	Values []string
	Counts []uint64 // by bucket
	Bytes  []uint64 // by bucket, when Sum was set
}

// A ValuesRequest asks for the distinct values of one field, most frequent
// first, at most Limit (0: 1,000). The counts cover the whole range.
type ValuesRequest struct {
	Tenant  record.TenantID
	Classes []record.Class
	From    int64
	To      int64
	Where   match.Predicate
	Field   string
	Limit   int
}

// FieldInfo describes one stored field of a time range.
type FieldInfo struct {
	Name    string      `json:"name"`
	Kind    record.Kind `json:"kind"`
	Records uint64      `json:"records"` // of the blocks that touch the range: an upper bound
}

// A Commit is a batch that became durable.
type Commit struct {
	Batch *record.Batch // lent for the call

	payload []byte // its encoding; nil: not made
	kept    bool
}

// NewCommit returns the commit of a batch whose encoding is known, and becomes the
// commit's.
func NewCommit(b *record.Batch, encoded []byte) *Commit { return &Commit{Batch: b, payload: encoded} }

// Keep takes the batch over, encoded: no record is copied for it, however many
// there are.
func (c *Commit) Keep() Kept {
	if c.payload == nil || c.kept { // nobody shares what can be given back
		c.payload = c.Batch.AppendEncoded(nil)
	}
	c.kept = true
	return Kept{Tenant: c.Batch.Tenant, Ord: c.Batch.Ord, Len: c.Batch.Len(), payload: c.payload}
}

// A Kept commit belongs to whoever kept it, who must not change it.
type Kept struct {
	Tenant  record.TenantID
	Ord     uint64 // of the first record
	Len     int    // records
	payload []byte
}

// Size is the memory that it takes, in bytes.
func (k *Kept) Size() int64 { return int64(cap(k.payload)) }

// Decode reads the batch into b, whose memory is used again.
func (k *Kept) Decode(b *record.Batch) error {
	err := record.Decode(k.payload, b)
	b.Ord = k.Ord
	return err
}

// Release gives the memory back. Nothing may be decoded afterwards.
func (k *Kept) Release() {
	if buf := k.payload; cap(buf) <= keepPayload {
		payloads.Put(&buf)
	}
	k.payload = nil
}

// A Committed is called for a Commit, which is lent for the call.
type Committed func(c *Commit)

// SourceTotals is the account of one source since the history began:
// Received = Stored + sum(Rejected) + sum(Dropped) + Deduplicated.
type SourceTotals struct {
	Tenant       record.TenantID `json:"tenant"`
	Source       string          `json:"source"`
	Received     uint64          `json:"received"`
	Stored       uint64          `json:"stored"`
	Rejected     []record.Count  `json:"rejected,omitempty"`
	Dropped      []record.Count  `json:"dropped,omitempty"`
	Deduplicated uint64          `json:"deduplicated"`
	FirstSeen    int64           `json:"firstSeen"` // ns, ingest time
	LastSeen     int64           `json:"lastSeen"`
}

// Reader is what the reading floor needs of a store. *Store implements it.
type Reader interface {
	// Scan visits the matching records in order. The slice is lent for the
	// call; the records in it are detached. An error from visit ends the scan
	// and is returned as it is.
	Scan(ctx context.Context, req ScanRequest, visit func([]record.Record) error) (Stats, error)
	// Count groups and counts the matching records.
	Count(ctx context.Context, req CountRequest) ([]Group, Stats, error)
	// Measure groups the matching records as Count does and gives statistics of
	// numeric fields of theirs. A request that makes no sense is fault.Invalid; an
	// answer that would take too much memory, fault.Overload.
	Measure(ctx context.Context, req MeasureRequest) ([]MeasureGroup, Stats, error)
	// Table visits some fields of the matching records, block by block; an error
	// from visit ends it and is returned as it is. What is visited must not be
	// changed, and no part of it kept beyond the call.
	Table(ctx context.Context, req TableRequest, visit func(*Part) error) (Stats, error)
	// Values lists the distinct values of a field.
	Values(ctx context.Context, req ValuesRequest) ([]record.Count, Stats, error)
	// Fields lists the fields stored in a time range, by name. Of fields that few
	// records have it lists some and counts the others: there are more at most.
	Fields(ctx context.Context, tenant record.TenantID, from, to int64) (fields []FieldInfo, more uint64, err error)
	// LastChange tells whether an answer of before is still right: see Extent.
	LastChange(of Extent) (last, now uint64)
}
