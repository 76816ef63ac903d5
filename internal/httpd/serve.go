package httpd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

type principalKey struct{}
type requestKey struct{}

// PrincipalFrom returns who made the request, or nil on a Public route.
func PrincipalFrom(ctx context.Context) *access.Principal {
	p, _ := ctx.Value(principalKey{}).(*access.Principal)
	return p
}

// WithPrincipal returns a context in which PrincipalFrom finds p. It is for
// tests of handlers.
func WithPrincipal(ctx context.Context, p *access.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// RequestID returns the identifier of the request that ctx belongs to, as it
// stands in the answer's X-Request-Id and in our log, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// serve is the way of every request: name it, find its route, check the
// caller, run it, account for it.
func (s *Server) serve(base http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := requestID()
	w := &response{ResponseWriter: base}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
	harden(w.Header(), s.tls != nil)
	w.Header().Set("X-Request-Id", id)
	// The deadline of an earlier request on this connection still stands.
	http.NewResponseController(w).SetWriteDeadline(start.Add(s.o.ReadTimeout + s.o.WriteTimeout))
	route := s.find(r)
	defer func() {
		pattern := "unknown"
		if route != nil {
			pattern = route.Pattern
		}
		elapsed := time.Since(start)
		s.count.request(pattern, w.status(), elapsed)
		s.log.Debug("request", "id", id, "method", r.Method, "path", r.URL.Path, "route", pattern,
			"status", w.status(), "bytes", w.bytes, "elapsed", elapsed, "remote", r.RemoteAddr, "principal", w.principal)
	}()
	defer s.recover(w, r, route)
	if route == nil {
		s.unknown(w, r)
		return
	}
	if route.Page != nil && browses(r) {
		if err := route.Page(w, r); err != nil {
			s.fail(w, r, route, err)
		}
		return
	}
	if route.Need != access.Public {
		p, err := s.admit(r, route)
		if err != nil {
			s.fail(w, r, route, err)
			return
		}
		w.principal = p.Name
		r = r.WithContext(WithPrincipal(r.Context(), p))
	}
	s.mux.ServeHTTP(w, r) // sets the path values and calls run
}

// browses reports whether a person's browser asks for a page.
func browses(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !identity.Presented(r.Header) &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// find returns the route of a request, or nil. A path that is not canonical has
// none: to redirect it would give one resource two names.
func (s *Server) find(r *http.Request) *Route {
	p := r.URL.Path
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	if p != clean || r.Method == http.MethodConnect {
		return nil
	}
	_, pattern := s.mux.Handler(r)
	return s.routes[pattern]
}

// unknown answers a path without a route: who has no credential learns nothing
// of which paths exist.
func (s *Server) unknown(w *response, r *http.Request) {
	p, err := s.identify(r)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	w.principal = p.Name
	s.fail(w, r, nil, fault.WithHint(fault.Errorf(fault.NotFound, "no such path for %s: %s", r.Method, r.URL.Path),
		"the API is described at /api/openapi.json"))
}

// identify returns the caller. A failure is put on record within the bounds of
// the limiter, which identity keeps: what exceeds it is only counted.
func (s *Server) identify(r *http.Request) (*access.Principal, error) {
	id, err := s.o.Keeper.Identify(r)
	if err == nil {
		if err = s.vouched(r); err != nil && !s.crowds.Allow(identity.Remote(r)) {
			s.count.refused(fault.KindOf(err))
			return nil, err // it is on record
		}
	}
	if err != nil {
		s.count.refused(fault.KindOf(err))
		if fault.Is(err, fault.Unauthenticated) && identity.Tried(r) {
			s.refused(r, "unauthenticated", string(identity.DefaultTenant), "authenticate", err)
		}
		return nil, err
	}
	return access.For(id)
}

// admit returns the caller if it may do what the route needs.
func (s *Server) admit(r *http.Request, route *Route) (*access.Principal, error) {
	p, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	need := route.Need
	if p.May(need) || route.Head != nil && r.Method == http.MethodHead && p.May(route.Head.Need) {
		return p, nil
	}
	err = fault.WithHint(fault.Errorf(fault.Denied, "%s lacks the permission %s", p.Name, need),
		"use a credential of the role "+strings.Join(access.RolesWith(need), " or "))
	s.count.refused(fault.Denied)
	s.refused(r, p.Name, string(p.Tenant), "request", err)
	return nil, err
}

// refused puts a refusal on record. The refusal stands even if that fails.
func (s *Server) refused(r *http.Request, who, tenant, action string, why error) {
	if s.o.Audit == nil {
		return
	}
	err := s.o.Audit.Record(r.Context(), audit.Act{
		Principal: who, Tenant: tenant, Action: action, Outcome: audit.Denied, Remote: r.RemoteAddr,
		Detail: map[string]string{"method": r.Method, "path": r.URL.Path, "reason": why.Error(), "request_id": RequestID(r.Context())},
	})
	if err != nil {
		s.log.Warn("a refusal is not on record", "error", err, "remote", r.RemoteAddr)
	}
}

// run sets the request's bounds and calls the handler.
func (s *Server) run(w *response, r *http.Request, route *Route) {
	limit := route.MaxBody
	if limit <= 0 {
		limit = defaultMaxBody
	}
	if r.ContentLength > limit {
		s.fail(w, r, route, tooLarge(limit))
		return
	}
	bodyless := r.ContentLength == 0
	r.Body = &boundedBody{ReadCloser: http.MaxBytesReader(w.ResponseWriter, r.Body, limit), limit: limit}
	rc := http.NewResponseController(w)
	if bodyless || route.Stream {
		// The read deadline would also cut the answer short: the server reads
		// ahead to notice that the client went away.
		rc.SetReadDeadline(time.Time{})
	}
	if route.Stream {
		rc.SetWriteDeadline(time.Time{})
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		r = r.WithContext(ctx)
		go s.attend(ctx, cancel, r, route)
	}
	if err := route.Handle(w, r); err != nil {
		s.fail(w, r, route, err)
	}
}

// recover turns a panic into one 500.
func (s *Server) recover(w *response, r *http.Request, route *Route) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.count.panicked()
	s.log.Error("panic in a handler", "id", RequestID(r.Context()), "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.wrote() {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	s.fail(w, r, route, fault.Errorf(fault.Internal, "panic"))
}

// requestID returns 16 random hex digits. A client's own X-Request-Id is not
// believed: it would let it write into our log.
func requestID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// boundedBody reports an exceeded limit in our own kind.
type boundedBody struct {
	io.ReadCloser
	limit int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			err = tooLarge(b.limit)
		} else {
			err = fault.Errorf(fault.Canceled, "read request body: %w", err) // cut off, or too slow
		}
	}
	return n, err
}

func tooLarge(limit int64) error {
	return fault.WithHint(fault.Errorf(fault.TooLarge, "request body exceeds %d bytes", limit), "send smaller batches")
}
