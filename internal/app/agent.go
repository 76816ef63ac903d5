package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/forward"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/receive/filetail"
	"github.com/meshtrail/meshtrail/internal/spool"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// AgentOptions say what an agent does.
type AgentOptions struct {
	Config  string // configuration file
	Version string
	Err     io.Writer // the log
	// LogLevel overrides the configuration when it is not empty.
	LogLevel string
	// Ready, when set, is called once the agent reads.
	Ready func()
}

// agentTenant is what records are until the server puts the credential's tenant
// in its place.
const agentTenant = "default"

// Names below an agent's data folder, beside keysDir and lockFile.
const (
	spoolDir  = "spool"
	inputsDir = "inputs"
)

// agent is the rooms of one agent: inputs, pipeline, spool, forward.
type agent struct {
	cfg     *config.Agent
	log     *slog.Logger
	metrics *telemetry.Metrics
	root    vfs.FS
	lock    io.Closer
	spool   *spool.Spool
	inputs  []*filetail.Tailer
	up      *forward.Forwarder
	fatal   chan error
}

// Agent reads inputs into the spool and forwards the spool to the server, until
// ctx ends, which is no error, or it cannot go on. An input's position moves on
// when its lines are durable in the spool, and the spool forgets them when they
// are durable in the server.
func Agent(ctx context.Context, o AgentOptions) error {
	cfg, err := config.LoadAgent(o.Config)
	if err != nil {
		return err
	}
	if o.LogLevel != "" {
		cfg.Log.Level = o.LogLevel
	}
	log, err := telemetry.Logger(o.Err, cfg.Log.Level, cfg.Log.Format == "json")
	if err != nil {
		return fault.Errorf(fault.Invalid, "start the log: %w", err)
	}
	a := &agent{cfg: cfg, log: log, metrics: telemetry.New(), fatal: make(chan error, 1)}
	if err := a.open(); err != nil {
		return errors.Join(err, a.close())
	}
	log.Info("agent reads", "name", cfg.Name, "data", cfg.Data, "upstream", cfg.Forward.URL, "inputs", len(a.inputs), "version", o.Version)
	if o.Ready != nil {
		o.Ready()
	}
	return errors.Join(a.run(ctx), a.close())
}

func (a *agent) open() error {
	if err := os.MkdirAll(a.cfg.Data, 0o700); err != nil {
		return fault.Errorf(fault.Invalid, "create the agent's data folder: %w", err)
	}
	var err error
	if a.root, err = vfs.Dir(a.cfg.Data); err != nil {
		return fault.Errorf(fault.KindOf(err), "open the agent's data folder: %w", err)
	}
	if a.lock, err = a.root.Lock(lockFile); err != nil {
		return fault.WithHint(err, "another agent holds this data folder; stop it first")
	}
	to, err := a.openSpool()
	if err != nil {
		return err
	}
	if err := a.openInputs(to); err != nil {
		return err
	}
	return a.openForward()
}

// folder makes a folder below the data folder and returns it.
func (a *agent) folder(name string) (vfs.FS, error) {
	if err := a.root.MkdirAll(name); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "create folder %s: %w", name, err)
	}
	return vfs.Sub(a.root, name), nil
}

// openSpool opens the spool under a key of the agent's own, and the pipeline
// into it.
func (a *agent) openSpool() (*pipeline.Pipeline, error) {
	keys, err := a.folder(keysDir)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Open(keys)
	if fault.Is(err, fault.NotFound) {
		// A spool without its key would be bytes that nobody can read: no new
		// key is made beside one.
		if used, err := vfs.Exists(a.root, spoolDir); err != nil || used {
			return nil, errors.Join(err, fault.WithHint(fault.Errorf(fault.NotFound, "the agent's data folder holds a spool and no key for it"), "restore its keys/ folder, or move the spool/ folder away"))
		}
		if err := keyring.Create(keys); err != nil {
			return nil, err
		}
		ring, err = keyring.Open(keys)
	}
	if err != nil {
		return nil, err
	}
	fsys, err := a.folder(spoolDir)
	if err != nil {
		return nil, err
	}
	a.spool, err = spool.Open(spool.Options{
		FS: fsys, Key: ring.JournalKey(), MaxBytes: a.cfg.Spool.MaxBytes, Logger: a.log, Metrics: a.metrics, Poisoned: a.die,
	})
	if err != nil {
		return nil, err
	}
	rules, err := policy.New(a.cfg.Policy)
	if err != nil {
		return nil, err
	}
	formats, err := pipeline.CompileFormats(a.cfg.Formats)
	if err != nil {
		return nil, err
	}
	return pipeline.New(pipeline.Options{Appender: a.spool, Policy: rules, Formats: formats, Metrics: a.metrics, Logger: a.log})
}

// openInputs is the list of the inputs that an agent has.
func (a *agent) openInputs(to pipeline.Intake) error {
	for _, cfg := range a.cfg.Inputs.Files {
		fsys, err := a.folder(inputsDir + "/" + cfg.WithDefaults().Name)
		if err != nil {
			return err
		}
		in, err := filetail.New(filetail.Options{
			Config: cfg, Agent: a.cfg.Name, Tenant: agentTenant, Intake: to, FS: fsys, Metrics: a.metrics, Logger: a.log,
		})
		if err != nil {
			return err
		}
		a.inputs = append(a.inputs, in)
	}
	return nil
}

func (a *agent) openForward() error {
	var ca []byte
	if file := a.cfg.Forward.CAFile; file != "" {
		var err error
		if ca, err = os.ReadFile(file); err != nil {
			return fault.Errorf(fault.Invalid, "read ca_file: %w", err)
		}
	}
	token := func() (string, error) {
		data, err := os.ReadFile(a.cfg.Forward.TokenFile)
		if err != nil {
			return "", fault.Errorf(fault.Invalid, "read token_file: %w", err)
		}
		return identity.ParseToken(data)
	}
	if _, err := token(); err != nil { // better now than with every request
		return err
	}
	var err error
	a.up, err = forward.New(forward.Options{Config: a.cfg.Forward.Config, Spool: a.spool, Token: token, CA: ca, Metrics: a.metrics, Logger: a.log})
	return err
}

// die ends the agent: its disk failed a sync, and nothing may be read on.
func (a *agent) die(err error) {
	select {
	case a.fatal <- err:
	default:
	}
}

func (a *agent) run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, in := range a.inputs {
		g.Go(func() error { return in.Run(gctx) })
	}
	g.Go(func() error { return a.up.Run(gctx) })
	g.Go(func() error {
		select {
		case err := <-a.fatal:
			return fault.Errorf(fault.Unavailable, "the agent's disk failed: %w", err)
		case <-gctx.Done():
			return nil
		}
	})
	err := g.Wait()
	a.inputs = nil // Run closed them
	return err
}

func (a *agent) close() error {
	var errs []error
	for _, in := range a.inputs {
		errs = append(errs, in.Close())
	}
	if a.spool != nil {
		errs = append(errs, a.spool.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
