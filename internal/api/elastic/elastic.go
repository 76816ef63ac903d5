// Package elastic answers the read half of Elasticsearch's HTTP API, so that the
// official clients, Grafana and whatever else searches Elasticsearch can search
// Meshtrail. (The write half, and the calls that clients make before they send
// anything, are receive/elastic.)
//
// A request goes three ways down: its query becomes a cond (package match and
// time), its aggregations become collectors that the store's measures are fed to,
// and its hits are records in an order. Shapes, codes and names of errors are
// Elasticsearch's; where the meaning differs it is written down in
// docs/elasticsearch.md. What is not supported is refused by name, never passed
// over in silence.
//
// The package knows HTTP and query.Engine, and nothing of how records are kept.
// Between requests it remembers points in time and scrolls, bounded and in memory,
// and for some seconds which indices and fields there are.
package elastic

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
)

// Options of the door.
type Options struct {
	Engine *query.Engine
	// Horizon returns the largest Ord that a record has by now: a point in time is
	// everything up to it.
	Horizon func() uint64
	// Head, when set, answers HEAD /{index} for callers who may not read: senders
	// look for what they have left there. See httpd.Route.Head.
	Head *httpd.Route
}

// A Door answers the API. It is safe for concurrent use.
type Door struct{ d door }

// New returns a Door.
func New(o Options) *Door { return &Door{door{o: o}} }

// Index answers GET and HEAD of /elastic/INDEX for the route that has the pattern.
func (x *Door) Index(w http.ResponseWriter, r *http.Request) error {
	r.SetPathValue("index", r.PathValue("name"))
	if err := x.d.handle((*call).index)(w, r); err != nil {
		failHere(fail)(w, r, err)
	}
	return nil
}

// Routes returns the routes of the API, each also under /elastic.
//
// ServeMux refuses two patterns of which neither is the more specific, such as
// /{index}/_doc/{id} and /elastic/{index}/_search. So where a pattern has a name
// in its first place and another one behind it, it is one of the last two below,
// which tell by what stands between. Of two places, receive/elastic has the most
// general one, GET /{index}/{name}, and hands /elastic/{index} to Index.
func (x *Door) Routes() []httpd.Route {
	d := &x.d
	var routes []httpd.Route
	add := func(path string, h func(*call) (any, error), methods ...string) {
		for _, m := range methods {
			for _, prefix := range []string{"", "/elastic"} {
				routes = append(routes, httpd.Route{Pattern: m + " " + prefix + path, Need: access.LogsRead, MaxBody: maxBody, Handle: d.handle(h), Fail: fail})
			}
		}
	}
	both := func(path string, h func(*call) (any, error)) { add(path, h, "GET", "POST") }
	for _, at := range []string{"", "/{index}"} {
		both(at+"/_search", (*call).search)
		both(at+"/_msearch", (*call).msearch)
		both(at+"/_count", (*call).count)
		both(at+"/_field_caps", (*call).fieldCaps)
		both(at+"/_mget", (*call).mget)
		add(at+"/_validate/query", (*call).validate, "POST")
		both(at+"/_refresh", (*call).refresh)
		add(at+"/_mapping", (*call).mapping, "GET")
		add(at+"/_mappings", (*call).mapping, "GET")
		add(at+"/_settings", (*call).settings, "GET")
		add(at+"/_alias", (*call).aliases, "GET")
		add(at+"/_aliases", (*call).aliases, "GET")
		add(at+"/_stats", (*call).stats, "GET")
		add(at+"/_async_search", (*call).asyncSearch, "POST")
	}
	add("/_validate/query", (*call).validate, "GET")
	routes = append(routes, httpd.Route{Pattern: "GET /{index}", Need: access.LogsRead, Handle: d.handle((*call).index), Fail: fail, Head: d.o.Head})
	add("/{index}/_pit", (*call).openPIT, "POST")
	add("/_pit", (*call).closePIT, "DELETE")
	both("/_search/scroll", (*call).scroll)
	add("/_search/scroll", (*call).clearScroll, "DELETE")
	add("/_search/scroll/{id}", (*call).clearScroll, "DELETE")
	add("/_async_search/{id}", (*call).noAsync, "DELETE")
	add("/_resolve/index/{index}", (*call).resolve, "GET")
	add("/_cat/indices", (*call).catIndices, "GET")
	add("/_cat/indices/{index}", (*call).catIndices, "GET")
	add("/_cat/aliases", (*call).catNothing, "GET")
	add("/_cat/health", (*call).catHealth, "GET")
	add("/_cat/nodes", (*call).catNodes, "GET")
	add("/_cat/count", (*call).catCount, "GET")
	add("/_cat/count/{index}", (*call).catCount, "GET")
	add("/_cluster/settings", (*call).clusterSettings, "GET")
	add("/_cluster/stats", (*call).clusterStats, "GET")
	add("/_data_stream", (*call).dataStreams, "GET")
	add("/_mapping/field/{fields}", (*call).fieldMapping, "GET")
	add("/{index}/{verb}/{id}", (*call).three, "GET")
	add("/{index}/{verb}/{what}/{id}", (*call).four, "GET")
	for i := range routes {
		routes[i].Fail = failHere(routes[i].Fail)
	}
	return routes
}

// errElsewhere is of a path that is none of Elasticsearch's.
var errElsewhere = fault.WithHint(fault.Errorf(fault.NotFound, "no such path"), "the API is described at /api/openapi.json")

// failHere answers a path that is none of ours as the house does.
func failHere(f func(http.ResponseWriter, *http.Request, error)) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		if err == errElsewhere {
			httpd.WriteError(w, r, err)
			return
		}
		f(w, r, err)
	}
}

// three answers GET /{index}/{verb}/{id}.
func (c *call) three() (any, error) {
	switch c.r.PathValue("verb") {
	case "_doc":
		return c.document(false)
	case "_source":
		return c.document(true)
	case "_alias":
		return c.aliases()
	case "_validate":
		if c.r.PathValue("id") == "query" {
			return c.validate()
		}
	}
	return nil, errElsewhere
}

// four answers GET /{index}/_mapping/field/{fields}.
func (c *call) four() (any, error) {
	if c.r.PathValue("verb") == "_mapping" && c.r.PathValue("what") == "field" {
		return c.fieldMapping()
	}
	return nil, errElsewhere
}
