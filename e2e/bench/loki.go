package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// loki is Grafana Loki as one process over a local folder, its limits of rate
// lifted. max_chunk_age is raised because it also bounds how late a record may
// come, and a day of records comes in seconds here. Its write-ahead log is on,
// as it is by default; it is synced now and then, not before the answer.
type loki struct {
	peer
	bin string
}

func (l *loki) name() string { return "loki" }

// rival says that it brings records to disk by the clock.
func (*loki) rival() {}

const lokiConfig = `
auth_enabled: false
server:
  http_listen_address: 127.0.0.1
  http_listen_port: %[1]s
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: %[2]s
  log_level: error
  http_server_read_timeout: 5m
  http_server_write_timeout: 5m
  grpc_server_max_recv_msg_size: 209715200
  grpc_server_max_send_msg_size: 209715200
common:
  instance_addr: 127.0.0.1
  path_prefix: %[3]s
  replication_factor: 1
  ring: {kvstore: {store: inmemory}}
  storage:
    filesystem: {chunks_directory: %[3]s/chunks, rules_directory: %[3]s/rules}
storage_config: {use_thanos_objstore: false}
schema_config:
  configs:
    - {from: 2020-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {prefix: index_, period: 24h}}
ingester:
  max_chunk_age: 200h
  lifecycler: {min_ready_duration: 0s, final_sleep: 0s}
limits_config:
  ingestion_rate_mb: 10000
  ingestion_burst_size_mb: 10000
  per_stream_rate_limit: 10GB
  per_stream_rate_limit_burst: 10GB
  max_global_streams_per_user: 0
  max_line_size: 0
  reject_old_samples: false
  query_timeout: 5m
  max_query_series: 100000
analytics:
  reporting_enabled: false
`

func (l *loki) start(ctx context.Context, dir string, _ bool) (*child, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	grpc, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "loki.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, lokiConfig, port, grpc, dir), 0o600); err != nil {
		return nil, err
	}
	l.base = "http://127.0.0.1:" + port
	return startChild(ctx, dir, l.bin, []string{"-config.file=" + file}, func(string) bool { return answers(l.base + "/ready") })
}

// body writes records as Loki's JSON push: streams of lines, the record itself
// as the line, the pod's place as labels.
func (l *loki) body(d *drawer, from, to int) []byte {
	streams := map[*pod][]byte{}
	var order []*pod
	var line []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		b, known := streams[e.pod]
		if !known {
			order = append(order, e.pod)
			b = fmt.Appendf(nil, `{"stream":{"cluster":%q,"namespace":%q,"service":%q,"pod":%q,"mesh":%q},"values":[`,
				e.pod.cluster, e.pod.namespace, e.pod.service, e.pod.name, e.pod.mesh)
		} else {
			b = append(b, ',')
		}
		line = e.appendJSON(line[:0])
		b = append(strconv.AppendInt(append(b, `["`...), e.at.UnixNano(), 10), `",`...)
		streams[e.pod] = append(strconv.AppendQuote(b, string(line)), ']')
	}
	b := []byte(`{"streams":[`)
	for i, p := range order {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, streams[p]...), "]}"...)
	}
	return append(b, "]}"...)
}

func (l *loki) post() (path, contentType string) { return "/loki/api/v1/push", "application/json" }

func (l *loki) refused([]byte) string { return "" } // a refusal is a status

func (l *loki) flush(ctx context.Context) error {
	_, err := l.do(ctx, "POST", "/flush", "", nil)
	return err
}

func (l *loki) ask(ctx context.Context, q *query, w *workload) (answer, error) {
	return askLoki(ctx, &l.peer, q.loki, q, w)
}

// askLoki asks through the Loki API, which meshtrail speaks too.
func askLoki(ctx context.Context, p *peer, logql string, q *query, w *workload) (answer, error) {
	args, path := url.Values{"query": {logql}}, "/loki/api/v1/query_range"
	switch {
	case q.group == nil:
		args.Set("start", nanos(w.day))
		args.Set("end", nanos(w.end()))
		args.Set("limit", strconv.Itoa(newest))
	case q.step > 0 && q.metric != nil: // each window is one of the clock: it includes its end, and not its start
		args.Set("start", nanos(w.day.Add(q.step-time.Nanosecond)))
		args.Set("end", nanos(w.day.Add(24*time.Hour+q.step-time.Nanosecond)))
		args.Set("step", strconv.Itoa(int(q.step.Seconds())))
	case q.step > 0: // windows end at the half hour, so that they cover the day
		args.Set("start", nanos(w.day.Add(q.step/2)))
		args.Set("end", nanos(w.day.Add(24*time.Hour+q.step/2)))
		args.Set("step", strconv.Itoa(int(q.step.Seconds())))
	default:
		path = "/loki/api/v1/query"
		args.Set("time", nanos(w.end()))
	}
	b, err := p.do(ctx, "GET", path+"?"+args.Encode(), "", nil)
	if err != nil {
		return answer{}, err
	}
	return decodeLoki(b, q, w.day)
}

func decodeLoki(b []byte, q *query, day time.Time) (answer, error) {
	var r struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&r); err != nil {
		return answer{}, err
	}
	a := answer{groups: map[string]int{}, numbers: map[string]float64{}}
	for _, s := range r.Data.Result {
		if s.Value[1] != nil {
			s.Values = append(s.Values, s.Value)
		}
		for _, v := range s.Values {
			if q.group == nil {
				at, err := strconv.ParseInt(fmt.Sprint(v[0]), 10, 64)
				if err != nil {
					return a, fmt.Errorf("a record without time: %v", v[0])
				}
				a.times = append(a.times, at)
				continue
			}
			n, err := strconv.ParseFloat(fmt.Sprint(v[1]), 64)
			if err != nil {
				return a, fmt.Errorf("a sample without value: %v", v[1])
			}
			if q.metric == nil {
				a.groups[s.Metric[q.by]] += int(n)
				continue
			}
			key := s.Metric[q.by]
			if q.step > 0 { // the sample stands at the end of its window, in milliseconds
				at, err := strconv.ParseFloat(fmt.Sprint(v[0]), 64)
				if err != nil {
					return a, fmt.Errorf("a sample without time: %v", v[0])
				}
				end := time.UnixMilli(int64(math.Round(at * 1000))).Round(time.Second)
				key += q.window(day, end.Add(-time.Nanosecond))
			}
			a.numbers[key] = n
		}
	}
	return a.normal(), nil
}
