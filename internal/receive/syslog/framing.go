package syslog

import "bytes"

// framing cuts messages out of a connection (RFC 6587). Each message says by its
// first byte how it ends: a digit other than 0 begins its length (octet counting;
// rsyslog and syslog-ng have a line feed within the count), anything else a line,
// which a line feed or a NUL ends.
//
// A line may begin with a digit as well. So a number is a length only if a space
// and a < follow, or if the message before had a length too.
type framing struct {
	max     int  // bytes of a message
	counted bool // the last message had a length
	skip    int  // bytes of a message too large that are still to come
	drop    bool // within a line that is too large
	seen    int  // bytes of an incomplete line without an end in them
}

// next cuts off the first message of b. n is what it takes of b; 0 means that
// there is no whole message yet. msg is nil for what is no message. large is true
// once for every message that is passed over because of its size.
func (f *framing) next(b []byte) (msg []byte, n int, large bool) {
	switch {
	case len(b) == 0:
		return nil, 0, false
	case f.skip > 0:
		n = min(f.skip, len(b))
		f.skip -= n
		return nil, n, false
	case f.drop:
		if i := lineEnd(b); i >= 0 {
			f.drop = false
			return nil, i + 1, false
		}
		return nil, len(b), false
	}
	for n < len(b) && (b[n] == '\n' || b[n] == '\r' || b[n] == 0) {
		n++
	}
	if n > 0 {
		return nil, n, false
	}
	if b[0] >= '1' && b[0] <= '9' {
		size, head, may := length(b)
		switch {
		case may && head == 0:
			return nil, 0, false
		case may && (f.counted || b[head] == '<'):
			return f.count(b, head, size)
		}
	}
	return f.line(b)
}

// maxDigits of a length.
const maxDigits = 9

// length reads digits and a space. may is false if b begins otherwise; head is 0
// if it is too short to tell, otherwise b[head] is the first byte of the message.
func length(b []byte) (size, head int, may bool) {
	i := 0
	for i < len(b) && i <= maxDigits && b[i] >= '0' && b[i] <= '9' {
		size, i = size*10+int(b[i]-'0'), i+1
	}
	switch {
	case i > maxDigits, i < len(b) && b[i] != ' ':
		return 0, 0, false
	case i+1 >= len(b):
		return 0, 0, true
	}
	return size, i + 1, true
}

func (f *framing) count(b []byte, head, size int) ([]byte, int, bool) {
	f.counted = true
	switch {
	case size > f.max:
		f.skip = size
		return nil, head, true
	case size > len(b)-head:
		return nil, 0, false
	}
	f.seen = 0
	return b[head : head+size : head+size], head + size, false
}

// lineEnd returns where the line that b begins with ends, -1 if that is not there.
func lineEnd(b []byte) int {
	end := bytes.IndexByte(b, '\n')
	if end >= 0 {
		b = b[:end]
	}
	if nul := bytes.IndexByte(b, 0); nul >= 0 {
		return nul
	}
	return end
}

func (f *framing) line(b []byte) ([]byte, int, bool) {
	end := lineEnd(b[f.seen:])
	if end < 0 {
		if f.seen = len(b); len(b) <= f.max {
			return nil, 0, false
		}
		f.seen, f.drop, f.counted = 0, true, false
		return nil, len(b), true
	}
	end += f.seen
	f.seen, f.counted = 0, false
	return b[:end:end], end + 1, end > f.max
}

// rest returns what an incomplete message holds when no more of it will come,
// without the length that it began with.
func (f *framing) rest(b []byte) []byte {
	if f.skip > 0 || f.drop || len(b) == 0 {
		return nil
	}
	if b[0] >= '1' && b[0] <= '9' {
		if _, head, may := length(b); may && head > 0 && (f.counted || b[head] == '<') {
			return b[head:]
		}
	}
	return b
}
