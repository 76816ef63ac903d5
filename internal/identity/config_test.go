package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func TestParseCredential(t *testing.T) {
	token := NewToken()
	want := sha256.Sum256([]byte(token))
	for content, secret := range map[string]bool{
		token: true, " " + token + "\r\n": true, Hash(token): false, Hash(token) + "\n": false, strings.ToUpper(Hash(token)[7:]): true,
		"0e3b1f5c-8a4e-4b61-9d0c-7f0f6f6f2a11": true, // a token of Splunk's form
	} {
		got, isSecret, err := ParseCredential([]byte(content))
		if err != nil || isSecret != secret {
			t.Errorf("%q: %v, %v", content, isSecret, err)
		}
		if strings.Contains(content, token) || !secret {
			if got != want {
				t.Errorf("%q has another hash", content)
			}
		}
	}
	for _, content := range []string{"", "short", "sha256:", Hash(token)[:70], Hash(token) + "00", "sha256:" + strings.Repeat("z", 64), token + "\n" + token, strings.Repeat("x", 5000)} {
		if _, _, err := ParseCredential([]byte(content)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.80q: %v", content, err)
		}
	}
}

func TestValidateConfig(t *testing.T) {
	good := []TokenConfig{
		{Name: "a", Role: SenderRole, File: "x"},
		{Name: "a", Role: SenderRole, File: "y"}, // while one replaces the other
		{Name: "admin", Role: Administrator, File: "z"},
		{Name: "s", Role: SenderRole, File: "s", Sending: Sending{Class: "ops", Source: "edge", BytesPerSecond: 1 << 20, RecordsPerSecond: 1}},
		{Name: "m", Role: MonitorRole, File: "m"},
	}
	certs := []CertificateConfig{{ID: "spiffe://x/y", Role: ReaderRole}, {ID: "cn", Name: "a", Role: SenderRole}}
	if err := ValidateConfig(good, certs); err != nil {
		t.Error(err)
	}
	err := ValidateConfig([]TokenConfig{
		{Name: "b c", Role: SenderRole, File: "x"}, {Name: "d", Role: "root", File: "x"}, {Name: "e", Role: SenderRole},
		{Name: "f", Tenant: "a b", Role: SenderRole, File: "x"}, {Name: "admin", Tenant: "shop", Role: Administrator, File: "x"},
		{Name: "a", Role: SenderRole, File: "x"}, {Name: "a", Role: ReaderRole, File: "x"},
		{Name: "s1", Role: ReaderRole, File: "x", Sending: Sending{Class: "ops"}},
		{Name: "s2", Role: SenderRole, File: "x", Sending: Sending{Class: "a b", Source: "c d", BytesPerSecond: 5, RecordsPerSecond: -1}},
		{Name: "s3", Role: SenderRole, File: "x"}, {Name: "s3", Role: SenderRole, File: "y", Sending: Sending{Class: "ops"}},
	}, []CertificateConfig{{Role: SenderRole}, {ID: "x", Role: SenderRole}, {ID: "x", Role: SenderRole}})
	for _, want := range []string{
		"tokens[0].name: ", "tokens[1].role: ", "tokens[2].file: ", "tokens[3].tenant: ", `tokens[4].name: "admin"`, `tokens[6].name: "a"`,
		"certificates[0].id: ", "certificates[2].id: ", "tokens[7].role: a reader hands no records in",
		"tokens[8].class: ", "tokens[8].source: ", "tokens[8].bytes_per_second: ", "tokens[8].records_per_second: ", `tokens[10].name: "s3"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in\n%v", want, err)
		}
	}
}

func TestCertificateName(t *testing.T) {
	uri := func(list ...string) (out []*url.URL) {
		for _, s := range list {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, u)
		}
		return out
	}
	for i, c := range []struct {
		cert x509.Certificate
		want string
	}{
		{x509.Certificate{URIs: uri("spiffe://example.org/ns/a/sa/b"), Subject: pkix.Name{CommonName: "other"}}, "spiffe://example.org/ns/a/sa/b"},
		{x509.Certificate{Subject: pkix.Name{CommonName: "relay-7"}}, "relay-7"},
		{x509.Certificate{URIs: uri("https://example.org/x"), Subject: pkix.Name{CommonName: "relay-7"}}, "relay-7"},
		{x509.Certificate{URIs: uri("spiffe://a/b", "spiffe://a/c")}, ""},
		{x509.Certificate{URIs: uri("spiffe://a/b", "https://a/c"), Subject: pkix.Name{CommonName: "x"}}, ""},
		{x509.Certificate{URIs: uri("spiffe:///b")}, ""},
		{x509.Certificate{URIs: uri("spiffe://u@a/b")}, ""},
		{x509.Certificate{URIs: uri("spiffe://a/b?c")}, ""},
		{x509.Certificate{Subject: pkix.Name{CommonName: "SPIFFE://example.org/ns/a/sa/b"}}, ""},
		{x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("x", 3000)}}, ""},
		{x509.Certificate{}, ""},
	} {
		if got := CertificateName(&c.cert); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
}

func TestCertificatesAndTokensTogether(t *testing.T) {
	now := time.Unix(1000, 0)
	k := New(func() time.Time { return now })
	k.Add("token", Identity{Name: "by-token"})
	k.AddCertificate("shipper", Identity{Name: "by-certificate"})
	try := func(name, token string, verified bool, end time.Time) (string, error) {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{}
		if name != "" {
			cert := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: end}
			r.TLS.PeerCertificates = []*x509.Certificate{cert}
			if verified {
				r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
			}
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		id, err := k.Identify(r)
		return id.Name, err
	}
	later := now.Add(time.Hour)
	for _, c := range []struct {
		cert, token string
		verified    bool
		end         time.Time
		want        string
	}{
		{"shipper", "", true, later, "by-certificate"},
		{"shipper", "", true, now.Add(-time.Second), ""},
		{"shipper", "", false, later, ""},
		{"stranger", "", true, later, ""},
		{"", "", true, later, ""},
		{"shipper", "token", true, later, "by-token"},
		{"stranger", "token", true, later, "by-token"},
		{"shipper", "wrong", true, later, ""}, // a wrong token is not forgiven
	} {
		got, err := try(c.cert, c.token, c.verified, c.end)
		if got != c.want || (c.want == "") != fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	for range Burst {
		try("stranger", "", true, later)
	}
	if _, err := try("stranger", "", true, later); !fault.Is(err, fault.Overload) {
		t.Errorf("strangers are not limited: %v", err)
	}
}

func TestReplace(t *testing.T) {
	k, next := New(nil), New(nil)
	k.Add("old", Identity{Name: "a"})
	next.AddHash(sha256.Sum256([]byte("new")), Identity{Name: "a"})
	k.Replace(next)
	for token, want := range map[string]bool{"old": false, "new": true} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if _, err := k.Identify(r); (err == nil) != want {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func FuzzParseCredential(f *testing.F) {
	f.Add([]byte(NewToken()))
	f.Add([]byte(Hash("x") + "\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, _, err := ParseCredential(content); err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", content, err)
		}
	})
}
