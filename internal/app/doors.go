package app

import (
	"io"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/api/elastic"
	"github.com/meshtrail/meshtrail/internal/api/jaeger"
	"github.com/meshtrail/meshtrail/internal/api/loki"
	"github.com/meshtrail/meshtrail/internal/api/native"
	"github.com/meshtrail/meshtrail/internal/api/zipkin"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/trace"
	"github.com/meshtrail/meshtrail/internal/web"
)

// doors is the list of what people and programs read from. root answers /
// for programs; a browser gets the page there.
func (s *server) doors(root httpd.Route, search *elastic.Door) ([]httpd.Route, error) {
	page, err := web.Routes()
	if err != nil {
		return nil, err
	}
	root.Pattern, root.Need, root.Page = "GET /{$}", access.Identified, web.Serve
	routes := []httpd.Route{
		root,
		{Pattern: "GET /metrics", Need: access.Metrics, Handle: s.serveMetrics},
		// These two say nothing but yes or no: whatever starts and balances
		// servers has no credential.
		{Pattern: "GET /healthz", Need: access.Public, Handle: s.healthy},
		{Pattern: "GET /readyz", Need: access.Public, Handle: s.ready},
	}
	routes = append(routes, page...)
	routes = append(routes, native.OpenAPI()...)
	routes = append(routes, native.Admin(native.AdminOptions{
		Audit: s.audit, Version: s.o.Version, Started: s.started,
		Seal: s.sealAll, Sources: s.store.Sources, Intake: s.sources.List, Unparsed: s.intake.Unparsed().Shapes, Store: s.store.Status, StoreOf: s.store.StatusOf, Checkpoint: s.ledger.Checkpoint,
	})...)
	routes = append(routes, loki.Routes(loki.Options{Engine: s.query, Tail: s.tail, Revision: s.o.Version, Ready: s.alive})...)
	routes = append(routes, search.Routes()...)
	routes = append(routes, native.Reading(native.ReadingOptions{Engine: s.query, Tail: s.tail})...)
	routes = append(routes, native.Policy(native.PolicyOptions{
		Audit: s.audit, Engine: s.query, Now: time.Now, Document: s.document, Parse: parsePolicy, Reveal: s.reveal,
	})...)
	traces := trace.New(s.query)
	routes = append(routes, jaeger.Routes(jaeger.Options{Reader: traces})...)
	routes = append(routes, zipkin.Routes(zipkin.Options{Reader: traces})...)
	routes = append(routes, native.Reports(native.ReportOptions{Audit: s.audit, Now: time.Now, Inputs: s.inputs, Issue: s.issue})...)
	return routes, nil
}

func (s *server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.Handler().ServeHTTP(w, r)
	return nil
}

// healthy says that the process can answer.
func (s *server) healthy(w http.ResponseWriter, _ *http.Request) error {
	_, err := io.WriteString(w, "ok\n")
	return err
}

// ready says that the server takes records: it is open and not failing.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) error {
	if err := s.alive(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "ready\n")
	return err
}

// alive fails once the process is about to end.
func (s *server) alive() error {
	if s.fatal.Load() != nil {
		return fault.Errorf(fault.Unavailable, "stopping")
	}
	return nil
}
