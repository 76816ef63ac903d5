package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// A dialect is one protocol over HTTP: how a batch is said, and by what answer
// its sender knows that it is kept.
type dialect struct {
	name string
	// once is set where the protocol itself tells a repetition: then none may be
	// seen twice. Else a batch may be whose answer was lost.
	once bool
	path string
	// header tells the token, and what else the protocol's clients send.
	header func(token string, batch int) map[string]string
	// body says the records, each an object with the members id and app.
	body func(batch int, docs []string) []byte
	kept func(code int, answer []byte) bool
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func code(want int) func(int, []byte) bool {
	return func(got int, _ []byte) bool { return got == want }
}

const hecChannel = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba"

var dialects = []dialect{
	{
		name: "datadog", path: "/api/v2/logs", kept: code(202),
		header: func(token string, _ int) map[string]string {
			return map[string]string{"DD-API-KEY": token, "Content-Type": "application/json", "Content-Encoding": "gzip"}
		},
		body: func(_ int, docs []string) []byte {
			for i, d := range docs {
				q, _ := json.Marshal(d)
				docs[i] = fmt.Sprintf(`{"message":%s,"status":"info","hostname":"h","service":"web","ddsource":"go","ddtags":"env:prod"}`, q)
			}
			return gz([]byte("[" + strings.Join(docs, ",") + "]"))
		},
	},
	{
		name: "splunk", path: "/services/collector/event",
		header: func(token string, _ int) map[string]string {
			return map[string]string{"Authorization": "Splunk " + token, "X-Splunk-Request-Channel": hecChannel}
		},
		body: func(_ int, docs []string) []byte {
			for i, d := range docs {
				docs[i] = `{"time":1700000000.5,"host":"h","sourcetype":"_json","event":` + d + `}`
			}
			return []byte(strings.Join(docs, ""))
		},
		kept: func(code int, answer []byte) bool {
			return code == 200 && bytes.HasPrefix(answer, []byte(`{"text":"Success","code":0,"ackId":`))
		},
	},
	{
		name: "kubeaudit", once: true, path: "/kubernetes/audit?timeout=30s", kept: code(200),
		header: func(token string, _ int) map[string]string {
			return map[string]string{"Authorization": "Bearer " + token}
		},
		body: func(batch int, docs []string) []byte {
			for i, d := range docs {
				docs[i] = fmt.Sprintf(`{"auditID":"%d-%d","stage":"ResponseComplete","verb":"get",%s`, batch, i, d[1:])
			}
			return []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + strings.Join(docs, ",") + `]}`)
		},
	},
	{
		name: "firehose", once: true, path: "/aws/firehose",
		header: func(token string, batch int) map[string]string {
			return map[string]string{"X-Amz-Firehose-Access-Key": token, "X-Amz-Firehose-Request-Id": fmt.Sprint("r", batch), "Content-Type": "application/json"}
		},
		body: func(batch int, docs []string) []byte {
			for i, d := range docs {
				docs[i] = `{"data":"` + base64.StdEncoding.EncodeToString([]byte(d+"\n")) + `"}`
			}
			return fmt.Appendf(nil, `{"requestId":"r%d","timestamp":%d,"records":[%s]}`, batch, time.Now().UnixNano(), strings.Join(docs, ","))
		},
		kept: func(code int, answer []byte) bool {
			return code == 200 && bytes.HasPrefix(answer, []byte(`{"requestId":"r`))
		},
	},
	{
		name: "httpjson", path: "/api/v1/ingest", kept: code(200),
		header: func(token string, _ int) map[string]string {
			return map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/x-ndjson"}
		},
		body: func(_ int, docs []string) []byte { return []byte(strings.Join(docs, "\n") + "\n") },
	},
}

// TestHTTPJourney sends 10,000 records in each of the protocols over HTTP while
// the server is killed twice; each sender repeats a batch until it is answered as
// the protocol's own clients want it.
func TestHTTPJourney(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	data := harness.Init(t)
	s := harness.Serve(t, data, "--listen", addr)
	const size = 100
	var acked, lost atomic.Int64
	errs := make(chan error, len(dialects))
	for _, d := range dialects {
		go func() {
			client := &http.Client{Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for batch := range travellers / size {
				for try := 0; ; try++ {
					docs := make([]string, size)
					for i := range docs {
						docs[i] = fmt.Sprintf(`{"app":"journey","id":"%s-%d"}`, d.name, batch*size+i)
					}
					answered, err := post(client, "http://"+addr+d.path, d.header(s.Token, batch), d.body(batch, docs), d.kept)
					if err == nil {
						break
					}
					if answered {
						lost.Add(1)
					}
					if try == 500 {
						errs <- fmt.Errorf("%s: batch %d is not taken: %w", d.name, batch, err)
						return
					}
					<-time.After(20 * time.Millisecond)
				}
				acked.Add(size)
			}
			errs <- nil
		}()
	}
	total := int64(len(dialects) * travellers)
	for _, at := range []int64{total / 4, total * 3 / 5} {
		for end := time.Now().Add(60 * time.Second); acked.Load() < at; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("only %d records were acknowledged\n%s", acked.Load(), s.Log)
			}
		}
		s.Kill()
		s = harness.Serve(t, data, "--listen", addr)
	}
	for range dialects {
		if err := <-errs; err != nil {
			t.Fatalf("%v\n%s", err, s.Log)
		}
	}
	if lost.Load() > 0 {
		t.Errorf("%d batches were answered, and not as they should be", lost.Load())
	}
	seen := map[string]int{}
	for _, f := range s.Ask(`{app="journey"}`) {
		id, _ := f.Fields["id"].(string)
		seen[id]++
	}
	for _, d := range dialects {
		missing, twice := 0, 0
		for i := range travellers {
			switch n := seen[fmt.Sprintf("%s-%d", d.name, i)]; {
			case n == 0:
				missing++
			case n > 1:
				twice++
			}
		}
		t.Logf("%s: %d shown twice", d.name, twice)
		if missing > 0 || twice > 0 && d.once || twice > 2*size {
			t.Errorf("%s: of %d acknowledged records %d are missing and %d are shown twice", d.name, travellers, missing, twice)
		}
	}
	s.Stop()
	harness.Run(t, 0, "verify", data)
}

// post sends a batch; answered reports whether there was an answer that is none of
// a server which starts or stops.
func post(c *http.Client, url string, header map[string]string, body []byte, kept func(int, []byte) bool) (answered bool, err error) {
	req, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if !kept(resp.StatusCode, text) {
		return resp.StatusCode != http.StatusServiceUnavailable, fmt.Errorf("%d %.200s", resp.StatusCode, text)
	}
	return true, nil
}

// TestSplunkAcknowledgementOverARestart asks after a restart for what was
// acknowledged before it.
func TestSplunkAcknowledgementOverARestart(t *testing.T) {
	t.Parallel()
	data := harness.Init(t)
	s := harness.Serve(t, data)
	header := map[string]string{"Authorization": "Splunk " + s.Token, "X-Splunk-Request-Channel": hecChannel}
	var sent struct {
		AckID int64 `json:"ackId"`
	}
	if err := json.Unmarshal(s.Must("POST", "/services/collector/raw?sourcetype=x", header, []byte("one line\n")), &sent); err != nil || sent.AckID == 0 {
		t.Fatal(err, sent)
	}
	for range 2 {
		ask := fmt.Sprintf(`{"acks":[%d,7]}`, sent.AckID)
		if got := s.Must("POST", "/services/collector/ack", header, []byte(ask)); string(got) != fmt.Sprintf(`{"acks":{"%d":true,"7":false}}`, sent.AckID) {
			t.Errorf("%s", got)
		}
		s.Kill()
		s = harness.Serve(t, data)
	}
	if found := s.Ask(`{com_splunk_sourcetype="x"}`); len(found) != 1 || found[0].Line != "one line" {
		t.Errorf("%v", found)
	}
}

// TestElasticDocumentTwice creates one document twice, over a restart.
func TestElasticDocumentTwice(t *testing.T) {
	t.Parallel()
	data := harness.Init(t)
	s := harness.Serve(t, data)
	put := func(path, doc string) int {
		code, _, err := s.Request("PUT", path, map[string]string{"Content-Type": "application/json"}, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	got := []int{put("/logs/_create/a", `{"n":1}`), put("/logs/_create/a", `{"n":1}`)}
	s.Kill()
	s = harness.Serve(t, data)
	got = append(got, put("/logs/_create/a", `{"n":1}`), put("/logs/_doc/a", `{"n":1}`), put("/logs/_create/a", `{"n":2}`))
	if fmt.Sprint(got) != "[201 409 409 200 201]" {
		t.Errorf("answers %v", got)
	}
	if found := s.Ask(`{elastic_index="logs"}`); len(found) != 2 {
		t.Errorf("%d records: %v", len(found), found)
	}
}
