package pb

import (
	"errors"
	"strings"
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

// TestPair holds the short way against the long one: it takes a pair apart or
// leaves it, wherever it is cut.
func TestPair(t *testing.T) {
	text := func(b []byte, n protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	long := strings.Repeat("x", 300)
	for _, b := range [][]byte{text(text(nil, 1, "k"), 2, "v"), text(text(nil, 1, long), 2, long), text(text(nil, 1, ""), 2, ""), text(text(nil, 2, "v"), 1, "k"),
		text(text(text(nil, 1, "k"), 2, "v"), 2, "w"), text(text(nil, 1, "k"), 2, strings.Repeat(long, 100)), text(nil, 1, "k"), nil} {
		for cut := range len(b) + 1 {
			var key, value []byte
			n := 0
			err := Each(b[:cut], func(f Field) error {
				switch n++; f.Tag {
				case 1<<3 | Length:
					key = f.V
				case 2<<3 | Length:
					value = f.V
				}
				return nil
			})
			one, two, ok := Pair(b[:cut])
			if ok && (err != nil || n != 2 || string(one) != string(key) || string(two) != string(value)) {
				t.Errorf("%.20q of %d: %.20q and %.20q, want %.20q and %.20q: %v", b, cut, one, two, key, value, err)
			}
		}
	}
	if _, _, ok := Pair(text(text(nil, 1, long), 2, long)); !ok {
		t.Error("a pair of long texts is not taken")
	}
}
