package loki

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

func (d *door) ready(w http.ResponseWriter, _ *http.Request) error {
	if d.o.Ready != nil {
		if err := d.o.Ready(); err != nil {
			return err
		}
	}
	return plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, body string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, err := io.WriteString(w, body)
	return err
}

// apiLevel is the version of Loki whose API this is: clients decide by it what
// they may ask.
const apiLevel = "3.5.0"

func (d *door) buildinfo(w http.ResponseWriter, r *http.Request) error {
	b := append([]byte(nil), `{"version":"`+apiLevel+`","revision":`...)
	b = match.AppendQuoted(b, d.o.Revision)
	b = append(b, `,"branch":"","buildUser":"meshtrail","buildDate":"","goVersion":""}`...)
	return send(w, r, b)
}

// services names what runs, in the form of Loki's page.
func services(w http.ResponseWriter, _ *http.Request) error {
	return plain(w, http.StatusOK, "server => Running\nquerier => Running\ndistributor => Running\n")
}

// config is what clients look for in Loki's configuration: nothing of our own is
// in it.
func (d *door) config(w http.ResponseWriter, _ *http.Request) error {
	l := d.o.Engine.Limits()
	return plain(w, http.StatusOK, fmt.Sprintf("target: all\nauth_enabled: true\nlimits_config:\n"+
		"  max_entries_limit_per_query: %d\n  max_query_series: %d\n  max_query_length: %s\n  query_timeout: %s\n"+
		"  volume_enabled: true\n  allow_structured_metadata: true\n  discover_log_levels: true\n",
		l.MaxEntries, l.MaxSeries, short(l.MaxRange), short(l.Timeout)))
}

// short writes a duration as Prometheus reads it, in seconds.
func short(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }

// limits tells Logs Drilldown what it may ask. There is no one retention: it
// depends on the class of a record, so none is told. discover_service_name is what
// receive/loki takes for the service.
func (d *door) limits(w http.ResponseWriter, r *http.Request) error {
	l := d.o.Engine.Limits()
	return send(w, r, fmt.Appendf(nil, `{"limits":{"discover_log_levels":true,"discover_service_name":["service","app","application","app_name","name","app_kubernetes_io_name",`+
		`"container","container_name","k8s_container_name","component","workload","job","k8s_job_name"],`+
		`"log_level_fields":["level","severity","severity_text"],"max_entries_limit_per_query":%d,"max_query_bytes_read":"0B",`+
		`"max_query_length":"%s","max_query_lookback":"0s","max_query_range":"0s","max_query_series":%d,"metric_aggregation_enabled":false,`+
		`"pattern_persistence_enabled":false,"query_timeout":"%s","retention_period":"0s","volume_enabled":true,"volume_max_series":%d},`+
		`"pattern_ingester_enabled":true,"version":"%s"}`,
		l.MaxEntries, short(l.MaxRange), l.MaxSeries, short(l.Timeout), maxVolumes, apiLevel))
}

// format answers in JSON even when it fails, unlike everything else.
func (d *door) format(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r)
	formatted, err := d.o.Engine.Pretty(p.r.Form.Get("query"))
	if p.err != nil {
		err = p.err
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(http.StatusBadRequest)
		b := append([]byte(nil), `{"status":"invalid-query","error":`...)
		_, err := w.Write(append(match.AppendQuoted(b, err.Error()), '}'))
		return err
	}
	b := match.AppendQuoted([]byte(`{"status":"success","data":`), formatted)
	return send(w, r, append(b, '}'))
}

// Meshtrail has no ruler: it answers as a Loki without rules.

func noRules(http.ResponseWriter, *http.Request) error {
	return fault.Errorf(fault.NotFound, "no rule groups found")
}

func refuseRules(http.ResponseWriter, *http.Request) error {
	return fault.WithHint(fault.Errorf(fault.Denied, "rules are not kept here"), "let Grafana or another ruler evaluate them over this data source")
}

func emptyRules(w http.ResponseWriter, r *http.Request) error {
	return send(w, r, []byte(`{"status":"success","data":{"groups":[]},"errorType":"","error":""}`))
}

func emptyAlerts(w http.ResponseWriter, r *http.Request) error {
	return send(w, r, []byte(`{"status":"success","data":{"alerts":[]},"errorType":"","error":""}`))
}

// noDeletions lists the requests to delete: there never are any.
func noDeletions(w http.ResponseWriter, r *http.Request) error { return send(w, r, []byte(`[]`)) }

// refuseDeletion keeps records that someone wants to be gone: they end by
// retention, with a certificate.
func refuseDeletion(http.ResponseWriter, *http.Request) error {
	return fault.WithHint(fault.Errorf(fault.Denied, "records are not deleted on request"),
		"a record ends with the retention of its class; see the documentation on retention and holds")
}
