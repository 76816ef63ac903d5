package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

var update = flag.Bool("update", false, "write the golden files")

const kindHeader = "Content-Type: " + contentType

func handler(t *testing.T, in pipeline.Intake) http.Handler {
	t.Helper()
	r, err := New(receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return receivetest.Handler(r.Routes())
}

// show writes records one a line.
func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		fmt.Fprintf(&b, "%s %s service=%q", time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano), r.Level, r.Service)
		for _, f := range r.Attrs {
			if f.Value.Kind == record.String {
				fmt.Fprintf(&b, " %s=%q", f.Name, f.Value.Str)
			} else {
				fmt.Fprintf(&b, " %s=%d", f.Name, f.Value.Int)
			}
		}
		fmt.Fprintf(&b, "\n  %q\n", r.Payload)
	}
	return b.String()
}

// TestSlowUploadsHoldLittle: a client may be silent for a minute at a time.
func TestSlowUploadsHoldLittle(t *testing.T) {
	bodies := receive.NewBodies(receive.Limits{})
	v, err := New(receive.Shared{Intake: &receivetest.Intake{}, Bodies: bodies})
	if err != nil {
		t.Fatal(err)
	}
	h := receivetest.Handler(v.Routes())
	in, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		req := httptest.NewRequest("POST", "/upload", in)
		req.Header.Set("Content-Type", contentType)
		h.ServeHTTP(httptest.NewRecorder(), req)
	}()
	for _, v := range []struct{ send, hold int }{{1, 4 << 10}, {9_000, 128 << 10}, {100_000, 1 << 20}} {
		out.Write(bytes.Repeat([]byte("x"), v.send))
		if held := bodies.Held(); held > int64(v.hold) || held == 0 {
			t.Errorf("%d bytes more hold %d", v.send, held)
		}
	}
	out.Close()
	<-done
	if bodies.Held() != 0 {
		t.Errorf("%d bytes are held after all", bodies.Held())
	}
}

func captured(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/upload.export")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCaptured takes what systemd-journal-upload sent.
func TestCaptured(t *testing.T) {
	in := &receivetest.Intake{}
	resp, text := receivetest.Call(handler(t, in), "POST", "/upload", captured(t), kindHeader, "Accept: text/plain")
	if resp.StatusCode != 202 || text != "OK.\n" {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
	got := show(in.Raws())
	if *update {
		if err := os.WriteFile("testdata/upload.golden", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/upload.golden")
	if err != nil || got != string(want) {
		t.Errorf("got\n%s\nwant\n%s %v", got, want, err)
	}
}

func binaryField(name, value string) string {
	b := binary.LittleEndian.AppendUint64([]byte(name+"\n"), uint64(len(value)))
	return string(append(b, value+"\n"...))
}

func TestAnswers(t *testing.T) {
	f := func(code int, records int, body string, headers ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		if len(headers) == 0 {
			headers = []string{kindHeader}
		}
		resp, text := receivetest.Call(handler(t, in), "POST", "/upload", []byte(body), headers...)
		if resp.StatusCode != code || len(in.Raws()) != records {
			t.Errorf("%.60q: %d and %d records, want %d and %d: %s", body, resp.StatusCode, len(in.Raws()), code, records, text)
		}
	}
	f(202, 0, "")
	f(202, 1, "MESSAGE=a\n\n")
	f(202, 1, "MESSAGE=a\n")
	f(202, 2, "\n\nMESSAGE=a\n\n\nMESSAGE=b\n\n")
	f(202, 1, binaryField("MESSAGE", "a\n\nMESSAGE=b\n\n")+"\n")
	f(202, 1, binaryField("MESSAGE", "")+"\n")
	f(417, 1, "MESSAGE=a\n\nMESSAGE=b")
	f(417, 1, "MESSAGE=a\n\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00ab")
	f(417, 0, "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffab")
	f(202, 1, "=x\n\nMESSAGE=a\n\n") // a field without a name
	f(415, 0, "MESSAGE=a\n\n", "Content-Type: text/plain")
	for _, e := range []string{"lz4", "xz", "x"} {
		f(415, 0, "MESSAGE=a\n\n", kindHeader, "Content-Encoding: "+e)
	}
	for _, e := range []string{"zstd", "gzip"} {
		f(202, 0, "", kindHeader, "Content-Encoding: "+e)
		f(400, 0, "MESSAGE=a\n\n", kindHeader, "Content-Encoding: "+e)
	}
	f(202, 1, "MESSAGE=a\n\n", kindHeader+"; charset=utf-8")
	f(202, 1, "MESSAGE=a\n\nMESSAGE="+strings.Repeat("x", 3<<20)+"\n\n")
	f(202, 2, "MESSAGE=a\n\n"+binaryField("COREDUMP", strings.Repeat("\n", 5<<20))+"MESSAGE=b\n\nMESSAGE=c\n\n")
	f(202, 0, "MESSAGE="+strings.Repeat("x", 3<<20)+"\n\n")
}

// journal makes n records of a journal from number first on.
func journal(first, n int) string {
	var b strings.Builder
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, "__CURSOR=s=21;i=%x;b=01;m=f;t=66;x=%x\n__REALTIME_TIMESTAMP=%d\nPRIORITY=6\n_HOSTNAME=web-1\n_PID=12\nSYSLOG_IDENTIFIER=app\n_SYSTEMD_UNIT=app.service\nMESSAGE=number %d is here\n\n",
			i, i*7919, 1795282800000000+i, i)
	}
	return b.String()
}

// store keeps each batch once, as the store does, and answers for it.
type store struct {
	receivetest.Intake
	seen map[record.BatchID]bool
	kept []string
}

func (s *store) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	if s.Before != nil {
		if err := s.Before(ctx, req); err != nil {
			return pipeline.Outcome{}, err
		}
	}
	if s.seen == nil {
		s.seen = map[record.BatchID]bool{}
	}
	if !req.ID.IsZero() && s.seen[req.ID] {
		return pipeline.Outcome{Deduplicated: len(req.Raws)}, nil
	}
	s.seen[req.ID] = true
	for _, r := range req.Raws {
		s.kept = append(s.kept, string(r.Payload))
	}
	return pipeline.Outcome{Stored: len(req.Raws)}, nil
}

// TestRepetition: an upload that broke off, and is sent again from its beginning
// in other pieces and with more behind it, is there once.
func TestRepetition(t *testing.T) {
	const n = 30_000
	all := journal(0, n)
	in := &store{}
	h := handler(t, in)
	send := func(body io.Reader) int {
		req := httptest.NewRequest("POST", "/upload", body)
		req.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w.Code
	}
	broken := io.MultiReader(strings.NewReader(all[:len(all)*3/4]), iotest.ErrReader(errors.New("gone")))
	if code := send(iotest.HalfReader(broken)); code != 503 {
		t.Errorf("an upload that breaks off is answered %d", code)
	}
	if len(in.kept) == 0 {
		t.Fatal("nothing was durable before the end: memory is not bounded")
	}
	if code := send(strings.NewReader(all)); code != 202 {
		t.Error(code)
	}
	if code := send(strings.NewReader(all)); code != 202 { // its answer was lost
		t.Error(code)
	}
	if len(in.kept) != n || in.kept[n-1] != fmt.Sprintf("number %d is here", n-1) {
		t.Errorf("%d records are kept, want %d", len(in.kept), n)
	}
}

// TestFailure: a portion that cannot be kept now is tried again, and the client
// hears of it only if that does not help.
func TestFailure(t *testing.T) {
	tries := 0
	in := &store{}
	in.Before = func(context.Context, *pipeline.Request) error {
		if tries++; tries == 2 {
			return fault.Errorf(fault.Overload, "later")
		}
		return nil
	}
	resp, _ := receivetest.Call(handler(t, in), "POST", "/upload", []byte(journal(0, 20_000)), kindHeader)
	if resp.StatusCode != 202 || len(in.kept) != 20_000 || tries < 4 {
		t.Errorf("%d, %d records, %d tries", resp.StatusCode, len(in.kept), tries)
	}
	in.Before = func(context.Context, *pipeline.Request) error { return fault.Errorf(fault.Denied, "never") }
	if resp, _ := receivetest.Call(handler(t, in), "POST", "/upload", []byte(journal(0, 1)), kindHeader); resp.StatusCode != 403 {
		t.Error(resp.StatusCode)
	}
}

// TestMemory: an upload of any length holds a few portions, and gives them back.
func TestMemory(t *testing.T) {
	bodies := receive.NewBodies(receive.Limits{})
	most := int64(0)
	in := &receivetest.Intake{Before: func(_ context.Context, req *pipeline.Request) error {
		most = max(most, bodies.Held())
		req.Raws = nil // so that the test holds nothing
		return nil
	}}
	r, err := New(receive.Shared{Intake: in, Bodies: bodies})
	if err != nil {
		t.Fatal(err)
	}
	one := journal(0, 5000)
	var parts []io.Reader
	for range 40 {
		parts = append(parts, strings.NewReader(one))
	}
	req := httptest.NewRequest("POST", "/upload", io.MultiReader(parts...))
	req.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	receivetest.Handler(r.Routes()).ServeHTTP(w, req)
	if w.Code != 202 || most > 8<<20 || most == 0 || bodies.Held() != 0 {
		t.Errorf("%d; %d bytes held at most, %d after", w.Code, most, bodies.Held())
	}
}

func TestFields(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	d := decoder{set: set}
	var many strings.Builder
	for i := range maxFields + 1 {
		fmt.Fprintf(&many, "F%d=x\n", i)
	}
	d.decode([]byte(many.String()))
	if len(set.Raws) != 0 || len(set.Rejected) != 1 || set.Rejected[0].Name != "too_many_fields" {
		t.Errorf("%d records, %v", len(set.Raws), set.Rejected)
	}
	d.decode([]byte("PRIORITY=9\n_PID=x\n__REALTIME_TIMESTAMP=y\nSYSLOG_FACILITY=z\nMESSAGE=a\nMESSAGE=b\n_SYSTEMD_UNIT=u.service\n"))
	if got := show(set.Raws); !strings.Contains(got, `service="u" PRIORITY="9" _PID="x" __REALTIME_TIMESTAMP="y" SYSLOG_FACILITY="z" MESSAGE="b" systemd.unit="u.service"`) {
		t.Error(got)
	}
}

func TestAllocations(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	b := []byte(journal(0, 1000))
	run := func() { decodeAll(t, b, 1000) }
	run()
	if n := testing.AllocsPerRun(20, run); n > 8 {
		t.Errorf("%v allocations for 1,000 records", n)
	}
}

func decodeAll(t testing.TB, b []byte, want int) {
	set := receive.NewSet()
	d := decoder{set: set, fields: make([]record.Field, 0, 32)}
	var c cutter
	for len(b) > 0 {
		n, _ := c.next(b)
		d.decode(b[:n])
		b = b[n:]
	}
	if len(set.Raws) != want {
		t.Fatalf("%d records", len(set.Raws))
	}
	set.Release()
}

func BenchmarkDecode(b *testing.B) {
	in := []byte(journal(0, 1000))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		decodeAll(b, in, 1000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

// FuzzExport: however an upload is cut into reads, its records are the same.
func FuzzExport(f *testing.F) {
	b := captured(f)
	f.Add(b[bytes.Index(b, []byte("MESSAGE\n"))-40:][:160], uint8(7))
	f.Add([]byte(journal(0, 2)+binaryField("A", "\n\n")+"\n"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		read := func(r io.Reader) (records, failure string) {
			in := &receivetest.Intake{}
			rec, err := New(receive.Shared{Intake: in})
			if err != nil {
				t.Fatal(err)
			}
			u := upload{r: rec, req: httptest.NewRequest("POST", "/upload", r), rc: http.NewResponseController(httptest.NewRecorder())}
			if err := u.open(""); err != nil {
				t.Fatal(err)
			}
			defer u.release()
			err = u.run()
			return show(in.Raws()), fmt.Sprint(err)
		}
		whole, a := read(bytes.NewReader(b))
		pieces, c := read(&slow{bytes.NewReader(b), int(piece) + 1})
		if whole != pieces || a != c {
			t.Fatalf("at once %s\n%s\nin pieces of %d: %s\n%s", a, whole, piece+1, c, pieces)
		}
	})
}

// slow reads n bytes at a time.
type slow struct {
	r io.Reader
	n int
}

func (s *slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }
