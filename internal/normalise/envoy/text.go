package envoy

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
)

// Text reads a text line into the slots and reports whether it is an access log
// of a known layout, and whether all of it was understood.
//
//	[START] "METHOD PATH PROTOCOL" CODE FLAGS …middle… "XFF" "UA" "ID" "AUTHORITY" "UPSTREAM" …tail…
//
// The middle tells the layouts apart by the type of its columns:
//
//	BYTES BYTES MS MS                                Envoy's default
//	DETAILS BYTES …                                  Envoy with details
//	DETAILS TERMINATION "FAILURE" BYTES …            Istio since 1.9
//	"MIXER" "FAILURE" BYTES …                        Istio 1.3 to 1.7
//	"FAILURE" BYTES …                                Istio 1.8
//
// Header values are not escaped, so a quote within a user agent cannot be told
// from its end. Columns after it are therefore read from the right, where no
// value can hold a space, and the user agent is what remains. Of a line that was
// cut before its last column the columns are read from the left: the user agent
// ends at its first quote then, and the column that the cut fell in is not taken.
func (a *Access) Text(line []byte) (matched, whole bool) {
	a.Reset()
	a.line = true
	s, emissary := bytes.CutPrefix(line, []byte("ACCESS "))
	if emissary {
		a.mesh = "emissary"
	}
	if len(s) < 8 || s[0] != '[' && s[0] != '"' {
		return false, false
	}
	kuma := false
	if s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 20 || end > 40 || end+2 >= len(s) || s[end+1] != ' ' {
			return false, false
		}
		ns, n := facts.Stamp(s[1:end])
		if n != end-1 {
			return false, false
		}
		a.started = ns
		a.put(StartTime, s[1:end])
		s = s[end+2:]
		if i := bytes.IndexByte(s, ' '); s[0] != '"' && i > 0 && i+1 < len(s) && s[i+1] == '"' {
			a.put(MeshID, s[:i])
			s, kuma = s[i+1:], true
		}
	}
	s, ok := a.requestColumn(s)
	if !ok {
		return false, false
	}
	s, quotedMiddle, ok := a.middle(s)
	if !ok {
		return false, false
	}
	whole = a.right(s, kuma)
	if !whole && quotedMiddle {
		return false, false // quoted columns are no proof of Istio's old layouts
	}
	return true, whole
}

// requestColumn reads "METHOD PATH PROTOCOL" and the code after it. A path has
// no space, so the first protocol that a quote and a number follow ends it.
func (a *Access) requestColumn(s []byte) (rest []byte, ok bool) {
	if s[0] != '"' {
		return s, false
	}
	end := 0
	for {
		i := quoteEnd(s[end+1:])
		if i < 0 {
			return s, false
		}
		end += 1 + i
		if end+2 < len(s) && s[end+2]-'0' < 10 {
			break
		}
	}
	req := s[1:end]
	method, path, _ := bytes.Cut(req, []byte(" "))
	i := bytes.LastIndexByte(path, ' ')
	if i < 0 {
		return s, false
	}
	path, protocol := path[:i], path[i+1:]
	if string(protocol) != "-" && !bytes.HasPrefix(protocol, []byte("HTTP")) {
		return s, false
	}
	a.put(Method, method)
	a.put(Path, path)
	a.put(Protocol, protocol)
	code, rest := column(s[end+2:])
	if n, good := facts.Uint(code); !good || n > 999 {
		return s, false
	}
	a.put(Code, code)
	return rest, true
}

// quoteEnd returns where the first quote is that a space follows, or -1.
func quoteEnd(s []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(s[from:], '"')
		if i < 0 || from+i+1 >= len(s) {
			return -1
		}
		if from += i + 1; s[from] == ' ' {
			return from - 1
		}
	}
}

// lastQuoted returns where the last space is that a quote follows, or -1.
func lastQuoted(s []byte) int {
	for i := bytes.LastIndexByte(s, '"'); i > 0; i = bytes.LastIndexByte(s[:i], '"') {
		if s[i-1] == ' ' {
			return i - 1
		}
	}
	return -1
}

// column cuts the next column; quoted ones without their quotes.
func column(s []byte) (c, rest []byte) {
	if len(s) > 0 && s[0] == '"' {
		if i := quoteEnd(s[1:]); i >= 0 {
			return s[1 : 1+i], s[i+3:]
		}
		return bytes.TrimSuffix(s[1:], []byte(`"`)), nil
	}
	if i := bytes.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, nil
}

func number(s []byte) bool {
	_, ok := facts.Uint(s)
	return ok
}

// middle reads the flags and what stands between them and the first header, and
// reports whether that began with a quote.
func (a *Access) middle(s []byte) (rest []byte, quoted, ok bool) {
	flags, s := column(s)
	if !flagList(flags) {
		return s, false, false
	}
	a.put(Flags, flags)
	quoted = len(s) > 0 && s[0] == '"'
	c, next := column(s)
	switch {
	case quoted && (len(next) == 0 || next[0] != '"'):
		a.put(Failure, c)
		s = next
	case quoted:
		a.put(PolicyStatus, c)
		c, s = column(next)
		a.put(Failure, c)
	case number(c):
	default:
		a.put(Details, c)
		s = next
		if c, next = column(s); !number(c) {
			a.put(Termination, c)
			c, s = column(next)
			a.put(Failure, c)
		}
	}
	for _, k := range [...]Key{BytesReceived, BytesSent, Duration, UpstreamTime} {
		if c, s = column(s); !number(c) && !facts.Absent(c) {
			return s, quoted, false
		}
		a.put(k, c)
	}
	return s, quoted, len(s) > 0 && s[0] == '"'
}

// flagList reports whether b is - or Envoy's flags: capital letters, digits,
// commas.
func flagList(b []byte) bool {
	if string(b) == "-" {
		return true
	}
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ',' {
			return false
		}
	}
	return len(b) > 0
}

var (
	tailKeys  = [...]Key{UpstreamCluster, UpstreamLocal, DownstreamLocal, DownstreamRemote, ServerName, Route}
	plainKeys = [...]Key{RequestID, Authority, UpstreamHost}
	kumaKeys  = [...]Key{B3TraceID, RequestID, Authority, SourceService, DestinationService, DownstreamRemote, UpstreamHost}
)

// left reads the quoted columns of a line that was cut within them, but for the one
// that the cut fell in.
func (a *Access) left(s []byte, quoted []Key) {
	for i := range len(quoted) + 2 {
		k := ForwardedFor
		if i == 1 {
			k = UserAgent
		} else if i > 1 {
			k = quoted[i-2]
		}
		a.misfit = columns[k]
		if len(s) < 2 || s[0] != '"' {
			return
		}
		end := quoteEnd(s[1:])
		if end < 0 {
			if s[len(s)-1] == '"' {
				a.put(k, s[1:len(s)-1])
			}
			return
		}
		a.put(k, s[1:1+end])
		s = s[end+3:]
	}
}

// right reads the quoted columns and the unquoted tail, from the right. It
// reports whether every column was where the layout says.
func (a *Access) right(s []byte, kuma bool) (whole bool) {
	s = bytes.TrimRight(s, " ")
	last := bytes.LastIndexByte(s, '"')
	tail := bytes.TrimLeft(s[last+1:], " ")
	s = s[:last+1]
	quoted := plainKeys[:]
	if kuma {
		quoted = kumaKeys[:]
	}
	n := bytes.Count(s, []byte(`" "`)) + 1
	if bytes.HasSuffix(s, []byte(` "`)) || n < len(quoted)+2 {
		a.left(s, quoted)
		return false
	}
	if !a.fromEnd(s, quoted) && n == len(quoted)+2 {
		a.left(s, quoted)
		a.misfit = ""
	}
	n = 0
	for len(tail) > 0 {
		if n == len(tailKeys) {
			a.misfit = "rest of the line"
			return false
		}
		var c []byte
		c, tail = column(tail)
		a.put(tailKeys[n], c)
		n++
	}
	if n > 0 && (n < 5 || kuma) {
		a.misfit = columns[tailKeys[n-1]]
	}
	return a.misfit == ""
}

// fromEnd reads the quoted columns from the right: quotes that the layout has not
// are the user agent's. It is false, and nothing read, when a column behind that
// has a space.
func (a *Access) fromEnd(s []byte, quoted []Key) bool {
	var value [len(kumaKeys)][]byte
	for i := len(quoted) - 1; i >= 0; i-- {
		start := lastQuoted(s[:max(len(s)-1, 0)])
		if start < 0 || bytes.IndexByte(s[start+2:len(s)-1], ' ') >= 0 {
			a.misfit = columns[quoted[i]]
			return false
		}
		value[i] = s[start+2 : len(s)-1]
		s = s[:start]
	}
	xff, rest := column(s)
	if len(rest) < 2 || rest[0] != '"' || rest[len(rest)-1] != '"' {
		a.misfit = columns[UserAgent]
		return false
	}
	a.put(ForwardedFor, xff)
	a.put(UserAgent, rest[1:len(rest)-1])
	for i, k := range quoted {
		a.put(k, value[i])
	}
	return true
}
