// Package identity says who is calling: it turns the credential of a request
// into an Identity. What that identity may do is package access's business, and
// identity knows nothing of permissions, routes or logs.
//
// A credential is a token. The token of the administrator is born with the data
// folder (Create) and lies in admin.token, mode 0600:
//
//	mt_ + 52 characters of lower-case base32 (RFC 4648, no padding): 32 random bytes
//
// In memory only the SHA-256 of a token is kept, and it is compared in constant
// time. Nobody is ever anonymous, loopback included, and no credential is read
// from the query string.
//
// Failures are limited per remote address (Limiter) in a table of bounded size.
// A right credential always passes: 256 random bits cannot be guessed, so the
// limit protects the audit log and the processor, and must not let one
// misconfigured shipper lock out its neighbours behind the same address.
package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"io/fs"
	"net/http"
	"strings"
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

// Administrator is the role of the token that Create makes.
const Administrator = "administrator"

// An Identity is a caller whose credential was right.
type Identity struct {
	Name   string // unique in the deployment, for the audit record
	Tenant record.TenantID
	Role   string // package access knows what it grants
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

type known struct {
	hash [sha256.Size]byte
	id   Identity
}

// Keeper knows the tokens of a deployment. It is safe for concurrent use.
type Keeper struct {
	known []known
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
	return &Keeper{limit: NewLimiter(now)}
}

// Add makes a token known. It MUST NOT be called once the Keeper is in use.
func (k *Keeper) Add(token string, id Identity) {
	k.known = append(k.known, known{sha256.Sum256([]byte(token)), id})
}

// Identify returns whose credential the request carries. It fails with
// fault.Unauthenticated when there is none or it is wrong, and with
// fault.Overload when its remote address presented too many wrong ones of late.
func (k *Keeper) Identify(r *http.Request) (Identity, error) {
	token, err := Credential(r.Header)
	if err != nil && !Presented(r.Header) {
		return Identity{}, err // nothing was guessed: nothing to limit
	}
	if err == nil {
		if id, ok := k.lookup(token); ok {
			return id, nil
		}
		err = fault.WithHint(fault.Errorf(fault.Unauthenticated, "unknown credential"),
			"the administrator's token is in DIR/admin.token of the server's data folder")
	}
	if !k.limit.Allow(Remote(r)) {
		return Identity{}, fault.WithHint(fault.Errorf(fault.Overload, "too many failed credentials from this address"),
			"correct the credential; this address is answered again within a minute")
	}
	return Identity{}, err
}

// lookup compares with every known token, so that its time says nothing of
// which one came close.
func (k *Keeper) lookup(token string) (id Identity, ok bool) {
	h := sha256.Sum256([]byte(token))
	for i := range k.known {
		if subtle.ConstantTimeCompare(h[:], k.known[i].hash[:]) == 1 {
			id, ok = k.known[i].id, true
		}
	}
	return id, ok
}
