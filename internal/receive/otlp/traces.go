package otlp

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/spans"
	"github.com/meshtrail/meshtrail/internal/record"
)

// traces answers POST /v1/traces, an ExportTraceServiceRequest.
func (o *Receiver) traces(w http.ResponseWriter, r *http.Request) error {
	kind, err := contentType(r)
	if err != nil {
		return err
	}
	decode := func(body *receive.Body, set *receive.Set) error {
		return decodeTraces(body.Bytes, kind == typeJSON, set, o.inlet.Limits)
	}
	return o.inlet.Receive(r, r.Header.Get("Content-Encoding"), decode, func(t *receive.Taken) error {
		bad, detail := t.RefusedTotal()
		write(w, http.StatusOK, kind, success(kind, "rejectedSpans", bad, detail))
		return nil
	})
}

// decodeTraces fills set with the spans of an ExportTraceServiceRequest, whose
// bytes they alias.
func decodeTraces(b []byte, isJSON bool, set *receive.Set, lim receive.Limits) error {
	d := traceDecoder{decoder: decoder{set: set, lim: lim}, span: spans.New(set)}
	defer d.span.Release()
	if isJSON {
		return d.json(b)
	}
	return d.proto(b)
}

// A traceDecoder turns one export request into spans.
type traceDecoder struct {
	decoder
	span    *spans.Span
	members []byte // of the event or link being read
}

// begin makes ready for the next span.
func (d *traceDecoder) begin() error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "export request has more than %d spans, or too many attributes", d.lim.Items)
	}
	d.span.Reset()
	return nil
}

// scopeOf sets the scope from the fields that were read of it.
func (d *traceDecoder) scopeOf(name, version []byte, fields []record.Field) {
	d.span.SetScope(name, version, fields)
}

// times sets start and duration. An end before the start is a duration of zero.
func (d *traceDecoder) times(start, end uint64) {
	d.span.Start = start
	if end > start {
		d.span.Duration = end - start
	}
}

// binaryID reads an id of the wire; one of another length is left zero, which
// Append refuses where it matters.
func binaryID(dst, v []byte) {
	if len(v) == len(dst) {
		copy(dst, v)
	}
}

// status reads StatusCode { UNSET = 0; OK = 1; ERROR = 2 }.
func status(n uint64) spans.Status {
	if n > uint64(spans.Error) {
		return spans.NoStatus
	}
	return spans.Status(n)
}

// kindOf reads SpanKind, whose numbers spans.Kind has.
func kindOf(n uint64) spans.Kind {
	if n > uint64(spans.Consumer) {
		return spans.Unset
	}
	return spans.Kind(n)
}

// flags keeps the W3C flags, the low byte of SpanFlags, when there are any.
func (d *traceDecoder) flags(n uint64) {
	d.span.Flags, d.span.HasFlags = uint32(n&0xff), n&0xff != 0
}
