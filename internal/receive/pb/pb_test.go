package pb

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestEach(t *testing.T) {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "x")
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 300)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 3, protowire.Fixed64Type), 7)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 4, protowire.Fixed32Type), 8)
	b = protowire.AppendTag(b, 5, protowire.StartGroupType)
	b = protowire.AppendTag(b, 5, protowire.EndGroupType)
	var got []Field
	if err := Each(b, func(f Field) error { got = append(got, f); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || string(got[0].V) != "x" || got[1].N != 300 || got[2].N != 7 || got[3].N != 8 || got[1].Tag != 2<<3|Varint {
		t.Errorf("%+v", got)
	}
	for n := range len(b) - 1 { // cut anywhere: an error, or fewer fields
		fields := 0
		err := Each(b[:n+1], func(Field) error { fields++; return nil })
		if err == nil && fields >= 5 || err != nil && !errors.Is(err, ErrMessage) {
			t.Errorf("cut at %d: %d fields, %v", n+1, fields, err)
		}
	}
	stop := errors.New("stop")
	if err := Each(b, func(Field) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}
