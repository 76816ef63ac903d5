package sensitive

import "bytes"

// FindBodies appends the values of data and stringData in v, a text of one or more
// Kubernetes Secrets.
func (s *Scanner) FindBodies(dst []Finding, v []byte) []Finding {
	c := scan{s: s, set: s.set, v: v, dst: dst, base: len(dst)}
	c.bodies()
	return c.dst
}

// bodies finds the values of data and stringData in a text that is, or holds, a
// Kubernetes Secret: in JSON and in YAML.
func (c *scan) bodies() {
	sc := pool.Get().(*scratch)
	sc.found = sc.found[:0]
	v := c.v
	for i := 0; i < len(v); {
		n := bytes.Index(v[i:], []byte("ata"))
		if n < 0 {
			break
		}
		i += n + 3
		if j := i - 4; j < 1 || v[j] != 'D' && (v[j] != 'd' || class[v[j-1]] != 0) {
			continue
		}
		j := i
		for j < len(v) && (v[j] == '"' || v[j] == ' ' || v[j] == ':') && j-i < 6 {
			j++
		}
		switch {
		case j < len(v) && v[j] == '{':
			i = sc.object(v, j+1)
		case j < len(v) && v[j] == '\n' && v[j-1] == ':':
			i = sc.yaml(v, j+1)
		}
	}
	c.merge(sc)
	sc.put()
}

// object notes the strings that are values of the JSON object after v[i], and
// returns where it ends.
func (s *scratch) object(v []byte, i int) int {
	value := false
	for i < len(v) {
		switch v[i] {
		case '}', '{', '[':
			return i
		case ':':
			value = true
		case ',':
			value = false
		case '"':
			start := i + 1
			for i = start; i < len(v) && v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			i = min(i, len(v))
			if value && !placeholder(v[start:i]) {
				s.found = append(s.found, Finding{start, i, K8sSecret})
			}
		}
		i++
	}
	return i
}

// yaml notes the values of the indented lines from v[i] on, and returns where they
// end.
func (s *scratch) yaml(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t') {
		end := bytes.IndexByte(v[i:], '\n')
		if end < 0 {
			end = len(v) - i
		}
		end += i
		if colon := bytes.IndexByte(v[i:end], ':'); colon > 0 {
			start := i + colon + 1
			for start < end && (v[start] == ' ' || v[start] == '"') {
				start++
			}
			stop := end
			for stop > start && (v[stop-1] == '"' || v[stop-1] == '\r') {
				stop--
			}
			if start < stop && !placeholder(v[start:stop]) {
				s.found = append(s.found, Finding{start, stop, K8sSecret})
			}
		}
		i = min(end+1, len(v))
	}
	return i
}
