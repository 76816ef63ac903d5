package peers

import "testing"

// fluentd is Fluentd with one output, and a buffer on the disk.
func fluentd(protocol, output, repeats string) shipper {
	return shipper{
		client: "Fluentd", protocol: protocol, binary: "fluentd", repeats: repeats,
		setup: func(sc *scene) []string {
			return []string{"--no-supervisor", "-c", sc.write("fluentd.conf", sc.expand(`
<source>
  @type tail
  path ${FILE}
  pos_file ${DIR}/records.pos
  tag peers
  read_from_head true
  refresh_interval 1s
  <parse>
    @type json
  </parse>
</source>
<match peers>
`+output+`
  <buffer>
    @type file
    path ${DIR}/buffer
    flush_interval 0.3s
    flush_thread_count 2
    retry_wait 0.5s
    retry_max_interval 2s
    retry_forever true
  </buffer>
</match>
`))}
		},
	}
}

func TestFluentd(t *testing.T) {
	for name, sh := range map[string]shipper{
		"forward": forward(fluentd("Fluent forward", `
  @type forward
  require_ack_response true
  <server>
    host 127.0.0.1
    port ${fluent}
  </server>
`, ""), ""),
		"forward_secure": forward(fluentd("Fluent forward, gzip, shared key", `
  @type forward
  require_ack_response true
  compress gzip
  heartbeat_type none
  <security>
    self_hostname sender
    shared_key forward-secret
  </security>
  <server>
    host 127.0.0.1
    port ${fluent}
  </server>
`, ""), "forward-secret"),
		"http": fluentd("JSON over HTTP", `
  @type http
  endpoint http://${ADDR}/api/v1/ingest
  json_array true
  <auth>
    method basic
    username any
    password ${TOKEN}
  </auth>
`, lostAnswer),
		"elasticsearch": fluentd("Elasticsearch", `
  @type elasticsearch
  host 127.0.0.1
  port ${PORT}
  user any
  password ${TOKEN}
  index_name peers
  type_name _doc
  suppress_type_name true
`, lostAnswer),
		"elasticsearch_ids": fluentd("Elasticsearch, with ids", `
  @type elasticsearch
  host 127.0.0.1
  port ${PORT}
  user any
  password ${TOKEN}
  index_name peers
  suppress_type_name true
  id_key n
  write_operation create
`, ""),
	} {
		t.Run(name, func(t *testing.T) { ship(t, sh) })
	}
}
