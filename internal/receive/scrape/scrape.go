// Package scrape reads the request counters of meshes, as Prometheus would, and
// keeps them as evidence of completeness: a proxy counts every request, so what
// it counted in a time, less the access records of that time, is what is missing.
//
// Each scrape makes one record, event.name mesh.counters, that says what was read
// or why nothing was (mesh.counters.failed), and one record for each counter that
// moved, mesh.counter: its name, its labels, its value, and by how much it grew
// since which time. All have record.kind evidence and no field of an access
// record, so no question about traffic counts them.
//
// What counters said before a restart is not remembered: the first scrape after it
// states values and no growth.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Name is the receiver's name in sources and metrics.
const Name = "scrape"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Prometheus counters of Envoy, Istio, Linkerd and Cilium", Versions: "text format 0.0.4", Over: "HTTP client of /metrics or /stats/prometheus",
		Lossy: true, Credential: "TLS client certificate", Limits: "256 targets, 20,000 counters each",
	}
}

// Config lists what to scrape. The zero Config scrapes nothing.
type Config struct {
	Targets []Target `yaml:"targets"`
}

// A Target is one proxy, or whatever else has counters.
type Target struct {
	// Name names it in sources (scrape/NAME).
	Name string `yaml:"name"`
	// URL is where the counters are.
	URL string `yaml:"url"`
	// Interval is from one scrape to the next (default 1m).
	Interval time.Duration `yaml:"interval"`
	// Counters are the names of those to keep; if empty, the requests,
	// connections and lost records of the meshes that we know.
	Counters []string `yaml:"counters"`
	// CA replaces the system's authorities, TLSCert and TLSKey are what we show.
	CA         string `yaml:"ca"`
	TLSCert    string `yaml:"tls_cert"`
	TLSKey     string `yaml:"tls_key"`
	ServerName string `yaml:"server_name"`
	// Tenant owns the records ("default" if empty), Class is their retention class
	// where no rule gives another.
	Tenant string `yaml:"tenant"`
	Class  string `yaml:"class"`
}

// Known are the counters that are kept of a target that names none.
var known = []string{
	// Istio
	"istio_requests_total", "istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total",
	// Envoy: traffic, and what became of its access logs
	"envoy_cluster_upstream_rq_total", "envoy_cluster_upstream_cx_total", "envoy_http_downstream_rq_total", "envoy_http_downstream_cx_total",
	"envoy_access_logs_grpc_access_log_logs_written", "envoy_access_logs_grpc_access_log_logs_dropped",
	"envoy_access_logs_grpc_access_log_grpc_entries_flushed", "envoy_access_logs_grpc_access_log_grpc_entries_flush_failed",
	"envoy_access_logs_open_telemetry_access_log_logs_written", "envoy_access_logs_open_telemetry_access_log_logs_dropped",
	// Linkerd
	"request_total", "response_total", "tcp_open_total", "tcp_close_total",
	// Cilium
	"hubble_flows_processed_total", "hubble_lost_events_total", "cilium_drop_count_total", "cilium_forward_count_total",
}

// Bounds of scraping.
const (
	maxTargets      = 256
	maxSamples      = 20_000 // of one scrape
	maxLabels       = 64
	defaultInterval = time.Minute
	maxTimeout      = 30 * time.Second
)

// Validate reports what keeps targets from being scraped.
func (c Config) Validate() error {
	var errs []error
	if len(c.Targets) > maxTargets {
		errs = append(errs, fault.Errorf(fault.Invalid, "targets: %d are more than %d", len(c.Targets), maxTargets))
	}
	names := map[string]bool{}
	for i, t := range c.Targets {
		err := t.validate()
		if err == nil && names[t.Name] {
			err = fault.Errorf(fault.Invalid, "name: %q is there twice", t.Name)
		}
		names[t.Name] = true
		errs = append(errs, receive.Part(fmt.Sprintf("targets[%d]", i), err)...)
	}
	return errors.Join(errs...)
}

func (t Target) validate() error {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return fault.WithHint(fault.Errorf(fault.Invalid, "url: %q is no http or https URL", t.URL), "for example http://127.0.0.1:15020/stats/prometheus")
	case !record.ValidName(t.Name):
		return fault.Errorf(fault.Invalid, "name: %q is no name", t.Name)
	case t.Interval != 0 && (t.Interval < time.Second || t.Interval > 24*time.Hour):
		return fault.Errorf(fault.Invalid, "interval: %v is not within 1s and 24h", t.Interval)
	case (t.TLSCert == "") != (t.TLSKey == ""):
		return fault.Errorf(fault.Invalid, "tls_cert and tls_key belong together: only one is set")
	case t.Tenant != "" && !record.ValidName(t.Tenant):
		return fault.Errorf(fault.Invalid, "tenant: %q is no name of a tenant", t.Tenant)
	case t.Class != "" && !record.ValidName(t.Class):
		return fault.Errorf(fault.Invalid, "class: %q is no name of a class", t.Class)
	}
	return nil
}

func (t Target) sender() receive.Sender {
	tenant := identity.DefaultTenant
	if t.Tenant != "" {
		tenant = record.TenantID(t.Tenant)
	}
	return receive.Sender{Tenant: tenant, Name: t.Name, Source: receive.SourceName(Name + "/" + t.Name), Class: record.Class(t.Class), Lossy: true}
}

// A Receiver scrapes targets.
type Receiver struct {
	inlet    *receive.Inlet
	scrapers []*scraper
}

// New returns a receiver that stands in s. It dials nothing.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Receiver{inlet: receive.NewInlet(Name, s)}
	for _, t := range cfg.Targets {
		conf, err := httpd.ClientTLS(t.CA, t.TLSCert, t.TLSKey, t.ServerName)
		if err != nil {
			return nil, fault.Errorf(fault.KindOf(err), "target %s: %w", t.Name, err)
		}
		if t.Interval == 0 {
			t.Interval = defaultInterval
		}
		if len(t.Counters) == 0 {
			t.Counters = known
		}
		sc := &scraper{target: t, inlet: r.inlet, from: t.sender(), now: time.Now, wanted: map[string]string{}, labels: map[string]string{}}
		for _, c := range t.Counters {
			sc.wanted[c] = c
		}
		sc.client = &http.Client{
			Timeout:       min(t.Interval, maxTimeout),
			Transport:     &http.Transport{TLSClientConfig: conf, DisableCompression: true, MaxIdleConns: 1, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		r.scrapers = append(r.scrapers, sc)
	}
	return r, nil
}

// Run scrapes every target at its interval until ctx ends.
func (r *Receiver) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range r.scrapers {
		g.Go(func() error { s.run(ctx); return nil })
	}
	return g.Wait()
}
