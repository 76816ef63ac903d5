package applog

import (
	"bytes"
	"time"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// header is that of klog and glog:
//
//	Lmmdd hh:mm:ss.uuuuuu threadid file:line] msg
//	Lyyyymmdd hh:mm:ss.uuuuuu threadid file:line] msg     glog since 0.6
type header struct {
	time             int64
	level            byte
	pid, file, place []byte
	rest             []byte
}

var klogLevels = map[byte]string{'D': "debug", 'I': "info", 'W': "warning", 'E': "error", 'F': "fatal"}

func klogHeader(b []byte, now int64) (h header, ok bool) {
	if len(b) < 24 || klogLevels[b[0]] == "" {
		return h, false
	}
	h.level = b[0]
	b = b[1:]
	i := bytes.IndexByte(b[:10], ' ')
	var ns int64
	switch {
	case i == 4 && number(b[:4]) >= 0:
		m, d := number(b[:2]), number(b[2:4])
		const day = int64(24 * time.Hour)
		year := time.Unix(0, now+day).UTC().Year()
		start, good := date(year, m, d)
		n := clock(b[5:], &ns)
		if good && start+ns > now+day {
			start, good = date(year-1, m, d)
		}
		if !good || n == 0 {
			return h, false
		}
		h.time, b = start+ns, b[5+n:]
	case i == 8:
		start, good := date(number(b[:4]), number(b[4:6]), number(b[6:8]))
		n := clock(b[9:], &ns)
		if !good || n == 0 {
			return h, false
		}
		h.time, b = start+ns, b[9+n:]
	default:
		return h, false
	}
	b = bytes.TrimLeft(b, " ")
	pid, b, found := bytes.Cut(b, []byte(" "))
	if !found || number(pid) < 0 {
		return h, false
	}
	end := bytes.IndexByte(b, ']')
	if end < 3 || end > 200 {
		return h, false
	}
	colon := bytes.LastIndexByte(b[:end], ':')
	if colon <= 0 || number(b[colon+1:end]) < 0 {
		return h, false
	}
	h.pid, h.file, h.place, h.rest = pid, bytes.TrimSpace(b[:colon]), b[colon+1:end], bytes.TrimLeft(b[end+1:], " ")
	return h, true
}

// klog writes a line of klog. A structured one, "message" key="value" …, has its
// pairs as fields.
func (l *Line) klog(h *header, line []byte, o *facts.Out) {
	o.Format, o.Status = klogFormat, facts.OK
	if !o.Fixed && o.Time == 0 && facts.Plausible(h.time) {
		o.Time = h.time
	}
	o.Severity([]byte(klogLevels[h.level]))
	o.DeriveBytes(field.CodeFilePath, h.file)
	if n, ok := facts.Uint(h.place); ok {
		o.Int(field.CodeLineNumber, n)
	}
	if n, ok := facts.Uint(h.pid); ok {
		o.Int(field.ThreadID, n)
	}
	if len(h.rest) > 1 && h.rest[0] == '"' {
		if end, _ := kv.Quote(h.rest); end > 0 {
			l.pairs(h.rest[end:], o, false)
		}
	}
}
