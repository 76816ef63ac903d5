package applog

import "bytes"

// zones are the names of zones that mean one offset wherever they are used, in
// minutes. CST, IST and BST mean several.
var zones = map[string]int64{
	"UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180,
	"EST": -300, "EDT": -240, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "AKST": -540, "AKDT": -480, "HST": -600,
	"JST": 540, "KST": 540, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780, "SAST": 120,
}

// zoned reads the zone that stands behind a time of n bytes, after a space: a
// number (+02:00 of Serilog, +0200 of Ruby and gunicorn, -03 of PostgreSQL) or a
// name. ns is what the time is in UTC without one.
func zoned(b []byte, ns int64, n int) (int64, int) {
	s := b[n:]
	if len(s) < 2 || s[0] != ' ' {
		return ns, n
	}
	s = s[1:]
	end := 0
	for end < len(s) && end < 7 && (s[end]-'0' < 10 || s[end]-'A' < 26 || s[end] == '+' || s[end] == '-' || s[end] == ':' && end == 3) {
		end++
	}
	if end < len(s) && bytes.IndexByte([]byte(" ]:|,)"), s[end]) < 0 {
		return ns, n
	}
	word := s[:end]
	if minutes, ok := zones[string(word)]; ok {
		return ns - minutes*60e9, n + 1 + end
	}
	if len(word) < 3 || word[0] != '+' && word[0] != '-' {
		return ns, n
	}
	h, m := number(word[1:3]), 0
	switch {
	case len(word) == 5:
		m = number(word[3:])
	case len(word) == 6 && word[3] == ':':
		m = number(word[4:])
	case len(word) != 3:
		return ns, n
	}
	if h < 0 || h > 14 || m < 0 || m > 59 {
		return ns, n
	}
	offset := int64(h*60+m) * 60e9
	if word[0] == '-' {
		offset = -offset
	}
	return ns - offset, n + 1 + end
}
