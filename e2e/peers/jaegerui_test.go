package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestJaegerUI opens Jaeger's own page in a browser, once served by a Jaeger whose
// storage is the server, and once by nobody but a proxy to the server's own API.
// e2e/peers/jaeger.sh builds the page into the folder jaeger-ui of $PEERS_BIN.
func TestJaegerUI(t *testing.T) {
	assets := peer(t, "jaeger-ui")
	s := start(t)
	shop(t, s)
	t.Run("jaeger", func(t *testing.T) {
		path := peer(t, "jaeger")
		query := free(t)
		text := fmt.Sprintf(jaegerConfig, query, free(t), strings.TrimPrefix(s.Base, "http://"), s.Token, free(t))
		text = strings.Replace(text, "storage: {traces: meshtrail}", "storage: {traces: meshtrail}\n    ui: {assets_path: "+assets+"}", 1)
		config := filepath.Join(t.TempDir(), "jaeger.yaml")
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sc := &scene{t: t, dir: t.TempDir()}
		p := sc.run(path, []string{"--config", config}, nil)
		asks(t, &p.log, query, "/api/v3/services", `"frontend"`)
		looks(t, "http://"+query)
	})
	t.Run("proxy", func(t *testing.T) {
		base, err := url.Parse(s.Base + "/jaeger")
		if err != nil {
			t.Fatal(err)
		}
		api := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.Out.Header.Set("Authorization", "Bearer "+s.Token)
		}}
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/api/"):
				api.ServeHTTP(w, r)
			case strings.Contains(r.URL.Path, "/static/"):
				http.ServeFile(w, r, filepath.Join(assets, "static", filepath.Base(r.URL.Path)))
			default:
				http.ServeFile(w, r, filepath.Join(assets, "index.html"))
			}
		}))
		defer page.Close()
		looks(t, page.URL)
	})
}

const paid = "0af7651916cd43dd8448eb211c80319c"

// shop sends the spans of five calls of a shop, the third of which fails.
func shop(t *testing.T, s *harness.Server) {
	t.Helper()
	now := time.Now().Add(-time.Minute)
	type span map[string]any
	attrs := func(pairs ...any) (out []any) {
		for i := 0; i < len(pairs); i += 2 {
			kind := map[string]string{"string": "stringValue", "bool": "boolValue", "int": "intValue", "float64": "doubleValue"}[fmt.Sprintf("%T", pairs[i+1])]
			out = append(out, map[string]any{"key": pairs[i], "value": map[string]any{kind: pairs[i+1]}})
		}
		return out
	}
	var all []any
	for i := range 5 {
		trace := paid[:31] + fmt.Sprintf("%x", (12+i)%16)
		began := now.Add(time.Duration(i) * 7 * time.Second)
		of := func(service, id, parent, name string, kind, from, to int, more span) {
			sp := span{
				"traceId": trace, "spanId": id, "parentSpanId": parent, "name": name, "kind": kind,
				"startTimeUnixNano": fmt.Sprint(began.Add(time.Duration(from) * time.Millisecond).UnixNano()),
				"endTimeUnixNano":   fmt.Sprint(began.Add(time.Duration(to) * time.Millisecond).UnixNano()),
			}
			for k, v := range more {
				sp[k] = v
			}
			all = append(all, span{"resource": span{"attributes": attrs("service.name", service, "host.name", "node-1")}, "scopeSpans": []any{span{"scope": span{"name": "lib"}, "spans": []any{sp}}}})
		}
		front := span{"attributes": attrs("http.route", "/checkout", "http.response.status_code", 200, "cache.hit", true, "ratio", 0.25, "html", "<b>1</b>")}
		bank := span{}
		if i == 2 {
			front["status"] = span{"code": 2, "message": "payment failed"}
			bank["status"] = span{"code": 2}
			bank["events"] = []any{span{"timeUnixNano": fmt.Sprint(began.Add(130 * time.Millisecond).UnixNano()), "name": "exception", "attributes": attrs("exception.message", "the bank did not answer")}}
		}
		of("frontend", "b7ad6b7169203331", "", "GET /checkout", 2, 0, 300+i, front)
		of("frontend", "b7ad6b7169203332", "b7ad6b7169203331", "charge", 3, 100, 280, span{})
		of("payments", "b7ad6b7169203333", "b7ad6b7169203332", "/Payments/Charge", 2, 110, 270, bank)
		of("cart", "b7ad6b7169203334", "b7ad6b7169203331", "/Cart/Get", 2, 5, 90, span{})
	}
	body, err := json.Marshal(span{"resourceSpans": all})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("POST", s.Base+"/v1/traces", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, b)
	}
}

// looks goes through the page as its users do.
func looks(t *testing.T, base string) {
	b := browse(t)
	b.open(base+"/search?limit=20&lookback=1h&service=frontend", "5 Traces", "frontend: GET /checkout", "payments (1)", "4 Spans", "2 Errors", "302ms")
	b.is(`[...document.querySelectorAll(".recharts-dot")].filter(e => e.getAttribute("r") > 0).map(e => e.getAttribute("fill")).join()`, "#12939A,#12939A,red,#12939A,#12939A")
	b.shot("search")
	b.open(base+"/search?limit=20&lookback=1h&service=frontend&operation="+url.QueryEscape("GET /checkout")+"&tags="+url.QueryEscape(`{"error":"true"}`), "1 Trace", "302ms")
	b.open(base+"/search?limit=20&lookback=1h&service=frontend&minDuration=304ms", "1 Trace", "304ms")
	failed := paid[:31] + "e"
	b.open(base+"/trace/"+failed, "frontend: GET /checkout", "Services3", "Depth3", "Total Spans4", "/Payments/Charge", "/Cart/Get")
	for range 4 { // open each span, and its tags, process and events
		b.eval(`document.querySelectorAll('.span-view').forEach(e => { if (!e.dataset.open) { e.dataset.open = 1; e.click() } })`)
		b.eval(`document.querySelectorAll('.AccordionText--header, .AccordianText--header, [class*="--header"][role="switch"][aria-checked="false"]').forEach(e => e.click())`)
	}
	b.sees("cache.hit", "<b>1</b>", "host.name", "otel.status_code\t\nERROR", "payment failed")
	b.shot("trace")
	b.open(base+"/dependencies", "frontend", "payments", "cart")
	b.shot("dependencies")
	for _, c := range b.complaints {
		t.Errorf("the page complains: %s", c)
	}
}
