package facts

import "bytes"

// A ClientCert is the last element of an X-Forwarded-Client-Cert header: the
// client that the proxy which wrote it last spoke to.
type ClientCert struct {
	By      []byte // URI of that proxy's own certificate
	URI     []byte // first URI of the client's
	Subject []byte // without its quotes; what is escaped within stays so
}

// SplitClientCert reads the last element of By=…;Hash=…;Subject="…";URI=…,By=….
// Values that hold commas, semicolons or equals signs are quoted.
func SplitClientCert(b []byte) (c ClientCert) {
	for len(b) > 0 {
		key, rest, found := bytes.Cut(b, []byte("="))
		if !found {
			return c
		}
		value, rest := certValue(rest)
		switch key = bytes.TrimSpace(key); {
		case bytes.EqualFold(key, []byte("By")):
			c.By = value
		case bytes.EqualFold(key, []byte("Subject")):
			c.Subject = value
		case bytes.EqualFold(key, []byte("URI")) && len(c.URI) == 0:
			c.URI = value
		}
		if len(rest) > 0 && rest[0] == ',' {
			if len(rest) > 1 {
				c = ClientCert{} // a later proxy's element follows
			}
		}
		if len(rest) == 0 {
			return c
		}
		b = rest[1:]
	}
	return c
}

// certValue cuts a value off; rest begins with the comma or semicolon behind it.
func certValue(b []byte) (value, rest []byte) {
	if len(b) > 0 && b[0] == '"' {
		for i := 1; i < len(b); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				value, rest = b[1:i], b[i+1:]
				if end := bytes.IndexAny(rest, ",;"); end >= 0 {
					return value, rest[end:]
				}
				return value, nil
			}
		}
		return b[1:], nil
	}
	if i := bytes.IndexAny(b, ",;"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}
