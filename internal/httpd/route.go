package httpd

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
)

// A Route is one URL of a door. A route that declares no permission does not
// start: New fails.
type Route struct {
	// Pattern is a http.ServeMux pattern with its method: "POST /_bulk".
	Pattern string
	Need    access.Permission
	// Handle answers. An error that it returns before it wrote anything is
	// answered by Fail, or in the house's own JSON form when Fail is nil.
	Handle func(w http.ResponseWriter, r *http.Request) error
	// Fail writes an error in the protocol's own form (authentication errors
	// included).
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Page, when set, answers a browser in place of Handle: a GET or HEAD that
	// accepts text/html and brings no credential. It needs none, so it MUST be
	// static and hold no data. It is for a path that an API and the web share.
	Page func(w http.ResponseWriter, r *http.Request) error
	// Head, when set, answers HEAD in place of Handle for callers who lack Need and
	// have Head.Need. It has no pattern of its own: HEAD /{index} and GET /metrics
	// would be in conflict.
	Head *Route
	// MaxBody bounds the request body as received, in bytes; 0 means 1 MiB.
	// Receivers bound the decompressed size themselves.
	MaxBody int64
	// Late says that Fail can also end an answer that has begun (gRPC's trailers).
	Late bool
	// Stream exempts the route from the timeouts of requests and answers (tail,
	// exports, gRPC streams).
	Stream bool
}
