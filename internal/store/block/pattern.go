package block

// Can says which values of a template hold a text.
type Can uint8

// What is known of a template.
const (
	Maybe Can = iota // some, or it is not known
	Never
	Always
)

// A Pattern is a text sought in the values of a Split: anywhere in them, at their
// beginning, or as the whole. It follows all ways in which a template's pieces and
// slots may hold the text at once (a bit for each length of it that a value read
// so far may end with), so one walk over a template tells. Only the text's first
// bytes are followed, as many as there are bits.
type Pattern struct {
	full  bool   // all of the text is followed
	front bool   // the text stands at the beginning
	whole bool   // and is all
	done  uint64 // the bit of the whole text
	start uint64 // begins anew at each byte
	next  [256]uint64
	digit uint64 // next of any of these
	hex   uint64
	any   uint64
}

// maxFollowed is the number of a text's bytes that are followed.
const maxFollowed = 63

// Place says where in a value a text is sought.
type Place uint8

// The places.
const (
	Anywhere Place = iota
	Front
	Whole
)

// NewPattern prepares a text.
func NewPattern(text string, place Place) *Pattern {
	p := &Pattern{full: len(text) <= maxFollowed, front: place != Anywhere, whole: place == Whole}
	text = text[:min(len(text), maxFollowed)]
	p.whole = p.whole && p.full
	p.done = 1 << len(text)
	p.any = p.done - 1
	if !p.front {
		p.start = 1
	}
	for i := range len(text) {
		p.next[text[i]] |= 1 << i
	}
	for c, d := range digits {
		if d < 10 {
			p.digit |= p.next[c]
		}
		if d < 16 {
			p.hex |= p.next[c]
		}
	}
	return p
}

// text follows the ways in at over b, and reports whether one of them found all.
func (p *Pattern) text(at uint64, b []byte) (uint64, bool) {
	found := false
	for _, c := range b {
		at = (at&p.next[c])<<1 | p.start
		found = found || at&p.done != 0
	}
	return at, found
}

// of follows the ways in at over one or more bytes of a set.
func (p *Pattern) of(at, set uint64) uint64 {
	at = (at & set) << 1
	for {
		next := at | (at&set)<<1
		if next == at {
			return at | p.start
		}
		at = next
	}
}

// slot follows the ways in at over what a slot may hold. Entries of a dictionary
// are looked at if deep is set.
func (p *Pattern) slot(at uint64, x *part, deep bool) (uint64, bool, error) {
	out, found := uint64(0), false
	switch x.form {
	case slotInts:
		out = p.of(at, p.digit)
	case slotDigits:
		out = p.of(at, p.digit)
	case slotHex:
		out = p.of(at, p.hex)
	case slotLongHex:
		out = at | p.of(at, p.hex)
	case slotDict:
		if !deep {
			return at | p.of(at, p.any), at&(p.any|p.done) != 0, nil
		}
		v, err := x.entries()
		if err != nil {
			return 0, false, err
		}
		for e := range v.Ends {
			next, ok := p.text(at, v.Bytes(e))
			out |= next
			found = found || ok
		}
		return out, found, nil
	default:
		out = at | p.of(at, p.any)
	}
	if (x.form == slotDigits || x.form == slotHex) && x.width == 0 {
		out |= at
	}
	return out, out&p.done != 0, nil
}

// Match says whether the values of template t of s hold the text.
func (p *Pattern) Match(s *Split, t int) (Can, error) {
	can, dicts, err := p.match(s, t, false)
	if err == nil && can == Maybe && dicts {
		can, _, err = p.match(s, t, true)
	}
	return can, err
}

// match walks over a template, and reports whether it has a dictionary.
func (p *Pattern) match(s *Split, t int, deep bool) (can Can, dicts bool, err error) {
	if p.done == 1 {
		return Maybe, false, nil // nothing is sought
	}
	at, sure := uint64(1), uint64(1) // sure: through what all values have
	maybe, always := false, false
	follow := func(b []byte) {
		var a, c bool
		at, a = p.text(at, b)
		sure, c = p.text(sure, b)
		maybe, always = maybe || a, always || c
	}
	from, to := s.first[t], s.first[t+1]
	for k := from; k < to; k++ {
		follow(s.piece(t, int(k-from)))
		x := &s.slots[k]
		if x.form == slotConst {
			follow(x.b)
			continue
		}
		dicts = dicts || x.form == slotDict
		var found bool
		if at, found, err = p.slot(at, x, deep); err != nil {
			return Maybe, false, err
		}
		maybe = maybe || found
		sure = p.start
	}
	follow(s.piece(t, int(to-from)))
	if p.whole { // at the end of the value, not on the way
		maybe, always = at&p.done != 0, sure&p.done != 0
	}
	switch {
	case always && p.full:
		return Always, dicts, nil
	case maybe:
		return Maybe, dicts, nil
	}
	return Never, dicts, nil
}

// Filled reports whether no value of template t is empty, as far as its pieces
// tell.
func (s *Split) Filled(t int) bool {
	from, to := int(s.first[t])+t, int(s.first[t+1])+t
	start := uint32(0)
	if from > 0 {
		start = s.pieces.Ends[from-1]
	}
	return s.pieces.Ends[to] > start
}
