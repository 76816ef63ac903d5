package hubble

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// flows returns the responses in testdata.
func flows(t testing.TB) (out [][]byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/flows.bin")
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 4 {
		n := binary.BigEndian.Uint32(b)
		out, b = append(out, b[4:4+n]), b[4+n:]
	}
	if len(out) < 40 {
		t.Fatalf("%d flows", len(out))
	}
	return out
}

// descriptor returns GetFlowsResponse as the library knows it.
func descriptor(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	own, err := files()
	if err != nil {
		t.Fatal(err)
	}
	d, err := own.FindDescriptorByName("observer.GetFlowsResponse")
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

func transcode(t testing.TB, b []byte) []byte {
	t.Helper()
	m, err := response()
	if err != nil {
		t.Fatal(err)
	}
	w := writer{depth: 64}
	out, err := w.message(nil, b, m, 0)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares JSON with what the protobuf library writes.
func same(t *testing.T, d protoreflect.MessageDescriptor, b []byte) {
	t.Helper()
	m := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	want, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var a, w any
	got := transcode(t, b)
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, w) {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

func TestRealFlows(t *testing.T) {
	d := descriptor(t)
	for _, b := range flows(t) {
		same(t, d, b)
	}
}

// TestEveryField sets every field of the schema, two deep in what is recursive.
func TestEveryField(t *testing.T) {
	d := descriptor(t)
	kinds := d.Fields().ByName("flow").ContainingOneof().Fields()
	for i := range kinds.Len() {
		m := dynamicpb.NewMessage(d)
		n := 0
		fill(m, &n, 0)
		v := m.NewField(kinds.Get(i)).Message()
		fill(v, &n, 0)
		m.Set(kinds.Get(i), protoreflect.ValueOfMessage(v))
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		same(t, d, b)
	}
}

func fill(m protoreflect.Message, n *int, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		*n++
		if fd.Message() != nil && (depth > 5 || fd.Message().FullName() == "google.protobuf.Any") {
			continue
		}
		value := func() protoreflect.Value {
			*n++
			switch fd.Kind() {
			case protoreflect.MessageKind:
				v := m.NewField(fd)
				var inner protoreflect.Message
				if fd.IsList() {
					inner = v.List().NewElement().Message()
				} else {
					inner = v.Message()
				}
				fill(inner, n, depth+1)
				return protoreflect.ValueOfMessage(inner)
			case protoreflect.StringKind:
				return protoreflect.ValueOfString("é\"\n" + string(rune('a'+*n%26)))
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte{0xff, byte(*n)})
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(protoreflect.EnumNumber(*n % 300))
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(int32(*n))
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(^uint32(0) - uint32(*n))
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(int64(*n) + 1<<33)
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(1<<63 + uint64(*n))
			case protoreflect.DoubleKind:
				return protoreflect.ValueOfFloat64(1.5)
			}
			panic(fd.Kind())
		}
		if fd.IsList() {
			l := m.Mutable(fd).List()
			l.Append(value())
			l.Append(value())
			continue
		}
		m.Set(fd, value())
	}
}

func TestWhatTheSchemaDoesNotHaveIsKept(t *testing.T) {
	flow := protowire.AppendString(protowire.AppendTag(nil, 90, protowire.BytesType), "new")
	flow = protowire.AppendVarint(protowire.AppendTag(flow, 91, protowire.VarintType), 7)
	flow = protowire.AppendString(protowire.AppendTag(flow, 2, protowire.BytesType), "verdict is no text")
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), flow)
	if got := string(transcode(t, b)); got != `{"flow":{"field_90":"bmV3","field_91":"7","field_2":"dmVyZGljdCBpcyBubyB0ZXh0"}}` {
		t.Error(got)
	}
}

func TestAllocations(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	all := flows(t)
	m, err := response()
	if err != nil {
		t.Fatal(err)
	}
	w := writer{depth: 64}
	buf := make([]byte, 0, 1<<20)
	run := func() {
		buf = buf[:0]
		for _, b := range all {
			if buf, err = w.message(buf, b, m, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := testing.AllocsPerRun(100, run); got > 0 {
		t.Errorf("%v allocations for %d flows", got, len(all))
	}
}

func BenchmarkTranscode(b *testing.B) {
	all := flows(b)
	m, err := response()
	if err != nil {
		b.Fatal(err)
	}
	w := writer{depth: 64}
	buf := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		buf = buf[:0]
		for _, f := range all {
			if buf, err = w.message(buf, f, m, 0); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/record")
}

func FuzzTranscode(f *testing.F) {
	for _, b := range flows(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := response()
		if err != nil {
			t.Fatal(err)
		}
		w := writer{depth: 8}
		out, err := w.message(nil, b, m, 0)
		if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
			t.Fatal(err)
		}
		if err == nil && !json.Valid(out) {
			t.Fatalf("not JSON: %q", out)
		}
	})
}
