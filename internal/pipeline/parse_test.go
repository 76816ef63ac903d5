package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/policy"
)

func TestParse(t *testing.T) {
	in := `[2026-03-01T10:00:00.001Z] "GET /a HTTP/1.1" 200 - 0 12 3 2 "-" "ua" "id" "host:80" "10.0.0.1:80"` + "\r\n\n" +
		`{"msg":"x","n":1}` + "\n" + strings.Repeat("y", 3<<20) + "\nlast, without an end"
	var out bytes.Buffer
	if err := Parse(strings.NewReader(in), ParseOptions{}, &out); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{"envoy-text ok", "json ok", "none none", "text none"}
	if len(got) != len(want) {
		t.Fatalf("%d objects: %s", len(got), out.String())
	}
	for i, line := range got {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if s, _ := r["parse.format"].(string); s+" "+r["parse.status"].(string) != want[i] {
			t.Errorf("%d: %s %v, want %s", i, s, r["parse.status"], want[i])
		}
	}
	if !strings.HasPrefix(got[0], `{"timestamp":"2026-03-01T10:00:00.001Z","body":`) || strings.Contains(got[1], "timestamp") {
		t.Errorf("times: %s", out.String())
	}
	if err := Parse(strings.NewReader("x"), ParseOptions{Platform: "nope"}, &out); !fault.Is(err, fault.Invalid) {
		t.Errorf("unknown platform: %v", err)
	}
	if err := Parse(strings.NewReader(in), ParseOptions{}, broken{}); !errors.Is(err, errBroken) {
		t.Errorf("broken writer: %v", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// TestTryReadsAsIntake has a policy tried on a container of records, of which one
// would be refused, and on a line of a format of the operator's own.
func TestTryReadsAsIntake(t *testing.T) {
	formats, err := CompileFormats([]Format{{Name: "own", Platform: "envoy", Text: "%REQ(:METHOD)%|%RESPONSE_CODE%|%UPSTREAM_HOST%"}})
	if err != nil {
		t.Fatal(err)
	}
	trial, err := policy.NewTrial(policy.Config{Rules: []policy.Rule{
		{ID: "listed", When: []policy.Condition{{Field: "event.action", Is: "ListBuckets"}}, Drop: true},
		{ID: "failed", When: []policy.Condition{{Field: "http.response.status_code", Is: "503"}}, Class: "security"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	event := `{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","userIdentity":{"type":"Root"},"awsRegion":"x","eventTime":"2026-01-02T03:04:05Z"}`
	in := `{"Records":[` + event + `,` + event + `]}` + "\nGET|503|10.0.0.1:80\n"
	if err := Try(strings.NewReader(in), ParseOptions{Formats: formats}, trial); err != nil {
		t.Fatal(err)
	}
	got := trial.Result()
	if got.Records != 3 || got.Dropped != 2 {
		t.Errorf("%d records, %d dropped", got.Records, got.Dropped)
	}
	classified := uint64(0)
	for _, r := range got.Rules {
		if r.ID == "failed" {
			classified = r.Classified
		}
	}
	if classified != 1 {
		t.Errorf("%d records of the operator's format", classified)
	}
}
