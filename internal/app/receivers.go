package app

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/elastic"
	"github.com/meshtrail/meshtrail/internal/receive/loki"
	"github.com/meshtrail/meshtrail/internal/receive/otlp"
	"github.com/meshtrail/meshtrail/internal/receive/relay"
)

// receivers is the list of the protocols in which records come in over HTTP. A
// new one is a package and a line here. It also returns the handler of the path
// / for Elasticsearch clients, which the web page shares. index answers for an
// index, in a place that the Elasticsearch receiver's routes take.
func (s *server) receivers(index func(http.ResponseWriter, *http.Request) error) (routes []httpd.Route, root httpd.Route, err error) {
	bodies := receive.NewBodies(s.cfg.Receive) // what all requests together may hold
	es, err := elastic.New(elastic.Config{Bodies: bodies, Index: index}, s.intake, s.metrics, s.log)
	if err != nil {
		return nil, root, err
	}
	lk, err := loki.New(loki.Config{Bodies: bodies}, s.intake, s.metrics, s.log)
	if err != nil {
		return nil, root, err
	}
	ot, err := otlp.New(otlp.Config{Bodies: bodies}, s.intake, s.metrics, s.log)
	if err != nil {
		return nil, root, err
	}
	rl, err := relay.New(relay.Config{Memory: s.cfg.Receive.Memory}, s.store, s.metrics, s.log)
	if err != nil {
		return nil, root, err
	}
	for _, r := range [][]httpd.Route{es.Routes(), lk.Routes(), ot.Routes(), rl.Routes()} {
		routes = append(routes, r...)
	}
	return routes, httpd.Route{Handle: es.Info, Fail: es.Fail}, nil
}
