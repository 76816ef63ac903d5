package native

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/comply"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/ledger"
)

// ReportOptions are what the reports' routes need of a server.
type ReportOptions struct {
	Audit audit.Recorder
	Now   func() time.Time
	// Inputs gathers what a report on [from, to) is made from, as the caller
	// may see it. It makes the ledger cover everything received until now.
	Inputs func(ctx context.Context, by *access.Principal, remote string, from, to time.Time) (comply.Inputs, error)
	// Issue puts the report's leaf into the ledger.
	Issue func(ctx context.Context, leaf ledger.Report) (ledger.Checkpoint, error)
}

// Reports returns the routes that make evidence. Making a report may take as
// long as reading all segments does.
func Reports(o ReportOptions) []httpd.Route {
	r := reports{o: o, busy: make(chan struct{}, 1)}
	return []httpd.Route{{Pattern: "GET /api/v1/reports/soc2", Need: access.Evidence, Handle: r.soc2, Stream: true}}
}

type reports struct {
	o    ReportOptions
	busy chan struct{} // one report at a time: each reads every segment
}

// reportCSP lets a report, which carries its own style and no script, be read
// as a page.
const reportCSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// soc2 answers with a report. It is built whole, put on record in the ledger,
// and only then sent.
func (rs *reports) soc2(w http.ResponseWriter, r *http.Request) error {
	from, to, format, err := rs.period(r)
	if err != nil {
		return err
	}
	select {
	case rs.busy <- struct{}{}:
		defer func() { <-rs.busy }()
	case <-r.Context().Done():
		return fault.Wrap(fault.Canceled, r.Context().Err())
	}
	detail := map[string]string{"kind": "soc2", "format": format, "from": from.UTC().Format(time.RFC3339Nano), "to": to.UTC().Format(time.RFC3339Nano)}
	// The account is closed before this act goes on record: a report must not
	// count the request for itself as something that happened in its period.
	in, err := rs.o.Inputs(r.Context(), httpd.PrincipalFrom(r.Context()), r.RemoteAddr, from, to)
	if err != nil {
		return err
	}
	if err := putOnRecord(r, rs.o.Audit, "report", detail); err != nil {
		return err
	}
	report, err := comply.Build(r.Context(), in)
	if err != nil {
		return err
	}
	render, kind := report.JSON, "application/json"
	if format == "html" {
		render, kind = report.HTML, "text/html; charset=utf-8"
	}
	data, err := render()
	if err != nil {
		return err
	}
	if _, err := comply.Issue(r.Context(), report, rs.o.Now(), rs.o.Issue); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", reportCSP)
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", report.ID+"."+format))
	h.Set("Content-Length", fmt.Sprint(len(data)))
	_, err = bytes.NewReader(data).WriteTo(w)
	return err
}

func (rs *reports) period(r *http.Request) (from, to time.Time, format string, err error) {
	q, now := r.URL.Query(), rs.o.Now()
	if format = q.Get("format"); format == "" {
		format = "json"
	}
	if format != "json" && format != "html" {
		return from, to, "", fault.WithHint(fault.Errorf(fault.Invalid, "unknown format %q", format), "use json or html")
	}
	times := []time.Time{now.AddDate(0, 0, -30), now}
	for i, name := range []string{"from", "to"} {
		if s := q.Get(name); s != "" {
			ns, err := ParseTime(s, now)
			if err != nil {
				return from, to, "", err
			}
			times[i] = time.Unix(0, ns)
		}
	}
	from, to = times[0], times[1]
	if !from.Before(to) {
		return from, to, "", fault.Errorf(fault.Invalid, "the period from %s to %s is empty", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	return from, to, format, nil
}
