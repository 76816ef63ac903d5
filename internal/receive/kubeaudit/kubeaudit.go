// Package kubeaudit receives the audit webhook of the Kubernetes API server
// (audit.k8s.io/v1, --audit-webhook-config-file): who did what, when, where, and
// whether they were let.
//
// Each audit event is a record: the event itself as JSON, whole, which is told by
// its shape and read as any other that comes by a file or a cloud. Its time is that
// of its stage.
//
// A batch that the API server sends again, because an answer was lost, is seen
// once: every event carries an auditID, so the same batch is the same bytes. The
// API server tries again on 500, 429 and whatever has a Retry-After (client-go
// webhook.DefaultShouldRetry), and drops after its last try: so a transient fault
// is 503 with Retry-After.
//
// Raw records alias the request's body until Ingest returns.
package kubeaudit

import (
	"fmt"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Name is the receiver's name in sources and metrics.
const Name = "kubeaudit"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Kubernetes audit webhook", Versions: "audit.k8s.io/v1",
		Over: "HTTP: /kubernetes/audit", Ack: "200 when durable; a batch that is sent again is seen once (auditID)",
		Credential: "token (Bearer)", Limits: "those of receive:",
		Tested: []string{"bodies in the form of the API server's types (replayed)"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers the audit webhook.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the one route.
func (k *Receiver) Routes() []httpd.Route {
	return []httpd.Route{{Pattern: "POST /kubernetes/audit", Need: access.LogsWrite, MaxBody: k.inlet.Limits.Body, Handle: k.audit, Fail: k.fail}}
}

// reasons are what the API server's client knows of our codes.
var reasons = map[int]string{400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 413: "RequestEntityTooLarge", 429: "TooManyRequests", 503: "ServiceUnavailable"}

// fail answers an error as a Status of Kubernetes.
func (k *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := k.inlet.Failed(w, err, "")
	body := fmt.Appendf(nil, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":%s,"reason":%q,"code":%d}`,
		jsontext.AppendString(nil, []byte(receive.Reason(err))), reasons[code], code)
	receive.Answer(w, code, "application/json", body)
}

func (k *Receiver) audit(w http.ResponseWriter, r *http.Request) error {
	return k.inlet.Receive(r, r.Header.Get("Content-Encoding"), func(body *receive.Body, set *receive.Set) error {
		d := decoder{set: set, lim: k.inlet.Limits, named: true}
		if err := d.list(body.Bytes); err != nil {
			return err
		}
		set.Once = d.named // else two such batches of one content may be two
		return nil
	}, func(t *receive.Taken) error {
		if bad, first := t.RefusedTotal(); bad > 0 && bad == t.Set.Total() {
			return fault.Errorf(fault.Invalid, "none of %d audit events was kept; first: %s", bad, first)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	})
}
