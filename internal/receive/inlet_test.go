package receive

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
)

// told is an intake that answers with what it is given.
type told struct {
	out pipeline.Outcome
	err error
}

func (i *told) Ingest(context.Context, *pipeline.Request) (pipeline.Outcome, error) {
	return i.out, i.err
}

// TestInletTellsOfSources: what was taken in is known of its source, once it is
// durable, and who was answered has lost nothing.
func TestInletTellsOfSources(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	in := &told{err: fault.Errorf(fault.Overload, "full")}
	table := sources.New(func() time.Time { return at }, nil)
	inlet := NewInlet("syslog", Shared{Intake: in, Sources: table, Lossy: true})
	set := NewSet()
	defer set.Release()
	for range 3 {
		set.Raws = append(set.Raws, record.Raw{Payload: []byte("x")})
	}
	set.Reject("malformed", "", 2)
	send := func(from Sender) error {
		from.Tenant = "shop"
		_, err := inlet.Ingest(t.Context(), from, record.BatchID{}, set, &Body{Bytes: make([]byte, 100), Wire: 50})
		return err
	}
	if err := send(Sender{Source: "a"}); err == nil {
		t.Fatal("no error")
	}
	if list := table.List(); len(list) != 0 {
		t.Errorf("a request that failed is counted: %+v", list)
	}
	*in = told{out: pipeline.Outcome{Stored: 3, Oldest: at.Add(-10 * time.Second).UnixNano(), Newest: at.UnixNano(), Refused: []pipeline.Refusal{{Reason: "too_large"}}}}
	for _, from := range []Sender{{Source: "a"}, {Source: "b", answered: true}} {
		if err := send(from); err != nil {
			t.Fatal(err)
		}
	}
	list := table.List()
	if len(list) != 2 || list[0].Receiver != "syslog" || list[0].Tenant != "shop" || list[0].Records != 5 || list[0].Bytes != 100 || list[0].MaxLag != 10*time.Second ||
		!list[0].Lossy || list[1].Lossy || fmt.Sprint(list[0].Rejected) != "[{malformed 2} {too_large 1}]" {
		t.Errorf("%+v", list)
	}
}
