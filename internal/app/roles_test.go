package app

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/record"
)

// known adds a credential to a server that was not asked yet.
func known(s *server, tenant record.TenantID, role string) (token string) {
	token = identity.NewToken()
	s.keeper.Add(token, identity.Identity{Name: role + "-of-" + string(tenant), Tenant: tenant, Role: role})
	return token
}

var partOfPath = regexp.MustCompile(`\{[^}]*\}`)

// TestRolesAtEveryRoute: who sends reads nothing, and who reads sends nothing, at
// any route of the real server, and the refusal says something in the form of the
// protocol.
func TestRolesAtEveryRoute(t *testing.T) {
	s := opened(t)
	sender, reader := known(s, "acme", identity.SenderRole), known(s, "acme", identity.ReaderRole)
	may := map[string][]access.Permission{
		sender: {access.Identified, access.LogsWrite},
		reader: {access.Identified, access.LogsRead},
	}
	taken := map[bool]int{}
	for _, r := range s.routes {
		if r.Need == access.Public {
			continue
		}
		method, path, _ := strings.Cut(r.Pattern, " ")
		path = partOfPath.ReplaceAllString(strings.ReplaceAll(path, "{$}", ""), "x")
		never := method != "GET" && (strings.Contains(path, "/rules") || strings.HasSuffix(path, "/api/v1/delete"))
		for token, grants := range may {
			ctx, cancel := context.WithCancel(t.Context())
			if r.Stream {
				cancel()
			}
			w := askedSafely(s, ctx, method, path, token)
			cancel()
			rpc := w.Header().Get("Grpc-Status")
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden || rpc == "16" || rpc == "7"
			granted := slices.Contains(grants, r.Need)
			taken[granted]++
			if refused == granted && !never {
				t.Errorf("%s, which needs %s: %v, %d %.200s", r.Pattern, r.Need, grants, w.Code, w.Body)
			}
			if refused && rpc == "" && w.Body.Len() == 0 && method != "HEAD" {
				t.Errorf("%s: refused with %d and no word", r.Pattern, w.Code)
			}
		}
	}
	if taken[true] < 40 || taken[false] < 40 {
		t.Errorf("only %v", taken)
	}
}

// TestNoHeaderChangesTheTenant sends what other products take for a tenant.
func TestNoHeaderChangesTheTenant(t *testing.T) {
	s := opened(t)
	sender := known(s, "acme", identity.SenderRole)
	readers := map[string]string{"acme": known(s, "acme", identity.ReaderRole), "umbrella": known(s, "umbrella", identity.ReaderRole)}
	now := time.Now()
	push := fmt.Sprintf(`{"streams":[{"stream":{"app":"x","tenant":"umbrella","__tenant_id__":"umbrella"},"values":[["%d","needle"]]}]}`, now.UnixNano())
	bulk := `{"create":{"_index":"umbrella"}}` + "\n" + `{"message":"needle","tenant":"umbrella","data_stream":{"namespace":"umbrella"}}` + "\n"
	header := []string{
		"Content-Type", "application/json", "X-Scope-OrgID", "umbrella", "X-Tenant", "umbrella", "X-Tenant-Id", "umbrella", "AccountID", "umbrella", "ProjectID", "2",
		"X-Forwarded-User", "umbrella", "X-Amz-Firehose-Common-Attributes", `{"commonAttributes":{"tenant":"umbrella"}}`, "Stream-Name", "umbrella", "Idempotency-Key", "1",
	}
	for path, body := range map[string]string{
		"/loki/api/v1/push?tenant=umbrella":                      push,
		"/_bulk?tenant=umbrella&org=umbrella":                    bulk,
		"/api/v1/ingest?tenant=umbrella":                         `{"message":"needle","tenant":"umbrella"}`,
		"/services/collector?index=umbrella":                     `{"event":"needle","index":"umbrella","fields":{"tenant":"umbrella"}}`,
		"/api/v2/logs?ddtags=tenant:umbrella&dd-api-key=foreign": `[{"message":"needle","ddtags":"tenant:umbrella"}]`,
	} {
		if w := s.asked(t.Context(), "POST", path, sender, body, header...); w.Code/100 != 2 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	query := "/loki/api/v1/query_range?limit=100&query=%7B%7D+%7C%3D+%22needle%22"
	for tenant, token := range readers {
		for _, scope := range []string{"acme", "umbrella", "acme|umbrella", ""} {
			w := s.asked(t.Context(), "GET", query, token, "", "X-Scope-OrgID", scope)
			want := 0
			if tenant == "acme" {
				want = 5
			}
			if n := strings.Count(w.Body.String(), `needle`); w.Code != http.StatusOK || n < want || want == 0 && n > 0 {
				t.Errorf("%s who asks for %q: %d with %d of %d: %s", tenant, scope, w.Code, n, want, w.Body)
			}
		}
	}
}
