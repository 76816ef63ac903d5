// Package datadog receives Datadog's logs intake: what the Datadog agent, its
// libraries, Vector, Fluent Bit and Fastly send to http-intake.logs.
//
// It knows the protocol's envelope: the message, who says it, and the tags of
// both. Tags become text fields; the message is handed on as it was written, and
// what else a log holds beside it goes along as JSON.
//
// The agent asks at its start whether HTTP works, with a body of {}: it is
// answered, and nothing is stored. On any other answer the agent would go over
// to its own TCP protocol until it is restarted. It drops what is answered by
// 400, 401, 403 or 413 and sends again for ever what is answered by anything
// else above; so a wrong credential is 403, and a transient fault 503.
//
// Raw records alias the request's body until Ingest returns; nothing survives a
// crash because 202 is only answered for what is durable.
package datadog

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Name is the receiver's name in sources and metrics.
const Name = "datadog"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Datadog logs intake", Versions: "v1 and v2, JSON and plain text",
		Over: "HTTP: /api/v2/logs, /v1/input", Ack: "202 when durable; a repetition is seen once with Idempotency-Key",
		Credential: "token as DD-API-KEY", Limits: "those of receive:; 100 tags of a record become fields",
		Tested: []string{"@datadog/datadog-api-client 1.64.0 of npm (plain, gzip, deflate)", "Fluent Bit 5.1.1: 0 lost, 680 twice"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver answers Datadog's logs intake.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// TrackField names the intake of a record that did not come by that of logs.
const TrackField = "datadog.track"

// foreign are tracks of the agent that hold no records but measures and traces,
// in forms of their own. They are answered by 404: the agent's forwarder drops
// what it sent so and goes on, and nobody is told that it was kept.
var foreign = map[string]bool{"series": true, "sketches": true, "host_metadata": true, "metrics": true, "spans": true, "traces": true, "validate": true}

// Routes returns the routes, each also under /datadog.
func (d *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	for _, prefix := range []string{"", "/datadog"} {
		for _, path := range []string{"/api/v2/{track}", "/v1/input"} {
			routes = append(routes, httpd.Route{
				Pattern: "POST " + prefix + path, Need: access.LogsWrite, MaxBody: d.inlet.Limits.Body, Handle: d.logs, Fail: d.fail,
			})
		}
		routes = append(routes, httpd.Route{
			Pattern: "GET " + prefix + "/api/v1/validate", Need: access.LogsWrite, Fail: d.fail,
			Handle: func(w http.ResponseWriter, _ *http.Request) error { return answer(w, http.StatusOK, `{"valid":true}`) },
		})
	}
	return routes
}

// status is Status, but that a wrong credential is what Datadog answers it with.
func status(err error) int {
	code := receive.Status(err)
	if code == http.StatusUnauthorized {
		code = http.StatusForbidden
	}
	return code
}

// fail answers an error in the form of the version that was asked.
func (d *Receiver) fail(w http.ResponseWriter, r *http.Request, err error) {
	d.inlet.Meter.Failed(err)
	code := status(err)
	receive.SetRetry(w, code, err)
	detail := jsontext.AppendString(nil, []byte(receive.Reason(err)))
	title := jsontext.AppendString(nil, []byte(http.StatusText(code)))
	if strings.Contains(r.URL.Path, "/v1/") {
		answer(w, code, fmt.Sprintf(`{"errors":[%s,%s]}`, title, detail))
		return
	}
	answer(w, code, fmt.Sprintf(`{"errors":[{"status":"%d","title":%s,"detail":%s}]}`, code, title, detail))
}

func answer(w http.ResponseWriter, code int, body string) error {
	return receive.Answer(w, code, "application/json", []byte(body))
}

func (d *Receiver) logs(w http.ResponseWriter, r *http.Request) error {
	track := r.PathValue("track")
	if foreign[track] {
		return fault.Errorf(fault.NotFound, "the track %s holds no logs", track)
	}
	dec := decoder{lim: d.inlet.Limits}
	if track != "logs" {
		dec.track = track
	}
	if q := r.URL.RawQuery; q != "" {
		dec.tags, dec.source, dec.service, dec.host = query(r, "ddtags"), query(r, "ddsource"), query(r, "service"), query(r, "hostname")
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	text := strings.HasPrefix(strings.ToLower(strings.TrimSpace(kind)), "text/")
	return d.inlet.Receive(r, r.Header.Get("Content-Encoding"), func(body *receive.Body, set *receive.Set) error {
		dec.set = set
		if text {
			return dec.text(body.Bytes)
		}
		return dec.json(body.Bytes)
	}, func(t *receive.Taken) error {
		if bad, first := t.RefusedTotal(); bad > 0 && bad == t.Set.Total() {
			return fault.Errorf(fault.Invalid, "none of %d logs was kept; first: %s", bad, first)
		}
		return answer(w, http.StatusAccepted, "{}")
	})
}

// query returns a parameter that stands for a member which logs leave out.
func query(r *http.Request, name string) []byte {
	if v := r.URL.Query().Get(name); v != "" {
		return []byte(v)
	}
	return nil
}
