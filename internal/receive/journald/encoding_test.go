package journald

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// compressed returns b as systemd-journal-upload compresses it: a frame for every
// piece.
func compressed(t testing.TB, encoding string, b []byte, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	for len(b) > 0 {
		n := min(piece, len(b))
		var w io.WriteCloser = gzip.NewWriter(&out)
		if encoding == "zstd" {
			z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			w = z
		}
		if _, err := w.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	return out.Bytes()
}

func TestCompressedUploads(t *testing.T) {
	plain := &receivetest.Intake{}
	bodies := receive.NewBodies(receive.Limits{})
	v, err := New(receive.Shared{Intake: plain, Bodies: bodies})
	if err != nil {
		t.Fatal(err)
	}
	resp, _ := receivetest.Call(receivetest.Handler(v.Routes()), "POST", "/upload", captured(t), kindHeader)
	if got := resp.Header.Get("Accept-Encoding"); got != "zstd, gzip" { // else no client compresses
		t.Errorf("Accept-Encoding %q", got)
	}
	want := show(plain.Raws())
	for _, encoding := range []string{"zstd", "gzip"} {
		for _, piece := range []int{100, 64 << 10} {
			in := &receivetest.Intake{}
			body := compressed(t, encoding, captured(t), piece)
			resp, text := receivetest.Call(handler(t, in), "POST", "/upload", body, kindHeader, "Content-Encoding: "+encoding)
			if resp.StatusCode != 202 || show(in.Raws()) != want {
				t.Errorf("%s by %d: %d %s", encoding, piece, resp.StatusCode, text)
			}
			// Cut off, and damaged: an error, and nothing is held on to.
			for _, bad := range [][]byte{body[:len(body)-3], append(bytes.Clone(body), "noise of some length"...)} {
				v.inlet.Bodies = bodies
				resp, _ := receivetest.Call(receivetest.Handler(v.Routes()), "POST", "/upload", bad, kindHeader, "Content-Encoding: "+encoding)
				if resp.StatusCode != http.StatusBadRequest || bodies.Held() != 0 {
					t.Errorf("%s: broken: %d, %d bytes are held", encoding, resp.StatusCode, bodies.Held())
				}
			}
		}
	}
}

func TestCompressionBombs(t *testing.T) {
	in := &receivetest.Intake{}
	record := "MESSAGE=" + strings.Repeat("a", 1<<20) + "\n\n"
	for _, encoding := range []string{"zstd", "gzip"} {
		bomb := compressed(t, encoding, []byte(strings.Repeat(record, 40)), 64<<20)
		resp, text := receivetest.Call(handler(t, in), "POST", "/upload", bomb, kindHeader, "Content-Encoding: "+encoding)
		if resp.StatusCode != http.StatusRequestEntityTooLarge && resp.StatusCode != http.StatusBadRequest { // by its window
			t.Errorf("%s: %d bytes became 40 MiB: %d %s", encoding, len(bomb), resp.StatusCode, text)
		}
	}
}

// FuzzCompressedUploads: whatever the bytes, an answer, and no memory held.
func FuzzCompressedUploads(f *testing.F) {
	for _, encoding := range []string{"zstd", "gzip"} {
		for _, b := range []string{"", "MESSAGE=a\n\n", "MESSAGE=a\n\nMESSAGE=b\n__CURSOR=c\n\n"} {
			f.Add(compressed(f, encoding, []byte(b), 9), encoding == "zstd")
		}
	}
	bodies := receive.NewBodies(receive.Limits{})
	v, err := New(receive.Shared{Intake: receivetest.Discard{}, Bodies: bodies})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, zstd bool) {
		encoding := "gzip"
		if zstd {
			encoding = "zstd"
		}
		u := upload{r: v, req: httptest.NewRequest("POST", "/upload", bytes.NewReader(b)), rc: http.NewResponseController(httptest.NewRecorder())}
		err := u.open(encoding)
		if err == nil {
			err = u.run()
		}
		u.release()
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Fatal(err)
		}
		if bodies.Held() != 0 {
			t.Fatalf("%d bytes are held", bodies.Held())
		}
	})
}
