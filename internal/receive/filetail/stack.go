package filetail

import "bytes"

// A trace is whose stack trace a group of lines is.
type trace uint8

const (
	ordinary   trace = iota
	jvm              // of the JVM, .NET, Node.js or Ruby: frames are indented
	python           // within Python's: frames are indented, the exception is not
	pythonDone       // behind its exception
	pythonNext       // behind the words that announce another one
	golang
	php
	rust     // behind the line that says where: what it says follows
	rustDone // behind that
)

// A follow says whether a line goes on with a group.
type follow uint8

const (
	no follow = iota
	yes
	maybe // if the next line is a frame
)

var tracebackEnd = []byte("Traceback (most recent call last):")

// beginning returns what a line begins by itself, and whether a stack trace may be
// expected to follow it.
func beginning(b []byte) (t trace, expected bool) {
	switch b[0] {
	case 'p', 'f', 'g', 'S':
		if bytes.HasPrefix(b, []byte("panic: ")) || bytes.HasPrefix(b, []byte("fatal error: ")) || goroutine(b) || bytes.HasPrefix(b, []byte("SIGQUIT: ")) {
			return golang, true
		}
	case 't':
		if bytes.HasPrefix(b, []byte("thread '")) && bytes.Contains(b, []byte("' panicked at ")) {
			if b[len(b)-1] == ':' {
				return rust, true
			}
			return rustDone, true
		}
	}
	if bytes.HasSuffix(b, tracebackEnd) {
		return python, true
	}
	return ordinary, bytes.HasPrefix(b, []byte("Exception in thread \"")) || bytes.HasPrefix(b, []byte("Unhandled exception")) || bytes.HasPrefix(b, []byte("PHP Fatal error:")) || thrown(b)
}

// goroutine reports whether a line is the head of a goroutine's stack: goroutine 1
// [running]:.
func goroutine(b []byte) bool {
	rest, ok := bytes.CutPrefix(b, []byte("goroutine "))
	n := 0
	for n < len(rest) && rest[n]-'0' < 10 {
		n++
	}
	return ok && n > 0 && bytes.HasPrefix(rest[n:], []byte(" ["))
}

// thrown reports whether a line begins with the name of an exception, and what it
// says: java.lang.IllegalStateException: x, TypeError.
func thrown(b []byte) bool {
	n := 0
	for n < len(b) && n < 200 && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' || b[n]-'0' < 10 || b[n] == '.' || b[n] == '_' || b[n] == '$') {
		n++
	}
	if n < len(b) && b[n] != ':' {
		return false
	}
	name := b[:n]
	return len(name) > 5 && (bytes.HasSuffix(name, []byte("Exception")) || bytes.HasSuffix(name, []byte("Error")) || bytes.HasSuffix(name, []byte("Throwable")))
}

// failed reports whether a line tells of a failure, so that a stack trace which
// follows it is its own rather than that of a program which ends.
func failed(b []byte) bool {
	for _, word := range [...]string{"rror", "ERR", "xception", "WARN", "arn", "CRIT", "FATAL", "atal", "ailed", "ailure", "anic"} {
		if bytes.Contains(b, []byte(word)) {
			return true
		}
	}
	return false
}

// follows reports whether a line goes on with a group whose first line is first and
// which is in state t, and the group's next state.
func follows(t trace, first, b []byte) (follow, trace) {
	indented := b[0] == ' ' || b[0] == '\t'
	switch t {
	case ordinary:
		return begins(first, b, indented)
	case jvm:
		if indented || within(b) {
			return yes, jvm
		}
	case python:
		if indented {
			return yes, python
		}
		if named(b) {
			return yes, pythonDone
		}
	case pythonDone:
		if indented {
			return yes, pythonDone
		}
		if bytes.HasPrefix(b, []byte("During handling of the above exception")) || bytes.HasPrefix(b, []byte("The above exception was the direct cause")) {
			return yes, pythonNext
		}
	case pythonNext:
		if bytes.HasSuffix(b, tracebackEnd) {
			return yes, python
		}
	case golang:
		if indented || ofGo(b) {
			return yes, golang
		}
	case php:
		if indented || b[0] == '#' || string(b) == "Stack trace:" {
			return yes, php
		}
	case rust:
		return yes, rustDone
	case rustDone:
		if indented || bytes.HasPrefix(b, []byte("note: ")) || bytes.HasPrefix(b, []byte("stack backtrace:")) {
			return yes, rustDone
		}
	}
	return no, t
}

// begins is follows for a group that is one line, which is no part of a stack trace
// by itself.
func begins(first, b []byte, indented bool) (follow, trace) {
	if indented {
		t := bytes.TrimLeft(b, " \t")
		switch {
		case frame(t):
			return yes, jvm
		case bytes.HasPrefix(t, []byte("File \"")) && bytes.Contains(t, []byte("\", line ")):
			return yes, python
		}
		return no, ordinary
	}
	switch b[0] {
	case 'C':
		if bytes.HasPrefix(b, []byte("Caused by: ")) {
			return yes, jvm
		}
	case 'S':
		if string(b) == "Stack trace:" {
			return yes, php
		}
	case '#':
		if bytes.HasPrefix(b, []byte("#0 ")) && len(b) > 3 && (b[3] == '/' || b[3] == '{' || b[3] == '[') {
			return yes, php
		}
	case 'T':
		if bytes.HasPrefix(b, tracebackEnd) && failed(first) {
			return yes, python
		}
	case 'g':
		if goroutine(b) && failed(first) {
			return yes, golang
		}
	}
	if thrown(b) && failed(first) && !thrown(first) {
		return maybe, ordinary
	}
	return no, ordinary
}

// frame reports whether a line is a frame of a stack, or one of its other lines,
// without what indents it.
func frame(t []byte) bool {
	switch {
	case bytes.HasPrefix(t, []byte("at ")):
		return bytes.IndexByte(t, '(') > 0 || bytes.IndexByte(t, ':') > 0 || bytes.IndexByte(t, '/') > 0 || bytes.Contains(t, []byte("<anonymous>"))
	case bytes.HasPrefix(t, []byte("... ")):
		return bytes.HasSuffix(t, []byte(" more")) || bytes.HasSuffix(t, []byte(" frames omitted")) || bytes.HasSuffix(t, []byte(" levels..."))
	case bytes.HasPrefix(t, []byte("Caused by: ")), bytes.HasPrefix(t, []byte("Suppressed: ")), bytes.HasPrefix(t, []byte("---> ")), bytes.HasPrefix(t, []byte("--- End of ")):
		return true
	case bytes.HasPrefix(t, []byte("from ")):
		return bytes.Contains(t, []byte(":in "))
	}
	return false
}

// within reports whether a line that is not indented goes on with a stack trace of
// frames.
func within(b []byte) bool {
	return bytes.HasPrefix(b, []byte("Caused by: ")) || bytes.HasPrefix(b, []byte("Suppressed: ")) || bytes.HasPrefix(b, []byte("--- End of ")) || string(b) == "}" ||
		bytes.HasPrefix(b, []byte("... ")) && frame(b)
}

// named reports whether a line may be Python's exception: NAME or NAME: text.
func named(b []byte) bool {
	n := 0
	for n < len(b) && n < 200 && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' || b[n]-'0' < 10 || b[n] == '.' || b[n] == '_') {
		n++
	}
	return n > 0 && (n == len(b) || b[n] == ':')
}

// ofGo reports whether a line that is not indented goes on with the stacks of Go.
func ofGo(b []byte) bool {
	for _, begin := range [...]string{"goroutine ", "created by ", "[signal ", "[recovered", "panic: ", "panic(", "runtime stack:", "runtime: ", "...additional frames", "[originating from", "exit status "} {
		if bytes.HasPrefix(b, []byte(begin)) {
			return true
		}
	}
	open := bytes.IndexByte(b, '(') // main.run(0x1, ...)
	return open > 0 && bytes.IndexByte(b[:open], ' ') < 0 && bytes.IndexByte(b[:open], '.') > 0 && b[len(b)-1] == ')'
}
