package victorialogs

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

func handler(t testing.TB, in pipeline.Intake) http.Handler {
	t.Helper()
	v, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return receivetest.Handler(v.Routes())
}

// block renders rows of one message and two fields each, as vlagent does.
func block(from, n int) []byte {
	var b []byte
	put := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	for i := from; i < from+n; i++ {
		b = append(b, 0, 0, 0, 7, 0, 0, 0, 9)
		put("\x01\x03app\x04shop")
		b = binary.BigEndian.AppendUint64(b, uint64(1_795_284_295_000_000_000+i))
		b = binary.AppendUvarint(b, 3)
		for _, s := range []string{"", "it took 5 ms", "app", "shop", "empty", ""} {
			put(s)
		}
	}
	return b
}

func squeeze(b []byte) []byte {
	enc, _ := zstd.NewWriter(nil)
	return enc.EncodeAll(b, nil)
}

const target = "/internal/insert?version=v1"

func TestInsert(t *testing.T) {
	in := &receivetest.Intake{}
	h := handler(t, in)
	for _, body := range [][]byte{block(0, 2), block(0, 2), block(5, 1)} {
		if resp, text := receivetest.Call(h, "POST", target, squeeze(body), "Content-Encoding: zstd", "User-Agent: vlagent"); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
	}
	raws, reqs := in.Raws(), in.Requests()
	if len(raws) != 5 || string(raws[1].Payload) != "it took 5 ms" || raws[1].JSON || raws[1].Time != 1_795_284_295_000_000_001 {
		t.Fatalf("%d records, %+v", len(raws), raws[1])
	}
	if got := receivetest.Fields(&raws[1]); !strings.Contains(got, "app") || !strings.Contains(got, "shop") || len(raws[1].Attrs) != 2 {
		t.Errorf("fields %s", got)
	}
	if reqs[0].ID.IsZero() || reqs[0].ID != reqs[1].ID || reqs[0].ID == reqs[2].ID {
		t.Errorf("identities %v, %v, %v", reqs[0].ID, reqs[1].ID, reqs[2].ID)
	}
	if reqs[0].Tenant != "acme" {
		t.Errorf("the tenant is %q: it comes from the credential only", reqs[0].Tenant)
	}
}

// TestCaptured reads a block that vlagent (VictoriaLogs at 7c0626e) made of two
// lines that it got at /insert/jsonline?_msg_field=message&_stream_fields=app.
func TestCaptured(t *testing.T) {
	body, err := os.ReadFile("testdata/vlagent.zst")
	if err != nil {
		t.Fatal(err)
	}
	in := &receivetest.Intake{}
	if resp, text := receivetest.Call(handler(t, in), "POST", target, body, "Content-Encoding: zstd"); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	raws := in.Raws()
	if len(raws) == 0 || !bytes.HasPrefix(raws[0].Payload, []byte("peer-")) || raws[0].Time == 0 {
		t.Errorf("%d records: %s", len(raws), receivetest.Lines(raws))
	}
	if got := receivetest.Fields(&raws[0]); !strings.Contains(got, "peers") {
		t.Errorf("fields %s", got)
	}
}

func TestRefused(t *testing.T) {
	in := &receivetest.Intake{}
	h := handler(t, in)
	whole := block(0, 1)
	f := func(name, target string, code int, body []byte) {
		t.Helper()
		if resp, text := receivetest.Call(h, "POST", target, body); resp.StatusCode != code {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, text, code)
		}
	}
	f("another version", "/internal/insert?version=v2", 501, whole)
	f("no version", "/internal/insert", 501, whole)
	for n := 1; n < len(whole); n++ {
		f("torn", target, 400, whole[:n])
	}
	f("a lying length", target, 400, append(make([]byte, 8), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f("a lying number of fields", target, 400, append(make([]byte, 17), 0xff, 0xff, 3))
	f("nothing", target, 200, nil)
	if n := len(in.Raws()); n != 0 {
		t.Errorf("%d records of refused blocks", n)
	}
	in.Before = func(context.Context, *pipeline.Request) error { return fault.Errorf(fault.Overload, "full") }
	f("overload", target, 503, whole)
}

func TestAllocations(t *testing.T) {
	body, lim := block(0, 1000), receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 4, 1000, func(set *receive.Set) error { return rows(body, set, lim) })
}

func BenchmarkRows(b *testing.B) {
	body, lim := block(0, 1000), receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(body), 1000, func(set *receive.Set) error { return rows(body, set, lim) })
}

func FuzzRows(f *testing.F) {
	f.Add(block(0, 3))
	f.Add(block(0, 1)[:20])
	lim := receive.NewBodies(receive.Limits{Items: 1000}).Limits()
	f.Fuzz(func(t *testing.T, body []byte) {
		set := receive.NewSet()
		defer set.Release()
		rows(body, set, lim)
		for _, r := range set.Raws {
			if len(r.Payload) > len(body) {
				t.Fatal("a message longer than the block")
			}
		}
	})
}
