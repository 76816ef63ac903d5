package drain

import (
	"fmt"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		m := New(Limits{})
		for _, l := range lines {
			m.Add(l)
		}
		var got []string
		for _, g := range m.Groups() {
			got = append(got, g.Pattern())
		}
		if s := strings.Join(got, "\n"); s != want {
			t.Errorf("%q:\n got %s\nwant %s", lines, s, want)
		}
	}
	f("took <_> for <_>", "took 5ms for alice", "took 17ms for bob")
	f("alone", "alone", "alone")
	f("", "")
	f("user <_> logged in from <_>", "user ann logged in from 10.0.0.1", "user bob logged in from 10.0.0.2")
	// Few words in common are no pattern.
	f("cannot open file\nhello there friend", "cannot open file", "hello there friend")
	// Structure counts: another number of tokens is another pattern.
	f("a=1 b=2\na=1 b=2 c=3", "a=1 b=2", "a=1 b=2 c=3")
	f(`level=info msg="done" took=<_>`, `level=info msg="done" took=5ms`, `level=info msg="done" took=6ms`)
	f(`{"path":"<_>","code":<_>,"ok":true}`, `{"path":"/a","code":200,"ok":true}`, `{"path":"/b","code":500,"ok":true}`)
	// A time of day is one word.
	f("<_> started worker pool", "12:00:01 started worker pool", "12:00:02 started worker pool")
	// What would read as a capture is a wildcard at once.
	f("value <<_>> of <_>", "value <nil> of 1", "value <int> of 2")
	f("naïve <_> done", "naïve 1 done", "naïve 2 done")
}

func TestLimits(t *testing.T) {
	m := New(Limits{Groups: 10, Tokens: 6, Bytes: 40, Places: 4})
	for i := range 1000 {
		m.Add(strings.Repeat("x", i%30) + fmt.Sprintf(" word%c and more", 'a'+i%26))
	}
	if n := len(m.Groups()); n == 0 || n > 10 {
		t.Errorf("%d groups, limit 10", n)
	}
	if len(m.places) > 5 {
		t.Errorf("%d places, limit 4 and the common one", len(m.places))
	}
	m = New(Limits{Tokens: 3, Bytes: 100})
	if got := m.Add("one two three four").Pattern(); got != "one two<_>" {
		t.Errorf("line of too many tokens: %q", got)
	}
	m = New(Limits{Bytes: 5})
	if got := m.Add("äöüß").Pattern(); got != "äö<_>" {
		t.Errorf("line of too many bytes: %q", got)
	}
}

// FuzzAdd holds that every line is matched by the pattern of the group it went
// to, read as LogQL's pattern filter reads it: literals in order, at both ends
// where there is no wildcard.
func FuzzAdd(f *testing.F) {
	f.Add("a b c", "a b d", "a x d")
	f.Add("<nil> 1", "<x> 2", "<<>>")
	f.Add("k=v,k=w", "k=v,k=z", "\xff\xfe")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		m := New(Limits{Tokens: 20, Bytes: 200})
		groups := map[string]*Group{}
		for _, l := range []string{a, b, c, a} {
			groups[l] = m.Add(l)
		}
		for l, g := range groups {
			p := g.Pattern()
			if strings.Contains(p, wild+wild) && !strings.Contains(a+b+c, wild) {
				t.Fatalf("%q: two wildcards without a text between", p)
			}
			if !strings.Contains(a+b+c, wild) && !matches(p, l) {
				t.Fatalf("pattern %q does not match %q", p, l)
			}
		}
	})
}

func matches(pattern, line string) bool {
	parts := strings.Split(pattern, wild)
	if len(parts) == 1 {
		return pattern == line
	}
	first, last := parts[0], parts[len(parts)-1]
	rest, ok := strings.CutPrefix(line, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, p)
		if !found {
			return false
		}
		rest = after
	}
	return true
}

func BenchmarkAdd(b *testing.B) {
	lines := make([]string, 1000)
	for i := range lines {
		lines[i] = fmt.Sprintf(`level=info ts=2026-11-20T12:00:%02dZ caller=handler.go:%d msg="request %d done" path=/api/v1/users/%d took=%dms`, i%60, i%90, i, i, i%300)
	}
	m := New(Limits{})
	b.ReportAllocs()
	for i := range b.N {
		m.Add(lines[i%len(lines)])
	}
}
