package receive_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

// post sends n lines of 10 bytes as a principal.
func post(ctx context.Context, f *receive.Inlet, p *access.Principal, n int) error {
	r := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("123456789\n", n)))
	r = r.WithContext(httpd.WithPrincipal(ctx, p))
	return f.Receive(r, "", func(body *receive.Body, set *receive.Set) error {
		for line := range strings.Lines(string(body.Bytes)) {
			set.Raws = append(set.Raws, record.Raw{Payload: []byte(line)})
		}
		return nil
	}, func(*receive.Taken) error { return nil })
}

func TestWhatACredentialDeclares(t *testing.T) {
	in := new(receivetest.Intake)
	f := receive.NewInlet("x", receive.Shared{Intake: in})
	p := &access.Principal{Name: "edge-7", Tenant: "acme"}
	for _, c := range []struct {
		sends            identity.Sending
		source, platform string
		class            record.Class
	}{
		{identity.Sending{}, "x/edge-7", "", ""},
		{identity.Sending{Source: "edge", Platform: "envoy", Class: "security"}, "x/edge", "envoy", "security"},
	} {
		p.Sends = c.sends
		if err := post(t.Context(), f, p, 1); err != nil {
			t.Fatal(err)
		}
		all := in.Requests()
		if r := all[len(all)-1]; r.Source != c.source || r.Platform != c.platform || r.Class != c.class || r.Tenant != "acme" {
			t.Errorf("%+v became %s, %q, %q of %s", c.sends, r.Source, r.Platform, r.Class, r.Tenant)
		}
	}
}

func TestRateOfACredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := new(receivetest.Intake)
		shared := receive.Shared{Intake: in, Rates: new(receive.Rates)}
		// One credential over two receivers, and a neighbour without a bound.
		one, other := receive.NewInlet("x", shared), receive.NewInlet("y", shared)
		p := &access.Principal{Name: "edge", Tenant: "acme", Sends: identity.Sending{RecordsPerSecond: 10, BytesPerSecond: 1000}}
		start := time.Now()
		send := func(f *receive.Inlet, n int) error { return post(t.Context(), f, p, n) }

		// The first request of any size is taken: 100 records are worth ten seconds.
		if err := send(one, 100); err != nil {
			t.Fatal(err)
		}
		err := send(other, 1)
		if !fault.Is(err, fault.Overload) || receive.Status(err) != http.StatusServiceUnavailable {
			t.Fatalf("over the rate: %v", err)
		}
		w := httptest.NewRecorder()
		receive.SetRetry(w, receive.Status(err), err)
		if got := w.Header().Get("Retry-After"); got != "9" { // ten, and one may be ahead
			t.Errorf("Retry-After %s", got)
		}
		st := rpc.Status(err, true)
		if len(st.Details()) != 1 || !strings.Contains(st.String()+st.Proto().String(), "seconds:9") {
			t.Errorf("gRPC is not told when: %v", st.Proto())
		}
		if err := post(t.Context(), one, &access.Principal{Name: "free", Tenant: "acme"}, 1000); err != nil {
			t.Errorf("a neighbour: %v", err)
		}
		if err := post(t.Context(), one, &access.Principal{Name: "edge", Tenant: "other", Sends: p.Sends}, 1); err != nil {
			t.Errorf("the same name of another tenant: %v", err)
		}

		// A little over the rate is held back, not refused.
		<-time.After(8 * time.Second)
		if err := send(one, 10); err != nil || time.Since(start) != 9*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		// In the long run the rate holds: 11 s of it were sent by now.
		for time.Since(start) < time.Minute {
			if err := send(one, 5); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, r := range in.Requests() {
			if r.Source == "x/edge" && r.Tenant == "acme" {
				n += len(r.Raws)
			}
		}
		if n < 595 || n > 620 {
			t.Errorf("%d records in a minute, want 600", n)
		}
	})
}

func TestRateOfWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &access.Principal{Name: "edge", Tenant: "acme", Sends: identity.Sending{RecordsPerSecond: 1}}
		full := new(receivetest.Intake)
		f := receive.NewInlet("x", receive.Shared{Intake: failing{}, Rates: new(receive.Rates)})
		for range 5 {
			if err := post(t.Context(), f, p, 100); !fault.Is(err, fault.Unavailable) {
				t.Fatalf("what was not kept counts: %v", err)
			}
		}
		// A stream waits, until its call ends.
		f = receive.NewInlet("x", receive.Shared{Intake: full, Rates: new(receive.Rates)})
		if err := post(t.Context(), f, p, 100); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", nil)
		ctx, cancel := context.WithTimeout(httpd.WithPrincipal(t.Context(), p), 10*time.Second)
		defer cancel()
		if _, err := f.IdentifyStream(r.WithContext(ctx)); !fault.Is(err, fault.Canceled) {
			t.Errorf("a stream that ends while it waits: %v", err)
		}
		start := time.Now()
		from, err := f.IdentifyStream(r.WithContext(httpd.WithPrincipal(t.Context(), p)))
		if err != nil || time.Since(start) != 89*time.Second {
			t.Errorf("held back %v: %v", time.Since(start), err)
		}
		f.Count(from, 0, 5)
		if err := f.Hold(t.Context(), from); err != nil || time.Since(start) != 94*time.Second {
			t.Errorf("held back %v: %v", time.Since(start), err)
		}
	})
}

// failing is an intake that has no room.
type failing struct{}

func (failing) Ingest(context.Context, *pipeline.Request) (pipeline.Outcome, error) {
	return pipeline.Outcome{}, fault.Errorf(fault.Unavailable, "full")
}
