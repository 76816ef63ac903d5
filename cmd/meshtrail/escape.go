package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// escapeText makes text that came from elsewhere safe for a terminal: control
// bytes (C0, DEL, C1, so every escape sequence), the Unicode characters that
// reorder or hide text, and invalid UTF-8 become visible \x.. or \u.... forms.
// Line feeds and tabs stay.
func escapeText(s string) string { return escape(s, true) }

// escapeLine is escapeText for a text that must stay on one line.
func escapeLine(s string) string { return escape(s, false) }

func escape(s string, lines bool) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= 0x20 && s[i] < 0x7f
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t' || r == '\n' && lines:
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		case misleading(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// misleading reports characters that change how their neighbours look: bidi
// controls (CVE-2021-42574), zero-width characters, line and paragraph
// separators, tags and interlinear annotation.
func misleading(r rune) bool {
	switch {
	case r == 0x061c, r == 0x180e, r == 0xfeff, r == 0xad,
		r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
		r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}

// A safeWriter passes data on as it is, or line by line through escapeText when
// it goes to a terminal.
type safeWriter struct {
	w    io.Writer
	safe bool // escape
	rest []byte
}

// data returns where a verb writes what came from logs. Its flush writes a last
// line that has no end.
func (t *terminal) data() *safeWriter { return &safeWriter{w: t.out, safe: t.outTTY} }

func (s *safeWriter) Write(p []byte) (int, error) {
	if !s.safe {
		return s.w.Write(p)
	}
	s.rest = append(s.rest, p...)
	end := bytes.LastIndexByte(s.rest, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	_, err := io.WriteString(s.w, escapeText(string(s.rest[:end])))
	s.rest = append(s.rest[:0], s.rest[end:]...)
	return len(p), err
}

func (s *safeWriter) flush() {
	if len(s.rest) > 0 {
		io.WriteString(s.w, escapeText(string(s.rest)))
		s.rest = nil
	}
}
