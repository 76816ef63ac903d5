package normalise

import (
	"testing"
	"time"
)

func TestHeaderOf(t *testing.T) {
	now := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC).UnixNano()
	for _, c := range []struct{ line, time, host, program, pid, id, rest string }{
		{"Jan  2 15:04:05 web-1 sshd[812]: Accepted publickey for a", "2026-01-02T15:04:05Z", "web-1", "sshd", "812", "", "Accepted publickey for a"},
		{"<86>Dec 31 23:59:59 web-1 sudo:   a : TTY=pts/0", "2025-12-31T23:59:59Z", "web-1", "sudo", "", "", "a : TTY=pts/0"},
		{"2026-01-02T15:04:05.5+01:00 10.0.0.9 haproxy[1]: x", "2026-01-02T14:04:05.5Z", "10.0.0.9", "haproxy", "1", "", "x"},
		{`<34>1 2026-01-02T15:04:05.003Z h su - ID47 [a@1 b="]\"x"][c@1] 'su root' failed`, "2026-01-02T15:04:05.003Z", "h", "su", "", "ID47", "'su root' failed"},
		{"<134>Jan  2 15:04:05 haproxy[9]: Proxy web started.", "2026-01-02T15:04:05Z", "", "haproxy", "9", "", "Proxy web started."},
		{"<34>1 - - su - - -", "1970-01-01T00:00:00Z", "", "su", "", "", ""},
	} {
		h, ok := headerOf([]byte(c.line), now)
		if !ok {
			t.Errorf("%q: no header", c.line)
			continue
		}
		got := []string{time.Unix(0, h.time).UTC().Format(time.RFC3339Nano), string(h.host), string(h.program), string(h.pid), string(h.id), string(h.rest)}
		for i, want := range []string{c.time, c.host, c.program, c.pid, c.id, c.rest} {
			if got[i] != want {
				t.Errorf("%q: part %d is %q, want %q", c.line, i, got[i], want)
			}
		}
	}
	for _, line := range []string{
		"2026-01-02T15:04:05Z INFO main: started",            // a level is no host
		"2026-01-02 15:04:05 web-1 main: started",            // log4j and many others
		"2026-01-02T15:04:05.000Z  INFO kube: x",             // Rust's tracing
		"Jan 32 15:04:05 web-1 sshd[812]: x",                 // no day
		"<999>Jan  2 15:04:05 web-1 sshd[812]: x",            // no priority
		"<34>1 2026-01-02T15:04:05Z h su - ID47 [a unclosed", // no end
		"Jan  2 15:04:05 web-1 sshd[812 x",
		"Jan  2 15:04:05 web-1",
		"Jan  2 15:04:05 ERROR: x",
	} {
		if h, ok := headerOf([]byte(line), now); ok {
			t.Errorf("%q: header %+v", line, h)
		}
	}
}
