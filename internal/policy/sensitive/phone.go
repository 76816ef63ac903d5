package sensitive

// callingCodes tells of the calling codes of E.164 how many digits follow them, at
// least and at most. Codes that are not listed with digits have 7 to 12.
var callingCodes = [...]struct {
	code     uint16
	min, max uint8
}{
	{1, 10, 10}, {7, 10, 10}, {20, 8, 10}, {27, 9, 9}, {30, 10, 10}, {31, 9, 9}, {32, 8, 9}, {33, 9, 9},
	{34, 9, 9}, {36, 8, 9}, {39, 6, 11}, {40, 9, 9}, {41, 9, 9}, {43, 7, 13}, {44, 9, 10}, {45, 8, 8},
	{46, 7, 10}, {47, 8, 8}, {48, 9, 9}, {49, 7, 12}, {51, 8, 9}, {52, 10, 11}, {53, 8, 8}, {54, 10, 11},
	{55, 10, 11}, {56, 9, 9}, {57, 10, 10}, {58, 10, 10}, {60, 8, 10}, {61, 9, 9}, {62, 8, 12}, {63, 10, 10},
	{64, 8, 10}, {65, 8, 8}, {66, 8, 9}, {81, 9, 10}, {82, 8, 11}, {84, 9, 10}, {86, 10, 11}, {90, 10, 10},
	{91, 10, 10}, {92, 9, 10}, {93, 9, 9}, {94, 9, 9}, {95, 7, 10}, {98, 10, 10}, {211, 9, 9}, {212, 9, 9},
	{213, 8, 9}, {216, 8, 8}, {218, 9, 9}, {233, 9, 9}, {234, 8, 10}, {254, 9, 9}, {255, 9, 9}, {256, 9, 9},
	{351, 9, 9}, {352, 6, 11}, {353, 7, 9}, {354, 7, 9}, {355, 8, 9}, {356, 8, 8}, {357, 8, 8}, {358, 6, 11},
	{359, 8, 9}, {370, 8, 8}, {371, 8, 8}, {372, 7, 8}, {380, 9, 9}, {381, 8, 9}, {385, 8, 9}, {386, 8, 8},
	{420, 9, 9}, {421, 9, 9}, {852, 8, 8}, {853, 8, 8}, {880, 8, 10}, {886, 8, 9}, {961, 7, 8}, {962, 8, 9},
	{965, 8, 8}, {966, 8, 9}, {971, 8, 9}, {972, 8, 9}, {973, 8, 8}, {974, 8, 8}, {994, 9, 9}, {995, 9, 9},
}

// assigned are the first two digits of the three-digit codes that exist.
var assigned = func() (t [100]bool) {
	for _, n := range []int{21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99} {
		t[n] = true
	}
	return t
}()

// validE164 reports whether digits, calling code first, may be a telephone's.
func validE164(digits []byte) bool {
	if len(digits) < 8 || len(digits) > 15 || digits[0] == '0' {
		return false
	}
	for i := range callingCodes {
		r := &callingCodes[i]
		size, code := 1, uint16(digits[0]-'0')
		for code < r.code && size < 3 && size < len(digits) {
			code = code*10 + uint16(digits[size]-'0')
			size++
		}
		if code != r.code || code < 10 && size != 1 || code >= 10 && code < 100 && size != 2 {
			continue
		}
		if code == 1 {
			return len(digits) == 11 && area(digits[1:])
		}
		rest := len(digits) - size
		return rest >= int(r.min) && rest <= int(r.max)
	}
	if digits[0] == '9' && digits[1] == '9' && (digits[2] == '9' || digits[2] == '0' || digits[2] == '7') {
		return false // reserved
	}
	return assigned[int(digits[0]-'0')*10+int(digits[1]-'0')] && len(digits) >= 10
}

// area reports whether ten digits have an area code and an exchange as the North
// American plan has them.
func area(d []byte) bool {
	return len(d) == 10 && d[0] >= '2' && d[3] >= '2' && !(d[1] == '1' && d[2] == '1') && !(d[4] == '1' && d[5] == '1') && d[1] != '9'
}

// dial reads a telephone's digits as people write them from v[i], and returns how
// many, where they end, and how many groups they are in. Not more than one
// separator stands between groups, except around parentheses.
func dial(v []byte, i int, digits *[16]byte) (n, end, groups int) {
	gap := 2 // separators since the last digit
	for ; i < len(v); i++ {
		switch b := v[i]; {
		case class[b] == digit:
			if n == len(digits) {
				return n + 1, i, groups
			}
			if gap > 0 {
				groups++
			}
			digits[n], gap = b, 0
			n++
			end = i + 1
		case b == '(' || b == ')':
			gap++
		case b == ' ' || b == '-' || b == '.' || b == '/':
			if gap++; gap > 2 && n > 0 {
				return n, end, groups
			}
		default:
			return n, end, groups
		}
		if gap > 3 {
			return n, end, groups
		}
	}
	return n, end, groups
}

// international looks at a plus before digits.
func (c *scan) international(plus int) {
	v := c.v
	if !c.set.Has(Phone) || plus > 0 && class[v[plus-1]]&^dash != 0 || plus+1 >= len(v) || v[plus+1] == '0' {
		return
	}
	var digits [16]byte
	n, end, _ := dial(v, plus+1, &digits)
	for n > 15 || n >= 8 {
		if n <= 15 && (end == len(v) || class[v[end]] == 0) {
			if k := trunk(&digits, n); validE164(digits[:k]) {
				c.emit(Phone, plus, end)
				return
			}
		}
		// The last group may be something else: a date, an extension.
		cut := end
		if n > 15 {
			n = 15 + 1
		}
		for cut > plus+1 && class[v[cut-1]] == digit {
			cut--
			n--
		}
		for cut > plus+1 && class[v[cut-1]] != digit {
			cut--
		}
		if cut <= plus+1 || cut == end {
			return
		}
		end = cut
	}
}

// trunk removes the zero of "+44 (0)20 …" and returns how many digits remain.
func trunk(d *[16]byte, n int) int {
	if n > 4 && d[2] == '0' && (d[0] == '4' || d[0] == '3' && d[1] != '9') {
		copy(d[2:n-1], d[3:n])
		return n - 1
	}
	return n
}

// northAmerican looks for ddd-ddd-dddd, (ddd) ddd-dddd and ddd ddd dddd with an
// area code that may exist, where nothing around it says that it is another kind
// of number.
func (c *scan) northAmerican(start, first int) {
	v := c.v
	if !c.set.Has(Phone) {
		return
	}
	var digits [16]byte
	n, end, groups := dial(v, start, &digits)
	if n != 10 || groups != 3 || !area(digits[:10]) || end < len(v) && class[v[end]] != 0 {
		return
	}
	if first == start && v[first+3] != v[first+7] || class[v[end-5]] == digit || class[v[end-9]] == digit {
		return
	}
	if start > 0 && !c.f.phone {
		b, one := v[start-1], start > 1 && v[start-1] == '-' && v[start-2] == '1' && (start == 2 || class[v[start-3]] == 0)
		switch {
		case one:
			start -= 2
		case class[b] != 0, b == '/', b == '=', b == ':', b == '#', b == '.', b == '+', b == '@':
			return
		case b == ' ' && first == start && start > 1 && (class[v[start-2]] == digit || v[start-2] == ':' || v[start-2] == '#'):
			return
		}
	}
	if end < len(v) && !c.f.phone && (v[end] == '/' || v[end] == ':' || v[end] == '.' && end+1 < len(v) && class[v[end+1]] == digit || v[end] == ' ' && end+1 < len(v) && class[v[end+1]] == digit) {
		return
	}
	c.emit(Phone, start, end)
}

// national looks for a telephone's number in any form from v[i] on, because a name
// or a word before it says that there is one.
func (c *scan) national(i int) {
	v := c.v
	if !c.set.Has(Phone) {
		return
	}
	for stop := min(len(v), i+24); i < stop; i++ {
		switch b := v[i]; {
		case class[b] == digit || b == '+' || b == '(':
			var digits [16]byte
			first := i
			if b == '+' {
				first++
			}
			n, end, groups := dial(v, first, &digits)
			if n >= 7 && n <= 15 && (end == len(v) || class[v[end]] == 0) && (n >= 9 || groups > 1) && !isDate(digits[:n], groups) {
				c.emit(Phone, i, end)
			}
			return
		case b == '\n' || b == ',' || b == ';' || b == '/' || b == '{' || b == '[':
			return
		}
	}
}

// isDate reports whether digits in groups are a date's, as 2026-11-20.
func isDate(d []byte, groups int) bool {
	return groups > 1 && len(d) >= 8 && (d[0] == '1' && d[1] == '9' || d[0] == '2' && d[1] == '0') && d[4] <= '1' && d[6] <= '3'
}
