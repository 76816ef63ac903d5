package receive

import (
	"context"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestIngestLossy fails an intake twice: the batch is handed in again under its
// number, and the next one has another.
func TestIngestLossy(t *testing.T) {
	var ids []record.BatchID
	fails := 2
	in := intakeFunc(func(req *pipeline.Request) error {
		ids = append(ids, req.ID)
		if fails--; fails >= 0 {
			return fault.Errorf(fault.Unavailable, "disk full")
		}
		return nil
	})
	f := NewInlet("syslog", Shared{Intake: in, Sources: sources.New(nil, nil)})
	set := NewSet()
	set.Raws = append(set.Raws, record.Raw{Payload: []byte("x")})
	for range 2 {
		if _, err := f.IngestLossy(t.Context(), Sender{Tenant: "a", Source: "b"}, set, 7); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 4 || ids[0] != ids[2] || ids[0].IsZero() || ids[3] == ids[2] || ids[3].Origin != ids[2].Origin {
		t.Errorf("%+v", ids)
	}
	if list := f.sources.List(); len(list) != 1 || !list[0].Lossy || list[0].Bytes != 14 {
		t.Errorf("nobody is told of what Persist keeps: %+v", list)
	}
	fails = 1 << 30
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.IngestLossy(ctx, Sender{Tenant: "a", Source: "b"}, set, 7); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after the end: %v", err)
	}
	fails, ids = 0, nil
	if _, err := f.IngestLossy(t.Context(), Sender{Tenant: "a", Source: "b"}, set, 0); err != nil || ids[0].Origin == "" {
		t.Errorf("%v %+v", err, ids)
	}
}

type intakeFunc func(req *pipeline.Request) error

func (f intakeFunc) Ingest(_ context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	return pipeline.Outcome{Stored: len(req.Raws)}, f(req)
}

func TestWaitBoundsCommonMemory(t *testing.T) {
	b := NewBodies(Limits{Memory: 1000})
	if err := b.Wait(900, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(200, time.Millisecond); !fault.Is(err, fault.Overload) {
		t.Errorf("%v", err)
	}
	done := make(chan error)
	go func() { done <- b.Wait(200, time.Minute) }()
	b.Return(900)
	if err := <-done; err != nil || b.Held() != 200 {
		t.Errorf("%v, %d held", err, b.Held())
	}
	d, err := NewBodies(Limits{}).Decode([]byte("plain"), "")
	if err != nil || string(d.Bytes) != "plain" {
		t.Errorf("%v", err)
	}
	d.Release()
}
