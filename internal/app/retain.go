package app

import (
	"context"
	"time"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
)

// retention tells the store when a class and day may be destroyed: as the policy
// of this start says.
func (s *server) retention(_, class, day string, arrived time.Time) (time.Time, string, bool) {
	return s.policy.EndOfDay(record.Class(class), day, arrived)
}

// hold puts the legal holds of the configuration into force, before anything can
// be destroyed. One that is not in it any more is released.
func (s *server) hold(ctx context.Context) error {
	holds := make([]ledger.Hold, len(s.cfg.Holds))
	for i, h := range s.cfg.Holds {
		holds[i] = ledger.Hold{ID: h.ID, Tenant: h.Tenant, Class: h.Class, From: h.From, To: h.To, Reason: h.Reason}
	}
	return s.store.SetHolds(ctx, holds, "configuration")
}

// expireEvery is how often it is looked whose retention has ended.
const expireEvery = time.Hour

// expire destroys what is beyond its retention, at start and every hour, unless
// the clock is in doubt.
func (s *server) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	begun := time.Now()
	c := clock{last: s.store.Resumed()}
	for {
		now := time.Now()
		if wait := c.doubt(now, now.Sub(begun)); wait > 0 {
			s.log.Warn("the clock is far ahead of what the ledger or this process last saw: nothing is destroyed by it yet",
				"last", c.before.UTC(), "now", now.UTC(), "wait", wait.Round(time.Minute))
		} else if _, err := s.store.Expire(ctx, now); err != nil && ctx.Err() == nil {
			s.log.Error("records beyond their retention are not destroyed yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// A clock decides whether the time of day may destroy records. A clock that was
// put forward by a year makes a year of records look expired, and what is
// destroyed cannot be brought back: so after a jump ahead there is a day for
// somebody to see the warning.
type clock struct {
	last   time.Time     // that was seen, in this process or before it; zero: none
	up     time.Duration // of this process at last
	before time.Time     // the time before the newest jump
	until  time.Duration // of this process: the time of day is in doubt until then
}

const (
	maxJump  = 24 * time.Hour // a server that was off for longer is in doubt as well
	doubtFor = 24 * time.Hour
)

// doubt returns how long the time of day is not to be believed. Up is how long
// this process has run, which no setting of the clock changes.
func (c *clock) doubt(now time.Time, up time.Duration) time.Duration {
	now = now.Round(0) // the time of day, without the reading that does not jump
	if !c.last.IsZero() && now.Sub(c.last)-(up-c.up) > maxJump {
		c.before, c.until = c.last, up+doubtFor
	}
	c.last, c.up = now, up
	return max(0, c.until-up)
}
