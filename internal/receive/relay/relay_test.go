package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
)

type kept struct {
	id     record.BatchID
	tenant record.TenantID
	source string
	rows   int
}

// store is an Appender that fails at its n-th batch.
type store struct {
	kept []kept
	fail int
	err  error
}

func (s *store) Append(_ context.Context, b *record.Batch) error {
	if s.err != nil && len(s.kept) == s.fail {
		return s.err
	}
	s.kept = append(s.kept, kept{b.ID, b.Tenant, b.Source, b.Len()})
	return nil
}

func handler(t testing.TB, to record.Appender) http.Handler {
	t.Helper()
	v, err := New(Config{}, to, receive.Shared{})
	if err != nil {
		t.Fatal(err)
	}
	return receivetest.Handler(v.Routes())
}

func batch(id record.BatchID, class record.Class, rows int) []byte {
	b := &record.Batch{ID: id, Tenant: "stranger", Source: "file/app", Ingest: 1}
	for i := range rows {
		b.Begin(int64(i), class)
		b.Str(record.Body, "line")
		b.End()
	}
	b.Account.Received = uint64(rows)
	return b.AppendEncoded(nil)
}

func frames(bs ...[]byte) (out []byte) {
	for _, b := range bs {
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	return out
}

func id(seq uint64) record.BatchID {
	return record.BatchID{Origin: "agent-1/files", Epoch: 7, Seq: seq}
}

func TestRelay(t *testing.T) {
	one, two := batch(id(0), "ops", 3), batch(id(3), "ops", 2)
	flipped := append([]byte(nil), two...)
	flipped[len(flipped)/2] ^= 1
	f := func(name string, body []byte, s *store, code int, answer string, want ...kept) {
		t.Helper()
		resp, got := receivetest.Call(handler(t, s), "POST", Path, body)
		if resp.StatusCode != code || !strings.Contains(got, answer) {
			t.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, got, code, answer)
		}
		if code == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
		if len(s.kept) != len(want) {
			t.Fatalf("%s: kept %v, want %v", name, s.kept, want)
		}
		for i := range want {
			if s.kept[i] != want[i] {
				t.Errorf("%s: kept %v, want %v", name, s.kept[i], want[i])
			}
		}
	}
	mine := func(seq uint64, rows int) kept {
		return kept{record.BatchID{Origin: "relay/acme/tester/agent-1/files", Epoch: 7, Seq: seq}, "acme", "relay/tester/file/app", rows}
	}
	f("two batches", frames(one, two), &store{}, 200, `{"acked":2}`, mine(0, 3), mine(3, 2))
	f("no batch", nil, &store{}, 400, `{"acked":0,"error":{"kind":"invalid","reason":"relay request without a batch"}}`)
	f("garbage after a good one", frames(one, []byte("garbage")), &store{}, 400, `{"acked":1,"error":{"kind":"invalid"`, mine(0, 3))
	f("a flipped bit", frames(one, flipped), &store{}, 400, `{"acked":1`, mine(0, 3))
	f("a frame cut off", frames(one, two)[:len(one)+10], &store{}, 400, `{"acked":1`, mine(0, 3))
	f("a length of 4 GiB", []byte{0xff, 0xff, 0xff, 0xff, 1}, &store{}, 400, `declares 4294967295 bytes`)
	f("no id", frames(batch(record.BatchID{}, "ops", 1)), &store{}, 400, `no id`)
	f("audit class", frames(batch(id(0), access.AuditClass, 1)), &store{}, 403, `{"acked":0,"error":{"kind":"denied"`)
	f("disk full at the second", frames(one, two), &store{fail: 1, err: fault.Errorf(fault.Unavailable, "disk is full")}, 503, `{"acked":1,"error":{"kind":"unavailable","reason":"disk is full"}}`, mine(0, 3))
	f("bug", frames(one), &store{err: errors.New("secret")}, 503, `{"acked":0,"error":{"kind":"internal","reason":"the request could not be kept`)
}

// TestNoAgentSpeaksForAnother forges what only intake may say.
func TestNoAgentSpeaksForAnother(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	forge := func(fields ...record.Field) []byte {
		b := &record.Batch{ID: id(0), Tenant: "x", Source: "syslog/bank", Ingest: now.Add(200 * 365 * 24 * time.Hour).UnixNano()}
		for i := range 3 {
			b.Begin(int64(i), "ops")
			b.Str(record.Body, "line")
			if i != 1 { // not every record has it
				for _, f := range fields {
					b.Set(f.Name, f.Value)
				}
			}
			b.End()
		}
		b.Account.Received = 3
		return b.AppendEncoded(nil)
	}
	from := receive.Sender{Tenant: "acme", Name: "edge", Source: "relay/edge"}
	for _, v := range []record.Value{record.StringValue("syslog/bank"), record.IntValue(7), {}} {
		var fields []record.Field
		if v.Kind != 0 {
			fields = append(fields, record.Field{Name: "log.source", Value: v})
		}
		b := new(record.Batch)
		if err := accept(forge(fields...), from, now, b); err != nil {
			t.Fatal(err)
		}
		if b.Ingest != now.UnixNano() {
			t.Errorf("received at %v", time.Unix(0, b.Ingest))
		}
		var again record.Batch
		if err := record.Decode(b.AppendEncoded(nil), &again); err != nil {
			t.Fatal(err)
		}
		for i := range again.Len() {
			r := again.Record(i)
			n := 0
			for _, f := range r.Fields {
				if f.Name == "log.source" {
					n++
				}
			}
			if got, _ := r.Get("log.source"); n != 1 || got.Str != "relay/edge/syslog/bank" {
				t.Errorf("record %d: %d of log.source, %v", i, n, got)
			}
		}
	}
	if err := accept(forge(record.Field{Name: "record.kind", Value: record.StringValue("evidence")}), from, now, new(record.Batch)); !fault.Is(err, fault.Denied) {
		t.Errorf("evidence: %v", err)
	}
	// Whose origin is another's, letter by letter, is still another.
	origins := map[string]bool{}
	for _, s := range []struct{ name, origin string }{{"edge", "a"}, {"other", "a"}, {"edge/a", "b"}, {"edge", "a/b"}} {
		b := new(record.Batch)
		if err := accept(batch(record.BatchID{Origin: s.origin, Seq: 1}, "ops", 1), receive.Sender{Tenant: "acme", Name: s.name, Source: "relay/" + s.name}, now, b); err != nil {
			t.Fatal(err)
		}
		origins[b.ID.Origin] = true
	}
	if len(origins) != 4 {
		t.Errorf("origins: %v", origins)
	}
}

func FuzzRelay(f *testing.F) {
	f.Add(frames(batch(id(0), "ops", 3)))
	f.Add(frames(batch(id(0), "audit", 1), []byte{1}))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := new(record.Batch)
		for len(body) > 0 {
			frame, rest, err := next(body)
			if err != nil {
				return
			}
			body = rest
			if accept(frame, receive.Sender{Tenant: "acme", Source: "relay/x"}, time.Now(), b) == nil && (b.Tenant != "acme" || b.ID.IsZero() || len(b.Source) > 128) {
				t.Fatalf("accepted %v %q %q", b.ID, b.Tenant, b.Source)
			}
		}
	})
}

func TestAgentsAreKnownAsSources(t *testing.T) {
	at := time.Unix(100, 0)
	sources := sources.New(func() time.Time { return at }, nil)
	v, err := New(Config{}, &store{}, receive.Shared{Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	receivetest.Call(receivetest.Handler(v.Routes()), "POST", Path, frames(batch(id(0), "ops", 3), batch(id(3), "ops", 2)))
	list := sources.List()
	if len(list) != 1 || list[0].Source != "relay/tester/file/app" || list[0].Records != 5 || list[0].Lossy || list[0].MaxLag != 100*time.Second || list[0].Lag != 100*time.Second-1 {
		t.Errorf("%+v", list)
	}
}
