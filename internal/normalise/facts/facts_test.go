package facts

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestStampAgreesWithTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	layouts := []string{time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000Z07:00", "2006-01-02 15:04:05.000000-0700"}
	for range 20_000 {
		zone := time.FixedZone("", (r.IntN(27)-13)*3600+r.IntN(4)*900)
		want := time.Unix(r.Int64N(6e9)+7e8, r.Int64N(1e9)).In(zone)
		s := want.Format(layouts[r.IntN(len(layouts))])
		back, err := time.Parse(time.RFC3339, s)
		if err != nil {
			back, err = time.Parse("2006-01-02 15:04:05.000000-0700", s)
		}
		if err != nil {
			t.Fatal(err)
		}
		ns, n := Stamp([]byte(s + " x"))
		if ns != back.UnixNano() || n != len(s) {
			t.Fatalf("%s: %d in %d bytes, want %d in %d", s, ns, n, back.UnixNano(), len(s))
		}
	}
}

func TestTime(t *testing.T) {
	f := func(s string, want string) {
		t.Helper()
		ns, ok := Time([]byte(s))
		if want == "" {
			if ok {
				t.Errorf("%q is read as %s", s, time.Unix(0, ns).UTC())
			}
			return
		}
		if got := time.Unix(0, ns).UTC().Format(time.RFC3339Nano); !ok || got != want {
			t.Errorf("%q is read as %s (%v), want %s", s, got, ok, want)
		}
	}
	f("2026-11-20T00:00:01.5Z", "2026-11-20T00:00:01.5Z")
	f("2026-11-20 00:00:01", "2026-11-20T00:00:01Z")
	f("2026-11-20T00:00:01,25+02:00", "2026-11-19T22:00:01.25Z")
	f("1700000000", "2023-11-14T22:13:20Z")
	f("1700000000123", "2023-11-14T22:13:20.123Z")
	f("1700000000123456", "2023-11-14T22:13:20.123456Z")
	f("1700000000123456789", "2023-11-14T22:13:20.123456789Z")
	f("1700000000.25", "2023-11-14T22:13:20.25Z")
	for _, s := range []string{"", "x", "12", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2020-07-19T06:48:104Z", "2026-11-20T00:00:01Zx", "99999999999999999999", "0001-01-01T00:00:00Z", "1700000000.x"} {
		f(s, "")
	}
	if ns, ok := EpochFloat(1700000000.25); !ok || ns != 1700000000250000000 {
		t.Error(ns)
	}
	if _, ok := EpochFloat(1e300); ok {
		t.Error("1e300 is a time")
	}
}

func TestSplitAddress(t *testing.T) {
	f := func(in, host string, port int64, ok bool) {
		t.Helper()
		a, good := SplitAddress([]byte(in))
		if good != ok || ok && (string(a.Host) != host || a.Port != port) {
			t.Errorf("%q: %q %d %v", in, a.Host, a.Port, good)
		}
	}
	f("10.0.0.1:80", "10.0.0.1", 80, true)
	f("[::1]:80", "::1", 80, true)
	f("[::1]", "::1", 0, true)
	f("2001:db8::1", "2001:db8::1", 0, true)
	f("tcp://10.0.2.1:80", "10.0.2.1", 80, true)
	f("envoy://connect_originate/10.244.0.32:9080", "10.244.0.32", 9080, true)
	f("envoy://internal_client_address/", "", 0, false)
	f("reviews", "reviews", 0, true)
	f("reviews:9080", "reviews", 9080, true)
	f("10.0.0.1:0", "10.0.0.1", 0, true)
	for _, in := range []string{"", "-", "[::1", ":80", "h:99999", "h:x", "://"} {
		f(in, "", 0, false)
	}
}

func TestSplitNames(t *testing.T) {
	service := func(in, name, ns, cluster string, consul, ok bool) {
		t.Helper()
		s, good := SplitService([]byte(in))
		if good != ok || ok && (string(s.Name) != name || string(s.Namespace) != ns || string(s.Cluster) != cluster || s.Consul != consul) {
			t.Errorf("%q: %q %q %q %v %v", in, s.Name, s.Namespace, s.Cluster, s.Consul, good)
		}
	}
	service("reviews.default.svc.cluster.local", "reviews", "default", "", false, true)
	service("reviews.default.svc", "reviews", "default", "", false, true)
	service("web.default.dc1.internal.1111.consul", "web", "default", "dc1", true, true)
	service("v2.web.default.dc1.internal-v1.1111.consul", "web", "default", "dc1", true, true)
	for _, in := range []string{"", ".", "a..svc", "example.org", "a.b.svcx", "a.b.consul", "a.b.c.d.consul"} {
		service(in, "", "", "", false, false)
	}
	principal := func(in, workload, ns string, ok bool) {
		t.Helper()
		p, good := SplitPrincipal([]byte(in))
		if good != ok || string(p.Workload) != workload || string(p.Namespace) != ns {
			t.Errorf("%q: %q %q %v", in, p.Workload, p.Namespace, good)
		}
	}
	principal("spiffe://cluster.local/ns/shop/sa/cart", "cart", "shop", true)
	principal("spiffe://t.consul/ns/default/dc/dc1/svc/web", "web", "default", true)
	principal("cart.shop.serviceaccount.identity.linkerd.cluster.local", "cart", "shop", true)
	for _, in := range []string{"", "spiffe://", "spiffe://x", "a.b", "a.b.c.identity."} {
		principal(in, "", "", false)
	}
	for pod, want := range map[string]string{
		"reviews-v1-545db77b95-s6jb8": "reviews-v1", "node-local-dns-88zrp": "node-local-dns", "db-0": "db", "web": "web", "": "",
		"traffic-generator-9b649846d-bxqfc": "traffic-generator", "agent-probe": "agent-probe", "my-app-admin": "my-app-admin",
	} {
		if got := string(PodWorkload([]byte(pod))); got != want {
			t.Errorf("%q is of %q, want %q", pod, got, want)
		}
	}
}

func FuzzFacts(f *testing.F) {
	for _, s := range []string{"", "10.0.0.1:80", "envoy://a/b:1", "http://h:1/p?q", "a.b.svc", "v.a.b.c.internal.consul", "spiffe://t/ns/x", "2026-01-01T00:00:00.1+01:00", "1700000000.5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		SplitAddress(b)
		SplitService(b)
		SplitPrincipal(b)
		PodWorkload(b)
		if _, n := Stamp(b); n > len(b) {
			t.Fatalf("%q: %d bytes of %d", b, n, len(b))
		}
		Time(b)
		u := SplitURL(b)
		if len(u.Scheme)+len(u.Host)+len(u.Path)+len(u.Query) > len(b) {
			t.Fatalf("%q: %v", b, u)
		}
	})
}

// FuzzSplitAddress holds the short way to the long one.
func FuzzSplitAddress(f *testing.F) {
	for _, s := range []string{"10.0.0.1:80", "10.0.0.1:", ":80", "a:65535", "a:65536", "a:99999", "a:100000", "::1", "[::1]:80", "tcp://a:1", "-", "a", "a:b", "a:1:2", "envoy://l/10.0.0.1:80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := SplitAddress(b)
		want, good := splitAny(b)
		if ok != good || string(got.Host) != string(want.Host) || got.Port != want.Port {
			t.Errorf("%q: %q %d %v, want %q %d %v", b, got.Host, got.Port, ok, want.Host, want.Port, good)
		}
	})
}
