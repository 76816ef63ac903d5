package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/api/elastic"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// server is the rooms of one server, in the order in which they are opened.
type server struct {
	o       ServeOptions
	cfg     *config.Config
	log     *slog.Logger
	metrics *telemetry.Metrics
	started time.Time

	root   vfs.FS
	keys   *keyring.Keyring
	ledger *ledger.Ledger
	store  *store.Store
	audit  *audit.Log
	policy *policy.Policy
	intake *pipeline.Pipeline
	tail   *tail.Hub
	query  *query.Engine
	tokens *policy.Vault // nil: no rule tokenises, and none ever did
	keeper *identity.Keeper
	search *elastic.Door
	routes []httpd.Route
	http   *httpd.Server
	token  string // the administrator's

	listeners []*listen.Listener // of the receivers
	running   []running
	sources   *sources.Table

	lastPolicy  *ledger.Policy // of the start before
	noting      sync.Mutex     // guards notedTokens
	notedTokens uint64         // frames of the token vault that the ledger knows

	fatal  atomic.Pointer[error] // why the process must end
	dead   chan struct{}         // closed with fatal
	closes []closer              // what is open, in the order of opening
}

type closer struct {
	name  string
	close func() error
}

// open opens every room. After an error nothing stays open.
func open(ctx context.Context, o ServeOptions, cfg *config.Config, log *slog.Logger) (*server, error) {
	s := &server{o: o, cfg: cfg, log: log, metrics: telemetry.New(), started: time.Now(), dead: make(chan struct{})}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"open data folder", s.openFolder},
		{"open vault", s.openVault},
		{"open gate", s.openGate},
		{"open intake", s.openIntake},
		{"open reading", s.openReading},
		{"open doors", s.openDoors},
		{"begin epoch", s.begin},
	} {
		if err := step.do(ctx); err != nil {
			return nil, errors.Join(fault.Errorf(fault.KindOf(err), "%s: %w", step.name, err), s.close())
		}
	}
	return s, nil
}

// onClose remembers how to close a room.
func (s *server) onClose(name string, f func() error) {
	s.closes = append(s.closes, closer{name, f})
}

// close closes every room in the reverse order of opening, once.
func (s *server) close() error {
	var errs []error
	for i := len(s.closes) - 1; i >= 0; i-- {
		if err := s.closes[i].close(); err != nil {
			errs = append(errs, fault.Errorf(fault.KindOf(err), "close %s: %w", s.closes[i].name, err))
		}
	}
	s.closes = nil
	return errors.Join(errs...)
}

// openFolder takes the data folder for this process alone.
func (s *server) openFolder(context.Context) error {
	root, err := vfs.Dir(s.o.Data)
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.NotFound, "%w", err), "create it with: meshtrail init --data "+s.o.Data)
	}
	exists, err := vfs.Exists(root, ledgerDir)
	if err != nil {
		return err
	}
	if !exists {
		return fault.WithHint(fault.Errorf(fault.NotFound, "%s holds no history (no %s/ in it)", s.o.Data, ledgerDir),
			"create one with: meshtrail init --data "+s.o.Data+"; serve never does, so that a mistyped path cannot start a second history")
	}
	var lock io.Closer
	if lock, err = root.Lock(lockFile); err != nil {
		return fault.WithHint(err, "another server holds this data folder; stop it first")
	}
	s.root = root
	s.onClose("data folder", lock.Close)
	return nil
}

// openVault opens keys, ledger and store, and puts the configuration that the
// server starts with into the ledger.
func (s *server) openVault(ctx context.Context) error {
	var err error
	if s.keys, err = keyring.Open(vfs.Sub(s.root, keysDir)); err != nil {
		return err
	}
	signer, err := s.keys.Signer()
	if err != nil {
		return err
	}
	verifier, err := s.keys.Verifier()
	if err != nil {
		return err
	}
	s.ledger, err = ledger.Open(ledger.Options{FS: vfs.Sub(s.root, ledgerDir), Signer: signer, Verifier: verifier, Logger: s.log, Metrics: s.metrics, Now: time.Now})
	if err != nil {
		return err
	}
	s.onClose("ledger", s.ledger.Close)
	if err := s.openPolicy(); err != nil {
		return err
	}
	s.store, err = store.Open(ctx, store.Options{
		FS: s.root, Keyring: s.keys, Ledger: s.ledger, Logger: s.log, Metrics: s.metrics, Now: time.Now, Limits: s.cfg.Store.Limits(), Fatal: s.die,
		Retention: s.retention,
	})
	if err != nil {
		return err
	}
	s.onClose("store", s.store.Close)
	_, err = s.ledger.Append(ctx, ledger.Config{Type: ledger.TypeConfig, At: time.Now().UnixNano(), Version: s.o.Version, SHA256: s.cfg.SHA256()})
	if err != nil {
		return err
	}
	if err := s.notePolicy(ctx); err != nil {
		return err
	}
	return s.hold(ctx)
}

// die ends the process: it is called by a room whose memory and disk may no
// longer agree.
func (s *server) die(err error) {
	if s.fatal.CompareAndSwap(nil, &err) {
		close(s.dead)
	}
}

func (s *server) openGate(context.Context) error {
	var err error
	s.audit, err = audit.New(audit.Options{Appender: s.store, Metrics: s.metrics})
	return err
}

func (s *server) openIntake(context.Context) error {
	var err error
	formats, err := pipeline.CompileFormats(s.cfg.Formats)
	if err != nil {
		return err
	}
	s.intake, err = pipeline.New(pipeline.Options{Appender: s.store, Policy: s.policy, Formats: formats, Metrics: s.metrics, Logger: s.log})
	if err != nil {
		return err
	}
	s.sources = sources.New(time.Now, s.cfg.Sources)
	for _, known := range s.store.Sources() {
		s.sources.Know(known.Tenant, known.Source)
	}
	s.sources.Publish(s.metrics)
	s.running = append(s.running, &sources.Watch{Sources: s.sources, Intake: s.intake, Log: s.log})
	return nil
}

func (s *server) openReading(context.Context) error {
	s.tail = tail.New(tail.Options{Store: s.store, Last: s.store.LastOrd(), Metrics: s.metrics})
	cancel := s.store.Watch(s.tail.Publish)
	s.onClose("tail", func() error { cancel(); return nil })
	var err error
	s.query, err = query.New(query.Options{Store: s.store, Audit: s.audit, Limits: s.cfg.Query, Metrics: s.metrics, Logger: s.log})
	return err
}

// openDoors puts every route of the server behind the gate.
func (s *server) openDoors(context.Context) error {
	data, err := vfs.ReadFile(s.root, identity.TokenFile)
	if err != nil {
		return err
	}
	if s.token, err = identity.ParseToken(data); err != nil {
		return err
	}
	if s.keeper, err = s.credentials(); err != nil {
		return err
	}
	places, ports := places(openFiles())
	intake, info, exists, err := s.receivers(ports)
	if err != nil {
		return err
	}
	s.search = elastic.New(elastic.Options{Engine: s.query, Horizon: s.store.LastOrd, Head: exists})
	doors, err := s.doors(info, s.search)
	if err != nil {
		return err
	}
	s.routes = append(intake, doors...)
	s.routes = append(s.routes, rpc.Routes(access.Public, rpc.Health(rpc.Names(s.routes)...))...)
	s.http, err = httpd.New(httpd.Options{
		Config: s.cfg.Server, Keeper: s.keeper, Audit: s.audit, Routes: s.routes, Unknown: rpc.Unknown, Logger: s.log, Metrics: s.metrics,
		Places: places,
	})
	return err
}

// begin puts the account of every source into the ledger, as found at start.
func (s *server) begin(ctx context.Context) error { return s.store.Epoch(ctx, "start") }
