package facts

import (
	"strconv"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Jaeger writes trace_id and span_id of hexadecimal digits whose leading zeros may
// be left out, and reports whether both can be ones. An absent span is none.
func (o *Out) Jaeger(trace, span []byte) bool {
	if !Hex(trace) || len(trace) > 32 || len(span) > 0 && (!Hex(span) || len(span) > 16) {
		return false
	}
	o.padded(field.TraceID, trace, 32)
	if len(span) > 0 {
		o.padded(field.SpanID, span, 16)
	}
	return true
}

// DatadogTrace writes trace_id of a decimal number of 64 bits, which Datadog's
// headers hold, and reports whether it is one. Up to 16 digits it may as well be
// hexadecimal ones, and is none here.
func (o *Out) DatadogTrace(b []byte) bool {
	if len(b) < 17 || len(b) > 20 {
		return false
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return false
	}
	var few [16]byte
	o.padded(field.TraceID, strconv.AppendUint(few[:0], n, 16), 32)
	return true
}

// padded writes digits with zeros before them, up to a width of at most 32.
func (o *Out) padded(f field.ID, digits []byte, width int) {
	var full [32]byte
	n := copy(full[:], "00000000000000000000000000000000"[:width-len(digits)])
	copy(full[n:], digits)
	o.DeriveBytes(f, full[:width])
}
