package block

// AppendBlob appends data, compressed when that saves space.
func AppendBlob(dst, data []byte) []byte { return appendBlob(dst, data) }

// DecodeBlob reads what AppendBlob wrote, up to limit bytes, and nothing else.
func DecodeBlob(b []byte, limit int) ([]byte, error) {
	in := cursor{b: b}
	out := in.blob(limit, true)
	return out, in.end("a blob")
}
