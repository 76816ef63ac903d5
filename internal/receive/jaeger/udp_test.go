package jaeger

import (
	"context"
	"net"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// TestUDP sends a captured datagram to a port.
func TestUDP(t *testing.T) {
	got := make(chan *pipeline.Request, 1)
	in := &receivetest.Intake{Before: func(_ context.Context, req *pipeline.Request) error {
		kept := *req
		got <- &kept
		return nil
	}}
	v, err := New(Config{Compact: listen.Config{Listen: "127.0.0.1:0", Tenant: "acme"}}, receive.Shared{Intake: in})
	if err != nil || len(v.Listeners()) != 1 {
		t.Fatal(v, err)
	}
	l := v.Listeners()[0]
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	c, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(captured(t, "jaeger-client-go.udp.compact")); err != nil {
		t.Fatal(err)
	}
	select {
	case req := <-got:
		if len(req.Raws) != 3 || req.Tenant != "acme" || req.Source != "jaeger/udp" {
			t.Errorf("%d spans of %s from %s", len(req.Raws), req.Tenant, req.Source)
		}
	case err := <-done:
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil && !fault.Is(err, fault.Canceled) {
		t.Error(err)
	}
}

// TestValidate: a port beyond loopback that lets everybody in does not start.
func TestValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Binary: listen.Config{Listen: "0.0.0.0:6832"}}
	if err := bad.Validate(); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if _, err := New(bad, receive.Shared{}); err == nil {
		t.Error("it was made")
	}
}
