package drain

// split cuts a line into words and what stands between them, into m.tokens. It
// reports whether the line goes on after the last token.
//
// A word is a run of anything but blanks and separators; a colon within a time
// of day, 12:34:56, is no separator. A word between < and > would read as a
// capture of a pattern, so it counts as a wildcard.
func (m *Miner) split(line string) (tail bool) {
	m.tokens = m.tokens[:0]
	if len(line) > m.limits.Bytes {
		cut := m.limits.Bytes
		for cut > 0 && line[cut]&0xC0 == 0x80 { // not within a character
			cut--
		}
		line, tail = line[:cut], true
	}
	for len(line) > 0 {
		if len(m.tokens) >= m.limits.Tokens {
			return true
		}
		n, word := run(line)
		t := token{text: line[:n], word: word}
		line = line[n:]
		if word && len(m.tokens) > 0 && line != "" && line[0] == '>' {
			before := m.tokens[len(m.tokens)-1].text
			t.wild = before[len(before)-1] == '<'
		}
		m.tokens = append(m.tokens, t)
	}
	return tail
}

// run returns the length of the first token of s, which is not empty, and
// whether it is a word.
func run(s string) (n int, word bool) {
	word = !separates(s, 0)
	for n = 1; n < len(s) && separates(s, n) != word; n++ {
	}
	return n, word
}

// separates reports whether byte i of s stands between words.
func separates(s string, i int) bool {
	switch s[i] {
	case ' ', '\t', '\r', '\n', '=', ',', ';', '"', '\'', '`', '(', ')', '[', ']', '{', '}', '<', '>', '|', '&', '?':
		return true
	case ':':
		return i == 0 || i+1 == len(s) || !digit(s[i-1]) || !digit(s[i+1])
	}
	return false
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
