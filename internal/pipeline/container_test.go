package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestContainersAreCountedByRecord holds the account, the batches and their
// identities to what a container holds, also where a batch ends within it.
func TestContainersAreCountedByRecord(t *testing.T) {
	trail := func(n int) []byte {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"eventVersion":"1.08","eventTime":"2026-03-01T11:00:%02dZ","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","eventID":"e%d"}`, i, i))
		}
		return []byte(`{"Records":[` + strings.Join(all, ",") + `]}`)
	}
	big := `{"Records":[{"a":"` + strings.Repeat("x", 3000) + `"},{"b":1}]}`
	k := &kept{}
	p, _ := open(t, k, policy.Config{}, Limits{Rows: 4, Record: 2048})
	req := &Request{Tenant: "main", Source: "http/admin", ID: record.BatchID{Origin: "o", Seq: 1}, Raws: []record.Raw{
		{Payload: []byte("before")}, {Payload: trail(10), JSON: true}, {Payload: []byte(big), JSON: true}, {Payload: []byte("after")},
	}}
	for range 2 { // the second time is a retry
		out, err := p.Ingest(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Refused) != 1 || out.Refused[0].Index != 2 {
			t.Errorf("refused %v", out.Refused)
		}
	}
	k.whole(t)
	var got []string
	for _, r := range k.records("http/admin") {
		v, _ := r.Get("log.record.uid")
		got = append(got, v.Str)
	}
	if want := "[ e0 e1 e2 e3 e4 e5 e6 e7 e8 e9  ]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	received := uint64(0)
	for _, b := range k.batches {
		if b.source == "http/admin" {
			received += b.account.Received
		}
	}
	if received != 14 {
		t.Errorf("received %d", received)
	}
	if dead := k.records(DeadLetters); len(dead) != 1 || !strings.HasPrefix(dead[0].Fields[0].Value.Str, `{"a":"xxx`) {
		t.Errorf("dead letters: %v", dead)
	}
}
