package sensitive

// ibans are the countries of the registry: length, and the layout of what follows
// the check digits (n digits, a capital letters, c both), in order.
var ibans = [...]struct{ country, layout string }{
	{"AD", "8n12c"}, {"AE", "19n"}, {"AL", "8n16c"}, {"AT", "16n"}, {"AZ", "4a20c"}, {"BA", "16n"},
	{"BE", "12n"}, {"BG", "4a6n8c"}, {"BH", "4a14c"}, {"BI", "23n"}, {"BR", "23n1a1c"}, {"BY", "4c4n16c"},
	{"CH", "5n12c"}, {"CR", "18n"}, {"CY", "8n16c"}, {"CZ", "20n"}, {"DE", "18n"}, {"DJ", "23n"},
	{"DK", "14n"}, {"DO", "4c20n"}, {"EE", "16n"}, {"EG", "25n"}, {"ES", "20n"}, {"FI", "14n"},
	{"FK", "2a12n"}, {"FO", "14n"}, {"FR", "10n11c2n"}, {"GB", "4a14n"}, {"GE", "2a16n"}, {"GI", "4a15c"},
	{"GL", "14n"}, {"GR", "7n16c"}, {"GT", "24c"}, {"HN", "4a20n"}, {"HR", "17n"}, {"HU", "24n"},
	{"IE", "4a14n"}, {"IL", "19n"}, {"IQ", "4a15n"}, {"IS", "22n"}, {"IT", "1a10n12c"}, {"JO", "4a4n18c"},
	{"KW", "4a22c"}, {"KZ", "3n13c"}, {"LB", "4n20c"}, {"LC", "4a24c"}, {"LI", "5n12c"}, {"LT", "16n"},
	{"LU", "3n13c"}, {"LV", "4a13c"}, {"LY", "21n"}, {"MC", "10n11c2n"}, {"MD", "20c"}, {"ME", "18n"},
	{"MK", "3n10c2n"}, {"MN", "16n"}, {"MR", "23n"}, {"MT", "4a5n18c"}, {"MU", "4a19n3a"}, {"NI", "4a20n"},
	{"NL", "4a10n"}, {"NO", "11n"}, {"OM", "3n16c"}, {"PK", "4a16c"}, {"PL", "24n"}, {"PS", "4a21c"},
	{"PT", "21n"}, {"QA", "4a21c"}, {"RO", "4a16c"}, {"RS", "18n"}, {"RU", "14n15c"}, {"SA", "2n18c"},
	{"SC", "4a20n3a"}, {"SD", "14n"}, {"SE", "20n"}, {"SI", "15n"}, {"SK", "20n"}, {"SM", "1a10n12c"},
	{"SO", "19n"}, {"ST", "21n"}, {"SV", "4a20n"}, {"TL", "19n"}, {"TN", "20n"}, {"TR", "5n1c16c"},
	{"UA", "6n19c"}, {"VA", "18n"}, {"VG", "4a16n"}, {"XK", "16n"}, {"YE", "4a4n18c"},
}

// layoutOf maps a country's letters to its place in ibans, plus one.
var layoutOf = func() (t [26 * 26]uint8) {
	for i, b := range ibans {
		t[int(b.country[0]-'A')*26+int(b.country[1]-'A')] = uint8(i + 1)
	}
	return t
}()

// ibanLayout returns the layout of the country that v begins with, when two check
// digits follow; "" of none.
func ibanLayout(v []byte) string {
	if len(v) < 4 || class[v[0]] != upper || class[v[1]] != upper || class[v[2]] != digit || class[v[3]] != digit {
		return ""
	}
	i := layoutOf[int(v[0]-'A')*26+int(v[1]-'A')]
	if i == 0 {
		return ""
	}
	return ibans[i-1].layout
}

// isIBAN reports whether v, of capitals and digits, is an account's number.
func isIBAN(v []byte) bool {
	layout := ibanLayout(v)
	if layout == "" {
		return false
	}
	i := 4
	for layout != "" {
		n := 0
		for layout[0] <= '9' {
			n = n*10 + int(layout[0]-'0')
			layout = layout[1:]
		}
		want := upper | digit
		switch layout[0] {
		case 'n':
			want = digit
		case 'a':
			want = upper
		}
		layout = layout[1:]
		for ; n > 0; n-- {
			if i >= len(v) || class[v[i]]&want == 0 {
				return false
			}
			i++
		}
	}
	if i != len(v) {
		return false
	}
	rest := 0
	for k := range v {
		b := v[(k+4)%len(v)]
		if class[b] == digit {
			rest = (rest*10 + int(b-'0')) % 97
		} else {
			rest = (rest*100 + int(b-'A') + 10) % 97
		}
	}
	return rest == 1
}

// namedIBAN looks for an account's number from v[i] on, in any case and spacing,
// because a name before it says that there is one.
func (c *scan) namedIBAN(i int) {
	v, from := c.v, i
	for i < len(v) && i-from < 8 && class[v[i]]&alnum == 0 {
		i++
	}
	var plain [34]byte
	n, start := 0, i
	for ; i < len(v) && n < len(plain); i++ {
		switch b := v[i]; {
		case class[b]&alnum != 0:
			plain[n] = b
			if class[b]&(hexLow|low) != 0 {
				plain[n] -= 'a' - 'A'
			}
			n++
			if n >= 15 && (i+1 == len(v) || class[v[i+1]]&alnum == 0) && isIBAN(plain[:n]) {
				c.emit(IBAN, start, i+1)
				return
			}
		case b != ' ' && b != '-':
			return
		}
	}
}

// spacedIBAN looks for an account's number in groups of four, of which
// v[start:start+4] is the first.
func (c *scan) spacedIBAN(start int) {
	v := c.v
	if !c.set.Has(IBAN) || ibanLayout(v[start:]) == "" {
		return
	}
	sep := v[start+4]
	var plain [34]byte
	n, i := 0, start
	for n < len(plain) && i < len(v) && class[v[i]]&(upper|digit) != 0 {
		plain[n] = v[i]
		n++
		i++
		whole := n%4 == 0 && i < len(v) && v[i] == sep
		if n >= 15 && (i == len(v) || class[v[i]]&^dash == 0) && isIBAN(plain[:n]) {
			c.emit(IBAN, start, i)
			return
		}
		if whole {
			i++
		}
	}
}
