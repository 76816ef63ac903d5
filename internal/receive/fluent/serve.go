package fluent

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/record"
)

// patience is how long a message that asks for an acknowledgement is held while
// it cannot be kept. Then the connection is closed without one: the sender has
// given up waiting (Fluentd after 190 s) and sends the chunk again. Other messages
// are held as long as it takes, because nobody would send them again.
const patience = 3 * time.Minute

// maxRepeats bounds what is remembered of one chunk of a connection, in messages.
const maxRepeats = 1024

// A session is one connection.
//
// Messages that ask for no acknowledgement are gathered as long as whole ones are
// there, and handed in before the connection is read again; until then nothing is
// discarded, because raw records point into its buffer. One that asks for an
// acknowledgement is handed in by itself, under an identity made of its chunk and
// its content.
type session struct {
	r    *Receiver
	ctx  context.Context
	c    *listen.Conn
	from receive.Sender

	json        bool
	start, used int   // of what is buffered: counted; read
	open        batch // of messages that ask for no acknowledgement
	d           decoder
	scan        msgpack.Scanner
	out         []byte

	// repeats counts the messages of one chunk that were acknowledged here, by
	// content. Fluent Bit gives each record of a flush the same chunk when its tag
	// depends on the record: two equal ones, the second sent after the first was
	// acknowledged on the same connection, are two, and no repetition.
	chunk   string
	repeats map[xxh3.Uint128]uint32
}

// serve speaks the protocol on one connection.
func (r *Receiver) serve(ctx context.Context, c *listen.Conn) error {
	s := &session{r: r, ctx: ctx, c: c, from: c.From}
	if r.auth != nil {
		if err := s.handshake(r.auth); err != nil {
			return err
		}
	}
	if err := c.Await(); err != nil { // a heartbeat connects and says nothing
		return err
	}
	first := c.Buffered()[0]
	s.json = first == '{' || first == '['
	s.open.s = s
	defer s.open.release()
	for {
		data, top, err := s.next()
		if err == nil {
			err = s.take(data, top)
		}
		if err != nil {
			if flushed := s.flush(); flushed != nil {
				err = flushed
			}
			return err
		}
	}
}

// buffered returns what was read from the connection and not used yet.
func (s *session) buffered() []byte { return s.c.Buffered()[s.used:] }

// next returns the next message, and where its elements begin if that is known.
func (s *session) next() (data []byte, top []int, err error) {
	if len(s.buffered()) == 0 {
		if err := s.flush(); err != nil {
			return nil, nil, err
		}
	}
	if err := s.c.Await(); err != nil { // from here on the message has its time
		return nil, nil, err
	}
	var (
		f    = &s.scan
		jf   jsonFrame
		done bool
	)
	*f = msgpack.Scanner{}
	for {
		if s.json && jf.pos == 0 {
			s.used += skipSpace(s.buffered())
		}
		data = s.buffered()
		if s.json {
			done, err = jf.scan(data)
		} else if done, err = f.Scan(data); f.Least() > s.r.max {
			err = fault.WithHint(fault.Errorf(fault.TooLarge, "message is larger than %d bytes", s.r.max),
				"make the sender's chunks smaller (chunk_limit_size), or raise receive.decoded_bytes")
		}
		if err != nil {
			return nil, nil, err
		}
		if done {
			break
		}
		if err := s.flush(); err != nil {
			return nil, nil, err
		}
		if err := s.c.More(); err != nil {
			return nil, nil, err
		}
	}
	size := jf.pos
	if !s.json {
		size, top = f.End(), f.Top[:f.Tops]
	}
	s.used += size
	return data[:size:size], top, nil
}

// flush hands in what was gathered, and lets the connection's buffer go.
func (s *session) flush() error {
	if err := s.open.hand(); err != nil {
		return err
	}
	s.c.Discard(s.used)
	s.start, s.used = 0, 0
	return nil
}

// A batch is what is handed in under one identity, whole or in parts.
type batch struct {
	s    *session
	set  *receive.Set   // nil: none yet; a connection at rest holds none
	id   record.BatchID // zero: not numbered by its sender
	body receive.Body   // what was read since the last part, to be counted
}

// use returns the batch's set.
func (b *batch) use() *receive.Set {
	if b.set == nil {
		b.set = receive.NewSet()
	}
	return b.set
}

func (b *batch) release() {
	if b.set != nil {
		b.set.Release()
		b.set = nil
	}
}

// hand hands in what the set holds, and lets it go. The next part's number is
// that of its first record.
func (b *batch) hand() error {
	s := b.s
	if b.set == nil || b.set.Total() == 0 {
		b.release()
		return nil
	}
	var err error
	if b.id.IsZero() {
		_, err = s.r.inlet.IngestLossy(s.ctx, s.from, b.set, len(b.body.Bytes))
	} else {
		_, err = s.r.inlet.IngestRetry(s.ctx, patience, s.from, b.id, b.set, &b.body)
		b.id.Seq += uint64(len(b.set.Raws))
	}
	if err != nil {
		return err
	}
	b.body = receive.Body{}
	b.release()
	return nil
}

// take reads a message, and hands it in or gathers it.
func (s *session) take(data []byte, top []int) error {
	var (
		m   message
		err error
	)
	if s.json {
		m, err = parseJSON(data, s.r.inlet.Limits.Depth, s.open.use())
		m.tag, m.chunk = bytes.Clone(m.tag), bytes.Clone(m.chunk) // of a set that is emptied before them
	} else {
		m, err = parse(data, top)
	}
	if err != nil || m.mode == modeNone {
		return err
	}
	plain, err := s.decompress(&m)
	if err != nil {
		return err
	}
	defer plain.Release()
	if m.chunk == nil && plain == nil {
		s.open.body = receive.Body{Bytes: s.c.Buffered()[s.start:s.used], Wire: int64(s.used - s.start)}
		err := s.decode(&m, &s.open)
		if s.open.body.Bytes == nil { // a part was handed in
			s.start = s.used
		}
		return err
	}
	// What was gathered comes first, and does not outlive plain.
	if err := s.open.hand(); err != nil {
		return err
	}
	s.start = s.used
	one := batch{s: s, body: receive.Body{Bytes: data, Wire: int64(len(data))}}
	defer one.release()
	if plain != nil {
		one.body.Bytes = plain.Bytes
	}
	if m.chunk != nil {
		one.id = s.identify(&m, data)
	}
	if err := s.decode(&m, &one); err != nil {
		return err
	}
	if err := one.hand(); err != nil || m.chunk == nil {
		return err
	}
	return s.acknowledge(m.chunk)
}

// identify returns the identity of a message that asks for an acknowledgement.
// Whatever is not acknowledged ends the connection, so each message that comes
// after one of the same content is another.
func (s *session) identify(m *message, data []byte) record.BatchID {
	if s.repeats == nil || string(m.chunk) != s.chunk || len(s.repeats) >= maxRepeats {
		s.chunk, s.repeats = string(m.chunk), map[xxh3.Uint128]uint32{}
	}
	content := xxh3.Hash128(data)
	n := s.repeats[content]
	s.repeats[content] = n + 1
	return receive.KeyID(s.from, Name, m.chunk, data, binary.BigEndian.AppendUint32(nil, n))
}

// decompress undoes the compression of a message's entries; nil if there is none.
// Entries that are not what they are declared to be, or are a bomb, are rejected
// later: to send them again would never help.
func (s *session) decompress(m *message) (plain *receive.Body, err error) {
	if m.mode != modePacked || m.compressed == "" || m.compressed == "text" {
		return nil, nil
	}
	most := patience
	if m.chunk == nil {
		most = 0
	}
	err = s.r.inlet.Retry(s.ctx, most, func() (err error) {
		switch m.compressed {
		case "gzip", "zstd":
			plain, err = s.r.inlet.Bodies.Decode(m.body, m.compressed)
		default:
			err = fault.Errorf(fault.Invalid, "compression %.20q is neither gzip nor zstd", m.compressed)
		}
		return err
	})
	switch {
	case err == nil:
		m.body = plain.Bytes
	case receive.Passing(err):
		return nil, err
	default:
		m.bad = err
	}
	return plain, nil
}

// decode reads the entries of a message into a batch.
func (s *session) decode(m *message, b *batch) error {
	set := b.use()
	rejected := uint64(max(1, min(m.size, partRecords)))
	switch {
	case m.bad != nil:
		reason := "malformed_compression"
		if fault.Is(m.bad, fault.TooLarge) {
			reason = "too_large"
		}
		set.Reject(reason, m.bad.Error(), rejected)
		return nil
	case m.signal != 0:
		set.Reject("not_logs", "metrics, traces, blobs and profiles of Fluent Bit are not taken here", rejected)
		return nil
	}
	depth := s.r.inlet.Limits.Depth
	s.d = decoder{batch: b, set: set, depth: depth, tag: m.tag, meta: m.metadata, last: s.d.last, text: s.d.text}
	if len(set.Raws) == 0 {
		s.d.text = 0
	}
	s.d.begin()
	switch {
	case s.json:
		return s.d.jsonEntries(m, depth)
	case m.mode == modePacked:
		return s.d.packed(m.body, m.size)
	case m.mode == modeForward:
		return s.d.list(m.body)
	}
	r := msgpack.NewReader(m.body)
	if err := s.d.full(); err != nil {
		return err
	}
	s.d.record(&r)
	return nil
}

// acknowledge answers a chunk, as it came, in one write: Fluent Bit and Fluentd
// read it with one read.
func (s *session) acknowledge(chunk []byte) error {
	s.out = s.out[:0]
	if s.json {
		s.out = append(jsontext.AppendString(append(s.out, `{"ack":`...), chunk), '}')
	} else {
		s.out = msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendMap(s.out, 1), "ack"), receive.Str(chunk))
	}
	_, err := s.c.Write(s.out)
	return err
}
