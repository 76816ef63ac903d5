package httpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// TestStreamsEndWithTheirCredential: a token that is withdrawn, or given another
// role, does not go on for as long as its holder keeps a request open.
func TestStreamsEndWithTheirCredential(t *testing.T) {
	defer func(d time.Duration) { recheckEvery = d }(recheckEvery)
	recheckEvery = 5 * time.Millisecond
	begun, ended := make(chan bool), make(chan error)
	o := options(Route{Pattern: "GET /tail", Need: access.LogsRead, Stream: true, Handle: func(_ http.ResponseWriter, r *http.Request) error {
		begun <- true
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		return nil
	}})
	s := newServer(t, o)
	start(t, s)
	for _, c := range []struct {
		now  *identity.Keeper
		want fault.Kind
	}{
		{identity.New(nil), fault.Unauthenticated},
		{keeper(identity.SenderRole), fault.Denied},
	} {
		o.Keeper.Replace(keeper(identity.ReaderRole))
		r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/tail", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		go func() {
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
			}
		}()
		<-begun
		o.Keeper.Replace(keeper(identity.ReaderRole)) // read again, and the same
		select {
		case err := <-ended:
			t.Fatalf("the stream of a good token ends: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		o.Keeper.Replace(c.now)
		select {
		case err := <-ended:
			if !fault.Is(err, c.want) {
				t.Errorf("it ends with %v, want %v", err, c.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the stream goes on")
		}
	}
}

// TestAuthoritiesAreAskedAgain: a connection that stays open is no way around an
// authority that was withdrawn.
func TestAuthoritiesAreAskedAgain(t *testing.T) {
	dir := t.TempDir()
	authority := func(name string) *tls.Certificate {
		return pair(t, dir, name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: name}}, nil)
	}
	ca := authority("ca")
	authority("other")
	pair(t, dir, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, ca)
	client := pair(t, dir, "client", &x509.Certificate{Subject: pkix.Name{CommonName: "shipper"}}, ca)
	file := func(name string) string { return filepath.Join(dir, name) }
	pem := func(name string) []byte {
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	k := identity.New(time.Now)
	k.Add(token, identity.Identity{Name: "t", Tenant: "shop", Role: identity.SenderRole})
	k.AddCertificate("shipper", identity.Identity{Name: "c", Tenant: "shop", Role: identity.SenderRole})
	o := options(Route{Pattern: "GET /who", Need: access.LogsWrite, Handle: func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, PrincipalFrom(r.Context()).Name)
		return err
	}})
	o.Keeper, o.TLSCert, o.TLSKey, o.ClientCA = k, file("server.pem"), file("server.key"), file("authorities.pem")
	both, mine, theirs := append(bytes.Clone(pem("ca.pem")), pem("other.pem")...), pem("ca.pem"), pem("other.pem")
	os.WriteFile(o.ClientCA, mine, 0o600)
	s := newServer(t, o)
	start(t, s)
	dials := 0
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*client}},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	defer tr.CloseIdleConnections()
	ask := func(token string) string {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/who", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return string(body)
	}
	for _, step := range []struct {
		authorities []byte
		token, want string
	}{
		{mine, "", "c"}, {both, "", "c"}, {theirs, "", "401 Unauthorized"}, {theirs, token, "t"}, {mine, "", "c"},
	} {
		os.WriteFile(o.ClientCA, step.authorities, 0o600)
		if err := s.ReloadTLS(); err != nil {
			t.Fatal(err)
		}
		if got := ask(step.token); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections: nothing was tried", dials)
	}
}
