// Package hubble reads the flows of Cilium from Hubble relays, as a client of
// observer.Observer/GetFlows.
//
// A flow is handed on in the JSON form of Hubble's own exporter. The protocol has
// no acknowledgement: a relay that we do not follow fast enough, or not at all for
// longer than the ring buffers of its nodes reach, has lost flows. What it says of
// that is kept, and so is what it cannot know, as records of their own, so that
// "there was no such flow" can be told from "nobody looked":
//
//	hubble.lost_events   a node or relay lost flows: how many, where
//	hubble.node_status   a node joined, left or failed
//	hubble.connected     we follow a relay, and from which moment on
//	hubble.disconnected  we do not, and why
//
// After an interruption a relay is asked from a little before the last flow that
// is durable; flows seen before are left out by their uuid. Both are kept on disk,
// so a restart goes on there too. They are not synced with each batch: after power
// loss flows of the last seconds may be there twice, with the same log.record.uid.
package hubble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Name is the receiver's name in sources and metrics.
const Name = "hubble"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Cilium Hubble", Versions: "observer.Observer/GetFlows, schema of Cilium 1.20", Over: "gRPC client of a relay (:4245) or an agent (:4244)",
		Lossy: true, Credential: "TLS client certificate", Limits: "64 relays",
		Tested: []string{"flows captured from Cilium, sent by a server of grpc-go 1.84.0 (replayed)"},
	}
}

// Config lists what to follow. The zero Config follows nothing.
type Config struct {
	Relays []Relay `yaml:"relays"`
	// State, when set, keeps how far each relay was followed.
	State vfs.FS `yaml:"-"`
}

// A Relay is one relay, or the agent of one node.
type Relay struct {
	// Name names it in sources (hubble/NAME) and in the state; it MUST stay the same.
	Name string `yaml:"name"`
	// Address is host:port.
	Address string `yaml:"address"`
	// CA replaces the system's authorities, TLSCert and TLSKey are what we show:
	// PEM files. ServerName is what the relay must prove to be, the address's host
	// if empty (Cilium: ui.hubble-relay.cilium.io).
	CA         string `yaml:"ca"`
	TLSCert    string `yaml:"tls_cert"`
	TLSKey     string `yaml:"tls_key"`
	ServerName string `yaml:"server_name"`
	// Plaintext does without TLS. On loopback it needs not be said.
	Plaintext bool `yaml:"plaintext"`
	// Tenant owns the flows ("default" if empty), Class is their retention class
	// where no rule gives another.
	Tenant string `yaml:"tenant"`
	Class  string `yaml:"class"`
	// Lookback is from how long ago a relay is asked that was never followed.
	Lookback time.Duration `yaml:"lookback"`
}

const maxRelays = 64

// Validate reports what keeps relays from being followed.
func (c Config) Validate() error {
	var errs []error
	if len(c.Relays) > maxRelays {
		errs = append(errs, fault.Errorf(fault.Invalid, "relays: %d are more than %d", len(c.Relays), maxRelays))
	}
	names := map[string]bool{}
	for i, r := range c.Relays {
		err := r.validate()
		if err == nil && names[r.Name] {
			err = fault.Errorf(fault.Invalid, "name: %q is there twice", r.Name)
		}
		names[r.Name] = true
		errs = append(errs, receive.Part(fmt.Sprintf("relays[%d]", i), err)...)
	}
	return errors.Join(errs...)
}

func (r Relay) validate() error {
	host, _, err := net.SplitHostPort(r.Address)
	switch {
	case err != nil || host == "":
		return fault.WithHint(fault.Errorf(fault.Invalid, "address: %q is not HOST:PORT", r.Address), "for example hubble-relay.kube-system:443")
	case !record.ValidName(r.Name):
		return fault.WithHint(fault.Errorf(fault.Invalid, "name: %q is no name", r.Name), "it names the relay in counts and in log.source")
	case (r.TLSCert == "") != (r.TLSKey == ""):
		return fault.Errorf(fault.Invalid, "tls_cert and tls_key belong together: only one is set")
	case r.Plaintext && (r.CA != "" || r.TLSCert != ""):
		return fault.Errorf(fault.Invalid, "plaintext: contradicts ca and tls_cert")
	case r.Tenant != "" && !record.ValidName(r.Tenant):
		return fault.Errorf(fault.Invalid, "tenant: %q is no name of a tenant", r.Tenant)
	case r.Class != "" && !record.ValidName(r.Class):
		return fault.Errorf(fault.Invalid, "class: %q is no name of a class", r.Class)
	case r.Lookback < 0 || r.Lookback > 24*time.Hour:
		return fault.Errorf(fault.Invalid, "lookback: %v is not within 0 and 24h", r.Lookback)
	}
	return nil
}

// secure reports whether the relay is spoken to over TLS.
func (r Relay) secure() bool {
	host, _, _ := net.SplitHostPort(r.Address)
	return r.CA != "" || r.TLSCert != "" || !r.Plaintext && !httpd.Loopback(host)
}

func (r Relay) sender() receive.Sender {
	tenant := identity.DefaultTenant
	if r.Tenant != "" {
		tenant = record.TenantID(r.Tenant)
	}
	return receive.Sender{Tenant: tenant, Name: r.Name, Source: receive.SourceName(Name + "/" + r.Name), Class: record.Class(r.Class), Lossy: true}
}

// A Receiver follows relays.
type Receiver struct {
	inlet     *receive.Inlet
	followers []*follower
}

// New returns a receiver that stands in s. It dials nothing.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Receiver{inlet: receive.NewInlet(Name, s)}
	schema, err := response()
	if err != nil {
		return nil, err
	}
	for _, relay := range cfg.Relays {
		f := &follower{relay: relay, inlet: r.inlet, schema: schema, from: relay.sender(), state: cfg.State, now: time.Now}
		if err := f.prepare(); err != nil {
			return nil, fault.Errorf(fault.KindOf(err), "relay %s: %w", relay.Name, err)
		}
		r.followers = append(r.followers, f)
	}
	return r, nil
}

// Run follows every relay until ctx ends. A relay that cannot be reached is tried
// again for ever.
func (r *Receiver) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range r.followers {
		g.Go(func() error { f.run(ctx); return nil })
	}
	return g.Wait()
}
