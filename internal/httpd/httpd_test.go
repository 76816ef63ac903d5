package httpd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "mt_test"

// acts collects what was put on record.
type acts struct {
	mu  sync.Mutex
	got []audit.Act
	err error
}

func (a *acts) Record(_ context.Context, act audit.Act) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, act)
	return a.err
}

func keeper(role string) *identity.Keeper {
	k := identity.New(nil)
	k.Add(token, identity.Identity{Name: "admin", Tenant: identity.DefaultTenant, Role: role})
	return k
}

func options(routes ...Route) Options {
	c := DefaultConfig()
	c.Listen = "127.0.0.1:0"
	return Options{Config: c, Keeper: keeper(identity.Administrator), Routes: routes}
}

func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func say(text string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func ask(s *Server, method, target, credential string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestRouteMustDeclareWhatItNeeds(t *testing.T) {
	for name, route := range map[string]Route{
		"no permission":      {Pattern: "GET /a", Handle: say("x")},
		"unknown permission": {Pattern: "GET /a", Need: "Admin", Handle: say("x")},
		"no handler":         {Pattern: "GET /a", Need: access.Admin},
		"bad pattern":        {Pattern: "GET a", Need: access.Admin, Handle: say("x")},
		"conflict":           {Pattern: "GET /b", Need: access.Admin, Handle: say("x")},
		"HEAD for everybody": {Pattern: "GET /a", Need: access.Admin, Handle: say("x"), Head: &Route{Need: access.Public, Handle: say("x")}},
		"HEAD unhandled":     {Pattern: "GET /a", Need: access.Admin, Handle: say("x"), Head: &Route{Need: access.LogsWrite}},
	} {
		o := options(Route{Pattern: "GET /b", Need: access.Public, Handle: say("x")}, route)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), route.Pattern) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAuthorisationMatrix asks every kind of route with every kind of
// credential.
func TestAuthorisationMatrix(t *testing.T) {
	needs := []access.Permission{access.Public, access.LogsWrite, access.LogsRead, access.AuditRead, access.Evidence, access.Metrics, access.Admin}
	var routes []Route
	for _, n := range needs {
		routes = append(routes, Route{Pattern: "GET /" + string(n), Need: n, Handle: say("secret")})
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+token))
	credentials := map[string]bool{
		"": false, "Bearer": false, "Bearer wrong": false, "Bearer " + token + "x": false, "Bearer " + token[:4]: false, "Digest " + token: false,
		"Bearer " + token: true, basic: true, "ApiKey " + token: true, "Splunk " + token: true,
	}
	for _, role := range []string{identity.Administrator, "nobody"} {
		for cred, right := range credentials {
			for _, n := range append(needs, "unknown-path") {
				o := options(routes...)
				o.Keeper = keeper(role)
				w := ask(newServer(t, o), "GET", "/"+string(n), cred, nil)
				want := 200
				switch {
				case n == access.Public:
				case !right:
					want = 401
				case role != identity.Administrator:
					want = 403
				case n == "unknown-path":
					want = 404
				}
				if w.Code != want || (want != 200 && strings.Contains(w.Body.String(), "secret")) {
					t.Errorf("%s with %q as %s: %d %s, want %d", n, cred, role, w.Code, w.Body, want)
				}
				if want == 401 && w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s: 401 without WWW-Authenticate", n)
				}
			}
		}
	}
}

func TestUnknownPathsTellNothingWithoutACredential(t *testing.T) {
	s := newServer(t, options(Route{Pattern: "GET /a/{x}/b", Need: access.Admin, Handle: say("x")}))
	for _, c := range []struct{ method, path string }{
		{"GET", "/zzz"}, {"POST", "/a/1/b"}, {"GET", "//a/1/b"}, {"GET", "/a/../a/1/b"}, {"GET", "/a/%2e%2e/b"},
		{"GET", "/"}, {"OPTIONS", "/a/1/b"}, {"CONNECT", "/a/1/b"}, {"GET", "/a//b"}, {"GET", "/a/1/b/"},
	} {
		if w := ask(s, c.method, c.path, "", nil); w.Code != 401 {
			t.Errorf("%s %s without a credential: %d", c.method, c.path, w.Code)
		}
		if w := ask(s, c.method, c.path, "Bearer "+token, nil); w.Code != 404 {
			t.Errorf("%s %s with a credential: %d", c.method, c.path, w.Code)
		}
	}
	if w := ask(s, "GET", "/a/1/b", "Bearer "+token, nil); w.Code != 200 {
		t.Errorf("the route itself: %d", w.Code)
	}
}

func TestOptionsStarNeedsACredential(t *testing.T) {
	addr := start(t, newServer(t, options())).String()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got, _ := io.ReadAll(c); !bytes.HasPrefix(got, []byte("HTTP/1.1 401 ")) {
		t.Errorf("OPTIONS * without a credential: %.60q", got)
	}
}

func TestHeadOfASender(t *testing.T) {
	answer := func(code int) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			if PrincipalFrom(r.Context()) == nil {
				t.Error("nobody asks")
			}
			w.WriteHeader(code)
			return nil
		}
	}
	route := Route{Pattern: "GET /{x}", Need: access.LogsRead, Handle: answer(200), Head: &Route{Need: access.LogsWrite, Handle: answer(204)}}
	beside := Route{Pattern: "GET /beside", Need: access.Metrics, Handle: answer(200)} // its pattern would be in conflict with HEAD /{x}
	for role, want := range map[string][3]int{
		identity.SenderRole: {204, 403, 403}, identity.ReaderRole: {200, 200, 403}, identity.MonitorRole: {403, 403, 200}, identity.Administrator: {200, 200, 200},
	} {
		o := options(route, beside)
		o.Keeper = keeper(role)
		s := newServer(t, o)
		got := [3]int{ask(s, "HEAD", "/a", "Bearer "+token, nil).Code, ask(s, "GET", "/a", "Bearer "+token, nil).Code, ask(s, "HEAD", "/beside", "Bearer "+token, nil).Code}
		if got != want {
			t.Errorf("%s: %v, want %v", role, got, want)
		}
		if code := ask(s, "HEAD", "/a", "", nil).Code; code != 401 {
			t.Errorf("without a credential: %d", code)
		}
	}
}

func TestAPageSharesItsPathWithAnAPI(t *testing.T) {
	s := newServer(t, options(Route{Pattern: "GET /{$}", Need: access.LogsRead, Handle: say("api"), Page: say("page")}))
	for _, c := range []struct {
		accept, credential, want string
		code                     int
	}{
		{"text/html,application/xhtml+xml", "", "page", 200},
		{"text/html", "Bearer " + token, "api", 200},
		{"text/html", "Bearer wrong", "unauthenticated", 401},
		{"application/json", "", "unauthenticated", 401},
		{"", "Bearer " + token, "api", 200},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", c.accept)
		if c.credential != "" {
			r.Header.Set("Authorization", c.credential)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}

func TestErrorsAreJSONWithHintAndRequestID(t *testing.T) {
	boom := fault.WithHint(fault.Errorf(fault.Invalid, "query is wrong"), "write it right")
	s := newServer(t, options(
		Route{Pattern: "GET /bad", Need: access.Public, Handle: func(http.ResponseWriter, *http.Request) error { return boom }},
		Route{Pattern: "GET /bug", Need: access.Public, Handle: func(http.ResponseWriter, *http.Request) error { return errors.New("inside") }},
		Route{Pattern: "GET /busy", Need: access.Public, Handle: func(http.ResponseWriter, *http.Request) error { return fault.Errorf(fault.Overload, "full") }},
		Route{Pattern: "GET /own", Need: access.LogsRead, Handle: say(""), Fail: func(w http.ResponseWriter, r *http.Request, err error) {
			w.WriteHeader(418)
			io.WriteString(w, "own form")
		}},
	))
	w := ask(s, "GET", "/bad", "", nil)
	var e ErrorBody
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if w.Code != 400 || e.Error.Kind != "invalid" || e.Error.Message != "query is wrong" || e.Error.Hint != "write it right" ||
		e.Error.RequestID == "" || e.Error.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("%d %+v", w.Code, e)
	}
	if w := ask(s, "GET", "/bug", "", nil); w.Code != 500 || strings.Contains(w.Body.String(), "inside") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(s, "GET", "/busy", "", nil); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask(s, "GET", "/own", "", nil); w.Code != 418 || w.Body.String() != "own form" {
		t.Errorf("authentication errors are not in the route's own form: %d %s", w.Code, w.Body)
	}
}

func TestPanicIsOne500(t *testing.T) {
	var logged bytes.Buffer
	o := options(Route{Pattern: "GET /panic", Need: access.Public, Handle: func(http.ResponseWriter, *http.Request) error { panic("secret detail") }})
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	o.Metrics = telemetry.New()
	s := newServer(t, o)
	w := ask(s, "GET", "/panic", "", nil)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(logged.String(), "secret detail") || !strings.Contains(logged.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("log: %s", logged.String())
	}
	m := httptest.NewRecorder()
	o.Metrics.Handler().ServeHTTP(m, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"meshtrail_http_panics_total 1", `meshtrail_http_requests_total{code="500",route="GET /panic"} 1`} {
		if !strings.Contains(m.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) error {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return err
		}
		fmt.Fprint(w, n)
		return nil
	}
	s := newServer(t, options(
		Route{Pattern: "POST /small", Need: access.Public, MaxBody: 10, Handle: read},
		Route{Pattern: "POST /default", Need: access.Public, Handle: read},
	))
	if w := ask(s, "POST", "/small", "", strings.NewReader("0123456789")); w.Code != 200 || w.Body.String() != "10" {
		t.Errorf("exactly the limit: %d %s", w.Code, w.Body)
	}
	if w := ask(s, "POST", "/small", "", strings.NewReader("0123456789a")); w.Code != 413 {
		t.Errorf("declared one too many: %d", w.Code)
	}
	chunked := struct{ io.Reader }{strings.NewReader("0123456789a")} // hides its length
	if w := ask(s, "POST", "/small", "", chunked); w.Code != 413 {
		t.Errorf("undeclared one too many: %d", w.Code)
	}
	if w := ask(s, "POST", "/default", "", strings.NewReader(strings.Repeat("x", defaultMaxBody+1))); w.Code != 413 {
		t.Errorf("beyond the default: %d", w.Code)
	}
}

func TestRefusalsAreOnRecordWithoutSecrets(t *testing.T) {
	a := &acts{}
	o := options(Route{Pattern: "GET /a", Need: access.Admin, Handle: say("x")})
	o.Audit = a
	s := newServer(t, o)
	ask(s, "GET", "/a?q=canary", "", nil)
	if len(a.got) != 0 {
		t.Errorf("a request without any credential is on record: %+v", a.got)
	}
	ask(s, "GET", "/a?q=canary", "Bearer canary", nil)
	if len(a.got) != 1 || a.got[0].Action != "authenticate" || a.got[0].Outcome != audit.Denied || a.got[0].Remote == "" {
		t.Fatalf("%+v", a.got)
	}
	if strings.Contains(fmt.Sprint(a.got), "canary") {
		t.Errorf("a credential or query string is on record: %+v", a.got)
	}
	for range 100 {
		ask(s, "GET", "/a", "Bearer wrong", nil)
	}
	if len(a.got) != identity.Burst {
		t.Errorf("%d refusals of one address on record, want %d", len(a.got), identity.Burst)
	}
	a.err = fault.Errorf(fault.Unavailable, "no disk")
	o.Keeper = keeper("nobody")
	if w := ask(newServer(t, o), "GET", "/a", "Bearer wrong", nil); w.Code != 401 {
		t.Errorf("a refusal that cannot be recorded: %d", w.Code)
	}
}

func TestAccessLogHoldsNoQueryString(t *testing.T) {
	var logged bytes.Buffer
	o := options(Route{Pattern: "GET /a", Need: access.Public, Handle: say("x")})
	o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ask(newServer(t, o), "GET", "/a?token=canary", "Bearer canary", nil)
	if !strings.Contains(logged.String(), "path=/a") || strings.Contains(logged.String(), "canary") {
		t.Errorf("log: %s", logged.String())
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	s := newServer(t, options(Route{Pattern: "GET /a", Need: access.Public, Handle: say("x")}))
	for _, path := range []string{"/a", "/nothing"} {
		h := ask(s, "GET", path, "", nil).Header()
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "X-Request-Id"} {
			if h.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
		if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
	}
}

func TestListenBeyondLoopbackNeedsTLS(t *testing.T) {
	for listen, ok := range map[string]bool{
		"127.0.0.1:0": true, "127.8.9.1:80": true, "[::1]:0": true, "localhost:0": true, "[::ffff:127.0.0.1]:0": true, "[::1%lo]:0": true,
		":0": false, "0.0.0.0:0": false, "[::]:0": false, "10.0.0.1:0": false, "localhost.example.com:0": false, "example.com:0": false,
		"128.0.0.1:0": false, "127.0.0.1": false, "": false,
	} {
		c := DefaultConfig()
		c.Listen = listen
		err := c.Validate()
		if (err == nil) != ok {
			t.Errorf("%q: %v", listen, err)
		}
		if err != nil && fault.HintOf(err) == "" {
			t.Errorf("%q: no hint", listen)
		}
	}
	c := DefaultConfig()
	c.Listen, c.TLSCert, c.TLSKey = ":0", "a", "b"
	if err := c.Validate(); err != nil {
		t.Errorf("with TLS: %v", err)
	}
	c.TLSKey = ""
	if err := c.Validate(); err == nil {
		t.Error("half of TLS is accepted")
	}
}

// start runs the server until the test ends.
func start(t *testing.T, s *Server) net.Addr {
	t.Helper()
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return addr
}

func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: kder}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	o := options(Route{Pattern: "GET /proto", Need: access.Public, Handle: func(w http.ResponseWriter, r *http.Request) error {
		fmt.Fprint(w, r.Proto)
		return nil
	}})
	o.TLSCert, o.TLSKey = certificate(t, dir)
	s := newServer(t, o)
	addr := start(t, s).String()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(s.URL() + "/proto")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "HTTP/2.0" || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s, %v", body, resp.Header)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	serial := func() *big.Int {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber
	}
	before := serial()
	certificate(t, dir)
	if err := s.ReloadTLS(); err != nil || serial().Cmp(before) == 0 {
		t.Errorf("reload: %v", err)
	}
	before = serial()
	os.WriteFile(o.TLSCert, []byte("junk"), 0o600)
	if err := s.ReloadTLS(); err == nil || serial().Cmp(before) != 0 {
		t.Error("a broken certificate replaced a good one")
	}
	if _, err := New(o); !fault.Is(err, fault.Invalid) {
		t.Errorf("start with a broken certificate: %v", err)
	}
}

func TestStreamsEndAtShutdownAndClientsAreFollowed(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	o := options(Route{Pattern: "GET /tail", Need: access.Public, Stream: true, Handle: func(w http.ResponseWriter, r *http.Request) error {
		io.WriteString(w, "data\n")
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		return nil
	}})
	s := newServer(t, o)
	if _, err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(s.URL() + "/tail")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-began
	cancel()
	if cause := <-ended; !fault.Is(cause, fault.Unavailable) {
		t.Errorf("cause %v", cause)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestExpectContinueAndSlowHeaders(t *testing.T) {
	o := options(Route{Pattern: "POST /in", Need: access.LogsWrite, Handle: func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(w, r.Body)
		return err
	}})
	s := newServer(t, o)
	addr := start(t, s).String()
	talk := func(cred string) string {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "POST /in HTTP/1.1\r\nHost: x\r\n%sContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", cred)
		var got bytes.Buffer
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			got.Write(buf[:n])
			if bytes.HasSuffix(got.Bytes(), []byte("100 Continue\r\n\r\n")) {
				io.WriteString(c, "body")
			}
			if err != nil {
				return got.String()
			}
		}
	}
	if got := talk("Authorization: Bearer " + token + "\r\n"); !strings.HasPrefix(got, "HTTP/1.1 100") || !strings.HasSuffix(got, "body") {
		t.Errorf("with a credential: %q", got)
	}
	if got := talk(""); !strings.HasPrefix(got, "HTTP/1.1 401") {
		t.Errorf("the body of a refused caller is asked for: %q", got)
	}
}

func TestASlowBodyIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	o := options(Route{Pattern: "POST /in", Need: access.LogsWrite, Handle: func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
		return err
	}})
	o.ReadTimeout = time.Second
	s := newServer(t, o)
	addr := start(t, s).String()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /in HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\nslow", token)
	if err := <-ended; !fault.Is(err, fault.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestHalfAnAnswerNeverLooksWhole(t *testing.T) {
	o := options(Route{Pattern: "GET /half", Need: access.Public, Handle: func(w http.ResponseWriter, r *http.Request) error {
		io.WriteString(w, "first half")
		w.(http.Flusher).Flush()
		return fault.Errorf(fault.Corrupt, "block is damaged")
	}})
	s := newServer(t, o)
	start(t, s)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(s.URL() + "/half")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the answer ended well: %q", body)
	}
}

func TestPortInUseIsExplained(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := options()
	o.Listen = l.Addr().String()
	if _, err := newServer(t, o).Listen(); !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}
