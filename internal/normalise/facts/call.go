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
// first digit of a UUID's third group: a 0 stands for it. The sum is CRC-64/XZ of the
// four, with line feeds between them. Nothing is derived without an id and a
// trace.
func (o *Out) CallOfRequest(id, trace, method, host, path []byte) {
	var few [256]byte // the sum of many bytes at once costs half
	var b []byte
	var sum uint64
	switch {
	case len(id) > 0:
		b = append(few[:0], id[:min(len(id), 64)]...)
		if len(b) == 36 && b[8] == '-' && b[13] == '-' {
			b[14] = '0'
		}
	case len(trace) > 0:
		sum, b = 1, append(few[:0], trace[:min(len(trace), 64)]...)
	default:
		return
	}
	b = append(append(b, '\n'), method[:min(len(method), 16)]...)
	b = append(b, '\n')
	if len(host)+len(path) < len(few)-len(b)-1 {
		b = append(append(append(b, host...), '\n'), path...)
		o.call(crc64.Update(sum, callTable, b))
		return
	}
	sum = crc64.Update(crc64.Update(sum, callTable, b), callTable, host)
	sum = crc64.Update(sum, callTable, separator)
	o.call(crc64.Update(sum, callTable, path))
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
