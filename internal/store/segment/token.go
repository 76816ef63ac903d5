package segment

import (
	"github.com/zeebo/xxh3"
)

// The longest and shortest compound token, in bytes.
const (
	minCompound = 7
	maxCompound = 64
)

// Classes of bytes.
const (
	isWord     = 1 // [A-Za-z0-9_]
	isCompound = 2 // isWord and [.:/@-]
	isDigit    = 4
	isUpper    = 8
)

var class = func() (t [256]byte) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = isWord | isCompound | isDigit
		case c >= 'a' && c <= 'z', c == '_':
			t[c] = isWord | isCompound
		case c >= 'A' && c <= 'Z':
			t[c] = isWord | isCompound | isUpper
		case c == '.', c == ':', c == '/', c == '@', c == '-':
			t[c] = isCompound
		}
	}
	return t
}()

// Seed returns the seed of a column's tokens.
func Seed(column string) uint64 { return xxh3.HashString(column) }

// HashToken returns the hash of a token in a column.
func HashToken(token string, seed uint64) uint64 { return xxh3.HashStringSeed(token, seed) }

// End says how a text that was asked for is bounded in the value.
type End uint8

// The ends.
const (
	AnyEnd   End = iota // anything may follow
	WordEnd             // no part of a word follows
	WholeEnd            // the value ends
)

// Tokens calls f for each token that a value holds when it contains v, with v's
// ends bounded as left and right say. A token is a run of [A-Za-z0-9_]; or, as
// a compound, a run of [A-Za-z0-9_.:/@-] of 7 to 64 bytes that has a digit and
// two parts at least (addresses, UUIDs, paths, hosts).
func Tokens(v string, left, right End, f func(token string)) {
	for i := 0; i < len(v); {
		if class[v[i]]&isCompound == 0 {
			i++
			continue
		}
		end, parts, kinds := i, 0, byte(0)
		for end < len(v) && class[v[end]]&isCompound != 0 {
			start := end
			for end < len(v) && class[v[end]]&isWord != 0 {
				kinds |= class[v[end]]
				end++
			}
			if end > start {
				parts++
				if (start > 0 || left != AnyEnd) && (end < len(v) || right != AnyEnd) {
					f(v[start:end])
				}
			}
			for end < len(v) && class[v[end]]&(isWord|isCompound) == isCompound {
				end++
			}
		}
		whole := (i > 0 || left == WholeEnd) && (end < len(v) || right == WholeEnd)
		if size := end - i; whole && parts >= 2 && kinds&isDigit != 0 && size >= minCompound && size <= maxCompound {
			f(v[i:end])
		}
		i = end
	}
}

// Parts returns how many runs of [A-Za-z0-9_] a token is made of: two at least
// when it is a compound, and then Tokens has called each of them just before.
func Parts(token string) (n int) {
	in := false
	for i := 0; i < len(token); i++ {
		word := class[token[i]]&isWord != 0
		if word && !in {
			n++
		}
		in = word
	}
	return n
}

// MaxFolded is the longest token that is indexed in lower case as well, for
// searches without regard to case.
const MaxFolded = 64

// A hashSet gathers distinct hashes and is emptied without clearing.
type hashSet struct {
	slots []uint64
	gens  []uint32
	gen   uint32
	list  []uint64
}

func (s *hashSet) reset() {
	s.list = s.list[:0]
	if s.gen++; s.gen == 0 || s.slots == nil {
		if s.slots == nil {
			s.slots, s.gens = make([]uint64, 1<<12), make([]uint32, 1<<12)
		}
		clear(s.gens)
		s.gen = 1
	}
}

func (s *hashSet) add(h uint64) {
	mask := uint64(len(s.slots) - 1)
	at := h & mask
	for s.gens[at] == s.gen {
		if s.slots[at] == h {
			return
		}
		at = (at + 1) & mask
	}
	s.slots[at], s.gens[at] = h, s.gen
	s.list = append(s.list, h)
	if 2*len(s.list) > len(s.slots) {
		s.grow()
	}
}

func (s *hashSet) grow() {
	n := 2 * len(s.slots)
	s.slots, s.gens, s.gen = make([]uint64, n), make([]uint32, n), 1
	mask := uint64(n - 1)
	for _, h := range s.list {
		at := h & mask
		for s.gens[at] == 1 {
			at = (at + 1) & mask
		}
		s.slots[at], s.gens[at] = h, 1
	}
}

// tokens adds the tokens of one value. The scan is Tokens, inlined for speed:
// TestTokenisersAgree holds the two together.
func (s *hashSet) tokens(v string, seed uint64) {
	var buf [MaxFolded]byte
	for i := 0; i < len(v); {
		if class[v[i]]&isCompound == 0 {
			i++
			continue
		}
		end, parts, kinds := i, 0, byte(0)
		for end < len(v) && class[v[end]]&isCompound != 0 {
			start, upper := end, byte(0)
			for end < len(v) && class[v[end]]&isWord != 0 {
				upper |= class[v[end]]
				end++
			}
			kinds |= upper
			if end > start {
				parts++
				s.token(v[start:end], seed, upper&isUpper != 0, &buf)
			}
			for end < len(v) && class[v[end]]&(isWord|isCompound) == isCompound {
				end++
			}
		}
		if size := end - i; parts >= 2 && kinds&isDigit != 0 && size >= minCompound && size <= maxCompound {
			s.token(v[i:end], seed, kinds&isUpper != 0, &buf)
		}
		i = end
	}
}

func (s *hashSet) token(t string, seed uint64, upper bool, buf *[MaxFolded]byte) {
	s.add(xxh3.HashStringSeed(t, seed))
	if !upper || len(t) > MaxFolded {
		return
	}
	for i := 0; i < len(t); i++ {
		c := t[i]
		if class[c]&isUpper != 0 {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	s.add(xxh3.HashSeed(buf[:len(t)], seed))
}
