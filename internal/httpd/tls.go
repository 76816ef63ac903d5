package httpd

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"sync/atomic"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// TLS is what a listener shows of itself and asks of its clients: TLS 1.2 or
// newer, a certificate, and, with an authority, the clients' certificates. It is
// safe for concurrent use.
type TLS struct {
	cert, key, ca string
	require       bool
	protocols     []string
	current       atomic.Pointer[tls.Config]
}

// NewTLS reads the PEM files. clientCA may be "": no client is asked then. With
// require a client without a certificate that the authority signed is refused;
// else it may show one. protocols are offered by ALPN.
func NewTLS(cert, key, clientCA string, require bool, protocols ...string) (*TLS, error) {
	t := &TLS{cert: cert, key: key, ca: clientCA, require: require, protocols: protocols}
	return t, t.Reload()
}

// Reload reads the files again. On error the old ones stay in use.
func (t *TLS) Reload() error {
	c, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.Invalid, "load TLS certificate: %w", err), "tls_cert and tls_key must be PEM files that belong together")
	}
	next := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c}, NextProtos: t.protocols}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return fault.Errorf(fault.Invalid, "read client_ca: %w", err)
		}
		next.ClientCAs = x509.NewCertPool()
		if !next.ClientCAs.AppendCertsFromPEM(pem) {
			return fault.WithHint(fault.Errorf(fault.Invalid, "client_ca %s holds no certificate", t.ca), "it must be a PEM file of the authority that signs the clients' certificates")
		}
		next.ClientAuth = tls.VerifyClientCertIfGiven
		if t.require {
			next.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	t.current.Store(next)
	return nil
}

// Vouch returns until when the authorities vouch for a client's certificates, which
// it showed in a handshake with any of them, or fault.Unauthenticated.
func (t *TLS) Vouch(certs []*x509.Certificate, at time.Time) (until time.Time, err error) {
	rest := x509.NewCertPool()
	for _, c := range certs[1:] {
		rest.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: t.Clients(), Intermediates: rest, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return time.Time{}, fault.Errorf(fault.Unauthenticated, "client_ca does not vouch for the caller: %w", err)
	}
	return Until(chains), nil
}

// Until returns when none of the chains will be valid any more.
func Until(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}

// Clients returns the authorities that sign clients' certificates, nil without
// any. Each Reload makes another pool.
func (t *TLS) Clients() *x509.CertPool { return t.current.Load().ClientCAs }

// Config returns a configuration for a server that follows every Reload.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: t.protocols,
		// Some callers want to see a certificate here before they start.
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &t.current.Load().Certificates[0], nil },
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current.Load(), nil },
	}
}
