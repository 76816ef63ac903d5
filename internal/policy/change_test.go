package policy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/policy/vault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// secrets are those of a server whose vault is in fs.
func secrets(t testing.TB, fs vfs.FS) Secrets {
	t.Helper()
	keys := map[record.TenantID]*crypt.Key{"shop": crypt.NewKey(), "bank": crypt.NewKey()}
	key := func(tenant record.TenantID) (*crypt.Key, error) {
		if k := keys[tenant]; k != nil {
			return k, nil
		}
		return nil, fault.Errorf(fault.Unavailable, "no key of %s", tenant)
	}
	v, err := vault.Open(vault.Options{FS: fs, Key: crypt.NewKey(), TenantKey: key, MaxTokens: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return Secrets{HashKey: key, Vault: v}
}

func mustWith(t testing.TB, s Secrets, rules ...Rule) *Policy {
	t.Helper()
	p, err := NewWith(Config{NoBuiltin: true, Rules: rules}, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// of makes a batch of a tenant, of records with one field each.
func of(tenant record.TenantID, name string, values ...any) *record.Batch {
	b := &record.Batch{Tenant: tenant}
	for i, v := range values {
		b.Begin(int64(i+1), DefaultClass)
		switch v := v.(type) {
		case string:
			b.Str(name, v)
		case int:
			b.Int(name, int64(v))
		case float64:
			b.Float(name, v)
		}
		b.End()
	}
	return b
}

func texts(b *record.Batch, name string) (out []string) {
	for i := range b.Len() {
		r := b.Record(i)
		v, _ := r.Get(name)
		out = append(out, v.Text())
	}
	return out
}

func TestMask(t *testing.T) {
	f := func(m Mask, v, want string) {
		t.Helper()
		b := of("shop", "f", "other", v, "other")
		apply(t, must(t, Config{NoBuiltin: true, Rules: []Rule{{ID: "m", Mask: &m}}}), b)
		if got := texts(b, "f")[1]; got != want {
			t.Errorf("%+v of %q: %q, want %q", m, v, got, want)
		}
	}
	whole := []string{"f"}
	f(Mask{Fields: whole}, "secret", "******")
	f(Mask{Fields: whole, Last: 4}, "4111111111111111", "************1111")
	f(Mask{Fields: whole, First: 6, Last: 4}, "4111111111111111", "411111******1111")
	f(Mask{Fields: whole, Last: 4}, "1234567", "*******") // fewer than four would be hidden
	f(Mask{Fields: whole, Last: 2, Format: true}, "Ab-12 é9", "Xx-00 é9")
	f(Mask{Fields: whole, Last: 1}, "éèàüö", "****ö")
	f(Mask{Fields: whole}, "", "")
	f(Mask{Pattern: `user=(\w+)`, First: 1}, "a user=george b user=hanna", "a user=g***** b user=h****")
	f(Mask{Detect: []string{"pan"}, Last: 4, Format: true}, "card 4111-1111-1111-1111.", "card 0000-0000-0000-1111.")
}

func TestHash(t *testing.T) {
	s := secrets(t, memfs.New())
	p := mustWith(t, s, Rule{ID: "h", Hash: &Hash{Fields: []string{"user", "n"}}}, Rule{ID: "d", Hash: &Hash{Detect: []string{"email"}}})
	shop, again, bank := of("shop", "user", "ann@example.org", "bob", ""), of("shop", "body", "to ann@example.org", "x", "y"), of("bank", "user", "ann@example.org", "bob", "")
	for _, b := range []*record.Batch{shop, again, bank} {
		apply(t, p, b)
	}
	a, c := texts(shop, "user"), texts(bank, "user")
	if !regexp.MustCompile(`^hash_[0-9a-f]{32}$`).MatchString(a[0]) || a[0] == a[1] || a[0] == c[0] || a[2] != "" {
		t.Errorf("hashes %q, %q", a, c)
	}
	if got := texts(again, "body")[0]; got != "to "+a[0] {
		t.Errorf("one value has two hashes: %s, %s", got, a[0])
	}
	numbers := of("shop", "n", 4711, 1.5)
	apply(t, p, numbers)
	if got := texts(numbers, "n"); !strings.HasPrefix(got[0], hashPrefix) || !strings.HasPrefix(got[1], hashPrefix) {
		t.Errorf("numbers are %q", got)
	}
	if _, err := New(Config{Rules: []Rule{{ID: "h", Hash: &Hash{Fields: []string{"user"}}}}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a hash without keys: %v", err)
	}
	if _, err := p.Apply(of("stranger", "user", "x"), ""); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a tenant without a key: %v", err)
	}
}

func TestTokenise(t *testing.T) {
	s := secrets(t, memfs.New())
	p := mustWith(t, s, Rule{ID: "t", Tokenise: &Tokenise{Detect: []string{"email"}}})
	b := of("shop", "body", "ann@example.org and ann@example.org", "to bob@example.org")
	e := apply(t, p, b)
	got := texts(b, "body")
	first, second, _ := strings.Cut(got[0], " and ")
	if first != second || fmt.Sprint(e.Redacted) != "[{t 2}]" {
		t.Errorf("%q, counted %v", got, e.Redacted)
	}
	if v, err := Reveal(s.Vault, "shop", first); v != "ann@example.org" || err != nil {
		t.Errorf("%s is %q, %v", first, v, err)
	}
	if _, err := Reveal(s.Vault, "bank", first); !fault.Is(err, fault.NotFound) {
		t.Errorf("of another tenant: %v", err)
	}
	// Beyond its room the vault gives nothing out, and nothing is kept in plain.
	b = of("shop", "body", "c@example.org", "d@example.org", "ann@example.org")
	e = apply(t, p, b)
	if got := texts(b, "body"); !strings.HasPrefix(got[0], vault.Prefix) || got[1] != "[redacted:t]" || got[2] != first || fmt.Sprint(e.Untokened) != "[{t 1}]" {
		t.Errorf("%q, %v", got, e.Untokened)
	}
}

// TestNoTokenNoRecord: a vault that cannot write fails the batch, and the sender's
// second try succeeds.
func TestNoTokenNoRecord(t *testing.T) {
	f := faultfs.Wrap(memfs.New())
	p := mustWith(t, secrets(t, f), Rule{ID: "t", Tokenise: &Tokenise{Detect: []string{"email"}}})
	f.Arm(1, faultfs.Write, faultfs.NotDone, fmt.Errorf("no room"))
	if _, err := p.Apply(of("shop", "body", "ann@example.org"), ""); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("without a vault: %v", err)
	}
	f.Disarm()
	b := of("shop", "body", "ann@example.org")
	apply(t, p, b)
	if got := texts(b, "body")[0]; !strings.HasPrefix(got, vault.Prefix) {
		t.Errorf("the second try: %s", got)
	}
}

// TestDroppedHaveNoTokens: what is dropped leaves nothing in the vault.
func TestDroppedHaveNoTokens(t *testing.T) {
	s := secrets(t, memfs.New())
	p := mustWith(t, s, Rule{ID: "d", When: []Condition{{Field: "body", Regex: "ann"}}, Drop: true}, Rule{ID: "t", Tokenise: &Tokenise{Detect: []string{"email"}}})
	b := of("shop", "body", "ann@example.org", "bob@example.org")
	apply(t, p, b)
	if b.Len() != 1 || s.Vault.Len() != 1 {
		t.Errorf("%d records, %d tokens", b.Len(), s.Vault.Len())
	}
}

// TestDeadLetters: nobody knows what their fields are, so no condition and no
// field keeps a rule from looking; an attribute is known by its own name.
func TestDeadLetters(t *testing.T) {
	p := must(t, Config{Rules: []Rule{
		{ID: "word", When: []Condition{{Field: "ns", Is: "shop"}}, Redact: &Redact{Literal: "xyzzy", Fields: []string{"user"}}},
		{ID: "user", Redact: &Redact{Fields: []string{"user"}}},
	}})
	b := &record.Batch{Tenant: "shop"}
	b.Begin(1, "deadletter")
	b.Str("body", `{"user":"xyzzy", Authorization: Bearer abcdef0123456789.abcdef`)
	b.Str("deadletter.attribute.user", "ann")
	b.Str("deadletter.attribute.authorization", "opaque-credential-1")
	b.Str("deadletter.reason", "malformed_json")
	b.End()
	if _, err := p.Redact(b); err != nil {
		t.Fatal(err)
	}
	all := show(b)
	for _, bad := range []string{"xyzzy", "abcdef0123", "=ann", "opaque-credential"} {
		if strings.Contains(all, bad) {
			t.Errorf("%s is still in %s", bad, all)
		}
	}
	if !strings.Contains(all, "malformed_json") {
		t.Errorf("too much is gone: %s", all)
	}
}

// TestConditionalNames renames a field in the records that the rule is for.
func TestConditionalNames(t *testing.T) {
	p := must(t, Config{NoBuiltin: true, Rules: []Rule{{ID: "r", When: []Condition{{Field: "level", Is: "debug"}}, Redact: &Redact{Literal: "xyzzy"}}}})
	b := batch(
		map[string]any{"level": "debug", "secretname-xyzzy": 7},
		map[string]any{"level": "info", "secretname-xyzzy": 8},
		map[string]any{"level": "debug", "secretname-xyzzy": "text"},
	)
	apply(t, p, b)
	if got := show(b); got != "app level=debug secretname-[redacted:r]=7\napp level=info secretname-xyzzy=8\napp level=debug secretname-[redacted:r]=text" {
		t.Errorf("got\n%s", got)
	}
}

// TestDetectInOrder: a finding belongs to the first rule that wants it, also among
// numbers and in names.
func TestDetectInOrder(t *testing.T) {
	p := must(t, Config{NoBuiltin: true, Rules: []Rule{
		{ID: "debug", When: []Condition{{Field: "level", Is: "debug"}}, Mask: &Mask{Detect: []string{"pan"}, Last: 4}},
		{ID: "all", Redact: &Redact{Detect: []string{"all"}}},
	}})
	b := batch(
		map[string]any{"level": "debug", "body": "a 4111111111111111 and ann@example.org", "card": 4111111111111111},
		map[string]any{"level": "info", "body": "a 4111111111111111", "card": 4111111111111111, "ratio": 4111111111111111.0},
		map[string]any{"level": "info", "body": "nothing", "card": 4111111111111112},
	)
	e := apply(t, p, b)
	want := `app body=a ************1111 and [redacted:all:email] card=************1111 level=debug
app body=a [redacted:all:pan] level=info card=[redacted:all:pan] ratio=[redacted:all:pan]
app body=nothing level=info card=4111111111111112`
	if sorted(show(b)) != sorted(want) {
		t.Errorf("got\n%s\nwant\n%s", show(b), want)
	}
	if fmt.Sprint(e.Redacted) != "[{debug 2} {all 4}]" {
		t.Errorf("counted %v", e.Redacted)
	}
}

func TestSet(t *testing.T) {
	p := must(t, Config{NoBuiltin: true, Rules: []Rule{
		{ID: "pay", When: []Condition{{Field: "path", Regex: "^/pay"}}, Set: &Set{Owner: "payments", Classification: "restricted"}},
		{ID: "rest", Set: &Set{Classification: "internal"}},
	}})
	b := batch(map[string]any{"path": "/pay/1"}, map[string]any{"path": "/x"})
	b.SetAll(ClassificationField, "public") // a sender's own word
	e := apply(t, p, b)
	if got := show(b); got != "app path=/pay/1 data.classification=restricted data.owner=payments\napp path=/x data.classification=internal" {
		t.Errorf("got\n%s", got)
	}
	if fmt.Sprint(e.Labelled) != "[{pay 2} {rest 1}]" {
		t.Errorf("counted %v", e.Labelled)
	}
}
