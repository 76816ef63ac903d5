package receive

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
)

// ratioFloor is the decoded size below which no ratio is asked: it may be held
// whatever it was made from.
const ratioFloor = 8 << 20

// rooms are the sizes of buffers, which are kept for later requests by size. A body
// gets the next one when it has filled the last: what a slow sender holds is at
// most eight times what it has sent, whatever it says is to come.
var rooms = [...]int{4 << 10, 32 << 10, 256 << 10, 2 << 20, 8 << 20}

// Bodies reads request bodies within Limits. One Bodies may serve all
// receivers, so that Limits.Memory bounds them together. It is safe for
// concurrent use.
type Bodies struct {
	lim  Limits
	held atomic.Int64          // sum of the capacities of bodies out
	bufs [len(rooms)]sync.Pool // *Body, by the largest of rooms that its buffer has
	gzs  sync.Pool             // *gzip.Reader
	zsts sync.Pool             // *zstd.Decoder
}

// NewBodies returns a reader of bodies.
func NewBodies(lim Limits) *Bodies { return &Bodies{lim: lim.WithDefaults()} }

// Limits returns the limits in force.
func (b *Bodies) Limits() Limits { return b.lim }

// Held returns the memory of all bodies out, in bytes.
func (b *Bodies) Held() int64 { return b.held.Load() }

// Wait takes n bytes of the common memory for something that is no Body, and
// waits for others to give theirs back, but no longer than most. The caller gives them back
// with Return. It fails with fault.Overload.
func (b *Bodies) Wait(n int64, most time.Duration) error {
	if n <= 0 || b.add(n) {
		return nil
	}
	end := time.After(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if b.add(n) {
				return nil
			}
		case <-end:
			return fault.Errorf(fault.Overload, "too many requests are in memory")
		}
	}
}

// Return gives n bytes back that Wait took.
func (b *Bodies) Return(n int64) { b.held.Add(-max(n, 0)) }

// add counts n more bytes if there is room for them.
func (b *Bodies) add(n int64) bool {
	if b.held.Add(n) > b.lim.Memory {
		b.held.Add(-n)
		return false
	}
	return true
}

// Decode undoes the encoding of in, as Read does of a request's body, for
// protocols that compress parts of a message. The caller releases the Body, which
// does not alias in.
func (b *Bodies) Decode(in []byte, encoding string) (*Body, error) {
	return b.read(bytes.NewReader(in), int64(len(in)), b.lim.Body, encoding)
}

// A Body is one decoded request body.
type Body struct {
	Bytes []byte
	Wire  int64 // bytes as received
	own   *Bodies
	held  int64
	in    wire // while it is read
}

// Release gives the memory back. Nothing may alias Bytes afterwards.
func (d *Body) Release() {
	if d == nil || d.own == nil {
		return
	}
	own := d.own
	own.held.Add(-d.held)
	d.own, d.held, d.Wire, d.in = nil, 0, 0, wire{}
	own.keep(d)
}

// keep keeps a buffer for later requests.
func (b *Bodies) keep(d *Body) {
	n := cap(d.Bytes)
	if n > rooms[len(rooms)-1] {
		return
	}
	for i := len(rooms) - 1; i >= 0; i-- {
		if n >= rooms[i] {
			d.Bytes = d.Bytes[:0]
			b.bufs[i].Put(d)
			return
		}
	}
}

// room returns a buffer of at least n bytes, which is not counted.
func (b *Bodies) room(n int) *Body {
	for i, size := range rooms {
		if n > size {
			continue
		}
		if d, _ := b.bufs[i].Get().(*Body); d != nil {
			return d
		}
		return &Body{Bytes: make([]byte, 0, size)}
	}
	return &Body{Bytes: make([]byte, 0, n)}
}

func (b *Bodies) take() (*Body, error) {
	d := b.room(rooms[0])
	d.own = b
	return d, d.reserve(int64(cap(d.Bytes)))
}

// reserve counts n more bytes against the common memory.
func (d *Body) reserve(n int64) error {
	if d.own.held.Add(n) > d.own.lim.Memory && n > 0 {
		d.own.held.Add(-n)
		return fault.Errorf(fault.Overload, "too many request bodies are in memory")
	}
	d.held += n
	return nil
}

// grow makes room for at least n more bytes.
func (d *Body) grow(n int) error {
	have := cap(d.Bytes)
	if have-len(d.Bytes) >= n {
		return nil
	}
	want := len(d.Bytes) + n
	if have >= rooms[len(rooms)-1] {
		want = max(want, 2*have)
	}
	if lim := int(d.own.lim.Decoded) + 512; want > lim && len(d.Bytes)+n <= lim {
		want = lim
	}
	for _, size := range rooms {
		if want <= size {
			want = size
			break
		}
	}
	if err := d.reserve(int64(want - have)); err != nil {
		return err
	}
	x := d.own.room(want)
	x.Bytes = append(x.Bytes, d.Bytes...)
	d.Bytes, x.Bytes = x.Bytes, d.Bytes
	d.own.keep(x)
	// A kept buffer may be larger than what was asked for.
	return d.reserve(int64(cap(d.Bytes) - want))
}

// wire counts the bytes of the body as received and remembers why reading it
// failed, so that a broken connection is not taken for a broken body.
type wire struct {
	r   io.Reader
	n   int64
	lim int64
	err error
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n += int64(n)
	if w.n > w.lim {
		err = fault.Errorf(fault.TooLarge, "request body is larger than %d bytes", w.lim)
	}
	if err != nil && err != io.EOF && w.err == nil {
		var big *http.MaxBytesError
		switch {
		case errors.As(err, &big):
			err = fault.Errorf(fault.TooLarge, "request body is larger than %d bytes", big.Limit)
		case !fault.Is(err, fault.TooLarge):
			err = fault.Errorf(fault.Unavailable, "read request body: %w", err)
		}
		w.err = err
	}
	return n, err
}

// Read reads the whole body of r and undoes the content encoding: "", identity,
// gzip (several members in a row too), deflate (zlib or bare), zstd, or snappy
// (block or framed). The caller releases the Body. Nothing is decoded before all
// of it is there: else a few bytes of a sender who then stops would hold what they
// decode to, and the decoder's window.
//
// A body over a limit is fault.TooLarge, one that does not decode fault.Invalid,
// a connection that breaks fault.Unavailable.
func (b *Bodies) Read(r *http.Request, encoding string) (*Body, error) {
	return b.read(r.Body, r.ContentLength, b.lim.Body, encoding)
}

// Message reads a message of a gRPC call, as Read does a body.
func (b *Bodies) Message(m rpc.Message) (*Body, error) {
	switch m.Encoding {
	case "", "identity", "gzip", "zstd", "snappy", "deflate":
	default:
		return nil, rpc.ErrEncoding(m.Encoding)
	}
	d, err := b.read(m.Body, m.Size, b.lim.Decoded, m.Encoding)
	if err == nil && d.Wire < m.Size {
		d.Release()
		return nil, fault.Errorf(fault.Invalid, "the request ends within a message")
	}
	return d, err
}

// read reads r to its end. length is its size in bytes, negative if that is not
// known; limit is the most it may be.
func (b *Bodies) read(r io.Reader, length, limit int64, encoding string) (*Body, error) {
	if length > limit {
		return nil, fault.Errorf(fault.TooLarge, "request body has %d bytes, more than %d", length, limit)
	}
	d, err := b.take()
	if err != nil {
		d.Release()
		return nil, err
	}
	w := &d.in
	*w = wire{r: r, lim: limit}
	encoding = strings.ToLower(strings.TrimSpace(encoding))
	if _, there := r.(*bytes.Reader); there || !unpacked(encoding) {
		err = b.decode(d, w, encoding)
	} else if err = d.fill(w, nil); err == nil {
		return b.decoded(d, encoding)
	}
	d.Wire = w.n
	if err == nil {
		w.r = nil
		return d, nil
	}
	broken := w.err
	d.Release()
	if broken != nil { // the cause, not what a decoder made of it
		return nil, broken
	}
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) { // told by the frame's head
		return nil, fault.Errorf(fault.TooLarge, "decoded body is larger than %d bytes", b.lim.Decoded)
	}
	if fault.KindOf(err) == fault.Internal {
		err = fault.Errorf(fault.Invalid, "decode %s body: %w", encoding, err)
	}
	return nil, err
}

// decoded returns a new Body with what in is when it is decoded, and releases in.
func (b *Bodies) decoded(in *Body, encoding string) (*Body, error) {
	defer in.Release()
	n := int64(len(in.Bytes))
	d, err := b.read(bytes.NewReader(in.Bytes), n, n, encoding)
	if err == nil {
		d.Wire = n
	}
	return d, err
}

// unpacked reports whether decode reads this encoding bit by bit.
func unpacked(encoding string) bool {
	switch encoding {
	case "gzip", "x-gzip", "deflate", "zstd":
		return true
	}
	return false
}

func (b *Bodies) decode(d *Body, w *wire, encoding string) error {
	switch encoding {
	case "", "identity":
		return d.fill(w, nil)
	case "gzip", "x-gzip":
		z, _ := b.gzs.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		defer b.gzs.Put(z)
		if err := z.Reset(w); err != nil {
			if err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		return d.fill(z, w)
	case "deflate":
		return d.inflate(w)
	case "zstd":
		z, err := b.zstd(w)
		if err != nil {
			return err
		}
		defer func() { z.Reset(nil); b.zsts.Put(z) }()
		return d.fill(z, w)
	case "snappy":
		if err := d.fill(w, nil); err != nil {
			return err
		}
		return d.Unsnap()
	}
	return WithStatus(http.StatusUnsupportedMediaType,
		fault.Errorf(fault.Invalid, "content encoding %.40q is not one of gzip, deflate, zstd, snappy, identity", encoding))
}

func (b *Bodies) zstd(w io.Reader) (*zstd.Decoder, error) {
	if z, _ := b.zsts.Get().(*zstd.Decoder); z != nil {
		return z, z.Reset(w)
	}
	// One decoder thread: it then owns no goroutine and may be pooled.
	return zstd.NewReader(w, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(uint64(b.lim.Decoded)+1))
}

// inflate reads a deflate body. RFC 9110 means the zlib form by that name, but
// some senders leave its two-byte header out.
func (d *Body) inflate(w *wire) error {
	var head [2]byte
	if _, err := io.ReadFull(w, head[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	rest := io.MultiReader(bytes.NewReader(head[:]), w)
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		z, err := zlib.NewReader(rest)
		if err != nil {
			return err
		}
		return d.fill(z, w)
	}
	return d.fill(flate.NewReader(rest), w)
}

// fill reads r to its end. from is the compressed side, nil if there is none.
func (d *Body) fill(r io.Reader, from *wire) error {
	lim := d.own.lim
	for {
		if err := d.grow(512); err != nil {
			return err
		}
		n, err := r.Read(d.Bytes[len(d.Bytes):cap(d.Bytes)])
		d.Bytes = d.Bytes[:len(d.Bytes)+n]
		size := int64(len(d.Bytes))
		if size > lim.Decoded {
			return fault.Errorf(fault.TooLarge, "decoded body is larger than %d bytes", lim.Decoded)
		}
		if from != nil && size > ratioFloor && size > lim.Ratio*from.n {
			return fault.Errorf(fault.TooLarge, "decoded body is more than %d times larger than what was sent", lim.Ratio)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// snappyFrame starts a framed snappy stream.
var snappyFrame = []byte("\xff\x06\x00\x00sNaPpY")

// Unsnap replaces Bytes, a snappy block or a framed stream, by what they decode to,
// for protocols that say nothing of it in the content encoding. On error Bytes are as
// they were. The length that a block declares is not believed: a copy of three bytes
// yields at most 64, so a block that claims to grow more than 32 times is refused
// before anything is allocated.
func (d *Body) Unsnap() error {
	out, err := d.own.snappy(d)
	if err != nil {
		return err
	}
	// d keeps its identity and takes the decoded memory; out takes the other.
	d.Bytes, out.Bytes = out.Bytes, d.Bytes
	d.held, out.held = out.held, d.held
	out.Release()
	return nil
}

// snappy decodes a snappy block, or a framed stream, into a new Body. The caller
// releases both.
func (b *Bodies) snappy(in *Body) (*Body, error) {
	out, err := b.take()
	if err != nil {
		out.Release()
		return nil, err
	}
	out.Wire = in.Wire
	if bytes.HasPrefix(in.Bytes, snappyFrame) {
		err = out.fill(s2.NewReader(bytes.NewReader(in.Bytes), s2.ReaderMaxBlockSize(1<<20)), &wire{n: int64(len(in.Bytes))})
	} else {
		err = out.block(in.Bytes)
	}
	if err != nil {
		out.Release()
		if fault.KindOf(err) == fault.Internal {
			err = fault.Errorf(fault.Invalid, "decode snappy: %w", err)
		}
		return nil, err
	}
	return out, nil
}

func (d *Body) block(in []byte) error {
	n, err := s2.DecodedLen(in)
	if err != nil {
		return err
	}
	if int64(n) > d.own.lim.Decoded {
		return fault.Errorf(fault.TooLarge, "snappy block declares %d bytes, more than %d", n, d.own.lim.Decoded)
	}
	if n > 32*len(in)+64 {
		return fault.Errorf(fault.Invalid, "snappy block of %d bytes declares %d", len(in), n)
	}
	if err := d.grow(n); err != nil {
		return err
	}
	d.Bytes, err = s2.Decode(d.Bytes[:n], in)
	return err
}
