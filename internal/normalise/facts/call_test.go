package facts

import (
	"fmt"
	"hash/crc64"
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

// TestCallOfConnection holds the sum to what others compute of the two addresses:
// CRC-64/XZ, which Go calls ECMA.
func TestCallOfConnection(t *testing.T) {
	of := func(source, destination string) string {
		return call(func(o *Out) { o.CallOfConnection([]byte(source), []byte(destination)) })
	}
	one, back := of("10.0.0.1:1", "10.0.0.2:2"), of("10.0.0.2:2", "10.0.0.1:1")
	if want := fmt.Sprintf("%016x", crc64.Checksum([]byte("10.0.0.1:1\n10.0.0.2:2"), crc64.MakeTable(crc64.ECMA))); one != want {
		t.Errorf("%s, want %s", one, want)
	}
	if back == one || of("10.0.0.1:11", "0.0.0.2:2") == one {
		t.Error("two connections have one id")
	}
	if got := of("-", "10.0.0.2:2"); got != "" {
		t.Errorf("a connection with one end has %s", got)
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
