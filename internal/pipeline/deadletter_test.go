package pipeline

import (
	"strings"
	"testing"
)

// TestDeadBodiesEndWithAWord: where what was sent is cut, no part of a word is
// left, unless the word is longer than any credential.
func TestDeadBodiesEndWithAWord(t *testing.T) {
	f := func(text, end string) {
		t.Helper()
		got := string(deadBody([]byte(text)))
		if !strings.HasSuffix(got, end) || len(got) > maxDeadBody || !strings.HasPrefix(text, got) {
			t.Errorf("%d bytes, ending in %.40q", len(got), got[max(0, len(got)-40):])
		}
	}
	f("short token-abc", "token-abc")
	f(strings.Repeat("x", maxDeadBody-20)+` "token-abcdefghijklmnopqrstuvwxyz"`, `x "`)
	f(strings.Repeat("x ", maxDeadBody/2-5)+"ééééééééééééé", "x ")
	f(strings.Repeat("x", maxDeadBody+1), "xxx")
}
