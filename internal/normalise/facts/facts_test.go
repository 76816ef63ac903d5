package facts

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestStampAgreesWithTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	layouts := []string{time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000Z07:00", "2006-01-02 15:04:05.000000-0700"}
	for range 20_000 {
		zone := time.FixedZone("", (r.IntN(27)-13)*3600+r.IntN(4)*900)
		want := time.Unix(r.Int64N(6e9)+7e8, r.Int64N(1e9)).In(zone)
		s := want.Format(layouts[r.IntN(len(layouts))])
		back, err := time.Parse(time.RFC3339, s)
		if err != nil {
			back, err = time.Parse("2006-01-02 15:04:05.000000-0700", s)
		}
		if err != nil {
			t.Fatal(err)
		}
		ns, n := Stamp([]byte(s + " x"))
		if ns != back.UnixNano() || n != len(s) {
			t.Fatalf("%s: %d in %d bytes, want %d in %d", s, ns, n, back.UnixNano(), len(s))
		}
	}
}

func TestTime(t *testing.T) {
	f := func(s string, want string) {
		t.Helper()
		ns, ok := Time([]byte(s))
		if want == "" {
			if ok {
				t.Errorf("%q is read as %s", s, time.Unix(0, ns).UTC())
			}
			return
		}
		if got := time.Unix(0, ns).UTC().Format(time.RFC3339Nano); !ok || got != want {
			t.Errorf("%q is read as %s (%v), want %s", s, got, ok, want)
		}
	}
	f("2026-11-20T00:00:01.5Z", "2026-11-20T00:00:01.5Z")
	f("2026-11-20 00:00:01", "2026-11-20T00:00:01Z")
	f("2026-11-20T00:00:01,25+02:00", "2026-11-19T22:00:01.25Z")
	f("1700000000", "2023-11-14T22:13:20Z")
	f("1700000000123", "2023-11-14T22:13:20.123Z")
	f("1700000000123456", "2023-11-14T22:13:20.123456Z")
	f("1700000000123456789", "2023-11-14T22:13:20.123456789Z")
	f("1700000000.25", "2023-11-14T22:13:20.25Z")
	for _, s := range []string{"", "x", "12", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2020-07-19T06:48:104Z", "2026-11-20T00:00:01Zx", "99999999999999999999", "0001-01-01T00:00:00Z", "1700000000.x"} {
		f(s, "")
	}
	if ns, ok := EpochFloat(1700000000.25); !ok || ns != 1700000000250000000 {
		t.Error(ns)
	}
	if _, ok := EpochFloat(1e300); ok {
		t.Error("1e300 is a time")
	}
}
