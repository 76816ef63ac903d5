package envoy

import (
	"bytes"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A layout is the argument of %START_TIME(…)%, compiled: the specifiers of
// strftime that Envoy's formatter prints, with what stands between them.
type layout struct{ parts []part_ }

// part_ is one specifier, or a literal when spec is 0.
type part_ struct {
	spec byte
	lit  string
	n    int // digits of f
}

// maxLayout bounds the specifiers and literals of a layout.
const maxLayout = 40

// compileLayout returns the layout, or nil when it does not fix a time: the text
// of such a one is kept and is no time.
func compileLayout(s string) (*layout, error) {
	l, nanos := &layout{}, 9
	has := map[byte]bool{}
	add := func(specs string) {
		for _, c := range []byte(specs) {
			if c == '/' || c == ':' || c == '-' || c == ' ' {
				l.parts = append(l.parts, part_{lit: string(c)})
			} else {
				l.parts = append(l.parts, part_{spec: c, n: nanos})
				has[c] = true
			}
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			l.parts = append(l.parts, part_{lit: s[i : i+1]})
			continue
		}
		if i++; i == len(s) {
			return nil, fault.Errorf(fault.Invalid, "the time's format ends with a percent sign")
		}
		nanos = 9
		if s[i] == 'E' || s[i] == 'O' {
			i++
		}
		if i < len(s) && s[i] >= '1' && s[i] <= '9' {
			nanos = int(s[i] - '0')
			i++
		}
		if i == len(s) {
			return nil, fault.Errorf(fault.Invalid, "the time's format ends within a specifier")
		}
		switch c := s[i]; c {
		case 'Y', 'm', 'd', 'e', 'H', 'I', 'M', 'S', 's', 'f', 'z', 'Z', 'b', 'a', 'A', 'B', 'y', 'p', 'j':
			add(string(c))
		case 'h':
			add("b")
		case 'T':
			add("H:M:S")
		case 'R':
			add("H:M")
		case 'F':
			add("Y-m-d")
		case 'D':
			add("m/d/y")
		case '%':
			l.parts = append(l.parts, part_{lit: "%"})
		case 'n', 't':
			l.parts = append(l.parts, part_{lit: " "})
		default:
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "unknown specifier %%%c in the time's format", c),
				"known are %Y %m %d %e %b %H %I %p %M %S %y %j %T %R %F %D %s %f %1f to %9f %z %Z")
		}
		if len(l.parts) > maxLayout {
			return nil, fault.Errorf(fault.Invalid, "the time's format has more than %d parts", maxLayout)
		}
	}
	if !has['s'] && !((has['Y'] || has['y']) && (has['m'] || has['b'] || has['B']) && (has['d'] || has['e']) && (has['H'] || has['I'] && has['p'])) {
		return nil, nil
	}
	return l, nil
}

// moment is a time while it is read.
type moment struct {
	year, month, day, hour, min, sec, nanos, zone int64
	epoch                                         int64
	unix, pm, twelve                              bool
}

// read reads a time that b begins with, and returns how many bytes it has; 0 is
// no time of this layout.
func (l *layout) read(b []byte) (ns int64, n int) {
	m := moment{month: 1, day: 1}
	i := 0
	for k := range l.parts {
		p := &l.parts[k]
		if p.spec == 0 {
			if i >= len(b) || b[i] != p.lit[0] {
				return 0, 0
			}
			i++
			continue
		}
		used := m.part(b[i:], p)
		if used < 0 {
			return 0, 0
		}
		i += used
	}
	return m.time(), i
}

// part reads one specifier and returns how many bytes it has, -1 when it is not
// there.
func (m *moment) part(b []byte, p *part_) int {
	switch p.spec {
	case 'Y':
		return digits(b, 4, 4, &m.year)
	case 'y':
		n := digits(b, 2, 2, &m.year)
		m.year += 2000
		return n
	case 'm':
		return digits(b, 2, 2, &m.month)
	case 'd':
		return digits(b, 2, 2, &m.day)
	case 'e':
		if len(b) > 0 && b[0] == ' ' {
			n := digits(b[1:], 1, 1, &m.day)
			return n + 1
		}
		return digits(b, 1, 2, &m.day)
	case 'j':
		m.month = 1
		return digits(b, 3, 3, &m.day)
	case 'H':
		return digits(b, 2, 2, &m.hour)
	case 'I':
		m.twelve = true
		return digits(b, 2, 2, &m.hour)
	case 'M':
		return digits(b, 2, 2, &m.min)
	case 'S':
		return digits(b, 2, 2, &m.sec)
	case 's':
		m.unix = true
		return digits(b, 1, 11, &m.epoch)
	case 'f':
		n := digits(b, p.n, p.n, &m.nanos)
		for range 9 - p.n {
			m.nanos *= 10
		}
		return n
	}
	return m.words(b, p.spec)
}

// words reads the specifiers that are no numbers.
func (m *moment) words(b []byte, spec byte) int {
	n := 0
	for n < len(b) && b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' {
		n++
	}
	switch spec {
	case 'p':
		m.pm = n == 2 && b[0]|0x20 == 'p'
		return n
	case 'a', 'A', 'Z':
		return n
	case 'b', 'B':
		if n < 3 {
			return -1
		}
		i := bytes.Index([]byte("janfebmaraprmayjunjulaugsepoctnovdec"), []byte{b[0] | 0x20, b[1] | 0x20, b[2] | 0x20})
		if i < 0 || i%3 != 0 {
			return -1
		}
		m.month = int64(i/3 + 1)
		return n
	}
	// z: +hhmm, -hh:mm
	if len(b) < 5 || b[0] != '+' && b[0] != '-' {
		return -1
	}
	var hours, minutes int64
	at := 3
	if b[3] == ':' {
		at = 4
	}
	if digits(b[1:], 2, 2, &hours) < 0 || digits(b[at:], 2, 2, &minutes) < 0 {
		return -1
	}
	if m.zone = hours*3600 + minutes*60; b[0] == '-' {
		m.zone = -m.zone
	}
	return at + 2
}

// digits reads between least and most digits into n.
func digits(b []byte, least, most int, n *int64) int {
	i, v := 0, int64(0)
	for i < len(b) && i < most && b[i]-'0' < 10 {
		v = v*10 + int64(b[i]-'0')
		i++
	}
	if i < least {
		return -1
	}
	*n = v
	return i
}

func (m *moment) time() int64 {
	if m.unix {
		return m.epoch*1_000_000_000 + m.nanos
	}
	if m.twelve {
		if m.hour %= 12; m.pm {
			m.hour += 12
		}
	}
	t := time.Date(int(m.year), time.Month(m.month), int(m.day), int(m.hour), int(m.min), int(m.sec), int(m.nanos), time.UTC)
	ns := t.Unix() - m.zone
	if ns > 9_000_000_000 || ns < 0 {
		return 0
	}
	return ns*1_000_000_000 + m.nanos
}
