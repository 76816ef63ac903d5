// Package audit puts what principals do on record: one record per act, through
// a record.Appender, durable before Record returns. No audit, no answer: when
// the act cannot be made durable in time, Record fails with fault.Unavailable
// and the caller MUST NOT answer.
//
// An audit record is an ordinary record of class "audit" and source
// "meshtrail.audit", so it is sealed, chained, kept and searched as every other:
//
//	body                a sentence: who did what, and whether it was allowed
//	audit.principal     who
//	audit.action        what: "query", "tail", "report", "authenticate", …
//	audit.outcome       "allowed" or "denied"
//	audit.remote        the network peer, when there is one
//	audit.detail.NAME   the particulars: the query text, its time range, …
//
// The package knows nothing of stores, routes or permissions. It keeps no
// memory of an Act after Record returned.
package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Source is the counted name of audit records' source.
const Source = "meshtrail.audit"

// Class is the retention class of audit records; access.AuditClass is the same.
const Class record.Class = "audit"

// DefaultTimeout is how long Record waits for the act to become durable.
const DefaultTimeout = 2 * time.Second

// Limits of one act. A longer text is cut and marked, never refused: a caller
// must not escape the record by asking a long question.
const (
	maxText    = 32 << 10 // bytes of one text
	maxDetails = 64       // particulars
	maxSummary = 512      // bytes of the query in the sentence
)

// Outcomes of an act.
const (
	Allowed = "allowed"
	Denied  = "denied"
)

// Options of a Log.
type Options struct {
	Appender record.Appender
	Timeout  time.Duration // 0: DefaultTimeout
	Now      func() time.Time
	Metrics  *telemetry.Metrics // nil: none
}

// A Log records acts. It is safe for concurrent use.
type Log struct {
	o    Options
	acts *prometheus.CounterVec
}

// New returns a Log that writes to the Appender.
func New(o Options) (*Log, error) {
	if o.Appender == nil {
		return nil, fault.Errorf(fault.Internal, "audit log without an appender")
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Log{o: o}
	if o.Metrics != nil {
		l.acts = o.Metrics.Counter("meshtrail_audit_acts_total", "Acts by outcome of the act and of its recording.", "outcome", "recorded")
	}
	return l, nil
}

// Record makes the act durable, or fails with fault.Unavailable. It goes on
// when the caller's request is cancelled: an act that was begun is recorded.
func (l *Log) Record(ctx context.Context, a Act) error {
	if a.Principal == "" || a.Action == "" || !record.ValidName(a.Tenant) || (a.Outcome != Allowed && a.Outcome != Denied) {
		return fault.Errorf(fault.Internal, "record act: principal %q, tenant %q, action %q, outcome %q are not complete", a.Principal, a.Tenant, a.Action, a.Outcome)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.o.Timeout)
	defer cancel()
	err := l.o.Appender.Append(ctx, l.batch(a))
	if l.acts != nil {
		recorded := "yes"
		if err != nil {
			recorded = "no"
		}
		l.acts.WithLabelValues(a.Outcome, recorded).Inc()
	}
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.Unavailable, "record %s in the audit log: %w", a.Action, err),
			"nothing is answered that cannot be put on record; see the server's log for why it cannot write")
	}
	return nil
}

func (l *Log) batch(a Act) *record.Batch {
	now := l.o.Now().UnixNano()
	b := &record.Batch{Tenant: record.TenantID(a.Tenant), Source: Source, Ingest: now}
	b.Account.Received = 1
	b.Begin(now, Class)
	b.Str(record.Body, cut(sentence(a), maxText))
	b.Str("severity_text", severity(a.Outcome))
	b.Str("audit.principal", cut(a.Principal, maxText))
	b.Str("audit.action", cut(a.Action, maxText))
	b.Str("audit.outcome", a.Outcome)
	if a.Remote != "" {
		b.Str("audit.remote", cut(a.Remote, maxText))
	}
	for i, name := range slices.Sorted(maps.Keys(a.Detail)) {
		if i == maxDetails {
			b.Int("audit.detail_omitted", int64(len(a.Detail)-maxDetails))
			break
		}
		b.Str("audit.detail."+cut(name, 128), cut(a.Detail[name], maxText))
	}
	b.End()
	return b
}

func severity(outcome string) string {
	if outcome == Denied {
		return "WARN"
	}
	return "INFO"
}

// sentence says in one line what happened.
func sentence(a Act) string {
	var s strings.Builder
	verb := "was allowed"
	if a.Outcome == Denied {
		verb = "was denied"
	}
	fmt.Fprintf(&s, "%s %s %s", a.Principal, verb, a.Action)
	if q := a.Detail["query"]; q != "" {
		fmt.Fprintf(&s, " %q", cut(q, maxSummary))
	}
	if a.Remote != "" {
		fmt.Fprintf(&s, " from %s", a.Remote)
	}
	return s.String()
}

// cut shortens a text to at most n bytes at a rune's edge and says so.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const mark = "… (cut)"
	end := n - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
