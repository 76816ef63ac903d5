// Package app is the only wiring of the house: it opens the rooms in order,
// hands each what it needs, runs them, and closes them in the reverse order.
// receivers.go and doors.go are the lists of what a server speaks. app decides
// nothing about logs.
//
// What survives a crash is the store's and the ledger's business; app's part is
// that a journal whose sync failed ends the process (nothing later may be
// acknowledged), and that two processes never open one data folder.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// ServeOptions say what to serve and how.
type ServeOptions struct {
	Data    string // data folder, made by Init
	Config  string // configuration file; "": DIR/meshtrail.yaml
	Listen  string // overrides the configuration
	TLSCert string // overrides the configuration
	TLSKey  string // overrides the configuration
	Version string
	Out     io.Writer // the ready line
	Err     io.Writer // the log
	// Ready, when set, is called instead of printing the ready line, once the
	// server accepts. Run goes on meanwhile.
	Ready func(url, token string)
	// LogLevel overrides the configuration when it is not empty.
	LogLevel string
}

// Serve runs a server until ctx ends, which is no error, or it cannot go on.
// SIGHUP reads the TLS certificate again.
func Serve(ctx context.Context, o ServeOptions) error {
	cfg, err := configure(o)
	if err != nil {
		return err
	}
	log, err := telemetry.Logger(o.Err, cfg.Log.Level, cfg.Log.Format == "json")
	if err != nil {
		return fault.Errorf(fault.Invalid, "start the log: %w", err)
	}
	s, err := open(ctx, o, cfg, log)
	if err != nil {
		return err
	}
	defer s.close() // after an error; a clean end has closed already
	if err := s.listen(); err != nil {
		return err
	}
	if _, err := s.http.Listen(); err != nil {
		s.unlisten()
		return err
	}
	if o.Ready != nil {
		o.Ready(s.http.URL(), s.token)
	} else {
		fmt.Fprintf(o.Out, "ready %s\n", s.http.URL())
	}
	log.Info("serving", "url", s.http.URL(), "data", o.Data, "version", o.Version)
	return s.run(ctx)
}

// configure reads the configuration and lays the flags over it.
func configure(o ServeOptions) (*config.Config, error) {
	name := o.Config
	if name == "" {
		name = filepath.Join(o.Data, config.FileName)
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			return withFlags(config.Default(), o)
		}
	}
	cfg, err := config.Load(name)
	if err != nil {
		return nil, err
	}
	return withFlags(cfg, o)
}

func withFlags(cfg *config.Config, o ServeOptions) (*config.Config, error) {
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&cfg.Server.Listen, o.Listen)
	set(&cfg.Server.TLSCert, o.TLSCert)
	set(&cfg.Server.TLSKey, o.TLSKey)
	set(&cfg.Log.Level, o.LogLevel)
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// run serves until ctx ends, a room fails for good, or the server cannot go on.
func (s *server) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside sync.WaitGroup
	beside.Go(func() { s.look(ctx, cancel) })
	beside.Go(func() { s.expire(ctx) })
	var receiver error // the first that failed
	var once sync.Once
	beside.Go(func() {
		s.receive(ctx, func(err error) { once.Do(func() { receiver = err }); cancel(err) })
	})
	err := s.http.Run(ctx)
	cancel(err)
	beside.Wait()
	if receiver != nil {
		err = errors.Join(receiver, err)
	}
	if fatal := s.fatal.Load(); fatal != nil {
		// Nothing may be acknowledged any more and nothing in memory can be
		// trusted to reach the disk: leave, and let the next start recover.
		s.log.Error("the server cannot go on", "error", *fatal)
		s.closes = nil
		return fault.WithHint(fault.Errorf(fault.Unavailable, "stopped: %w", *fatal),
			"the disk refused to make data durable; everything acknowledged before is safe; look at the disk, then start again")
	}
	return errors.Join(err, s.close()) // the store seals and writes the last epoch
}

// epochEvery is how often the account of every source goes into the ledger.
const epochEvery = 60 * time.Second

// look does what a server does by the clock and on signals.
func (s *server) look(ctx context.Context, cancel context.CancelCauseFunc) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(epochEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dead:
			cancel(fault.Errorf(fault.Unavailable, "a room failed for good"))
			return
		case <-hangup:
			s.reload()
		case <-tick.C:
			if err := s.store.Epoch(ctx, "interval"); err != nil && ctx.Err() == nil {
				s.log.Error("no epoch in the ledger", "error", err)
			}
			if err := s.noteTokens(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("the token vault is not in the ledger", "error", err)
			}
		}
	}
}

// reload reads every certificate and token again.
func (s *server) reload() {
	err := s.http.ReloadTLS()
	for _, l := range s.listeners {
		err = errors.Join(err, l.Reload())
	}
	who, failed := s.credentials()
	if failed == nil {
		s.keeper.Replace(who)
	}
	if err = errors.Join(err, failed); err != nil {
		s.log.Error("what could not be read stays as it was", "error", err)
		return
	}
	s.log.Info("read the certificates and tokens again")
}
