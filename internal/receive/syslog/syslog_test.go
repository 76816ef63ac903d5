package syslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
)

// run runs a receiver until the test ends, or stop is called.
func run(t *testing.T, cfg Config, in pipeline.Intake) (r *Receiver, stop func()) {
	t.Helper()
	r, err := New(cfg, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, len(r.Listeners()))
	for _, l := range r.Listeners() {
		if err := l.Listen(); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- l.Run(ctx) }()
	}
	stop = func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		ended = make(chan error)
	}
	t.Cleanup(stop)
	return r, stop
}

// until waits for the number of records that in has.
func until(t *testing.T, in *receivetest.Intake, n int) []string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		raws := in.Raws()
		if len(raws) >= n {
			var out []string
			for _, r := range raws {
				out = append(out, string(r.Payload))
			}
			return out
		}
		select {
		case <-deadline:
			t.Fatalf("%d records of %d", len(raws), n)
		case <-tick.C:
		}
	}
}

func local(tcp bool) Config {
	c := listen.Config{Listen: "127.0.0.1:0"}
	if tcp {
		return Config{TCP: c}
	}
	return Config{UDP: c}
}

func dial(t *testing.T, r *Receiver) net.Conn {
	t.Helper()
	addr := r.Listeners()[0].Addr()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConnection(t *testing.T) {
	in := &receivetest.Intake{}
	r, _ := run(t, local(true), in)
	c := dial(t, r)
	io.WriteString(c, "<13>Nov 21 17:40:38 h app: one\n31 <13>1 - h app - - - two\nlines\n\n<13>Nov 21 17:40:38 h app: cut o")
	until(t, in, 2)
	io.WriteString(c, "ff")
	c.Close()
	got := until(t, in, 3)
	if want := []string{"one", "two\nlines", "cut off"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	req := in.Requests()[0]
	if req.Tenant != "default" || req.Source != "syslog/tcp" || req.ID.IsZero() {
		t.Errorf("%+v", req)
	}
}

// TestDatagrams: what came in while a batch was made durable is the next batch.
func TestDatagrams(t *testing.T) {
	sent, entered := make(chan struct{}), make(chan struct{}, 1)
	in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error {
		select {
		case entered <- struct{}{}:
			<-sent
		default:
		}
		return nil
	}}
	r, _ := run(t, local(false), in)
	c := dial(t, r)
	io.WriteString(c, "<13>Nov 21 17:40:38 h app: first\n")
	for i := range 100 { // few enough for the smallest buffer of a socket
		fmt.Fprintf(c, "<13>Nov 21 17:40:38 h app: %d\n", i)
	}
	io.WriteString(c, "2 datagrams have no length")
	close(sent)
	got := until(t, in, 102)
	if got[100] != "99" || got[101] != "2 datagrams have no length" {
		t.Errorf("%q", got)
	}
	if req := in.Requests()[0]; req.Source != "syslog/udp" {
		t.Error(req.Source)
	}
}

func TestUnixDatagrams(t *testing.T) {
	in := &receivetest.Intake{}
	path := filepath.Join(t.TempDir(), "log")
	run(t, Config{Unix: listen.Config{Listen: "unix:" + path}}, in)
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "<13>Nov 21 17:40:38 app[7]: local")
	if got := until(t, in, 1); got[0] != "local" {
		t.Errorf("%q", got)
	}
}

// TestOverload: while records cannot be kept nothing more is read, and then all
// of them are kept once: repetitions have the same identity and content.
func TestOverload(t *testing.T) {
	var tries atomic.Int64
	var first pipeline.Request
	in := &receivetest.Intake{Before: func(_ context.Context, req *pipeline.Request) error {
		if n := tries.Add(1); n < 4 {
			if n == 1 {
				first = *req
				first.Raws = nil
			} else if req.ID != first.ID {
				t.Errorf("try %d has the ID %v, the first %v", n, req.ID, first.ID)
			}
			return fault.Errorf(fault.Overload, "later")
		}
		return nil
	}}
	r, _ := run(t, local(true), in)
	c := dial(t, r)
	var want []string
	for i := range 20_000 {
		fmt.Fprintf(c, "<13>Nov 21 17:40:38 h app: %d\n", i)
		want = append(want, fmt.Sprint(i))
	}
	if got := until(t, in, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d records, or in another order", len(got))
	}
	if n := len(in.Requests()); n > 100 {
		t.Errorf("%d requests for %d records", n, len(want))
	}
}

// TestStop: what a connection has handed over when the server stops is kept.
func TestStop(t *testing.T) {
	in := &receivetest.Intake{}
	r, stop := run(t, local(true), in)
	c := dial(t, r)
	io.WriteString(c, "<13>Nov 21 17:40:38 h app: one\n<13>Nov 21 17:40:38 h app: without an end")
	until(t, in, 1)
	stop()
	if got := until(t, in, 2); got[1] != "without an end" {
		t.Errorf("%q", got)
	}
}

func TestTooLarge(t *testing.T) {
	in := &receivetest.Intake{}
	cfg := local(true)
	cfg.Message = 2 << 10
	r, _ := run(t, cfg, in)
	c := dial(t, r)
	big := strings.Repeat("x", 100<<10)
	fmt.Fprintf(c, "<13>%s\n<13>one\n%d <13>%s<13>two\n", big, len(big)+4, big)
	if got := until(t, in, 2); fmt.Sprint(got) != "[one two]" {
		t.Errorf("%.100q", got)
	}
	refused := 0
	for _, req := range in.Requests() {
		for _, c := range req.Rejected {
			if c.Name == "too_large" {
				refused += int(c.N)
			}
		}
	}
	if refused != 2 {
		t.Errorf("%d refused", refused)
	}
}

// TestManySmall: two bytes make a record of many; a batch of them is bounded.
func TestManySmall(t *testing.T) {
	in := &receivetest.Intake{}
	r, _ := run(t, local(true), in)
	c := dial(t, r)
	c.Write(bytes.Repeat([]byte("x\n"), 100_000))
	until(t, in, 100_000)
	for _, req := range in.Requests() {
		if len(req.Raws) > maxBatch {
			t.Fatalf("%d records at once", len(req.Raws))
		}
	}
}

func TestConfig(t *testing.T) {
	f := func(want string, cfg Config) {
		t.Helper()
		_, err := New(cfg, receive.Shared{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("time_zone: ", Config{TimeZone: "Nowhere/City"})
	f("message_bytes: ", Config{Message: 3})
	f("tls.tls_cert: ", Config{TLS: listen.Config{Listen: "127.0.0.1:0"}})
	f("udp.tls_cert: ", Config{UDP: listen.Config{Listen: "127.0.0.1:0", TLSCert: "a", TLSKey: "b"}})
	f("tcp.listen: ", Config{TCP: listen.Config{Listen: "0.0.0.0:5514"}})
	f("unix.allow: ", Config{Unix: listen.Config{Listen: "unix:/x", Allow: []string{"here"}}})
	if r, err := New(Config{}, receive.Shared{}); err != nil || len(r.Listeners()) != 0 {
		t.Errorf("a receiver that is off: %v", err)
	}
}

// TestLost: what cannot be kept before the server ends is told with its number.
func TestLost(t *testing.T) {
	in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error {
		return fault.Errorf(fault.Unavailable, "the disk is full")
	}}
	r, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	take := r.datagrams()
	err = take(ctx, receive.Sender{Tenant: "t", Source: "syslog/udp"}, []listen.Packet{
		{Remote: netip.MustParseAddrPort("192.0.2.1:9"), Data: []byte("<13>a")}, {Data: []byte("<13>b")},
	})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "2 records") || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestDatagramsAreCountedInBytes(t *testing.T) {
	sources := sources.New(nil, nil)
	r, err := New(Config{}, receive.Shared{Intake: &receivetest.Intake{}, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	err = r.datagrams()(t.Context(), receive.Sender{Tenant: "t", Source: "syslog/udp"}, []listen.Packet{{Data: []byte("<13>a")}, {Data: []byte("<13>bc")}})
	if list := sources.List(); err != nil || len(list) != 1 || list[0].Bytes != 11 || list[0].Records != 2 {
		t.Errorf("%v, %+v", err, list)
	}
}
