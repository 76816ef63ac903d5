package sensitive

// mail looks for an e-mail address around the at sign v[at].
func (c *scan) mail(at int) {
	v := c.v
	if !c.set.Has(Email) || at+4 >= len(v) {
		return
	}
	start := at
	for start > c.end && at-start <= 64 && localByte(v[start-1]) {
		start--
	}
	if start == at && at > 1 && v[at-1] == '"' {
		if start = quotedLocal(v, c.end, at); start == at {
			return
		}
	} else {
		for start < at && (v[start] == '.' || v[start] == '\'' || v[start] == '-') {
			start++
		}
		if start == at || at-start > 64 || v[at-1] == '.' {
			return
		}
	}
	end := domain(v, at+1)
	if end == 0 || c.noMail(start, at, end) {
		return
	}
	c.emit(Email, start, end)
}

// localByte reports whether b stands in local parts as they are used. RFC 5321
// permits more, but in logs those are what separates an address from the text
// around it.
func localByte(b byte) bool {
	return class[b] != 0 || b == '.' || b == '+' || b == '\'' || b == '~' || b == '!' || b >= 0x80
}

// quotedLocal returns where the quoted local part before v[at] begins, or at.
func quotedLocal(v []byte, from, at int) int {
	named := false
	for i := at - 2; i >= from && at-i <= 64; i-- {
		named = named || class[v[i]]&alnum != 0
		switch v[i] {
		case '"':
			if !named || i > 0 && v[i-1] == '\\' {
				return at
			}
			return i
		case '\n', '=', ',', ':', '{':
			return at
		}
	}
	return at
}

// domain returns where the domain that begins at v[i] ends, or 0 when there is no
// valid one.
func domain(v []byte, i int) int {
	from, label, dots := i, i, 0
	for ; i < len(v) && i-from <= 253; i++ {
		b := v[i]
		if b == '.' {
			if i == label || v[i-1] == '-' || i+1 >= len(v) || class[v[i+1]]&(digit|upper|hexLow|low) == 0 {
				break
			}
			label = i + 1
			dots++
			continue
		}
		if class[b] == 0 || b == '_' {
			break
		}
		if i-label >= 63 {
			return 0
		}
	}
	if dots == 0 || i == label || v[from] == '-' {
		return 0
	}
	end := i
	for end > label && v[end-1] == '-' {
		end--
	}
	if i < len(v) && v[i] == '_' || !topLevel(v[label:end]) {
		return 0
	}
	return end
}

// topLevel reports whether a domain may end so.
func topLevel(tld []byte) bool {
	if len(tld) < 2 || len(tld) > 24 {
		return false
	}
	if len(tld) > 4 && foldEqual(tld[:4], "xn--") {
		return true
	}
	var buf [24]byte
	for i, b := range tld {
		if class[b]&(upper|hexLow|low) == 0 {
			return false
		}
		buf[i] = lower(b)
	}
	if len(tld) == 2 {
		return countries[int(buf[0]-'a')*26+int(buf[1]-'a')]
	}
	switch string(buf[:len(tld)]) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "html", "htm", "xml", "json", "yaml", "yml", "toml",
		"txt", "log", "csv", "tsv", "pdf", "doc", "docx", "xls", "xlsx", "tar", "tgz", "gzip", "bin", "exe", "dll", "jar", "war", "conf", "cfg", "ini", "lock",
		"java", "class", "rpm", "deb", "iso", "img", "map", "tsx", "jsx", "vue", "wasm", "proto", "sql", "bak", "tmp", "pem", "crt", "key",
		"service", "socket", "slice", "scope", "mount", "timer", "target", "device", "swap", "path", "automount",
		"svc", "length", "tcp", "udp":
		return false
	}
	return true
}

// countries are the top-level domains of two letters.
var countries = func() (t [26 * 26]bool) {
	const all = "acadaeafagaialamaoaqarasatauawaxazbabbbdbebfbgbhbibjbmbnbobrbsbtbwbybzcacccdcfcgchcickclcmcncocrcucvcwcxcyczdedjdkdmdodzeceeegereseteufifjfkfmfofrgagbgdgegfggghgiglgmgngpgqgrgsgtgugwgyhkhmhnhrhthuidieiliminioiqirisitjejmjojpkekgkhkikmknkpkrkwkykzlalblclilklrlsltlulvlymamcmdmemgmhmkmlmmmnmompmqmrmsmtmumvmwmxmymznancnenfngninlnonpnrnunzompapepfpgphpkplpmpnprpsptpwpyqarerorsrurwsasbscsdsesgshsiskslsmsnsosrssstsusvsxsysztctdtftgthtjtktltmtntotrtttvtwtzuaugukusuyuzvavcvevgvivnvuwfwsyeytzazmzw"
	for i := 0; i+1 < len(all); i += 2 {
		t[int(all[i]-'a')*26+int(all[i+1]-'a')] = true
	}
	return t
}()

// noMail reports whether what looks like an address is none: the user of a URL or
// of ssh, an image's file for dense screens, the id of a message.
func (c *scan) noMail(start, at, end int) bool {
	v := c.v
	switch string(v[start:at]) {
	case "git", "hg", "svn":
		return true
	}
	switch string(v[at+1 : end]) {
	case "openssh.com", "libssh.org", "lysator.liu.se", "ssh.com":
		return true // names of ciphers
	}
	if n := len(".cluster.local"); end-at > n && foldEqual(v[end-n:end], ".cluster.local") {
		return true
	}
	if end < len(v) && v[end] == '(' || end < len(v) && v[end] == '@' {
		return true // a call of a method; more than one at sign
	}
	if start > 1 && v[start-1] == '/' && v[start-2] == '/' {
		return true
	}
	if start > 0 && v[start-1] == ':' {
		for i := start - 2; i > 0 && start-i < 64 && v[i] != ' '; i-- {
			if v[i] == '/' && v[i-1] == '/' {
				return true
			}
		}
	}
	if start > 11 && v[start-1] == '<' && foldEqual(v[start-4:start-2], "id") && foldEqual(v[start-12:start-5], "message") {
		return true
	}
	return start > 12 && v[start-1] == '<' && foldEqual(v[start-5:start-3], "id") && foldEqual(v[start-13:start-6], "message")
}

// url looks for a password within a URL whose colon is v[colon].
func (c *scan) url(colon int) {
	v := c.v
	if !c.set.Has(URLPassword) || colon == 0 || class[v[colon-1]]&(upper|hexLow|low|digit) == 0 {
		return
	}
	from, pass := colon+3, 0
	for i := from; i < len(v) && i-from < 512; i++ {
		switch b := v[i]; b {
		case ':':
			if pass == 0 {
				pass = i + 1
			}
		case '@':
			if pass != 0 && !placeholder(v[pass:i]) {
				c.emit(URLPassword, pass, i)
			}
			return
		case '/', '?', '#':
			if pass == 0 {
				return
			}
			if b == '/' && number16(v[pass:i]) {
				return // that was a port
			}
		case ' ', '"', '\'', '<', '>', '\\', '\n', '\t', ',', '|':
			return
		}
	}
}

// number16 reports whether v is a port.
func number16(v []byte) bool {
	for _, b := range v {
		if class[b] != digit {
			return false
		}
	}
	return len(v) <= 5
}

// foldEqual reports whether b is s, which is in lower case.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != s[i] {
			return false
		}
	}
	return true
}
