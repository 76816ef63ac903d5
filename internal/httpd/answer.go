package httpd

import (
	"encoding/json"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// ContentSecurityPolicy is what every answer carries: own files only, nothing
// inline, no frames, no forms. A document of its own kind may replace it.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// harden sets the headers of every answer.
func harden(h http.Header, secure bool) {
	h.Set("Content-Security-Policy", ContentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// An ErrorBody is an error in the house's own JSON form.
type ErrorBody struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail says what went wrong.
type ErrorDetail struct {
	Kind      string `json:"kind"`    // fault.Kind
	Message   string `json:"message"` // what happened
	Hint      string `json:"hint,omitempty"`
	RequestID string `json:"requestId"` // where to look in the server's log
}

// Message returns what a caller may read of an error: everything but the inside
// of our own bugs.
func Message(err error) string {
	if fault.KindOf(err) == fault.Internal {
		return "internal error; the server's log has it under the request id"
	}
	return err.Error()
}

// fail answers err, or aborts the connection when half an answer is out.
func (s *Server) fail(w *response, r *http.Request, route *Route, err error) {
	kind := fault.KindOf(err)
	switch kind {
	case fault.Internal, fault.Corrupt, fault.Tampered:
		s.log.Error("request failed", "id", RequestID(r.Context()), "path", r.URL.Path, "kind", kind, "error", err)
	case fault.Unavailable, fault.Overload:
		s.log.Warn("request refused", "id", RequestID(r.Context()), "path", r.URL.Path, "kind", kind, "error", err)
	}
	if w.wrote() && route != nil && route.Late {
		route.Fail(w, r, err)
		return
	}
	if w.wrote() {
		if kind != fault.Canceled {
			s.log.Warn("answer cut short", "id", RequestID(r.Context()), "path", r.URL.Path, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	switch kind {
	case fault.Unauthenticated:
		// Not Basic: a browser would open its own dialogue over the page's.
		w.Header().Set("WWW-Authenticate", `Bearer realm="meshtrail"`)
	case fault.Overload, fault.Unavailable:
		w.Header().Set("Retry-After", "2")
	}
	if route != nil && route.Fail != nil {
		route.Fail(w, r, err)
		return
	}
	if route == nil && s.o.Unknown != nil && s.o.Unknown(w, r, err) {
		return
	}
	WriteError(w, r, err)
}

// WriteError answers err in the house's own JSON form.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	WriteErrorAs(w, r, err, fault.KindOf(err).HTTPStatus())
}

// WriteErrorAs is WriteError with a status of the route's own.
func WriteErrorAs(w http.ResponseWriter, r *http.Request, err error, status int) {
	kind := fault.KindOf(err)
	body, _ := json.Marshal(ErrorBody{ErrorDetail{ // strings always marshal
		Kind: kind.String(), Message: Message(err), Hint: fault.HintOf(err), RequestID: RequestID(r.Context()),
	}})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	code      int
	bytes     int64
	principal string
}

func (w *response) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *response) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush sends what was written. Server-sent events need it.
func (w *response) Flush() {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) wrote() bool { return w.code != 0 }

// status is what the client saw: an answer without a word is a 200.
func (w *response) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}
