package hubble

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A relay answers each call with the next session; the last one stays open.
type relay struct {
	mu       sync.Mutex
	sessions []func(send func([]byte)) error
	since    []int64
	follow   []bool
	asked    chan struct{} // one for each call
}

func (r *relay) handle(_ any, s grpc.ServerStream) error {
	var b []byte
	if err := s.RecvMsg(&b); err != nil {
		return err
	}
	r.mu.Lock()
	if len(r.sessions) == 0 {
		r.mu.Unlock()
		<-s.Context().Done()
		return s.Context().Err()
	}
	session := r.sessions[0]
	r.sessions = r.sessions[1:]
	since, follow := int64(0), false
	pb.Each(b, func(f pb.Field) error {
		switch f.Tag {
		case 7<<3 | pb.Length:
			since = nanos(f.V)
		case 3<<3 | pb.Varint:
			follow = f.N == 1
		}
		return nil
	})
	r.since, r.follow = append(r.since, since), append(r.follow, follow)
	r.mu.Unlock()
	if r.asked != nil {
		r.asked <- struct{}{}
	}
	return session(func(b []byte) { s.SendMsg(b) })
}

// serve starts the relay: a server of the library, as Hubble's own is.
func (r *relay) serve(t *testing.T, opts ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(append(opts, grpc.ForceServerCodec(bare{}), grpc.UnknownServiceHandler(r.handle))...)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// start follows the relay until the test ends or the function is called.
func start(t *testing.T, cfg Config, in pipeline.Intake) (stop func()) {
	t.Helper()
	r, err := New(cfg, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

const base = 1_772_359_200_000_000_000 // 2026-03-01T10:00:00Z

// flow returns a response with a flow of a number.
func flow(n int) []byte {
	at := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(base/1_000_000_000+n))
	f := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), at)
	f = protowire.AppendVarint(protowire.AppendTag(f, 2, protowire.VarintType), 1)
	f = protowire.AppendString(protowire.AppendTag(f, 34, protowire.BytesType), "uuid-"+strconv.Itoa(n))
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), f)
	return protowire.AppendString(protowire.AppendTag(b, 1000, protowire.BytesType), "node-1")
}

func lost(n uint64) []byte {
	e := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	e = protowire.AppendVarint(protowire.AppendTag(e, 2, protowire.VarintType), n)
	b := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), e)
	return protowire.AppendString(protowire.AppendTag(b, 1000, protowire.BytesType), "node-1")
}

func gone() []byte {
	e := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	e = protowire.AppendString(protowire.AppendTag(e, 2, protowire.BytesType), "node-2")
	return protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), e)
}

// counting is an intake that closes full when it holds want records of flows.
type counting struct {
	receivetest.Intake
	want int
	full chan struct{}
	once sync.Once
}

func (c *counting) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	out, err := c.Intake.Ingest(ctx, req)
	n := 0
	for uuid := range uuids(c.Raws()) {
		if uuid != "" {
			n++
		}
	}
	if n >= c.want {
		c.once.Do(func() { close(c.full) })
	}
	return out, err
}

func uuids(raws []record.Raw) map[string]int {
	out := map[string]int{}
	for _, r := range raws {
		var v struct{ Flow struct{ UUID string } }
		if json.Unmarshal(r.Payload, &v) == nil && v.Flow.UUID != "" {
			out[v.Flow.UUID]++
		}
	}
	return out
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("too late")
	}
}

// TestARelayThatLosesBreaksAndRepeats follows one over three connections.
func TestARelayThatLosesBreaksAndRepeats(t *testing.T) {
	r := &relay{sessions: []func(func([]byte)) error{
		func(send func([]byte)) error {
			for n := range 20 {
				send(flow(n))
			}
			send(flow(3)) // twice on one connection
			send(lost(7))
			return status.Error(codes.Unavailable, "the relay restarts")
		},
		func(func([]byte)) error { return status.Error(codes.PermissionDenied, "not yet") },
		func(send func([]byte)) error {
			for n := 10; n < 40; n++ { // ten of them again
				send(flow(n))
			}
			send(gone())
			send([]byte{1<<3 | 2, 200}) // not a response
			send(flow(40))
			return nil
		},
	}}
	in := &counting{want: 41, full: make(chan struct{})}
	var full int
	in.Before = func(context.Context, *pipeline.Request) error {
		if full++; full%3 == 1 {
			return fault.Errorf(fault.Overload, "full")
		}
		return nil
	}
	state := vfs.Sub(memfs.New(), "followed/hubble")
	cfg := Config{Relays: []Relay{{Name: "east", Address: r.serve(t), Tenant: "acme", Class: "hot"}}, State: state}
	stop := start(t, cfg, in)
	wait(t, in.full)
	stop()
	seen := uuids(in.Raws())
	for n := range 41 {
		if id := "uuid-" + strconv.Itoa(n); seen[id] != 1 {
			t.Errorf("%s is there %d times", id, seen[id])
		}
	}
	events := map[string]int{}
	for _, raw := range in.Raws() {
		for _, f := range raw.Attrs {
			if f.Name == "event.name" {
				events[f.Value.Str]++
			}
		}
		if bytes.Contains(raw.Payload, []byte("lost_events")) && string(raw.Payload) != `{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7"},"node_name":"node-1"}` {
			t.Errorf("%s", raw.Payload)
		}
	}
	if events["hubble.lost_events"] != 1 || events["hubble.node_status"] != 1 || events["hubble.connected"] != 2 || events["hubble.disconnected"] == 0 {
		t.Errorf("%v", events)
	}
	rejected := 0
	for _, req := range in.Requests() {
		for _, c := range req.Rejected {
			rejected += int(c.N)
		}
		if req.Tenant != "acme" || req.Class != "hot" || req.Source != "hubble/east" {
			t.Fatalf("%+v", req)
		}
	}
	if rejected != 1 {
		t.Errorf("%d rejected", rejected)
	}
	if len(r.since) != 3 || r.since[2] != base+19e9-int64(overlap) || !r.follow[0] {
		t.Errorf("asked since %v, follow %v", r.since, r.follow)
	}
	// A restart goes on where this one ended.
	again := &relay{sessions: []func(func([]byte)) error{func(send func([]byte)) error { send(flow(41)); return nil }}, asked: make(chan struct{}, 9)}
	cfg.Relays[0].Address = again.serve(t)
	stop = start(t, cfg, &receivetest.Intake{})
	wait(t, again.asked)
	stop()
	if again.since[0] != base+40e9-int64(overlap) {
		t.Errorf("after a restart it asks since %d", again.since[0]-base)
	}
}

// TestRealFlowsArrive sends captured flows.
func TestRealFlowsArrive(t *testing.T) {
	all := flows(t)
	r := &relay{sessions: []func(func([]byte)) error{func(send func([]byte)) error {
		for _, f := range all {
			send(f)
		}
		return nil
	}}}
	distinct := map[key]bool{}
	for _, f := range all {
		distinct[look(f).key] = true
	}
	arrived := make(chan struct{})
	var once sync.Once
	n := 0
	in := &receivetest.Intake{Before: func(_ context.Context, req *pipeline.Request) error {
		for i := range req.Raws {
			if req.Raws[i].JSON {
				n++
			}
		}
		if n >= len(distinct) {
			once.Do(func() { close(arrived) })
		}
		return nil
	}}
	stop := start(t, Config{Relays: []Relay{{Name: "east", Address: r.serve(t)}}}, in)
	wait(t, arrived)
	stop()
	if n != len(distinct) {
		t.Errorf("%d of %d", n, len(distinct))
	}
}

// TestMutualTLS follows a relay that wants a certificate.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	cert := pair.TLS.Certificates[0]
	pair.Close()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
	var shown []*x509.Certificate
	r := &relay{sessions: []func(func([]byte)) error{func(send func([]byte)) error { send(flow(0)); return nil }}, asked: make(chan struct{}, 9)}
	addr := r.serve(t, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			c, err := x509.ParseCertificate(raw[0])
			shown = append(shown, c)
			return err
		}})))
	relay := Relay{Name: "tls", Address: addr, CA: certFile, TLSCert: certFile, TLSKey: keyFile, ServerName: "example.com"}
	stop := start(t, Config{Relays: []Relay{relay}}, &receivetest.Intake{})
	wait(t, r.asked)
	stop()
	if len(shown) == 0 {
		t.Error("no certificate was shown")
	}
	relay.CA = keyFile
	if _, err := New(Config{Relays: []Relay{relay}}, receive.Shared{}); err == nil {
		t.Error("a key is taken for an authority")
	}
}

func TestValidate(t *testing.T) {
	good := Relay{Name: "a", Address: "relay:80"}
	for want, r := range map[string]Relay{
		"":                        good,
		"relays[0].address":       {Name: "a", Address: "relay"},
		"relays[0].name":          {Name: "", Address: "relay:80"},
		"relays[0].tls_cert":      {Name: "a", Address: "relay:80", TLSKey: "k"},
		"relays[0].plaintext":     {Name: "a", Address: "relay:80", Plaintext: true, CA: "x"},
		"relays[0].tenant":        {Name: "a", Address: "relay:80", Tenant: "A/B"},
		"relays[0].class":         {Name: "a", Address: "relay:80", Class: "A/B"},
		"relays[0].lookback: -1s": {Name: "a", Address: "relay:80", Lookback: -time.Second},
	} {
		err := Config{Relays: []Relay{r}}.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || !fault.Is(err, fault.Invalid)) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if err := (Config{Relays: []Relay{good, good}}).Validate(); err == nil {
		t.Error("one name twice")
	}
	if !good.secure() || (Relay{Address: "127.0.0.1:1"}).secure() || (Relay{Address: "x:1", Plaintext: true}).secure() {
		t.Error("TLS is the rule beyond loopback")
	}
}

func TestWindow(t *testing.T) {
	state := memfs.New()
	k := func(n int) key { return key{Hi: 1, Lo: uint64(n)} }
	open := func() *window {
		w := new(window)
		if err := w.open(state, "east", slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := open()
	const all = 3*generation + 500
	for n := 0; n < all; n += 100 {
		w.rotate()
		var fresh []key
		for i := n; i < n+100; i++ {
			if w.has(k(i)) {
				t.Fatal(i)
			}
			w.add(k(i))
			fresh = append(fresh, k(i))
		}
		w.keep(fresh)
	}
	check := func(w *window) {
		t.Helper()
		if !w.has(k(all-1)) || !w.has(k(2*generation+500)) || w.has(k(0)) || len(w.young)+len(w.old) > 2*generation+200 {
			t.Errorf("%d and %d", len(w.young), len(w.old))
		}
	}
	check(w)
	// Nothing was closed: so does a process that is killed leave it.
	w = open()
	check(w)
	w.add(k(-1))
	w.keep([]key{k(-1)})
	w.close()
	w = open()
	if check(w); !w.has(k(-1)) {
		t.Error("what was added after a restart is forgotten")
	}
	w.forget(k(-1))
	if w.has(k(-1)) {
		t.Error("not forgotten")
	}
	w.close()
}
