package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// victoriaLogs is VictoriaLogs with the stream fields that its documentation
// asks for and its defaults otherwise: it acknowledges from memory.
type victoriaLogs struct {
	peer
	bin string
}

func (v *victoriaLogs) name() string { return "victoria-logs" }

// rival says that it brings records to disk by the clock.
func (*victoriaLogs) rival() {}

func (v *victoriaLogs) start(ctx context.Context, dir string, _ bool) (*child, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	v.base = "http://127.0.0.1:" + port
	args := []string{"-storageDataPath=" + dir, "-httpListenAddr=127.0.0.1:" + port, "-retentionPeriod=100y", "-loggerLevel=ERROR"}
	return startChild(ctx, dir, v.bin, args, func(string) bool { return answers(v.base + "/health") })
}

func (v *victoriaLogs) body(d *drawer, from, to int) []byte { return bulk(d, from, to) }

func (v *victoriaLogs) post() (path, contentType string) {
	return "/insert/elasticsearch/_bulk?_stream_fields=cluster,namespace,service,pod,mesh&_time_field=@timestamp&_msg_field=msg", "application/x-ndjson"
}

func (v *victoriaLogs) refused(answer []byte) string {
	if bytes.Contains(answer, []byte(`"errors":true`)) {
		return string(answer[:min(len(answer), 300)])
	}
	return ""
}

// flush makes what is in memory searchable and starts its way to disk.
func (v *victoriaLogs) flush(ctx context.Context) error {
	_, err := v.do(ctx, "GET", "/internal/force_flush", "", nil)
	return err
}

func (v *victoriaLogs) ask(ctx context.Context, q *query, w *workload) (answer, error) {
	args := url.Values{"query": {q.victoria}, "start": {w.day.Format(time.RFC3339)}, "end": {w.end().Format(time.RFC3339)}}
	b, err := v.do(ctx, "GET", "/select/logsql/query?"+args.Encode(), "", nil)
	if err != nil {
		return answer{}, err
	}
	a := answer{groups: map[string]int{}, numbers: map[string]float64{}}
	for line := range bytes.Lines(b) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var m map[string]string
		if err := json.Unmarshal(line, &m); err != nil {
			return a, err
		}
		if q.group == nil {
			t, err := time.Parse(time.RFC3339Nano, m["_time"])
			if err != nil {
				return a, fmt.Errorf("a record without time: %.200s", line)
			}
			a.times = append(a.times, t.UnixNano())
			continue
		}
		if q.metric != nil {
			key := m[q.by]
			if q.step > 0 {
				at, err := time.Parse(time.RFC3339Nano, m["_time"])
				if err != nil {
					return a, fmt.Errorf("a window without time: %.200s", line)
				}
				key += q.window(w.day, at)
			}
			if a.numbers[key], err = strconv.ParseFloat(m["v"], 64); err != nil {
				return a, fmt.Errorf("a group without number: %.200s", line)
			}
			continue
		}
		n, err := strconv.Atoi(m["n"])
		if err != nil {
			return a, fmt.Errorf("a group without count: %.200s", line)
		}
		a.groups[m[q.by]] += n
	}
	return a.normal(), nil
}
