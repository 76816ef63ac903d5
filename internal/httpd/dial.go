package httpd

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// ClientTLS returns the configuration with which a receiver dials a server. The
// names are of PEM files: ca replaces the system's authorities if it is not "",
// cert and key are what we show if asked, both or neither. server is the name
// that the server must prove, "" for the one that is dialled.
func ClientTLS(ca, cert, key, server string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "read ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "ca: %s holds no PEM certificate", ca), "it must hold the certificate that signed the server's")
		}
	}
	if cert != "" {
		// Read at each handshake: certificates of meshes are short-lived.
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				return nil, fault.WithHint(fault.Errorf(fault.Invalid, "load client certificate: %w", err), "tls_cert and tls_key must be PEM files that belong together")
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}
