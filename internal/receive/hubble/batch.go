package hubble

import (
	"bytes"
	"context"
	"math"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Bounds of a batch: whichever is reached first ends it.
const (
	batchFlows = 1024
	batchBytes = 1 << 20
	batchTime  = 200 * time.Millisecond
)

// batches takes in what comes until got is closed or taking in fails for good.
func (f *follower) batches(ctx context.Context, got <-chan []byte) error {
	var buf []byte
	var ends []int
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	flush := func() error {
		if len(ends) == 0 {
			return nil
		}
		err := f.take(ctx, buf, ends)
		buf, ends = buf[:0], ends[:0]
		return err
	}
	for {
		select {
		case b, ok := <-got:
			if !ok {
				return flush()
			}
			if len(ends) == 0 {
				tick.Reset(batchTime)
			}
			buf = append(buf, b...)
			ends = append(ends, len(buf))
			if len(ends) < batchFlows && len(buf) < batchBytes {
				continue
			}
		case <-tick.C:
		}
		if err := flush(); err != nil {
			return err
		}
	}
}

// take makes records of responses, which lie in b one after the other, and takes
// them in. It waits as long as there is no room: the relay then waits too, and
// says so when it lost something.
func (f *follower) take(ctx context.Context, b []byte, ends []int) error {
	var body *receive.Body
	err := f.inlet.Retry(ctx, 0, func() (err error) {
		body, err = f.inlet.Bodies.Message(rpc.Message{Body: bytes.NewReader(b), Size: int64(len(b))})
		return err
	})
	if err != nil {
		return err
	}
	defer body.Release()
	set := receive.NewSet()
	defer set.Release()
	f.seen.rotate()
	last, start, now := f.last, 0, f.now().UnixNano()
	f.fresh = f.fresh[:0]
	for _, end := range ends {
		r := look(body.Bytes[start:end])
		if r.isFlow && f.seen.has(r.key) {
			start = end
			continue
		}
		if f.response(set, body.Bytes[start:end], &r) && r.isFlow {
			last = max(last, min(r.time, now)) // a node's clock may be ahead
			f.fresh = append(f.fresh, r.key)
			f.seen.add(r.key) // also within the batch
		}
		start = end
	}
	_, err = f.inlet.IngestRetry(ctx, 0, f.from, f.id, set, body)
	f.id.Seq += uint64(len(set.Raws))
	if err != nil {
		for _, k := range f.fresh {
			f.seen.forget(k)
		}
		return err
	}
	f.last = last
	f.seen.keep(f.fresh)
	f.save(false)
	return nil
}

// What the events are called that are no flows.
var (
	lostAttrs   = []record.Field{{Name: "event.name", Value: record.StringValue("hubble.lost_events")}}
	statusAttrs = []record.Field{{Name: "event.name", Value: record.StringValue("hubble.node_status")}}
)

// response appends the record of one response.
func (f *follower) response(set *receive.Set, b []byte, r *looked) bool {
	w := writer{depth: f.inlet.Limits.Depth}
	text, err := w.message(set.Text(3*len(b)+256), b, f.schema, 0)
	if err != nil {
		reason := "malformed_record"
		if fault.Is(err, fault.TooLarge) {
			reason = "too_deep"
		}
		set.Reject(reason, err.Error(), 1)
		return false
	}
	raw := record.Raw{Payload: set.Keep(text), JSON: true}
	switch {
	case r.isLost:
		raw.Attrs, raw.Level = lostAttrs, "warn"
	case r.isStatus:
		raw.Attrs, raw.Level = statusAttrs, "info"
	}
	set.Raws = append(set.Raws, raw)
	return true
}

// note keeps what we know of following itself.
func (f *follower) note(ctx context.Context, event, text string) {
	set := receive.NewSet()
	defer set.Release()
	set.Open()
	set.Field("event.name", event)
	set.Field("hubble.relay", f.relay.Address)
	set.Raws = append(set.Raws, record.Raw{Payload: []byte(text), Time: f.now().UnixNano(), Attrs: set.Close(), Level: "warn", Service: "hubble-relay"})
	body := receive.Body{Bytes: []byte(text), Wire: int64(len(text))}
	if _, err := f.inlet.IngestRetry(ctx, time.Minute, f.from, record.BatchID{}, set, &body); err != nil {
		f.inlet.Log.Warn("keep a note on a relay", "relay", f.relay.Name, "event", event, "error", err)
	}
}

type key = xxh3.Uint128

// looked is what following needs to know of a response.
type looked struct {
	isFlow, isLost, isStatus bool
	key                      key   // of a flow: its uuid's, or all of it
	time                     int64 // ns
}

// look reads GetFlowsResponse { Flow flow = 1 { Timestamp time = 1; string uuid =
// 34 }; NodeStatusEvent node_status = 2; LostEvent lost_events = 3 } as far as it
// is whole: what is wrong with it is for response to say.
func look(b []byte) (r looked) {
	for len(b) > 0 {
		v, rest, err := pb.Next(b)
		if err != nil {
			return r
		}
		b = rest
		switch v.Tag {
		case 1<<3 | pb.Length:
			r.isFlow, r.key = true, xxh3.Hash128(v.V)
			for p := v.V; len(p) > 0; {
				if v, p, err = pb.Next(p); err != nil {
					return r
				}
				switch v.Tag {
				case 1<<3 | pb.Length:
					r.time = nanos(v.V)
				case 34<<3 | pb.Length:
					if len(v.V) > 0 {
						r.key = xxh3.Hash128(v.V)
					}
				}
			}
		case 2<<3 | pb.Length:
			r.isStatus = true
		case 3<<3 | pb.Length:
			r.isLost = true
		}
	}
	return r
}

// nanos reads a Timestamp; 0 for one that is out of range.
func nanos(b []byte) int64 {
	var s, n int64
	for len(b) > 0 {
		v, rest, err := pb.Next(b)
		if err != nil {
			return 0
		}
		b = rest
		switch v.Tag {
		case 1<<3 | pb.Varint:
			s = int64(v.N)
		case 2<<3 | pb.Varint:
			n = int64(int32(v.N))
		}
	}
	if s < 0 || s > math.MaxInt64/1_000_000_000-1 || n < 0 || n >= 1_000_000_000 {
		return 0
	}
	return s*1_000_000_000 + n
}
