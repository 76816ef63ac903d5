package policy

import (
	"bytes"
	"encoding/hex"
	"unicode"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
	"github.com/meshtrail/meshtrail/internal/policy/vault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// hashPrefix begins every hash, so that a person knows one and a search finds it
// as one word.
const hashPrefix = "hash_"

// replace appends what stands instead of a part of a value; kind is what a
// detector took it for, or none.
func (s *session) replace(ch *change, dst, part []byte, kind sensitive.Kind) []byte {
	switch ch.does {
	case masks:
		return appendMasked(dst, part, ch.first, ch.last, ch.format)
	case hashes, tokenises:
		if out := s.memo.get(ch.does, part); out != nil {
			return append(dst, out...)
		}
		from := len(dst)
		if ch.does == hashes {
			dst = s.hash(dst, part)
		} else {
			dst = s.token(ch, dst, part)
		}
		s.memo.put(ch.does, part, dst[from:])
		return dst
	}
	if kind == 0 || ch.told {
		return append(dst, ch.replace...)
	}
	return appendMark(dst, ch, kind)
}

// appendMark appends what stands instead of what a detector found.
func appendMark(dst []byte, ch *change, kind sensitive.Kind) []byte {
	dst = append(dst, ch.replace[:len(ch.replace)-1]...)
	return append(append(append(dst, ':'), kind.String()...), ']')
}

// open returns the keys of the batch's tenant; nil after an error.
func (s *session) open() *keys {
	if s.key != nil || s.err != nil {
		return s.key
	}
	if k := s.keys[s.tenant]; k != nil {
		s.key = k
		return k
	}
	k := new(keys)
	switch sec := s.p.secrets; {
	case s.p.dry:
		k.mac = crypt.NewKey().MAC()
	default:
		if sec.HashKey != nil {
			key, err := sec.HashKey(s.tenant)
			if err != nil {
				s.err = err
				return nil
			}
			k.mac = key.MAC()
		}
		if sec.Vault != nil {
			t, err := sec.Vault.Of(s.tenant)
			if err != nil {
				s.err = err
				return nil
			}
			k.tokens, k.index = t, t.Hash()
		}
	}
	if len(s.keys) >= 64 {
		clear(s.keys)
	}
	s.keys[s.tenant], s.key = k, k
	return k
}

func (s *session) hash(dst, part []byte) []byte {
	k := s.open()
	if k == nil {
		return dst // Apply fails
	}
	var sum [16]byte
	k.mac.Sum(sum[:], part)
	return hex.AppendEncode(append(dst, hashPrefix...), sum[:])
}

// token appends the token of a value. One that gets none, because it is too long
// or the vault has no room, is redacted.
func (s *session) token(ch *change, dst, part []byte) []byte {
	k := s.open()
	if k == nil {
		return dst // Apply fails
	}
	if s.p.dry {
		var t vault.Token
		k.mac.Sum(t[:], part)
		return t.AppendText(dst)
	}
	t, flight, err := k.tokens.Token(k.index, part)
	switch {
	case fault.Is(err, fault.TooLarge) || fault.Is(err, fault.Overload):
		for i := range s.p.rules {
			if s.p.rules[i].change == ch {
				s.counts.untokened[i]++
			}
		}
		return append(dst, ch.replace...)
	case err != nil:
		s.err = err
		return dst
	}
	if n := len(s.flights); flight != nil && (n == 0 || s.flights[n-1] != flight) {
		s.flights = append(s.flights, flight)
	}
	return t.AppendText(dst)
}

// minHidden is how many characters a mask hides at least.
const minHidden = 4

// appendMasked appends v with all characters hidden but some at either end.
func appendMasked(dst, v []byte, first, last int, format bool) []byte {
	total := 0
	for rest := v; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if !format || shaped(r) {
			total++
		}
		rest = rest[n:]
	}
	if total < first+last+minHidden {
		first, last = 0, 0
	}
	at := 0
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		switch {
		case format && !shaped(r):
			dst = append(dst, v[:n]...)
			v = v[n:]
			continue
		case at < first || at >= total-last:
			dst = append(dst, v[:n]...)
		case !format:
			dst = append(dst, '*')
		case unicode.IsDigit(r):
			dst = append(dst, '0')
		case unicode.IsUpper(r):
			dst = append(dst, 'X')
		default:
			dst = append(dst, 'x')
		}
		at++
		v = v[n:]
	}
	return dst
}

// shaped reports whether a mask that keeps the shape hides a character.
func shaped(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// A memo remembers what the last values became: in one batch most repeat. It
// forgets with the batch.
type memo struct {
	slots [64]struct {
		gen       uint32
		does      deed
		value, as []byte
	}
	gen uint32
}

func (m *memo) reset() {
	if m.gen++; m.gen == 0 {
		m.slots = memo{}.slots
		m.gen = 1
	}
}

func (m *memo) get(does deed, v []byte) []byte {
	s := &m.slots[record.Hash(v)%uint64(len(m.slots))]
	if s.gen == m.gen && s.does == does && bytes.Equal(s.value, v) {
		return s.as
	}
	return nil
}

func (m *memo) put(does deed, v, as []byte) {
	if len(v) > 256 || len(as) == 0 {
		return
	}
	s := &m.slots[record.Hash(v)%uint64(len(m.slots))]
	s.gen, s.does = m.gen, does
	s.value, s.as = append(s.value[:0], v...), append(s.as[:0], as...)
}
