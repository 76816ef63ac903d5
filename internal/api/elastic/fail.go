package elastic

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

// A problem is an error under the name that Elasticsearch gives it.
type problem struct {
	kind   string // "parsing_exception"
	reason string
	status int
	index  string // that is missing
}

func (p *problem) Error() string { return p.reason }

// badf returns a problem of the request: status 400.
func badf(kind, format string, args ...any) error {
	return fault.Wrap(fault.Invalid, &problem{kind: kind, reason: fmt.Sprintf(format, args...), status: http.StatusBadRequest})
}

// refuse returns the problem of something that Elasticsearch does and this server
// does not.
func refuse(what, why string) error {
	return badf("illegal_argument_exception", "[%s] is not supported by meshtrail: %s", short(what), why)
}

// missingIndex is the answer to a name that no index has.
func missingIndex(name string) error {
	return fault.Wrap(fault.NotFound, &problem{kind: "index_not_found_exception", reason: "no such index [" + short(name) + "]", status: http.StatusNotFound, index: name})
}

// tooMany is the answer to a request that would take more than it may.
func tooMany(kind, format string, args ...any) error {
	status := http.StatusTooManyRequests
	if kind == "too_many_buckets_exception" {
		status = http.StatusBadRequest
	}
	return fault.Wrap(fault.TooLarge, &problem{kind: kind, reason: fmt.Sprintf(format, args...), status: status})
}

// problemOf returns what Elasticsearch would call an error.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	kind := fault.KindOf(err)
	out := &problem{kind: "illegal_argument_exception", reason: httpd.Message(err), status: kind.HTTPStatus()}
	if hint := fault.HintOf(err); hint != "" {
		out.reason += " (" + hint + ")"
	}
	switch kind {
	case fault.Unauthenticated, fault.Denied:
		out.kind = "security_exception"
	case fault.NotFound:
		out.kind = "resource_not_found_exception"
	case fault.TooLarge:
		out.kind = "content_too_long_exception"
	case fault.Overload:
		// 429 is what clients of a search hold for "ask for less, or later".
		out.kind, out.status = "circuit_breaking_exception", http.StatusTooManyRequests
	case fault.Unavailable:
		out.kind = "unavailable_shards_exception"
	case fault.Canceled:
		out.kind, out.status = "task_cancelled_exception", http.StatusBadRequest
	case fault.Internal, fault.Corrupt, fault.Tampered:
		out.kind = "exception"
	}
	return out
}

// body is the answer's error object.
func (p *problem) body() object {
	cause := object{{"type", p.kind}, {"reason", p.reason}}
	if p.index != "" {
		cause = append(cause, member{"resource.type", "index_or_alias"}, member{"resource.id", p.index},
			member{"index_uuid", "_na_"}, member{"index", p.index})
	}
	e := append(object{{"root_cause", []any{cause}}}, cause...)
	return object{{"error", e}, {"status", p.status}}
}

// fail answers an error.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	h := w.Header()
	h.Set("X-Elastic-Product", "Elasticsearch")
	h.Set("Content-Type", contentType(r))
	if p.status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `Basic realm="security", charset="UTF-8"`)
		h.Add("WWW-Authenticate", "ApiKey")
	}
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(write(nil, p.body()))
	}
}
