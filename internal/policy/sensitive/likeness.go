package sensitive

// placeholder reports whether v stands for a value that is not there: empty,
// masked, a variable, a word for nothing.
func placeholder(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	switch b := v[0]; {
	case b == '[' || b == '<' || b == '(' || b == '{':
		return len(v) < 64
	case b == '$' && len(v) > 1 && (v[1] == '{' || v[1] == '(' || class[v[1]] == upper && shout(v[1:])):
		return true
	case b == '%' && len(v) <= 3 && (len(v) < 3 || !isHex(v[1]) || !isHex(v[2])):
		return true
	}
	same, stars := true, 0
	for i, b := range v {
		same = same && (i == 0 || b == v[i-1])
		if b == '*' {
			if stars++; stars == 3 {
				return true
			}
		} else {
			stars = 0
		}
	}
	if len(v) > 12 && hasByte(v, '_') && shout(v) && !hasDigit(v) {
		return true // HIDDEN_DUE_TO_POLICY, or the name of a variable
	}
	if same && (len(v) == 1 || class[v[0]]&(digit|upper|hexLow|low) == 0 || lower(v[0]) == 'x') {
		return true
	}
	if len(v) > 12 {
		for i := 0; i+8 <= min(len(v), 32); i++ {
			if foldEqual(v[i:i+8], "redacted") {
				return true
			}
		}
		return false
	}
	var buf [12]byte
	for i, b := range v {
		buf[i] = lower(b)
	}
	switch string(buf[:len(v)]) {
	case "null", "nil", "none", "true", "false", "undefined", "redacted", "hidden", "masked", "empty", "unset", "yes", "no", "omitted", "filtered", "scrubbed",
		"n/a", "na", "set", "not", "string", "bytes", "int", "object", "secret", "password", "token", "required", "optional", "invalid", "expired", "missing", "default", "basic", "bearer", "\"\"", "''", "enabled", "disabled", "unknown":
		return true
	}
	return false
}

func hasDigit(v []byte) bool {
	for _, b := range v {
		if class[b] == digit {
			return true
		}
	}
	return false
}

// shout reports whether v is the name of a variable, as PASSWORD.
func shout(v []byte) bool {
	for _, b := range v {
		if class[b]&(upper|digit|under) == 0 {
			return false
		}
	}
	return true
}

// tokenLike reports whether v looks like a credential, which a name alone does not
// prove: tokens also number pages, and secrets have names.
func tokenLike(v []byte) bool {
	if len(v) < 8 {
		return false
	}
	var seen uint8
	digits, part, longest := 0, 0, 0
	for _, b := range v {
		k := class[b]
		switch {
		case k == 0 && (b <= ' ' || b == '(' || b == '{' || b == '<'):
			return false
		case k == digit:
			digits++
		case k == low:
			k = hexLow
		}
		if k&(digit|upper|hexLow) != 0 {
			part++
		} else {
			part = 0
		}
		longest = max(longest, part)
		seen |= k
	}
	if isUUID(v) {
		return true
	}
	if digits == 0 {
		return randomCase(v)
	}
	if seen&(upper|hexLow) == 0 {
		return false
	}
	// my-secret-1, kube-system/default-token-7xk2p and v1.2.3-rc1 are names.
	return longest >= 16 || part == len(v) || seen&upper != 0 && longest >= 12 && v[0] != '/'
}

// randomCase reports whether letters change their case as often as chance has it,
// and not as CamelCase does.
func randomCase(v []byte) bool {
	if len(v) < 16 {
		return false
	}
	turns, letters := 0, 0
	for i, b := range v {
		k := class[b]
		if k&(upper|hexLow|low) == 0 {
			continue
		}
		letters++
		if i > 0 && class[v[i-1]]&(upper|hexLow|low) != 0 && (class[v[i-1]] == upper) != (k == upper) {
			turns++
		}
	}
	return letters >= 12 && turns*3 >= letters
}

func isUUID(v []byte) bool {
	if len(v) != 36 {
		return false
	}
	for i, b := range v {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if b != '-' {
				return false
			}
		} else if !isHex(b) {
			return false
		}
	}
	return true
}

// named finds what is to be replaced in a value whose field's name speaks for it.
func (s *Scanner) named(dst []Finding, f Field, v []byte) []Finding {
	c := scan{s: s, set: s.set, f: f, v: v, dst: dst, base: len(dst)}
	start, end := 0, len(v)
	for start < end && (v[start] == ' ' || v[start] == '"' || v[start] == '[' && start+1 < end && v[start+1] == '"') {
		start++
	}
	for end > start && (v[end-1] == ' ' || v[end-1] == '\n' || v[end-1] == '"' || v[end-1] == ']' && start > 0) {
		end--
	}
	if placeholder(v[start:end]) {
		return dst
	}
	switch {
	case f.ev == ofAuth:
		c.credential(start, end, true)
	case f.ev == ofDirectory:
		c.value(ofDirectory, assignment{start: start, end: end, quoted: true})
	default:
		k := f.whole
		if own, n := c.own(start, end); n == end-start && s.set.Has(own) {
			k = own
		}
		if k == AWSSecretKey && end-start != 40 && s.set.Has(Assignment) {
			k = Assignment
		}
		c.emit(k, start, end)
	}
	if len(c.dst) == c.base {
		return s.find(dst, f, v, 1)
	}
	return c.dst
}

// wholly judges a value as a whole by what its field's name says.
func (c *scan) wholly() {
	v := c.v
	switch {
	case c.f.phone:
		digits := 0
		for i, b := range v {
			switch {
			case class[b] == digit:
				digits++
			case b == '+' && i == 0 || b == ' ' || b == '-' || b == '.' || b == '/' || b == '(' || b == ')':
			default:
				return
			}
		}
		if digits >= 7 && digits <= 15 {
			c.emit(Phone, 0, len(v))
		}
	case c.f.kube:
		if n := len(v); n >= 4 && n%4 == 0 && is64(v) || n > 0 && c.f.plain {
			c.emit(K8sSecret, 0, len(v))
		}
	case c.f.ev == ofIBAN:
		c.namedIBAN(0)
	case c.f.ev == ofToken:
		start, end := 0, len(v)
		if end > 4 && string(v[:2]) == `["` && string(v[end-2:]) == `"]` { // of one, as headers are kept
			start, end = 2, end-2
		}
		if w := v[start:end]; tokenLike(w) && !placeholder(w) {
			k := Assignment
			if own, n := c.own(start, end); n == len(w) && c.set.Has(own) {
				k = own
			}
			c.emit(k, start, end)
		}
	}
}

// is64 reports whether v is base64 as Kubernetes writes it.
func is64(v []byte) bool {
	for i, b := range v {
		if sextet[b] >= 64 && !(b == '=' && i >= len(v)-2) || b == '-' || b == '_' {
			return false
		}
	}
	return true
}
