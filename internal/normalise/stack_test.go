package normalise

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestStackTracesNameTheirException: in a line that was joined, and within the
// envelope of a container runtime.
func TestStackTracesNameTheirException(t *testing.T) {
	n := New()
	for _, in := range []string{
		"2024-01-02 03:04:05.678 ERROR 1 --- [main] c.e.Cart : failed\njava.lang.IllegalStateException: gone\n\tat a.B.c(B.java:1)",
		`{"log":"java.lang.IllegalStateException: gone\n\tat a.B.c(B.java:1)\n","stream":"stderr","time":"2026-03-01T10:00:00.5Z"}`,
	} {
		var b record.Batch
		if err := n.Append(&b, &record.Raw{Payload: []byte(in)}, &Options{Now: 1}); err != nil {
			t.Fatal(err)
		}
		r := b.Record(0)
		kind, _ := r.Get("exception.type")
		message, _ := r.Get("exception.message")
		if kind.Str != "java.lang.IllegalStateException" || message.Str != "gone" {
			t.Errorf("%q: %q %q", in, kind.Str, message.Str)
		}
	}
}
