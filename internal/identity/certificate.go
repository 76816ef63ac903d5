package identity

import (
	"crypto/x509"
	"strings"
)

// maxName bounds the name of a certificate, in bytes; SPIFFE allows no more.
const maxName = 2048

const spiffe = "spiffe://"

// CertificateName returns the name in a client's certificate: its SPIFFE ID, or
// its subject's common name when it has none. It returns "" for a certificate
// that names nobody, or more than one (an X.509-SVID has exactly one URI). A
// common name that looks like a SPIFFE ID is none: another field of the
// certificate might be signed under other rules.
func CertificateName(c *x509.Certificate) string {
	name := ""
	for _, u := range c.URIs {
		if !strings.EqualFold(u.Scheme, "spiffe") {
			continue
		}
		if name != "" || len(c.URIs) > 1 || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return ""
		}
		name = spiffe + u.Host + u.EscapedPath()
	}
	if name == "" {
		if name = c.Subject.CommonName; len(name) >= len(spiffe) && strings.EqualFold(name[:len(spiffe)], spiffe) {
			return ""
		}
	}
	if len(name) > maxName {
		return ""
	}
	return name
}
