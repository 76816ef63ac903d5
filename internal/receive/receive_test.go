package receive

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func gz(b []byte) []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, 9)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func framed(b []byte) []byte {
	var buf bytes.Buffer
	w := s2.NewWriter(&buf, s2.WriterSnappyCompat())
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func TestBodies(t *testing.T) {
	text := []byte(strings.Repeat("hello, world\n", 1000))
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	lying := append(binary.AppendUvarint(nil, 30<<20), 0, 'x')
	b := NewBodies(Limits{Body: 1 << 20, Decoded: 20 << 20, Memory: 64 << 20})
	f := func(name, encoding string, body io.Reader, length int64, want []byte, kind fault.Kind) {
		t.Helper()
		r := httptest.NewRequest("POST", "/", body)
		r.ContentLength = length
		d, err := b.Read(r, encoding)
		switch {
		case want != nil && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != nil && !bytes.Equal(d.Bytes, want):
			t.Errorf("%s: %d bytes, want %d", name, len(d.Bytes), len(want))
		case want == nil && (err == nil || fault.KindOf(err) != kind):
			t.Errorf("%s: %v of kind %v, want %v", name, err, fault.KindOf(err), kind)
		}
		d.Release()
		if b.Held() != 0 {
			t.Errorf("%s: %d bytes held", name, b.Held())
		}
	}
	bytesOf := func(p []byte) io.Reader { return bytes.NewReader(p) }
	f("identity", "identity", bytesOf(text), -1, text, 0)
	f("length known", "", bytesOf(text), int64(len(text)), text, 0)
	f("gzip", "GZIP", bytesOf(gz(text)), -1, text, 0)
	f("gzip members", "gzip", bytesOf(append(gz(text), gz(text)...)), -1, append(bytes.Clone(text), text...), 0)
	f("snappy block", "snappy", bytesOf(s2.EncodeSnappy(nil, text)), -1, text, 0)
	f("snappy framed", "snappy", bytesOf(framed(text)), -1, text, 0)
	f("zstd", "zstd", bytesOf(enc.EncodeAll(text, nil)), -1, text, 0)
	f("declared too large", "", bytesOf(text), 2<<20, nil, fault.TooLarge)
	f("too large", "", bytesOf(make([]byte, 2<<20)), -1, nil, fault.TooLarge)
	f("gzip bomb", "gzip", bytesOf(gz(make([]byte, 15<<20))), -1, nil, fault.TooLarge)
	f("zstd bomb", "zstd", bytesOf(enc.EncodeAll(make([]byte, 100<<20), nil)), -1, nil, fault.TooLarge)
	f("snappy bomb", "snappy", bytesOf(framed(make([]byte, 30<<20))), -1, nil, fault.TooLarge)
	f("lying snappy", "snappy", bytesOf(lying), -1, nil, fault.TooLarge)
	f("torn gzip", "gzip", bytesOf(gz(text)[:50]), -1, nil, fault.Invalid)
	f("empty gzip", "gzip", bytesOf(nil), -1, nil, fault.Invalid)
	f("not zstd", "zstd", bytesOf(text), -1, nil, fault.Invalid)
	f("unknown", "br", bytesOf(text), -1, nil, fault.Invalid)
	f("broken connection", "", &breaking{text}, -1, nil, fault.Unavailable)
	f("broken connection in gzip", "gzip", &breaking{gz(text)[:40]}, -1, nil, fault.Unavailable)
	f("limit of the server", "", http.MaxBytesReader(nil, io.NopCloser(bytesOf(text)), 100), -1, nil, fault.TooLarge)
}

// breaking is a connection that ends in the middle.
type breaking struct{ b []byte }

func (r *breaking) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, errors.New("connection reset")
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

func TestMemoryIsBounded(t *testing.T) {
	b := NewBodies(Limits{Body: 32 << 20, Decoded: 32 << 20, Memory: 40 << 20})
	var held []*Body
	refused := 0
	for range 10 {
		d, err := b.Read(httptest.NewRequest("POST", "/", bytes.NewReader(make([]byte, 12<<20))), "")
		if err != nil {
			if !fault.Is(err, fault.Overload) {
				t.Fatal(err)
			}
			refused++
			continue
		}
		held = append(held, d)
	}
	if b.Held() > 40<<20 || refused < 7 || len(held) == 0 {
		t.Errorf("%d bytes held, %d refused", b.Held(), refused)
	}
	for _, d := range held {
		d.Release()
	}
	if b.Held() != 0 {
		t.Errorf("%d bytes held after all were released", b.Held())
	}
	// A bomb costs no more than the limit before it is found out.
	bomb := gz(make([]byte, 100<<20))
	b = NewBodies(Limits{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := b.Read(httptest.NewRequest("POST", "/", bytes.NewReader(bomb)), "gzip"); !fault.Is(err, fault.TooLarge) {
		t.Errorf("bomb: %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("a bomb made %d bytes be allocated", n)
	}
}

// TestSlowSendersHoldLittle: what a body holds follows what has come of it, not
// what its sender says is to come.
func TestSlowSendersHoldLittle(t *testing.T) {
	b := NewBodies(Limits{})
	const senders = 300
	var done sync.WaitGroup
	pipes := make([]*io.PipeWriter, senders)
	for i := range pipes {
		r, w := io.Pipe()
		pipes[i] = w
		done.Go(func() {
			req := httptest.NewRequest("POST", "/", r)
			req.ContentLength = 8 << 20
			d, err := b.Read(req, "")
			if err != nil {
				t.Error(err)
				return
			}
			if len(d.Bytes) != 30_001 {
				t.Errorf("a body of %d bytes", len(d.Bytes))
			}
			d.Release()
		})
	}
	send := func(n int) {
		for _, w := range pipes {
			w.Write(make([]byte, n)) // returns when it was read
		}
	}
	send(1)
	if held := b.Held(); held > senders*4<<10 {
		t.Errorf("a byte of each of %d senders takes %d bytes", senders, held)
	}
	send(30_000)
	if held := b.Held(); held > senders*8*30_001 {
		t.Errorf("30,001 bytes of each of %d senders take %d bytes", senders, held)
	}
	for _, w := range pipes {
		w.Close()
	}
	if done.Wait(); b.Held() != 0 {
		t.Errorf("%d bytes are held after all", b.Held())
	}
}

// TestSendersOfALittleHoldNoBomb: what has come of a body is not decoded before
// the rest of it is there.
func TestSendersOfALittleHoldNoBomb(t *testing.T) {
	zeros := make([]byte, 1<<20)
	zst := []byte("\x28\xb5\x2f\xfd\x00\x68") // a window of 8 MiB
	for range 8 {
		zst = append(zst, 0x02, 0x00, 0x10, 0) // 128 KiB of one byte
	}
	for encoding, begin := range map[string][]byte{"gzip": gz(zeros)[:1000], "zstd": zst, "deflate": gz(zeros)[10:1000]} {
		b := NewBodies(Limits{})
		r, w := io.Pipe()
		failed := make(chan error, 1)
		go func() {
			_, err := b.Read(httptest.NewRequest("POST", "/", r), encoding)
			failed <- err
		}()
		w.Write(begin)
		w.Write(nil) // returns when what was written before was used
		if held := b.Held(); held > int64(rooms[0]) {
			t.Errorf("%s: %d bytes hold %d", encoding, len(begin), held)
		}
		w.Close()
		if err := <-failed; !fault.Is(err, fault.Invalid) || b.Held() != 0 {
			t.Errorf("%s: %v, %d bytes are held", encoding, err, b.Held())
		}
	}
}

func FuzzBodies(f *testing.F) {
	f.Add([]byte("hello"), 0)
	f.Add(gz([]byte("hello")), 1)
	f.Add(s2.EncodeSnappy(nil, []byte("hello")), 4)
	f.Add(framed([]byte("hello")), 4)
	encodings := []string{"", "gzip", "deflate", "zstd", "snappy"}
	b := NewBodies(Limits{Body: 1 << 20, Decoded: 1 << 20})
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		d, err := b.Read(httptest.NewRequest("POST", "/", bytes.NewReader(body)), encodings[uint(n)%5])
		if err == nil && len(d.Bytes) > 1<<20 {
			t.Fatalf("%d bytes", len(d.Bytes))
		}
		if k := fault.KindOf(err); err != nil && k != fault.Invalid && k != fault.TooLarge {
			t.Fatalf("%v of kind %v", err, k)
		}
		d.Release()
	})
}

func TestSourceNames(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := SourceName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("elastic/admin", "elastic/admin")
	f("elastic/a b", "elastic/a_b~1d0e5cf0bc057ede")
	if got := SourceName(strings.Repeat("x", 200)); len(got) != 128 || got == SourceName(strings.Repeat("x", 201)) {
		t.Errorf("a long name: %q", got)
	}
}
