// Package stack finds out which exception the stack trace in a text tells of: those
// of the JVM, .NET and Node.js, Python's, and Go's panics. The trace itself stays
// where it is, in the body.
//
// It never panics on bytes from outside.
package stack

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// maxSearched bounds how much of a text is looked at.
const maxSearched = 64 << 10

// Derive derives type and message of the exception of a text of several lines, if
// its lines prove that there is one, and nothing else told them.
func Derive(b []byte, o *facts.Out) {
	if o.Has(field.ExceptionType) || o.Has(field.ExceptionMessage) {
		return
	}
	b = b[:min(len(b), maxSearched)]
	if i := bytes.Index(b, []byte("Traceback (most recent call last):\n")); i >= 0 {
		python(b[i:], o)
		return
	}
	var before []byte
	for len(b) > 0 {
		var line []byte
		line, b = facts.CutByte(b, '\n')
		line = bytes.TrimSuffix(line, []byte("\r"))
		if text := bytes.TrimLeft(line, " \t"); len(text) < len(line) {
			if bytes.HasPrefix(text, []byte("at ")) && before != nil {
				head(before, o)
				return
			}
			if !bytes.HasPrefix(text, []byte("---> ")) {
				before = nil
			}
			continue
		}
		if message, ok := bytes.CutPrefix(line, []byte("panic: ")); ok && bytes.Contains(b, []byte("goroutine ")) {
			o.Derive(field.ExceptionType, "panic")
			o.DeriveBytes(field.ExceptionMessage, message)
			return
		}
		before = line
	}
}

// head reads [Exception in thread "NAME" | Unhandled exception. ]TYPE[: MESSAGE].
func head(b []byte, o *facts.Out) {
	if rest, ok := bytes.CutPrefix(b, []byte(`Exception in thread "`)); ok {
		if _, b, ok = bytes.Cut(rest, []byte(`" `)); !ok {
			return
		}
	}
	b = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte("Uncaught ")), []byte("Unhandled exception. "))
	name, message := split(b)
	if !bytes.HasSuffix(name, []byte("Exception")) && !bytes.HasSuffix(name, []byte("Error")) && !bytes.HasSuffix(name, []byte("Throwable")) && bytes.IndexByte(name, '.') < 0 {
		return
	}
	o.DeriveBytes(field.ExceptionType, name)
	o.DeriveBytes(field.ExceptionMessage, message)
}

// split splits TYPE[: MESSAGE]; name is nil when there is no type.
func split(b []byte) (name, message []byte) {
	n := 0
	for n < len(b) && n < 200 && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' || b[n]-'0' < 10 || b[n] == '.' || b[n] == '_' || b[n] == '$' || b[n] == '`') {
		n++
	}
	switch {
	case n == 0:
		return nil, nil
	case n == len(b):
		return b, nil
	case b[n] == ':':
		return b[:n], bytes.TrimSpace(b[n+1:])
	}
	return nil, nil
}

// python reads the exception behind the frames of the last traceback.
func python(b []byte, o *facts.Out) {
	var name, message []byte
	frames := false
	for len(b) > 0 {
		var line []byte
		line, b = facts.CutByte(b, '\n')
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) == 0:
		case line[0] == ' ':
			frames = true
		case frames:
			if n, m := split(line); n != nil {
				name, message = n, m
			}
			frames = false
		}
	}
	o.DeriveBytes(field.ExceptionType, name)
	o.DeriveBytes(field.ExceptionMessage, message)
}
