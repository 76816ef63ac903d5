package native

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/meshtrail/meshtrail/internal/fault"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// socket tells a tail over a websocket. A page of another origin is refused: a
// browser would lend it the reader's credential.
func (a reading) socket(w http.ResponseWriter, r *http.Request, sub *tail.Subscription, rate int) error {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil // Accept has answered
	}
	defer conn.CloseNow()
	// The reader sends nothing; reading notices that it went away.
	ctx := conn.CloseRead(r.Context())
	out := &messages{ctx: ctx, conn: conn, stall: a.o.Stall}
	if err := a.follow(ctx, sub, rate, out); err != nil {
		return err
	}
	code, why := websocket.StatusGoingAway, "the server is stopping; resume from the place given"
	if out.ended {
		code, why = websocket.StatusTryAgainLater, "see the last message"
	}
	conn.Close(code, why)
	return nil
}

// messages is the flavour of a websocket: each message is a JSON object.
//
//	{"type":"open","place":"1234"}      where the reader is, in commit order
//	{"type":"records","place":"1300","records":[{…},…]}
//	                                    as /api/v1/query writes them
//	{"type":"dropped","place":"1400","records":17,"total":17,"why":"slow","after":"1300"}
//	{"type":"alive"}                    a sign of life
//	{"type":"place","place":"1500"}     moved, and nothing to show
//	{"type":"failed","error":{…},"after":"1500"}
type messages struct {
	ctx   context.Context
	conn  *websocket.Conn
	stall time.Duration
	buf   []byte // of records, not yet a message
	at    uint64 // of the last of them
	ready [][]byte
	size  int // of ready, of what is shared
	ended bool
}

// close ends the message of records that is being gathered.
func (m *messages) close() {
	if len(m.buf) == 0 {
		return
	}
	head := append([]byte(nil), `{"type":"records","place":"`...)
	head = strconv.AppendUint(head, m.at, 10)
	head = append(head, `","records":[`...)
	head = append(head, m.buf...)
	m.ready = append(m.ready, append(head, "]}"...))
	m.buf = m.buf[:0]
}

func (m *messages) message(v any) {
	m.close()
	m.ready = append(m.ready, appendJSON(nil, v))
}

type placed struct {
	Type  string `json:"type"`
	Place uint64 `json:"place,string"`
}

func (m *messages) open(at uint64)  { m.message(placed{"open", at}) }
func (m *messages) place(at uint64) { m.message(placed{"place", at}) }

func (m *messages) alive() {
	m.message(struct {
		Type string `json:"type"`
	}{"alive"})
}

// parcel adds messages that other readers are sent as well.
func (m *messages) parcel(p *tail.Parcel) {
	m.close()
	for _, text := range tail.Form(p, "messages", encodeMessages) {
		m.ready = append(m.ready, text)
		m.size += len(text)
	}
}

func encodeMessages(records []words.Record) [][]byte {
	var m messages
	for i := range records {
		if m.record(&records[i]); m.full() {
			m.close()
		}
	}
	m.close()
	return m.ready
}

func (m *messages) record(r *words.Record) {
	if len(m.buf) > 0 {
		m.buf = append(m.buf, ',')
	}
	m.buf = AppendRecord(m.buf, r)
	m.at = r.Ord
}

func (m *messages) unseen(u unseen) {
	m.message(struct {
		placed
		unseen
	}{placed{"dropped", u.at}, u})
}

func (m *messages) failed(err error, after uint64) {
	m.ended = true
	m.message(struct {
		Type string `json:"type"`
		ending
	}{"failed", endingOf(err, after)})
}

func (m *messages) full() bool { return len(m.buf)+m.size >= flushBytes }

func (m *messages) send() error {
	m.close()
	for _, text := range m.ready {
		ctx, cancel := context.WithTimeout(m.ctx, m.stall)
		err := m.conn.Write(ctx, websocket.MessageText, text)
		cancel()
		if err != nil {
			return fault.Errorf(fault.Canceled, "write message: %w", err)
		}
	}
	clear(m.ready) // what is shared is not kept for longer
	m.ready, m.size = m.ready[:0], 0
	return nil
}
