package crypt_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func key(t *testing.T, b []byte) *crypt.Key {
	t.Helper()
	k, err := crypt.KeyFromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t *testing.T, s *crypt.Sealer, plain, aad string) []byte {
	t.Helper()
	b, err := s.Seal(nil, []byte(plain), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation".
func TestKnownAnswer(t *testing.T) {
	k := key(t, unhex(t, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"))
	nonce := unhex(t, "cafebabefacedbaddecaf888")
	plain := unhex(t, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"+
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
	aad := unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2")
	want := "cafebabefacedbaddecaf888" +
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
		"76fc6ece0f4e1768cddf8853bb2d551b"
	s := crypt.NewSealerWithNonces(k, bytes.NewReader(nonce))
	got, err := s.Seal(nil, plain, aad)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != want {
		t.Errorf("sealed\n%x, want\n%s", got, want)
	}
	back, err := s.Open(nil, got, aad)
	if err != nil || !bytes.Equal(back, plain) {
		t.Errorf("opened %x, %v", back, err)
	}
	if _, err := s.Seal(nil, plain, aad); !errors.Is(err, io.EOF) {
		t.Errorf("no nonce left: got %v, want EOF", err)
	}
}

func TestSealAppends(t *testing.T) {
	s := crypt.NewSealer(crypt.NewKey())
	for _, plain := range []string{"", "x", strings.Repeat("long", 10_000)} {
		b, err := s.Seal([]byte("before"), []byte(plain), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != len("before")+len(plain)+crypt.Overhead || string(b[:6]) != "before" {
			t.Fatalf("%d bytes sealed in %d: %.10q", len(plain), len(b), b)
		}
		back, err := s.Open([]byte("before"), b[6:], nil)
		if err != nil || string(back) != "before"+plain {
			t.Fatalf("opened %.20q, %v", back, err)
		}
	}
}

func TestAnyChangeIsTampered(t *testing.T) {
	k := crypt.NewKey()
	s := crypt.NewSealer(k)
	sealed := seal(t, s, "the plain text", "block 7")
	tampered := func(what string, s *crypt.Sealer, sealed []byte, aad string) {
		t.Helper()
		out, err := s.Open([]byte("dst"), sealed, []byte(aad))
		if !fault.Is(err, fault.Tampered) || string(out) != "dst" {
			t.Errorf("%s: got %q, %v; want tampered, and nothing of the text", what, out, err)
		}
	}
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			tampered(fmt.Sprintf("bit %d of byte %d", bit, i), s, bad, "block 7")
		}
		tampered(fmt.Sprintf("cut to %d", i), s, sealed[:i], "block 7")
	}
	tampered("a byte appended", s, append(bytes.Clone(sealed), 0), "block 7")
	tampered("another place", s, sealed, "block 8")
	tampered("no place", s, sealed, "")
	tampered("another key", crypt.NewSealer(crypt.NewKey()), sealed, "block 7")
	tampered("a derived key", crypt.NewSealer(k.Derive("x")), sealed, "block 7")
}

func TestNoncesDiffer(t *testing.T) {
	s := crypt.NewSealer(crypt.NewKey())
	seen := map[string]bool{}
	for range 10_000 {
		nonce := string(seal(t, s, "", "")[:12])
		if seen[nonce] {
			t.Fatal("a nonce was used twice")
		}
		seen[nonce] = true
	}
}

// The derivation is part of what is on disk: it may never change.
func TestDerivedKeysAndCommitmentsAreFixed(t *testing.T) {
	k := key(t, bytes.Repeat([]byte{7}, crypt.KeySize))
	if got, want := hex.EncodeToString(k.Derive("journal").Bytes()), derivedJournal; got != want {
		t.Errorf("derived key %s, want %s", got, want)
	}
	c := k.Commitment("journal")
	if got, want := hex.EncodeToString(c[:]), commitmentJournal; got != want {
		t.Errorf("commitment %s, want %s", got, want)
	}
	if bytes.Equal(k.Derive("a").Bytes(), k.Derive("b").Bytes()) {
		t.Error("two labels derive one key")
	}
	if k.Commitment("a") == k.Commitment("b") || k.Commitment("a") == crypt.NewKey().Commitment("a") {
		t.Error("two labels or keys have one commitment")
	}
}

// Computed with Python: HKDF (RFC 5869) and SHA-256 by hand.
const (
	derivedJournal    = "2a59ee28f8952c7d2efcf5c52273b66af93635e69a6970ed1e48e425534a64a4"
	commitmentJournal = "44337432303ba51b5566cc1b14197b07c9bc33c06a0009cd4aaa2f40a2f0a3d5"
)

func TestKeyBytes(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := crypt.KeyFromBytes(make([]byte, n)); !fault.Is(err, fault.Invalid) {
			t.Errorf("key of %d bytes: got %v, want invalid", n, err)
		}
	}
	in := bytes.Repeat([]byte{1}, crypt.KeySize)
	k := key(t, in)
	in[0] = 9
	out := k.Bytes()
	out[1] = 9
	if want := bytes.Repeat([]byte{1}, crypt.KeySize); !bytes.Equal(k.Bytes(), want) {
		t.Error("the key aliases its caller's bytes")
	}
	if bytes.Equal(crypt.NewKey().Bytes(), crypt.NewKey().Bytes()) {
		t.Error("two random keys are equal")
	}
}

// No way of printing a key may show it.
func TestKeysAreNotPrinted(t *testing.T) {
	secret := []byte("SECRETSECRETSECRETSECRETSECRET!!")
	k := key(t, secret)
	type config struct{ Key *crypt.Key }
	var buf bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%o", "%T %[1]v"} {
		fmt.Fprintf(&buf, verb, k)
		fmt.Fprintf(&buf, verb, *k) // a copy, which nobody should make
	}
	fmt.Fprintf(&buf, "%v %+v %#v %d", config{k}, config{k}, config{k}, &config{k})
	fmt.Fprint(&buf, k.String())
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "key", k, "config", config{k})
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "key", k)
	if err := json.NewEncoder(&buf).Encode(config{k}); err != nil {
		t.Fatal(err)
	}
	out := buf.String()
	for _, form := range []string{"SECRET", hex.EncodeToString(secret[:4]), "83 69 67", "83,69,67", "0x53, 0x45"} {
		if strings.Contains(out, form) {
			t.Errorf("%q shows the key", out)
		}
	}
	if strings.Count(out, "redacted") < 20 {
		t.Errorf("some form says nothing at all: %s", out)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := crypt.NewSealer(crypt.NewKey())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			aad := []byte{byte(i)}
			for range 200 {
				b, err := s.Seal(nil, aad, aad)
				if err != nil {
					t.Error(err)
				}
				if out, err := s.Open(nil, b, aad); err != nil || !bytes.Equal(out, aad) {
					t.Errorf("opened %x, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAllocations(t *testing.T) {
	s := crypt.NewSealer(crypt.NewKey())
	plain, aad := make([]byte, 4096), []byte("aad")
	sealed, out := make([]byte, 0, 8192), make([]byte, 0, 8192)
	n := testing.AllocsPerRun(100, func() {
		var err error
		if sealed, err = s.Seal(sealed[:0], plain, aad); err != nil {
			t.Fatal(err)
		}
		if out, err = s.Open(out[:0], sealed, aad); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations to seal and open, want 0", n)
	}
}

func FuzzOpen(f *testing.F) {
	k, err := crypt.KeyFromBytes(bytes.Repeat([]byte{7}, crypt.KeySize))
	if err != nil {
		f.Fatal(err)
	}
	s := crypt.NewSealer(k)
	sealed, err := s.Seal(nil, []byte("text"), []byte("aad"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, []byte("aad"))
	f.Add([]byte("short"), []byte{})
	f.Fuzz(func(t *testing.T, b, aad []byte) {
		if out, err := s.Open(nil, b, aad); err != nil && (len(out) > 0 || !fault.Is(err, fault.Tampered)) {
			t.Fatalf("%x, %v", out, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{512, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := crypt.NewSealer(crypt.NewKey())
			plain, dst := make([]byte, size), make([]byte, 0, 2*size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Seal(dst, plain, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestMAC holds the code to the library, and to be the same each time.
func TestMAC(t *testing.T) {
	key, err := crypt.KeyFromBytes(bytes.Repeat([]byte{0x0b}, crypt.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	want := hmac.New(sha256.New, bytes.Repeat([]byte{0x0b}, crypt.KeySize))
	want.Write([]byte("Hi There"))
	m := key.MAC()
	var a, b [16]byte
	m.Sum(a[:], []byte("something else"))
	m.Sum(a[:], []byte("Hi There"))
	key.MAC().Sum(b[:], []byte("Hi There"))
	if a != b || !bytes.Equal(a[:], want.Sum(nil)[:16]) {
		t.Errorf("%x, %x", a, b)
	}
	data := []byte("Hi There")
	if n := testing.AllocsPerRun(100, func() { m.Sum(a[:], data) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
