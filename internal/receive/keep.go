package receive

import (
	"context"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The pauses between the tries of Keep.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Keep is Ingest for protocols over connections, whose senders cannot be asked to
// come again: while the failure is one that passes, it tries again, and the
// sender waits because nothing is read and nothing acknowledged. It gives up when
// ctx ends, and, unless patience is 0, after that time; what is returned then is
// the last failure, and nothing may be assumed to be kept. Every failed try is
// counted.
func (f *Frame) Keep(ctx context.Context, patience time.Duration, from Sender, id record.BatchID, set *Set, body *Body) (pipeline.Outcome, error) {
	var out pipeline.Outcome
	err := f.Insist(ctx, patience, func() (err error) {
		out, err = f.Ingest(ctx, from, id, set, body)
		return err
	})
	return out, err
}

// Insist calls try until it succeeds, fails for good, ctx ends, or, unless it is
// 0, patience does.
func (f *Frame) Insist(ctx context.Context, patience time.Duration, try func() error) error {
	started := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try()
		if err == nil {
			return nil
		}
		f.Meter.Failed(err)
		if !Passing(err) || patience > 0 && time.Since(started)+pause > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// Passing reports whether the same request may succeed later: everything but
// what the sender did wrong.
func Passing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict:
		return false
	}
	return true
}
