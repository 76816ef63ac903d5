package facts

import (
	"strings"
	"testing"
)

// Of the bytes that Kubernetes draws from, and no others, random parts are made.
func TestRandom(t *testing.T) {
	for c := range 256 {
		b := []byte{byte(c)}
		want := strings.Contains("bcdfghjklmnpqrstvwxz2456789", string(b))
		if got := random(b); got != want {
			t.Errorf("random(%q) = %v", b, got)
		}
		if got := digit(b); got != (want && c < 'a') {
			t.Errorf("digit(%q) = %v", b, got)
		}
	}
}
