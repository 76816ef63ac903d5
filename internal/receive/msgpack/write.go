package msgpack

import "encoding/binary"

// AppendArray appends the head of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return appendHead(dst, n, 0x90, 16, 0xdc) }

// AppendMap appends the head of a map of n pairs.
func AppendMap(dst []byte, n int) []byte { return appendHead(dst, n, 0x80, 16, 0xde) }

// appendHead appends a head with its number in the byte itself below fixed, else
// in the two or four bytes after long or long+1.
func appendHead(dst []byte, n int, short byte, fixed int, long byte) []byte {
	switch {
	case n < fixed:
		return append(dst, short|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, long+1), uint32(n))
}

// AppendStr appends s as a str, whatever its bytes are.
func AppendStr(dst []byte, s string) []byte {
	if len(s) >= 32 && len(s) < 256 {
		dst = append(dst, 0xd9, byte(len(s)))
	} else {
		dst = appendHead(dst, len(s), 0xa0, 32, 0xda)
	}
	return append(dst, s...)
}

// AppendBin appends s as binary.
func AppendBin(dst []byte, s []byte) []byte {
	if len(s) < 256 {
		dst = append(dst, 0xc4, byte(len(s)))
	} else {
		dst = appendHead(dst, len(s), 0, 0, 0xc5)
	}
	return append(dst, s...)
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte {
	if n >= 0 && n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
}

// AppendEventTime appends Fluentd's extension 0: ns since 1970.
func AppendEventTime(dst []byte, ns int64) []byte {
	dst = append(dst, 0xd7, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(ns/1e9))
	return binary.BigEndian.AppendUint32(dst, uint32(ns%1e9))
}
