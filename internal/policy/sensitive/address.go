package sensitive

// ipv4 looks for an IPv4 address whose first octet is v[start:end].
func (c *scan) ipv4(start, end int) {
	v := c.v
	if !c.set.Has(IPv4) || c.f.version {
		return
	}
	i, first := start, 0
	for octet := range 4 {
		n, from := 0, i
		for i < len(v) && class[v[i]] == digit && i-from < 4 {
			n = n*10 + int(v[i]-'0')
			i++
		}
		if i == from || n > 255 || i-from > 1 && v[from] == '0' {
			return
		}
		switch octet {
		case 0:
			first = n
		case 3:
			continue
		}
		if i >= len(v) || v[i] != '.' {
			return
		}
		i++
	}
	if first == 0 || first == 127 || first >= 224 || !c.aloneAddress(start, i) {
		return
	}
	if c.emit(IPv4, start, i) && i < len(v) && v[i] == '-' {
		c.end = i + 1 // a range: its end is an address of its own
	}
}

// aloneAddress reports whether dotted octets at v[start:end] are not part of
// something longer, and no version.
func (c *scan) aloneAddress(start, end int) bool {
	v := c.v
	if end < len(v) {
		switch b := v[end]; {
		case b == '-':
			if end+1 < len(v) && class[v[end+1]]&^digit != 0 {
				return false
			}
		case class[b] != 0:
			return false
		case b == '.' && end+1 < len(v) && class[v[end+1]] == digit:
			return false
		}
	}
	if start == 0 {
		return true
	}
	port := end < len(v) && v[end] == ':'
	i := start - 1
	switch v[i] {
	case '.':
		return i == 0 || class[v[i-1]] == 0
	case '/':
		return port || !product(v, i)
	case ' ', '=', ':', '"', '\'':
		for i > 0 && start-i < 4 && class[v[i]] == 0 {
			i--
		}
		return !versionWord(v, i+1)
	}
	return class[v[start-1]] == 0 || v[start-1] == '-' && start > 1 && class[v[start-2]] == digit && c.end == start
}

// product reports whether the word before the slash at v[i] names a program whose
// version follows, as in a user agent.
func product(v []byte, i int) bool {
	end := i
	for i > 0 && class[v[i-1]] != 0 {
		i--
	}
	if i == end {
		return false // "//"
	}
	if i > 0 && (v[i-1] == '/' || v[i-1] == '.') {
		return false // a path, or the name of a host
	}
	switch string(v[i:end]) {
	case "tcp", "udp", "inet", "ip", "ip4", "host", "localhost", "ipv4":
		return false
	}
	return true
}

// versionWord reports whether the word that ends before v[end] announces a
// version.
func versionWord(v []byte, end int) bool {
	for _, w := range [...]string{"version", "release", "build", "ver", "rev"} {
		n := end - len(w)
		if n >= 0 && foldEqual(v[n:end], w) && (len(w) == 7 || n == 0 || class[v[n-1]] == 0) {
			return true
		}
	}
	return false
}

// ipv6 looks for an IPv6 address whose first group is v[start:start+4].
func (c *scan) ipv6(start int) {
	v := c.v
	if !c.set.Has(IPv6) || start > 0 && (class[v[start-1]] != 0 || v[start-1] == ':' || v[start-1] == '.') {
		return
	}
	first := 0
	for _, b := range v[start : start+4] {
		if !isHex(b) {
			return
		}
		first = first<<4 | hexValue(b)
	}
	if first>>13 != 1 && first>>9 != 0xfc>>1 && first>>6 != 0xfe80>>6 {
		return // neither global unicast, nor unique local, nor link-local
	}
	groups, gap, i := 1, false, start+4
	for i < len(v) && v[i] == ':' && groups < 8 {
		if i+1 < len(v) && v[i+1] == ':' {
			if gap {
				return
			}
			gap = true
			i += 2
			if i >= len(v) || !isHex(v[i]) {
				break
			}
		} else {
			i++
		}
		from := i
		for i < len(v) && isHex(v[i]) {
			i++
		}
		if i-from > 4 {
			return
		}
		if i == from {
			i-- // the colon before a port, or at a sentence's end
			break
		}
		groups++
	}
	if groups == 8 == gap || i < len(v) && class[v[i]]&^dash != 0 {
		return
	}
	if i < len(v) && v[i] == ':' && i+1 < len(v) && v[i+1] == ':' {
		return
	}
	c.emit(IPv6, start, i)
}

func hexValue(b byte) int {
	if class[b] == digit {
		return int(b - '0')
	}
	return int(b|0x20-'a') + 10
}
