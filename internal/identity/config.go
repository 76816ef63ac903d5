package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TokenConfig makes the token of a file known. Two files may give one identity,
// so that a token can be replaced while the old one still works.
type TokenConfig struct {
	Name   string `yaml:"name"`
	Tenant string `yaml:"tenant"` // "default" if empty
	Role   string `yaml:"role"`
	// File holds the token, or sha256: and its hash in hex. A value is never given
	// in the configuration itself.
	File    string `yaml:"file"`
	Sending `yaml:",inline"`
}

// CertificateConfig makes a client's certificate known, whose authority is
// server.client_ca.
type CertificateConfig struct {
	ID      string `yaml:"id"`   // SPIFFE ID or common name: see CertificateName
	Name    string `yaml:"name"` // ID if empty
	Tenant  string `yaml:"tenant"`
	Role    string `yaml:"role"`
	Sending `yaml:",inline"`
}

// Identity returns who presents the token.
func (c TokenConfig) Identity() Identity {
	return Identity{Name: c.Name, Tenant: tenant(c.Tenant), Role: c.Role, Sends: c.Sending}
}

// Identity returns who presents the certificate.
func (c CertificateConfig) Identity() Identity {
	if c.Name == "" {
		c.Name = c.ID
	}
	return Identity{Name: c.Name, Tenant: tenant(c.Tenant), Role: c.Role, Sends: c.Sending}
}

func tenant(name string) record.TenantID {
	if name == "" {
		return DefaultTenant
	}
	return record.TenantID(name)
}

// maxCredentials bounds the list of each kind.
const maxCredentials = 10_000

// ValidateConfig reports what is wrong with the two lists, each error beginning
// with its path below the root of the configuration.
func ValidateConfig(tokens []TokenConfig, certificates []CertificateConfig) error {
	v := validation{ids: map[string]Identity{"admin": {Name: "admin", Tenant: DefaultTenant, Role: Administrator}}}
	if len(tokens) > maxCredentials || len(certificates) > maxCredentials {
		return fault.Errorf(fault.Invalid, "tokens: more than %d tokens or certificates", maxCredentials)
	}
	for i, c := range tokens {
		at := fmt.Sprintf("tokens[%d]", i)
		if c.File == "" {
			v.bad(at+".file", "is missing", "name a file that holds the token or its hash; make one with: meshtrail token new")
		}
		v.identity(at, c.Identity())
	}
	seen := map[string]bool{}
	for i, c := range certificates {
		at := fmt.Sprintf("certificates[%d]", i)
		if c.ID == "" || seen[c.ID] {
			v.bad(at+".id", "is missing, or given twice", "write the SPIFFE ID or the common name of the certificate")
		}
		seen[c.ID] = true
		v.identity(at, c.Identity())
	}
	return errors.Join(v.errs...)
}

type validation struct {
	ids  map[string]Identity
	errs []error
}

func (v *validation) bad(path, problem, hint string) {
	v.errs = append(v.errs, fault.WithHint(fault.Errorf(fault.Invalid, "%s: %s", path, problem), hint))
}

func (v *validation) identity(at string, id Identity) {
	if !validName(id.Name) {
		v.bad(at+".name", fmt.Sprintf("%q is no name: want 1 to 128 printable characters without blanks", id.Name), "it stands in every audit record")
	}
	if !record.ValidName(string(id.Tenant)) {
		v.bad(at+".tenant", fmt.Sprintf("%q is no name of a tenant", id.Tenant), "")
	}
	if !slices.Contains(Roles, id.Role) {
		v.bad(at+".role", fmt.Sprintf("unknown role %q", id.Role), "use "+strings.Join(Roles, ", "))
	}
	if known, ok := v.ids[id.Name]; ok && known != id {
		v.bad(at+".name", fmt.Sprintf("%q has another tenant, role or settings elsewhere", id.Name), "one name is one identity: audit records tell nothing else")
	}
	v.ids[id.Name] = id
	v.sending(at, id)
}

// minBytes is the least bound of bytes a second: less than that is a slip.
const minBytes = 1024

func (v *validation) sending(at string, id Identity) {
	s := id.Sends
	if s == (Sending{}) {
		return
	}
	if id.Role != SenderRole && id.Role != Administrator {
		v.bad(at+".role", fmt.Sprintf("a %s hands no records in, and has no source, platform, class or rate", id.Role), "remove them, or make it a "+SenderRole)
	}
	if s.Source != "" && !record.ValidName(s.Source) {
		v.bad(at+".source", fmt.Sprintf("%q is no name", s.Source), "")
	}
	if s.Class != "" && !record.ValidName(s.Class) {
		v.bad(at+".class", fmt.Sprintf("%q is no name of a class", s.Class), "")
	}
	if s.BytesPerSecond != 0 && s.BytesPerSecond < minBytes {
		v.bad(at+".bytes_per_second", fmt.Sprintf("%d is less than 1KiB", s.BytesPerSecond), "0 is no bound")
	}
	if s.RecordsPerSecond < 0 {
		v.bad(at+".records_per_second", fmt.Sprintf("%d is negative", s.RecordsPerSecond), "0 is no bound")
	}
}

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 128
}

// Digest starts the hash of a token in a file.
const Digest = "sha256:"

// minToken is the length of the shortest token that a file may hold: 22 characters
// of base64 are 128 bits.
const minToken = 22

// Hash returns a token's hash as a file may hold it.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return Digest + hex.EncodeToString(sum[:])
}

// ParseCredential returns the hash of the token that a file of a TokenConfig
// holds, and whether the file holds the token itself. Tokens of other products'
// forms (a UUID, 32 hex digits) are good if they are long enough.
func ParseCredential(content []byte) (hash [sha256.Size]byte, secret bool, err error) {
	s := strings.TrimSpace(string(content))
	if digits, ok := strings.CutPrefix(s, Digest); ok {
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != len(hash) {
			return hash, false, fault.Errorf(fault.Invalid, "want %s and 64 hex digits", Digest)
		}
		return [sha256.Size]byte(sum), false, nil
	}
	if len(s) < minToken || len(s) > maxCredential || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return hash, true, fault.WithHint(fault.Errorf(fault.Invalid, "want one line with a token of at least %d printable characters, or its hash", minToken),
			"make one with: meshtrail token new")
	}
	return sha256.Sum256([]byte(s)), true, nil
}
