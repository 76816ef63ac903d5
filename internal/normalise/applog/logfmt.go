package applog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// logfmt reads a line of key=value pairs of which one is a severity, a time or a
// message: brandur.org/logfmt, go-kit's and logrus' text. A line with words that are
// no pair is none.
func (l *Line) logfmt(line []byte, o *facts.Out) bool {
	if line = bytes.TrimLeft(line, " \t"); !kv.IsPair(line) {
		return false
	}
	known, n := false, 0
	for s := kv.Scan(line, kv.Words); ; n++ {
		p, ok := s.Next()
		if !ok {
			break
		}
		if p.Flag {
			return false
		}
		known = known || meaningOf(p.Key) != other
	}
	if n < 2 || !known {
		return false
	}
	o.Format, o.Status = logfmtFormat, facts.OK
	l.pairs(line, o, true)
	return true
}

type meaning uint8

const (
	other meaning = iota
	aTime
	aLevel
	aMessage
	aLogger
	aPlace
	aTrace
	aSpan
)

func meaningOf(key []byte) meaning {
	switch string(key) {
	case "time", "ts", "t", "timestamp", "@timestamp":
		return aTime
	case "level", "lvl", "severity", "levelname":
		return aLevel
	case "msg", "message":
		return aMessage
	case "logger":
		return aLogger
	case "caller", "source", "file":
		return aPlace
	case "trace_id", "traceID", "traceId", "traceid":
		return aTrace
	case "span_id", "spanID", "spanId", "spanid":
		return aSpan
	}
	return other
}

// pairs writes pairs under their own names; with own, those that are the
// record's time and severity become that.
func (l *Line) pairs(line []byte, o *facts.Out, own bool) {
	s := kv.Scan(line, kv.Words)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		if p.Flag {
			continue
		}
		value := p.Text(&l.text)
		if len(value) == 0 || !own || !l.meant(p.Key, value, o) {
			o.OwnText(p.Key, value)
		}
	}
}

// meant writes a pair that has a meaning, and reports whether it did.
func (l *Line) meant(key, value []byte, o *facts.Out) bool {
	switch meaningOf(key) {
	case aTime:
		ns, ok := facts.Time(value)
		if !ok {
			var n int
			ns, n = stamp(value, o.Now)
			ok = n == len(value) && n > 0 && ns != 0
		}
		if !ok || o.Fixed || o.Time != 0 || !facts.Plausible(ns) {
			return false
		}
		o.Time = ns
	case aLevel:
		o.Severity(value)
	case aLogger:
		o.DeriveBytes(field.LogLogger, value)
	case aPlace:
		return place(o, value)
	case aTrace:
		return o.TraceID(value)
	case aSpan:
		if len(value) != 16 || !facts.Hex(value) {
			return false
		}
		o.Str(field.SpanID, value)
	default:
		return false
	}
	return true
}

// place writes file:line.
func place(o *facts.Out, v []byte) bool {
	i := bytes.LastIndexByte(v, ':')
	if i <= 0 {
		return false
	}
	n, ok := facts.Uint(v[i+1:])
	if ok {
		o.DeriveBytes(field.CodeFilePath, v[:i])
		o.Int(field.CodeLineNumber, n)
	}
	return ok
}
