package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// An Expectation says that a source sends at least so often.
type Expectation struct {
	// Source is the name of a source as it is counted: syslog/edge. * stands for
	// any text: such an expectation is of every source that has ever sent.
	Source string `yaml:"source"`
	// Tenant is the source's ("default" if empty).
	Tenant string `yaml:"tenant"`
	// ExpectEvery is how long the source may be silent.
	ExpectEvery time.Duration `yaml:"expect_every"`
}

func (e Expectation) tenant() record.TenantID {
	if e.Tenant == "" {
		return identity.DefaultTenant
	}
	return record.TenantID(e.Tenant)
}

// maxExpectations bounds the list: it is read for every new source.
const maxExpectations = 1000

// Validate reports what is wrong with the list, each error beginning
// with its path below the root.
func Validate(list []Expectation) error {
	var errs []error
	if len(list) > maxExpectations {
		errs = append(errs, fault.Errorf(fault.Invalid, "sources: %d are more than %d", len(list), maxExpectations))
	}
	for i, e := range list {
		at := func(key, format string, args ...any) {
			errs = append(errs, fault.Errorf(fault.Invalid, "sources[%d].%s: %s", i, key, fmt.Sprintf(format, args...)))
		}
		if e.Source == "" || len(e.Source) > 128 {
			at("source", "want the name of a source, such as syslog/*")
		}
		if e.Tenant != "" && !record.ValidName(e.Tenant) {
			at("tenant", "%q is no name of a tenant", e.Tenant)
		}
		if e.ExpectEvery < time.Second || e.ExpectEvery > 366*24*time.Hour {
			at("expect_every", "%v is not within 1s and 366 days", e.ExpectEvery)
		}
	}
	return errors.Join(errs...)
}

// expected returns the first expectation of a source, and how often it says; 0 if
// there is none.
func (t *Table) expected(tenant record.TenantID, name string) (Expectation, time.Duration) {
	for _, e := range t.expects {
		if e.tenant() == tenant && like(e.Source, name) {
			return e, e.ExpectEvery
		}
	}
	return Expectation{}, 0
}

// like reports whether name is as pattern says, where * is any text.
func like(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	name, ok := strings.CutPrefix(name, head)
	if !ok || !wild {
		return ok && name == ""
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], after
	}
}

// SilenceSource is the counted name of the source of records about silence.
const SilenceSource = "meshtrail.sources"

// The names of the happenings.
const (
	EventSilent = "source.silent"
	EventBack   = "source.back"
)

// A Watch tells of sources that fall silent, and that are back: each once, in the
// log and as a record of class ops in the source's tenant.
type Watch struct {
	Sources *Table
	Intake  pipeline.Intake
	Log     *slog.Logger
}

// watchEvery is how often it is looked; a silence is told that much late at most.
const watchEvery = time.Second

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	if len(w.Sources.expects) == 0 {
		return nil
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		w.Look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Look tells what has changed since it was last called. What could not be made a
// record is told again the next time.
func (w *Watch) Look(ctx context.Context) {
	for _, c := range w.Sources.changes() {
		if err := w.tell(ctx, c); err != nil {
			if ctx.Err() == nil {
				w.Log.Warn("a change of a source is not on record yet", "source", c.Source, "error", err)
			}
			w.Sources.untold(c)
		}
	}
}

// changes returns the sources whose silence began or ended, and takes them for
// told.
func (t *Table) changes() (out []Status) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.order.Front(); e != nil; e = e.Next() {
		x := e.Value.(*source)
		if x.Every == 0 {
			continue
		}
		if st := x.status(now); st.Silent != x.told {
			x.told = st.Silent
			out = append(out, st)
		}
	}
	return out
}

// untold takes back that a change was told.
func (t *Table) untold(c Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.byKey[key{c.Tenant, c.Source}]; ok {
		e.Value.(*source).told = !c.Silent
	}
}

func (w *Watch) tell(ctx context.Context, c Status) error {
	name, level, body := EventBack, "info", fmt.Sprintf("source %s sends again", c.Source)
	if c.Silent {
		name, level = EventSilent, "warn"
		body = fmt.Sprintf("source %s has sent nothing since %s; expected every %v", c.Source, c.Since.UTC().Format(time.RFC3339), c.Every)
	}
	raw := record.Raw{Payload: []byte(body), Time: w.Sources.now().UnixNano(), Service: "meshtrail", Level: level, Attrs: []record.Field{
		{Name: "event.name", Value: record.StringValue(name)},
		{Name: "meshtrail.source", Value: record.StringValue(c.Source)},
		{Name: "meshtrail.expect_every", Value: record.StringValue(c.Every.String())},
	}}
	_, err := w.Intake.Ingest(ctx, &pipeline.Request{Tenant: c.Tenant, Source: SilenceSource, Class: "ops", Raws: []record.Raw{raw}})
	if err != nil {
		return err
	}
	if c.Silent {
		w.Log.Warn("a source is silent", "source", c.Source, "tenant", c.Tenant, "since", c.Since.UTC(), "expected_every", c.Every)
	} else {
		w.Log.Info("a source is back", "source", c.Source, "tenant", c.Tenant)
	}
	return nil
}
