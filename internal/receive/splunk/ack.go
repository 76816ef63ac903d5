package splunk

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// acks numbers the requests that were answered as durable. An id says by itself
// whether it was issued, so that nothing is held in memory for it and a restart
// forgets none:
//
//	| number 45 bits | check 8 bits |
//
// Numbers go up by one and begin at 2^15 times the seconds since 2025, of which
// fractions count, so that those of a later start are greater. The check is of the number, the tenant, the
// sender and the channel: an id is acknowledged on the channel that it was issued
// on, but for one in 256 that somebody made up, and in no case unless its number
// is one that was issued by now.
//
// A clock that was set back over a restart makes ids of before unknown until it
// comes to them: they are answered with false, and their sender sends again. No
// id is acknowledged whose request is not durable.
//
// 53 bits are what a JavaScript client can hold.
type acks struct {
	start int64 // the first number of this process
	next  atomic.Int64
}

// firstNumber is that of 2025, ids below it are somebody else's: Splunk's own
// begin at 0.
const firstNumber = 1 << 15

var since = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func newAcks(now time.Time) *acks {
	a := &acks{start: max(int64(now.Sub(since).Seconds()*firstNumber), firstNumber)}
	a.next.Store(a.start)
	return a
}

// issue returns the id of a request that is durable.
func (a *acks) issue(from receive.Sender, channel string) int64 {
	n := a.next.Add(1) - 1
	return n<<8 | int64(check(n, from, channel))
}

// durable reports whether the id was issued to this sender on this channel.
func (a *acks) durable(id int64, from receive.Sender, channel string) bool {
	n := id >> 8
	return n >= firstNumber && n < a.next.Load() && byte(id) == check(n, from, channel)
}

func check(n int64, from receive.Sender, channel string) byte {
	text := make([]byte, 0, 256)
	text = binary.BigEndian.AppendUint64(text, uint64(n))
	for _, s := range [...]string{string(from.Tenant), from.Name, channel} {
		text = append(append(text, s...), 0)
	}
	sum := sha256.Sum256(text)
	return sum[0]
}

// maxAsked bounds the ids of one question.
const maxAsked = 1 << 16

// ack answers POST /services/collector/ack: which of these ids are durable.
func (s *Receiver) ack(w http.ResponseWriter, r *http.Request) error {
	channel, err := channelOf(r)
	if err != nil {
		return err
	}
	if channel == "" {
		return noChannel.fail()
	}
	from, err := receive.Identify(r, Name)
	if err != nil {
		return err
	}
	body, err := s.inlet.Bodies.Read(r, r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	defer body.Release()
	set := receive.NewSet()
	defer set.Release()
	ids, err := asked(body.Bytes, s.inlet.Limits.Depth, set)
	if err != nil {
		return err
	}
	out := make([]byte, 0, 16+24*len(ids))
	out = append(out, `{"acks":{`...)
	for i, id := range ids {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = strconv.AppendInt(out, id, 10)
		out = append(out, `":`...)
		out = strconv.AppendBool(out, s.acks.durable(id, from, channel))
	}
	out = append(out, "}}"...)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	_, err = w.Write(out)
	return err
}

// asked reads {"acks":[1,2,3]}.
func asked(body []byte, depth int, set *receive.Set) ([]int64, error) {
	var ids []int64
	j := jsontext.NewReader(body, depth, set)
	if !j.Begin('{') {
		return nil, badData.fail()
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		if string(key) != "acks" {
			j.Raw()
			continue
		}
		if !j.Begin('[') {
			break
		}
		for j.Elem() {
			id, err := strconv.ParseInt(receive.Str(j.Scalar()), 10, 64)
			if err != nil || id < 0 {
				return nil, badData.fail()
			}
			if len(ids) == maxAsked {
				return nil, fault.Errorf(fault.TooLarge, "more than %d ids", maxAsked)
			}
			ids = append(ids, id)
		}
	}
	if j.End(); j.Err() != nil {
		return nil, badData.fail()
	}
	return ids, nil
}
