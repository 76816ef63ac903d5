package applog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
)

// machine is the head of a line of a large machine's console, as its RAS service
// collects them:
//
//	LABEL EPOCH yyyy.mm.dd NODE …             Blue Gene/L, Thunderbird: a label of alerts, or -
//	ID NODE COMPONENT STATE EPOCH FLAG …      HP's AlphaServer clusters
type machine struct {
	time                int64
	node, logger, level []byte
}

func machineHeader(b []byte) (h machine, ok bool) {
	if len(b) < 24 {
		return h, false
	}
	var col [6][]byte
	rest := b
	for i := range col {
		if col[i], rest, ok = bytes.Cut(rest, []byte(" ")); !ok || len(col[i]) == 0 || len(col[i]) > 64 {
			return h, false
		}
		if i == 2 && len(col[1]) == 10 && day(col[2]) {
			if h.time, ok = facts.Time(col[1]); !ok {
				return h, false
			}
			h.node, rest, _ = bytes.Cut(rest, []byte(" "))
			h.ras(rest)
			return h, true
		}
	}
	if len(col[4]) != 10 || number(col[0]) < 0 || number(bytes.TrimPrefix(col[5], []byte("-"))) < 0 || len(col[5]) > 2 {
		return h, false
	}
	h.time, ok = facts.Time(col[4])
	h.node, h.logger = col[1], col[2]
	return h, ok
}

// ras reads STAMP NODE TYPE COMPONENT SEVERITY, which Blue Gene's service writes
// behind the node.
func (h *machine) ras(b []byte) {
	var col [5][]byte
	for i := range col {
		col[i], b, _ = bytes.Cut(b, []byte(" "))
	}
	if facts.IsLevel(col[4]) && col[4][1] < 'a' {
		h.logger, h.level = col[3], col[4]
	}
}

// day reports whether a word is yyyy.mm.dd.
func day(b []byte) bool {
	return len(b) == 10 && b[4] == '.' && b[7] == '.' && number(b[:4]) >= 1970 && number(b[5:7]) >= 1 && number(b[8:]) >= 1
}
