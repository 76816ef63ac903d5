package rpc

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
)

// TestASlowMessageEndsItsStream begins a message and stops there.
func TestASlowMessageEndsItsStream(t *testing.T) {
	before := messageTimeout
	messageTimeout = 50 * time.Millisecond
	defer func() { messageTimeout = before }()
	ended := make(chan error, 1)
	route := Routes(access.Public, Service{Name: "test.Slow", Methods: []Method{{Name: "Take", Stream: true, Handle: func(s *Stream) error {
		for {
			m, err := s.Next()
			if err == nil {
				_, err = io.Copy(io.Discard, m.Body)
			}
			if err != nil {
				ended <- err
				return err
			}
		}
	}}}})[0]
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := route.Handle(w, r); err != nil {
			route.Fail(w, r, err)
		}
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	body, in := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/test.Slow/Take", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	tr := &http.Transport{Protocols: srv.Config.Protocols}
	defer tr.CloseIdleConnections()
	go func() {
		in.Write([]byte{0, 0, 0, 0, 1, 'x'}) // a whole one first
		in.Write([]byte{0, 0, 0, 0, 9, 'x'})
	}()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	in.Close()
	if err := <-ended; err == nil || fault.Is(err, fault.Invalid) || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
}
