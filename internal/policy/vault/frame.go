package vault

import (
	"encoding/binary"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

const (
	frameVersion = 1
	entryHead    = len(index{}) + tokenSize
)

// aad binds sealed entries to their tenant.
func (t *Tenant) aad() []byte { return append([]byte("meshtrail tokens 1\x00"), t.name...) }

// encode returns the payload of a frame and how many entries it has.
func (t *Tenant) encode(entries []byte) (payload []byte, n int, err error) {
	if err := each(entries, func(index, Token, []byte) error { n++; return nil }); err != nil {
		return nil, 0, err
	}
	payload = make([]byte, 0, 2+len(t.name)+len(entries)+crypt.Overhead)
	payload = append(payload, frameVersion, byte(len(t.name)))
	payload = append(payload, t.name...)
	payload, err = t.sealer.Seal(payload, entries, t.aad())
	return payload, n, err
}

// decode opens the payload of a frame.
func (v *Vault) decode(p []byte) (t *Tenant, entries []byte, err error) {
	name, sealed, err := split(p)
	if err != nil {
		return nil, nil, err
	}
	if t, err = v.Of(name); err != nil {
		return nil, nil, err
	}
	if entries, err = t.sealer.Open(nil, sealed, t.aad()); err != nil {
		return nil, nil, fault.Errorf(fault.Tampered, "entries of tenant %s: %w", name, err)
	}
	return t, entries, nil
}

// split takes the payload of a frame apart.
func split(p []byte) (name record.TenantID, sealed []byte, err error) {
	if len(p) < 2 {
		return "", nil, fault.Errorf(fault.Corrupt, "a frame of %d bytes", len(p))
	}
	if p[0] != frameVersion {
		return "", nil, fault.Errorf(fault.Corrupt, "frame version %d, this program reads %d", p[0], frameVersion)
	}
	n := int(p[1])
	if len(p) < 2+n || !record.ValidName(string(p[2:2+n])) {
		return "", nil, fault.Errorf(fault.Corrupt, "no valid tenant")
	}
	return record.TenantID(p[2 : 2+n]), p[2+n:], nil
}

func appendEntry(dst []byte, i index, token Token, value []byte) []byte {
	dst = append(append(dst, i[:]...), token[:]...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// each calls f for each entry. Values are lent.
func each(p []byte, f func(i index, token Token, value []byte) error) error {
	for len(p) > 0 {
		if len(p) < entryHead {
			return fault.Errorf(fault.Corrupt, "an entry of tokens is cut off")
		}
		i, token := index(p[:len(index{})]), Token(p[len(index{}):entryHead])
		size, n := binary.Uvarint(p[entryHead:])
		if n <= 0 || size > MaxValue || uint64(len(p)-entryHead-n) < size {
			return fault.Errorf(fault.Corrupt, "an entry of tokens has no valid length")
		}
		p = p[entryHead+n:]
		if err := f(i, token, p[:size]); err != nil {
			return err
		}
		p = p[size:]
	}
	return nil
}
