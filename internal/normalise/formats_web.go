package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/apache"
	"github.com/meshtrail/meshtrail/internal/normalise/balancer"
	"github.com/meshtrail/meshtrail/internal/normalise/caddy"
	"github.com/meshtrail/meshtrail/internal/normalise/clf"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/haproxy"
	"github.com/meshtrail/meshtrail/internal/normalise/nginx"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
	"github.com/meshtrail/meshtrail/internal/normalise/traefik"
)

// Proxies, ingress controllers, web servers and load balancers.
var (
	webTables = slices.Concat[[]*table.Table](traefik.Tables, caddy.Tables, haproxy.Tables, balancer.Tables, nginx.Tables)

	webTexts = []text{
		{platforms: balancer.Platforms, begins: balancer.Begins, date: always, fresh: func() facts.Line { return new(balancer.Amazon) }},
		{platforms: []string{"nginx"}, begins: "0123456789", date: never, fresh: func() facts.Line { return nginx.ErrorLog{} }},
		{platforms: clf.Platforms, begins: clf.Begins, date: never, fresh: func() facts.Line { return new(clf.Line) }},
		{platforms: []string{"haproxy"}, begins: haproxy.Begins, date: never, fresh: func() facts.Line { return new(haproxy.Line) }},
		{platforms: []string{"squid"}, begins: "0123456789", date: never, fresh: func() facts.Line { return clf.Squid{} }},
		{platforms: []string{"apache"}, begins: "[A", fresh: func() facts.Line { return apache.ErrorLog{} }},
	}

	webFormats = slices.Concat(clf.Formats, nginx.Formats, apache.Formats, haproxy.Formats, balancer.Formats)
)
