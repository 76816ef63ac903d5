package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// withVault is open for a policy that hashes and tokenises, into a vault in fs.
func withVault(t *testing.T, k *kept, fs *faultfs.FS, rules ...policy.Rule) (*Pipeline, *telemetry.Metrics) {
	t.Helper()
	tenant := crypt.NewKey()
	key := func(record.TenantID) (*crypt.Key, error) { return tenant, nil }
	v, err := policy.OpenVault(policy.VaultOptions{FS: fs, Key: crypt.NewKey(), TenantKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	pol, err := policy.NewWith(policy.Config{Rules: rules}, policy.Secrets{HashKey: key, Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	m := telemetry.New()
	p, err := New(Options{Appender: k, Policy: pol, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

// TestSampledAccount: what a sample drops is dropped by its rule, and the account
// of the source is whole.
func TestSampledAccount(t *testing.T) {
	k := &kept{}
	p, m := open(t, k, policy.Config{Rules: []policy.Rule{
		{ID: "errors", When: []policy.Condition{{Field: "level", Is: "error"}}, Keep: true},
		{ID: "half", Sample: 0.5},
	}}, Limits{Rows: 100})
	var lines []string
	for i := range 400 {
		lines = append(lines, fmt.Sprintf(`{"message":"m","level":"%s","trace_id":"4bf92f3577b34da6a3ce929d%08x"}`, []string{"info", "error"}[i%2], i*2654435761%4294967291))
	}
	out, err := p.Ingest(t.Context(), request(true, append(lines, `{"broken`)...))
	if err != nil {
		t.Fatal(err)
	}
	got := k.whole(t)["elastic/admin"]
	if got[0] != 401 || got[1]+got[3] != 401-got[2] || got[3] < 50 || got[3] > 150 || out.Dropped != int(got[3]) || out.Stored != int(got[1]) {
		t.Errorf("account %v, outcome %+v", got, out)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		fmt.Sprintf(`meshtrail_records_dropped_total{rule="half"} %d`, got[3]), `meshtrail_records_kept_total{rule="errors"} 200`, `meshtrail_records_kept_total{rule="half"} `,
	} {
		if !bytes.Contains(w.Body.Bytes(), []byte(want)) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// TestNoTokenNothingKept: a batch whose tokens could not be made durable is handed
// to nobody, and may be sent again.
func TestNoTokenNothingKept(t *testing.T) {
	k, fs := &kept{}, faultfs.Wrap(memfs.New())
	p, _ := withVault(t, k, fs, policy.Rule{ID: "t", Tokenise: &policy.Tokenise{Detect: []string{"email"}}})
	fs.Arm(1, faultfs.Write, faultfs.NotDone, errors.New("no room"))
	req := request(true, `{"message":"to ann@example.org"}`, `{"broken":"bob@example.org"`)
	if _, err := p.Ingest(t.Context(), req); !fault.Is(err, fault.Unavailable) || k.calls != 0 {
		t.Fatalf("%v after %d appends", err, k.calls)
	}
	fs.Disarm()
	if _, err := p.Ingest(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	for _, b := range k.batches {
		for _, r := range b.records {
			if body, _ := r.Get(record.Body); strings.Contains(body.Str, "@") || !strings.Contains(body.Str, "tok_") {
				t.Errorf("%s keeps %q", b.source, body.Str)
			}
		}
	}
}

// TestRelayedAreChanged: what an agent forwards goes through the changes that only
// a server can make, whatever its class, and none of it is dropped.
func TestRelayedAreChanged(t *testing.T) {
	k := &kept{}
	p, _ := withVault(t, k, faultfs.Wrap(memfs.New()),
		policy.Rule{ID: "all", Drop: true},
		policy.Rule{ID: "h", Hash: &policy.Hash{Fields: []string{"user"}}},
		policy.Rule{ID: "t", When: []policy.Condition{{Field: "kind", Is: "mail"}}, Tokenise: &policy.Tokenise{Detect: []string{"email"}}},
		policy.Rule{ID: "s", Set: &policy.Set{Owner: "shop"}},
	)
	b := &record.Batch{Tenant: "main", Source: "relay/edge/file/x"}
	for _, kind := range []string{"mail", "other"} {
		b.Begin(now.UnixNano(), "ops")
		b.Str(record.Body, "to ann@example.org")
		b.Str("kind", kind)
		b.Str("user", "ann")
		b.End()
	}
	b.Account.Received = 2
	var sent record.Batch // as it comes: decoded, with its values numbered
	if err := record.Decode(b.AppendEncoded(nil), &sent); err != nil {
		t.Fatal(err)
	}
	if err := p.Relayed().Append(t.Context(), &sent); err != nil {
		t.Fatal(err)
	}
	var again record.Batch
	if err := record.Decode(sent.AppendEncoded(nil), &again); err != nil || again.Len() != 2 {
		t.Fatalf("%d records, %v", again.Len(), err)
	}
	for i, want := range []string{"to tok_", "to ann@"} {
		r := again.Record(i)
		body, _ := r.Get(record.Body)
		user, _ := r.Get("user")
		owner, _ := r.Get(policy.OwnerField)
		if !strings.HasPrefix(body.Str, want) || !strings.HasPrefix(user.Str, "hash_") || owner.Str != "shop" || r.Class != "ops" {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}
