package receive

import "testing"

func TestWhen(t *testing.T) {
	for in, want := range map[string]int64{
		"1426279439":                   1426279439e9,
		"1426279439.123":               1426279439123e6,
		"1426279439.123456789":         1426279439123456789,
		"1426279439.1234567891":        1426279439123456789,
		"1426279439123":                1426279439123e6,
		"1426279439123.5":              14262794391235e5,
		"1426279439123456":             1426279439123456e3,
		"1426279439123456789":          1426279439123456789,
		"1.426279439E9":                1426279439e9,
		"1.426279439123e+9":            1426279439123e6,
		"2026-11-21T10:00:00Z":         1795255200e9,
		"2026-11-21T10:00:00.25+01:00": 1795251600250e6,
		"2026-11-21 10:00:00":          1795255200e9,
		"2026-11-21T10:00:00":          1795255200e9,
		"2026-11-21T10:00:00.123+0100": 1795251600123e6,
		"":                             0,
		"0":                            0,
		"12":                           0,
		"12.5":                         0,
		"-1":                           0,
		"abc":                          0,
		"1426279439x":                  0,
		"1426279439.":                  0,
		"99999999999999999999":         0,
		"9223372036854775807.9":        9223372036854775807,
		"1e999":                        0,
		"0001-01-01T00:00:00Z":         0,
		"9999-01-01T00:00:00Z":         0,
		"2026-13-41T10:00:00Z":         0,
	} {
		if got := When([]byte(in)); got != want {
			t.Errorf("When(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestWhenAllocatesNothing(t *testing.T) {
	for _, s := range []string{"1426279439.123", "2026-11-21T10:00:00.25Z", "1.426279439E9"} {
		b := []byte(s)
		if n := testing.AllocsPerRun(100, func() { When(b) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func FuzzWhen(f *testing.F) {
	for _, s := range []string{"1426279439.123", "2026-11-21T10:00:00.25Z", "1.426279439E9", "9223372036854775807.9", "10000000000E"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := When(b); n < 0 {
			t.Errorf("When(%q) = %d", b, n)
		}
	})
}

func TestKeyIDTellsPartsApart(t *testing.T) {
	s := Sender{Tenant: "t", Name: "n"}
	a := KeyID(s, "p", []byte("ab"), []byte("c"))
	if a.IsZero() || a != KeyID(s, "p", []byte("ab"), []byte("c")) {
		t.Error("a repetition has another identity")
	}
	if a == KeyID(s, "p", []byte("a"), []byte("bc")) || a == KeyID(Sender{Tenant: "u", Name: "n"}, "p", []byte("ab"), []byte("c")) {
		t.Error("two requests have one identity")
	}
}
