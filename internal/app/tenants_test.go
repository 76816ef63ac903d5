package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/api/native"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestTenantsKeepTheirOwn: status tells a reader of the own tenant alone, and what
// one caller opened is no other's, over HTTP.
func TestTenantsKeepTheirOwn(t *testing.T) {
	s := opened(t)
	now := time.Now()
	keep := func(tenant record.TenantID, n int) {
		b := &record.Batch{Tenant: tenant, Source: "test", Account: record.Account{Received: uint64(n)}}
		for i := range n {
			b.Begin(now.UnixNano(), "app")
			b.Str("body", fmt.Sprint(i))
			b.End()
		}
		if err := s.store.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	keep("acme", 10)
	keep("umbrella", 700)
	if err := s.store.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	keep("acme", 3)
	keep("umbrella", 5)
	read := []access.Permission{access.LogsRead}
	alice := &access.Principal{Name: "alice", Tenant: "acme", Grants: read}
	bob := &access.Principal{Name: "bob", Tenant: "acme", Grants: read}
	mallory := &access.Principal{Name: "alice", Tenant: "umbrella", Grants: read} // of the same name
	admin := &access.Principal{Name: "admin", Tenant: "acme", Grants: append(read, access.Admin)}
	ask := func(p *access.Principal, method, target, body string) (int, []byte) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		s.as(p).ServeHTTP(w, r)
		return w.Code, w.Body.Bytes()
	}
	for p, want := range map[*access.Principal]uint64{alice: 13, mallory: 705, admin: 718} {
		code, body := ask(p, "GET", "/api/v1/status", "")
		var st native.StatusAnswer
		if err := json.Unmarshal(body, &st); err != nil || code != http.StatusOK {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		if p == admin { // audit records are records too
			if st.Store.Records < want || st.Store.Segments < 2 || st.Store.JournalBytes == 0 {
				t.Errorf("the administrator is told of %+v", st.Store)
			}
		} else if st.Store.Records != want || st.Store.Segments != 1 || st.Store.JournalBytes != 0 || st.Store.SealedBytes != 0 {
			t.Errorf("%s of %s is told of %+v, want %d records in a segment", p.Name, p.Tenant, st.Store, want)
		}
	}

	open := func(target, body, key string) string {
		code, answer := ask(alice, "POST", target, body)
		var o map[string]any
		if err := json.Unmarshal(answer, &o); err != nil || code != http.StatusOK || o[key] == nil {
			t.Fatalf("%s: %d %s", target, code, answer)
		}
		return o[key].(string)
	}
	pit := open("/_all/_pit?keep_alive=1m", "", "id")
	scroll := open("/_search?scroll=1m", `{"size":2}`, "_scroll_id")
	inPit := fmt.Sprintf(`{"size":100,"pit":{"id":%q,"keep_alive":"1m"}}`, pit)
	next := fmt.Sprintf(`{"scroll":"1m","scroll_id":%q}`, scroll)
	for _, p := range []*access.Principal{mallory, bob} {
		for target, body := range map[string]string{"/_search": inPit, "/_search/scroll": next} {
			if code, answer := ask(p, "POST", target, body); code == http.StatusOK || bytes.Contains(answer, []byte(`"hits"`)) {
				t.Errorf("%s of %s: %s with the id of another: %d %.200s", p.Name, p.Tenant, target, code, answer)
			}
		}
		ask(p, "DELETE", "/_pit", fmt.Sprintf(`{"id":%q}`, pit))
		ask(p, "DELETE", "/_search/scroll", fmt.Sprintf(`{"scroll_id":[%q]}`, scroll))
	}
	for target, body := range map[string]string{"/_search": inPit, "/_search/scroll": next} {
		if code, answer := ask(alice, "POST", target, body); code != http.StatusOK || !bytes.Contains(answer, []byte(`"hits"`)) {
			t.Errorf("%s by who opened it, after others tried: %d %.200s", target, code, answer)
		}
	}
}
