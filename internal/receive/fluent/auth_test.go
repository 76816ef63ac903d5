package fluent

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	mp "github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// A client does the handshake as Fluentd and Fluent Bit do it: one read for each
// message, into 1,023 bytes, which must be exactly one msgpack value.
type client struct {
	key, user, password string
	salt                string // empty: Fluentd's, 32 hex digits
}

func hash(parts ...string) string {
	sum := sha512.Sum512([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

func readOne(c net.Conn) (string, error) {
	buf := make([]byte, 1023)
	n, err := c.Read(buf)
	if err != nil {
		return "", err
	}
	r := mp.NewReader(buf[:n])
	if r.Skip(); r.Err() != nil || r.More() {
		return "", fmt.Errorf("not one value in one read: %q", buf[:n])
	}
	return string(buf[:n]), nil
}

// hello does the handshake. denied is the reason that the server gives.
func (cl client) hello(c net.Conn) (denied string, err error) {
	text, err := readOne(c)
	if err != nil {
		return "", err
	}
	r := mp.NewReader([]byte(text))
	head, word, opts := r.Next(), r.Next(), r.Next()
	if head.N != 2 || string(word.Bytes) != "HELO" || opts.N != 3 {
		return "", fmt.Errorf("HELO is %q", text)
	}
	said := map[string]mp.Token{}
	for range opts.N {
		k := r.Next()
		said[string(k.Bytes)] = r.Next()
	}
	nonce, auth := string(said["nonce"].Bytes), string(said["auth"].Bytes)
	if len(nonce) != 16 || said["keepalive"].Kind != mp.Bool || said["keepalive"].Int != 1 || (auth != "") != (cl.user != "") {
		return "", fmt.Errorf("HELO is %q", text)
	}
	salt := cl.salt
	if salt == "" {
		salt = "00112233445566778899aabbccddeeff"
	}
	b := mp.AppendStr(mp.AppendStr(mp.AppendStr(mp.AppendArray(nil, 6), "PING"), "node1"), salt)
	b = mp.AppendStr(b, hash(salt, "node1", nonce, cl.key))
	if auth == "" {
		b = mp.AppendStr(mp.AppendStr(b, ""), "")
	} else {
		b = mp.AppendStr(mp.AppendStr(b, cl.user), hash(auth, cl.user, cl.password))
	}
	c.Write(b)
	if text, err = readOne(c); err != nil {
		return "", err
	}
	r = mp.NewReader([]byte(text))
	head, word = r.Next(), r.Next()
	ok, reason, host, digest := r.Next(), r.Next(), r.Next(), r.Next()
	switch {
	case head.N != 5 || string(word.Bytes) != "PONG" || ok.Kind != mp.Bool || reason.Kind != mp.Str || host.Kind != mp.Str || digest.Kind != mp.Str:
		return "", fmt.Errorf("PONG is %q", text)
	case ok.Int == 0:
		return string(reason.Bytes), nil
	case string(host.Bytes) == "node1" || string(digest.Bytes) != hash(salt, string(host.Bytes), nonce, cl.key):
		return "", fmt.Errorf("the server does not prove the key: %q", text)
	}
	return "", nil
}

func secretFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestHandshake(t *testing.T) {
	key := Config{SharedKeyFile: secretFile(t, "the shared key\n")}
	users := key
	users.Hostname, users.Config = "mt", listen.Config{Listen: "127.0.0.1:0", Tenant: "own", Class: "ops"}
	users.Users = []User{
		{Name: "ann", PasswordFile: secretFile(t, "ann's password"), Tenant: "shop", Class: "security", Platform: "istio"},
		{Name: "bob", PasswordFile: secretFile(t, "bob's password\r\n")},
	}
	f := func(name string, cfg Config, cl client, denied, want string) {
		t.Helper()
		store := &receivetest.Intake{}
		c := dial(t, start(t, cfg, store, receive.Limits{}))
		got, err := cl.hello(c)
		if err != nil || got != denied {
			t.Errorf("%s: denied %q, %v, want %q", name, got, err, denied)
			return
		}
		c.Write(msg(list(entry(0)), options(kv{"chunk", "c"})))
		if denied != "" {
			if b, _ := io.ReadAll(c); len(b) > 0 || len(store.Raws()) > 0 {
				t.Errorf("%s: %q and %d records of who was denied", name, b, len(store.Raws()))
			}
			return
		}
		if b, err := readOne(c); err != nil || b != ack("c") {
			t.Errorf("%s: %q, %v", name, b, err)
			return
		}
		r := store.Requests()[0]
		if got := fmt.Sprintf("%s %s %s %s", r.Tenant, r.Source, r.Class, r.Platform); got != want {
			t.Errorf("%s: taken as %q, want %q", name, got, want)
		}
	}
	f("key", key, client{key: "the shared key"}, "", "default fluent/tcp  ")
	f("key, salt of Fluent Bit", key, client{key: "the shared key", salt: "\x00\xff23456789abcdef"}, "", "default fluent/tcp  ")
	f("wrong key", key, client{key: "another"}, "shared_key mismatch", "")
	f("ann", users, client{key: "the shared key", user: "ann", password: "ann's password"}, "", "shop fluent/ann security istio")
	f("bob", users, client{key: "the shared key", user: "bob", password: "bob's password"}, "", "own fluent/bob ops ")
	f("wrong password", users, client{key: "the shared key", user: "ann", password: "bob's password"}, "username/password mismatch", "")
	f("nobody", users, client{key: "the shared key", user: "eve", password: ""}, "username/password mismatch", "")
	f("wrong key, right password", users, client{key: "x", user: "ann", password: "ann's password"}, "shared_key mismatch", "")
}

// TestNoWayRound takes nothing from a client that says anything but PING.
func TestNoWayRound(t *testing.T) {
	store := &receivetest.Intake{}
	addr := start(t, Config{SharedKeyFile: secretFile(t, "the shared key")}, store, receive.Limits{})
	for name, in := range map[string][]byte{
		"a message":       msg(list(entry(0)), options(kv{"chunk", "c"})),
		"JSON":            []byte(`["a",1,{"x":1}]`),
		"nil":             {0xc0, 0xc0},
		"a PING of three": append(mp.AppendStr([]byte{0x93}, "PING"), 1, 2),
		"a PING of none":  append(mp.AppendStr([]byte{0x96}, "PING"), 0xc0, 0xc0, 0xc0, 0xc0, 0xc0),
		"a long PING":     append(mp.AppendStr([]byte{0x96}, "PING"), 0xdb, 0, 1, 0, 0),
		"nothing":         nil,
	} {
		got := talk(t, addr, append(in, msg(list(entry(0)))...))
		if i := strings.Index(got, "PONG"); len(store.Raws()) > 0 || strings.Contains(got, "ack") || i > 0 && got[i+4] != 0xc2 {
			t.Errorf("%s: %q, %d records", name, got, len(store.Raws()))
		}
	}
	if bytes.Equal(digest(nil), digest([]byte("x"))) || equal(nil, digest(nil)) {
		t.Error("digests are equal that are not")
	}
}

type acts chan audit.Act

func (a acts) Record(_ context.Context, act audit.Act) error {
	a <- act
	return nil
}

// TestDenialIsOnRecord writes down who was denied, and why.
func TestDenialIsOnRecord(t *testing.T) {
	book := make(acts, 10)
	r, err := New(Config{Config: listen.Config{Listen: "127.0.0.1:0", Tenant: "own"}, SharedKeyFile: secretFile(t, "the shared key")},
		receive.Shared{Intake: &receivetest.Intake{}, Audit: book})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, serveOn(t, r))
	if _, err := (client{key: "another"}).hello(c); err != nil {
		t.Fatal(err)
	}
	io.ReadAll(c) // the end comes after the record
	if len(book) != 1 {
		t.Fatalf("%d acts are on record", len(book))
	}
	if a := <-book; a.Outcome != audit.Denied || a.Tenant != "own" || a.Detail["reason"] != "shared_key mismatch" {
		t.Errorf("on record: %+v", a)
	}
}

// TestHalfConfigured refuses to start with an authentication that would ask for
// less than was meant.
func TestHalfConfigured(t *testing.T) {
	long := secretFile(t, "long enough")
	on := listen.Config{Listen: "127.0.0.1:0"}
	f := func(name string, cfg Config, want string) {
		t.Helper()
		if _, err := New(cfg, receive.Shared{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	f("users without a key", Config{Config: on, Users: []User{{Name: "a", PasswordFile: long}}}, "users: without a shared key")
	f("user without a password", Config{Config: on, SharedKeyFile: long, Users: []User{{Name: "a"}}}, "users[0].password_file: is missing")
	f("user without a name", Config{Config: on, SharedKeyFile: long, Users: []User{{PasswordFile: long}}}, "users[0].name")
	f("user twice", Config{Config: on, SharedKeyFile: long, Users: []User{{Name: "a", PasswordFile: long}, {Name: "a", PasswordFile: long}}}, "there twice")
	f("tenant", Config{Config: on, SharedKeyFile: long, Users: []User{{Name: "a", PasswordFile: long, Tenant: "A/B"}}}, "users[0].tenant")
	f("class", Config{Config: on, SharedKeyFile: long, Users: []User{{Name: "a", PasswordFile: long, Class: "A/B"}}}, "users[0].class")
	f("platform", Config{Config: on, SharedKeyFile: long, Users: []User{{Name: "a", PasswordFile: long, Platform: "vax"}}}, "users[0].platform")
	f("hostname alone", Config{Config: on, Hostname: "h"}, "hostname:")
	f("no such file", Config{Config: on, SharedKeyFile: "/nowhere/key"}, "shared_key_file")
	f("empty key", Config{Config: on, SharedKeyFile: secretFile(t, "\n")}, "shared_key_file: the secret has fewer than 8")
	f("short password", Config{Config: on, SharedKeyFile: long, Users: []User{{Name: "a", PasswordFile: secretFile(t, "short")}}}, "users: a: password_file: the secret")
	f("key of two lines", Config{Config: on, SharedKeyFile: secretFile(t, "long enough\nand more")}, "more than one line")
	f("off with a key", Config{SharedKeyFile: long}, "listen: is missing")
	f("unix with UDP", Config{Config: listen.Config{Listen: "unix:/tmp/x"}, UDPHeartbeat: true}, "udp_heartbeat")
	f("beyond loopback for everyone", Config{Config: listen.Config{Listen: "0.0.0.0:24224", Plaintext: true}, SharedKeyFile: long}, "refuse to listen")
	if r, err := New(Config{}, receive.Shared{}); err != nil || len(r.Listeners()) != 0 {
		t.Errorf("off: %v", err)
	}
}
