package httpd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// pair makes a certificate in dir and returns it, parsed; ca signs it, or it
// itself when that is nil.
func pair(t *testing.T, dir, name string, c *x509.Certificate, ca *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	parent, signer := c, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	os.WriteFile(filepath.Join(dir, name+".pem"), certPEM, 0o600)
	os.WriteFile(filepath.Join(dir, name+".key"), keyPEM, 0o600)
	out, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestCertificatesOnEveryAddress starts a server with TLS, an authority for
// clients and two more addresses, and asks each with and without a certificate,
// over HTTP/1.1 and HTTP/2.
func TestCertificatesOnEveryAddress(t *testing.T) {
	dir := t.TempDir()
	ca := pair(t, dir, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "ca"}}, nil)
	pair(t, dir, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, ca)
	svid, _ := url.Parse("spiffe://example.org/shipper")
	client := pair(t, dir, "client", &x509.Certificate{URIs: []*url.URL{svid}}, ca)
	other := pair(t, t.TempDir(), "other", &x509.Certificate{URIs: []*url.URL{svid}}, nil)

	keeper := identity.New(time.Now)
	keeper.Add("mt_token", identity.Identity{Name: "t", Tenant: "shop", Role: identity.SenderRole})
	keeper.AddCertificate(svid.String(), identity.Identity{Name: "c", Tenant: "shop", Role: identity.SenderRole})
	cfg := DefaultConfig()
	cfg.Listen, cfg.Also = "127.0.0.1:0", []string{"127.0.0.1:0", "127.0.0.1:0"}
	cfg.TLSCert, cfg.TLSKey, cfg.ClientCA = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "ca.pem")
	s, err := New(Options{Config: cfg, Keeper: keeper, Routes: []Route{{
		Pattern: "GET /who", Need: access.LogsWrite, Handle: func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.WriteString(w, PrincipalFrom(r.Context()).Name+" "+r.Proto)
			return err
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	ask := func(addr string, cert *tls.Certificate, token string, h2 bool) string {
		tc := &tls.Config{RootCAs: roots}
		if cert != nil {
			tc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		tr := &http.Transport{TLSClientConfig: tc, ForceAttemptHTTP2: h2}
		defer tr.CloseIdleConnections()
		r, _ := http.NewRequestWithContext(ctx, "GET", "https://"+addr+"/who", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Do(r)
		if err != nil {
			return "refused"
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusOK {
			return res.Status
		}
		return string(body)
	}
	addrs := s.Addrs()
	if len(addrs) != 3 {
		t.Fatalf("%v", addrs)
	}
	for _, a := range addrs {
		for _, c := range []struct {
			cert  *tls.Certificate
			token string
			h2    bool
			want  string
		}{
			{client, "", false, "c HTTP/1.1"}, {client, "", true, "c HTTP/2.0"}, {client, "mt_token", false, "t HTTP/1.1"},
			{nil, "mt_token", true, "t HTTP/2.0"}, {nil, "", false, "401 Unauthorized"}, {other, "", false, "refused"}, {client, "mt_wrong", false, "401 Unauthorized"},
		} {
			if got := ask(a.String(), c.cert, c.token, c.h2); got != c.want {
				t.Errorf("%s: %q, want %q", a, got, c.want)
			}
		}
	}
}

func TestAlsoIsAsSafeAsListen(t *testing.T) {
	c := DefaultConfig()
	c.Also = []string{"127.0.0.1:9200", "0.0.0.0:3100"}
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "also[1]: ") || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("%v", err)
	}
	c.Also = make([]string, 100)
	if err := c.Validate(); err == nil {
		t.Error("100 addresses are valid")
	}
	c.Also, c.ClientCA = nil, "ca.pem"
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "client_ca: ") {
		t.Errorf("%v", err)
	}
	// An address that is taken leaves none open.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c = DefaultConfig()
	c.Listen, c.Also = "127.0.0.1:0", []string{l.Addr().String()}
	s, err := New(Options{Config: c, Keeper: identity.New(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(); err == nil || len(s.Addrs()) != 0 {
		t.Errorf("%v, %d open", err, len(s.Addrs()))
	}
}
