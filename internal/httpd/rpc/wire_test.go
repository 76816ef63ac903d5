package rpc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// gate returns a server as a handler: what stands on the wire can be written as
// it is.
func gate(t testing.TB, services ...rpc.Service) http.Handler {
	t.Helper()
	s, err := httpd.New(httpd.Options{Config: httpd.DefaultConfig(), Keeper: identity.New(nil), Routes: rpc.Routes(access.Public, services...), Unknown: rpc.Unknown})
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

// send sends a body as one call and returns the answer.
func send(h http.Handler, body []byte, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "/test.Echo/Unary", bytes.NewReader(body))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Content-Type", "application/grpc")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// code returns the status of an answer, wherever it stands.
func code(r *http.Response) string { return r.Header.Get("Grpc-Status") + r.Trailer.Get("Grpc-Status") }

func framed(flag byte, message []byte) []byte {
	n := len(message)
	return append([]byte{flag, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func TestFraming(t *testing.T) {
	h := gate(t, echo(1<<10))
	good, err := proto.Marshal(wrapperspb.Bytes([]byte("hello")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		body   []byte
		header []string
		want   codes.Code
	}{
		{"plain", framed(0, good), nil, codes.OK},
		{"gzip", framed(1, zipped(good)), []string{"Grpc-Encoding", "gzip"}, codes.OK},
		{"plain within a compressed call", framed(0, good), []string{"Grpc-Encoding", "gzip"}, codes.OK},
		{"no message", nil, nil, codes.InvalidArgument},
		{"half a prefix", framed(0, good)[:3], nil, codes.InvalidArgument},
		{"half a message", framed(0, good)[:8], nil, codes.InvalidArgument},
		{"half a gzip", framed(1, zipped(good)[:12]), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument},
		{"not gzip", framed(1, good), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument},
		{"compressed, by nothing", framed(1, good), nil, codes.InvalidArgument},
		{"an unknown flag", framed(7, good), nil, codes.InvalidArgument},
		{"an unknown encoding", framed(1, good), []string{"Grpc-Encoding", "br"}, codes.Unimplemented},
		{"not protobuf", framed(0, []byte{0xff, 0xff}), nil, codes.InvalidArgument},
		{"too long, it says", []byte{0, 0xff, 0xff, 0xff, 0xff}, nil, codes.ResourceExhausted},
		{"a bomb", framed(1, zipped(make([]byte, 100<<10))), []string{"Grpc-Encoding", "gzip"}, codes.ResourceExhausted},
		{"a good timeout", framed(0, good), []string{"Grpc-Timeout", "99999999H"}, codes.OK},
		{"a bad timeout", framed(0, good), []string{"Grpc-Timeout", "soon"}, codes.InvalidArgument},
		{"a long timeout", framed(0, good), []string{"Grpc-Timeout", "123456789S"}, codes.InvalidArgument},
	} {
		got := send(h, c.body, c.header...)
		if code(got) != strconv.Itoa(int(c.want)) || got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, status %q, want %v", c.name, got.StatusCode, code(got), c.want)
		}
		if e := got.Header.Get("Grpc-Accept-Encoding"); !strings.Contains(e, "zstd") {
			t.Errorf("%s: accepts %q", c.name, e)
		}
	}
	got := send(h, framed(0, []byte{0xff}))
	if bin := got.Header.Get("Grpc-Status-Details-Bin"); bin != "" { // only what asks to come again has details
		b, err := base64.RawStdEncoding.DecodeString(bin)
		var st status.Status
		if err != nil || proto.Unmarshal(b, &st) != nil || len(st.Details) > 0 {
			t.Errorf("%q", bin)
		}
	}
}

// TestOverTLS negotiates HTTP/2 as gRPC clients do.
func TestOverTLS(t *testing.T) {
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	cert := pair.TLS.Certificates[0]
	pair.Close()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := httpd.DefaultConfig()
	c.Listen, c.TLSCert, c.TLSKey = "127.0.0.1:0", filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	for name, block := range map[string]*pem.Block{c.TLSCert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, c.TLSKey: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := httpd.New(httpd.Options{Config: c, Keeper: identity.New(nil), Routes: rpc.Routes(access.Public, echo(0))})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conf, err := httpd.ClientTLS(c.TLSCert, "", "", "example.com")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	if err != nil {
		t.Fatal(err)
	}
	var out wrapperspb.BytesValue
	if err := conn.Invoke(as(t, ""), "/test.Echo/Unary", wrapperspb.Bytes([]byte("x")), &out); err != nil || string(out.Value) != "x" {
		t.Errorf("%q, %v", out.Value, err)
	}
	conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzCall(f *testing.F) {
	h := gate(f, echo(1<<10))
	good, _ := proto.Marshal(wrapperspb.Bytes([]byte("hello")))
	f.Add(framed(0, good), "")
	f.Add(framed(1, zipped(good)), "gzip")
	f.Add(append(framed(0, good), framed(0, nil)...), "zstd")
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		got := send(h, body, "Grpc-Encoding", encoding)
		if got.StatusCode != http.StatusOK || code(got) == "" || code(got) == "13" {
			t.Fatalf("%d, status %q", got.StatusCode, code(got))
		}
	})
}
