// Package firehose receives what Amazon Data Firehose delivers to an HTTP
// endpoint: records of any kind in base64, among them the compressed batches of
// CloudWatch Logs subscriptions.
//
// It knows the envelope and that of CloudWatch Logs, whose log events become
// a record each, with their own time and the names of their group and stream (the
// conventions of OpenTelemetry). What a record holds beyond is handed on as it
// was sent: JSON objects in any arrangement, or lines.
//
// Firehose keeps the id of a request over its retries, so a repetition is seen
// once. It takes nothing for success but a 200 whose body repeats that id, and
// tries again on everything else; so a single bad record never fails its request.
//
// Records are decoded into the Set; nothing survives a crash because success is
// only answered for what is durable.
package firehose

import (
	"fmt"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Name is the receiver's name in sources and metrics.
const Name = "firehose"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Amazon Data Firehose HTTP endpoint", Versions: "1.0, with CloudWatch Logs subscriptions",
		Over: "HTTP: /aws/firehose", Ack: "200 with the request's id when durable; a repetition is seen once",
		Credential: "token as X-Amz-Firehose-Access-Key", Limits: "those of receive:, also for all records of a request together",
		Tested: []string{"bodies in the form of Amazon's specification (replayed)"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers deliveries.
type Receiver struct {
	inlet *receive.Inlet
	now   func() time.Time
}

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s), time.Now}, nil
}

// Routes returns the one route.
func (f *Receiver) Routes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "POST /aws/firehose", Need: access.LogsWrite, MaxBody: f.inlet.Limits.Body, Handle: f.deliver, Fail: f.fail},
	}
}

const requestHeader = "X-Amz-Firehose-Request-Id"

// fail answers an error in Firehose's form.
func (f *Receiver) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := f.inlet.Failed(w, err, "")
	f.answer(w, code, []byte(r.Header.Get(requestHeader)), receive.Reason(err))
}

// answer writes what Firehose demands of every answer ("HTTP endpoint delivery
// request and response specifications"): the id of the request and a time in
// milliseconds.
func (f *Receiver) answer(w http.ResponseWriter, code int, id []byte, message string) error {
	body := fmt.Appendf(nil, `{"requestId":%s,"timestamp":%d`, jsontext.AppendString(nil, id), f.now().UnixMilli())
	if message != "" {
		body = fmt.Appendf(body, `,"errorMessage":%s`, jsontext.AppendString(nil, []byte(message)[:min(len(message), 8000)]))
	}
	body = append(body, '}')
	return receive.Answer(w, code, "application/json", body)
}

func (f *Receiver) deliver(w http.ResponseWriter, r *http.Request) error {
	d := decoder{lim: f.inlet.Limits, bodies: f.inlet.Bodies}
	return f.inlet.Receive(r, r.Header.Get("Content-Encoding"), func(body *receive.Body, set *receive.Set) error {
		d.set = set
		d.attributes(r.Header.Get("X-Amz-Firehose-Common-Attributes"))
		if err := d.delivery(body.Bytes); err != nil {
			return err
		}
		if len(d.id) == 0 {
			d.id = []byte(r.Header.Get(requestHeader))
		}
		if len(d.id) > 0 {
			set.Key = [][]byte{d.id, d.records} // the timestamp is that of the attempt
		}
		return nil
	}, func(*receive.Taken) error { return f.answer(w, http.StatusOK, d.id, "") })
}
