package query_test

import (
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
)

// traffic is a record as a proxy or an application sends it.
type traffic struct {
	Time      string `json:"@timestamp"`
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Pod       string `json:"pod"`
	Mesh      string `json:"mesh"`

	Level string `json:"level,omitempty"`
	Msg   string `json:"msg,omitempty"`

	Method  string `json:"method,omitempty"`
	Path    string `json:"path,omitempty"`
	Code    int    `json:"response_code,omitempty"`
	Details string `json:"response_code_details,omitempty"`
	Flags   string `json:"response_flags,omitempty"`
	Millis  int    `json:"duration,omitempty"`
	ReqID   string `json:"request_id,omitempty"`
	TraceID string `json:"trace_id,omitempty"`
}

func meshTraffic(n int) []traffic {
	rnd := mrand.New(mrand.NewPCG(11, 12))
	services := []string{"cart", "checkout", "payment", "users", "search"}
	verbs := []string{"leader", "token", "cache", "queue"}
	ends := []string{"elected", "expired", "miss", "drained"}
	id := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "%016x", rnd.Uint64())
		}
		return b.String()[:n]
	}
	out := make([]traffic, n)
	for i := range out {
		s := services[rnd.IntN(len(services))]
		r := traffic{
			Time:    base.Add(-12*time.Hour + time.Duration(i)*24*time.Hour/time.Duration(n)).Format(time.RFC3339Nano),
			Cluster: "prod-1", Namespace: "shop", Service: s, Pod: fmt.Sprintf("%s-%d", s, rnd.IntN(9)),
			Mesh: []string{"istio", "linkerd", "kuma"}[rnd.IntN(3)], TraceID: id(32),
		}
		if rnd.IntN(5) == 0 {
			r.Level = []string{"info", "warn"}[rnd.IntN(2)]
			r.Msg = verbs[rnd.IntN(4)] + " " + ends[rnd.IntN(4)] + " after 3 attempts"
			out[i] = r
			continue
		}
		r.Method, r.Path = "GET", fmt.Sprintf("/api/v1/cart/%d", rnd.IntN(200000))
		r.Code, r.Details, r.Flags, r.Millis = 200, "via_upstream", "-", 1+rnd.IntN(60)
		switch x := rnd.IntN(100); {
		case x < 3:
			r.Code, r.Details, r.Flags, r.Millis = 504, "response_timeout", "UT", 15000+rnd.IntN(60)
		case x < 6:
			r.Code, r.Details = 403, "rbac_access_denied_matched_policy[none]"
		case x < 9:
			r.Code = 404
		}
		h := id(32)
		r.ReqID = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		out[i] = r
	}
	return out
}

// TestMeshQuestions asks what people ask of mesh logs, in the words of the
// platforms, through the whole way of a record: pipeline, store, engine. The
// answers are counted by hand.
func TestMeshQuestions(t *testing.T) {
	all := meshTraffic(5000)
	s := openStore(t)
	p, err := pipeline.New(pipeline.Options{Appender: s, Now: func() time.Time { return base.Add(13 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(all); i += 1000 {
		req := &pipeline.Request{Tenant: "acme", Source: "test"}
		for _, r := range all[i : i+1000] {
			line, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			req.Raws = append(req.Raws, record.Raw{Payload: line, JSON: true})
		}
		if out, err := p.Ingest(t.Context(), req); err != nil || out.Stored != 1000 {
			t.Fatal(out, err)
		}
		if i == 2000 { // the rest stays unsealed
			if err := s.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := engine(t, s)
	needle := all[1850]
	if needle.ReqID == "" {
		t.Fatal("choose a record with a request id")
	}
	const sel = `{cluster=~".+"} `
	path := regexp.MustCompile(`^/api/v1/cart/1234[0-9]*$`)
	f := func(q string, limit int, want func(*traffic) bool) {
		t.Helper()
		n := 0
		for i := range all {
			if want(&all[i]) {
				n++
			}
		}
		req := query.Request{Query: q, Start: base.Add(-12 * time.Hour).UnixNano(), End: base.Add(12*time.Hour + 10*time.Second).UnixNano(), Limit: limit, Instant: limit == 0}
		if limit > 0 {
			n = min(n, limit)
		}
		res, err := e.Query(t.Context(), scopeOf(t), req)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			return
		}
		got := 0
		for _, s := range res.Streams {
			got += len(s.Entries)
		}
		for _, s := range res.Series {
			got += int(s.Vals[0])
		}
		if got != n || n == 0 {
			t.Errorf("%s: %d, want %d", q, got, n)
		}
	}
	f(sel+`| request_id="`+needle.ReqID+`"`, 100, func(r *traffic) bool { return r.ReqID == needle.ReqID })
	f(sel+`|= "`+needle.ReqID+`" | json | request_id="`+needle.ReqID+`"`, 100, func(r *traffic) bool { return r.ReqID == needle.ReqID })
	f(sel+`| trace_id="`+needle.TraceID+`"`, 100, func(r *traffic) bool { return r.TraceID == needle.TraceID })
	f(sel+`|= "`+needle.TraceID+`"`, 100, func(r *traffic) bool { return r.TraceID == needle.TraceID })
	f(`sum(count_over_time(`+sel+`|= "leader elected" [25h]))`, 0, func(r *traffic) bool { return strings.Contains(r.Msg, "leader elected") })
	f(`sum by (service) (count_over_time(`+sel+`| response_code >= 500 [25h]))`, 0, func(r *traffic) bool { return r.Code >= 500 })
	f(`sum by (service) (count_over_time(`+sel+`| json | response_code >= 500 [25h]))`, 0, func(r *traffic) bool { return r.Code >= 500 })
	f(`sum by (response_code) (count_over_time(`+sel+`| response_code != "" [25h]))`, 0, func(r *traffic) bool { return r.Code != 0 })
	f(`sum by (mesh) (count_over_time(`+sel+`[25h]))`, 0, func(r *traffic) bool { return true })
	f(`{service="checkout"}`, 100, func(r *traffic) bool { return r.Service == "checkout" })
	f(`sum(count_over_time(`+sel+`| path =~ "/api/v1/cart/1234[0-9]*" [25h]))`, 0, func(r *traffic) bool { return path.MatchString(r.Path) })
	f(`sum(count_over_time(`+sel+`| duration > 15030 [25h]))`, 0, func(r *traffic) bool { return r.Millis > 15030 })
	f(`sum(count_over_time(`+sel+`| duration > 15030ms [25h]))`, 0, func(r *traffic) bool { return r.Millis > 15030 })
	f(`sum by (service) (count_over_time(`+sel+`| response_code_details =~ "rbac_access_denied.*" [25h]))`, 0, func(r *traffic) bool { return strings.HasPrefix(r.Details, "rbac_access_denied") })
	f(`sum by (namespace, pod) (count_over_time({mesh=~"istio|kuma", service!="cart"} | http_response_status_code != 200 [25h]))`, 0, func(r *traffic) bool {
		return r.Mesh != "linkerd" && r.Service != "cart" && r.Code != 0 && r.Code != 200
	})
}
