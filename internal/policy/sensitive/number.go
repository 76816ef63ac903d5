package sensitive

// number looks at a word of digits and dashes.
func (c *scan) number(start, end int, m uint8) {
	v, n := c.v, end-start
	next := byte(0)
	if end < len(v) {
		next = v[end]
	}
	if start > 0 && v[start-1] == '+' {
		c.international(start - 1)
		return
	}
	if m != digit {
		c.dashed(start, end)
		return
	}
	switch {
	case next == '.' && n <= 3:
		c.ipv4(start, end)
		if n == 3 && c.end <= end {
			c.northAmerican(start, start)
		}
	case next == ')' && n == 3 && start > 0 && v[start-1] == '(':
		c.northAmerican(start-1, start)
	case n >= hexLong && c.layer < layers:
		c.hex(start, end)
	case n >= 13:
		if n <= 19 && c.set.Has(PAN) && c.apart(start, end) && isPAN(v[start:end], c.f.card || start < c.card) {
			c.emit(PAN, start, end)
		}
	case n >= 8 && n <= 10 && next == ':':
		c.telegram(start, end)
	case n == 4 && (next == ' ' || next == '.' || next == '\t'):
		c.grouped(start, end, next)
	case n == 3 && next == ' ':
		c.northAmerican(start, start)
	}
}

// dashed looks at numbers with dashes within.
func (c *scan) dashed(start, end int) {
	v := c.v
	for start < end && v[start] == '-' {
		start++
	}
	for start < end && v[end-1] == '-' {
		end--
	}
	switch n := end - start; {
	case n == 12:
		c.northAmerican(start, start)
	case n == 14 && v[start] == '1' && v[start+1] == '-':
		c.northAmerican(start+2, start+2)
	case n >= 15 && n <= 23:
		c.grouped(start, start+4, '-')
	}
}

// grouped looks for the number of a card in groups of digits: 4-4-4-4, 4-6-5,
// 4-6-4, 4-4-4-4-3, with one separator throughout.
func (c *scan) grouped(start, end int, sep byte) {
	if !c.set.Has(PAN) || end-start != 4 || !c.apart(start, start) {
		return
	}
	if start > 1 && c.v[start-1] == sep && sep != ' ' && class[c.v[start-2]] == digit {
		return
	}
	for i := start; i >= 5 && c.v[i-1] == sep && start-i < 40; i -= 5 {
		if ibanLayout(c.v[i-5:]) != "" {
			return // groups of an account's number
		}
	}
	var digits [19]byte
	n, last := 0, 0
	v, i, group := c.v, start, 0
	ends := [5]int{}
	for group < 5 {
		g := i
		for i < len(v) && class[v[i]] == digit {
			if n == len(digits) {
				return
			}
			digits[n] = v[i]
			n++
			i++
		}
		if i == g {
			break
		}
		ends[group], last = i-g, i
		group++
		if i >= len(v) || v[i] != sep {
			break
		}
		i++
	}
	if last < len(v) && class[v[last]]&^dash != 0 {
		return
	}
	for ; group >= 3; group-- {
		if shape := ends; groupsOf(&shape, group) && isPAN(digits[:n], true) {
			c.emit(PAN, start, last)
			return
		}
		n -= ends[group-1]
		last -= ends[group-1] + 1
	}
}

// groupsOf reports whether groups of these lengths are how cards are printed.
func groupsOf(g *[5]int, n int) bool {
	switch {
	case g[0] != 4:
		return false
	case n == 3:
		return g[1] == 6 && (g[2] == 4 || g[2] == 5)
	case n == 4:
		return g[1] == 4 && g[2] == 4 && g[3] == 4
	case n == 5:
		return g[1] == 4 && g[2] == 4 && g[3] == 4 && g[4] >= 1 && g[4] <= 3
	}
	return false
}

// issuers are the ranges of first digits by which networks are known, each with
// the lengths that it has (bit n: n digits) and whether a number of it is believed
// only where something else speaks of a card.
var issuers = [...]struct {
	from, to uint32 // of the first six digits
	lengths  uint32
	doubtful bool
}{
	{400000, 499999, 1 << 16, false},                                      // Visa
	{400000, 499999, 1<<13 | 1<<19, true},                                 // Visa; as long as an EAN, or as any 63 bits
	{510000, 559999, 1 << 16, false},                                      // Mastercard
	{222100, 272099, 1 << 16, false},                                      // Mastercard
	{340000, 349999, 1 << 15, false},                                      // American Express
	{370000, 379999, 1 << 15, false},                                      // American Express
	{601100, 601199, 1 << 16, false},                                      // Discover
	{644000, 659999, 1 << 16, false},                                      // Discover, RuPay
	{601100, 659999, 1<<17 | 1<<18 | 1<<19, true},                         // Discover
	{620000, 629999, 1<<16 | 1<<17 | 1<<18 | 1<<19, false},                // UnionPay, Discover
	{810000, 817199, 1<<16 | 1<<19, true},                                 // UnionPay
	{300000, 305999, 1<<14 | 1<<16, false},                                // Diners Club
	{309500, 309599, 1<<14 | 1<<16, false},                                // Diners Club
	{360000, 369999, 1<<14 | 1<<16, false},                                // Diners Club
	{380000, 399999, 1<<14 | 1<<16, false},                                // Diners Club
	{352800, 358999, 1 << 16, false},                                      // JCB
	{220000, 220499, 1<<16 | 1<<19, false},                                // Mir
	{979200, 979299, 1 << 16, false},                                      // Troy
	{500000, 509999, 1 << 16, false},                                      // Maestro, Verve, Elo
	{560000, 589999, 1 << 16, false},                                      // Maestro
	{630400, 630499, 1<<16 | 1<<18 | 1<<19, false},                        // Maestro
	{606282, 606282, 1<<16 | 1<<19, false},                                // Hipercard
	{675900, 676999, 1<<16 | 1<<18 | 1<<19, false},                        // Maestro
	{500000, 699999, 1<<13 | 1<<14 | 1<<15 | 1<<17 | 1<<18 | 1<<19, true}, // Maestro's other lengths
}

// isPAN reports whether digits are the number of a card. named says that
// something else speaks of one.
func isPAN(digits []byte, named bool) bool {
	n := len(digits)
	if n < 13 || n > 19 || digits[0] < '2' {
		return false
	}
	head := uint32(0)
	for _, d := range digits[:6] {
		head = head*10 + uint32(d-'0')
	}
	known := false
	for i := range issuers {
		r := &issuers[i]
		if head >= r.from && head <= r.to && r.lengths>>n&1 != 0 && (named || !r.doubtful) {
			known = true
			break
		}
	}
	if !known {
		return false
	}
	sum, same := 0, true
	for i := range digits {
		d := int(digits[n-1-i] - '0')
		if i&1 != 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		same = same && (i == 0 || digits[i] == digits[i-1])
	}
	return sum%10 == 0 && !same
}

// telegram looks for a bot's token after its number.
func (c *scan) telegram(start, end int) {
	v := c.v
	if !c.set.Has(Telegram) || end+36 > len(v) || v[end+1] != 'A' || v[end+2] != 'A' {
		return
	}
	e := end + 1
	for e < len(v) && class[v[e]] != 0 {
		e++
	}
	if e-end-1 == 35 {
		c.emit(Telegram, start, e)
	}
}
