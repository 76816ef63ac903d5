package hubble

import (
	_ "embed" // the schema
	"encoding/base64"
	"math"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
)

// schema is the FileDescriptorSet of flow.proto, relay.proto and observer.proto,
// without comments and services: github.com/cilium/cilium v1.20.2, api/v1
// (Apache-2.0).
//
//go:embed observer.binpb
var schema []byte

// A message is how a message of the schema is written as JSON.
type message struct {
	fields []*field // by number, up to the largest that is near
	far    map[int]*field
	count  int
	known  protoreflect.Name // of google.protobuf, where its JSON is its own
}

type field struct {
	key      string // "name":
	kind     protoreflect.Kind
	repeated bool
	index    int // in the message
	message  *message
	enum     []string // by number
}

// near bounds the numbers that are looked up by index.
const near = 128

// maxFields bounds the fields of one message of the schema.
const maxFields = 128

func (m *message) field(number int) *field {
	if number < len(m.fields) {
		return m.fields[number]
	}
	return m.far[number]
}

// response returns GetFlowsResponse. The schema is part of the program, so what
// is wrong with it is a bug that the first test finds.
var response = sync.OnceValues(func() (*message, error) {
	files, err := files()
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "read Hubble's schema: %w", err)
	}
	d, err := files.FindDescriptorByName("observer.GetFlowsResponse")
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "read Hubble's schema: %w", err)
	}
	return compile(d.(protoreflect.MessageDescriptor), map[protoreflect.FullName]*message{}), nil
})

// files returns the schema with what it imports.
func files() (*protoregistry.Files, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(schema, &set); err != nil {
		return nil, err
	}
	files := new(protoregistry.Files)
	for _, f := range []protoreflect.FileDescriptor{anypb.File_google_protobuf_any_proto, fieldmaskpb.File_google_protobuf_field_mask_proto,
		timestamppb.File_google_protobuf_timestamp_proto, wrapperspb.File_google_protobuf_wrappers_proto} {
		if err := files.RegisterFile(f); err != nil {
			return nil, err
		}
	}
	for _, f := range set.File {
		d, err := protodesc.NewFile(f, files)
		if err == nil {
			err = files.RegisterFile(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func compile(d protoreflect.MessageDescriptor, done map[protoreflect.FullName]*message) *message {
	if m := done[d.FullName()]; m != nil {
		return m
	}
	m := &message{far: map[int]*field{}, count: d.Fields().Len()}
	done[d.FullName()] = m
	if d.FullName().Parent() == "google.protobuf" {
		m.known = d.Name()
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &field{key: `"` + string(fd.Name()) + `":`, kind: fd.Kind(), repeated: fd.IsList(), index: i}
		switch f.kind {
		case protoreflect.MessageKind:
			f.message = compile(fd.Message(), done)
		case protoreflect.EnumKind:
			values := fd.Enum().Values()
			for j := range values.Len() {
				v := values.Get(j)
				for n := int(v.Number()); n >= 0 && n < 4096 && len(f.enum) <= n; {
					f.enum = append(f.enum, "")
				}
				if n := int(v.Number()); n >= 0 && n < len(f.enum) && f.enum[n] == "" {
					f.enum[n] = string(v.Name())
				}
			}
		}
		n := int(fd.Number())
		if n >= near {
			m.far[n] = f
			continue
		}
		for len(m.fields) <= n {
			m.fields = append(m.fields, nil)
		}
		m.fields[n] = f
	}
	return m
}

// A writer writes messages as JSON, in the form in which Hubble's own exporter
// does: the schema's names, enums by name, 64-bit numbers as strings. A field
// that the schema does not have is kept under its number, so that a newer relay
// loses nothing.
type writer struct{ depth int }

var errDeep = fault.Errorf(fault.TooLarge, "a flow is nested too deep")

func (w *writer) message(dst, b []byte, m *message, depth int) ([]byte, error) {
	if depth > w.depth || m.count > maxFields {
		return dst, errDeep
	}
	if m.known != "" {
		return w.known(dst, b, m, depth)
	}
	var seen [maxFields / 64]uint64
	dst = append(dst, '{')
	for len(b) > 0 {
		v, rest, err := pb.Next(b)
		if err != nil {
			return dst, err
		}
		f := m.field(v.Tag >> 3)
		if f == nil || !f.fits(v.Tag&7) {
			dst = unknown(comma(dst), v)
			b = rest
			continue
		}
		if bit := uint64(1) << (f.index & 63); seen[f.index>>6]&bit != 0 {
			b = rest // written with the first
			continue
		} else {
			seen[f.index>>6] |= bit
		}
		dst = append(comma(dst), f.key...)
		if f.repeated {
			dst, err = w.list(dst, b, f, v.Tag>>3, depth)
		} else {
			dst, err = w.value(dst, v, f, depth)
		}
		if err != nil {
			return dst, err
		}
		b = rest
	}
	return append(dst, '}'), nil
}

func comma(dst []byte) []byte {
	if c := dst[len(dst)-1]; c != '{' && c != '[' {
		dst = append(dst, ',')
	}
	return dst
}

// fits reports whether a value of a wire type can be the field's.
func (f *field) fits(wire int) bool {
	want := pb.Varint
	switch f.kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		want = pb.Length
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		want = pb.Fixed64
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		want = pb.Fixed32
	}
	return wire == want || f.repeated && wire == pb.Length && want == pb.Varint
}

// list writes all values of a repeated field, from the first on.
func (w *writer) list(dst, b []byte, f *field, number, depth int) ([]byte, error) {
	dst = append(dst, '[')
	for len(b) > 0 {
		v, rest, err := pb.Next(b)
		if err != nil {
			return dst, err
		}
		b = rest
		if v.Tag>>3 != number || !f.fits(v.Tag&7) {
			continue
		}
		if v.Tag&7 == pb.Length && f.kind != protoreflect.StringKind && f.kind != protoreflect.BytesKind && f.kind != protoreflect.MessageKind {
			for p := v.V; len(p) > 0; { // packed
				n, size := varint(p)
				if size <= 0 {
					return dst, pb.ErrMessage
				}
				p = p[size:]
				if dst, err = w.value(comma(dst), pb.Field{N: n}, f, depth); err != nil {
					return dst, err
				}
			}
			continue
		}
		if dst, err = w.value(comma(dst), v, f, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func varint(b []byte) (n uint64, size int) {
	for i := 0; i < len(b) && i < 10; i++ {
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

func (w *writer) value(dst []byte, v pb.Field, f *field, depth int) ([]byte, error) {
	switch f.kind {
	case protoreflect.MessageKind:
		return w.message(dst, v.V, f.message, depth+1)
	case protoreflect.StringKind:
		return jsontext.AppendString(dst, v.V), nil
	case protoreflect.BytesKind:
		return quote64(dst, v.V), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.N != 0), nil
	case protoreflect.EnumKind:
		if n := int32(v.N); n >= 0 && int(n) < len(f.enum) && f.enum[n] != "" {
			return append(append(append(dst, '"'), f.enum[n]...), '"'), nil
		}
		return strconv.AppendInt(dst, int64(int32(v.N)), 10), nil
	case protoreflect.Int32Kind:
		return strconv.AppendInt(dst, int64(int32(v.N)), 10), nil
	case protoreflect.Int64Kind:
		return append(strconv.AppendInt(append(dst, '"'), int64(v.N), 10), '"'), nil
	case protoreflect.Uint64Kind:
		return append(strconv.AppendUint(append(dst, '"'), v.N, 10), '"'), nil
	case protoreflect.DoubleKind:
		if x := math.Float64frombits(v.N); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return strconv.AppendFloat(dst, x, 'g', -1, 64), nil
		}
		return append(dst, "null"...), nil
	}
	return strconv.AppendUint(dst, uint64(uint32(v.N)), 10), nil
}

// known writes the messages whose JSON is their own (protobuf.dev, ProtoJSON).
func (w *writer) known(dst, b []byte, m *message, depth int) ([]byte, error) {
	var v [3]pb.Field // by number
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return dst, err
		}
		b = rest
		if n := f.Tag >> 3; n == 1 || n == 2 {
			v[n] = f
		}
	}
	switch m.known {
	case "Timestamp":
		return stamp(dst, int64(v[1].N), int64(int32(v[2].N))), nil
	case "Any":
		dst = jsontext.AppendString(append(dst, `{"@type":`...), v[1].V)
		return append(quote64(append(dst, `,"value":`...), v[2].V), '}'), nil
	}
	if f := m.field(1); f != nil && !f.repeated { // a wrapper
		return w.value(dst, v[1], f, depth)
	}
	return append(dst, "null"...), nil
}

// stamp writes a time as protobuf's JSON has it: UTC, with 0, 3, 6 or 9 digits
// after the second.
func stamp(dst []byte, seconds, nanos int64) []byte {
	layout := "2006-01-02T15:04:05.000000000Z"
	switch {
	case nanos == 0:
		layout = "2006-01-02T15:04:05Z"
	case nanos%1_000_000 == 0:
		layout = "2006-01-02T15:04:05.000Z"
	case nanos%1000 == 0:
		layout = "2006-01-02T15:04:05.000000Z"
	}
	if seconds < -62135596800 || seconds > 253402300799 || nanos < 0 || nanos > 999_999_999 {
		return append(dst, "null"...)
	}
	return append(time.Unix(seconds, nanos).UTC().AppendFormat(append(dst, '"'), layout), '"')
}

func unknown(dst []byte, v pb.Field) []byte {
	dst = append(strconv.AppendInt(append(dst, `"field_`...), int64(v.Tag>>3), 10), '"', ':')
	if v.Tag&7 == pb.Length {
		return quote64(dst, v.V)
	}
	return append(strconv.AppendUint(append(dst, '"'), v.N, 10), '"')
}

func quote64(dst, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
}
