// Package identity says who is calling: it turns the credential of a request
// into an Identity. What that identity may do is package access's business, and
// identity knows nothing of permissions, routes or logs.
//
// A credential is a token or, over mutual TLS, a certificate. The token of the
// administrator is born with the data folder (Create) and lies in admin.token,
// mode 0600; others are named by the configuration (TokenConfig):
//
//	mt_ + 52 characters of lower-case base32 (RFC 4648, no padding): 32 random bytes
//
// In memory only the SHA-256 of a token is kept, and it is looked up by that: how
// long it takes says something of hashes, which nobody can choose, and nothing of
// tokens. A certificate counts only if the server's authority signed it, and a
// request that brings a token is judged by its token alone. Nobody is ever
// anonymous, loopback included, and no credential is read from the query string.
//
// Failures are limited per remote address (Limiter) in a table of bounded size.
// A right credential always passes: 256 random bits cannot be guessed, so the
// limit protects the audit log and the processor, and must not let one
// misconfigured shipper lock out its neighbours behind the same address.
package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// TokenFile is the name of the administrator's token below the data folder.
const TokenFile = "admin.token"

// Prefix starts every token, so that secret scanners can find a leaked one.
const Prefix = "mt_"

// DefaultTenant is the tenant of a deployment that has only one.
const DefaultTenant record.TenantID = "default"

// The roles. Package access knows what they grant.
const (
	Administrator = "administrator" // the role of the token that Create makes
	SenderRole    = "sender"        // hands records in, and nothing else
	ReaderRole    = "reader"        // asks, and nothing else
	AuditorRole   = "auditor"       // asks, reads audit records, makes reports
	MonitorRole   = "monitor"       // reads the server's own metrics, and nothing else
	CustodianRole = "custodian"     // asks, and turns tokens of a policy back into values
)

// Roles lists them.
var Roles = []string{SenderRole, ReaderRole, AuditorRole, MonitorRole, CustodianRole, Administrator}

// An Identity is a caller whose credential was right.
type Identity struct {
	Name   string // unique in the deployment, for the audit record
	Tenant record.TenantID
	Role   string // package access knows what it grants
	Sends  Sending
}

// A Sending is what is declared of the records that a credential hands in, and how
// fast it may. Its zero value declares and bounds nothing.
type Sending struct {
	// Source names the credential in counts and in log.source, after the receiver's
	// name, in place of its own name.
	Source string `yaml:"source"`
	// Platform declares what the records are ("" detects it).
	Platform string `yaml:"platform"`
	// Class is the retention class where no rule gives another.
	Class string `yaml:"class"`
	// BytesPerSecond bounds what comes in, as received, and RecordsPerSecond how many
	// records; 0 is no bound.
	BytesPerSecond   int64 `yaml:"bytes_per_second"`
	RecordsPerSecond int64 `yaml:"records_per_second"`
}

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewToken returns a fresh random token.
func NewToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return Prefix + base32Lower.EncodeToString(b[:])
}

// Create writes a new administrator's token into the data folder and returns
// it. It fails with fault.Conflict when there is one already. After nil the
// token survives power loss.
func Create(f vfs.FS) (string, error) {
	exists, err := vfs.Exists(f, TokenFile)
	if err != nil {
		return "", fault.Errorf(fault.KindOf(err), "look for %s: %w", TokenFile, err)
	}
	if exists {
		return "", fault.Errorf(fault.Conflict, "create %s: it exists already", TokenFile)
	}
	token := NewToken()
	if err := vfs.WriteFile(f, TokenFile, []byte(token+"\n")); err != nil {
		return "", fault.Errorf(fault.KindOf(err), "write %s: %w", TokenFile, err)
	}
	return token, nil
}

// ParseToken returns the token that a token file holds.
func ParseToken(content []byte) (string, error) {
	token := strings.TrimSpace(string(content))
	if !strings.HasPrefix(token, Prefix) || len(token) < len(Prefix)+26 || strings.ContainsAny(token, " \t\r\n") {
		return "", fault.Errorf(fault.Invalid, "token file holds no token: want one line that starts with %s", Prefix)
	}
	return token, nil
}

// who is everybody that is known.
type who struct {
	tokens       map[[sha256.Size]byte]Identity
	certificates map[string]Identity // by CertificateName
}

// Keeper knows the credentials of a deployment. It is safe for concurrent use.
type Keeper struct {
	who   atomic.Pointer[who]
	now   func() time.Time
	limit *Limiter
}

// Open reads the administrator's token from the data folder.
func Open(f vfs.FS, now func() time.Time) (*Keeper, error) {
	data, err := vfs.ReadFile(f, TokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fault.Errorf(fault.NotFound, "open %s: %w", TokenFile, err),
			"create the data folder with: meshtrail init --data DIR")
	}
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "read %s: %w", TokenFile, err)
	}
	token, err := ParseToken(data)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "read %s: %w", TokenFile, err)
	}
	k := New(now)
	k.Add(token, Identity{Name: "admin", Tenant: DefaultTenant, Role: Administrator})
	return k, nil
}

// New returns a Keeper that knows nobody.
func New(now func() time.Time) *Keeper {
	if now == nil {
		now = time.Now
	}
	k := &Keeper{now: now, limit: NewLimiter(now)}
	k.who.Store(&who{map[[sha256.Size]byte]Identity{}, map[string]Identity{}})
	return k
}

// Add makes a token known. It MUST NOT be called once the Keeper is in use.
func (k *Keeper) Add(token string, id Identity) { k.AddHash(sha256.Sum256([]byte(token)), id) }

// AddHash makes a token known by its SHA-256, under the same rule.
func (k *Keeper) AddHash(hash [sha256.Size]byte, id Identity) { k.who.Load().tokens[hash] = id }

// AddCertificate makes the certificates of this name known, under the same rule.
func (k *Keeper) AddCertificate(name string, id Identity) { k.who.Load().certificates[name] = id }

// Replace makes k know whom other knows, and nobody else, from the next request
// on. other MUST NOT be changed afterwards.
func (k *Keeper) Replace(other *Keeper) { k.who.Store(other.who.Load()) }

// Tried reports whether the request carries a credential, right or wrong.
func Tried(r *http.Request) bool {
	return Presented(r.Header) || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}

// Identify returns whose credential the request carries. It fails with
// fault.Unauthenticated when there is none or it is wrong, and with
// fault.Overload when its remote address presented too many wrong ones of late.
func (k *Keeper) Identify(r *http.Request) (Identity, error) {
	id, err := k.identify(r)
	if err == nil || !Tried(r) { // nothing was guessed: nothing to limit
		return id, err
	}
	if !k.limit.Allow(Remote(r)) {
		return Identity{}, fault.WithHint(fault.Errorf(fault.Overload, "too many failed credentials from this address"),
			"correct the credential; this address is answered again within a minute")
	}
	return Identity{}, err
}

func (k *Keeper) identify(r *http.Request) (Identity, error) {
	if !Presented(r.Header) && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return k.certificate(r.TLS)
	}
	token, err := Credential(r.Header)
	if err != nil {
		return Identity{}, err
	}
	if id, ok := k.who.Load().tokens[sha256.Sum256([]byte(token))]; ok {
		return id, nil
	}
	return Identity{}, fault.WithHint(fault.Errorf(fault.Unauthenticated, "unknown credential"),
		"the administrator's token is in DIR/admin.token of the server's data folder; others are listed under tokens: of its configuration")
}

// certificate returns who shows a certificate. A connection may outlive it.
func (k *Keeper) certificate(state *tls.ConnectionState) (Identity, error) {
	cert := state.PeerCertificates[0]
	name := CertificateName(cert)
	id, ok := k.who.Load().certificates[name]
	if !ok || name == "" || len(state.VerifiedChains) == 0 || k.now().After(cert.NotAfter) {
		return Identity{}, fault.WithHint(fault.Errorf(fault.Unauthenticated, "the certificate's name %.200q is not known, or it has expired", name),
			"list its SPIFFE ID or common name under certificates: of the server's configuration, or send a token")
	}
	return id, nil
}
