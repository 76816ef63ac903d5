package als

import (
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
)

var tlsVersions = [...]string{1: "TLSv1", 2: "TLSv1.1", 3: "TLSv1.2", 4: "TLSv1.3"}

// cipher returns the name by which Envoy prints a cipher suite (OpenSSL's), ""
// for one that it does not offer. Numbers are IANA's.
func cipher(n uint64) string {
	switch n {
	case 0x1301:
		return "TLS_AES_128_GCM_SHA256"
	case 0x1302:
		return "TLS_AES_256_GCM_SHA384"
	case 0x1303:
		return "TLS_CHACHA20_POLY1305_SHA256"
	case 0xc02b:
		return "ECDHE-ECDSA-AES128-GCM-SHA256"
	case 0xc02c:
		return "ECDHE-ECDSA-AES256-GCM-SHA384"
	case 0xc02f:
		return "ECDHE-RSA-AES128-GCM-SHA256"
	case 0xc030:
		return "ECDHE-RSA-AES256-GCM-SHA384"
	case 0xcca9:
		return "ECDHE-ECDSA-CHACHA20-POLY1305"
	case 0xcca8:
		return "ECDHE-RSA-CHACHA20-POLY1305"
	case 0xc009:
		return "ECDHE-ECDSA-AES128-SHA"
	case 0xc013:
		return "ECDHE-RSA-AES128-SHA"
	case 0xc00a:
		return "ECDHE-ECDSA-AES256-SHA"
	case 0xc014:
		return "ECDHE-RSA-AES256-SHA"
	case 0x009c:
		return "AES128-GCM-SHA256"
	case 0x009d:
		return "AES256-GCM-SHA384"
	case 0x002f:
		return "AES128-SHA"
	case 0x0035:
		return "AES256-SHA"
	}
	return ""
}

// tlsProperties reads TLSProperties { TLSVersion tls_version = 1; UInt32Value
// tls_cipher_suite = 2; string tls_sni_hostname = 3; CertificateProperties
// local_certificate_properties = 4, peer_certificate_properties = 5; string
// tls_session_id = 6; string ja3_fingerprint = 7; string ja4_fingerprint = 8 }. It
// is about the connection that the client opened.
func (e *entry) tlsProperties(b []byte) error {
	if e.tls == "" && len(b) > 0 {
		e.tls = "tls"
	}
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Varint:
			e.word("downstream_tls_version", pick(tlsVersions[:], f.N))
		case 2<<3 | pb.Length:
			n, err := uintValue(f.V)
			if err != nil {
				return err
			}
			e.suite(n)
		case 3<<3 | pb.Length:
			e.text("requested_server_name", f.V)
		case 4<<3 | pb.Length:
			_, err = e.certificate(f.V, &localNames)
		case 5<<3 | pb.Length:
			var shown bool
			if shown, err = e.certificate(f.V, &peerNames); shown {
				e.tls = "mutual"
			}
		case 6<<3 | pb.Length:
			e.text("downstream_tls_session_id", f.V)
		case 7<<3 | pb.Length:
			e.text("tls_ja3_fingerprint", f.V)
		case 8<<3 | pb.Length:
			e.text("tls_ja4_fingerprint", f.V)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) suite(n uint64) {
	if name := cipher(n); name != "" {
		e.word("downstream_tls_cipher", name)
	} else if n > 0 && n <= 0xffff {
		const hex = "0123456789ABCDEF"
		e.name("downstream_tls_cipher")
		e.b = append(e.b, '"', '0', 'x', hex[n>>12], hex[n>>8&15], hex[n>>4&15], hex[n&15], '"')
	}
}

type certificateNames struct{ uri, dns, subject, issuer string }

var (
	peerNames  = certificateNames{"downstream_peer_uri_san", "downstream_peer_dns_san", "downstream_peer_subject", "downstream_peer_issuer"}
	localNames = certificateNames{"downstream_local_uri_san", "downstream_local_dns_san", "downstream_local_subject", "downstream_local_issuer"}
)

// certificate reads CertificateProperties { repeated SubjectAltName { oneof:
// string uri = 1, dns = 2 } subject_alt_name = 1; string subject = 2; string
// issuer = 3 } and reports whether it says anything.
func (e *entry) certificate(b []byte, names *certificateNames) (shown bool, err error) {
	for kind, name := range [...]string{names.uri, names.dns} { // each in one text, as Envoy lists them
		first := true
		for p := b; len(p) > 0; {
			var f pb.Field
			if f, p, err = pb.Next(p); err != nil {
				return shown, err
			}
			if f.Tag != 1<<3|pb.Length {
				continue
			}
			uri, dns, err := pair(f.V)
			if err != nil {
				return shown, err
			}
			v := uri
			if kind == 1 {
				v = dns
			}
			if len(v) == 0 {
				continue
			}
			if first {
				e.name(name)
				e.b = jsontext.AppendString(e.b, v)
			} else {
				e.b = append(e.b[:len(e.b)-1], ',')
				e.trimmed(v)
				e.b = append(e.b, '"')
			}
			first, shown = false, true
		}
	}
	for len(b) > 0 {
		var f pb.Field
		if f, b, err = pb.Next(b); err != nil {
			return shown, err
		}
		switch f.Tag {
		case 2<<3 | pb.Length:
			e.text(names.subject, f.V)
			shown = shown || len(f.V) > 0
		case 3<<3 | pb.Length:
			e.text(names.issuer, f.V)
			shown = shown || len(f.V) > 0
		}
	}
	return shown, nil
}
