// Package forward drains a spool to an upstream server (spec/relay.md).
//
// It drops nothing: what the server did not say is durable is sent again, with
// the same IDs, for as long as it takes. Batches of one origin keep their order;
// different origins share a few lanes and overtake each other. The spool is told
// of a batch only when every batch before it is durable upstream, so after a
// crash some are sent twice, and the server sees them once.
//
// It knows batches and bytes, and never a store, a protocol of receivers or what
// a record means. A batch is the spool's until the next one is asked for; its
// encoding is forward's until it is acknowledged, and Config.InFlight bounds the
// sum. Nothing here survives a crash: the spool does.
package forward

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Path is the server's path for relayed batches, and ContentType their form
// (spec/relay.md).
const (
	Path        = "/api/v1/relay"
	ContentType = "application/vnd.meshtrail.relay"
)

// A Spool gives batches in order and forgets what was acknowledged.
type Spool interface {
	// Next waits for the next batch after the last one it gave, and returns it
	// with its number, which grows. The batch is lent until the next call.
	Next(ctx context.Context) (*record.Batch, uint64, error)
	// Ack tells that every batch up to seq is durable upstream.
	Ack(seq uint64) error
}

// Config of a Forwarder. A zero field takes its default.
type Config struct {
	// URL is the server: https://host:port, or http:// on loopback.
	URL string `yaml:"url"`
	// Lanes is how many requests are under way at once (default 4).
	Lanes int `yaml:"lanes"`
	// Request is how many bytes of batches one request holds (default 4 MiB). A
	// larger batch goes alone.
	Request int64 `yaml:"request_bytes"`
	// InFlight bounds the encoded batches in memory, in bytes (default 32 MiB).
	InFlight int64 `yaml:"in_flight_bytes"`
	// MinBackoff and MaxBackoff bound the pause between tries (default 250 ms, 30 s).
	MinBackoff time.Duration `yaml:"min_backoff"`
	MaxBackoff time.Duration `yaml:"max_backoff"`
	// Timeout bounds one try (default 2 min).
	Timeout time.Duration `yaml:"timeout"`
}

// WithDefaults returns c with its zero fields filled in.
func (c Config) WithDefaults() Config {
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	size := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Lanes <= 0 {
		c.Lanes = 4
	}
	size(&c.Request, 4<<20)
	size(&c.InFlight, 32<<20)
	dur(&c.MinBackoff, 250*time.Millisecond)
	dur(&c.MaxBackoff, 30*time.Second)
	dur(&c.Timeout, 2*time.Minute)
	return c
}

// Validate reports what would keep a Forwarder from working.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fault.WithHint(fault.Errorf(fault.Invalid, "forward url %q is not https://HOST:PORT", c.URL), "name the server that the agent sends to")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fault.WithHint(fault.Errorf(fault.Invalid, "forward url %q would send records and the token in the clear", c.URL), "use https://; give ca_file for a certificate of your own")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fault.Errorf(fault.Invalid, "forward url %q holds more than a server and a path", c.URL)
	}
	if c.MaxBackoff > 0 && c.MinBackoff > c.MaxBackoff {
		return fault.Errorf(fault.Invalid, "forward min_backoff %v is longer than max_backoff %v", c.MinBackoff, c.MaxBackoff)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Options of a Forwarder.
type Options struct {
	Config
	Spool Spool
	// Token returns the credential of each try, so that a replaced file is used
	// at once.
	Token func() (string, error)
	// CA holds PEM certificates that replace the system's, if not empty.
	CA      []byte
	Metrics *telemetry.Metrics
	Logger  *slog.Logger
	// Transport replaces the HTTP transport, in tests.
	Transport http.RoundTripper
}

// A Forwarder drains one spool.
type Forwarder struct {
	o      Options
	url    string
	log    *slog.Logger
	client *http.Client
	close  func()
	room   *semaphore.Weighted
	order  order
	count  *counters
}

// New checks the options. It connects to nothing.
func New(o Options) (*Forwarder, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	o.Config = o.Config.WithDefaults()
	if o.Spool == nil || o.Token == nil {
		return nil, fault.Errorf(fault.Internal, "forwarder without a spool or a token")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Forwarder{
		o: o, log: o.Logger.With("upstream", o.URL), close: func() {},
		url:  strings.TrimSuffix(o.URL, "/") + Path,
		room: semaphore.NewWeighted(o.InFlight),
	}
	if o.Transport == nil {
		tr, err := transport(o)
		if err != nil {
			return nil, err
		}
		o.Transport, f.close = tr, tr.CloseIdleConnections
	}
	f.client = &http.Client{
		Transport: o.Transport,
		// A redirect would carry the credential to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.order.ack = o.Spool.Ack
	f.count = newCounters(o.Metrics, &f.order)
	return f, nil
}

func transport(o Options) (*http.Transport, error) {
	tr := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: o.Timeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   o.Lanes,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(o.CA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "the CA file holds no PEM certificate"), "it must hold the certificate that signed the server's")
		}
		tr.TLSClientConfig.RootCAs = pool
	}
	return tr, nil
}

// item is one batch on its way.
type item struct {
	seq   uint64
	frame []byte // length and encoding
	rows  int
	held  int64
}

// Run sends until ctx ends; it then returns nil. It returns an error when the
// spool fails.
func (f *Forwarder) Run(ctx context.Context) error {
	defer f.close()
	g, gctx := errgroup.WithContext(ctx)
	lanes := make([]chan item, f.o.Lanes)
	for i := range lanes {
		lanes[i] = make(chan item, 64)
		g.Go(func() error { return f.lane(gctx, lanes[i]) })
	}
	g.Go(func() error { return f.read(gctx, lanes) })
	err := g.Wait()
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return nil
	}
	return err
}

// read takes batches from the spool and hands each to its origin's lane.
func (f *Forwarder) read(ctx context.Context, lanes []chan item) error {
	for {
		b, seq, err := f.o.Spool.Next(ctx)
		if err != nil {
			return err
		}
		frame, err := encode(b)
		if err != nil {
			return err
		}
		it := item{seq: seq, frame: frame, rows: b.Len(), held: min(int64(len(frame)), f.o.InFlight)}
		lane := lanes[xxh3.HashString(b.ID.Origin)%uint64(len(lanes))]
		f.order.add(seq, b.Ingest, int64(len(frame)))
		if err := f.room.Acquire(ctx, it.held); err != nil {
			return err
		}
		select {
		case lane <- it:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// encode returns the batch's frame. A batch whose origin did not number it gets
// an ID made of its content, which is the same at every try.
func encode(b *record.Batch) ([]byte, error) {
	frame := b.AppendEncoded(make([]byte, 4))
	if b.ID.IsZero() {
		sum := sha256.Sum256(frame[4:])
		b.ID = record.BatchID{Origin: "content:" + hex.EncodeToString(sum[:])}
		frame = b.AppendEncoded(frame[:4])
	}
	if uint64(len(frame)-4) > 1<<32-1 {
		return nil, fault.Errorf(fault.Internal, "batch of %d bytes is too large to send", len(frame))
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame, nil
}

// lane sends the batches of its origins, one request after the other.
func (f *Forwarder) lane(ctx context.Context, in <-chan item) error {
	var items []item
	var held *item // taken from in, and too large for the request before it
	for {
		items = items[:0]
		if held != nil {
			items, held = append(items, *held), nil
		} else {
			select {
			case it := <-in:
				items = append(items, it)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		size := int64(len(items[0].frame))
	fill:
		for size < f.o.Request && len(items) < cap(in) {
			select {
			case it := <-in:
				if size += int64(len(it.frame)); size > f.o.Request {
					held = &it
					break fill
				}
				items = append(items, it)
			default:
				break fill
			}
		}
		if err := f.deliver(ctx, items); err != nil {
			return err
		}
	}
}

// order acknowledges to the spool what is durable with everything before it.
type order struct {
	ack func(seq uint64) error

	mu    sync.Mutex
	queue []pending // in the spool's order
	bytes int64
}

type pending struct {
	seq    uint64
	ingest int64
	bytes  int64
	done   bool
}

func (o *order) add(seq uint64, ingest, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, pending{seq: seq, ingest: ingest, bytes: bytes})
	o.bytes += bytes
}

// done marks batches as durable upstream.
func (o *order) done(items []item) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, it := range items {
		for i := range o.queue {
			if o.queue[i].seq == it.seq {
				o.queue[i].done = true
				break
			}
		}
	}
	n := 0
	for n < len(o.queue) && o.queue[n].done {
		o.bytes -= o.queue[n].bytes
		n++
	}
	if n == 0 {
		return nil
	}
	seq := o.queue[n-1].seq
	o.queue = append(o.queue[:0], o.queue[n:]...)
	return o.ack(seq)
}

// oldest returns the ingest time of the oldest batch on its way, 0 if none, and
// the bytes of all.
func (o *order) oldest() (ingest, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		ingest = o.queue[0].ingest
	}
	return ingest, o.bytes
}
