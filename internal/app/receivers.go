package app

import (
	"context"
	"net/http"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/als"
	"github.com/meshtrail/meshtrail/internal/receive/datadog"
	"github.com/meshtrail/meshtrail/internal/receive/elastic"
	"github.com/meshtrail/meshtrail/internal/receive/firehose"
	"github.com/meshtrail/meshtrail/internal/receive/fluent"
	"github.com/meshtrail/meshtrail/internal/receive/gelf"
	"github.com/meshtrail/meshtrail/internal/receive/httpjson"
	"github.com/meshtrail/meshtrail/internal/receive/hubble"
	"github.com/meshtrail/meshtrail/internal/receive/jaeger"
	"github.com/meshtrail/meshtrail/internal/receive/journald"
	"github.com/meshtrail/meshtrail/internal/receive/kubeaudit"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/loki"
	"github.com/meshtrail/meshtrail/internal/receive/lumberjack"
	"github.com/meshtrail/meshtrail/internal/receive/otlp"
	"github.com/meshtrail/meshtrail/internal/receive/relay"
	"github.com/meshtrail/meshtrail/internal/receive/scrape"
	"github.com/meshtrail/meshtrail/internal/receive/splunk"
	"github.com/meshtrail/meshtrail/internal/receive/syslog"
	"github.com/meshtrail/meshtrail/internal/receive/victorialogs"
	"github.com/meshtrail/meshtrail/internal/receive/zipkin"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A protocol is one entry of the list of receivers: what it is, and how to make
// it. What it makes offers one or more of router, listening and running. One that
// the configuration leaves off offers nothing of them, and costs nothing.
type protocol struct {
	info receive.Info
	make func(s *server, shared receive.Shared) (any, error)
}

// A router comes in over HTTP.
type router interface{ Routes() []httpd.Route }

// A listening receiver has ports of its own.
type listening interface{ Listeners() []*listen.Listener }

// A running receiver has something to do until ctx ends: it dials out, or works
// by the clock. An error other than the end of ctx ends the server.
type running interface {
	Run(ctx context.Context) error
}

//go:generate go test -count=1 -run ^(TestReceiversAreDocumented|TestOperateNamesEveryMetric)$ . -update

// protocols is the list of everything in which records come in. A new one is a
// package, an entry here, and a field of config.Receivers if it can be configured.
var protocols = []protocol{
	{elastic.Info(), func(s *server, sh receive.Shared) (any, error) {
		cfg := s.cfg.Receivers.Elastic
		cfg.Index = s.index
		return elastic.New(cfg, sh)
	}},
	{loki.Info(), func(_ *server, sh receive.Shared) (any, error) { return loki.New(loki.Config{}, sh) }},
	{otlp.Info(), func(_ *server, sh receive.Shared) (any, error) { return otlp.New(otlp.Config{}, sh) }},
	{als.Info(), func(_ *server, sh receive.Shared) (any, error) { return als.New(als.Config{}, sh) }},
	{hubble.Info(), func(s *server, sh receive.Shared) (any, error) {
		cfg := s.cfg.Receivers.Hubble
		cfg.State = vfs.Sub(s.root, "followed/hubble")
		return hubble.New(cfg, sh)
	}},
	{scrape.Info(), func(s *server, sh receive.Shared) (any, error) { return scrape.New(s.cfg.Receivers.Scrape, sh) }},
	{datadog.Info(), func(_ *server, sh receive.Shared) (any, error) { return datadog.New(datadog.Config{}, sh) }},
	{splunk.Info(), func(_ *server, sh receive.Shared) (any, error) { return splunk.New(splunk.Config{}, sh) }},
	{kubeaudit.Info(), func(_ *server, sh receive.Shared) (any, error) { return kubeaudit.New(kubeaudit.Config{}, sh) }},
	{firehose.Info(), func(_ *server, sh receive.Shared) (any, error) { return firehose.New(firehose.Config{}, sh) }},
	{victorialogs.Info(), func(_ *server, sh receive.Shared) (any, error) {
		return victorialogs.New(victorialogs.Config{}, sh)
	}},
	{httpjson.Info(), func(_ *server, sh receive.Shared) (any, error) { return httpjson.New(httpjson.Config{}, sh) }},
	{gelf.Info(), func(s *server, sh receive.Shared) (any, error) { return gelf.New(s.cfg.Receivers.GELF, sh) }},
	{journald.Info(), func(_ *server, sh receive.Shared) (any, error) { return journald.New(sh) }},
	{syslog.Info(), func(s *server, sh receive.Shared) (any, error) { return syslog.New(s.cfg.Receivers.Syslog, sh) }},
	{lumberjack.Info(), func(s *server, sh receive.Shared) (any, error) { return lumberjack.New(s.cfg.Receivers.Lumberjack, sh) }},
	{fluent.Info(), func(s *server, sh receive.Shared) (any, error) { return fluent.New(s.cfg.Receivers.Fluent, sh) }},
	{zipkin.Info(), func(_ *server, sh receive.Shared) (any, error) { return zipkin.New(zipkin.Config{}, sh) }},
	{jaeger.Info(), func(s *server, sh receive.Shared) (any, error) { return jaeger.New(s.cfg.Receivers.Jaeger, sh) }},
	{relay.Info(), func(s *server, sh receive.Shared) (any, error) {
		return relay.New(relay.Config{}, s.intake.Relayed(), sh)
	}},
}

// receivers makes every receiver; the connections on their ports take the places
// given. It returns their routes, and for Elasticsearch
// clients the handler of the path /, which the web page shares, and that of HEAD
// /{index}, which the read side does.
func (s *server) receivers(ports *httpd.Places) (routes []httpd.Route, root httpd.Route, exists *httpd.Route, err error) {
	shared := receive.Shared{
		Intake: s.intake, Bodies: receive.NewBodies(s.cfg.Receive), // what all requests together may hold
		Metrics: s.metrics, Logger: s.log, Audit: s.audit, Sources: s.sources, Rates: new(receive.Rates), Places: ports,
	}
	for _, p := range protocols {
		shared.Lossy = p.info.Lossy
		made, err := p.make(s, shared)
		if err != nil {
			return nil, root, nil, fault.Errorf(fault.KindOf(err), "receiver %s: %w", p.info.Name, err)
		}
		if r, ok := made.(router); ok {
			routes = append(routes, r.Routes()...)
		}
		if r, ok := made.(listening); ok {
			s.listeners = append(s.listeners, r.Listeners()...)
		}
		if r, ok := made.(running); ok {
			s.running = append(s.running, r)
		}
		if es, ok := made.(*elastic.Receiver); ok {
			root, exists = httpd.Route{Handle: es.Info, Fail: es.Fail}, es.Exists()
		}
	}
	return routes, root, exists, nil
}

// index answers for an index, in a place that the Elasticsearch receiver's routes
// take.
func (s *server) index(w http.ResponseWriter, r *http.Request) error { return s.search.Index(w, r) }

// listen opens the ports of the receivers. After an error none is open.
func (s *server) listen() error {
	for _, l := range s.listeners {
		if err := l.Listen(); err != nil {
			s.unlisten()
			return err
		}
	}
	return nil
}

// unlisten closes the ports of receivers that do not run.
func (s *server) unlisten() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// receive runs what receivers do beside HTTP, until ctx ends and all have drained.
// One that fails ends the server by fail: half a server would lose records in
// silence.
func (s *server) receive(ctx context.Context, fail func(error)) {
	var all sync.WaitGroup
	run := func(r running) {
		all.Go(func() {
			if err := r.Run(ctx); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	for _, l := range s.listeners {
		run(l)
	}
	for _, r := range s.running {
		run(r)
	}
	all.Wait()
}
