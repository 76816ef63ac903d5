package pipeline

import (
	"context"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
)

// OriginalClass is the field that keeps the class which an agent named, when the
// policy here does not name it.
const OriginalClass = "event.original_class"

// Relayed returns an Appender for batches that the pipeline of an agent made. Of
// what an agent's own clock and policy decided it keeps what may be here: a time
// that is not believed becomes that of the batch's receipt, and a class that this
// policy does not name becomes its default class, because records of a class
// without a retention would be kept for ever. What was said stays beside it, in
// OriginalTime and OriginalClass. Rules of this policy that change values or label
// records are applied as well: an agent has no keys to hash and no vault. No record
// is lost, and the account is the agent's.
func (p *Pipeline) Relayed() record.Appender {
	return &relayed{p: p, told: make(map[record.Class]bool)}
}

type relayed struct {
	p *Pipeline

	mu   sync.Mutex
	told map[record.Class]bool // classes that the log has
}

// maxTold bounds how many classes are named in the log.
const maxTold = 100

// Append implements record.Appender. It changes b.
func (r *relayed) Append(ctx context.Context, b *record.Batch) error {
	times := r.believe(b)
	classes := r.reclass(b)
	change := r.p.policy.Change
	if b.Source == DeadLetters {
		change = r.p.policy.Redact
	}
	done, err := change(b)
	if err != nil {
		return err
	}
	if err := r.p.appender.Append(ctx, b); err != nil {
		return err
	}
	if b.Account.Deduplicated == 0 {
		r.p.meter.disbelieved.Add(float64(times))
		r.p.meter.reclassed.Add(float64(classes))
		r.p.meter.effects(done)
		r.p.parsed.count(b)
	}
	return nil
}

// believe replaces event times that are not believed, and returns how many.
func (r *relayed) believe(b *record.Batch) (n int) {
	now := r.p.now()
	ok := believedAt(now)
	for _, t := range b.Times() {
		if !ok.has(t) {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	receipt := b.Ingest
	if !ok.has(receipt) {
		receipt = now.UnixNano()
	}
	b.FillStrings(OriginalTime, func(dst []byte, row int) ([]byte, bool) {
		t := b.Times()[row]
		return appendTime(dst, t), !ok.has(t)
	})
	for i, t := range b.Times() {
		if !ok.has(t) {
			b.SetTimeAt(i, receipt)
		}
	}
	return n
}

// reclass replaces classes that the policy does not name, and returns of how many
// records.
func (r *relayed) reclass(b *record.Batch) (n int) {
	known := make(map[record.Class]bool)
	unknown := func(row int) bool {
		c := b.ClassAt(row)
		named, seen := known[c]
		if !seen {
			named = r.p.policy.Names(c)
			known[c] = named
		}
		return !named
	}
	for i := range b.Len() {
		if unknown(i) {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	b.FillStrings(OriginalClass, func(dst []byte, row int) ([]byte, bool) {
		return append(dst, b.ClassAt(row)...), unknown(row)
	})
	b.Reclass(func(c record.Class) record.Class {
		if r.p.policy.Names(c) {
			return c
		}
		r.tell(c, b.Source)
		return r.p.policy.Default()
	})
	return n
}

// tell names a class in the log, once.
func (r *relayed) tell(c record.Class, source string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[c] || len(r.told) >= maxTold {
		return
	}
	r.told[c] = true
	r.p.log.Warn("an agent named a class that policy.classes does not: its records get the default class",
		"class", string(c), "source", source, "default", string(r.p.policy.Default()))
}
