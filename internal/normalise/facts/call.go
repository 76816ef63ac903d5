package facts

import (
	"hash/crc64"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

var callTable = crc64.MakeTable(crc64.ECMA)

// CallOfConnection derives mesh.call.id of a connection that is no request by the
// addresses of its two ends, with ports, as both sides see them: the CRC-64/XZ of
// both with a line feed between them.
func (o *Out) CallOfConnection(source, destination []byte) {
	if Absent(source) || Absent(destination) {
		return
	}
	sum := crc64.Update(0, callTable, source)
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
