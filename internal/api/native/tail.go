package native

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// tail sends records while they are committed: as server-sent events (see
// events) or, to a client that asks to upgrade, as messages of a websocket (see
// messages). Every reader is given its place from the first moment on and
// resumes with it: by the header Last-Event-ID, as EventSource does by itself, or
// the parameter after. Nothing is lost or sent twice between two connections.
//
// A reader that is slower than the records is told how many it did not see and
// from which place they can be read. With complete=true it is sent everything,
// late. With rate=N it is sent at most N records a second and the number of the
// others. One that takes nothing at all is let go.
func (a reading) tail(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := query.TailRequest{Query: r.Form.Get("query"), Remote: r.RemoteAddr}
	if req.Query == "" {
		req.Query = "{}"
	}
	if req.Language, err = query.ParseLanguage(r.Form.Get("lang")); err != nil {
		return err
	}
	if req.Language == query.Search && r.Form.Get("query") == "" {
		req.Query = ""
	}
	rate := f.number("rate", 0)
	if f.err != nil {
		return f.err
	}
	switch s := r.Form.Get("complete"); s {
	case "", "false":
	case "true":
		req.Complete = true
	default:
		return fault.Errorf(fault.Invalid, "parameter complete: %q is not true or false", s)
	}
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = r.Form.Get("after")
	}
	if from != "" {
		req.Resume = true
		if req.After, err = strconv.ParseUint(from, 10, 64); err != nil {
			return fault.Errorf(fault.Invalid, "%q is no point to resume from", from)
		}
	}
	sub, err := a.o.Engine.Tail(r.Context(), scope, a.o.Tail, req)
	if err != nil {
		return err
	}
	defer sub.Close()
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return a.socket(w, r, sub, rate)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	return a.follow(r.Context(), sub, rate, &events{w: w, conn: http.NewResponseController(w), stall: a.o.Stall})
}

// A teller writes a tail in one flavour. Its methods gather, send writes out;
// send fails only when the reader is gone.
type teller interface {
	open(place uint64)
	record(r *words.Record)
	parcel(p *tail.Parcel) // all of its records, encoded once for all readers
	unseen(u unseen)
	place(at uint64) // moved, and nothing to show
	alive()
	failed(err error, after uint64)
	send() error
	full() bool // enough is gathered to be sent
}

// unseen is what a reader is told of records that it was not sent.
type unseen struct {
	Records uint64 `json:"records"`      // since the last such notice
	Total   uint64 `json:"total"`        // since the tail began
	Why     string `json:"why"`          // "slow": the reader was; "rate": as it asked for
	After   uint64 `json:"after,string"` // resuming from here shows them
	at      uint64 // the reader's place behind them
}

// waited is what Take gave, handed from the goroutine that waits.
type waited struct {
	parcels     []*tail.Parcel
	dropped     uint64
	cursor, gap uint64
	err         error
}

// wait calls Take in a goroutine of its own, so that the sign of life needs no
// deadline on it; closing the subscription, or done, ends the goroutine.
func wait(ctx context.Context, sub *tail.Subscription, done <-chan struct{}) <-chan waited {
	next := make(chan waited)
	go func() {
		for {
			var n waited
			n.parcels, n.dropped, n.err = sub.Take(ctx)
			n.cursor, n.gap = sub.Cursor(), sub.Gap()
			select {
			case next <- n:
			case <-done:
				return
			}
			if n.err != nil {
				return
			}
		}
	}()
	return next
}

// follow tells a tail until its reader goes away, the server stops, or the tail
// fails, of which the reader is told.
func (a reading) follow(ctx context.Context, sub *tail.Subscription, rate int, out teller) error {
	t := telling{teller: out, rate: rate, cursor: sub.Cursor(), last: sub.Cursor()}
	out.open(t.cursor)
	if out.send() != nil {
		return nil
	}
	done := make(chan struct{})
	defer close(done)
	next := wait(ctx, sub, done)
	beat := time.NewTicker(a.o.Heartbeat)
	defer beat.Stop()
	var second <-chan time.Time
	if rate > 0 {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		second = tick.C
	}
	for {
		select {
		case <-a.o.Done:
			return nil
		case <-beat.C:
			out.alive()
			sub.Nudge()
		case <-second:
			if !t.tick() {
				continue
			}
		case n := <-next:
			if fault.Is(n.err, fault.Canceled) {
				return nil
			}
			if n.err != nil {
				out.failed(n.err, n.cursor)
				out.send()
				return nil
			}
			if t.tell(&n) != nil {
				return nil
			}
		}
		if out.send() != nil {
			return nil // the reader went away
		}
	}
}

// telling is one tail on its way: what it has told, and what it has held back.
type telling struct {
	teller
	rate   int
	shown  int // in this second
	total  uint64
	held   unseen // by the rate, not yet told
	cursor uint64 // where the reader is
	last   uint64 // the record or place before the one at hand
}

// tell gathers what Take gave, and sends what is more than a little.
func (t *telling) tell(n *waited) error {
	for _, p := range n.parcels {
		if err := t.all(p); err != nil {
			return err
		}
	}
	if n.dropped > 0 {
		t.tick()
		t.total += n.dropped
		t.unseen(unseen{Records: n.dropped, Total: t.total, Why: "slow", After: n.gap, at: n.cursor})
	} else if len(n.parcels) == 0 && n.cursor != t.cursor && t.held.Records == 0 {
		t.place(n.cursor)
	}
	t.cursor, t.last = n.cursor, n.cursor
	return nil
}

// all tells the records of a parcel, as many as the rate allows.
func (t *telling) all(p *tail.Parcel) error {
	if t.rate == 0 && len(p.Records) > 0 {
		t.parcel(p)
		t.last = p.Records[len(p.Records)-1].Ord
		if t.full() {
			return t.send()
		}
		return nil
	}
	for i := range p.Records {
		r := &p.Records[i]
		if t.rate > 0 && t.shown >= t.rate {
			if t.held.Records == 0 {
				t.held.After = t.last
			}
			t.held.Records++
			t.held.at, t.last = r.Ord, r.Ord
			continue
		}
		t.shown++
		t.record(r)
		t.last = r.Ord
		if t.full() {
			if err := t.send(); err != nil {
				return err
			}
		}
	}
	return nil
}

// tick begins a new second of a limited rate, and reports whether there is
// something to tell.
func (t *telling) tick() bool {
	t.shown = 0
	if t.held.Records == 0 {
		return false
	}
	t.total += t.held.Records
	t.held.Total, t.held.Why = t.total, "rate"
	t.unseen(t.held)
	t.held = unseen{}
	return true
}

// events is the flavour of server-sent events:
//
//	id: 1234             the record's ord: the place to resume from
//	data: {…}            the record, as /api/v1/query writes it
//
//	event: dropped       records that were not sent
//	id: 1300
//	data: {"records":17,"total":17,"why":"slow","after":"1234"}
//
//	id: 1400             the place moved, and nothing to show
//
//	event: failed        why the tail ended, and where to resume
//	data: {"error":{…},"after":"1400"}
//
// and a comment as a sign of life.
type events struct {
	w     http.ResponseWriter
	conn  *http.ResponseController
	stall time.Duration
	buf   []byte
}

func (e *events) open(place uint64) {
	e.buf = append(e.buf, ": open\nretry: 1000\n"...)
	e.place(place)
}

func (e *events) id(at uint64) {
	e.buf = append(e.buf, "id: "...)
	e.buf = strconv.AppendUint(e.buf, at, 10)
	e.buf = append(e.buf, '\n')
}

func (e *events) place(at uint64) {
	e.id(at)
	e.buf = append(e.buf, '\n')
}

func (e *events) alive() { e.buf = append(e.buf, ": alive\n\n"...) }

func (e *events) record(r *words.Record) { e.buf = appendEvent(e.buf, r) }

func appendEvent(b []byte, r *words.Record) []byte {
	b = strconv.AppendUint(append(b, "id: "...), r.Ord, 10)
	b = AppendRecord(append(b, "\ndata: "...), r)
	return append(b, "\n\n"...)
}

func (e *events) parcel(p *tail.Parcel) {
	e.buf = append(e.buf, tail.Form(p, "events", func(records []words.Record) (b []byte) {
		for i := range records {
			b = appendEvent(b, &records[i])
		}
		return b
	})...)
}

func (e *events) unseen(u unseen) {
	e.buf = append(e.buf, "event: dropped\n"...)
	e.id(u.at)
	e.buf = append(e.buf, "data: "...)
	e.buf = appendJSON(e.buf, u)
	e.buf = append(e.buf, "\n\n"...)
}

// ending is what a reader whose answer has begun is told of its end.
type ending struct {
	Error httpd.ErrorDetail `json:"error"`
	After uint64            `json:"after,string"`
}

func endingOf(err error, after uint64) ending {
	return ending{httpd.ErrorDetail{Kind: fault.KindOf(err).String(), Message: httpd.Message(err), Hint: fault.HintOf(err)}, after}
}

func (e *events) failed(err error, after uint64) {
	e.buf = append(e.buf, "event: failed\ndata: "...)
	e.buf = appendJSON(e.buf, endingOf(err, after))
	e.buf = append(e.buf, "\n\n"...)
}

func (e *events) full() bool { return len(e.buf) >= flushBytes }

func (e *events) send() error {
	e.conn.SetWriteDeadline(time.Now().Add(e.stall)) // a server that cannot, waits
	_, err := e.w.Write(e.buf)
	e.buf = e.buf[:0]
	if err == nil {
		err = e.conn.Flush()
	}
	if err != nil {
		return fault.Errorf(fault.Canceled, "write event: %w", err)
	}
	return nil
}
