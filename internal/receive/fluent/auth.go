package fluent

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// auth is what a listener with a shared key knows: the key, and the users if
// there are any. It does not change while the server runs.
type auth struct {
	key      string
	hostname string
	users    map[string]user
}

type user struct {
	password string
	from     receive.Sender // what it changes of the listener's
}

// minSecret is the shortest secret that is taken for one, in bytes.
const minSecret = 8

// newAuth reads the secrets of a valid configuration; nil if it asks for none.
func newAuth(cfg *Config) (*auth, error) {
	if cfg.SharedKeyFile == "" {
		return nil, nil
	}
	a := &auth{hostname: cfg.Hostname, users: map[string]user{}}
	if a.hostname == "" {
		a.hostname = "meshtrail"
	}
	var err error
	if a.key, err = secret("shared_key_file", cfg.SharedKeyFile); err != nil {
		return nil, err
	}
	for _, u := range cfg.Users {
		known := user{from: receive.Sender{Tenant: record.TenantID(u.Tenant), Name: Name + "/" + u.Name, Class: record.Class(u.Class), Platform: u.Platform}}
		if known.password, err = secret("users: "+u.Name+": password_file", u.PasswordFile); err != nil {
			return nil, err
		}
		a.users[u.Name] = known
	}
	return a, nil
}

// secret reads a file's first line.
func secret(key, path string) (string, error) {
	f, err := vfs.Dir(filepath.Dir(path))
	var data []byte
	if err == nil {
		data, err = vfs.ReadFile(f, filepath.Base(path))
	}
	if err != nil {
		return "", fault.Errorf(fault.Invalid, "%s: %w", key, err)
	}
	text, more, _ := strings.Cut(string(data), "\n")
	text = strings.TrimSuffix(text, "\r")
	if strings.TrimSpace(more) != "" {
		return "", fault.Errorf(fault.Invalid, "%s: the file has more than one line", key)
	}
	if len(text) < minSecret {
		return "", fault.WithHint(fault.Errorf(fault.Invalid, "%s: the secret has fewer than %d characters", key, minSecret),
			"an empty or short secret keeps nobody out; create one with: openssl rand -hex 32")
	}
	return text, nil
}

// sender returns what the user's records are taken as.
func (u *user) sender(base receive.Sender) receive.Sender {
	base.Name = u.from.Name
	base.Source = receive.SourceName(u.from.Name)
	if u.from.Tenant != "" {
		base.Tenant = u.from.Tenant
	}
	if u.from.Class != "" {
		base.Class = u.from.Class
	}
	if u.from.Platform != "" {
		base.Platform = u.from.Platform
	}
	return base
}

// maxPing bounds the client's part of the handshake, in bytes.
const maxPing = 4 << 10

// handshake says HELO, checks the client's PING and answers with PONG, each in
// one write. Every secret is proved by a digest over random bytes of both sides;
// a client that fails is told no more than which of the two was wrong, as Fluentd
// tells it.
func (s *session) handshake(a *auth) error {
	var random [32]byte
	rand.Read(random[:])
	nonce, salt := random[:16], random[16:]
	if len(a.users) == 0 {
		salt = nil
	}
	b := msgpack.AppendStr(msgpack.AppendArray(s.out[:0], 2), "HELO")
	b = msgpack.AppendMap(b, 3)
	b = msgpack.AppendBin(msgpack.AppendStr(b, "nonce"), nonce)
	b = msgpack.AppendStr(b, "auth")
	if salt == nil {
		b = msgpack.AppendStr(b, "")
	} else {
		b = msgpack.AppendBin(b, salt)
	}
	b = msgpack.AppendBool(msgpack.AppendStr(b, "keepalive"), true)
	if _, err := s.c.Write(b); err != nil {
		return err
	}
	if err := s.c.Await(); err != nil { // a heartbeat with a handshake ends here
		return err
	}
	var f msgpack.Scanner
	for {
		done, err := f.Scan(s.c.Buffered())
		if err == nil && f.Least() > maxPing {
			err = fault.Errorf(fault.TooLarge, "PING is larger than %d bytes", maxPing)
		}
		if err != nil {
			return err
		}
		if done {
			break
		}
		if err := s.c.More(); err != nil {
			return err
		}
	}
	p, ok := readPing(s.c.Buffered()[:f.End()])
	if !ok {
		return s.denied("invalid ping message")
	}
	if !equal(p.keyDigest, digest(p.salt, p.hostname, nonce, []byte(a.key))) {
		return s.denied("shared_key mismatch")
	}
	if len(a.users) > 0 {
		u, known := a.users[string(p.user)] // of an unknown one, the empty password is never right
		if right := equal(p.passwordDigest, digest(salt, p.user, []byte(u.password))); !known || !right {
			return s.denied("username/password mismatch")
		}
		s.from = u.sender(s.from)
	}
	b = msgpack.AppendStr(msgpack.AppendArray(s.out[:0], 5), "PONG")
	b = msgpack.AppendStr(msgpack.AppendBool(b, true), "")
	b = msgpack.AppendStr(b, a.hostname)
	b = msgpack.AppendStr(b, string(digest(p.salt, []byte(a.hostname), nonce, []byte(a.key))))
	if _, err := s.c.Write(b); err != nil {
		return err
	}
	s.c.Discard(f.End())
	return nil
}

// denied answers with a PONG that says why not, and puts it on record, within the
// bounds of the limiter.
func (s *session) denied(reason string) error {
	b := msgpack.AppendStr(msgpack.AppendArray(s.out[:0], 5), "PONG")
	b = msgpack.AppendStr(msgpack.AppendBool(b, false), reason)
	b = msgpack.AppendStr(msgpack.AppendStr(b, ""), "")
	s.c.Write(b)
	remote := s.c.Remote.Addr().String()
	if s.r.audit != nil && s.r.denials.Allow(remote) {
		err := s.r.audit.Record(s.ctx, audit.Act{
			Principal: "unauthenticated", Tenant: string(s.c.From.Tenant), Action: "connect", Outcome: audit.Denied, Remote: remote,
			Detail: map[string]string{"receiver": Name, "listen": s.r.cfg.Listen, "reason": reason},
		})
		if err != nil {
			return fault.Errorf(fault.KindOf(err), "handshake: %s; and that is not on record: %w", reason, err)
		}
	}
	return fault.Errorf(fault.Unauthenticated, "handshake: %s", reason)
}

// A ping is what a client proves itself with. Slices alias the message.
type ping struct {
	hostname, salt, keyDigest, user, passwordDigest []byte
}

// readPing reads ["PING", hostname, salt, digest, user, digest].
func readPing(data []byte) (p ping, ok bool) {
	r := msgpack.NewReader(data)
	if head := r.Next(); head.Kind != msgpack.Array || head.N != 6 {
		return p, false
	}
	if t := r.Next(); !t.IsText() || string(t.Bytes) != "PING" {
		return p, false
	}
	for _, to := range []*[]byte{&p.hostname, &p.salt, &p.keyDigest, &p.user, &p.passwordDigest} {
		t := r.Next()
		if !t.IsText() {
			return p, false
		}
		*to = t.Bytes
	}
	return p, true
}

// digest is the protocol's: SHA-512 over the parts, in hex.
func digest(parts ...[]byte) []byte {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.AppendEncode(nil, h.Sum(nil))
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
