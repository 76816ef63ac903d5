// Package elastic receives the Elasticsearch bulk API, and answers the calls
// that Beats, Logstash, Fluent Bit and the official clients make before they
// send anything.
//
// It knows the protocol's envelope: action lines and the order of items. A
// document is handed on as it was sent, so that a broken one is refused by the
// pipeline alone, as an item of its own, while the others are kept.
//
// The store behind is append-only: index and create append, update appends its
// doc, delete is refused. A document alone whose name and content come again is
// seen once, like a bulk of named documents. Every answer says success only for what is durable.
// Overload and our own faults answer 503 for the whole request, never an item:
// Fluent Bit takes a chunk with one good item for delivered.
//
// Raw records alias the request's body until Ingest returns. The few objects
// that clients PUT and ask for again (templates, policies) are held in memory,
// bounded, and lost at restart; a client that misses one sends it again.
package elastic

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Name is the receiver's name in sources and metrics.
const Name = "elastic"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Elasticsearch bulk", Versions: "7, 8, 9: whatever version the client names",
		Over:       "HTTP: /_bulk, and the handshakes of Beats, Logstash and the official clients, also under /elastic",
		Ack:        "each item answered when all are durable; overload answers 503 for the whole request; a repetition is seen once if every action has an _id, or with Idempotency-Key",
		Credential: "token (Bearer, Basic, ApiKey)", Limits: "append-only: delete is refused, update appends its doc",
		Tested: []string{
			"Fluent Bit 5.1.1: 0 lost, 380 twice; with Generate_ID 0 twice", "Fluentd 1.16.11 with fluent-plugin-elasticsearch 5.1.5: 0 lost, 4,020 twice; with id_key 0 twice",
			"@elastic/elasticsearch 8.19.2 (bulk helper, _id): 0 lost, 0 twice", "pino-elasticsearch 9.0.0", "winston-elasticsearch 0.19.0",
		},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct {
	// Version is the Elasticsearch version that is told to clients which do not
	// name their own (default 8.17.0). Beats and Logstash refuse a server that
	// is older than they are, so they are told their own version.
	Version string `yaml:"version"`
	// ClusterName is told to clients (default meshtrail).
	ClusterName string `yaml:"cluster_name"`
	// Index, when set, answers GET /elastic/{name}, which is the read side's: no
	// pattern of its own could stand beside GET /{index}/_search.
	Index func(http.ResponseWriter, *http.Request) error `yaml:"-"`
}

// Validate reports a version that is none.
func (c Config) Validate() error {
	if c.Version != "" && !versionNumber.MatchString(c.Version) {
		return fault.Errorf(fault.Invalid, "version: %q is not of the form 8.17.0", c.Version)
	}
	return nil
}

// A Receiver answers the Elasticsearch API's intake side.
type Receiver struct {
	cfg     Config
	inlet   *receive.Inlet
	uuid    string
	objects objects
	bulks   sync.Pool // *bulk
	now     func() time.Time
}

// New returns a receiver that stands in s.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Version == "" {
		cfg.Version = "8.17.0"
	}
	if cfg.ClusterName == "" {
		cfg.ClusterName = "meshtrail"
	}
	sum := sha256.Sum256([]byte(cfg.ClusterName))
	return &Receiver{cfg: cfg, inlet: receive.NewInlet(Name, s), uuid: fmt.Sprintf("%x", sum[:11]), now: time.Now}, nil
}

// Routes returns the routes, each also under /elastic. GET / is not among them,
// because the web page lives there too: the door that owns it calls Info for a
// request that does not accept text/html.
func (e *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	add := func(pattern string, max int64, h func(http.ResponseWriter, *http.Request) error) {
		method, path := cut(pattern)
		need := access.LogsWrite
		if method == http.MethodGet || method == http.MethodHead {
			// Whom one speaks to, and what was PUT in one's own tenant: clients that
			// only read ask as well. The read side asks for its own permission.
			need = access.Identified
		}
		for _, prefix := range []string{"", "/elastic"} {
			routes = append(routes, httpd.Route{
				Pattern: method + " " + prefix + path, Need: need, MaxBody: max, Fail: e.Fail,
				Handle: func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("X-Elastic-Product", "Elasticsearch")
					return h(&reply{w, r}, r)
				},
			})
		}
	}
	add("POST /_bulk", e.inlet.Limits.Body, e.bulk)
	add("PUT /_bulk", e.inlet.Limits.Body, e.bulk)
	add("POST /{index}/_bulk", e.inlet.Limits.Body, e.bulk)
	add("POST /_bulk/{$}", e.inlet.Limits.Body, e.bulk) // Fluent Bit's, with a pipeline
	add("POST /{index}/_doc", e.inlet.Limits.Body, e.postDoc)
	add("POST /{index}/{verb}/{id}", e.inlet.Limits.Body, e.postThree)
	add("PUT /{index}/{verb}/{id}", e.inlet.Limits.Body, e.putThree)
	add("DELETE /{index}", 0, e.appendOnly)
	add("DELETE /{index}/{verb}/{id}", 0, e.appendOnly)
	// One pattern for PUT with two segments: ServeMux holds /{index}/_bulk and
	// /_template/{name} to be in conflict.
	add("PUT /{index}/{name}", e.inlet.Limits.Body, e.putTwo)
	add("PUT /{index}", maxObject, e.putIndex)
	add("POST /_aliases", maxObject, e.acknowledged)
	add("POST /{index}/_flush", 0, e.shards)
	add("POST /{index}/_forcemerge", 0, e.shards)
	add("GET /_ilm/status", 0, e.lifecycle)
	add("GET /_security/_authenticate", 0, e.authenticate)
	add("HEAD /_cat/health", 0, e.empty) // rsyslog's, before it sends
	add("HEAD /{$}", 0, e.empty)
	add("GET /_license", 0, e.license)
	add("GET /_xpack", 0, e.xpack)
	add("GET /_cluster/health", 0, e.health)
	add("GET /_nodes", 0, e.nodes)
	add("GET /_nodes/_all/http", 0, e.nodes)
	// One pattern for GET with two segments as well: the read side (api/elastic) has
	// /{index}/_search and others, which /_template/{name} would be in conflict with.
	add("GET /{index}/{name}", 0, e.getTwo)
	add("GET /_cat/templates/{name}", 0, e.catTemplates)
	for _, kind := range kinds {
		if !kind.read {
			add("GET "+kind.path, 0, e.list(kind))
		}
		add("DELETE "+kind.path+"/{name}", 0, e.remove(kind))
		if kind.long {
			add("GET "+kind.path+"/{name}", 0, e.get(kind))
			add("PUT "+kind.path+"/{name}", maxObject, e.put(kind))
		}
	}
	return append(routes, httpd.Route{Pattern: "GET /elastic/{$}", Need: access.Identified, Fail: e.Fail, Handle: e.Info})
}

func cut(pattern string) (method, path string) {
	for i := range pattern {
		if pattern[i] == ' ' {
			return pattern[:i], pattern[i+1:]
		}
	}
	return "", pattern
}

// Fail answers an error in Elasticsearch's form.
func (e *Receiver) Fail(w http.ResponseWriter, r *http.Request, err error) {
	e.inlet.Meter.Failed(err)
	code := receive.Status(err)
	h := w.Header()
	h.Set("X-Elastic-Product", "Elasticsearch")
	h.Set("Content-Type", contentType(r))
	receive.SetRetry(w, code, err)
	if code == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `Basic realm="security", charset="UTF-8"`)
		h.Add("WWW-Authenticate", "ApiKey")
	}
	kind, reason := errorType(code, err), jsontext.AppendString(nil, []byte(receive.Reason(err)))
	w.WriteHeader(code)
	if r.Method == http.MethodHead {
		return
	}
	fmt.Fprintf(w, `{"error":{"root_cause":[{"type":"%s","reason":%s}],"type":"%s","reason":%s},"status":%d}`,
		kind, reason, kind, reason, code)
}

func errorType(code int, err error) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "security_exception"
	case http.StatusNotFound:
		return "resource_not_found_exception"
	case http.StatusRequestEntityTooLarge:
		return "content_too_long_exception"
	case http.StatusServiceUnavailable:
		if fault.Is(err, fault.Overload) {
			return "es_rejected_execution_exception"
		}
		return "unavailable_shards_exception"
	}
	return "illegal_argument_exception"
}
