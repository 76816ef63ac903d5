package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// prefix is the bytes before a message: whether it is compressed, and its length.
const prefix = 5

const acceptEncoding = "identity,gzip,zstd,snappy,deflate"

// A Message is a message of the caller, not read yet.
type Message struct {
	// Body yields Size bytes. It is gone with the next call of Stream.Next.
	Body io.Reader
	// Size is the message's as received, in bytes, within Method.MaxMessage.
	Size int64
	// Encoding is how it is compressed ("gzip", "zstd", …), "" if it is not. It is
	// the caller's word, whether we know it or not: see ErrEncoding.
	Encoding string
}

// ErrEncoding is what a handler returns for a Message.Encoding it does not know.
func ErrEncoding(name string) error {
	return WithCode(codes.Unimplemented, fault.Errorf(fault.Invalid, "grpc-encoding %.40q is not one of %s", name, acceptEncoding))
}

// A Stream is one call: messages of the caller, and messages to it. One
// goroutine may read and one may send at a time.
type Stream struct {
	w        http.ResponseWriter
	r        *http.Request
	max      int64
	encoding string
	stream   bool
	sent     bool // headers are out
	head     [prefix]byte
	out      [prefix]byte
	rest     io.LimitedReader // of the message being read
	buf      []byte
}

// Context ends with the call: the caller went away, its deadline passed, or the
// server stops (Method.Stream only).
func (s *Stream) Context() context.Context { return s.r.Context() }

// Request returns the HTTP request of the call, for its caller and its metadata
// (headers). Its body is the stream's.
func (s *Stream) Request() *http.Request { return s.r }

// wake makes a blocked read of a streaming call end with the call's context. The
// function it returns is called before the handler returns.
func (s *Stream) wake() func() {
	if !s.stream {
		return func() {}
	}
	done := make(chan struct{})
	stop := context.AfterFunc(s.r.Context(), func() {
		defer close(done)
		http.NewResponseController(s.w).SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done // it must not touch w when the handler has returned
		}
	}
}

// Next returns the next message of the caller, io.EOF when there is none. What
// was not read of the message before is skipped.
func (s *Stream) Next() (Message, error) {
	if err := s.pace(time.Time{}); err != nil {
		return Message{}, err
	}
	if s.rest.N > 0 {
		if _, err := io.Copy(io.Discard, &s.rest); err != nil {
			return Message{}, s.broken(err)
		}
		if s.rest.N > 0 {
			return Message{}, s.broken(io.ErrUnexpectedEOF)
		}
	}
	if _, err := io.ReadFull(s.r.Body, s.head[:]); err != nil {
		if ended(err) {
			return Message{}, io.EOF
		}
		return Message{}, s.broken(err)
	}
	if err := s.pace(time.Now().Add(messageTimeout)); err != nil {
		return Message{}, err
	}
	n := int64(binary.BigEndian.Uint32(s.head[1:]))
	if n > s.max {
		return Message{}, fault.WithHint(fault.Errorf(fault.TooLarge, "message of %d bytes is larger than %d", n, s.max), "send smaller batches")
	}
	m := Message{Size: n}
	switch {
	case s.head[0] == 0:
	case s.head[0] == 1 && s.encoding != "" && s.encoding != "identity":
		m.Encoding = s.encoding
	default:
		return Message{}, fault.Errorf(fault.Invalid, "a message is flagged %d with grpc-encoding %.40q", s.head[0], s.encoding)
	}
	s.rest = io.LimitedReader{R: s.r.Body, N: n}
	m.Body = &s.rest
	return m, nil
}

// messageTimeout is how long a message of a stream may take to arrive once it
// began: it holds memory. (That of a call with one message is bounded as any
// request is.)
var messageTimeout = time.Minute

// pace sets until when reading a stream may take; never, if at is zero.
func (s *Stream) pace(at time.Time) error {
	if !s.stream {
		return nil
	}
	// Where there is no deadline to set, there is no connection to wait for.
	http.NewResponseController(s.w).SetReadDeadline(at)
	// The call may have ended just before, and wake's deadline is now gone.
	return context.Cause(s.r.Context())
}

// broken says why reading failed: the call's end, before what the reader made
// of it.
func (s *Stream) broken(err error) error {
	if cause := context.Cause(s.r.Context()); cause != nil {
		return cause
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Errorf(fault.Invalid, "the request ends within a message")
	}
	if fault.KindOf(err) == fault.Internal {
		return fault.Errorf(fault.Canceled, "read request: %w", err)
	}
	return err
}

// Send sends one message. Those of a streaming call leave at once.
func (s *Stream) Send(message []byte) error {
	if len(message) > math.MaxUint32 {
		return fault.Errorf(fault.TooLarge, "answer of %d bytes", len(message))
	}
	s.begin()
	s.out[0] = 0
	binary.BigEndian.PutUint32(s.out[1:], uint32(len(message)))
	_, err := s.w.Write(s.out[:])
	if err == nil && len(message) > 0 {
		_, err = s.w.Write(message)
	}
	if err == nil && s.stream {
		err = http.NewResponseController(s.w).Flush()
	}
	if err != nil {
		return fault.Errorf(fault.Canceled, "send: %w", err)
	}
	return nil
}

// begin sends the headers, once.
func (s *Stream) begin() {
	if s.sent {
		return
	}
	s.sent = true
	h := s.w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Accept-Encoding", acceptEncoding)
	s.w.WriteHeader(http.StatusOK)
}

// finish ends the call with OK.
func (s *Stream) finish() error {
	s.begin()
	s.w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	return nil
}

// Whole reports whether nothing of the message was read yet.
func (m Message) Whole() bool {
	l, ok := m.Body.(*io.LimitedReader)
	return ok && l.N == m.Size
}
