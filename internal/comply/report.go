package comply

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
)

// Format names the shape of the JSON of a Report. Members are only ever added.
const Format = "meshtrail-evidence/1"

// State is the outcome of a test or the standing of a criterion.
type State string

// The states. Missing data is never a pass: error and no_data count as gaps.
const (
	Pass          State = "pass"
	Fail          State = "fail"
	NotOccurring  State = "not_occurring"  // the recorded query found no case
	NotApplicable State = "not_applicable" // with a reason and an approver
	Error         State = "error"          // the test could not be run
	NoData        State = "no_data"        // nothing was there to be tested
)

// A Setting is a value under a name, in an order that is kept.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// IPE is what makes information produced by the entity usable as evidence: how
// it was made, from what, and how to make it again.
type IPE struct {
	Title        string    `json:"title"`
	Criteria     []string  `json:"criteria"`
	Query        string    `json:"query"`
	Params       []Setting `json:"params"`
	From         string    `json:"from"`
	To           string    `json:"to"` // exclusive
	TimeZone     string    `json:"timeZone"`
	Engine       string    `json:"engine"`
	BinarySHA256 string    `json:"binarySha256"`
	ConfigSHA256 string    `json:"configSha256"`
	RunBy        string    `json:"runBy"`
	RunAuthority string    `json:"runAuthority"`
	RunAt        string    `json:"runAt"`
	Checkpoint   Anchor    `json:"checkpoint"`
	RowsScanned  int64     `json:"rowsScanned"`
	RowsMatched  int64     `json:"rowsMatched"`
	RowsReturned int64     `json:"rowsReturned"`
	Truncated    bool      `json:"truncated"`
	Incomplete   string    `json:"incomplete,omitempty"` // why this is not usable as a population
	ResultSHA256 string    `json:"resultSha256"`         // of the canonical JSON of the rows
}

// Anchor is the ledger as the report saw it.
type Anchor struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"` // base64
	Note   string `json:"note"` // the signed checkpoint
}

// Cover says what the report is about.
type Cover struct {
	Entity       string   `json:"entity"`
	System       string   `json:"system"`
	Tenant       string   `json:"tenant"` // "" is all
	From         string   `json:"from"`
	To           string   `json:"to"` // exclusive
	Status       string   `json:"status"`
	StatusReason string   `json:"statusReason"`
	IssuedAt     string   `json:"issuedAt"`
	IssuedBy     string   `json:"issuedBy"`
	Authority    string   `json:"authority"`
	Software     string   `json:"software"`
	Checkpoint   Anchor   `json:"checkpoint"`
	LogKey       string   `json:"logKey"`
	HowToVerify  []string `json:"howToVerify"`
}

// The standings of a report: evidence about events is whole only after the
// period has ended.
const (
	Preliminary = "PRELIMINARY"
	Final       = "FINAL"
)

// Account is what became of the records of one source in the period.
type Account struct {
	Tenant       string         `json:"tenant"`
	Source       string         `json:"source"`
	Received     uint64         `json:"received"`
	Stored       uint64         `json:"stored"`
	Rejected     []ledger.Count `json:"rejected"`
	Dropped      []ledger.Count `json:"dropped"`
	Deduplicated uint64         `json:"deduplicated"`
	Difference   int64          `json:"difference"` // received minus all others; 0 when the account adds up
	Unanchored   uint64         `json:"unanchored"` // of received, since the newest epoch
	FirstSeen    string         `json:"firstSeen"`  // ever
	LastSeen     string         `json:"lastSeen"`
	Silent       []Gap          `json:"silent"`
	Timeline     []Bucket       `json:"timeline"`
}

// A Gap is a stretch of whole buckets in which a known source sent nothing.
type Gap struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Buckets int    `json:"buckets"`
}

// The states of a bucket.
const (
	Before  = "before"  // the source was not known yet
	Data    = "data"    // records were received
	Silence = "silent"  // the server ran, and nothing was received
	Unknown = "unknown" // no epoch tells: the server did not run, or the bucket is not over
)

// A Bucket is one hour of a source; five minutes in short periods, a day in
// long ones.
type Bucket struct {
	From     string `json:"from"`
	State    string `json:"state"`
	Received uint64 `json:"received"`
}

// Completeness is the account of every source.
type Completeness struct {
	IPE      IPE       `json:"ipe"`
	Verdict  State     `json:"verdict"`
	Reason   string    `json:"reason"`
	Bucket   string    `json:"bucket"` // length of one, e.g. "1h"
	Epochs   int       `json:"epochs"` // in the period
	Outages  []Gap     `json:"outages"`
	Sources  []Account `json:"sources"`
	Received uint64    `json:"received"`
	Stored   uint64    `json:"stored"`
	Rejected uint64    `json:"rejected"`
	Dropped  uint64    `json:"dropped"`
	Deduped  uint64    `json:"deduplicated"`
}

// Integrity is what the offline verification found.
type Integrity struct {
	IPE        IPE               `json:"ipe"`
	Verdict    State             `json:"verdict"`
	Reason     string            `json:"reason"`
	Result     verify.Verdict    `json:"result"`
	Ledger     verify.Ledger     `json:"ledger"`
	Segments   verify.Segments   `json:"segments"`
	Journal    verify.Journal    `json:"journal"`
	Unanchored verify.Unanchored `json:"unanchored"`
	Findings   []verify.Finding  `json:"findings"`
	NotChecked []string          `json:"notChecked"`
}

// A Test is one control test and its outcome.
type Test struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Criteria   []string `json:"criteria"`
	State      State    `json:"state"`
	Population int      `json:"population"` // cases looked at: all of them, never a sample
	Deviations []string `json:"deviations"`
	Reason     string   `json:"reason"`
}

// Coverage is the standing of one criterion.
type Coverage struct {
	ID         string   `json:"id"`
	Category   string   `json:"category"`
	Paraphrase string   `json:"paraphrase"`
	Strength   Strength `json:"strength"`
	State      State    `json:"state"`
	Tests      []string `json:"tests"`
	Evidence   string   `json:"evidence"`
	Wanting    string   `json:"wanting"`
}

// A Table is the answer to one query.
type Table struct {
	IPE     IPE        `json:"ipe"`
	State   State      `json:"state"`
	Reason  string     `json:"reason"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// A Report is evidence about one period. It is a plain value: the same inputs
// give the same bytes.
type Report struct {
	Format       string       `json:"format"`
	ID           string       `json:"id"`
	Title        string       `json:"title"`
	Statement    string       `json:"statement"`
	Cover        Cover        `json:"cover"`
	Warnings     []string     `json:"warnings"`
	Completeness Completeness `json:"completeness"`
	Integrity    Integrity    `json:"integrity"`
	Tests        []Test       `json:"tests"`
	Coverage     []Coverage   `json:"coverage"`
	Access       Table        `json:"access"`
	Platforms    Table        `json:"platforms"`
	Inventory    Table        `json:"inventory"`
	Retention    Table        `json:"retention"`
	Changes      Table        `json:"changes"`
	Issued       Table        `json:"issued"`
	NotProven    []string     `json:"notProven"`
	Method       []string     `json:"method"`
	Glossary     []Setting    `json:"glossary"`
}

// JSON returns the canonical form: members in the order of the type, indented
// by two spaces, one newline at the end. The SHA256 is over these bytes.
func (r *Report) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return nil, fault.Errorf(fault.Internal, "encode report: %w", err)
	}
	return b.Bytes(), nil
}

// SHA256 returns the hash of the canonical JSON, hex: what the ledger keeps.
func (r *Report) SHA256() (string, error) {
	data, err := r.JSON()
	if err != nil {
		return "", err
	}
	return hexSum(data), nil
}

// number gives the report its id: the first 16 bytes of the hash of all else.
func (r *Report) number() error {
	r.ID = ""
	sum, err := r.SHA256()
	if err != nil {
		return err
	}
	r.ID = "mtr-" + sum[:32]
	return nil
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// hashOf returns the hash of the canonical JSON of rows.
func hashOf(rows any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(rows); err != nil {
		return "", fault.Errorf(fault.Internal, "encode rows: %w", err)
	}
	return hexSum(b.Bytes()), nil
}
