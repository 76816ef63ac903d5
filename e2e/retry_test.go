package e2e

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestRetriesWithoutAKey sends requests again whose protocol has no number for
// them, as clients do that got no answer: also to a server that was killed.
func TestRetriesWithoutAKey(t *testing.T) {
	data := harness.Init(t)
	s := harness.Serve(t, data)
	jsonType, protoType := map[string]string{"Content-Type": "application/json"}, map[string]string{"Content-Type": "application/x-protobuf"}
	otlp := func(body string, times ...string) []byte {
		var records []string
		for _, at := range times {
			records = append(records, fmt.Sprintf(`{"timeUnixNano":%q,"body":{"stringValue":%q}}`, at, body))
		}
		return []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Join(records, ",") + `]}]}]}`)
	}
	// ExportLogsServiceRequest { ResourceLogs 1 { ScopeLogs 2 { LogRecord 2 { fixed64
	// time_unix_nano = 1; AnyValue body = 5 { string_value = 1 } } } } }
	wrap := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	record := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 1_795_287_426_123_456_789)
	record = append(record, wrap(5, wrap(1, []byte("by gRPC")))...)
	message := wrap(1, wrap(2, wrap(2, record)))
	span := `[{"traceId":"0af7651916cd43dd8448eb211c80319c","id":"b7ad6b7169203331","name":"get","timestamp":1795287426000000,"duration":1000,"localEndpoint":{"serviceName":"shop"}}]`
	send := func() {
		t.Helper()
		for range 2 {
			s.Must("POST", "/v1/logs", jsonType, otlp("fine", "1795287426123456789", "1795287426123456790"))
			s.Must("POST", "/v1/logs", jsonType, otlp("coarse", "1795287426123000000"))
			s.Must("POST", "/v1/logs", jsonType, otlp("mixed", "1795287426123456789", "0"))
			s.Must("POST", "/v1/logs", protoType, message)
			s.Must("POST", "/api/v2/spans", jsonType, []byte(span))
		}
		conn, ctx := dial(t, s)
		var answer []byte
		for range 2 {
			if err := conn.Invoke(ctx, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", message, &answer, grpc.ForceCodec(bare{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	send()
	s.Kill()
	s = harness.Serve(t, data)
	defer s.Stop()
	send()
	for body, want := range map[string]int{`"line":"fine"`: 2, `"line":"coarse"`: 4, `"line":"mixed"`: 8, `"line":"by gRPC"`: 1, `,"span_id":"b7ad6b7169203331"`: 1} {
		out := string(s.Must("GET", "/api/v1/export?lang=search&query=*&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z", nil, nil))
		if n := strings.Count(out, body); n != want {
			t.Errorf("%s: %d records, want %d\n%.2000s", body, n, want, out)
		}
	}
}
