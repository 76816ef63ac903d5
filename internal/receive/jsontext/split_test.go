package jsontext

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive"
)

func split(s string) (out []string) {
	set := receive.NewSet()
	defer set.Release()
	Split([]byte(s), 8, set, func(p []byte, json bool) error {
		out = append(out, fmt.Sprintf("%v %s", json, p))
		return nil
	})
	return out
}

func TestSplit(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		if got := split(in); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
	f("")
	f(" \r\n\n")
	f("one\r\n\ntwo", "false one", "false two")
	f(`{"a":1}`, `true {"a":1}`)
	f("{\"a\":1}\n{\"b\":\"}{\\\"\"}\r\n", `true {"a":1}`, `true {"b":"}{\""}`)
	f(`{"a":1}{"b":{"c":[2]}} {"d":3}`, `true {"a":1}`, `true {"b":{"c":[2]}}`, `true {"d":3}`)
	f("{\n \"a\": 1\n}\n{\n}", "true {\n \"a\": 1\n}", "true {\n}")
	f(`[{"a":1}, {"b":2},"text\n",5,[1]]`, `true {"a":1}`, `true {"b":2}`, "false text\n", "false 5", "false [1]")
	f(`[]`)
	f("{\"a\":1}\nplain\n{\"b\":2}", `true {"a":1}`, "false plain", `true {"b":2}`)
	f("{\"a\":\n{\"b\":2}\n", "true {\"a\":", `true {"b":2}`)
	f("[{\"a\":1},{\"b\":", `true {"a":1}`, `true {"b":`)
}

func TestSplitEnds(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	stop, n := errors.New("stop"), 0
	for _, s := range []string{"a\nb\nc", "{}{}{}", "[{},{},{}]", "{\n{\n{\n"} {
		n = 0
		if err := Split([]byte(s), 8, set, func([]byte, bool) error { n++; return stop }); err != stop || n != 1 {
			t.Errorf("%q: %v after %d", s, err, n)
		}
	}
	n = 0 // each line is looked at a bounded number of times
	hostile := strings.Repeat("{\"a\n", 1<<20)
	Split([]byte(hostile), 8, set, func([]byte, bool) error { n++; return nil })
	if n != 1<<20 {
		t.Errorf("%d lines", n)
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"{\"a\":1}\n{\"b\":2}", "[{\"a\":1},\"x\"]", "{\"a\n[", "x\r\n{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		total := 0
		Split(b, 8, set, func(p []byte, _ bool) error { total += len(p); return nil })
		if total > len(b) {
			t.Fatalf("%d bytes of %d", total, len(b))
		}
	})
}
