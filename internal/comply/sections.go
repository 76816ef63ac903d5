package comply

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
)

// completeness accounts for every source.
func (b *builder) completeness(context.Context) error {
	c := &b.rep.Completeness
	c.Sources, c.Epochs, c.Outages = b.hist.accounts(), len(b.hist.epochs), b.hist.outages()
	c.Bucket = map[time.Duration]string{fine: "5m", hourly: "1h", daily: "24h"}[b.hist.bucket]
	c.Verdict, c.Reason = Pass, "for every source, received = stored + rejected + dropped by rule + deduplicated"
	for _, a := range c.Sources {
		c.Received += a.Received
		c.Stored += a.Stored
		c.Rejected += sum(a.Rejected)
		c.Dropped += sum(a.Dropped)
		c.Deduped += a.Deduplicated
		if a.Difference != 0 {
			c.Verdict, c.Reason = Fail, "the account of a source does not add up"
		}
	}
	if len(c.Sources) == 0 {
		c.Verdict, c.Reason = NoData, "no source has an account in this period"
	}
	var err error
	c.IPE, err = b.ipe("Statement of completeness", []string{"CC2.1", "CC7.2", "PI1.2", "PI1.3"},
		b.leafQuery("type epoch: the cumulative account of each source at the first epoch at or after the end of the period, minus that at the first epoch at or after its start"),
		[]Setting{{"tenant", orAll(b.in.Tenant)}, {"bucket", c.Bucket}, {"epochs at most apart", b.in.EpochEvery.String()}}, c.Sources, len(c.Sources))
	c.IPE.RowsScanned, c.IPE.RowsMatched = b.cp.Size, int64(len(b.hist.epochs))
	if !b.hist.begins() {
		b.warn("The history begins at %s, after the start of the period: nothing is known of the time before.", brief(time.Unix(0, b.hist.genesis.At)))
	}
	return err
}

// integrity runs the offline verification.
func (b *builder) integrity(ctx context.Context) error {
	i := &b.rep.Integrity
	i.Verdict, i.Reason = NoData, "the data folder was not verified for this report"
	i.Findings, i.NotChecked = []verify.Finding{}, []string{}
	i.Ledger.Leaves = []verify.Count{}
	if b.in.Verify != nil {
		rep, err := b.in.Verify(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			i.Verdict, i.Reason = Error, "the verification could not run: "+err.Error()
		} else {
			b.verified(rep)
		}
	}
	if i.Verdict != Pass {
		b.warn("Integrity is not shown: %s.", i.Reason)
	}
	var err error
	i.IPE, err = b.ipe("Integrity of what is kept", []string{"CC4.1", "PI1.5", "C1.1"},
		"meshtrail verify DATA-FOLDER", []Setting{{"log key", keyText(i.Ledger.Pinned)}, {"earlier checkpoint", sinceText(i.Ledger.Since)}}, i.Findings, len(i.Findings))
	i.IPE.RowsScanned, i.IPE.RowsMatched = i.Ledger.Size, int64(i.Segments.Verified)
	return err
}

// keyText says whose word the signature's key is.
func keyText(pinned bool) string {
	if pinned {
		return "pinned by whoever verified"
	}
	return "the one in the folder itself (" + verify.KeyFile + "): hold it against the one that init printed"
}

func sinceText(size int64) string {
	if size == 0 {
		return "none"
	}
	return fmt.Sprintf("of %d leaves", size)
}

func (b *builder) verified(rep *verify.Report) {
	i := &b.rep.Integrity
	i.Result, i.Ledger, i.Segments, i.Journal, i.Unanchored = rep.Verdict, rep.Ledger, rep.Segments, rep.Journal, rep.Unanchored
	i.Findings, i.NotChecked = append(i.Findings, rep.Findings...), append(i.NotChecked, rep.NotChecked...)
	i.Ledger.Leaves = append(i.Ledger.Leaves[:0:0], rep.Ledger.Leaves...)
	if i.Ledger.Leaves == nil {
		i.Ledger.Leaves = []verify.Count{}
	}
	switch rep.Verdict {
	case verify.Verified:
		i.Verdict, i.Reason = Pass, "every byte that the ledger covers is the one that was written"
		if !rep.Ledger.Pinned {
			i.Reason += ", if the key in the folder is the right one"
		}
	case verify.Tampered:
		i.Verdict, i.Reason = Fail, fmt.Sprintf("%d places are not what was written", len(rep.Findings))
	default:
		i.Verdict, i.Reason = Error, "the verification came to no end: "+string(rep.Verdict)
	}
}

// questions asks the query engine.
func (b *builder) questions(ctx context.Context) error {
	window := b.end.Sub(b.in.From).Round(time.Second)
	ask := func(t *Table, title string, criteria []string, selector string, by ...string) error {
		labels := list(by)
		q := Question{Query: fmt.Sprintf("sum by (%s) (count_over_time(%s[%ds]))", labels, selector, max(1, int64(window/time.Second))), From: b.in.From, To: b.end, By: by}
		return b.ask(ctx, t, title, criteria, q)
	}
	if err := ask(&b.rep.Access, "Who read the logs", []string{"CC6.1", "C1.1", "P4.1"}, `{class="audit"}`,
		"audit_principal", "audit_action", "audit_outcome"); err != nil {
		return err
	}
	b.reconcile(&b.rep.Access)
	return ask(&b.rep.Platforms, "What was kept, by service mesh", []string{"CC2.1", "CC7.2"}, `{mesh=~".+"}`, "mesh")
}

// auditSource is the source whose account counts the acts on record.
const auditSource = "meshtrail.audit"

// reconcile holds the answer about reads against a second count that did not
// pass through the query engine: the account of the audit source. An answer of
// nothing where the account has something is an error and not an absence. Small
// differences are expected, for the account is cut at epochs and the query at
// the record's own time; they are shown.
func (b *builder) reconcile(t *Table) {
	var account, counted uint64
	for _, a := range b.rep.Completeness.Sources {
		if a.Source == auditSource {
			account += a.Stored
		}
	}
	for _, row := range t.Rows {
		n, _ := strconv.ParseUint(row[len(row)-1], 10, 64)
		counted += n
	}
	t.IPE.Params = append(t.IPE.Params, Setting{"second count", fmt.Sprintf("%d records in the account of %s, %d in these rows", account, auditSource, counted)})
	if t.State == NotOccurring && account > 0 {
		b.fail(t, fmt.Sprintf("the query found no record, but the account has %d", account))
	}
}

// fail marks a table as unusable.
func (b *builder) fail(t *Table, reason string) {
	t.State, t.Reason = Error, reason
	t.IPE.Truncated, t.IPE.Incomplete = true, reason
	b.warn("INCOMPLETE, not usable as a population: %s: %s.", t.IPE.Title, reason)
}

func (b *builder) ask(ctx context.Context, t *Table, title string, criteria []string, q Question) error {
	t.State, t.Reason, t.Rows = NoData, "the query was not run", [][]string{}
	t.Columns = append(slices.Clone(q.By), "records")
	var a Answer
	var err error
	if b.in.Ask != nil {
		if a, err = b.in.Ask(ctx, q); ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil:
			t.State, t.Reason = Error, "the query failed: "+err.Error()
		case a.Incomplete != "":
			t.State, t.Reason = Error, "the answer is not complete: "+a.Incomplete
		case len(a.Rows) == 0:
			t.State, t.Reason = NotOccurring, "the query found no record"
		default:
			t.State, t.Reason = Pass, "the query was answered whole"
		}
	}
	rows := slices.Clone(a.Rows)
	slices.SortFunc(rows, func(x, y Row) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), slices.Compare(x.Values, y.Values))
	})
	for _, r := range rows {
		row := make([]string, len(q.By), len(q.By)+1)
		copy(row, r.Values)
		t.Rows = append(t.Rows, append(row, strconv.FormatUint(r.Count, 10)))
	}
	t.IPE, err = b.ipe(title, criteria, q.Query, []Setting{{"time", stamp(q.To)}, {"tenant", orAll(b.in.Tenant)}}, t.Rows, len(t.Rows))
	t.IPE.RowsScanned, t.IPE.RowsMatched = a.Scanned, a.Matched
	if t.State == Error {
		b.fail(t, t.Reason)
	}
	return err
}

// tables lists what the ledger says happened.
func (b *builder) tables(context.Context) error {
	for _, make := range []func() error{b.inventory, b.retention, b.changes, b.issued} {
		if err := make(); err != nil {
			return err
		}
	}
	return nil
}

// fill completes a table that was read from the ledger.
func (b *builder) fill(t *Table, title string, criteria []string, query string) error {
	if t.Rows == nil {
		t.Rows = [][]string{}
	}
	t.State, t.Reason = Pass, "read from the ledger, all of it"
	if len(t.Rows) == 0 {
		t.State, t.Reason = NotOccurring, "the ledger has none"
	}
	var err error
	t.IPE, err = b.ipe(title, criteria, b.leafQuery(query), nil, t.Rows, len(t.Rows))
	t.IPE.RowsScanned, t.IPE.RowsMatched = b.cp.Size, int64(len(t.Rows))
	return err
}

// inventory adds up the segments by class and event day.
func (b *builder) inventory() error {
	t := &b.rep.Inventory
	t.Columns = []string{"tenant", "class", "event day", "segments", "records", "bytes", "data keys"}
	type total struct {
		segments, records, bytes uint64
		keys                     map[string]bool
	}
	totals := map[[3]string]*total{}
	for _, s := range b.hist.segments {
		key := [3]string{s.Tenant, s.Class, s.Day}
		if totals[key] == nil {
			totals[key] = &total{keys: map[string]bool{}}
		}
		v := totals[key]
		v.segments++
		v.records += s.Records
		v.bytes += uint64(s.Size)
		v.keys[s.KeyID] = true
	}
	for key, v := range totals {
		t.Rows = append(t.Rows, []string{key[0], key[1], key[2], unum(v.segments), unum(v.records), unum(v.bytes), strconv.Itoa(len(v.keys))})
	}
	slices.SortFunc(t.Rows, slices.Compare[[]string])
	return b.fill(t, "Segments kept", []string{"C1.1", "PI1.5"}, "type segment, sealed before the end of the period and neither compacted nor destroyed by then")
}

// retention holds the promised time of each class beside what is there.
func (b *builder) retention() error {
	t := &b.rep.Retention
	t.Columns = []string{"class", "promised days", "oldest record", "newest record", "records"}
	type span struct {
		oldest, newest int64
		records        uint64
	}
	spans := map[string]span{}
	for _, s := range b.hist.segments {
		v, ok := spans[s.Class]
		if !ok || s.MinTime < v.oldest {
			v.oldest = s.MinTime
		}
		v.newest = max(v.newest, s.MaxTime)
		v.records += s.Records
		spans[s.Class] = v
	}
	promised := map[string]string{}
	for _, c := range b.in.Classes {
		promised[c.Name] = "without end"
		if c.Days > 0 {
			promised[c.Name] = strconv.Itoa(c.Days)
		}
		if _, ok := spans[c.Name]; !ok {
			spans[c.Name] = span{}
		}
	}
	for class, v := range spans {
		t.Rows = append(t.Rows, []string{class, cmp.Or(promised[class], "not configured"), stampNs(v.oldest), stampNs(v.newest), unum(v.records)})
	}
	slices.SortFunc(t.Rows, slices.Compare[[]string])
	return b.fill(t, "Retention: promised, and what is there", []string{"C1.1", "P4.2"}, "type segment, oldest and newest event time by class; promised days from the configuration")
}

// changes lists configurations, keys and damage.
func (b *builder) changes() error {
	t := &b.rep.Changes
	t.Columns = []string{"leaf", "at", "kind", "what"}
	add := func(index, ns int64, kind, what string) {
		t.Rows = append(t.Rows, []string{strconv.FormatInt(index, 10), stampNs(ns), kind, what})
	}
	for _, c := range b.hist.configs {
		add(c.index, c.leaf.At, "start", "version "+c.leaf.Version+" with configuration "+c.leaf.SHA256)
	}
	for _, p := range b.hist.policies {
		add(p.index, p.leaf.At, "policy", policyText(&p.leaf))
	}
	for _, k := range b.hist.keys {
		add(k.index, k.leaf.At, "key "+k.leaf.Action, fmt.Sprintf("%s of %s, class %s, day %s", k.leaf.ID, k.leaf.Tenant, k.leaf.Class, k.leaf.Day))
	}
	for _, d := range b.hist.gone {
		add(d.index, d.leaf.At, "destruction", fmt.Sprintf("%s, class %s, day %s: %d segments with %d records, %s, by %s", d.leaf.Tenant, d.leaf.Class, d.leaf.Day, len(d.leaf.Segments), d.leaf.Records, d.leaf.Policy, d.leaf.By))
	}
	for _, h := range b.hist.holds {
		add(h.index, h.leaf.At, "hold "+h.leaf.Action, fmt.Sprintf("%s: tenant %s, class %s, days %s to %s, by %s: %s", h.leaf.ID, orAll(h.leaf.Tenant), orAll(h.leaf.Class), orAll(h.leaf.From), orAll(h.leaf.To), h.leaf.By, h.leaf.Reason))
	}
	for _, d := range b.hist.damages {
		add(d.index, d.leaf.At, "damage", fmt.Sprintf("%s at byte %d: %s", d.leaf.File, d.leaf.Offset, d.leaf.Detail))
	}
	slices.SortStableFunc(t.Rows, func(a, b []string) int { return cmp.Or(cmp.Compare(len(a[0]), len(b[0])), cmp.Compare(a[0], b[0])) })
	return b.fill(t, "Changes of the log platform", []string{"CC5.2", "CC5.3", "CC8.1"}, "types config, policy, key, destruction, hold and damage, written in the period")
}

// maxPolicyText bounds what a row shows of a policy's changes, in bytes; the leaf
// has them all.
const maxPolicyText = 8 << 10

// policyText says what a logging policy changed.
func policyText(p *ledger.Policy) string {
	var s strings.Builder
	fmt.Fprintf(&s, "logging policy %s, was %s, decided by %s", p.SHA256, cmp.Or(p.Was, "none"), cmp.Or(p.Owner, "nobody who is named"))
	if p.Note != "" {
		s.WriteString("; " + p.Note)
	}
	left := p.Omitted
	for i, line := range p.Changes {
		if s.Len() > maxPolicyText {
			left += len(p.Changes) - i
			break
		}
		s.WriteString("\n" + line)
	}
	if left > 0 {
		fmt.Fprintf(&s, "\n… and %d more lines", left)
	}
	return s.String()
}

// issued lists the reports that were made in the period.
func (b *builder) issued() error {
	t := &b.rep.Issued
	t.Columns = []string{"leaf", "at", "id", "kind", "by", "sha256"}
	for _, r := range b.hist.reports {
		t.Rows = append(t.Rows, []string{strconv.FormatInt(r.index, 10), stampNs(r.leaf.At), r.leaf.ID, r.leaf.Kind, r.leaf.By, r.leaf.SHA256})
	}
	return b.fill(t, "Reports issued before this one", []string{"PI1.4"}, "type report, written in the period")
}

// changed counts the configurations that came into force in the period.
func (h *history) changed() int {
	n, was := 0, h.config
	for _, c := range h.configs {
		if was != "" && c.leaf.SHA256 != was {
			n++
		}
		was = c.leaf.SHA256
	}
	return n
}

// destroyed returns the keys destroyed in the period.
func (h *history) destroyed() []at[ledger.Key] {
	return slices.DeleteFunc(slices.Clone(h.keys), func(k at[ledger.Key]) bool { return k.leaf.Action != "destroyed" })
}

func orAll(tenant string) string { return cmp.Or(tenant, "all") }

func unum(n uint64) string { return strconv.FormatUint(n, 10) }
