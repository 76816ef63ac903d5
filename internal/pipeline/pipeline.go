// Package pipeline is the one stage order of intake: normalise, policy, append.
// Server and agent run the same one, into a store or a spool.
//
// It takes raw records of one source, builds batches of them, keeps the account
// (received = stored + rejected + dropped + deduplicated, for every source) and
// keeps what can never be a record as a dead letter. It knows no protocol, no
// platform and no store; it owns its batches and keeps nothing of a Request
// beyond the call. Nothing here survives a crash: what Append returned nil for
// does.
//
// A dead letter is a record of its own: its batch has the source DeadLetters and
// the class of that name. For the source that sent it, it is received and
// rejected; for DeadLetters it is received and stored. So the account of either
// source is whole by itself. Dead letters are appended before the batch whose
// account rejects them: after a failure between the two the sender retries, and
// the rejection is counted once, with the batch. Only a sender that cannot
// number its batches may then see one dead letter twice.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Limits bound one record and one batch. A zero field is its default.
type Limits struct {
	Record  int // bytes of a payload and its attributes; 1 MiB
	Rows    int // records of a batch; 65,536
	Bytes   int // bytes of payloads of a batch; 8 MiB
	Columns int // names of a batch, after which it ends; 8,192
}

func (l *Limits) fill() {
	set := func(v *int, def, most int) {
		if *v <= 0 {
			*v = def
		}
		*v = min(*v, most)
	}
	set(&l.Record, 1<<20, 16<<20)
	set(&l.Rows, 1<<16, record.MaxRows)
	set(&l.Bytes, 8<<20, 16<<20)
	set(&l.Columns, 1<<13, 1<<16)
}

// Options of a Pipeline.
type Options struct {
	Appender record.Appender
	Policy   *policy.Policy // nil: the default policy
	Limits   Limits
	Formats  *Formats         // of operators; nil: none
	Now      func() time.Time // nil: time.Now
	Metrics  *telemetry.Metrics
	Logger   *slog.Logger // nil: discards
}

// Pipeline implements Intake. It is safe for concurrent use.
type Pipeline struct {
	appender record.Appender
	policy   *policy.Policy
	limits   Limits
	now      func() time.Time
	log      *slog.Logger
	meter    *meter
	parsed   *understood
	workers  sync.Pool // *worker
}

// New returns a Pipeline into opt.Appender.
func New(opt Options) (*Pipeline, error) {
	if opt.Appender == nil {
		return nil, fault.Errorf(fault.Internal, "pipeline without an appender")
	}
	p := &Pipeline{appender: opt.Appender, policy: opt.Policy, limits: opt.Limits, now: opt.Now, log: opt.Logger, meter: newMeter(opt.Metrics), parsed: newUnderstood(opt.Metrics)}
	if p.policy == nil {
		def, err := policy.New(policy.Config{})
		if err != nil {
			return nil, err
		}
		p.policy = def
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.limits.fill()
	p.workers.New = func() any { return &worker{norm: normalise.NewWith(opt.Formats)} }
	return p, nil
}

// Ingest implements Intake. An error of the Appender is returned as it is.
func (p *Pipeline) Ingest(ctx context.Context, req *Request) (Outcome, error) {
	if err := check(req); err != nil {
		return Outcome{}, err
	}
	if len(req.Raws) == 0 && len(req.Rejected) == 0 {
		return Outcome{}, nil
	}
	w := p.workers.Get().(*worker)
	defer p.workers.Put(w)
	w.p, w.req, w.out, w.now = p, req, Outcome{}, p.now()
	defer func() {
		w.p, w.req, w.out = nil, nil, Outcome{}
		clear(w.parts[:cap(w.parts)]) // they alias the request
	}()
	err := w.run(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return w.out, nil
}

func check(req *Request) error {
	switch {
	case !record.ValidName(string(req.Tenant)):
		return fault.Errorf(fault.Internal, "intake without a tenant: %q", req.Tenant)
	case req.Source == "" || len(req.Source) > 128:
		return fault.Errorf(fault.Internal, "intake without a source: %q", req.Source)
	case req.Class != "" && !record.ValidName(string(req.Class)):
		return fault.Errorf(fault.Internal, "intake with the class %q", req.Class)
	case !normalise.Known(req.Platform):
		return fault.WithHint(fault.Errorf(fault.Invalid, "unknown platform %q", req.Platform), "leave it out to detect by shape")
	}
	return nil
}

// worker is the scratch of one Ingest.
type worker struct {
	norm *normalise.Normaliser
	main record.Batch
	dead record.Batch

	p   *Pipeline
	req *Request
	now time.Time
	out Outcome

	taken int          // records that were handed in for the batch
	bytes int          // of payloads in the batch
	parts []record.Raw // of the raw record that is a container of them
	begun time.Time    // when the batch was
	told  bool

	times believed
}

func (w *worker) run(ctx context.Context) error {
	w.told = false
	w.times = believedAt(w.now)
	w.begin(0, 0)
	opt := normalise.Options{Platform: w.req.Platform, Source: w.req.Source, Now: w.now.UnixNano(), Class: policy.DefaultClass, Kind: w.req.Kind}
	for i := range w.req.Raws {
		raw := &w.req.Raws[i]
		if w.parts = w.parts[:0]; w.req.Kind == "" {
			w.parts = normalise.Split(w.parts, raw)
		}
		if len(w.parts) == 0 {
			if err := w.take(ctx, i, 0, raw, &opt); err != nil {
				return err
			}
			continue
		}
		for k := range w.parts {
			if err := w.take(ctx, i, k, &w.parts[k], &opt); err != nil {
				return err
			}
		}
	}
	return w.flush(ctx)
}

// take takes raw record i, or the k-th that it is a container of.
func (w *worker) take(ctx context.Context, i, k int, raw *record.Raw, opt *normalise.Options) error {
	size := sizeOf(raw)
	if w.taken > 0 && w.full(size) {
		if err := w.flush(ctx); err != nil {
			return err
		}
		w.begin(i, k)
	}
	w.bytes += size
	w.taken++
	if size > w.p.limits.Record {
		w.refuse(i, size, raw, &normalise.Refusal{Reason: "too_large", Detail: "record larger than " + bytesText(w.p.limits.Record)})
		return nil
	}
	if err := w.norm.Append(&w.main, raw, opt); err != nil {
		var r *normalise.Refusal
		if !errors.As(err, &r) {
			return fault.Errorf(fault.Internal, "normalise: %w", err)
		}
		w.refuse(i, size, raw, r)
		return nil
	}
	w.believe()
	return nil
}

// OriginalTime is the field that keeps the event time which a record named, RFC
// 3339, when it was not believed.
const OriginalTime = "event.original_time"

// What is believed of an event time: logs of ten years may be brought in, and a
// clock may be ahead by a day. Each day that records name is a key and a file of
// its own, so a sender who could name any would make tens of thousands of them.
const (
	oldestYears = 10
	mostAhead   = 24 * time.Hour
)

// believed are the event times, in ns, that are believed at one moment.
type believed struct{ from, to int64 }

func believedAt(now time.Time) believed {
	return believed{now.AddDate(-oldestYears, 0, 0).UnixNano(), now.Add(mostAhead).UnixNano()}
}

func (b believed) has(t int64) bool { return t >= b.from && t <= b.to }

// believe gives the record that was just added the time of receipt if its own is
// beyond what is believed.
func (w *worker) believe() {
	times := w.main.Times()
	if len(times) == 0 {
		return
	}
	last := len(times) - 1
	if t := times[last]; !w.times.has(t) {
		w.main.SetStringAt(last, OriginalTime, string(appendTime(nil, t)))
		w.main.SetTimeAt(last, w.now.UnixNano())
		w.p.meter.disbelieved.Inc()
	}
}

func appendTime(dst []byte, t int64) []byte {
	return time.Unix(0, t).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// full reports whether the batch must end before a record of next bytes. It
// depends on the request alone and on nothing that was in the worker before.
func (w *worker) full(next int) bool {
	l := &w.p.limits
	return w.main.Len()+w.dead.Len() >= l.Rows || w.bytes+next > l.Bytes || columns(&w.main, l.Columns) || columns(&w.dead, l.Columns)
}

// columns reports whether a batch uses at least limit columns. A batch keeps the
// columns of earlier requests, empty; those do not count.
func columns(b *record.Batch, limit int) bool {
	if len(b.Columns()) < limit {
		return false
	}
	used := 0
	for _, c := range b.Columns() {
		if len(c.Rows) > 0 {
			used++
		}
	}
	return used >= limit
}

// begin begins a batch at raw record first, or at the part-th that it is a
// container of.
func (w *worker) begin(first, part int) {
	w.taken, w.bytes, w.begun = 0, 0, time.Now()
	for _, b := range [...]*record.Batch{&w.main, &w.dead} {
		b.Reset()
		b.Tenant, b.Ingest = w.req.Tenant, w.now.UnixNano()
	}
	w.main.Source, w.dead.Source = w.req.Source, DeadLetters
	w.main.ID, w.dead.ID = batchID(w.req.ID, first, within(part)), batchID(w.req.ID, first, within(part)+"!"+DeadLetters)
}

// within tells batches apart that begin within one raw record.
func within(part int) string {
	if part == 0 {
		return ""
	}
	return "/" + strconv.Itoa(part)
}

// batchID numbers the batch that begins at a raw record. The split of a request
// depends on its content alone, so a retry makes the same batches.
func batchID(id record.BatchID, first int, suffix string) record.BatchID {
	if id.IsZero() || len(id.Origin)+len(suffix) > 128 {
		return record.BatchID{}
	}
	id.Origin += suffix
	id.Seq += uint64(first)
	return id
}

// flush applies policy and appends the batch.
func (w *worker) flush(ctx context.Context) error {
	a := &w.main.Account
	a.Received += uint64(w.taken)
	if !w.told { // what the receiver refused is told once, with the first batch
		w.told = true
		for _, c := range w.req.Rejected {
			if c.N > 0 {
				a.Rejected = add(a.Rejected, c.Name, c.N)
				a.Received += c.N
			}
		}
	}
	started := time.Now()
	normalised := started.Sub(w.begun)
	done, err := w.p.policy.Apply(&w.main, w.req.Class)
	if err != nil {
		return err
	}
	if w.dead.Len() > 0 {
		dead, err := w.p.policy.Redact(&w.dead)
		if err != nil {
			return err
		}
		w.p.meter.effects(dead)
		w.dead.Account.Received = uint64(w.dead.Len())
	}
	applied := time.Now()
	if w.dead.Len() > 0 {
		if err := w.p.appender.Append(ctx, &w.dead); err != nil {
			return err
		}
		w.p.meter.count(&w.dead)
	}
	if err := w.p.appender.Append(ctx, &w.main); err != nil {
		return err
	}
	w.p.meter.count(&w.main)
	w.p.parsed.count(&w.main)
	w.p.meter.effects(done)
	w.p.meter.stages(normalised, applied.Sub(started), time.Since(applied))
	for _, t := range w.main.Times() {
		if t > w.out.Newest || w.out.Newest == 0 {
			w.out.Newest = t
		}
		if t < w.out.Oldest || w.out.Oldest == 0 {
			w.out.Oldest = t
		}
	}
	w.out.Deduplicated += int(a.Deduplicated)
	w.out.Stored += w.main.Len() - min(w.main.Len(), int(a.Deduplicated))
	for _, c := range a.Dropped {
		w.out.Dropped += int(c.N)
	}
	return nil
}

func add(counts []record.Count, name string, n uint64) []record.Count {
	for i := range counts {
		if counts[i].Name == name {
			counts[i].N += n
			return counts
		}
	}
	return append(counts, record.Count{Name: name, N: n})
}

func sizeOf(raw *record.Raw) int {
	n := len(raw.Payload)
	for i := range raw.Attrs {
		n += len(raw.Attrs[i].Name) + len(raw.Attrs[i].Value.Str)
	}
	return n
}
