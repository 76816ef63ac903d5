// Package gelf receives the Graylog Extended Log Format 1.1: over UDP, chunked
// and compressed (gzip, zlib), over TCP, each message ended by a NUL, and over
// HTTP at POST /gelf.
//
// host is host.name, level the severity, timestamp the time of the record,
// short_message its body; full_message stays a field if it says more. Additional
// fields lose the underscore before their name and keep their type. What the
// short message holds is for the pipeline to find out.
//
// Only HTTP has an acknowledgement: 202 when the record is durable, and without
// an Idempotency-Key a repetition is a second record. Over TCP a connection is not
// read while its records cannot be kept. UDP is lossy: a message whose chunks do
// not all come within five seconds is rejected, counted as incomplete_chunks when
// the next datagram comes.
//
// Raw records alias the buffer of the connection, the datagrams or the body until
// Ingest returns. Nothing here survives a crash.
package gelf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
)

// Name is the receiver's name in sources and metrics.
const Name = "gelf"

// Config of the receiver. The zero Config has HTTP alone.
type Config struct {
	// UDP takes one message a datagram, or a chunk of one.
	UDP listen.Config `yaml:"udp"`
	// TCP takes messages that end with a NUL; with tls_cert over TLS.
	TCP listen.Config `yaml:"tcp"`
}

// maxMessage bounds one message, decompressed: the size of the largest record,
// and as much again for its escapes.
const maxMessage = 2 << 20

// idle is the default of how long a connection may stand without a message. It is
// long because a sender that does not notice a closed connection loses the next
// message; TCP's own probes find the peers that are gone.
const idle = 24 * time.Hour

// Validate reports what would keep the receiver from starting.
func (c Config) Validate() error {
	return errors.Join(slices.Concat(receive.Part("udp", c.UDP.ValidateDatagrams()), receive.Part("tcp", c.TCP.Validate()))...)
}

// Info says what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "GELF", Versions: "1.1 (1.0 is read as well)",
		Over:       "POST /gelf; UDP, TCP, TLS",
		Ack:        "HTTP: 202 when durable. UDP and TCP: none, so their sources are lossy",
		Credential: "HTTP: a token; otherwise the listener: its networks, or client certificates",
		Limits:     "2 MiB a message; 128 chunks of a message, all within 5 s; 1,024 messages and 16 MiB of chunks a port",
		Tested:     []string{"go-gelf v2.0.0 (UDP with gzip, zlib and chunks, TCP)", "gelf 2.0.1 of npm (UDP with zlib)", "Fluent Bit 5.1.1 (TCP): 380 lost"},
	}
}

// A Receiver takes GELF.
type Receiver struct {
	inlet     *receive.Inlet
	now       func() time.Time
	listeners []*listen.Listener
}

// New returns a receiver. It opens no port: its Listeners do.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Receiver{inlet: receive.NewInlet(Name, s), now: time.Now}
	s.Lossy = true // of the ports; over HTTP there is an answer
	if cfg.UDP.On() {
		l, err := listen.New(Name, cfg.UDP, s, listen.Datagrams(r.datagrams()))
		if err != nil {
			return nil, err
		}
		r.listeners = append(r.listeners, l)
	}
	if cfg.TCP.On() {
		if cfg.TCP.Idle == 0 {
			cfg.TCP.Idle = idle
		}
		l, err := listen.New(Name, cfg.TCP, s, listen.Streams(r.stream), listen.MaxMessage(maxMessage+1))
		if err != nil {
			return nil, err
		}
		r.listeners = append(r.listeners, l)
	}
	return r, nil
}

// Listeners returns the ports.
func (r *Receiver) Listeners() []*listen.Listener { return r.listeners }

// Routes returns the route of HTTP.
func (r *Receiver) Routes() []httpd.Route {
	return []httpd.Route{{
		Pattern: "POST /gelf", Need: access.LogsWrite, MaxBody: r.inlet.Limits.Body, Handle: r.post, Fail: r.fail,
	}}
}

func (r *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := r.inlet.Failed(w, err, receive.AskBasic)
	http.Error(w, receive.Reason(err), code)
}

// post takes one message, or several one after the other. It answers 400 only if
// none of them could be kept.
func (r *Receiver) post(w http.ResponseWriter, req *http.Request) error {
	decode := func(body *receive.Body, set *receive.Set) error {
		d := decoder{set: set, depth: r.inlet.Limits.Depth}
		for b := bytes.TrimSpace(body.Bytes); len(b) > 0; {
			if set.Total() >= r.inlet.Limits.Items || set.Full() {
				return fault.Errorf(fault.TooLarge, "more than %d messages, or too many fields", r.inlet.Limits.Items)
			}
			j := jsontext.NewReader(b, r.inlet.Limits.Depth, set)
			one := j.Raw()
			if j.Err() != nil || len(one) == 0 {
				one = b
			}
			if !d.decode(one) && len(one) == len(b) {
				break
			}
			b = bytes.TrimLeft(b[len(one):], " \t\r\n\x00,")
		}
		if set.Total() == 0 {
			return fault.Errorf(fault.Invalid, "the body is empty: want a GELF message")
		}
		return nil
	}
	return r.inlet.Receive(req, req.Header.Get("Content-Encoding"), decode, func(t *receive.Taken) error {
		if bad, first := t.RefusedTotal(); bad == t.Set.Total() {
			return fault.Errorf(fault.Invalid, "no message was kept; first: %s", first)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	})
}

// maxBatch bounds the records of one Ingest: three bytes can make one.
const maxBatch = 4096

// stream speaks on one connection.
func (r *Receiver) stream(ctx context.Context, c *listen.Conn) error {
	from := c.From
	from.Lossy = true      // nothing tells the sender
	seen, drop := 0, false // of an incomplete message: bytes without a NUL in them; it is too large
	for {
		if err := c.Await(); err != nil {
			return err
		}
		for {
			b := c.Buffered()
			set := receive.NewSet()
			d := decoder{set: set, depth: r.inlet.Limits.Depth}
			taken := 0
			for len(set.Raws) < maxBatch && !set.Full() {
				i := bytes.IndexByte(b[taken+seen:], 0)
				if i < 0 {
					seen = len(b) - taken
					break
				}
				msg := b[taken : taken+seen+i]
				taken, seen = taken+seen+i+1, 0
				switch {
				case drop:
					drop = false
				case len(msg) > maxMessage:
					tooLarge(set)
				default:
					d.message(msg)
				}
			}
			if seen > maxMessage {
				if !drop {
					tooLarge(set)
				}
				taken, seen, drop = len(b), 0, true
			}
			if err := r.hand(ctx, from, set, taken); err != nil {
				return err
			}
			c.Discard(taken)
			if taken > 0 {
				break
			}
			if err := c.More(); err != nil {
				return errors.Join(r.last(ctx, c, from, drop), ending(err))
			}
		}
	}
}

// message decodes what stood before a NUL; space alone is nothing.
func (d *decoder) message(b []byte) {
	if b = bytes.TrimSpace(b); len(b) > 0 {
		d.decode(b)
	}
}

// last takes a message that the end of the connection stands for the NUL of.
func (r *Receiver) last(ctx context.Context, c *listen.Conn, from receive.Sender, drop bool) error {
	b := c.Buffered()
	set := receive.NewSet()
	if !drop {
		d := decoder{set: set, depth: r.inlet.Limits.Depth}
		d.message(b)
	}
	c.Discard(len(b))
	return r.hand(ctx, from, set, len(b))
}

func ending(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// hand hands in a set that was read from size bytes, and releases it.
func (r *Receiver) hand(ctx context.Context, from receive.Sender, set *receive.Set, size int) error {
	defer set.Release()
	if _, err := r.inlet.IngestLossy(ctx, from, set, size); err != nil {
		return fault.Errorf(fault.KindOf(err), "%d records were read and are not kept: %w", set.Total(), err)
	}
	return nil
}

func tooLarge(set *receive.Set) {
	set.Reject("too_large", "message is larger than "+strconv.Itoa(maxMessage)+" bytes", 1)
}

// batchBytes bounds the decompressed messages of one Ingest.
const batchBytes = 8 << 20

// datagrams returns a function that takes messages and chunks of them.
func (r *Receiver) datagrams() listen.Packets {
	var c chunks
	return func(ctx context.Context, from receive.Sender, batch []listen.Packet) error {
		for len(batch) > 0 {
			set := receive.NewSet()
			u := unpacker{bodies: r.inlet.Bodies, set: set}
			d := decoder{set: set, depth: r.inlet.Limits.Depth}
			now, n, size := r.now(), 0, 0
			for ; n < len(batch) && n < maxBatch && u.size < batchBytes && !set.Full(); n++ {
				msg := batch[n].Data
				size += len(msg)
				if isChunk(msg) {
					var ok bool
					if msg, ok = c.add(batch[n].Remote.Addr(), msg, now); !ok {
						set.Reject("bad_chunk", "datagram begins as a chunk and is none", 1)
					}
				}
				if msg = u.unpack(msg); msg != nil {
					d.message(bytes.TrimRight(msg, "\x00"))
				}
			}
			c.expire(now)
			if lost := c.take(); lost > 0 {
				set.Reject("incomplete_chunks", "not all chunks of a message came in time, or too many messages were incomplete", lost)
			}
			if err := r.hand(ctx, from, set, size); err != nil {
				return err
			}
			batch = batch[n:]
		}
		return nil
	}
}

// An unpacker decompresses messages into the memory of the set.
type unpacker struct {
	bodies *receive.Bodies
	set    *receive.Set
	size   int
}

// unpack returns a message as JSON: gzip and zlib say by their first bytes that
// they are. nil is none, or one that was rejected.
func (u *unpacker) unpack(b []byte) []byte {
	encoding := ""
	switch {
	case len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b:
		encoding = "gzip"
	case len(b) > 2 && b[0]&0x0f == 8 && (int(b[0])<<8|int(b[1]))%31 == 0: // RFC 1950 section 2.2
		encoding = "deflate"
	}
	if encoding != "" {
		body, err := u.bodies.Decode(b, encoding)
		if err != nil {
			reason := "malformed_compression"
			switch fault.KindOf(err) {
			case fault.TooLarge:
				reason = "too_large"
			case fault.Overload:
				reason = "memory"
			}
			u.set.Reject(reason, err.Error(), 1)
			return nil
		}
		defer body.Release()
		if b = body.Bytes; len(b) <= maxMessage {
			b = u.set.Keep(append(u.set.Text(len(b)), b...))
		}
	}
	u.size += len(b)
	if len(b) > maxMessage {
		tooLarge(u.set)
		return nil
	}
	return b
}
