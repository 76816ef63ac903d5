package jaeger

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// The HTTP API of version 3, which Jaeger's UI uses. An older spelling of a
// parameter stands beside the newer one.

type failureV3 struct {
	Error struct {
		Code    int    `json:"httpCode"`
		Message string `json:"message"`
	} `json:"error"`
}

func failV3(w http.ResponseWriter, _ *http.Request, err error) {
	authenticate(w, err)
	var f failureV3
	f.Error.Code, f.Error.Message = fault.KindOf(err).HTTPStatus(), reason(err)
	answer(w, f.Error.Code, f)
}

func (d *door) servicesV3(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	names, err := d.traces.Services(r.Context(), who)
	if err != nil {
		return err
	}
	if names == nil {
		names = []string{}
	}
	return answer(w, http.StatusOK, map[string]any{"services": names})
}

func (d *door) operationsV3(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	kind, _ := f.get("spanKind", "span_kind")
	ops, err := d.traces.Operations(r.Context(), who, f.q.Get("service"), kindOf(kind))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]any{"operations": operationsOf(ops)})
}

// operationsOf reports one without a kind as internal.
func operationsOf(ops []trace.Operation) []operationV1 {
	list := []operationV1{}
	for _, op := range ops {
		if op.Kind == "" {
			op.Kind = "internal"
		}
		list = append(list, operationV1(op))
	}
	return list
}

// traceID reads an id in hex, or in base64 of any dress.
func traceID(s string) (string, error) {
	parsed, err := trace.ParseID(s)
	if err == nil || len(s) > 24 {
		return parsed, err
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, bad := enc.DecodeString(s); bad == nil && (len(b) == 8 || len(b) == 16) {
			return trace.ParseID(hex.EncodeToString(b))
		}
	}
	return "", err
}

var errNoTraces = fault.Errorf(fault.NotFound, "No traces found")

func (d *door) traceV3(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	id, err := traceID(r.PathValue("id"))
	if err != nil {
		f.bad("trace_id", err)
	}
	from, to := f.stamp("startTime", "start_time"), f.stamp("endTime", "end_time")
	raw := f.truth("rawTraces", "raw_traces")
	if f.err != nil {
		return f.err
	}
	traces, _, err := d.traces.Get(r.Context(), who, []string{id}, from, to)
	if err != nil {
		return err
	}
	return d.resultV3(w, traces, raw)
}

func (d *door) resultV3(w http.ResponseWriter, traces []trace.Trace, raw bool) error {
	if len(traces) == 0 {
		return errNoTraces
	}
	j := writer{}
	j.open('{')
	j.key("result")
	j.open('{')
	j.key("resourceSpans")
	j.open('[')
	for i := range traces {
		if !raw {
			traces[i].Unshare()
		}
		for _, rs := range toOTLP(traces[i].Spans) {
			j.resourceSpans(rs, "scopeSpans")
		}
	}
	j.close(']')
	j.close('}')
	j.close('}')
	return send(w, http.StatusOK, "application/json", j.done())
}

// findV3 reads the parameters of a search.
func findV3(r *http.Request) (find trace.FindRequest, raw bool, err error) {
	f := form{q: r.URL.Query()}
	get := func(names ...string) string { v, _ := f.get(names...); return v }
	from, to := f.stamp("query.startTimeMin", "query.start_time_min"), f.stamp("query.startTimeMax", "query.start_time_max")
	if f.err == nil && (from == 0 || to == 0) {
		f.err = fault.Errorf(fault.Invalid, "query.startTimeMin and query.startTimeMax are required")
	}
	find = trace.FindRequest{
		Services: list(get("query.serviceName", "query.service_name")), Names: list(get("query.operationName", "query.operation_name")),
		Attributes: f.attributes("query.attributes"), From: from, To: to + 1,
		MinDuration: f.duration("query.durationMin", "query.duration_min"), MaxDuration: f.duration("query.durationMax", "query.duration_max"),
		Limit: int(f.number(100, 1, "query.searchDepth", "query.search_depth", "query.num_traces")),
	}
	return find, f.truth("query.rawTraces", "query.raw_traces"), f.err
}

func (d *door) tracesV3(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	find, raw, err := findV3(r)
	if err != nil {
		return err
	}
	traces, _, err := d.traces.Find(r.Context(), who, find)
	if err != nil {
		return err
	}
	return d.resultV3(w, traces, raw)
}

func (d *door) summariesV3(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	find, _, err := findV3(r)
	if err != nil {
		return err
	}
	traces, _, err := d.traces.Find(r.Context(), who, find)
	if err != nil {
		return err
	}
	j := writer{}
	j.open('{')
	j.array("summaries", len(traces), func(i int) {
		m := traces[i].Summary()
		j.open('{')
		j.text("traceId", m.ID)
		j.text("rootServiceName", m.RootService)
		j.text("rootOperationName", m.RootName)
		j.long("minStartTimeUnixNano", uint64(m.Start))
		j.long("maxEndTimeUnixNano", uint64(m.End))
		j.number("spanCount", int64(m.Spans))
		j.number("errorSpanCount", int64(m.Failed))
		j.number("orphanSpanCount", int64(m.Orphans))
		j.array("services", len(m.Services), func(k int) {
			j.open('{')
			j.text("name", m.Services[k].Name)
			j.number("spanCount", int64(m.Services[k].Spans))
			j.number("errorSpanCount", int64(m.Services[k].Failed))
			j.close('}')
		})
		j.close('}')
	})
	j.close('}')
	return send(w, http.StatusOK, "application/json", j.done())
}

func (d *door) dependenciesV3(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	from, to := f.stamp("startTime", "start_time"), f.stamp("endTime", "end_time")
	if f.err != nil {
		return f.err
	}
	if to == 0 {
		to = d.traces.Now().UnixNano()
	}
	if from == 0 {
		from = to - int64(24*time.Hour)
	}
	links, _, err := d.traces.Dependencies(r.Context(), who, from, to+1)
	if err != nil {
		return err
	}
	list := []dependencyV3{}
	for _, l := range links {
		list = append(list, dependencyV3{l.Parent, l.Child, l.Calls})
	}
	return answer(w, http.StatusOK, map[string]any{"dependencies": list})
}

type dependencyV3 struct {
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	CallCount uint64 `json:"callCount,string"`
}

// accepts reports whether a request asks for a type by name.
func accepts(r *http.Request, kind string) bool {
	return strings.Contains(r.Header.Get("Accept"), kind)
}
