package lumberjack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zlib"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Bounds of a part: it is handed in once it has so much. They depend on nothing
// but its content, so that what is sent again makes the same parts.
const (
	partRecords = 1 << 16
	partBytes   = 8 << 20
)

// patience is how long records are held that cannot be kept, under signs of life.
// Then the connection is closed, and the client sends them again.
const patience = 10 * time.Minute

// maxRepeats is how many digests of a connection are remembered.
const maxRepeats = 16

// A session is one connection.
type session struct {
	r       *Receiver
	ctx     context.Context
	c       *listen.Conn
	version byte

	count uint32 // records of the window
	got   uint32 // of them so far
	seq   uint32 // of the last one
	used  int    // bytes of what is buffered that were read
	part  *part  // of a window; a connection at rest holds none
	ack   [6]byte

	// repeats counts the last parts that were acknowledged here: what a client
	// sends again after that, on the same connection, is new.
	repeats [maxRepeats]repeat
	next    int // the oldest of them
}

type repeat struct {
	sum [32]byte
	n   uint32
}

// A part is records that are handed in at once. They are places in a buffer,
// which moves while it grows.
type part struct {
	frames []place
	bytes  int
	wire   int // bytes received for it
	digest digest
}

type place struct {
	head
	from int
}

func (p *part) add(h head, from int) {
	p.frames = append(p.frames, place{h, from})
	p.bytes += h.size
}

func (p *part) full() bool { return p.bytes >= partBytes || len(p.frames) >= partRecords }

// serve speaks the protocol on one connection.
func (r *Receiver) serve(ctx context.Context, c *listen.Conn) error {
	s := &session{r: r, ctx: ctx, c: c}
	for {
		if err := c.Await(); err != nil {
			return err
		}
		b, err := c.Peek(6)
		if err != nil {
			return err
		}
		if s.version == 0 && (b[0] == '1' || b[0] == '2') {
			s.version = b[0]
		}
		h, _, err := readHead(b, s.version, 6)
		if err != nil {
			return err
		}
		if h.code != codeWindow {
			return fault.Errorf(fault.Invalid, "a frame of type %q where a window begins", h.code)
		}
		if int64(h.n) > int64(r.inlet.Limits.Items) {
			return fault.WithHint(fault.Errorf(fault.TooLarge, "a window of %d records is larger than %d", h.n, r.inlet.Limits.Items), "raise receive.items, or send fewer at once (bulk_max_size)")
		}
		c.Discard(6)
		if err := s.window(h.n); err != nil {
			return err
		}
	}
}

// window reads the records of a window, hands them in and acknowledges them.
func (s *session) window(count uint32) error {
	s.count, s.got, s.seq, s.used = count, 0, 0, 0
	s.part, _ = s.r.parts.Get().(*part)
	if s.part == nil {
		s.part = &part{}
	}
	defer func() {
		s.part.frames, s.part.bytes = s.part.frames[:0], 0
		s.r.parts.Put(s.part)
		s.part = nil
	}()
	if count == 0 { // Logstash answers it
		return s.acknowledge()
	}
	limit := s.r.inlet.Limits.Body
	for s.got < s.count {
		h, need, err := readHead(s.c.Buffered()[s.used:], s.version, limit)
		if err != nil {
			return err
		}
		if need == 0 {
			need = h.size
		}
		if _, err := s.c.Peek(s.used + need); err != nil {
			return err
		}
		if h.size == 0 {
			continue
		}
		switch h.code {
		case codeCompressed:
			if err := s.flush(); err != nil { // they are in another buffer
				return err
			}
			b := s.c.Buffered()
			if err := s.compressed(b[h.body:h.size]); err != nil {
				return err
			}
			s.c.Discard(h.size)
			if err := s.goOn(); err != nil {
				return err
			}
			continue
		case codeWindow:
			return fault.Errorf(fault.Invalid, "a window within a window")
		}
		s.part.add(h, s.used)
		s.used += h.size
		s.got++
		if s.part.full() {
			if err := s.flush(); err != nil {
				return err
			}
			if err := s.goOn(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}

// goOn gives the rest of the window its own time to arrive: the records before it
// may have waited for theirs.
func (s *session) goOn() error {
	if s.got == s.count {
		return nil
	}
	return s.c.Await()
}

// flush hands in what was gathered in the connection's buffer, and lets it go.
func (s *session) flush() error {
	s.part.wire = s.used
	if err := s.hand(s.c.Buffered()); err != nil {
		return err
	}
	s.c.Discard(s.used)
	s.used = 0
	return nil
}

// An inflater holds what a compressed frame is inflated to, a part at a time.
type inflater struct {
	in   bytes.Reader
	z    io.ReadCloser
	buf  []byte
	held int64 // of the common memory
}

// Sizes of an inflater's buffer, and how long one try waits for memory.
const (
	firstBuffer = 256 << 10
	keepBuffer  = 4 << 20 // the largest that is kept for later frames
	memoryWait  = 2 * time.Second
)

// compressed reads the frames in a compressed one. What it is inflated to is
// bounded by the ratio to what was received, and in memory by a part and the
// largest frame.
func (s *session) compressed(data []byte) error {
	f, _ := s.r.inflates.Get().(*inflater)
	if f == nil {
		f = &inflater{}
	}
	defer f.release(s.r)
	if err := s.reserve(f, int64(cap(f.buf))); err != nil {
		return err
	}
	f.in.Reset(data)
	err := error(nil)
	if f.z == nil {
		f.z, err = zlib.NewReader(&f.in)
	} else {
		err = f.z.(zlib.Resetter).Reset(&f.in, nil)
	}
	if err != nil {
		return fault.Errorf(fault.Invalid, "compressed frame: %w", err)
	}
	lim := &s.r.inlet.Limits
	s.part.wire = len(data)
	total, used, ended := int64(0), 0, false
	for {
		h, need, err := readHead(f.buf[used:], s.version, lim.Body)
		if err != nil {
			return err
		}
		if need == 0 {
			need = h.size
		}
		if len(f.buf)-used >= need { // a whole frame
			if s.got == s.count || h.code != codeJSON && h.code != codeData {
				return fault.Errorf(fault.Invalid, "a frame of type %q behind the records of a window, or compressed twice", h.code)
			}
			s.part.add(h, used)
			used += h.size
			s.got++
			if s.part.full() {
				if err := s.hand(f.buf); err != nil {
					return err
				}
				f.buf = f.buf[:copy(f.buf, f.buf[used:])]
				used = 0
			}
			continue
		}
		if ended {
			break
		}
		if err := s.grow(f); err != nil {
			return err
		}
		n, err := f.z.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		if total += int64(n); total > 8<<20 && total > lim.Ratio*int64(len(data)) {
			return fault.Errorf(fault.TooLarge, "a compressed frame is more than %d times larger than what was sent", lim.Ratio)
		}
		if ended = err == io.EOF; err != nil && !ended {
			return fault.Errorf(fault.Invalid, "compressed frame: %w", err)
		}
	}
	if used != len(f.buf) {
		return fault.Errorf(fault.Invalid, "a compressed frame ends within a frame")
	}
	return s.hand(f.buf)
}

func (s *session) reserve(f *inflater, n int64) error {
	err := s.r.inlet.Retry(s.ctx, patience, func() error { return s.r.inlet.Bodies.Wait(n, memoryWait) })
	if err == nil {
		f.held += n
	}
	return err
}

// grow makes room for more behind what is there.
func (s *session) grow(f *inflater) error {
	if len(f.buf) < cap(f.buf) {
		return nil
	}
	want := max(2*cap(f.buf), firstBuffer)
	if err := s.reserve(f, int64(want-cap(f.buf))); err != nil {
		return err
	}
	f.buf = append(make([]byte, 0, want), f.buf...)
	return nil
}

func (f *inflater) release(r *Receiver) {
	r.inlet.Bodies.Return(f.held)
	f.held = 0
	f.in.Reset(nil)
	if cap(f.buf) <= keepBuffer {
		f.buf = f.buf[:0]
		r.inflates.Put(f)
	}
}

// hand hands in the part whose frames are in buf, and acknowledges it.
func (s *session) hand(buf []byte) error {
	p := s.part
	if len(p.frames) == 0 {
		return nil
	}
	set := receive.NewSet()
	defer set.Release()
	depth := s.r.inlet.Limits.Depth
	p.build(buf, set, depth)
	last := p.frames[len(p.frames)-1]
	body := &receive.Body{Bytes: buf[p.frames[0].from : last.from+last.size], Wire: int64(p.wire)}
	stop := s.alive()
	_, err := s.r.inlet.IngestRetry(s.ctx, patience, s.c.From, s.identify(), set, body)
	stop()
	if err != nil {
		return err
	}
	s.seq = last.n
	p.frames, p.bytes, p.wire = p.frames[:0], 0, 0
	return s.acknowledge()
}

// build makes raw records of a part, and its digest.
func (p *part) build(buf []byte, set *receive.Set, depth int) {
	p.digest.reset()
	for i := range p.frames {
		f := &p.frames[i]
		frame := buf[f.from : f.from+f.size : f.from+f.size]
		if f.code == codeJSON {
			text := frame[f.body:]
			p.digest.add(text, depth, set)
			set.Raws = append(set.Raws, record.Raw{Payload: text, JSON: true})
			continue
		}
		var (
			raw record.Raw
			w   walker
		)
		set.Open()
		pairs(frame, func(key, value []byte) {
			w.pair(key, value)
			if string(key) == "line" {
				raw.Payload = value
			} else {
				set.Field(receive.Str(key), receive.Str(value))
			}
		})
		raw.Attrs = set.Close()
		p.digest.end(&w)
		set.Raws = append(set.Raws, raw)
	}
}

// identify returns the identity of a part: its content, or, for one that does not
// say when it happened, a number that no other part has. With it a try that did
// succeed in spite of its error is seen once.
func (s *session) identify() record.BatchID {
	if s.r.keep || !s.part.digest.timed {
		var random [16]byte
		rand.Read(random[:])
		return receive.KeyID(s.c.From, Name, random[:])
	}
	sum := s.part.digest.sum()
	at := slices.IndexFunc(s.repeats[:], func(r repeat) bool { return r.n > 0 && r.sum == sum })
	if at < 0 {
		at = s.next
		s.repeats[at] = repeat{sum: sum}
		s.next = (s.next + 1) % maxRepeats
	}
	n := s.repeats[at].n
	s.repeats[at].n++
	return receive.KeyID(s.c.From, Name, sum[:], binary.BigEndian.AppendUint32(nil, n))
}

// alive tells the client every few seconds that its records are being worked on,
// until stop is called.
func (s *session) alive() (stop func()) {
	var (
		mu    sync.Mutex
		timer *time.Timer
		ended bool
	)
	message := [6]byte{s.version, codeAck}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(s.r.pulse, func() {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return
		}
		if _, err := s.c.Write(message[:]); err == nil {
			timer.Reset(s.r.pulse)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		timer.Stop()
	}
}

// acknowledge tells the client up to which record all are durable, by the number
// that it gave that record.
func (s *session) acknowledge() error {
	s.ack = [6]byte{s.version, codeAck}
	binary.BigEndian.PutUint32(s.ack[2:], s.seq)
	_, err := s.c.Write(s.ack[:])
	return err
}
