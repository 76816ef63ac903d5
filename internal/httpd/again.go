package httpd

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// recheckEvery is how often the caller of a request without an end in time (a tail,
// a stream of access logs) is asked again who it is: its token may be withdrawn
// meanwhile, its certificate expire.
var recheckEvery = 30 * time.Second

// attend ends a stream when the server stops, or when its caller may no longer be
// here, until ctx ends.
func (s *Server) attend(ctx context.Context, cancel context.CancelCauseFunc, r *http.Request, route *Route) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.draining:
			cancel(fault.Errorf(fault.Unavailable, "the server is stopping"))
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.still(r, route); err != nil {
			s.count.refused(fault.KindOf(err))
			s.log.Info("a stream ends: its caller is not who it was", "id", RequestID(ctx), "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
			cancel(err)
			return
		}
	}
}

// still reports why the caller of a request that is being answered would not be let
// in now.
func (s *Server) still(r *http.Request, route *Route) error {
	was := PrincipalFrom(r.Context())
	if was == nil {
		return nil
	}
	id, err := s.o.Keeper.Still(r)
	if err == nil {
		err = s.vouched(r)
	}
	if err != nil {
		return err
	}
	is, err := access.For(id)
	if err == nil && (is.Name != was.Name || is.Tenant != was.Tenant || was.May(route.Need) && !is.May(route.Need)) {
		err = fault.Errorf(fault.Denied, "the credential is another's now, or of another role")
	}
	return err
}

type authorityKey struct{}

// authority keeps with a connection which authorities its handshake is held against.
func (s *Server) authority(ctx context.Context, _ net.Conn) context.Context {
	if s.tls == nil {
		return ctx
	}
	return context.WithValue(ctx, authorityKey{}, s.tls.Clients())
}

// vouched reports a client's certificate that the authorities of now do not vouch
// for: those of the handshake may have been replaced since.
func (s *Server) vouched(r *http.Request) error {
	if s.tls == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || identity.Presented(r.Header) {
		return nil
	}
	if then, ok := r.Context().Value(authorityKey{}).(*x509.CertPool); ok && then == s.tls.Clients() {
		return nil
	}
	_, err := s.tls.Vouch(r.TLS.PeerCertificates, time.Now())
	return err
}
