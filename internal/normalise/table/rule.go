package table

import (
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// A Rule says what becomes of a member.
type Rule struct {
	as   as
	to   field.ID
	port field.ID
	slot Slot
	unit int64
}

type as uint8

const (
	asOwn as = iota
	asTake
	asText
	asInt
	asBool
	asTime
	asSpan
	asAddress
	asMethod
	asURL
	asProtocol
	asServer
	asTraceID
	asTraceparent
	asMessage
	asSeverity
)

// At also gives the member a slot, for Match and Finish.
func (r Rule) At(s Slot) Rule { r.slot = s; return r }

// Slot returns the slot that the rule gives the member, 0 for none.
func (r *Rule) Slot() Slot { return r.slot }

// Takes reports whether the rule leaves the member to Finish.
func (r *Rule) Takes() bool { return r.as == asTake }

// Message reports whether the member is the record's message.
func (r *Rule) Message() bool { return r.as == asMessage }

// Field returns the field that the rule writes, if it is one.
func (r *Rule) Field() (field.ID, bool) {
	switch r.as {
	case asText, asInt, asBool, asSpan, asAddress:
		return r.to, true
	case asSeverity:
		return field.SeverityText, true
	}
	return 0, false
}

// Own keeps the member under its own name; it is of use with At.
func Own() Rule { return Rule{as: asOwn} }

// Take leaves the member to Finish, which MUST write it or Leave it.
func Take(s Slot) Rule { return Rule{as: asTake, slot: s} }

// Text writes the value as text; "" and "-" are absent.
func Text(to field.ID) Rule { return Rule{as: asText, to: to} }

// Int writes a whole number, given as a number or as text.
func Int(to field.ID) Rule { return Rule{as: asInt, to: to} }

// Bool writes a boolean, given as one or as text.
func Bool(to field.ID) Rule { return Rule{as: asBool, to: to} }

// Time makes the value the record's time: RFC 3339 or an epoch. The first one
// that the object has is taken, the others keep their own names.
func Time() Rule { return Rule{as: asTime} }

// Seconds, Millis, Micros and Nanos write a duration in nanoseconds: a number
// in that unit, a number as text, or Go's notation ("12ms", "1m3.5s").
func Seconds(to field.ID) Rule { return Rule{as: asSpan, to: to, unit: 1_000_000_000} }

// Millis is Seconds for milliseconds.
func Millis(to field.ID) Rule { return Rule{as: asSpan, to: to, unit: 1_000_000} }

// Micros is Seconds for microseconds.
func Micros(to field.ID) Rule { return Rule{as: asSpan, to: to, unit: 1000} }

// Nanos is Seconds for nanoseconds.
func Nanos(to field.ID) Rule { return Rule{as: asSpan, to: to, unit: 1} }

// Address writes host and port of host[:port].
func Address(host, port field.ID) Rule { return Rule{as: asAddress, to: host, port: port} }

// Method writes http.request.method.
func Method() Rule { return Rule{as: asMethod} }

// URL writes url.path and url.query, and url.scheme of an absolute URL.
func URL() Rule { return Rule{as: asURL} }

// Protocol writes network.protocol.name and .version of HTTP/1.1 and the like.
func Protocol() Rule { return Rule{as: asProtocol} }

// Server writes server.address and .port of host[:port].
func Server() Rule { return Rule{as: asServer} }

// TraceID writes trace_id of 16 or 32 hexadecimal digits.
func TraceID() Rule { return Rule{as: asTraceID} }

// Traceparent writes the parts of a W3C traceparent.
func Traceparent() Rule { return Rule{as: asTraceparent} }

// Message makes the value the body, or the record within it the record, if it is
// one of a platform.
func Message() Rule { return Rule{as: asMessage} }

// Severity writes severity_text of a word, and severity_number.
func Severity() Rule { return Rule{as: asSeverity} }

// Put writes a member by its rule, and reports false when it stays under its own
// name: with odd, because its value is not of the rule's type.
func (r *Rule) Put(o *facts.Out, m *jsonscan.Member) (done, odd bool) {
	switch r.as {
	case asOwn, asMessage:
		return false, false
	case asTake:
		return true, false
	}
	if m.Kind == jsonscan.String && facts.Absent(m.Text) {
		return true, false
	}
	ok := r.put(o, m)
	if !ok && r.as == asTime && (o.Fixed || o.Time != 0) {
		return false, false
	}
	return ok, !ok
}

func (r *Rule) put(o *facts.Out, m *jsonscan.Member) bool {
	switch r.as {
	case asText:
		if m.Kind == jsonscan.Bool {
			return false
		}
		o.Str(r.to, m.Text)
		return true
	case asInt:
		n, ok := whole(m)
		if ok {
			o.Int(r.to, n)
		}
		return ok
	case asBool:
		is, ok := boolean(m)
		if ok {
			o.Bool(r.to, is)
		}
		return ok
	case asTime:
		return r.time(o, m)
	case asSpan:
		ns, ok := Span(m, r.unit)
		if ok {
			o.Int(r.to, ns)
		}
		return ok
	case asAddress:
		a, ok := facts.SplitAddress(m.Text)
		if !ok || m.Kind != jsonscan.String {
			return false
		}
		o.Str(r.to, a.Host)
		if a.Port > 0 {
			o.Int(r.port, a.Port)
		}
		return true
	}
	return m.Kind == jsonscan.String && r.form(o, m.Text)
}

// form writes a value that is text of a known form.
func (r *Rule) form(o *facts.Out, v []byte) bool {
	switch r.as {
	case asMethod:
		o.Method(v)
	case asURL:
		o.URL(v)
	case asProtocol:
		o.Protocol(v)
	case asServer:
		o.Server(v)
	case asSeverity:
		o.Severity(v)
	case asTraceID:
		return o.TraceID(v)
	case asTraceparent:
		return o.Traceparent(v)
	}
	return true
}

func (r *Rule) time(o *facts.Out, m *jsonscan.Member) bool {
	if o.Fixed || o.Time != 0 {
		return false
	}
	var ns int64
	ok := false
	switch m.Kind {
	case jsonscan.String:
		ns, ok = facts.Time(m.Text)
	case jsonscan.Int:
		ns, ok = facts.Epoch(m.Int)
	case jsonscan.Float: // its digits say more than the nearest float
		if ns, ok = facts.Time(m.Text); !ok {
			ns, ok = facts.EpochFloat(m.Float)
		}
	}
	if ok {
		o.Time = ns
	}
	return ok
}

func whole(m *jsonscan.Member) (int64, bool) {
	switch m.Kind {
	case jsonscan.Int:
		return m.Int, true
	case jsonscan.Float:
		if m.Float == math.Trunc(m.Float) && math.Abs(m.Float) < 1<<53 {
			return int64(m.Float), true
		}
	case jsonscan.String:
		return facts.Uint(m.Text)
	}
	return 0, false
}

func boolean(m *jsonscan.Member) (is, ok bool) {
	switch {
	case m.Kind == jsonscan.Bool:
		return m.Int != 0, true
	case m.Kind != jsonscan.String:
	case string(m.Text) == "true":
		return true, true
	case string(m.Text) == "false":
		return false, true
	}
	return false, false
}

// Span reads a duration in nanoseconds: a number of units, the same as text, or
// Go's notation. A negative one is none.
func Span(m *jsonscan.Member, unit int64) (ns int64, ok bool) {
	switch m.Kind {
	case jsonscan.Int:
		return m.Int * unit, m.Int >= 0 && m.Int <= math.MaxInt64/unit
	case jsonscan.Float:
		return scaled(m.Float, unit)
	case jsonscan.String:
		if n, ok := facts.Uint(m.Text); ok {
			return n * unit, n <= math.MaxInt64/unit
		}
		if ns, ok := facts.Span(m.Text); ok {
			return ns, true
		}
		if f, err := strconv.ParseFloat(string(m.Text), 64); err == nil {
			return scaled(f, unit)
		}
	}
	return 0, false
}

func scaled(f float64, unit int64) (int64, bool) {
	ns := math.Round(f * float64(unit))
	return int64(ns), ns >= 0 && ns < math.MaxInt64
}
