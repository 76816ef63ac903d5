// Package comply turns what the vault can prove into a report that supports a
// SOC 2 examination: what arrived and what became of it, that it was not
// changed since, who looked, what was not tested and what cannot be proven.
//
// A report is a statement about a period. Every number in it stands beside the
// query that made it, the ledger that it was made under, and the hash of its
// rows; missing data is never a pass. Issuing a report puts its hash into the
// ledger, so that a nicer second one is visible.
//
// The package MUST NOT read records, files or clocks by itself: all it knows
// comes in through Inputs, and the same Inputs give the same bytes. It holds
// nothing after Build returns, and writes nothing to disk.
//
// The Trust Services Criteria are named by their identifiers with paraphrases
// of our own; their text belongs to the AICPA.
package comply

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
)

// Leaves is what is read of the ledger; *ledger.Ledger implements it.
type Leaves interface {
	Checkpoint() ledger.Checkpoint
	Entries(from, to int64, f func(i int64, leaf []byte) error) error
}

// A Question is a LogQL metric query over a window, to be answered whole.
type Question struct {
	Query    string
	From, To time.Time // From <= t < To; the query's range is as long
	By       []string  // the labels of a row, in order
}

// An Answer is the counts of each combination of labels.
type Answer struct {
	Rows    []Row
	Scanned int64 // records looked at
	Matched int64
	// Incomplete says why the answer is not all there is (a limit, a damaged
	// segment); "" if it is.
	Incomplete string
}

// A Row is one combination of the labels, in the order of Question.By.
type Row struct {
	Values []string
	Count  uint64
}

// Class is a retention class and how long it is promised to be kept.
type Class struct {
	Name string
	Days int // 0: without an end
}

// Inputs are all that a report is made from.
type Inputs struct {
	Entity    string // who is examined
	System    string // the boundary of the system, in words
	Tenant    string // whose sources; "" is all
	From, To  time.Time
	Now       time.Time // when the report is made
	By        string    // who asks for it
	Authority string    // the permission that it is made under

	Version      string // of the program
	BinarySHA256 string
	ConfigSHA256 string
	Classes      []Class
	// EpochEvery is the longest time that may pass between two epochs; 0 means
	// 90 s (they are written every 60 s).
	EpochEvery time.Duration

	Ledger Leaves
	// Live are the accounts at this moment. They stand in for the end of the
	// period while no epoch at or after it was sealed; nil leaves the epochs.
	// Whoever builds a report should write an epoch first.
	Live []ledger.Source
	// Verify verifies the data folder; nil: not verified.
	Verify func(context.Context) (*verify.Report, error)
	// Ask answers a question; nil: the queries are not run. An error is
	// reported as the state of that section, not as an error of Build.
	Ask func(context.Context, Question) (Answer, error)
}

// builder makes one report.
type builder struct {
	in   Inputs
	rep  *Report
	cp   Anchor
	end  time.Time // of what can be known: To, or Now if that is earlier
	hist *history
}

// Build makes a report. It fails only if the inputs make no sense, the ledger
// cannot be read or ctx ended; everything else is part of the report.
func Build(ctx context.Context, in Inputs) (*Report, error) {
	if in.Ledger == nil || !in.From.Before(in.To) || in.Now.IsZero() {
		return nil, fault.Errorf(fault.Invalid, "build report: a period needs a ledger, a time now, and a start before its end")
	}
	if !in.From.Before(in.Now) {
		return nil, fault.Errorf(fault.Invalid, "build report: the period begins at %s, which is not past", brief(in.From))
	}
	if in.EpochEvery == 0 {
		in.EpochEvery = 90 * time.Second
	}
	b := &builder{in: in, rep: &Report{Format: Format, Title: "SOC 2 evidence report", Statement: statement}, end: in.To}
	if in.Now.Before(b.end) {
		b.end = in.Now
	}
	head := in.Ledger.Checkpoint()
	b.cp = Anchor{Origin: head.Origin, Size: head.Size, Root: base64.StdEncoding.EncodeToString(head.Root[:]), Note: string(head.Note)}
	var err error
	if b.hist, err = readHistory(in, b.end, head.Size); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "build report: %w", err)
	}
	for _, step := range []func(context.Context) error{b.completeness, b.integrity, b.questions, b.tables, b.tests} {
		if err := step(ctx); err != nil {
			return nil, fault.Errorf(fault.KindOf(err), "build report: %w", err)
		}
	}
	b.coverage()
	b.cover()
	b.closing()
	if err := b.rep.number(); err != nil {
		return nil, err
	}
	return b.rep, nil
}

// Issue puts a report on record through add, which appends a leaf to the ledger
// and returns the checkpoint that covers it.
func Issue(ctx context.Context, r *Report, at time.Time, add func(context.Context, ledger.Report) (ledger.Checkpoint, error)) (ledger.Checkpoint, error) {
	sum, err := r.SHA256()
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	cp, err := add(ctx, ledger.Report{At: at.UnixNano(), ID: r.ID, Kind: "soc2", By: r.Cover.IssuedBy, SHA256: sum})
	if err != nil {
		return ledger.Checkpoint{}, fault.Errorf(fault.KindOf(err), "issue report %s: %w", r.ID, err)
	}
	return cp, nil
}

// cover fills in the first page.
func (b *builder) cover() {
	c := Cover{
		Entity: b.in.Entity, System: b.in.System, Tenant: b.in.Tenant,
		From: stamp(b.in.From), To: stamp(b.in.To),
		IssuedAt: stamp(b.in.Now), IssuedBy: b.in.By, Authority: b.in.Authority,
		Software: "meshtrail " + b.in.Version, Checkpoint: b.cp, LogKey: b.rep.Integrity.Ledger.Key,
		Status: Final, StatusReason: "the period was over, and its account sealed, when the report was made",
	}
	switch {
	case b.in.Now.Before(b.in.To):
		c.Status, c.StatusReason = Preliminary, "the period was not over when the report was made: populations may still grow"
	case !b.hist.closed:
		c.Status, c.StatusReason = Preliminary, "the period was over, but its account was not sealed yet when the report was made"
	}
	key := c.LogKey
	if key == "" {
		key = "KEY"
	}
	c.HowToVerify = []string{
		"sha256sum report.json   # must be the hash that the ledger's report leaf names, printed at the end of this page",
		"meshtrail verify --log-key '" + key + "' DATA-FOLDER   # exit code 0: nothing was changed, dropped or reordered",
		"meshtrail verify --checkpoint checkpoint.txt DATA-FOLDER   # with the checkpoint of this page, kept by you: nothing was rolled back",
	}
	b.rep.Cover = c
}

// ipe returns the block of a section whose rows these are.
func (b *builder) ipe(title string, criteria []string, query string, params []Setting, rows any, n int) (IPE, error) {
	sum, err := hashOf(rows)
	if err != nil {
		return IPE{}, err
	}
	if params == nil {
		params = []Setting{}
	}
	return IPE{
		Title: title, Criteria: criteria, Query: query, Params: params,
		From: stamp(b.in.From), To: stamp(b.end), TimeZone: "UTC",
		Engine: "meshtrail " + b.in.Version, BinarySHA256: b.in.BinarySHA256, ConfigSHA256: b.in.ConfigSHA256,
		RunBy: b.in.By, RunAuthority: b.in.Authority, RunAt: stamp(b.in.Now), Checkpoint: b.cp,
		RowsReturned: int64(n), ResultSHA256: sum,
	}, nil
}

// leafQuery describes how a section was read from the ledger.
func (b *builder) leafQuery(what string) string {
	return fmt.Sprintf("ledger leaves 0 to %d, %s", b.cp.Size-1, what)
}

func (b *builder) warn(format string, args ...any) {
	b.rep.Warnings = append(b.rep.Warnings, fmt.Sprintf(format, args...))
}

// stamp renders a time exactly, for programs.
func stamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
}

// brief renders a time for people: to the second.
func brief(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stampNs(ns int64) string {
	if ns == 0 {
		return ""
	}
	return stamp(time.Unix(0, ns))
}

func list(s []string) string { return strings.Join(s, ", ") }
