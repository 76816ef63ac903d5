package rpc

import (
	"bytes"
	"context"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Recv reads the next message of the caller into m, a protobuf message of either
// generation or a *[]byte. It is for messages that need no counted memory: they
// are bounded by Method.MaxMessage, decoded too. It returns io.EOF at the end.
func (s *Stream) Recv(m any) error {
	next, err := s.Next()
	if err != nil {
		return err
	}
	b, err := s.whole(next)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case proto.Message:
		err = proto.Unmarshal(b, m)
	case protoadapt.MessageV1:
		err = proto.Unmarshal(b, protoadapt.MessageV2Of(m))
	case *[]byte:
		*m = bytes.Clone(b)
	default:
		return fault.Errorf(fault.Internal, "receive a %T", m)
	}
	return fault.Wrap(fault.Invalid, err)
}

// SendMsg sends a protobuf message of either generation, or bytes.
func (s *Stream) SendMsg(m any) error {
	var b []byte
	var err error
	switch m := m.(type) {
	case proto.Message:
		b, err = proto.Marshal(m)
	case protoadapt.MessageV1:
		b, err = proto.Marshal(protoadapt.MessageV2Of(m))
	case []byte:
		b = m
	default:
		err = fault.Errorf(fault.Internal, "send a %T", m)
	}
	if err != nil {
		return err
	}
	return s.Send(b)
}

// whole reads a message to its end, decoded, into the stream's own buffer.
func (s *Stream) whole(m Message) ([]byte, error) {
	r := m.Body
	switch m.Encoding {
	case "":
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "decode gzip: %w", err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "decode zstd: %w", err)
		}
		defer z.Close()
		r = z
	default:
		return nil, ErrEncoding(m.Encoding)
	}
	buf := bytes.NewBuffer(s.buf[:0])
	n, err := io.Copy(buf, io.LimitReader(r, s.max+1))
	s.buf = buf.Bytes()
	switch {
	case n > s.max:
		return nil, fault.Errorf(fault.TooLarge, "decoded message is larger than %d bytes", s.max)
	case err == nil && m.Encoding == "" && n < m.Size:
		return nil, s.broken(io.ErrUnexpectedEOF)
	case err != nil && m.Encoding != "" && fault.KindOf(err) == fault.Internal:
		return nil, fault.Errorf(fault.Invalid, "decode %s: %w", m.Encoding, err)
	case err != nil:
		return nil, s.broken(err)
	}
	return s.buf, nil
}

// Generated returns the service of generated code. Errors of its methods may be
// of package fault, or statuses of the library. maxMessage as in Method.
func Generated(desc *grpc.ServiceDesc, impl any, maxMessage int64) Service {
	s := Service{Name: desc.ServiceName}
	for _, d := range desc.Methods {
		s.Methods = append(s.Methods, Method{Name: d.MethodName, MaxMessage: maxMessage, Handle: func(st *Stream) error {
			answer, err := d.Handler(impl, st.Context(), func(m any) error { return st.Recv(m) }, nil)
			if err != nil {
				return err
			}
			return st.SendMsg(answer)
		}})
	}
	for _, d := range desc.Streams {
		s.Methods = append(s.Methods, Method{Name: d.StreamName, MaxMessage: maxMessage, Stream: true, Handle: func(st *Stream) error {
			return d.Handler(impl, serverStream{st})
		}})
	}
	return s
}

// Unary returns a method that takes one message and answers one.
func Unary[I any, P interface {
	*I
	proto.Message
}](name string, handle func(ctx context.Context, in P) (proto.Message, error)) Method {
	return Method{Name: name, Handle: func(s *Stream) error {
		in := P(new(I))
		if err := s.Recv(in); err != nil {
			return err
		}
		out, err := handle(s.Context(), in)
		if err != nil {
			return err
		}
		return s.SendMsg(out)
	}}
}

// serverStream is a Stream as generated code wants it. Metadata of answers is
// not sent: none of our services has any.
type serverStream struct{ s *Stream }

func (serverStream) SetHeader(metadata.MD) error    { return nil }
func (serverStream) SetTrailer(metadata.MD)         {}
func (v serverStream) SendHeader(metadata.MD) error { v.s.begin(); return nil }
func (v serverStream) Context() context.Context     { return v.s.Context() }
func (v serverStream) SendMsg(m any) error          { return v.s.SendMsg(m) }
func (v serverStream) RecvMsg(m any) error          { return v.s.Recv(m) }
