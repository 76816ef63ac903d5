package facts

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

func call(f func(o *Out)) string {
	var b record.Batch
	var cols Columns
	cols.Bind(&b)
	b.Begin(0, "")
	o := Out{B: &b, Cols: &cols}
	f(&o)
	b.End()
	r := b.Record(0)
	v, _ := r.Get("mesh.call.id")
	return v.Str
}

func request(id, trace, method, host, path string) string {
	return call(func(o *Out) {
		o.CallOfRequest([]byte(id), []byte(trace), []byte(method), []byte(host), []byte(path))
	})
}

func TestCallOfRequest(t *testing.T) {
	const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
	one := request(id, "", "GET", "cart", "/a")
	if len(one) != 16 || one != request(id, "4bf92f3577b34da6a3ce929d0e0e4736", "GET", "cart", "/a") {
		t.Errorf("%q: the id decides, not the trace", one)
	}
	if one != request("0f8fad5b-d9cb-969f-a165-70867728950e", "", "GET", "cart", "/a") {
		t.Error("the digit of the sampling decision counts")
	}
	// The form is one that others can compute: CRC-64/XZ, which Go calls ECMA.
	if want := "75dadc3a0c152d68"; one != want {
		t.Errorf("%s, want %s", one, want)
	}
	seen := map[string]bool{one: true, "": true}
	for _, other := range []string{
		request(id, "", "POST", "cart", "/a"), request(id, "", "GET", "shop", "/a"), request(id, "", "GET", "cart", "/b"), request(id, "", "GET", "cart/", "a"),
		request("x", "", "GET", "cart", "/a"), request("", id, "GET", "cart", "/a"), request(id, "", "GET", "cart", "/"+strings.Repeat("a", 300)),
		call(func(o *Out) { o.CallOfConnection([]byte("10.0.0.1:1"), []byte("10.0.0.2:2")) }),
		call(func(o *Out) { o.CallOfConnection([]byte("10.0.0.2:2"), []byte("10.0.0.1:1")) }),
	} {
		if seen[other] {
			t.Errorf("%q is there twice", other)
		}
		seen[other] = true
	}
	if got := request("", "", "GET", "cart", "/a"); got != "" {
		t.Errorf("a call without an id has %s", got)
	}
	if got := call(func(o *Out) { o.CallOfConnection([]byte("-"), []byte("10.0.0.2:2")) }); got != "" {
		t.Errorf("a connection with one end has %s", got)
	}
	// One sum over all and one over parts are the same.
	long := strings.Repeat("p", 250)
	if a, b := request(id, "", "GET", "h", long), request(id, "", "GET", "h", long+"q"); a == b || len(a) != 16 {
		t.Errorf("%s %s", a, b)
	}
}

func TestSplitClientCert(t *testing.T) {
	f := func(in, by, uri, subject string) {
		t.Helper()
		c := SplitClientCert([]byte(in))
		if string(c.By) != by || string(c.URI) != uri || string(c.Subject) != subject {
			t.Errorf("%s: %q %q %q", in, c.By, c.URI, c.Subject)
		}
	}
	f(`By=spiffe://a;Hash=1;Subject="CN=x,O=\"y\";z";URI=spiffe://b`, "spiffe://a", "spiffe://b", `CN=x,O=\"y\";z`)
	f(`By=spiffe://a;URI=spiffe://b,By=spiffe://c;URI=spiffe://d;URI=spiffe://e;DNS=x`, "spiffe://c", "spiffe://d", "")
	f(`by=a; uri=b`, "a", "b", "")
	f(`Hash=1,`, "", "", "")
	f(`Subject="`, "", "", "")
	f(`Subject="a`, "", "", "a")
	f(``, "", "", "")
	f(`x`, "", "", "")
	f(`By=a;URI=b,`, "a", "b", "")
}

func FuzzClientCert(f *testing.F) {
	f.Add([]byte(`By=spiffe://a;Hash=1;Subject="CN=x,O=\"y\";z";URI=spiffe://b,By=c`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := SplitClientCert(b)
		if len(c.By)+len(c.URI)+len(c.Subject) > len(b) {
			t.Fatalf("%q: %q", b, c)
		}
	})
}
