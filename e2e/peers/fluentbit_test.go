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

// listening gives the server a listener of the receiver with this name, over this
// transport.
func listening(sh shipper, name, transport string) shipper {
	sh.receivers = func(sc *scene) string {
		return "  " + name + ":\n    " + transport + ": {listen: " + sc.listener(name) + "}\n"
	}
	return sh
}

// lossy marks a protocol that acknowledges nothing.
func lossy(sh shipper) shipper {
	sh.repeats, sh.loses = "what is sent again is not known as that", "what was sent and not yet read when the server died is lost"
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
		"es_ids": fluentBit("Elasticsearch, with ids", `
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
`, ""),
		"opentelemetry": fluentBit("OTLP/HTTP", `
    Name           opentelemetry
    Port           ${PORT}
    Logs_uri       /v1/logs
    Header         Authorization Bearer ${TOKEN}
    logs_body_key  message
`, lostAnswer),
		"http": fluentBit("JSON over HTTP", `
    Name           http
    Port           ${PORT}
    URI            /api/v1/ingest
    Format         json
    HTTP_User      any
    HTTP_Passwd    ${TOKEN}
`, lostAnswer),
		"http_msgpack": fluentBit("MessagePack over HTTP", `
    Name           http
    Port           ${PORT}
    URI            /api/v1/ingest
    Compress       gzip
    HTTP_User      any
    HTTP_Passwd    ${TOKEN}
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
		"syslog": listening(lossy(fluentBit("syslog over TCP", `
    Name           syslog
    Mode           tcp
    Port           ${syslog}
    Syslog_Format  rfc5424
    Syslog_Message_Key message
`, "")), "syslog", "tcp"),
		"gelf": listening(lossy(fluentBit("GELF over TCP", `
    Name           gelf
    Mode           tcp
    Port           ${gelf}
    Gelf_Short_Message_Key message
`, "")), "gelf", "tcp"),
	} {
		t.Run(name, func(t *testing.T) { ship(t, sh) })
	}
}
