package main

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// FuzzAnswer reads what a server might answer: whatever it is, it is shown or
// refused, never a crash.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"time":"2026-01-02T03:04:05Z","class":"app","line":"x","fields":{"a":1,"b":[{}],"c":null}}`)
	f.Add(`{"manifest":{"rows":1,"partial":true}}`)
	f.Add("id: 1\ndata: {}\n\nevent: dropped\ndata: {\"records\":3}\n\n: alive\n\n")
	f.Add(`{"fields":[1,2]}`)
	f.Fuzz(func(t *testing.T, text string) {
		show := func(s *shown) {
			for _, form := range outputs {
				p, err := newPrinter(&terminal{out: &strings.Builder{}}, form, nil, false)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.record(s); err != nil {
					t.Errorf("%s: %v", form, err)
				}
			}
		}
		s, _, err := decodeShown([]byte(text))
		if err != nil && !fault.Is(err, fault.Corrupt) {
			t.Errorf("%v", err)
		}
		if s != nil {
			show(s)
		}
		err = eachEvent(strings.NewReader(text), func(e sse) error { return nil })
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%v", err)
		}
	})
}
