package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened returns a whole server over a new data folder, without a listener.
func opened(t *testing.T) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Init(t.Context(), dir, "test"); err != nil {
		t.Fatal(err)
	}
	return reopened(t, dir)
}

func reopened(t *testing.T, dir string) *server { return configured(t, dir, config.Default()) }

func configured(t *testing.T, dir string, cfg *config.Config) *server {
	t.Helper()
	s, err := open(t.Context(), ServeOptions{Data: dir, Version: "test"}, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// asked sends one request past the listener.
func (s *server) asked(ctx context.Context, method, path, credential, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	asks++
	r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1", asks/250, asks%250) // no limiter between tests of one table
	w := httptest.NewRecorder()
	s.http.Handler().ServeHTTP(w, r)
	return w
}

var asks int // requests so far, of all tests: they do not run in parallel

func TestInitRefusesAFolderWithAHistory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	made, err := Init(t.Context(), dir, "test")
	if err != nil || made.LogKey == "" || made.Token == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	before := tree(t, dir)
	if _, err := Init(t.Context(), dir, "test"); !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("second Init: %v", err)
	}
	if after := tree(t, dir); after != before {
		t.Errorf("a refused Init changed the folder:\n%s\n%s", before, after)
	}
	for name, mode := range map[string]os.FileMode{"admin.token": 0o600, "keys/root.key": 0o600} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if _, err := Init(t.Context(), "", "test"); !fault.Is(err, fault.Invalid) {
		t.Errorf("Init without a folder: %v", err)
	}
}

// tree lists the files of a folder with their sizes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(p string, st os.FileInfo, err error) error {
		if err == nil && !st.IsDir() {
			fmt.Fprintf(&b, "%s %d\n", p, st.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestServeOnlyOpens(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "nothing")} {
		err := Serve(t.Context(), ServeOptions{Data: dir, Err: io.Discard})
		if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), "meshtrail init") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if got := tree(t, empty); got != "" {
		t.Errorf("serve made files:\n%s", got)
	}
	s := opened(t)
	if err := Serve(t.Context(), ServeOptions{Data: s.o.Data, Err: io.Discard}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second server on one folder: %v", err)
	}
}

func TestServeRefusesPlainHTTPBeyondLoopback(t *testing.T) {
	err := Serve(t.Context(), ServeOptions{Data: t.TempDir(), Listen: "0.0.0.0:0", Err: io.Discard})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("%v", err)
	}
}

// TestEveryRouteAsksForACredential holds every route of the real server against
// no, a wrong and the right credential.
func TestEveryRouteAsksForACredential(t *testing.T) {
	s := opened(t)
	routes := s.routes
	if len(routes) < 40 {
		t.Fatalf("only %d routes", len(routes))
	}
	public := map[string]bool{
		"GET /healthz": true, "GET /readyz": true,
		// Splunk's clients ask for them without a token; the answers are constants.
		"GET /services/collector/health": true, "GET /services/collector/health/1.0": true,
		"OPTIONS /services/collector/event": true, "OPTIONS /services/collector/event/1.0": true,
		// Jaeger's clients ask without a credential how to sample; all are told the same.
		"GET /sampling": true, "GET /api/sampling": true, "GET /jaeger/api/sampling": true, "POST /jaeger.api_v2.SamplingManager/GetSamplingStrategy": true,
		"POST /grpc.health.v1.Health/Check": true, "POST /grpc.health.v1.Health/Watch": true,
	}
	for _, r := range routes {
		method, path, _ := strings.Cut(r.Pattern, " ")
		path = strings.ReplaceAll(path, "{$}", "")
		for _, name := range []string{"{index}", "{name}", "{metric}", "{id}", "{fields}", "{verb}", "{what}", "{namespace}", "{group}", "{track}", "{service}"} {
			path = strings.ReplaceAll(path, name, "x")
		}
		// Loki's writes that this server refuses to everyone, as a Loki does that
		// has no ruler and no deletion.
		never := method != "GET" && (strings.Contains(path, "/rules") || strings.HasSuffix(path, "/api/v1/delete"))
		if strings.Contains(path, "{") {
			t.Errorf("%s: the test knows no value for its parts", r.Pattern)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if r.Stream {
			cancel() // a tail never ends by itself
		}
		if r.Need == access.Reveal {
			cancel()
			continue // the one permission that the administrator lacks: see TestRolesAtEveryRoute
		}
		open := r.Need == access.Public
		if open != (public[r.Pattern] || strings.HasPrefix(path, "/assets/")) {
			t.Errorf("%s needs %s", r.Pattern, r.Need)
		}
		for cred, right := range map[string]bool{"": false, "mt_wrong": false, s.token: true} {
			w := askedSafely(s, ctx, method, path, cred)
			rpc := w.Header().Get("Grpc-Status") // 16 UNAUTHENTICATED, 7 PERMISSION_DENIED
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden || rpc == "16" || rpc == "7"
			if right && never {
				refused = w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "hint: ")
			}
			if refused == (open || right) {
				t.Errorf("%s with credential %v: %d %s", r.Pattern, right, w.Code, w.Body)
			}
		}
		cancel()
	}
}

// askedSafely survives a handler that aborts its connection.
func askedSafely(s *server, ctx context.Context, method, path, cred string) (w *httptest.ResponseRecorder) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		} else if p != nil {
			w = httptest.NewRecorder()
		}
	}()
	return s.asked(ctx, method, path, cred, "")
}

// TestOpenAPIDescribesEveryRoute compares the description with the routes.
func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	s := opened(t)
	w := s.asked(t.Context(), "GET", "/api/openapi.json", s.token, "")
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("%v", err)
	}
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for m := range methods {
			described[strings.ToUpper(m)+" "+path] = true
		}
	}
	for _, r := range s.routes {
		if _, path, _ := strings.Cut(r.Pattern, " "); !strings.HasPrefix(path, "/api/v1/") || path == "/api/v1/validate" || path == "/api/v1/spans" {
			continue // dialects are described by their own projects
		}
		if !described[r.Pattern] {
			t.Errorf("%s is not described", r.Pattern)
		}
	}
	known := map[string]bool{}
	for _, r := range s.routes {
		known[r.Pattern] = true
	}
	for d := range described {
		if !known[d] {
			t.Errorf("%s is described and does not exist", d)
		}
	}
}

func TestTheRootIsAPageForPeopleAndElasticForPrograms(t *testing.T) {
	s := opened(t)
	if w := s.asked(t.Context(), "GET", "/", "", "", "Accept", "text/html"); w.Code != 200 || !strings.Contains(w.Body.String(), "<!doctype html>") {
		t.Errorf("page: %d %.100s", w.Code, w.Body)
	}
	if w := s.asked(t.Context(), "GET", "/", s.token, "", "Accept", "application/json"); w.Code != 200 || !strings.Contains(w.Body.String(), "You Know, for Search") {
		t.Errorf("elastic: %d %.100s", w.Code, w.Body)
	}
}

// TestARecordGoesAllTheWay sends a record in, finds it, seals, restarts, finds
// it again, and verifies the folder.
func TestARecordGoesAllTheWay(t *testing.T) {
	s := opened(t)
	body := `{"create":{"_index":"logs"}}` + "\n" + `{"@timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `","message":"needle one"}` + "\n"
	w := s.asked(t.Context(), "POST", "/_bulk", s.token, body, "Content-Type", "application/x-ndjson")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"errors":false`) {
		t.Fatalf("bulk: %d %s", w.Code, w.Body)
	}
	find := func(s *server) {
		t.Helper()
		w := s.asked(t.Context(), "GET", "/loki/api/v1/query_range?query=%7B%7D+%7C%3D+%22needle%22&limit=10", s.token, "")
		if w.Code != 200 || strings.Count(w.Body.String(), "needle one") != 1 {
			t.Errorf("query: %d %s", w.Code, w.Body)
		}
	}
	find(s)
	if w := s.asked(t.Context(), "POST", "/api/v1/seal", s.token, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"sealed":true`) {
		t.Errorf("seal: %d %s", w.Code, w.Body)
	}
	find(s)
	w = s.asked(t.Context(), "GET", "/api/v1/sources", s.token, "")
	var sources struct {
		Sources []struct {
			Source           string
			Received, Stored uint64
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &sources); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, src := range sources.Sources {
		got[src.Source] = src.Stored
	}
	if got["elastic/admin"] != 1 || got["meshtrail.audit"] < 3 {
		t.Errorf("sources: %s", w.Body)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	again := reopened(t, s.o.Data)
	find(again)
	folder, err := vfs.Dir(s.o.Data)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Folder(t.Context(), folder, verify.Options{})
	if err != nil || report.Verdict != verify.Verified {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestServeRunsAndEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Init(t.Context(), dir, "test"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan string, 1)
	done := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		done <- Serve(ctx, ServeOptions{Data: dir, Listen: "127.0.0.1:0", Err: &log, Ready: func(url, _ string) { ready <- url }})
	}()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	select {
	case url := <-ready:
		resp, err := (&http.Client{Transport: tr}).Get(url + "/readyz")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%v, %v", resp, err)
		}
		resp.Body.Close()
	case err := <-done:
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}

func TestAFatalRoomEndsTheProcess(t *testing.T) {
	s := opened(t)
	s.cfg.Server.Listen = "127.0.0.1:0"
	var err error
	if s.http, err = httpd.New(httpd.Options{Config: s.cfg.Server, Keeper: s.keeper}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.http.Listen(); err != nil {
		t.Fatal(err)
	}
	rooms := s.closes
	s.die(fault.Errorf(fault.Internal, "sync failed"))
	if err := s.run(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "sync failed") {
		t.Errorf("%v", err)
	}
	s.closes = rooms
}
