// Package splunk receives Splunk's HTTP Event Collector: events, raw lines, and
// the acknowledgement channel, as Splunk's libraries and logging drivers, Vector,
// Fluent Bit, Fluentd, the OpenTelemetry Collector and Amazon Data Firehose send
// them.
//
// It knows the protocol's envelope: events that follow each other without a
// separator, each with its time, host, source, sourcetype, index and fields. The
// event itself is handed on as it was sent. Names of what the envelope says are
// those of the OpenTelemetry Collector (com.splunk.source and others).
//
// Acknowledgement. A request on a channel is answered when it is durable, with an
// id; so whoever holds an id may be told that it is acknowledged. Nothing is
// remembered of an id: see ack. Splunk forgets what was acknowledged when it is
// started again, this receiver does not.
//
// Bad events cost nobody but themselves: the others are kept, and the answer
// names the first bad one, as Splunk's does. A transient fault is 503 (code 9),
// never a 4xx: senders drop on those.
//
// Raw records alias the request's body until Ingest returns.
package splunk

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Name is the receiver's name in sources and metrics.
const Name = "splunk"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Splunk HTTP Event Collector", Versions: "1.0, event and raw",
		Over:       "HTTP: /services/collector",
		Ack:        "200 when durable; acknowledgement channel (ackId, /services/collector/ack), also over restarts; a repetition is seen once with Idempotency-Key",
		Credential: "token as Splunk T or Basic", Limits: "those of receive:",
		Tested: []string{"splunk-logging 0.11.1 of npm: 0 lost, 3,800 twice", "Fluent Bit 5.1.1: 0 lost, 780 twice"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers Splunk's HTTP Event Collector.
type Receiver struct {
	inlet *receive.Inlet
	acks  *acks
}

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s), newAcks(time.Now())}, nil
}

// reply is what Splunk answers: its codes are numbers that clients know
// ("Troubleshoot HTTP Event Collector" in Splunk's manual).
type reply struct {
	status, code int
	text         string
}

var (
	success     = reply{200, 0, "Success"}
	noToken     = reply{401, 2, "Token is required"}
	badAuth     = reply{401, 3, "Invalid authorization"}
	badToken    = reply{403, 4, "Invalid token"}
	noData      = reply{400, 5, "No data"}
	badData     = reply{400, 6, "Invalid data format"}
	busy        = reply{503, 9, "Server is busy"}
	noChannel   = reply{400, 10, "Data channel is missing"}
	badChannel  = reply{400, 11, "Invalid data channel"}
	noEvent     = reply{400, 12, "Event field is required"}
	blankEvent  = reply{400, 13, "Event field cannot be blank"}
	badFields   = reply{400, 15, "Error in handling indexed fields"}
	healthy     = reply{200, 17, "HEC is healthy"}
	tooLarge    = reply{413, 27, "Request entity too large"}
	unsupported = reply{415, 6, "Invalid data format"}
)

// fail makes an error that is answered by p.
func (p reply) fail() error {
	return &failure{p, receive.WithStatus(p.status, fault.Errorf(fault.Invalid, "%s", p.text))}
}

type failure struct {
	reply
	error
}

func (f *failure) Unwrap() error { return f.error }

// Routes returns the routes of events, raw lines, acknowledgement and health.
func (s *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	add := func(pattern string, need access.Permission, h func(http.ResponseWriter, *http.Request) error) {
		routes = append(routes, httpd.Route{Pattern: pattern, Need: need, MaxBody: s.inlet.Limits.Body, Handle: h, Fail: s.fail})
	}
	const at = "/services/collector"
	for _, path := range []string{"", "/event", "/event/1.0"} {
		add("POST "+at+path, access.LogsWrite, s.event)
	}
	for _, path := range []string{"/raw", "/raw/1.0"} {
		add("POST "+at+path, access.LogsWrite, s.raw)
	}
	for _, path := range []string{"/ack", "/ack/1.0"} {
		add("POST "+at+path, access.LogsWrite, s.ack)
	}
	for _, path := range []string{"/event", "/event/1.0"} {
		// Docker's logging driver asks so, without a token, before it starts a
		// container (moby daemon/logger/splunk, splunk-verify-connection).
		add("OPTIONS "+at+path, access.Public, func(w http.ResponseWriter, _ *http.Request) error { return success.write(w, "") })
	}
	for _, path := range []string{"/health", "/health/1.0"} {
		// Load balancers ask without a token, as they do Splunk. It is a constant.
		add("GET "+at+path, access.Public, func(w http.ResponseWriter, _ *http.Request) error { return healthy.write(w, "") })
	}
	return routes
}

// fail answers an error by Splunk's code for it.
func (s *Receiver) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.inlet.Meter.Failed(err)
	var f *failure
	if errors.As(err, &f) {
		f.write(w, "")
		return
	}
	code := receive.Status(err)
	receive.SetRetry(w, code, err)
	p := reply{code, 6, receive.Reason(err)}
	switch code {
	case http.StatusUnauthorized:
		switch _, bad := identity.Credential(r.Header); {
		case !identity.Presented(r.Header):
			p = noToken
		case bad != nil:
			p = badAuth
		default:
			p = badToken
		}
	case http.StatusForbidden:
		p = badToken
	case http.StatusRequestEntityTooLarge:
		p = tooLarge
	case http.StatusUnsupportedMediaType:
		p = unsupported
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		p = busy
		p.status = code
	}
	p.write(w, "")
}

// write answers p; more are members that follow, each with its comma before it.
func (p reply) write(w http.ResponseWriter, more string) error {
	body := fmt.Appendf(nil, `{"text":%s,"code":%d%s}`, jsontext.AppendString(nil, []byte(p.text)), p.code, more)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.status)
	_, err := w.Write(body)
	return err
}

// param returns a parameter of the request, by header or query.
func param(r *http.Request, header, query string) string {
	if v := r.Header.Get(header); v != "" {
		return v
	}
	if r.URL.RawQuery == "" {
		return ""
	}
	return r.URL.Query().Get(query)
}

const channelHeader = "X-Splunk-Request-Channel"

// channelOf returns the channel of a request, "" if it has none.
func channelOf(r *http.Request) (string, error) {
	c := param(r, channelHeader, "channel")
	if c != "" && !guid(c) {
		return "", badChannel.fail()
	}
	return strings.ToLower(c), nil
}

// guid reports whether s is 8-4-4-4-12 hexadecimal digits, or 32 of them: some
// libraries leave the dashes out.
func guid(s string) bool {
	digits := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '-' && len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23):
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			digits++
		default:
			return false
		}
	}
	return digits == 32
}

// event takes POST /services/collector/event.
func (s *Receiver) event(w http.ResponseWriter, r *http.Request) error {
	d := decoder{lim: s.inlet.Limits}
	return s.take(w, r, &d, d.events)
}

// raw takes POST /services/collector/raw: each line is a record.
func (s *Receiver) raw(w http.ResponseWriter, r *http.Request) error {
	d := decoder{lim: s.inlet.Limits}
	return s.take(w, r, &d, func(body []byte) error { return d.lines(r, body) })
}

func (s *Receiver) take(w http.ResponseWriter, r *http.Request, d *decoder, decode func([]byte) error) error {
	channel, err := channelOf(r)
	if err != nil {
		return err
	}
	return s.inlet.Receive(r, r.Header.Get("Content-Encoding"), func(body *receive.Body, set *receive.Set) error {
		d.set = set
		return decode(body.Bytes)
	}, func(t *receive.Taken) error {
		if d.bad != nil {
			return d.bad.write(w, fmt.Sprintf(`,"invalid-event-number":%d`, d.badAt))
		}
		if n := len(t.Outcome.Refused); n > 0 {
			return badData.write(w, fmt.Sprintf(`,"invalid-event-number":%d`, t.Outcome.Refused[0].Index))
		}
		if channel == "" {
			return success.write(w, "")
		}
		from, err := receive.Identify(r, Name)
		if err != nil {
			return err
		}
		return success.write(w, `,"ackId":`+strconv.FormatInt(s.acks.issue(from, channel), 10))
	})
}
