package stack

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func derived(text []byte) (kind, message string) {
	var b record.Batch
	var cols facts.Columns
	cols.Bind(&b)
	b.Begin(1, "app")
	o := facts.Out{B: &b, Cols: &cols, Now: 1}
	Derive(text, &o)
	b.End()
	r := b.Record(0)
	k, _ := r.Get("exception.type")
	m, _ := r.Get("exception.message")
	return k.Str, m.Str
}

func TestDerive(t *testing.T) {
	for text, want := range map[string][2]string{
		"2026 ERROR a\njava.lang.IllegalStateException: cart is gone\n\tat a.B.c(B.java:1)\nCaused by: java.lang.Error: x\n\tat a.B.d(B.java:2)": {"java.lang.IllegalStateException", "cart is gone"},
		"Exception in thread \"main\" java.lang.NullPointerException\n\tat a.B.c(B.java:1)":                                                      {"java.lang.NullPointerException", ""},
		"TypeError: no id\n    at f (/a.js:1:2)": {"TypeError", "no id"},
		"Unhandled exception. System.InvalidOperationException: gone\n ---> System.IO.IOException: closed\n   at A.B()":                                                                                                                       {"System.InvalidOperationException", "gone"},
		"Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 2\nshop.Gone: b: c\n": {"shop.Gone", "b: c"},
		"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1": {"panic", "boom"},
		"INFO all is well\n  at noon\n":                                 {"", ""},
		"INFO all: well\n\tat last (or so)":                             {"", ""},
		"a\nb: c\n":                                                     {"", ""},
	} {
		if kind, message := derived([]byte(text)); kind != want[0] || message != want[1] {
			t.Errorf("%q: %q %q, want %q", text, kind, message, want)
		}
	}
}

func FuzzDerive(f *testing.F) {
	f.Add([]byte("a.BError: c\n\tat d\n"))
	f.Add([]byte("Traceback (most recent call last):\n  File\nA: b\n"))
	f.Fuzz(func(t *testing.T, text []byte) { derived(text) })
}
