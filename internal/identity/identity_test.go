package identity

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestCredential(t *testing.T) {
	const tok = "mt_abc"
	ok := func(header, value string) {
		t.Helper()
		got, err := Credential(http.Header{http.CanonicalHeaderKey(header): {value}})
		if err != nil || got != tok {
			t.Errorf("%s: %s gives %q, %v", header, value, got, err)
		}
	}
	ok("Authorization", "Bearer "+tok)
	ok("Authorization", "bearer   "+tok)
	ok("Authorization", "Splunk "+tok)
	ok("Authorization", "Basic "+b64("anyone:"+tok))
	ok("Authorization", "Basic "+b64(":"+tok))
	ok("Authorization", "ApiKey "+b64("id:"+tok))
	ok("Authorization", "ApiKey "+strings.TrimRight(b64("id:"+tok), "="))
	ok("Authorization", "ApiKey "+tok)
	ok("DD-API-KEY", tok)
	ok("X-Amz-Firehose-Access-Key", tok)

	bad := func(h http.Header) {
		t.Helper()
		if got, err := Credential(h); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%v gives %q, %v", h, got, err)
		}
	}
	bad(http.Header{})
	bad(http.Header{"Authorization": {""}})
	bad(http.Header{"Authorization": {"Bearer"}})
	bad(http.Header{"Authorization": {"Bearer  "}})
	bad(http.Header{"Authorization": {tok}})
	bad(http.Header{"Authorization": {"Digest " + tok}})
	bad(http.Header{"Authorization": {"Basic " + tok}})
	bad(http.Header{"Authorization": {"Basic " + b64("nocolon")}})
	bad(http.Header{"Authorization": {"Bearer " + tok, "Bearer x"}})
	bad(http.Header{"Authorization": {"Bearer " + strings.Repeat("x", maxCredential)}})
	bad(http.Header{"Dd-Api-Key": {strings.Repeat("x", maxCredential+1)}})
}

func FuzzCredential(f *testing.F) {
	f.Add("Bearer x")
	f.Add("Basic " + b64("a:b"))
	f.Add("ApiKey ====")
	f.Fuzz(func(t *testing.T, v string) {
		got, err := Credential(http.Header{"Authorization": {v}})
		if err != nil && !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", v, err)
		}
		if err == nil && len(got) > maxCredential {
			t.Errorf("%q gives %d bytes", v, len(got))
		}
	})
}

func TestCreateOpenIdentify(t *testing.T) {
	dir, err := vfs.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Fatalf("open without a token: %v", err)
	}
	token, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Create(dir); !fault.Is(err, fault.Conflict) {
		t.Fatalf("second Create: %q, %v", again, err)
	}
	st, err := dir.Stat(TokenFile)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	k, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/?token="+token, nil)
	if _, err := k.Identify(r); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a token in the query string: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	id, err := k.Identify(r)
	if err != nil || id.Name != "admin" || id.Tenant != DefaultTenant || id.Role != Administrator {
		t.Errorf("%+v, %v", id, err)
	}
	r.Header.Set("Authorization", "Bearer "+token[:len(token)-1])
	if _, err := k.Identify(r); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a shortened token: %v", err)
	}
}

func TestOpenRefusesJunk(t *testing.T) {
	for _, content := range []string{"", "\n", "secret", "mt_short", "mt_" + strings.Repeat("a", 30) + "\nmt_x"} {
		dir, err := vfs.Dir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(dir, TokenFile, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	a, b := NewToken(), NewToken()
	if a == b || len(a) != len(Prefix)+52 || !strings.HasPrefix(a, Prefix) {
		t.Errorf("%q, %q", a, b)
	}
}

func TestFailuresAreLimitedAndTheRightCredentialPasses(t *testing.T) {
	now := time.Unix(1000, 0)
	k := New(func() time.Time { return now })
	k.Add("right", Identity{Name: "x"})
	try := func(cred string) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+cred)
		_, err := k.Identify(r)
		return err
	}
	for i := range Burst {
		if err := try("wrong"); !fault.Is(err, fault.Unauthenticated) {
			t.Fatalf("failure %d: %v", i, err)
		}
	}
	if err := try("wrong"); !fault.Is(err, fault.Overload) {
		t.Fatalf("one failure too many: %v", err)
	}
	if err := try("right"); err != nil {
		t.Fatalf("the right credential beside a limited neighbour: %v", err)
	}
	now = now.Add(Refill + time.Millisecond)
	if err := try("wrong"); !fault.Is(err, fault.Unauthenticated) {
		t.Fatalf("after a refill: %v", err)
	}
	if err := try("wrong"); !fault.Is(err, fault.Overload) {
		t.Fatalf("second failure after one refill: %v", err)
	}
}

func TestLimiterTableIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	l := NewLimiter(func() time.Time { return now })
	for i := range maxRemotes {
		if !l.Allow(fmt.Sprint(i)) {
			t.Fatalf("address %d refused", i)
		}
	}
	if l.Allow("new") {
		t.Error("a full table took another address")
	}
	now = now.Add(2 * Refill)
	if !l.Allow("new") || len(l.spent) != 1 {
		t.Errorf("after the budgets became whole: %d addresses kept", len(l.spent))
	}
}
