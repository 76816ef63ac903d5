package als

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode returns the records of messages of one stream.
func decode(t testing.TB, messages ...[]byte) []record.Raw {
	t.Helper()
	in := &receivetest.Intake{}
	r, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	var n node
	for _, m := range messages {
		set := receive.NewSet()
		d := decoder{set: set, lim: r.inlet.Limits, node: &n}
		if err := d.message(m); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Ingest(t.Context(), &pipeline.Request{Raws: set.Raws, Rejected: set.Rejected}); err != nil {
			t.Fatal(err)
		}
		set.Release()
	}
	return in.Raws()
}

func show(raws []record.Raw) string {
	var b strings.Builder
	for i := range raws {
		fmt.Fprintf(&b, "%s\n%d %s %s\n", raws[i].Payload, raws[i].Time, raws[i].Service, receivetest.Fields(&raws[i]))
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"http", "tcp", "istio"} {
		raws := decode(t, load(t, name+".binpb"))
		for i := range raws {
			if !json.Valid(raws[i].Payload) {
				t.Errorf("%s: not JSON: %s", name, raws[i].Payload)
			}
		}
		got := show(raws[:min(len(raws), 2)])
		file := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := string(load(t, name+".golden")); got != want {
			t.Errorf("%s:\n%s\nnot\n%s", name, got, want)
		}
	}
}

// TestEveryFieldIsKept looks for the value of every field of the schema.
func TestEveryFieldIsKept(t *testing.T) {
	without := []string{"resolver_name", "network_namespace_filepath"} // of an address, where Envoy prints none either
	for _, name := range []string{"http", "tcp"} {
		text := show(decode(t, load(t, name+".binpb")))
		n := 0
	fields:
		for line := range strings.Lines(string(load(t, name+".fields"))) {
			path, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
			for _, w := range without {
				if strings.HasSuffix(path, w) {
					continue fields
				}
			}
			if strings.HasSuffix(path, "properties.duration") {
				value = strings.Replace(value, "000", ".000", 1) // in milliseconds
			}
			n++
			if !strings.Contains(text, value) {
				t.Errorf("%s: %s=%s is lost", name, path, value)
			}
		}
		if n < 20 {
			t.Errorf("%s: only %d fields", name, n)
		}
	}
}

// TestFlags gives every flag in turn.
func TestFlags(t *testing.T) {
	for n := 1; n < len(flagNames); n++ {
		var f []byte
		if n == 13 {
			f = protowire.AppendBytes(protowire.AppendTag(nil, 13, protowire.BytesType), []byte{1 << 3, 1})
		} else {
			f = protowire.AppendVarint(protowire.AppendTag(nil, protowire.Number(n), protowire.VarintType), 1)
		}
		raws := decode(t, message(3, wrap(1, wrap(16, f))))
		want := `"response_flags":"` + flagNames[n] + `"`
		if !strings.Contains(string(raws[0].Payload), want) {
			t.Errorf("flag %d: %s", n, raws[0].Payload)
		}
	}
}

func wrap(field protowire.Number, inner ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), bytes.Join(inner, nil))
}

// message returns a StreamAccessLogsMessage of entries: kind 2 is HTTP, 3 TCP.
func message(kind protowire.Number, entries ...[]byte) []byte {
	for i := range entries {
		entries[i] = wrap(1, entries[i])
	}
	return wrap(kind, entries...)
}

// TestAWrongEntryHarmsNoOther puts entries that do not decode between good ones.
func TestAWrongEntryHarmsNoOther(t *testing.T) {
	deep := []byte{}
	for range 200 {
		deep = wrap(5, wrap(1, wrap(1, []byte("k")), wrap(2, deep)))
	}
	good := wrap(1, wrap(15, []byte("c")))
	m := message(2, bytes.Clone(good), []byte{1<<3 | 2, 200}, bytes.Clone(good), wrap(1, wrap(17, wrap(1, wrap(1, []byte("n")), wrap(2, wrap(1, wrap(1, []byte("k")), wrap(2, deep)))))), bytes.Clone(good))
	set := receive.NewSet()
	defer set.Release()
	d := decoder{set: set, lim: receive.Limits{}.WithDefaults(), node: &node{}}
	if err := d.message(m); err != nil {
		t.Fatal(err)
	}
	if len(set.Raws) != 3 || set.RejectedTotal() != 2 || fmt.Sprint(set.Rejected) != "[{malformed_record 1} {too_deep 1}]" {
		t.Errorf("%d records, %v", len(set.Raws), set.Rejected)
	}
	for i := range set.Raws {
		if !json.Valid(set.Raws[i].Payload) {
			t.Errorf("%s", set.Raws[i].Payload)
		}
	}
}

func TestLimits(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	lim := receive.Limits{Items: 2}.WithDefaults()
	d := decoder{set: set, lim: lim, node: &node{}}
	if err := d.message(message(3, nil, nil, nil)); err != nil {
		t.Fatal(err)
	}
	if len(set.Raws) != 2 || set.RejectedTotal() != 1 {
		t.Errorf("%d records, %v", len(set.Raws), set.Rejected)
	}
}

// serve runs the receiver on a port of its own.
func serve(t *testing.T, s receive.Shared) *grpc.ClientConn {
	t.Helper()
	r, err := New(Config{}, s)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(receivetest.Handler(r.Routes()))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	conn, err := grpc.NewClient(srv.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bare{})), grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); srv.Close() })
	return conn
}

// bare sends messages as they are.
type bare struct{}

func (bare) Name() string                    { return "proto" }
func (bare) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (bare) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

func open(t *testing.T, conn *grpc.ClientConn, version string) grpc.ClientStream {
	t.Helper()
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/envoy.service.accesslog."+version+".AccessLogService/StreamAccessLogs")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStream sends over both paths; only the first message names the proxy.
func TestStream(t *testing.T) {
	in := &receivetest.Intake{}
	conn := serve(t, receive.Shared{Intake: in})
	for _, version := range []string{"v3", "v2"} {
		before := len(in.Requests())
		s := open(t, conn, version)
		for _, m := range [][]byte{load(t, "istio.binpb"), message(3, nil, nil), {}} {
			if err := s.SendMsg(m); err != nil {
				t.Fatal(err)
			}
		}
		s.CloseSend()
		var answer []byte
		if err := s.RecvMsg(&answer); err != nil || len(answer) != 0 {
			t.Fatalf("%q, %v", answer, err)
		}
		reqs := in.Requests()[before:]
		if len(reqs) != 2 || len(reqs[0].Raws) != 12 || len(reqs[1].Raws) != 2 {
			t.Fatalf("%d requests", len(reqs))
		}
		if reqs[0].ID.Origin == "" || reqs[0].ID.Origin != reqs[1].ID.Origin || reqs[1].ID.Seq != 12 || reqs[0].Tenant != "acme" || reqs[0].Source != "als/tester" {
			t.Errorf("%+v %+v", reqs[0].ID, reqs[1].ID)
		}
		if f := receivetest.Fields(&reqs[1].Raws[1]); !strings.Contains(f, "k8s.pod.name=productpage-v1-6b746f74dc-9stvs") || !strings.Contains(f, "envoy.log_name=log-1") {
			t.Errorf("a later message has %s", f)
		}
	}
}

// TestHeldUntilThereIsRoom refuses each batch twice, and the memory at first:
// nothing is lost, nothing is there twice.
func TestHeldUntilThereIsRoom(t *testing.T) {
	var calls atomic.Int64
	ids := map[record.BatchID]int{}
	in := &receivetest.Intake{Before: func(_ context.Context, req *pipeline.Request) error {
		if ids[req.ID]++; calls.Add(1)%3 != 0 {
			return fault.Errorf(fault.Overload, "full")
		}
		return nil
	}}
	conn := serve(t, receive.Shared{Intake: in})
	s := open(t, conn, "v3")
	for range 3 {
		if err := s.SendMsg(message(3, nil, nil)); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseSend()
	var answer []byte
	if err := s.RecvMsg(&answer); err != nil {
		t.Fatal(err)
	}
	if len(in.Raws()) != 6 || len(ids) != 3 {
		t.Errorf("%d records, batches %v", len(in.Raws()), ids)
	}
}

func TestFailuresEndTheStream(t *testing.T) {
	in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return fault.Errorf(fault.Denied, "no") }}
	conn := serve(t, receive.Shared{Intake: in})
	s := open(t, conn, "v3")
	if err := s.SendMsg(message(3, nil)); err != nil {
		t.Fatal(err)
	}
	var answer []byte
	if err := s.RecvMsg(&answer); status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v", err)
	}
}

func TestAllocations(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	b := load(t, "istio.binpb")
	var n node
	lim := receive.Limits{}.WithDefaults()
	var records int
	run := func() {
		set := receive.NewSet()
		d := decoder{set: set, lim: lim, node: &n}
		if err := d.message(later(b)); err != nil {
			t.Fatal(err)
		}
		records = len(set.Raws)
		set.Release()
	}
	run()
	if got := testing.AllocsPerRun(100, run); got > 2 {
		t.Errorf("%v allocations for a message of %d records", got, records)
	}
}

// later returns a message without its identifier.
func later(b []byte) []byte {
	_, _, n := protowire.ConsumeField(b)
	return b[n:]
}

func BenchmarkDecode(b *testing.B) {
	m := later(load(b, "istio.binpb"))
	var n node
	lim := receive.Limits{}.WithDefaults()
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		set := receive.NewSet()
		d := decoder{set: set, lim: lim, node: &n}
		if err := d.message(m); err != nil {
			b.Fatal(err)
		}
		records += len(set.Raws)
		set.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
}

func FuzzMessage(f *testing.F) {
	for _, name := range []string{"http", "tcp", "istio"} {
		f.Add(load(f, name+".binpb"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{Items: 100, Depth: 8}.WithDefaults(), node: &node{}}
		if err := d.message(b); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%v", err)
		}
		for i := range set.Raws {
			if !json.Valid(set.Raws[i].Payload) {
				t.Fatalf("not JSON: %q", set.Raws[i].Payload)
			}
		}
	})
}
