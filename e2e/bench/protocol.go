package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// inWays is the name of the part that loads the same records by every protocol.
const inWays = "protocols"

// A protocol is one way in which the same records come in. The part "protocols"
// loads them by each: the first is the measure of the others.
type protocol struct {
	name              string
	path, contentType string
	body              func(d *drawer, from, to int) []byte
	header            http.Header
	refused           func(answer []byte) string
	configure         string // of one with a port of its own: the configuration, with %s for its address
	speak             func(c *wire, body []byte) error
	prefix            string // of the names of fields
}

// ways are all protocols that are measured, in the order of the report.
var ways = []protocol{
	{name: "elastic-bulk", path: "/_bulk", contentType: "application/x-ndjson", body: bulk, refused: (&meshtrail{}).refused},
	{name: "loki-json", path: "/loki/api/v1/push", contentType: "application/json", body: (&loki{}).body},
	{name: "loki-proto", path: "/loki/api/v1/push", contentType: "application/x-protobuf", body: lokiProto},
	{name: "otlp-proto", path: "/v1/logs", contentType: "application/x-protobuf", body: otlpProto},
	{name: "otlp-json", path: "/v1/logs", contentType: "application/json", body: otlpJSON},
	{name: "otlp-grpc", path: "/opentelemetry.proto.collector.logs.v1.LogsService/Export", contentType: "application/grpc", body: otlpGRPC,
		header: http.Header{"Te": {"trailers"}}},
	{name: "ndjson", path: "/api/v1/ingest", contentType: "application/x-ndjson", body: lines},
	{name: "datadog", path: "/api/v2/logs", contentType: "application/json", body: datadogBody},
	{name: "splunk-hec", path: "/services/collector/event", contentType: "application/json", body: splunkBody},
	{name: "otlp-spans", path: "/v1/traces", contentType: "application/x-protobuf", body: spanProto},
	{name: "zipkin-json", path: "/api/v2/spans", contentType: "application/json", body: zipkinJSON},
	{name: "zipkin-proto", path: "/api/v2/spans", contentType: "application/x-protobuf", body: zipkinProto},
	{name: "jaeger-thrift", path: "/api/traces", contentType: "application/x-thrift", body: jaegerThrift},
	{name: "envoy-als", path: "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", contentType: "application/grpc", body: alsBody,
		header: http.Header{"Te": {"trailers"}}, prefix: "custom_tags_"},
	{name: "forward", configure: "receivers:\n  fluent: {listen: %s}\n", body: forwardBody, speak: speakForward},
	{name: "lumberjack", configure: "receivers:\n  lumberjack: {listen: %s}\n", body: lumberjackBody, speak: speakLumberjack},
	{name: "syslog-tcp", configure: "receivers:\n  syslog: {tcp: {listen: %s}}\n", body: syslogBody, speak: speakAlone},
	{name: "gelf-tcp", configure: "receivers:\n  gelf: {tcp: {listen: %s}}\n", body: gelfBody, speak: speakAlone},
}

// spoken is Meshtrail, loaded by one of its protocols.
type spoken struct {
	*meshtrail
	p    *protocol
	addr string // of a receiver with a port of its own
}

func (s *spoken) name() string                        { return s.p.name }
func (s *spoken) body(d *drawer, from, to int) []byte { return s.p.body(d, from, to) }
func (s *spoken) post() (path, contentType string)    { return s.p.path, s.p.contentType }
func (s *spoken) refused(answer []byte) string {
	if s.p.refused == nil {
		return "" // a refusal is a status
	}
	return s.p.refused(answer)
}

// plainText undoes the one escape that drawn texts have.
func plainText(v string) string { return strings.ReplaceAll(v, `\u0026`, "&") }

// lines writes records as lines of JSON.
func lines(d *drawer, from, to int) []byte {
	b := make([]byte, 0, (to-from)*900)
	for i := from; i < to; i++ {
		b = append(d.draw(i).appendJSON(b), '\n')
	}
	return b
}

// datadogBody writes records as the agent does: the line as message.
func datadogBody(d *drawer, from, to int) []byte {
	b := []byte{'['}
	for i := from; i < to; i++ {
		if i > from {
			b = append(b, ',')
		}
		e := d.draw(i)
		b = fmt.Appendf(b, `{"ddsource":"envoy","service":%q,"hostname":%q,"timestamp":%d,"status":"info","ddtags":"env:prod,cluster_name:%s","message":`,
			e.pod.service, e.pod.name, e.at.UnixMilli(), e.pod.cluster)
		b = append(appendQuoted(b, e.appendJSON(nil)), '}')
	}
	return append(b, ']')
}

// splunkBody writes records as events of objects, one after the other.
func splunkBody(d *drawer, from, to int) []byte {
	var b []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		b = fmt.Appendf(b, `{"time":%d.%06d,"host":%q,"source":"envoy","sourcetype":"_json","event":`, e.at.Unix(), e.at.Nanosecond()/1000, e.pod.name)
		b = append(e.appendJSON(b), '}')
	}
	return b
}

// appendQuoted appends text, which is ASCII, as a JSON string.
func appendQuoted(b, text []byte) []byte {
	b = append(b, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// Protobuf, by hand: what is measured is the receiver.

func pbText(b []byte, n protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func pbBytes(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func pbInt(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func pbTime(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), v)
}

// lokiProto writes records as Promtail does: streams of lines, under snappy.
func lokiProto(d *drawer, from, to int) []byte {
	streams := map[*pod][]byte{}
	var order []*pod
	var line, at, one []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		b, known := streams[e.pod]
		if !known {
			order = append(order, e.pod)
			b = pbText(nil, 1, fmt.Sprintf("{cluster=%q, namespace=%q, service=%q, pod=%q, mesh=%q}",
				e.pod.cluster, e.pod.namespace, e.pod.service, e.pod.name, e.pod.mesh))
		}
		line = e.appendJSON(line[:0])
		at = pbInt(pbInt(at[:0], 1, uint64(e.at.Unix())), 2, uint64(e.at.Nanosecond()))
		one = pbBytes(pbBytes(one[:0], 1, at), 2, line)
		streams[e.pod] = pbBytes(b, 2, one)
	}
	var all []byte
	for _, p := range order {
		all = pbBytes(all, 1, streams[p])
	}
	return snappy.Encode(nil, all)
}

// otlpAttribute appends field n, a KeyValue.
func otlpAttribute(b []byte, n protowire.Number, name string, value []byte) []byte {
	return pbBytes(b, n, pbBytes(pbText(nil, 1, name), 2, value))
}

// otlpResource writes the place of a pod as a Resource.
func otlpResource(p *pod) (b []byte) {
	for _, kv := range [][2]string{{"cluster", p.cluster}, {"namespace", p.namespace}, {"service.name", p.service}, {"pod", p.name}, {"mesh", p.mesh}} {
		b = otlpAttribute(b, 1, kv[0], pbText(nil, 1, kv[1]))
	}
	return b
}

// otlpFields appends what of a record is not its resource's as attributes.
func otlpFields(b []byte, n protowire.Number, e *entry) []byte {
	e.each(func(name, v string) {
		switch name {
		case "cluster", "namespace", "service", "pod", "mesh", "trace_id", "msg", "level":
			return
		}
		b = otlpAttribute(b, n, name, pbText(nil, 1, plainText(v)))
	}, func(name string, v int) {
		b = otlpAttribute(b, n, name, pbInt(nil, 3, uint64(v)))
	})
	return b
}

// grouped writes the records of each pod under its resource: what one gives for
// each, 1 resource and 2 scope around them, and 1 around all.
func grouped(d *drawer, from, to int, one func(*entry, int) []byte) []byte {
	scopes := map[*pod][]byte{}
	var order []*pod
	for i := from; i < to; i++ {
		e := d.draw(i)
		if _, known := scopes[e.pod]; !known {
			order = append(order, e.pod)
		}
		scopes[e.pod] = pbBytes(scopes[e.pod], 2, one(e, i))
	}
	var all []byte
	for _, p := range order {
		all = pbBytes(all, 1, pbBytes(pbBytes(nil, 1, otlpResource(p)), 2, scopes[p]))
	}
	return all
}

func hexBytes(s string) []byte {
	b, _ := hex.DecodeString(s) // drawn of such digits
	return b
}

// otlpProto writes records as an ExportLogsServiceRequest: fields as attributes,
// the message of an application's as body.
func otlpProto(d *drawer, from, to int) []byte {
	return grouped(d, from, to, func(e *entry, _ int) []byte {
		b := pbTime(nil, 1, uint64(e.at.UnixNano()))
		if e.upstream == nil {
			b = pbBytes(pbText(b, 3, e.level), 5, pbText(nil, 1, e.msg))
		}
		return pbBytes(otlpFields(b, 6, e), 9, hexBytes(e.traceID))
	})
}

// otlpGRPC is otlpProto as one gRPC message.
func otlpGRPC(d *drawer, from, to int) []byte {
	m := otlpProto(d, from, to)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// spanProto writes the access records as spans, and the others too.
func spanProto(d *drawer, from, to int) []byte {
	return grouped(d, from, to, func(e *entry, i int) []byte {
		b := pbBytes(pbBytes(nil, 1, hexBytes(e.traceID)), 2, binary.BigEndian.AppendUint64(nil, uint64(i)+1))
		b = pbInt(pbText(b, 5, e.method+" "+plainText(e.path)), 6, 2)
		start := uint64(e.at.UnixNano())
		b = pbTime(pbTime(b, 7, start), 8, start+uint64(e.duration)*1e6)
		return otlpFields(b, 9, e)
	})
}

// otlpJSON is otlpProto in OTLP's JSON form.
func otlpJSON(d *drawer, from, to int) []byte {
	logs := map[*pod][]byte{}
	var order []*pod
	for i := from; i < to; i++ {
		e := d.draw(i)
		b, known := logs[e.pod]
		if !known {
			order = append(order, e.pod)
		} else {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"timeUnixNano":"%d","traceId":%q`, e.at.UnixNano(), e.traceID)
		if e.upstream == nil {
			b = fmt.Appendf(b, `,"severityText":%q,"body":{"stringValue":%q}`, e.level, e.msg)
		}
		b = append(b, `,"attributes":[`...)
		first := true
		add := func(name, kind, v string) {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = fmt.Appendf(b, `{"key":%q,"value":{%q:"%s"}}`, name, kind, v)
		}
		e.each(func(name, v string) {
			switch name {
			case "cluster", "namespace", "service", "pod", "mesh", "trace_id", "msg", "level":
			default:
				add(name, "stringValue", v)
			}
		}, func(name string, v int) { add(name, "intValue", fmt.Sprint(v)) })
		logs[e.pod] = append(b, "]}"...)
	}
	out := []byte(`{"resourceLogs":[`)
	for i, p := range order {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, `{"resource":{"attributes":[{"key":"cluster","value":{"stringValue":%q}},{"key":"namespace","value":{"stringValue":%q}},{"key":"service.name","value":{"stringValue":%q}},{"key":"pod","value":{"stringValue":%q}},{"key":"mesh","value":{"stringValue":%q}}]},"scopeLogs":[{"scope":{},"logRecords":[%s]}]}`,
			p.cluster, p.namespace, p.service, p.name, p.mesh, logs[p])
	}
	return append(out, "]}"...)
}

// zipkinJSON writes records as a list of Zipkin spans.
func zipkinJSON(d *drawer, from, to int) []byte {
	b := []byte{'['}
	for i := from; i < to; i++ {
		if i > from {
			b = append(b, ',')
		}
		e := d.draw(i)
		b = fmt.Appendf(b, `{"traceId":%q,"id":"%016x","kind":"SERVER","name":"%s %s","timestamp":%d,"duration":%d,"localEndpoint":{"serviceName":%q},"tags":{`,
			e.traceID, i+1, strings.ToLower(e.method), e.path, e.at.UnixMicro(), max(e.duration, 1)*1000, e.pod.service)
		first := true
		add := func(name, v string) {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = fmt.Appendf(b, `%q:"%s"`, name, v)
		}
		e.each(func(name, v string) {
			if name != "service" && name != "trace_id" {
				add(name, v)
			}
		}, func(name string, v int) { add(name, fmt.Sprint(v)) })
		b = append(b, "}}"...)
	}
	return append(b, ']')
}

// inAllWays replaces the stores to measure by ours alone, once for each protocol,
// or each of those that only names.
func inAllWays(targets []target, only string) (list []target) {
	for _, t := range targets {
		if m, ok := t.(*meshtrail); ok {
			for i := range ways {
				if only != "" && !slices.Contains(strings.Split(only, ","), ways[i].name) {
					continue
				}
				list = append(list, &spoken{meshtrail: &meshtrail{peer: newPeer(), bin: m.bin}, p: &ways[i]})
			}
		}
	}
	return list
}

// start starts the server with the receiver of the protocol on a free port.
func (s *spoken) start(ctx context.Context, dir string, fresh bool) (*child, error) {
	if s.p.contentType == "application/grpc" {
		h2 := new(http.Protocols)
		h2.SetUnencryptedHTTP2(true)
		s.client.Transport = &http.Transport{Protocols: h2, DisableCompression: true}
	}
	for name, values := range s.p.header {
		s.peer.header[name] = values
	}
	if s.p.speak == nil {
		return s.meshtrail.start(ctx, dir, fresh)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.addr = "127.0.0.1:" + port
	file := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, s.p.configure, s.addr), 0o600); err != nil {
		return nil, err
	}
	return s.meshtrail.startWith(ctx, dir, fresh, "--config", file)
}

// do is peer.do, and for gRPC a call whose trailer must say OK.
func (s *spoken) do(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error) {
	if contentType != "application/grpc" {
		return s.meshtrail.do(ctx, method, path, contentType, body)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = s.peer.header.Clone()
	req.Header.Set("Content-Type", contentType)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	status := resp.Trailer.Get("Grpc-Status")
	if status == "" {
		status = resp.Header.Get("Grpc-Status")
	}
	if err == nil && status != "0" {
		err = fmt.Errorf("%s answered %d, status %q: %s", path, resp.StatusCode, status, resp.Trailer.Get("Grpc-Message"))
	}
	return b, err
}
