package peers

import (
	"strconv"
	"testing"
)

// collector is an OpenTelemetry Collector that reads the file and keeps its queue
// on the disk.
func collector(protocol, kind, exporter string) shipper {
	return shipper{
		client: "OpenTelemetry Collector", protocol: protocol, binary: "otelcol",
		repeats: "OTLP does not number requests: one whose answer was lost is sent again",
		setup: func(sc *scene) []string {
			return []string{"--config", sc.write("otelcol.yaml", sc.expand(`
extensions:
  file_storage: {directory: "${DIR}"}
receivers:
  filelog:
    include: ["${FILE}"]
    start_at: beginning
    storage: file_storage
    poll_interval: 100ms
exporters:
  `+kind+`:
`+exporter+`
    headers: {Authorization: "Bearer ${TOKEN}"}
    retry_on_failure: {initial_interval: 500ms, max_interval: 2s, max_elapsed_time: 0}
    sending_queue:
      storage: file_storage
      block_on_overflow: true
      batch: {flush_timeout: 200ms, min_size: 400, max_size: 1000}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [filelog], exporters: [`+kind+`]}
`))}
		},
	}
}

func TestCollector(t *testing.T) {
	for name, sh := range map[string]shipper{
		"http": collector("OTLP/HTTP", "otlphttp", `
    endpoint: http://${ADDR}
    compression: zstd`),
		"grpc": collector("OTLP/gRPC", "otlp", `
    endpoint: ${ADDR}
    tls: {insecure: true}`),
	} {
		t.Run(name, func(t *testing.T) { ship(t, sh) })
	}
}

// TestTelemetrygen sends what the generator of OpenTelemetry makes, with the
// exporters of its Go SDK. Its records are alike.
func TestTelemetrygen(t *testing.T) {
	for name, flags := range map[string][]string{"http": {"--otlp-http"}, "grpc": nil} {
		sh := shipper{
			client: "telemetrygen", protocol: "OTLP/" + map[string]string{"http": "HTTP", "grpc": "gRPC"}[name], binary: "telemetrygen",
			alike: true, makes: true, repeats: lostAnswer,
			setup: func(sc *scene) []string {
				return append([]string{
					"logs", "--otlp-insecure", "--otlp-endpoint", sc.expand("${ADDR}"), "--otlp-header", sc.expand(`Authorization="Bearer ${TOKEN}"`),
					"--logs", strconv.Itoa(shipRecords), "--rate", "2000", "--body", "peer-000000- of telemetrygen", "--allow-export-failures",
				}, flags...)
			},
		}
		if name == "http" {
			sh.loses = "the HTTP exporter of the Go SDK tries again on statuses only, not when nobody listens"
		}
		t.Run(name, func(t *testing.T) { ship(t, sh) })
	}
}
