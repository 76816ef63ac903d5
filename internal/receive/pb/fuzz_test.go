package pb

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// FuzzNext holds Next, with its short way for small fields, against the library's
// own reader: the same fields, the same errors, and the end at the same place.
func FuzzNext(f *testing.F) {
	f.Add([]byte("\x0a\x03abc\x10\x96\x01"))
	f.Add(append([]byte("\x0a\x80\x01"), make([]byte, 128)...))
	f.Add([]byte("\x0a\x83\x00abc\x0d\x01\x02\x03\x04"))
	f.Add([]byte("\x0b\x08\x01\x0c\x0a\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			num, typ, size := protowire.ConsumeField(b)
			field, rest, err := Next(b)
			if (size < 0) != (err != nil) {
				t.Fatalf("%x: %v, the library says %d", b, err, size)
			}
			if err != nil {
				return
			}
			if field.Tag != int(num)<<3|int(typ) || !bytes.Equal(rest, b[size:]) {
				t.Fatalf("%x: tag %d and %d bytes left, want %d and %d", b, field.Tag, len(rest), int(num)<<3|int(typ), len(b)-size)
			}
			if _, _, head := protowire.ConsumeTag(b); typ == protowire.BytesType { // the tag may be written in more bytes than it needs
				if want, _ := protowire.ConsumeBytes(b[head:]); !bytes.Equal(field.V, want) {
					t.Fatalf("%x: %x, want %x", b, field.V, want)
				}
			}
			b = rest
		}
	})
}
