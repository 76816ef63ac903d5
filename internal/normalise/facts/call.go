package facts

import (
	"hash/crc64"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

var callTable = crc64.MakeTable(crc64.ECMA)

// CallOfRequest derives mesh.call.id of a request by its x-request-id or, without
// one, its trace. Proxies on the way of one call log the same id, method, host and
// path, and an application that answers it by calls of its own sends the id on, so
// all four are needed to tell calls apart. Envoy writes what it samples into the
// id's 14th digit: that one is left out. Nothing is derived without an id and a
// trace.
func (o *Out) CallOfRequest(id, trace, method, host, path []byte) {
	var sum uint64
	switch {
	case len(id) > 0:
		var few [64]byte
		b := append(few[:0], id[:min(len(id), len(few))]...)
		if len(b) == 36 && b[8] == '-' && b[13] == '-' {
			b[14] = '0'
		}
		sum = crc64.Update(0, callTable, b)
	case len(trace) > 0:
		sum = crc64.Update(1, callTable, trace)
	default:
		return
	}
	for _, part := range [...][]byte{method, host, path} {
		sum = crc64.Update(sum, callTable, separator)
		sum = crc64.Update(sum, callTable, part)
	}
	o.call(sum)
}

// CallOfConnection derives mesh.call.id of a connection that is no request by the
// addresses of its two ends, with ports, as both sides see them.
func (o *Out) CallOfConnection(source, destination []byte) {
	if Absent(source) || Absent(destination) {
		return
	}
	sum := crc64.Update(2, callTable, source)
	sum = crc64.Update(sum, callTable, separator)
	o.call(crc64.Update(sum, callTable, destination))
}

var separator = []byte{'\n'}

func (o *Out) call(sum uint64) {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = digits[sum>>(60-4*i)&15]
	}
	o.DeriveBytes(field.MeshCallID, b[:])
}
