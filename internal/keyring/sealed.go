package keyring

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
)

const sealedVersion = 1

// The kinds of sealed keys.
const (
	kindLedger = "ledger"
	kindTenant = "tenant"
	kindData   = "data"
)

// sealedKey is the content of a key file.
type sealedKey struct {
	Version int    `json:"version"`
	Kind    string `json:"kind"`
	ID      string `json:"id,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Class   string `json:"class,omitempty"`
	Day     string `json:"day,omitempty"`
	Sealed  []byte `json:"sealed"`
}

// aad binds a sealed key to what it is for. No part holds a zero byte.
func (s *sealedKey) aad() []byte {
	return []byte(strings.Join([]string{"meshtrail key 1", s.Kind, s.Tenant, s.Class, s.Day, s.ID}, "\x00"))
}

// seal returns a key file that holds secret under key, as what as describes.
func seal(key *crypt.Key, as sealedKey, secret []byte) ([]byte, error) {
	as.Version = sealedVersion
	var err error
	if as.Sealed, err = crypt.NewSealer(key).Seal(nil, secret, as.aad()); err != nil {
		return nil, err
	}
	data, err := json.Marshal(as)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "encode key file: %w", err)
	}
	return append(data, '\n'), nil
}

// open returns the secret of a key file, which MUST be what as describes: the
// caller knows what it asked for, and the file is not believed.
func open(key *crypt.Key, as sealedKey, name string, data []byte) ([]byte, error) {
	s, err := decodeSealed(data)
	if err != nil {
		return nil, fault.Errorf(fault.Corrupt, "key file %s: %w", name, err)
	}
	if s.Kind != as.Kind || s.ID != as.ID || s.Tenant != as.Tenant || s.Class != as.Class || s.Day != as.Day {
		return nil, fault.Errorf(fault.Tampered, "key file %s holds another key", name)
	}
	plain, err := crypt.NewSealer(key).Open(nil, s.Sealed, as.aad())
	if err != nil {
		return nil, fault.Errorf(fault.Tampered, "key file %s: %w", name, err)
	}
	return plain, nil
}

func decodeSealed(data []byte) (*sealedKey, error) {
	var s sealedKey
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fault.Errorf(fault.Corrupt, "decode: %w", err)
	}
	if s.Version != sealedVersion {
		return nil, fault.Errorf(fault.Corrupt, "format version %d, this program reads %d", s.Version, sealedVersion)
	}
	return &s, nil
}
