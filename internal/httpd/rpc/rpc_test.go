package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/klauspost/compress/zstd"
	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/identity"
)

func TestMain(m *testing.M) {
	encoding.RegisterCompressor(zstdCompressor{})
	goleak.VerifyTestMain(m)
}

const token = "mt_test"

type zstdCompressor struct{}

func (zstdCompressor) Name() string { return "zstd" }
func (zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
}
func (zstdCompressor) Decompress(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r)
	return d, err
}

// serve runs a server of the services and returns a client connection to it. The
// function it returns stops the server and waits for it.
func serve(t *testing.T, need access.Permission, services ...rpc.Service) (*grpc.ClientConn, func()) {
	t.Helper()
	k := identity.New(nil)
	k.Add(token, identity.Identity{Name: "admin", Tenant: identity.DefaultTenant, Role: identity.Administrator})
	c := httpd.DefaultConfig()
	c.Listen = "127.0.0.1:0"
	s, err := httpd.New(httpd.Options{Config: c, Keeper: k, Routes: rpc.Routes(need, services...), Unknown: rpc.Unknown})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(func() { conn.Close(); stop() })
	return conn, stop
}

func as(t *testing.T, credential string) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	t.Cleanup(cancel)
	if credential == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+credential)
}

func echo(max int64) rpc.Service {
	return rpc.Service{Name: "test.Echo", Methods: []rpc.Method{
		{Name: "Unary", MaxMessage: max, Handle: func(s *rpc.Stream) error {
			var in wrapperspb.BytesValue
			if err := s.Recv(&in); err != nil {
				return err
			}
			return s.SendMsg(&in)
		}},
		{Name: "Count", Stream: true, Handle: func(s *rpc.Stream) error {
			var n int64
			for {
				_, err := s.Next() // a message that nobody reads is skipped
				if err == io.EOF {
					return s.SendMsg(wrapperspb.Int64(n))
				}
				if err != nil {
					return err
				}
				n++
			}
		}},
	}}
}

// TestUnary sends messages of many sizes in each encoding.
func TestUnary(t *testing.T) {
	conn, _ := serve(t, access.LogsWrite, echo(80<<20))
	for _, size := range []int{0, 1, 70 << 10} {
		in := wrapperspb.Bytes(bytes.Repeat([]byte("abcdefg"), size/7+1)[:size])
		for _, opt := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}, {grpc.UseCompressor("zstd")}} {
			var out wrapperspb.BytesValue
			opt = append(opt, grpc.MaxCallRecvMsgSize(100<<20))
			if err := conn.Invoke(as(t, token), "/test.Echo/Unary", in, &out, opt...); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if !bytes.Equal(in.Value, out.Value) {
				t.Errorf("%d bytes come back as %d", size, len(out.Value))
			}
		}
	}
}

// TestLargeMessages takes 65 MiB at once; the library's own limit is 4.
func TestLargeMessages(t *testing.T) {
	got := int64(0)
	conn, _ := serve(t, access.LogsWrite, rpc.Service{Name: "test.Large", Methods: []rpc.Method{{Name: "Take", MaxMessage: 80 << 20, Handle: func(s *rpc.Stream) error {
		m, err := s.Next()
		if err != nil {
			return err
		}
		if got, err = io.Copy(io.Discard, m.Body); err != nil {
			return err
		}
		return s.Send(nil)
	}}}})
	err := conn.Invoke(as(t, token), "/test.Large/Take", wrapperspb.Bytes(make([]byte, 65<<20)), new(wrapperspb.BytesValue))
	if err != nil || got < 65<<20 {
		t.Errorf("%d bytes, %v", got, err)
	}
}

// TestFailures checks the code of every kind of failure, and what goes with it.
func TestFailures(t *testing.T) {
	var answer error
	fails := rpc.Method{Name: "Fail", Handle: func(*rpc.Stream) error { return answer }}
	late := rpc.Method{Name: "Late", Stream: true, Handle: func(s *rpc.Stream) error {
		if err := s.SendMsg(wrapperspb.Int64(1)); err != nil {
			return err
		}
		return answer
	}}
	var failed []error
	svc := func(name string, intake bool) rpc.Service {
		return rpc.Service{Name: name, Intake: intake, Methods: []rpc.Method{fails, late}, Failed: func(err error) { failed = append(failed, err) }}
	}
	conn, _ := serve(t, access.LogsWrite, svc("door", false), svc("intake", true))
	for _, c := range []struct {
		err          error
		door, intake codes.Code
	}{
		{fault.Errorf(fault.Invalid, "bad 100%% é"), codes.InvalidArgument, codes.InvalidArgument},
		{fault.Errorf(fault.TooLarge, "x"), codes.ResourceExhausted, codes.ResourceExhausted},
		{fault.Errorf(fault.NotFound, "x"), codes.NotFound, codes.NotFound},
		{fault.Errorf(fault.Denied, "x"), codes.PermissionDenied, codes.PermissionDenied},
		{fault.Errorf(fault.Overload, "x"), codes.Unavailable, codes.Unavailable},
		{fault.Errorf(fault.Unavailable, "x"), codes.Unavailable, codes.Unavailable},
		{fault.Errorf(fault.Corrupt, "secret"), codes.DataLoss, codes.Unavailable},
		{errors.New("secret"), codes.Internal, codes.Unavailable},
		{status.Error(codes.Aborted, "x"), codes.Aborted, codes.Unavailable},
		{rpc.WithCode(codes.OutOfRange, errors.New("x")), codes.OutOfRange, codes.OutOfRange},
	} {
		answer = c.err
		for service, want := range map[string]codes.Code{"door": c.door, "intake": c.intake} {
			failed = nil
			err := conn.Invoke(as(t, token), "/"+service+"/Fail", wrapperspb.Int64(1), new(wrapperspb.Int64Value))
			st := status.Convert(err)
			if st.Code() != want {
				t.Errorf("%s: %v is %v, not %v", service, c.err, err, want)
			}
			if want == codes.InvalidArgument && st.Message() != "bad 100% é" {
				t.Errorf("message %q", st.Message())
			}
			if strings.Contains(st.Message(), "secret") && !fault.Is(c.err, fault.Corrupt) {
				t.Errorf("%s tells of our inside: %v", service, err)
			}
			if len(failed) != 1 {
				t.Errorf("%s: told of %v", service, failed)
			}
			retry := false
			for _, d := range st.Details() {
				info, ok := d.(*errdetails.RetryInfo)
				retry = ok && info.GetRetryDelay().AsDuration() > 0
			}
			if retry != (want == codes.Unavailable) {
				t.Errorf("%s: %v with RetryInfo %v", service, st.Code(), retry)
			}
			stream, err := conn.NewStream(as(t, token), &grpc.StreamDesc{ServerStreams: true}, "/"+service+"/Late")
			if err != nil {
				t.Fatal(err)
			}
			stream.CloseSend()
			var one wrapperspb.Int64Value
			if err := stream.RecvMsg(&one); err != nil || one.Value != 1 {
				t.Errorf("first message: %v", err)
			}
			if err := stream.RecvMsg(&one); status.Code(err) != want {
				t.Errorf("%s: an answer that has begun ends with %v, not %v", service, err, want)
			}
		}
	}
}

func TestTheGateAnswersInTrailers(t *testing.T) {
	conn, _ := serve(t, access.LogsWrite, echo(1<<10))
	big := wrapperspb.Bytes(make([]byte, 2<<10))
	for _, c := range []struct {
		credential, method string
		in                 proto.Message
		want               codes.Code
	}{
		{"", "/test.Echo/Unary", wrapperspb.Bytes(nil), codes.Unauthenticated},
		{"wrong", "/test.Echo/Unary", wrapperspb.Bytes(nil), codes.Unauthenticated},
		{"", "/test.Echo/Nothing", wrapperspb.Bytes(nil), codes.Unauthenticated}, // learns nothing of what exists
		{token, "/test.Echo/Nothing", wrapperspb.Bytes(nil), codes.Unimplemented},
		{token, "/test.Nothing/Unary", wrapperspb.Bytes(nil), codes.Unimplemented},
		{token, "/test.Echo/Unary", big, codes.ResourceExhausted},
		{token, "/test.Echo/Unary", wrapperspb.String("\xc3\x28"[:0]), codes.OK},
	} {
		err := conn.Invoke(as(t, c.credential), c.method, c.in, new(wrapperspb.BytesValue))
		if status.Code(err) != c.want {
			t.Errorf("%s as %q: %v, not %v", c.method, c.credential, err, c.want)
		}
	}
	// A message that is small on the wire and large in memory.
	err := conn.Invoke(as(t, token), "/test.Echo/Unary", big, new(wrapperspb.BytesValue), grpc.UseCompressor(gzip.Name))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("bomb: %v", err)
	}
}

func TestStreamsCountAndEndAtDrain(t *testing.T) {
	conn, stop := serve(t, access.LogsWrite, echo(0))
	open := func() grpc.ClientStream {
		s, err := conn.NewStream(as(t, token), &grpc.StreamDesc{ClientStreams: true}, "/test.Echo/Count")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for range 1000 {
		if err := s.SendMsg(wrapperspb.String("skipped")); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseSend()
	var n wrapperspb.Int64Value
	if err := s.RecvMsg(&n); err != nil || n.Value != 1000 {
		t.Errorf("%d messages: %v", n.Value, err)
	}
	s = open()
	if err := s.SendMsg(wrapperspb.String("one")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.RecvMsg(&n) }()
	stop()
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("at drain a stream ends with %v", err)
	}
}

func TestDeadlineOfTheCaller(t *testing.T) {
	conn, _ := serve(t, access.LogsWrite, rpc.Service{Name: "test.Wait", Methods: []rpc.Method{{Name: "Wait", Handle: func(s *rpc.Stream) error {
		<-s.Context().Done()
		return s.Context().Err()
	}}}})
	ctx, cancel := context.WithTimeout(as(t, token), 50*time.Millisecond)
	defer cancel()
	err := conn.Invoke(ctx, "/test.Wait/Wait", wrapperspb.Bytes(nil), new(wrapperspb.BytesValue))
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
}

func TestHealth(t *testing.T) {
	conn, stop := serve(t, access.Public, rpc.Health("hubble.server.Observer"))
	c := grpc_health_v1.NewHealthClient(conn)
	for _, name := range []string{"", "hubble.server.Observer"} {
		got, err := c.Check(as(t, ""), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil || got.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := c.Check(as(t, ""), &grpc_health_v1.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
	w, err := c.Watch(as(t, ""), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Recv(); err != nil || got.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("watch: %v, %v", got, err)
	}
	stop()
	if _, err := w.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("watch at drain: %v", err)
	}
}

func TestNames(t *testing.T) {
	routes := append(rpc.Routes(access.LogsWrite, echo(0), rpc.Health()), httpd.Route{Pattern: "POST /v1/logs"})
	if got := strings.Join(rpc.Names(routes), " "); got != "test.Echo grpc.health.v1.Health" {
		t.Errorf("%q", got)
	}
}

func TestGenerated(t *testing.T) {
	impl := unhealthy{}
	conn, _ := serve(t, access.LogsRead, rpc.Generated(&grpc_health_v1.Health_ServiceDesc, impl, 0))
	c := grpc_health_v1.NewHealthClient(conn)
	got, err := c.Check(as(t, token), &grpc_health_v1.HealthCheckRequest{Service: "a"})
	if err != nil || got.Status != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v, %v", got, err)
	}
	w, err := c.Watch(as(t, token), &grpc_health_v1.HealthCheckRequest{Service: "a"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		if _, err = w.Recv(); err != nil {
			break
		}
		n++
	}
	if n != 3 || status.Code(err) != codes.Aborted {
		t.Errorf("%d messages, then %v", n, err)
	}
}

type unhealthy struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (unhealthy) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
}

func (unhealthy) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc_health_v1.Health_WatchServer) error {
	for range 3 {
		if err := s.Send(&grpc_health_v1.HealthCheckResponse{}); err != nil {
			return err
		}
	}
	return status.Error(codes.Aborted, "enough")
}

func TestNotGRPC(t *testing.T) {
	routes := rpc.Routes(access.Public, echo(0))
	k := identity.New(nil)
	s, err := httpd.New(httpd.Options{Config: httpd.DefaultConfig(), Keeper: k, Routes: routes, Unknown: rpc.Unknown})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind string
		want int
	}{{"application/json", http.StatusUnsupportedMediaType}, {"application/grpc", http.StatusHTTPVersionNotSupported}, {"application/grpc-web", http.StatusUnsupportedMediaType}} {
		if got := call(s.Handler(), c.kind); got != c.want {
			t.Errorf("%s over HTTP/1.1: %d, not %d", c.kind, got, c.want)
		}
	}
}

func call(h http.Handler, kind string) int {
	r, _ := http.NewRequest(http.MethodPost, "/test.Echo/Unary", strings.NewReader("{}"))
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
