package native

import (
	"net/http"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// tail sends records as server-sent events while they are committed:
//
//	id: 1234          the record's ord: the point to resume from
//	data: {…}         the record, as /api/v1/query writes it
//
//	event: dropped    the reader was too slow
//	data: {"records":17}
//
// and a comment line as a sign of life. A reader resumes with the header
// Last-Event-ID, as EventSource does by itself, or the parameter after; nothing
// is lost or sent twice between two connections.
func (a reading) tail(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.Errorf(fault.Invalid, "read parameters: %w", err)
	}
	req := query.TailRequest{Query: r.Form.Get("query"), Remote: r.RemoteAddr}
	if req.Query == "" {
		req.Query = "{}"
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
	return a.events(w, r, sub)
}

// waiting is what Next gave, handed from the goroutine that waits.
type waiting struct {
	records []words.Record
	dropped uint64
	err     error
}

func (a reading) events(w http.ResponseWriter, r *http.Request, sub *tail.Subscription) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	out := events{w: w, flush: http.NewResponseController(w)}
	out.buf = append(out.buf, ": open\nretry: 1000\n\n"...)
	if err := out.send(); err != nil {
		return err
	}
	// Next waits in its own goroutine, so that the sign of life needs no
	// deadline on it; closing the subscription ends the goroutine.
	next := make(chan waiting)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			var n waiting
			n.records, n.dropped, n.err = sub.Next(r.Context())
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
	beat := time.NewTicker(a.o.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-a.o.Done:
			return nil
		case <-beat.C:
			out.buf = append(out.buf, ": alive\n\n"...)
		case n := <-next:
			if fault.Is(n.err, fault.Canceled) {
				return nil
			}
			if n.err != nil {
				return out.fail(n.err)
			}
			for i := range n.records {
				if out.record(&n.records[i]); len(out.buf) < flushBytes {
					continue
				}
				if err := out.send(); err != nil {
					return nil
				}
			}
			out.dropped(n.dropped)
		}
		if err := out.send(); err != nil {
			return nil // the reader went away
		}
	}
}

type events struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	buf   []byte
}

func (e *events) record(r *words.Record) {
	e.buf = append(e.buf, "id: "...)
	e.buf = strconv.AppendUint(e.buf, r.Ord, 10)
	e.buf = append(e.buf, "\ndata: "...)
	e.buf = AppendRecord(e.buf, r)
	e.buf = append(e.buf, "\n\n"...)
}

func (e *events) dropped(n uint64) {
	if n == 0 {
		return
	}
	e.buf = append(e.buf, "event: dropped\ndata: {\"records\":"...)
	e.buf = strconv.AppendUint(e.buf, n, 10)
	e.buf = append(e.buf, "}\n\n"...)
}

// fail tells a reader whose answer has begun what ended it.
func (e *events) fail(err error) error {
	e.buf = append(e.buf, "event: failed\ndata: "...)
	e.buf = appendJSON(e.buf, httpd.ErrorBody{Error: httpd.ErrorDetail{
		Kind: fault.KindOf(err).String(), Message: httpd.Message(err), Hint: fault.HintOf(err),
	}})
	e.buf = append(e.buf, "\n\n"...)
	return e.send()
}

func (e *events) send() error {
	_, err := e.w.Write(e.buf)
	e.buf = e.buf[:0]
	if err != nil {
		return fault.Errorf(fault.Canceled, "write event: %w", err)
	}
	return e.flush.Flush()
}
