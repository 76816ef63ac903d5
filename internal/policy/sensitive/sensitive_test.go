package sensitive

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestKindsAreWhole(t *testing.T) {
	list := Kinds()
	if len(list) != int(kinds)-1 || len(list) > 63 {
		t.Fatalf("%d infos for %d kinds", len(list), kinds-1)
	}
	var all Set
	for i, k := range list {
		if k.Kind != Kind(i+1) || k.Name == "" || k.Meaning == "" || k.Validator == "" || k.Source == "" {
			t.Errorf("info %d: %+v", i, k)
		}
		if back, ok := KindOf(k.Name); !ok || back != k.Kind || k.Kind.String() != k.Name || k.Kind.Class() != k.Class {
			t.Errorf("%s is found as %v", k.Name, back)
		}
		all |= SetOf(k.Kind)
	}
	if all != All() || Secrets()|PersonalData() != All() || Secrets()&PersonalData() != 0 {
		t.Errorf("sets: all %b, of the table %b", All(), all)
	}
	if _, ok := KindOf("no-such"); ok || Kind(0).String() != "" {
		t.Error("none has a name")
	}
}

// TestOneKindAlone: a scanner of one kind finds what a scanner of all finds of it
// in the labelled set, wherever no other kind took the place.
func TestOneKindAlone(t *testing.T) {
	for _, k := range Kinds() {
		s, n := New(SetOf(k.Kind)), 0
		for _, x := range samples(t, k.Name) {
			text, want := x.parse(k.Name)
			got := s.Find(nil, x.Field, text)
			for _, f := range got {
				if f.Kind != k.Kind {
					t.Errorf("%s: found %s", k.Name, f.Kind)
				}
			}
			for _, f := range want {
				if f.Kind == k.Kind && !slices.Contains(got, f) {
					n++
					t.Logf("%s: missed %q in %q", k.Name, text[f.Start:f.End], text)
				}
			}
		}
		if n > 0 {
			t.Errorf("%s: %d missed when it is sought alone", k.Name, n)
		}
	}
}

func TestFields(t *testing.T) {
	s := New(All())
	f := func(field, v, want string) {
		t.Helper()
		got := ""
		for _, x := range s.Find(nil, field, []byte(v)) {
			got += fmt.Sprintf("%s=%s;", x.Kind, v[x.Start:x.End])
		}
		if got != want {
			t.Errorf("%s=%s: found %q, want %q", field, v, got, want)
		}
	}
	f("authorization", "Bearer abc", "bearer=abc;")
	f("http.request.header.authorization", `["Bearer abc"]`, "bearer=abc;")
	f("http.request.header.authorization", "Basic dTpw", "basic=dTpw;")
	f("authorization", "-", "")
	f("authorization", "[redacted:bearer]", "")
	f("http.request.header.set-cookie", "a=b; Path=/", "cookie=a=b; Path=/;")
	f("cookie", "", "")
	f("db.password", "hunter2", "secret-assignment=hunter2;")
	f("db.password", "******", "")
	f("dbPassword", "x y z", "secret-assignment=x y z;")
	f("env.PGPASSWORD", "hunter2", "secret-assignment=hunter2;")
	f("password_reset_url", "https://example.com/reset", "")
	f("PWD", "/home/app", "")
	f("user.phone", "030 1234567", "phone=030 1234567;")
	f("user.phone", "2026550143", "phone=2026550143;")
	f("card_number", "4222222222222", "pan=4222222222222;")
	f("app.version", "10.1.2.3", "")
	f("requestObject.data.tls.key", "czNjcjN0", "k8s-secret=czNjcjN0;")
	f("requestObject.data..dockerconfigjson", "czNjcjN0", "k8s-secret=czNjcjN0;")
	f("requestObject.data.key", "czNjcjN0", "k8s-secret=czNjcjN0;")
	f("requestObject.stringData.key", "s3cr3t", "k8s-secret=s3cr3t;")
	f("requestObject.data.key", "plain text", "")
	f("secret_access_key", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE", "aws-secret-key=wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE;")
	f("userIdentity.accessKeyId", "AKIA"+"IOSFODNN7EXAMPLE", "")
	f("responseElements.accessKey.accessKeyId", "AKIA"+"IOSFODNN7EXAMPLE", "aws-access-key=AKIA"+"IOSFODNN7EXAMPLE;")
	f("tokens", "17", "")
	f("next_page_token", "CAUQAA17abcdefgh1234", "")
	f("x-api-key", "0f8fad5b-d9cb-469f-a165-708677200017", "secret-assignment=0f8fad5b-d9cb-469f-a165-708677200017;")
	f("trace_id", "0f8fad5bd9cb469fa165708677200017", "")
}

func TestKindColumn(t *testing.T) {
	s := New(All())
	for name, want := range map[string]string{
		"data.user": "kind", "stringData.a.b": "kind", "items.0.data.tls.crt": "items.0.kind", "data": "", "metadata.name": "", "mydata.x": "", "object.data.": "", "items": "kind", "responseObject.items": "responseObject.kind",
	} {
		if got := s.Field(name).KindColumn(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestNumbersThatAreInts(t *testing.T) {
	s := New(All())
	if k, ok := s.FindInt(s.Field("amount"), 4111111111111111); !ok || k != PAN {
		t.Errorf("a card's number: %v %v", k, ok)
	}
	if k, ok := s.FindInt(s.Field("user.phone"), 49301234567); !ok || k != Phone {
		t.Errorf("a telephone's: %v %v", k, ok)
	}
	for _, n := range []int64{0, -1, 17, 1763676017123456789, 1763676017123, 4111111111111112, 49301234567} {
		if k, ok := s.FindInt(s.Field("n"), n); ok {
			t.Errorf("%d is found as %v", n, k)
		}
	}
}

// TestCursor: what a cursor remembers of equal values changes no answer, and
// MayFind is never false about a text with findings.
func TestCursor(t *testing.T) {
	s, col := New(All()), &table{}
	var values []string
	for _, k := range Kinds() {
		for _, x := range samples(t, k.Name)[:8] {
			text, _ := x.parse(k.Name)
			values = append(values, string(text), "GET", "/api/v1/cart/17", string(text))
		}
	}
	for _, v := range append(values, values...) {
		col.set("c", v)
	}
	c, data := new(Cursor), col.cols[0]
	c.Reset(s, s.Field("c"), data.data, data.ends)
	next, found := c.Next(nil)
	for i, v := range append(values, values...) {
		want := s.Find(nil, "c", []byte(v))
		if len(want) == 0 {
			continue
		}
		if !s.MayFind([]byte(v)) {
			t.Errorf("MayFind overlooks %q", v)
		}
		if next != i || !slices.Equal(found, want) {
			t.Fatalf("value %d: the cursor is at %d with %v, want %v", i, next, found, want)
		}
		next, found = c.Next(nil)
	}
	if next >= 0 {
		t.Errorf("the cursor goes on to %d", next)
	}
}

// TestDepth: three layers of encoding are looked through, in any order, and a
// fourth is the limit.
func TestDepth(t *testing.T) {
	s := New(All())
	text := "alice@example.com"
	for layer := range 4 {
		if got := s.Find(nil, "", []byte(text)); (len(got) > 0) != (layer <= layers) {
			t.Errorf("layer %d: found %v in %s", layer, got, text)
		}
		switch layer {
		case 0:
			text = encode64(`{"to":"` + text + `"}`)
		case 1:
			text = strings.ReplaceAll("v="+text, "=", "%3D")
		case 2:
			text = encode64(text)
		}
	}
}

// TestHostile: texts made to be read over and over cost as much per byte when
// they are eight times as long.
func TestHostile(t *testing.T) {
	s := New(All())
	for _, unit := range []string{
		"password=", "password: x ", `"password":"`, "a@", "a@b.", "@", "://a:", "x://a:b/", "eyJhbGciOiJub25l.", "AAAA/", "QUFBQUFBQUFBQUFB/", "%41", `\u0041`, `\\`, `\"`, "1.2.3.", "2001::", "4111 ", "4111-", "+1 ",
		"-----BEGIN PRIVATE KEY", "Secret\"", `kind":"Secret" data":{`, "AKIA", "GB29 NWBK ", "Bearer ", "Basic QUFB", "a\"\"", "%25", "tel ", "card 1", "ghp_a", "sk-", "1-2-", "<password>", "phone,",
		"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\n", "xSG.", "&#65", "4141414141414141414141 ", "a.atlasv1.", "Q~",
	} {
		cost := func(size int) float64 {
			v := bytes.Repeat([]byte(unit), size/len(unit))
			least := 1e18
			for range 3 {
				from := spent()
				s.Find(nil, "", v)
				least = min(least, spent()-from)
			}
			return least / float64(size)
		}
		if small, large := cost(1<<14), cost(1<<17); large > 4*small+2000 {
			t.Errorf("%q: %.0f ns a byte in 16 KiB, %.0f in 128", unit, small, large)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes the pool forget")
	}
	s, c := New(All()), new(Cursor)
	tab, dst := access(100), make([]Finding, 0, 64)
	if n := testing.AllocsPerRun(50, func() { _, dst = tab.scan(s, c, dst) }); n > 0 {
		t.Errorf("a batch of access logs: %v allocations", n)
	}
	for _, k := range Kinds() {
		for _, x := range samples(t, k.Name) {
			text, _ := x.parse(k.Name)
			f := s.Field(x.Field)
			if n := testing.AllocsPerRun(20, func() { dst = s.FindIn(dst[:0], f, text) }); n > 0 {
				t.Errorf("%s: %v allocations for %q", k.Name, n, text)
			}
		}
	}
}

// replaced is v with each finding replaced as policy does it.
func replaced(v []byte, found []Finding) []byte {
	var out []byte
	end := 0
	for _, f := range found {
		out = append(out, v[end:f.Start]...)
		out = append(out, "[redacted:"+f.Kind.String()+"]"...)
		end = f.End
	}
	return append(out, v[end:]...)
}

// FuzzFind: findings lie within the text, in order and apart, and are gone after
// they were replaced.
func FuzzFind(f *testing.F) {
	for _, k := range Kinds() {
		for i, x := range samples(f, k.Name) {
			if text, _ := x.parse(k.Name); i%4 == 0 {
				f.Add(x.Field, text)
			}
		}
	}
	s := New(All())
	f.Fuzz(func(t *testing.T, field string, v []byte) {
		before := bytes.Clone(v)
		found := s.Find(nil, field, v)
		if !bytes.Equal(before, v) {
			t.Fatal("the text was changed")
		}
		end := 0
		for _, x := range found {
			if x.Start < end || x.End <= x.Start || x.End > len(v) || x.Kind == 0 || x.Kind >= kinds {
				t.Fatalf("%v in %q", found, v)
			}
			end = x.End
		}
		if again := s.Find(nil, field, v); !slices.Equal(found, again) {
			t.Fatalf("%v, then %v", found, again)
		}
		if len(found) > 0 && field == "" && !s.MayFind(v) {
			t.Fatalf("MayFind overlooks %v in %q", found, v)
		}
		// What was replaced announces nothing and hides nothing: of what is found
		// then, none was found before.
		out := replaced(v, found)
		for _, x := range s.Find(nil, field, out) {
			if bytes.Contains(out[x.Start:x.End], []byte("[redacted:")) {
				t.Fatalf("found %s in what stands for findings: %q", x.Kind, out)
			}
		}
	})
}

// TestValuesWithinValues: a text in which each name's value holds all the names
// that follow is not read once for each.
func TestValuesWithinValues(t *testing.T) {
	for _, part := range []string{"token=", "token:", "secret='a ", "Authorization: ", "Cookie: ", "Cookie:[", "credentials=a/", "--token x", "<password x", "sig=", "-u a", "pass=", "password=x&", "token=a\"b'c`"} {
		for _, set := range []Set{All(), SetOf(Cookie, GitHub), SetOf(Bearer)} {
			started := time.Now()
			New(set).Find(nil, "", bytes.Repeat([]byte(part), (1<<19)/len(part)))
			if took := time.Since(started); took > 3*time.Second { // it is some 20 ms, and was a minute
				t.Errorf("512 KiB of %q took %v", part, took)
			}
		}
	}
}
