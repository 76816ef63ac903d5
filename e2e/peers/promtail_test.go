package peers

import "testing"

// TestPromtail sends through Promtail, which keeps its position in the file and
// tries a batch again until it gives up (backoff_config): here it does not.
func TestPromtail(t *testing.T) {
	ship(t, shipper{
		client: "Promtail", protocol: "Loki", binary: "promtail",
		setup: func(sc *scene) []string {
			return []string{"-config.file", sc.write("promtail.yaml", sc.expand(`
server: {http_listen_port: 0, grpc_listen_port: 0, http_listen_address: 127.0.0.1, grpc_listen_address: 127.0.0.1}
positions: {filename: "${DIR}/positions.yaml", sync_period: 1s}
clients:
  - url: http://${ADDR}/loki/api/v1/push
    basic_auth: {username: any, password: "${TOKEN}"}
    batchwait: 200ms
    batchsize: 20000
    backoff_config: {min_period: 200ms, max_period: 2s, max_retries: 1000}
scrape_configs:
  - job_name: peers
    static_configs:
      - targets: [localhost]
        labels: {app: peers, __path__: "${FILE}"}
`))}
		},
	})
}
