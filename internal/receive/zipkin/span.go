package zipkin

import (
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/spans"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Fields of endpoints: those of the dictionary, and those it has no name for.
const (
	fieldLocalIP    = "network.local.address"
	fieldLocalPort  = "network.local.port"
	fieldRemoteIP   = "network.peer.address"
	fieldRemotePort = "network.peer.port"
	fieldLocalIPv6  = "zipkin.local.ipv6" // beside an IPv4 address
	fieldRemoteIPv6 = "zipkin.remote.ipv6"
	fieldDebug      = "zipkin.debug"
)

// An endpoint is one side of an exchange. Addresses are text.
type endpoint struct {
	service, ipv4, ipv6 []byte
	port                uint64
}

// A decoder turns one list into spans.
type decoder struct {
	set  *receive.Set
	lim  receive.Limits
	span *spans.Span
	v1   spanV1
	each jsontext.Reader // of the span being read

	local, remote endpoint
	timestamp     uint64 // µs
	first         uint64 // µs, of the first annotation
	duration      uint64 // µs
	debug         bool
	bad           error
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func newDecoder(set *receive.Set, lim receive.Limits) *decoder {
	d := decoders.Get().(*decoder)
	d.set, d.lim, d.span = set, lim, spans.New(set)
	return d
}

func (d *decoder) release() {
	d.span.Release()
	v1 := d.v1
	clear(v1.annotations[:cap(v1.annotations)])
	clear(v1.binary[:cap(v1.binary)])
	if cap(v1.annotations)+cap(v1.binary) > 1<<12 {
		v1 = spanV1{}
	}
	*d = decoder{v1: v1}
	decoders.Put(d)
}

// begin makes ready for the next span.
func (d *decoder) begin() error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "request has more than %d spans, or too many tags", d.lim.Items)
	}
	d.clear()
	return nil
}

func (d *decoder) clear() {
	d.span.Reset()
	d.local, d.remote = endpoint{}, endpoint{}
	d.timestamp, d.first, d.duration, d.debug, d.bad = 0, 0, 0, false, nil
}

// end appends the span, or rejects it if something in it was wrong.
func (d *decoder) end() {
	if d.bad != nil {
		reason := "malformed_span"
		if fault.Is(d.bad, fault.TooLarge) {
			reason = "too_deep"
		}
		d.set.Reject(reason, d.bad.Error(), 1)
		return
	}
	s := d.span
	if d.timestamp == 0 {
		d.timestamp = d.first
	}
	s.Start, s.Duration = nanos(d.timestamp), nanos(d.duration)
	d.set.Open()
	d.side(d.local, schema.ServiceName, fieldLocalIP, fieldLocalIPv6, fieldLocalPort)
	s.SetResource(d.set.Close())
	s.Peer = d.remote.service
	d.set.Open()
	d.side(d.remote, "", fieldRemoteIP, fieldRemoteIPv6, fieldRemotePort)
	for _, f := range d.set.Opened() {
		s.Add(f)
	}
	d.set.Undo()
	if d.debug {
		s.Add(record.Field{Name: fieldDebug, Value: record.BoolValue(true)})
	}
	s.Append()
}

// side adds the fields of an endpoint to what is open.
func (d *decoder) side(e endpoint, service, ip, ipv6, port string) {
	if len(e.service) > 0 && service != "" {
		d.set.Field(service, receive.Str(e.service))
	}
	switch {
	case len(e.ipv4) > 0 && len(e.ipv6) > 0:
		d.set.Field(ip, receive.Str(e.ipv4))
		d.set.Field(ipv6, receive.Str(e.ipv6))
	case len(e.ipv4) > 0:
		d.set.Field(ip, receive.Str(e.ipv4))
	case len(e.ipv6) > 0:
		d.set.Field(ip, receive.Str(e.ipv6))
	}
	if e.port > 0 && e.port <= math.MaxUint16 {
		d.set.Value(port, record.IntValue(int64(e.port)))
	}
}

// tag adds a tag. The tag error says that the span failed, and is kept.
func (d *decoder) tag(key, value []byte) {
	if d.span.Attrs() > spans.MaxFields {
		return // Append refuses it
	}
	if string(key) == "error" {
		d.span.Status = spans.Error
		if v := string(value); v != "true" && v != "" {
			d.span.Message = value
		}
	}
	d.span.Text(key, value)
}

// annotation adds an event at a time in µs.
func (d *decoder) annotation(at uint64, value []byte) {
	if d.first == 0 || at < d.first {
		d.first = at
	}
	d.span.Event(nanos(at), value, nil)
}

// nanos turns µs into ns, as far as they go.
func nanos(micros uint64) uint64 {
	if micros > math.MaxInt64/1000 {
		return 0
	}
	return micros * 1000
}

var errID = fault.Errorf(fault.Invalid, "an id is not of 1 to 32 hexadecimal digits")

// id reads an id in hex, which may have lost its leading zeros.
func (d *decoder) id(dst, text []byte) {
	n := 2 * len(dst)
	if len(text) == 0 || len(text) > n {
		if len(text) != 0 || len(dst) != 8 { // an empty parent is none
			d.bad = errID
		}
		return
	}
	var padded [32]byte
	for i := range n - len(text) {
		padded[i] = '0'
	}
	copy(padded[n-len(text):], text)
	if _, err := hex.Decode(dst, padded[:n]); err != nil {
		d.bad = errID
	}
}

// addressText writes a packed address as text, nil if it is none.
func (d *decoder) addressText(packed []byte) []byte {
	a, ok := netip.AddrFromSlice(packed)
	if !ok {
		return nil
	}
	return d.set.Keep(a.AppendTo(d.set.Text(48)))
}

func (d *decoder) numberText(n int64) []byte {
	return d.set.Keep(strconv.AppendInt(d.set.Text(24), n, 10))
}
