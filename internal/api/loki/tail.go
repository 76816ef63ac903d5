package loki

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// tail tells records while they are committed, over a websocket. Each message is
//
//	{"streams":[…],"dropped_entries":[{"timestamp":"ns","labels":{…}}],"encodingFlags":[…]}
//
// First come the newest records since start, limit of them, then what is
// committed. A reader that is too slow loses records, and is told which: it keeps
// nobody waiting but itself.
func (d *door) tail(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := readParams(r)
	text, limit, delay := p.text("query"), p.count("limit", defaultLimit), p.delay()
	start, _ := p.span(d.now())
	old := strings.HasPrefix(r.URL.Path, legacy)
	if old {
		text = legacyText(p)
	}
	if p.err != nil {
		return p.err
	}
	if !upgrades(r) {
		return plain(w, http.StatusBadRequest, "Bad Request\n")
	}
	if d.o.Tail == nil {
		return fault.Errorf(fault.Unavailable, "this server has no live tails")
	}
	sub, err := d.o.Engine.Tail(r.Context(), scope, d.o.Tail, query.TailRequest{Query: text, Stored: true, Remote: r.RemoteAddr})
	if err != nil {
		return err
	}
	defer sub.Close()
	from := sub.Cursor()
	// What was committed before now is history; the watcher has all the rest. A
	// record that is both is told once.
	history, err := d.history(r, scope, text, start, limit)
	if err != nil {
		return err
	}
	shaper, err := query.NewShaper(query.LogQL, text)
	if err != nil {
		return err
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled,
		// A browser sends its page's origin. That is refused where the browser
		// might have lent the credential (a client certificate); an
		// Authorization header was put there by the page, or by Grafana.
		InsecureSkipVerify: r.Header.Get("Authorization") != "",
	})
	if err != nil {
		return nil // Accept has answered
	}
	defer conn.CloseNow()
	t := &tailer{o: &d.o, conn: conn, sub: sub, from: from, shaper: shaper, delay: delay, frames: make(chan []byte, maxFrames)}
	t.frame = frame{form: formOf(r, text), legacy: old}
	if !shaper.Remembers() {
		t.shared = fmt.Sprintf("loki %t %t %t %s", t.frame.form.apart, t.frame.form.all, old, text)
		t.text = text
	}
	code, why := t.run(r.Context(), history)
	_ = conn.Close(code, clip(why))
	return nil
}

// upgrades reports whether a request is the handshake of a websocket.
func upgrades(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && r.Header.Get("Sec-WebSocket-Key") != ""
}

// clip bounds the text of a close frame.
func clip(s string) string {
	const most = 123
	for len(s) > most {
		cut := most - len("…")
		for cut > 0 && s[cut]&0xC0 == 0x80 {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

// history returns the newest records since start, oldest first.
func (d *door) history(r *http.Request, scope access.Scope, text string, start int64, limit int) ([]told, error) {
	end := d.now() + 1
	if start >= end {
		return nil, nil
	}
	res, err := d.o.Engine.Query(r.Context(), scope, query.Request{
		Query: text, Start: start, End: end, Limit: min(limit, d.o.Engine.Limits().MaxEntries), Order: store.Newest, Remote: r.RemoteAddr,
	})
	if err != nil {
		return nil, err
	}
	var out []told
	for _, s := range res.Streams {
		for _, e := range s.Entries {
			out = append(out, told{e, s.Labels})
		}
	}
	slices.SortFunc(out, byTime)
	return out, nil
}

// told is a record to tell, with its stream labels.
type told struct {
	query.Entry
	stream query.Labels
}

func byTime(a, b told) int {
	return cmp.Or(cmp.Compare(a.Record.Time, b.Record.Time), cmp.Compare(a.Record.Ord, b.Record.Ord))
}

// Bounds of what waits for one reader.
const (
	maxFrames  = 40     // messages that are ready
	maxPending = 10_000 // records that wait for their time
	maxDropped = 1000   // lost records that are named in one message
	drainTime  = 2 * time.Second
)

// reachedMax is what makes loki-canary connect again at once.
const reachedMax = "reached tail max duration limit"

// A tailer is one live tail. Its fields belong to the goroutine of run, which
// never waits for the reader: another one writes.
type tailer struct {
	o       *Options
	conn    *websocket.Conn
	sub     *tail.Subscription
	from    uint64 // where sub began
	shaper  *query.Shaper
	delay   time.Duration
	frames  chan []byte // to the writer
	frame   frame       // being made
	pending []told
	known   map[uint64]struct{} // told as history, and may come again
	knownTo uint64              // the largest of known
	dropped []lost

	// shared is the name of what readers of the same query and form are told; "" when
	// a stage remembers what it has seen.
	shared, text string
}

// lost is a record that was not told.
type lost struct {
	time   int64
	labels query.Labels
}

// news is what a subscription gave.
type news struct {
	parcels []*tail.Parcel
	dropped uint64
	err     error
}

// run tells until someone ends it, and says why for the close frame.
func (t *tailer) run(server context.Context, history []told) (websocket.StatusCode, string) {
	// A context that ends takes the connection with it; the server's end is to be
	// said first.
	ctx, cancel := context.WithCancel(t.conn.CloseRead(context.WithoutCancel(server)))
	defer cancel()
	go t.ping(ctx, cancel)
	written := make(chan struct{})
	writing, stop := context.WithCancel(ctx)
	defer stop()
	go t.write(writing, cancel, written)
	in := make(chan news)
	go t.read(ctx, in)
	t.known = map[uint64]struct{}{}
	for _, e := range history {
		if ord := e.Record.Ord; ord > t.from {
			t.known[ord], t.knownTo = struct{}{}, max(t.knownTo, ord)
		}
	}
	t.pending = history
	code, why := t.loop(ctx, server, in)
	close(t.frames)
	time.AfterFunc(drainTime, stop)
	<-written
	if server.Err() != nil {
		return websocket.StatusGoingAway, "the server is stopping"
	}
	return code, why
}

func (t *tailer) loop(ctx, server context.Context, in <-chan news) (websocket.StatusCode, string) {
	end := time.NewTimer(t.o.TailMax)
	defer end.Stop()
	beat := time.NewTicker(t.o.Ping)
	defer beat.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return websocket.StatusNormalClosure, ""
		case <-server.Done():
			return websocket.StatusGoingAway, "the server is stopping"
		case <-end.C:
			return websocket.StatusInternalError, reachedMax
		case <-beat.C:
			if len(t.dropped) > 0 {
				t.flush()
			}
		case <-due.C:
		case n := <-in:
			if n.err != nil {
				return websocket.StatusInternalError, text(n.err)
			}
			if err := t.take(n); err != nil {
				return websocket.StatusInternalError, text(err)
			}
		}
		if wait := t.release(); wait > 0 {
			due.Reset(wait)
		}
	}
}

// read hands on what the subscription gives.
func (t *tailer) read(ctx context.Context, in chan<- news) {
	for {
		var n news
		n.parcels, n.dropped, n.err = t.sub.Take(ctx)
		select {
		case in <- n:
		case <-ctx.Done():
			return
		}
		if n.err != nil {
			return
		}
	}
}

// write sends messages until there are no more, or the reader takes none.
func (t *tailer) write(ctx context.Context, cancel context.CancelFunc, done chan<- struct{}) {
	defer close(done)
	for b := range t.frames {
		w, release := context.WithTimeout(ctx, t.o.Stall)
		err := t.conn.Write(w, websocket.MessageText, b)
		release()
		if err != nil {
			cancel()
			for range t.frames { // run must not wait for us
			}
			return
		}
	}
}

// ping shows that both ends are there.
func (t *tailer) ping(ctx context.Context, cancel context.CancelFunc) {
	beat := time.NewTicker(t.o.Ping)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			p, release := context.WithTimeout(ctx, t.o.Stall)
			err := t.conn.Ping(p)
			release()
			if err != nil {
				cancel()
				return
			}
		}
	}
}

// take queues new records as the query's stages leave them.
func (t *tailer) take(n news) error {
	for _, p := range n.parcels {
		if t.passes(p) {
			t.pass(p)
			continue
		}
		for i := range p.Records {
			r := &p.Records[i]
			if _, twice := t.known[r.Ord]; twice {
				continue
			}
			if stream, e, ok := t.shaper.Entry(r); ok {
				t.pending = append(t.pending, told{e, stream})
			}
		}
	}
	now := t.o.Engine.Now().UnixNano()
	for range min(n.dropped, maxDropped) {
		t.lose(lost{time: now}) // before they came here: nobody knows which
	}
	return t.shaper.Err()
}

// passes reports whether the reader is told of a parcel what everyone is who asked
// the same.
func (t *tailer) passes(p *tail.Parcel) bool {
	return t.shared != "" && t.delay == 0 && len(t.pending) == 0 && t.frame.empty() && (len(t.known) == 0 || p.Records[0].Ord > t.knownTo)
}

// ready is a message that several readers are sent.
type ready struct {
	frame []byte
	of    []lost // what a reader loses who is not sent it
}

// pass hands over the messages that were made once for all readers.
func (t *tailer) pass(p *tail.Parcel) {
	for _, m := range tail.Form(p, t.shared, t.encode) {
		if len(t.dropped) > 0 {
			t.flush()
		}
		if t.room() {
			t.frames <- m.frame
			continue
		}
		for _, l := range m.of {
			t.lose(l)
		}
	}
}

// encode makes messages of records.
func (t *tailer) encode(records []record.Record) (out []ready) {
	shaper, err := query.NewShaper(query.LogQL, t.text)
	if err != nil {
		return nil // it was read before
	}
	f := frame{form: t.frame.form, legacy: t.frame.legacy}
	var of []lost
	end := func() {
		if !f.empty() {
			out, of = append(out, ready{f.finish(nil), of}), nil
		}
	}
	for i := range records {
		stream, e, ok := shaper.Entry(&records[i])
		if !ok {
			continue
		}
		of = append(of, lost{e.Record.Time, f.form.labels(&e, stream)})
		if f.add(&told{e, stream}); f.full() {
			end()
		}
	}
	end()
	return out
}

// release makes messages of the records whose time has come, and says when that
// of the next one is.
func (t *tailer) release() (wait time.Duration) {
	if len(t.pending) == 0 {
		return 0
	}
	ready := len(t.pending)
	if t.delay > 0 {
		slices.SortFunc(t.pending, byTime)
		now := t.o.Engine.Now().UnixNano()
		until := now - int64(t.delay)
		ready, _ = slices.BinarySearchFunc(t.pending, until+1, func(e told, at int64) int { return cmp.Compare(e.Record.Time, at) })
		ready = max(ready, len(t.pending)-maxPending)
		if ready < len(t.pending) {
			wait = max(time.Millisecond, time.Duration(t.pending[ready].Record.Time-until))
		}
	}
	for i := range t.pending[:ready] {
		t.tell(&t.pending[i])
	}
	t.flush()
	t.pending = slices.Delete(t.pending, 0, ready)
	return wait
}

// room reports whether the writer takes another message. Only run fills the
// channel, so room stays.
func (t *tailer) room() bool { return len(t.frames) < cap(t.frames) }

func (t *tailer) tell(e *told) {
	if !t.room() {
		t.lose(lost{e.Record.Time, t.frame.form.labels(&e.Entry, e.stream)})
		return
	}
	if t.frame.add(e); t.frame.full() {
		t.flush()
	}
}

func (t *tailer) lose(l lost) {
	if len(t.dropped) < maxDropped {
		t.dropped = append(t.dropped, l)
	}
}

// flush hands the message over, if it says anything and there is room.
func (t *tailer) flush() {
	if t.frame.empty() && len(t.dropped) == 0 || !t.room() {
		return
	}
	t.frames <- t.frame.finish(t.dropped)
	t.dropped = nil
}
