// Package httpd is the one HTTP server of the house. Doors and receivers hand it
// Routes; it authenticates, authorises, bounds, logs, counts and answers errors.
//
// It denies by default. A route that declares no permission does not start
// (New fails), an unknown path is 404 only to a caller with a right credential,
// and a path that is not in its canonical form ("//", "/../") is refused rather
// than redirected. Only a route that says access.Public needs no credential.
//
// Everything a client can hold open has an end: headers, bodies, answers, idle
// connections and HTTP/2 streams are bounded in time, size and number. A panic
// in a handler is one 500, counted, with its stack in our log and nothing of it
// in the answer.
//
// The server listens beyond loopback only with TLS 1.2 or newer. It knows
// nothing of logs, and its own log holds no query strings, bodies or
// credentials.
package httpd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// DefaultListen is where the server listens unless it is told otherwise.
const DefaultListen = "127.0.0.1:7420"

// Limits that no configuration changes.
const (
	maxHeaderBytes  = 64 << 10
	maxAlso         = 32
	maxStreams      = 250 // concurrent HTTP/2 streams of one connection
	defaultMaxBody  = 1 << 20
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	pingAfter       = 30 * time.Second // of silence on an HTTP/2 connection: is the peer alive?
	pingTimeout     = 15 * time.Second
)

// Config is the server's part of the configuration file.
type Config struct {
	// Listen is the address of the one port: UI, APIs and HTTP intake. Beyond
	// loopback it needs tls_cert and tls_key.
	Listen string `yaml:"listen"`
	// TLSCert and TLSKey are PEM files. SIGHUP reads them again.
	TLSCert string `yaml:"tls_cert"`
	TLSKey  string `yaml:"tls_key"`
	// ClientCA is a PEM file: a client may show a certificate that it signed in
	// place of a token.
	ClientCA string `yaml:"client_ca"`
	// Also are more addresses with the same routes behind the same gate, so that
	// senders find the ports of the products that they know.
	Also []string `yaml:"also"`
	// ReadTimeout bounds how long a request with its body may take to arrive.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// WriteTimeout bounds how long an answer may take, tail and exports excepted.
	WriteTimeout time.Duration `yaml:"write_timeout"`
}

// DefaultConfig returns the configuration of an empty file.
func DefaultConfig() Config {
	return Config{Listen: DefaultListen, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute}
}

// Validate reports the first thing that would keep the server from starting.
func (c Config) Validate() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fault.WithHint(fault.Errorf(fault.Invalid, "tls_cert and tls_key belong together: only one is set"),
			"give both files, or neither to listen on loopback without TLS")
	}
	if c.ClientCA != "" && c.TLSCert == "" {
		return fault.WithHint(fault.Errorf(fault.Invalid, "client_ca: there are no client certificates without TLS"), "give tls_cert and tls_key")
	}
	if len(c.Also) > maxAlso {
		return fault.Errorf(fault.Invalid, "also: %d addresses are more than %d", len(c.Also), maxAlso)
	}
	for i, listen := range c.Also {
		if err := checkListen(listen, c.TLSCert != ""); err != nil {
			return fault.WithHint(fault.Errorf(fault.Invalid, "also[%d]: %w", i, err), fault.HintOf(err))
		}
	}
	if c.ReadTimeout < time.Second || c.WriteTimeout < time.Second {
		return fault.Errorf(fault.Invalid, "read_timeout %v and write_timeout %v: both must be at least 1s", c.ReadTimeout, c.WriteTimeout)
	}
	return checkListen(c.Listen, c.TLSCert != "")
}

// checkListen refuses plain HTTP beyond loopback.
func checkListen(listen string, secure bool) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.Invalid, "listen address %q: %w", listen, err), "write it as HOST:PORT, for example "+DefaultListen)
	}
	if secure || Loopback(host) {
		return nil
	}
	return fault.WithHint(fault.Errorf(fault.Invalid, "refuse to listen on %s without TLS: it is not a loopback address", listen),
		"give tls_cert and tls_key (--tls-cert, --tls-key), or listen on 127.0.0.1")
}

// Loopback reports whether host is localhost or an address of 127.0.0.0/8 or
// ::1. The empty host (every interface) is not, nor is any other name: what it
// resolves to may change.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Options of a Server.
type Options struct {
	Config
	Keeper *identity.Keeper
	// Audit puts refused callers on record. A refusal is answered even when it
	// cannot be recorded; nil records nothing.
	Audit  audit.Recorder
	Routes []Route
	// Unknown, when set, may answer a request without a route in its protocol's
	// own form; it returns false to have it answered in ours.
	Unknown func(w http.ResponseWriter, r *http.Request, err error) bool
	Logger  *slog.Logger       // nil: discard
	Metrics *telemetry.Metrics // nil: none
	Places  *Places            // of connections; nil: no bound
}

// A Server serves the routes on one listener.
type Server struct {
	o        Options
	log      *slog.Logger
	routes   map[string]*Route // by pattern
	mux      *http.ServeMux
	srv      *http.Server
	open     []net.Listener // the first is Listen's
	tls      *TLS           // nil: plaintext
	count    *counters
	draining chan struct{} // closed when shutdown begins: streams end
	crowds   *identity.Limiter
}

// New checks the configuration and every route. It opens nothing but the
// certificate.
func New(o Options) (*Server, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Keeper == nil {
		return nil, fault.Errorf(fault.Internal, "http server without a keeper of identities")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, log: o.Logger, mux: http.NewServeMux(), routes: make(map[string]*Route), count: newCounters(o.Metrics), draining: make(chan struct{}), crowds: identity.NewLimiter(time.Now)}
	for i := range o.Routes {
		if err := s.add(&o.Routes[i]); err != nil {
			return nil, err
		}
	}
	s.srv = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       o.ReadTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Else OPTIONS * is answered before anyone asks who is calling.
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
		},
		ConnContext: s.authority,
		Protocols:   new(http.Protocols),
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.srv.Protocols.SetHTTP1(true)
	s.srv.Protocols.SetHTTP2(true)
	s.srv.Protocols.SetUnencryptedHTTP2(true) // gRPC on loopback, and behind a mesh's own TLS
	if o.TLSCert != "" {
		var err error
		if s.tls, err = NewTLS(o.TLSCert, o.TLSKey, o.ClientCA, false, "h2", "http/1.1"); err != nil {
			return nil, err
		}
		s.srv.TLSConfig = s.tls.Config()
	}
	return s, nil
}

// add registers a route. ServeMux panics on a bad or conflicting pattern; that
// is turned into an error that names the route.
func (s *Server) add(r *Route) (err error) {
	if r.Need == "" {
		return fault.Errorf(fault.Internal, "route %q declares no permission", r.Pattern)
	}
	if !access.Known(r.Need) {
		return fault.Errorf(fault.Internal, "route %q needs the unknown permission %q", r.Pattern, r.Need)
	}
	if r.Head != nil && (r.Head.Handle == nil || !access.Known(r.Head.Need) || r.Head.Need == access.Public || r.Need == access.Public) {
		return fault.Errorf(fault.Internal, "route %q answers HEAD without a handler or a permission", r.Pattern)
	}
	if r.Handle == nil {
		return fault.Errorf(fault.Internal, "route %q has no handler", r.Pattern)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.Errorf(fault.Internal, "route %q: %v", r.Pattern, p)
		}
	}()
	s.mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, q *http.Request) {
		if r.Head != nil && q.Method == http.MethodHead && !PrincipalFrom(q.Context()).May(r.Need) {
			s.run(w.(*response), q, r.Head)
			return
		}
		s.run(w.(*response), q, r)
	})
	s.routes[r.Pattern] = r
	return nil
}

// ReloadTLS reads the certificate, its key and the clients' authority again. On
// error the old ones stay in use.
func (s *Server) ReloadTLS() error {
	if s.tls == nil {
		return nil
	}
	return s.tls.Reload()
}

// Handler returns the whole server as a handler, for tests.
func (s *Server) Handler() http.Handler { return s.srv.Handler }

// Listen opens every address and returns that of the first. After it,
// connections queue until Run accepts them.
func (s *Server) Listen() (net.Addr, error) {
	for _, addr := range append([]string{s.o.Listen}, s.o.Also...) {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			for _, opened := range s.open {
				opened.Close()
			}
			s.open = nil
			return nil, fault.WithHint(fault.Errorf(fault.Conflict, "listen on %s: %w", addr, err),
				"another program may hold the port; choose another with --listen, or in server.also")
		}
		if s.o.Places != nil {
			l = &placed{Listener: l, places: s.o.Places, refused: s.crowded}
		}
		s.open = append(s.open, l)
	}
	return s.open[0].Addr(), nil
}

// crowded counts a connection for which there was no place.
func (s *Server) crowded() {
	s.count.crowded()
	if s.crowds.Allow("") {
		s.log.Warn("connection refused: too many are open for the files that the process may have open")
	}
}

// Addrs returns every address, after Listen.
func (s *Server) Addrs() []net.Addr {
	out := make([]net.Addr, len(s.open))
	for i, l := range s.open {
		out[i] = l.Addr()
	}
	return out
}

// URL returns the address of the server as a client writes it, after Listen.
func (s *Server) URL() string {
	scheme := "http://"
	if s.tls != nil {
		scheme = "https://"
	}
	return scheme + s.open[0].Addr().String()
}

// Run serves until ctx ends, then stops accepting, ends the streams, and waits
// for the requests that are being answered, at most ten seconds.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.open))
	for _, l := range s.open {
		go func() {
			if s.tls != nil {
				failed <- s.srv.ServeTLS(l, "", "")
			} else {
				failed <- s.srv.Serve(l)
			}
		}()
	}
	select {
	case err := <-failed:
		s.srv.Close()
		return fault.Errorf(fault.Unavailable, "serve %s: %w", s.o.Listen, err)
	case <-ctx.Done():
	}
	close(s.draining)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.srv.Shutdown(stop)
	if err != nil {
		s.srv.Close()
	}
	for range s.open {
		if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	if err != nil {
		return fault.Errorf(fault.Unavailable, "stop http server: %w", err)
	}
	return nil
}
