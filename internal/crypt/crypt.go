// Package crypt holds every cipher Meshtrail uses. No other package calls one.
//
// A Key is 32 bytes that cannot be compared with ==, printed or logged. Seal
// and Open are AES-256-GCM with a random 96-bit nonce:
//
//	| nonce 12 | ciphertext n | tag 16 |
//
// The caller binds a sealed frame to its place with the additional data (AAD):
// Open with other AAD, another key or one changed byte fails with
// fault.Tampered. GCM does not commit to the key; whoever needs that stores
// Key.Commitment beside the data.
package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"log/slog"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// Overhead is how many bytes Seal adds: nonce and tag.
const Overhead = 12 + 16

// Key is a secret. It has no == and no printable form.
type Key struct {
	_ [0]func()
	k [KeySize]byte
}

// NewKey returns a random key.
func NewKey() *Key {
	var k Key
	rand.Read(k.k[:]) // never fails since Go 1.24
	return &k
}

// KeyFromBytes copies b, which MUST be KeySize long.
func KeyFromBytes(b []byte) (*Key, error) {
	if len(b) != KeySize {
		return nil, fault.Errorf(fault.Invalid, "key has %d bytes, want %d", len(b), KeySize)
	}
	var k Key
	copy(k.k[:], b)
	return &k, nil
}

// Bytes returns a copy of the secret, for wrapping under another key only.
func (k *Key) Bytes() []byte { return append([]byte(nil), k.k[:]...) }

// String hides the secret.
func (k Key) String() string { return "crypt.Key(redacted)" }

// Format hides the secret from every verb of fmt: %d and %#v do not ask String.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue hides the secret from slog.
func (k Key) LogValue() slog.Value { return slog.StringValue("redacted") }

// MarshalText hides the secret from encoders.
func (k Key) MarshalText() ([]byte, error) { return []byte("redacted"), nil }

// Derive returns a key for one purpose (HKDF-SHA256, RFC 5869, info = label).
func (k *Key) Derive(label string) *Key {
	b, err := hkdf.Key(sha256.New, k.k[:], nil, label, KeySize)
	if err != nil {
		panic("crypt: hkdf of a fixed size failed: " + err.Error())
	}
	var d Key
	copy(d.k[:], b)
	return &d
}

// Commitment returns SHA-256("meshtrail key commitment" ‖ label ‖ 0 ‖ key). It
// reveals nothing useful about the key and fixes which key opened the data.
func (k *Key) Commitment(label string) [32]byte {
	h := sha256.New()
	io.WriteString(h, "meshtrail key commitment")
	io.WriteString(h, label)
	h.Write([]byte{0})
	h.Write(k.k[:])
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// A Sealer seals and opens frames under one key. It is safe for concurrent use
// and allocates nothing when dst has room.
type Sealer struct {
	aead  cipher.AEAD
	nonce io.Reader
}

// NewSealer returns a Sealer for k with random nonces.
func NewSealer(k *Key) *Sealer { return NewSealerWithNonces(k, rand.Reader) }

// NewSealerWithNonces is for tests and for reproducible builds of a block: the
// nonces come from r, which MUST NOT repeat under one key.
func NewSealerWithNonces(k *Key, r io.Reader) *Sealer {
	b, err := aes.NewCipher(k.k[:])
	if err != nil {
		panic("crypt: aes with a fixed key size failed: " + err.Error())
	}
	a, err := cipher.NewGCM(b)
	if err != nil {
		panic("crypt: gcm failed: " + err.Error())
	}
	return &Sealer{aead: a, nonce: r}
}

// Seal appends nonce, ciphertext and tag of plain to dst.
func (s *Sealer) Seal(dst, plain, aad []byte) ([]byte, error) {
	n := len(dst)
	var zero [12]byte
	dst = append(dst, zero[:]...)
	nonce := dst[n : n+12]
	if _, err := io.ReadFull(s.nonce, nonce); err != nil {
		return dst[:n], fault.Errorf(fault.Internal, "draw nonce: %w", err)
	}
	return s.aead.Seal(dst, nonce, plain, aad), nil
}

// Open appends the plaintext of sealed to dst, or fails with fault.Tampered.
func (s *Sealer) Open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return dst, fault.Errorf(fault.Tampered, "sealed frame has %d bytes, less than %d", len(sealed), Overhead)
	}
	out, err := s.aead.Open(dst, sealed[:12], sealed[12:], aad)
	if err != nil {
		return dst, fault.Errorf(fault.Tampered, "open sealed frame: wrong key or changed bytes")
	}
	return out, nil
}

// MAC computes HMAC-SHA-256 under one key, to find equal values again without
// telling what they are. It is not safe for concurrent use.
type MAC struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// MAC returns a MAC under k.
func (k *Key) MAC() *MAC { return &MAC{h: hmac.New(sha256.New, k.k[:])} }

// Sum fills dst, at most 32 bytes, with the beginning of the code of data. It
// allocates nothing.
func (m *MAC) Sum(dst, data []byte) {
	m.h.Reset()
	m.h.Write(data)
	copy(dst, m.h.Sum(m.sum[:0]))
}
