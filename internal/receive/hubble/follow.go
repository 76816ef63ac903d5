package hubble

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Bounds of following.
const (
	overlap    = 5 * time.Second // flows of several nodes come in no exact order
	maxMessage = 4 << 20
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
)

// A follower follows one relay.
type follower struct {
	relay  Relay
	inlet  *receive.Inlet
	schema *message
	from   receive.Sender
	state  vfs.FS
	creds  credentials.TransportCredentials
	now    func() time.Time

	id    record.BatchID // of the next batch
	last  int64          // time of the newest flow that is durable, ns
	saved int64          // what the state says
	wrote time.Time
	seen  window
	fresh []key             // of the batch being taken in
	dial  []grpc.DialOption // of tests
}

// prepare reads certificates and state.
func (f *follower) prepare() error {
	var origin [16]byte
	crand.Read(origin[:])
	f.id.Origin = "hubble:" + hex.EncodeToString(origin[:])
	f.creds = insecure.NewCredentials()
	if f.relay.secure() {
		c, err := httpd.ClientTLS(f.relay.CA, f.relay.TLSCert, f.relay.TLSKey, f.relay.ServerName)
		if err != nil {
			return err
		}
		f.creds = credentials.NewTLS(c)
	}
	if f.state == nil {
		return nil
	}
	if err := f.state.MkdirAll("."); err != nil {
		return err
	}
	b, err := vfs.ReadFile(f.state, f.relay.Name)
	if fault.Is(err, fault.NotFound) {
		return f.seen.open(f.state, f.relay.Name, f.inlet.Log)
	}
	if err != nil {
		return err
	}
	if f.last, err = strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err != nil {
		return fault.Errorf(fault.Corrupt, "how far it was followed: %w", err)
	}
	f.saved = f.last
	return f.seen.open(f.state, f.relay.Name, f.inlet.Log)
}

// save keeps how far the relay was followed: at most once a second, because it is
// a write and a sync. What it costs to be late is that flows are there twice.
func (f *follower) save(atOnce bool) {
	if f.state == nil || f.last == f.saved || !atOnce && f.now().Sub(f.wrote) < time.Second {
		return
	}
	if err := vfs.WriteFile(f.state, f.relay.Name, strconv.AppendInt(nil, f.last, 10)); err != nil {
		f.inlet.Log.Warn("keep how far a relay was followed", "relay", f.relay.Name, "error", err)
		return
	}
	f.saved, f.wrote = f.last, f.now()
}

// run follows the relay, and begins again when that ends.
func (f *follower) run(ctx context.Context) {
	defer func() { f.save(true); f.seen.close() }()
	conn, err := grpc.NewClient("dns:///"+f.relay.Address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(f.creds), grpc.WithDefaultCallOptions(grpc.ForceCodec(bare{}), grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 15 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: firstPause, Multiplier: 2, Jitter: 0.2, MaxDelay: lastPause}, MinConnectTimeout: 10 * time.Second}),
	}, f.dial...)...)
	if err != nil {
		f.inlet.Log.Error("follow a relay", "relay", f.relay.Name, "error", err)
		return
	}
	defer conn.Close()
	for pause := firstPause; ctx.Err() == nil; {
		began := f.now()
		connected, err := f.follow(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		f.inlet.Log.Warn("a relay is not followed", "relay", f.relay.Name, "error", err)
		if connected {
			f.note(ctx, "hubble.disconnected", err.Error())
			if f.now().Sub(began) > time.Minute {
				pause = firstPause
			}
		}
		t := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// since returns from when the relay is to be asked.
func (f *follower) since() time.Time {
	if f.last == 0 {
		return f.now().Add(-f.relay.Lookback)
	}
	return time.Unix(0, f.last).Add(-overlap)
}

// follow reads one stream to its end. connected is true if the relay answered.
func (f *follower) follow(ctx context.Context, conn *grpc.ClientConn) (connected bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	since := f.since()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/observer.Observer/GetFlows")
	if err != nil {
		return false, fault.Errorf(fault.Unavailable, "ask for flows: %w", err)
	}
	if err := s.SendMsg(request(since)); err != nil {
		return false, fault.Errorf(fault.Unavailable, "ask for flows: %w", err)
	}
	if err := s.CloseSend(); err != nil {
		return false, fault.Errorf(fault.Unavailable, "ask for flows: %w", err)
	}
	var first []byte
	if err := s.RecvMsg(&first); err != nil { // a relay that refuses says so here
		return false, fault.Errorf(fault.Unavailable, "ask for flows: %w", err)
	}
	f.note(ctx, "hubble.connected", "flows since "+since.UTC().Format(time.RFC3339Nano))
	got := make(chan []byte, batchFlows)
	got <- first
	ended := make(chan error, 1)
	go func() {
		defer close(got)
		for {
			var b []byte
			if err := s.RecvMsg(&b); err != nil {
				ended <- fault.Errorf(fault.Unavailable, "read flows: %w", err)
				return
			}
			select {
			case got <- b:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	err = f.batches(ctx, got)
	cancel()
	if read := <-ended; err == nil {
		err = read
	}
	for range got { // until the reader has closed it
	}
	return true, err
}

// request returns GetFlowsRequest { bool follow = 3; Timestamp since = 7 { int64
// seconds = 1; int32 nanos = 2 } }. Without a number a relay sends all it has.
func request(since time.Time) []byte {
	at := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(since.Unix()))
	at = protowire.AppendVarint(protowire.AppendTag(at, 2, protowire.VarintType), uint64(since.Nanosecond()))
	b := protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1)
	return protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), at)
}

// bare hands messages over as they are.
type bare struct{}

func (bare) Name() string                    { return "proto" }
func (bare) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (bare) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }
