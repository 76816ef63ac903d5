package app

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/elastic"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// way is the whole way of a record, from the bytes of a request to the journal
// and into segments, over a disk in memory: what is counted here is work, not
// the speed of a machine.
type way struct {
	t     testing.TB
	door  http.Handler
	store *store.Store
}

func newWay(t testing.TB) *way {
	t.Helper()
	s, in := newIntake(t)
	e, err := elastic.New(elastic.Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return &way{t: t, door: receivetest.Handler(e.Routes()), store: s}
}

// newIntake returns what stands behind all receivers, over a disk in memory.
func newIntake(t testing.TB) (*store.Store, pipeline.Intake) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f := memfs.New()
	_, err := create(f, "test")
	must(err)
	ring, err := keyring.Open(vfs.Sub(f, keysDir))
	must(err)
	sign, err := ring.Signer()
	must(err)
	check, err := ring.Verifier()
	must(err)
	lg, err := ledger.Open(ledger.Options{FS: vfs.Sub(f, ledgerDir), Signer: sign, Verifier: check})
	must(err)
	s, err := store.Open(t.Context(), store.Options{FS: f, Keyring: ring, Ledger: lg, Limits: store.Limits{SealAge: -1}})
	must(err)
	t.Cleanup(func() { must(s.Close()); must(lg.Close()) })
	in, err := pipeline.New(pipeline.Options{Appender: s})
	must(err)
	return s, in
}

func (w *way) send(body []byte) {
	w.t.Helper()
	req := httptest.NewRequest("POST", "/_bulk", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/x-ndjson")
	got := httptest.NewRecorder()
	w.door.ServeHTTP(got, req)
	if got.Code != http.StatusOK || bytes.Contains(got.Body.Bytes(), []byte(`"errors":true`)) {
		w.t.Fatalf("answer %d: %.300s", got.Code, got.Body)
	}
}

// accessBodies draws bulk requests of 2,000 access records each.
func accessBodies(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 77))
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	out := make([][]byte, n)
	for i := range out {
		var b []byte
		for range 2000 {
			at = at.Add(time.Duration(r.IntN(2e8)))
			svc, up := r.IntN(16), r.IntN(16)
			b = fmt.Appendf(b, `{"create":{}}`+"\n"+`{"@timestamp":"%s","authority":"svc-%d.shop.svc.cluster.local:8080","bytes_received":%d,"bytes_sent":%d,"cluster":"prod-eu-west-1",`+
				`"downstream_remote_address":"10.1.%d.%d:%d","duration":%d,"mesh":"istio","method":"GET","namespace":"shop","path":"/api/v1/cart/%d","pod":"svc-%d-0a1b2c3d-%05x",`+
				`"protocol":"HTTP/2","request_id":"%08x-%04x-4%03x-8%03x-%012x","response_code":%d,"response_code_details":"via_upstream","response_flags":"-","route_name":"default",`+
				`"service":"svc-%d","trace_id":"%016x%016x","upstream_cluster":"outbound|8080||svc-%d.shop.svc.cluster.local","upstream_host":"10.2.0.%d:8080","user_agent":"okhttp/4.12.0"}`+"\n",
				at.Format("2006-01-02T15:04:05.000000Z"), up, r.IntN(4096), r.IntN(65_536), svc, r.IntN(256), 32_768+r.IntN(28_000), 1+int(r.ExpFloat64()*14),
				r.IntN(500_000), svc, svc*7919, r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48), []int{200, 200, 200, 404, 503}[r.IntN(5)],
				svc, r.Uint64(), r.Uint64(), up, up)
		}
		out[i] = b
	}
	return out
}

// TestIngestAllocations holds the whole way of a request of 2,000 records to an
// allocation for each ten records: nothing on it may allocate for a record or a
// value.
func TestIngestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	w, bodies := newWay(t), accessBodies(4)
	for _, b := range bodies { // columns, shapes and buffers are made
		w.send(b)
	}
	i := 0
	n := testing.AllocsPerRun(20, func() { w.send(bodies[i%len(bodies)]); i++ })
	if t.Logf("a request of 2,000 records allocates %.0f times", n); n > 200 {
		t.Errorf("a request of 2,000 records allocates %.0f times, want 200 at most", n)
	}
}

// BenchmarkIngest sends eight requests of 2,000 records and seals them. Run it
// under a counter of instructions for a figure that no other load disturbs:
// see docs/performance.md.
func BenchmarkIngest(b *testing.B) {
	w, bodies := newWay(b), accessBodies(8)
	size := 0
	for _, body := range bodies {
		size += len(body)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, body := range bodies {
			w.send(body)
		}
		if err := w.store.Seal(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(bodies)*2000), "ns/record")
}
