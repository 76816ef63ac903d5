package peers

import "testing"

// fluentBit is Fluent Bit with one output. It reads the file from its head,
// remembers where it was in a database, and buffers on the disk.
func fluentBit(protocol, output, repeats string) shipper {
	return shipper{
		client: "Fluent Bit", protocol: protocol, binary: "fluent-bit", repeats: repeats,
		setup: func(sc *scene) []string {
			sc.write("parsers.conf", "[PARSER]\n    Name json\n    Format json\n")
			return []string{"-c", sc.write("fluent-bit.conf", sc.expand(`
[SERVICE]
    Flush        0.2
    Grace        2
    Log_Level    info
    Parsers_File ${DIR}/parsers.conf
    storage.path ${DIR}/buffer
    scheduler.base 1
    scheduler.cap  2
[INPUT]
    Name           tail
    Path           ${FILE}
    Parser         json
    Tag            peers
    DB             ${DIR}/tail.db
    Read_from_Head On
    Refresh_Interval 1
    storage.type   filesystem
[OUTPUT]
    Match          *
    Host           127.0.0.1
    Retry_Limit    no_limits
`+output))}
		},
	}
}

// forward gives the server a listener for the forward protocol, with a shared key
// if there is one.
func forward(sh shipper, key string) shipper {
	sh.receivers = func(sc *scene) string {
		config := "  fluent:\n    listen: " + sc.listener("fluent") + "\n"
		if key != "" {
			config += "    shared_key_file: " + sc.write("forward.key", key+"\n") + "\n"
		}
		return config
	}
	return sh
}

const lostAnswer = "a chunk whose answer was lost is sent again, and nothing in it says so"

func TestFluentBit(t *testing.T) {
	for name, sh := range map[string]shipper{
		"es": fluentBit("Elasticsearch", `
    Name           es
    Port           ${PORT}
    HTTP_User      any
    HTTP_Passwd    ${TOKEN}
    Suppress_Type_Name On
`, lostAnswer),
		"es_ids": fluentBit("Elasticsearch", `
    Name           es
    Port           ${PORT}
    HTTP_User      any
    HTTP_Passwd    ${TOKEN}
    Generate_ID    On
    Write_Operation create
    Compress       gzip
`, ""),
		"loki": fluentBit("Loki", `
    Name           loki
    Port           ${PORT}
    HTTP_User      any
    HTTP_Passwd    ${TOKEN}
    Labels         app=peers
    Line_Format    json
`, lostAnswer),
		"opentelemetry": fluentBit("OTLP/HTTP", `
    Name           opentelemetry
    Port           ${PORT}
    Logs_uri       /v1/logs
    Header         Authorization Bearer ${TOKEN}
    logs_body_key  message
`, lostAnswer),
		"splunk": fluentBit("Splunk HEC", `
    Name           splunk
    Port           ${PORT}
    Splunk_Token   ${TOKEN}
`, lostAnswer),
		"datadog": fluentBit("Datadog", `
    Name           datadog
    Port           ${PORT}
    apikey         ${TOKEN}
    dd_message_key message
`, lostAnswer),
		"forward": forward(fluentBit("Fluent forward", `
    Name           forward
    Port           ${fluent}
    Require_ack_response On
`, ""), ""),
		"forward_secure": forward(fluentBit("Fluent forward, gzip, shared key", `
    Name           forward
    Port           ${fluent}
    Require_ack_response On
    Compress       gzip
    Self_Hostname  sender
    Shared_Key     forward-secret
`, ""), "forward-secret"),
	} {
		t.Run(name, func(t *testing.T) { ship(t, sh) })
	}
}
