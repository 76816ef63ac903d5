package e2e

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// A hostile is a body that some receiver may take for its own.
type hostile struct {
	name   string
	header map[string]string
	body   []byte
}

// hostileBodies returns bodies that cost much to read, for what they are: about
// size bytes each.
func hostileBodies(t *testing.T, size int) []hostile {
	t.Helper()
	zeros := make([]byte, 96<<20)
	var deflated, zst bytes.Buffer
	z := zlib.NewWriter(&deflated)
	z.Write(zeros)
	z.Close()
	e, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	e.Write(zeros)
	e.Close()
	kind := func(k string) map[string]string { return map[string]string{"Content-Type": k} }
	packed := func(k string) map[string]string {
		return map[string]string{"Content-Encoding": k, "Content-Type": "application/json"}
	}
	proto, js := kind("application/x-protobuf"), kind("application/json")
	var names, rows strings.Builder
	for i := range 65_000 {
		fmt.Fprintf(&names, `,"name%d":%d`, i, i)
		fmt.Fprintf(&rows, "{\"create\":{}}\n{\"field%d\":1}\n", i)
	}
	rep := func(s string, n int) []byte { return bytes.Repeat([]byte(s), n/len(s)) }
	var deep []byte // messages in messages
	for n := 1; len(deep) < min(size, 1<<16); n++ {
		deep = append(append([]byte{0x0a}, varint(len(deep))...), deep...)
	}
	return []hostile{
		{"gzip bomb", packed("gzip"), gzipped(t, zeros)},
		{"deflate bomb", packed("deflate"), deflated.Bytes()},
		{"zstd bomb", packed("zstd"), zst.Bytes()},
		{"snappy bomb", map[string]string{"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}, s2.EncodeSnappy(nil, zeros)},
		{"gzip in many members", packed("gzip"), bytes.Repeat(gzipped(t, nil), size/32)},
		{"gzip of gzip", packed("gzip"), gzipped(t, gzipped(t, zeros))},
		{"deep arrays", js, rep("[", size)},
		{"deep objects", js, rep(`{"a":`, size)},
		{"names", js, []byte(`{"a":1` + names.String() + "}\n")},
		{"names in an array", js, []byte(`[{"a":1` + names.String() + "}]\n")},
		{"a name for each record", kind("application/x-ndjson"), []byte(rows.String())},
		{"empty objects", js, []byte("[" + string(rep("{},", size)) + "{}]")},
		{"empty lines", kind("text/plain"), rep("\n", size)},
		{"short lines", kind("text/plain"), rep("x\n", size)},
		{"an endless string", js, append([]byte(`{"message":"`), rep("x", size)...)},
		{"escapes", js, []byte(`{"message":"` + string(rep(`\u0000`, size)) + `"}`)},
		{"a number without end", js, append([]byte(`{"n":`), rep("9", size)...)},
		{"protobuf: small fields", proto, rep("\x08\x00", size)},
		{"protobuf: empty messages", proto, rep("\x0a\x00", size)},
		{"protobuf: empty messages within", proto, append(append([]byte{0x0a}, varint(size)...), rep("\x12\x00", size)...)},
		{"protobuf: deep", proto, deep},
		{"protobuf: a length of 2^63", proto, []byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")},
		{"protobuf: snappy of empty messages", map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}, s2.EncodeSnappy(nil, rep("\x0a\x00", size))},
		{"thrift: a list of 2^31", kind("application/vnd.apache.thrift.binary"), []byte("\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x01s\x00\x0f\x00\x02\x0c\x7f\xff\xff\xff")},
		{"thrift: a text of 2^31", kind("application/x-thrift"), []byte("\x0c\x00\x01\x0b\x00\x01\x7f\xff\xff\xff")},
		{"thrift: a map of 2^31", kind("application/x-thrift"), []byte("\x0d\x00\x07\x0b\x0c\x7f\xff\xff\xff\x00")},
		{"thrift: a list of 2^31 of nothing", kind("application/x-thrift"), []byte("\x0f\x00\x07\x0f\x7f\xff\xff\xff" + "\x0f\x7f\xff\xff\xff")},
		{"thrift: deep", kind("application/x-thrift"), rep("\x0c\x00\x01", size)},
		{"thrift: empty spans", kind("application/x-thrift"), append([]byte{0x0c, 0, 0, 0, 1}, make([]byte, size)...)},
		{"msgpack: deep", kind("application/msgpack"), rep("\x91", size)},
		{"msgpack: an array of 2^32", kind("application/msgpack"), append([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, rep("\xc0", size)...)},
		{"msgpack: nils", kind("application/msgpack"), rep("\xc0", size)},
		{"journal: a field of 2^60", kind("application/vnd.fdo.journal"), []byte("MESSAGE\n\x00\x00\x00\x00\x00\x00\x00\x10x\n\n")},
		{"journal: many fields", kind("application/vnd.fdo.journal"), rep("A=1\n", size)},
		{"journal: no end", kind("application/vnd.fdo.journal"), rep("A", size)},
		{"spans of many tags", js, []byte(`[{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"48485a3953bb6124","tags":{"a":"b"` + strings.ReplaceAll(names.String(), ":", `:"`) + `"}}]`)},
		{"firehose: a bomb", map[string]string{"Content-Type": "application/json", "X-Amz-Firehose-Request-Id": "r"},
			[]byte(`{"requestId":"r","timestamp":1,"records":[{"data":"` + base64.StdEncoding.EncodeToString(gzipped(t, zeros)) + `"}]}`)},
		{"firehose: empty records", map[string]string{"Content-Type": "application/json", "X-Amz-Firehose-Request-Id": "r"},
			[]byte(`{"requestId":"r","timestamp":1,"records":[{"data":""}` + string(rep(`,{"data":""}`, size)) + `]}`)},
		{"relay: batches of 2^32 bytes", nil, []byte("\xff\xff\xff\xffMTB")},
		{"relay: empty batches", nil, make([]byte, size)},
	}
}

func varint(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// intakes are the paths at which records are taken over HTTP.
var intakes = []string{
	"/_bulk", "/x/_doc", "/loki/api/v1/push", "/v1/logs", "/v1/traces", "/api/v2/logs", "/v1/input", "/services/collector", "/services/collector/raw",
	"/kubernetes/audit", "/aws/firehose", "/api/v1/ingest", "/gelf", "/api/v2/spans", "/api/v1/spans", "/api/traces", "/upload", "/api/v1/relay",
}

// TestHostileIntake sends every bad body to every intake: none may cost the server
// its memory, or healthy senders their acknowledgements.
func TestHostileIntake(t *testing.T) {
	size := 256 << 10
	if harness.Long() {
		size = 16 << 20
	}
	p := newPrey(t)
	g := p.healthy(t)
	cl := &http.Client{Timeout: 60 * time.Second}
	for _, h := range hostileBodies(t, size) {
		worst, where, codes := time.Duration(0), "", map[int]int{}
		p.forget()
		for _, path := range intakes {
			req, err := http.NewRequest("POST", p.Base+path, bytes.NewReader(h.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range h.header {
				req.Header.Set(k, v)
			}
			req.Header.Set("Authorization", "Bearer "+p.sender)
			if strings.HasPrefix(path, "/aws") {
				req.Header.Set("X-Amz-Firehose-Access-Key", p.sender)
			}
			began := time.Now()
			resp, err := cl.Do(req)
			if err != nil {
				t.Errorf("%s to %s: %v", h.name, path, err)
				continue
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			codes[resp.StatusCode]++
			if d := time.Since(began); d > worst {
				worst, where = d, path
			}
			if resp.StatusCode >= 500 && resp.StatusCode != 503 {
				t.Errorf("%s to %s: %d %.300s", h.name, path, resp.StatusCode, b)
			}
			if resp.StatusCode == 503 {
				t.Logf("%s to %s: %d %.300s", h.name, path, resp.StatusCode, b)
			}
		}
		times, failed := g.reset()
		t.Logf("%-40s %4d MiB, slowest %v at %s, %v; healthy %v", h.name, p.rss(), worst.Round(time.Millisecond), where, codes, times)
		for who, d := range times {
			if d > worstAck {
				t.Errorf("%s: %s waited %v", h.name, who, d)
			}
		}
		for _, f := range failed {
			t.Errorf("%s: %s", h.name, f)
		}
		if n := p.rss(); n > 700 {
			t.Errorf("%s: peak memory %d MiB", h.name, n)
		}
	}
	g.end()
	p.accounted(t, g)
	if strings.Contains(p.Log.String(), "panic") {
		t.Errorf("a panic:\n%s", p.Log)
	}
}

// TestHostileStreams says to ports what no client would.
func TestHostileStreams(t *testing.T) {
	size := 1 << 20
	if harness.Long() {
		size = 40 << 20
	}
	p := newPrey(t)
	g := p.healthy(t)
	rep := func(s string, n int) []byte { return bytes.Repeat([]byte(s), n/len(s)) }
	bin := func(n int) []byte { return []byte{0xc6, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
	bomb := gzipped(t, make([]byte, 96<<20))
	packed := func(entries []byte, compressed string) []byte {
		b := append([]byte("\x93\xa1t"), bin(len(entries))...)
		b = append(append(b, entries...), "\x83\xaacompressed"...)
		b = append(append(b, 0xa0|byte(len(compressed))), compressed...)
		return append(b, "\xa5chunk\xa3c-1\xa4size\x01"...)
	}
	frame := func(b []byte) []byte { // a compressed one of lumberjack
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		w.Write(b)
		w.Close()
		return append([]byte{'2', 'C', byte(z.Len() >> 24), byte(z.Len() >> 16), byte(z.Len() >> 8), byte(z.Len())}, z.Bytes()...)
	}
	window := []byte("2W\x00\x03\xff\xff")
	cases := []struct {
		name, addr string
		say        []byte
	}{
		{"forward: deep", p.fluent, rep("\x91", size)},
		{"forward: an array of 2^32", p.fluent, append([]byte("\x93\xa1t\xdd\xff\xff\xff\xff"), rep("\x92\x01\x80", size)...)},
		{"forward: a record of 2^32", p.fluent, append([]byte("\x93\xa1t\x01\xdf\xff\xff\xff\xff"), rep("\xa1a\x01", size)...)},
		{"forward: bytes of 2^32", p.fluent, append([]byte("\x93\xa1t\xc6\xff\xff\xff\xff"), rep("\x92\x01\x80", size)...)},
		{"forward: entries of nothing", p.fluent, packed(rep("\xc0", size), "text")},
		{"forward: empty entries", p.fluent, packed(rep("\x92\x01\x80", size), "text")},
		{"forward: a bomb", p.fluent, packed(bomb, "gzip")},
		{"forward: members", p.fluent, packed(bytes.Repeat(gzipped(t, []byte("\x92\x01\x80")), 1000), "gzip")},
		{"forward: a bomb in a bomb", p.fluent, packed(gzipped(t, bomb), "gzip")},
		{"forward: a record of many names", p.fluent, func() []byte {
			b := []byte("\x94\xa1t\x01\xdf\x00\x00\xfd\xe8")
			for i := range 65_000 {
				b = append(append(b, 0xa5), fmt.Sprintf("%05d", i)...)
				b = append(b, 1)
			}
			return append(b, "\x81\xa5chunk\xa3c-2"...)
		}()},
		{"forward: JSON, deep", p.fluent, rep("[", size)},
		{"forward: ten thousand messages that want an answer, and nobody reads", p.fluent, rep("\x94\xa1t\x01\x81\xa1a\x01\x81\xa5chunk\xa1c", 10_000*18)},
		{"lumberjack: compressed twice", p.lumberjack, append(append([]byte{}, window...), frame(frame([]byte("2J\x00\x00\x00\x01\x00\x00\x00\x02{}")))...)},
		{"lumberjack: a bomb", p.lumberjack, append(append([]byte{}, window...), frame(make([]byte, 96<<20))...)},
		{"lumberjack: a bomb of records", p.lumberjack, append(append([]byte{}, window...), frame(rep("2J\x00\x00\x00\x01\x00\x00\x00\x02{}", 32<<20))...)},
		{"lumberjack: a frame of 2^32", p.lumberjack, append(append([]byte{}, window...), "2J\x00\x00\x00\x01\xff\xff\xff\xff{}"...)},
		{"lumberjack: pairs of 2^32", p.lumberjack, append(append([]byte{}, "1W\x00\x00\x00\x01"...), "1D\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"...)},
		{"lumberjack: windows", p.lumberjack, rep("2W\x00\x00\x00\x00", size)},
		{"lumberjack: a window of 2^32", p.lumberjack, []byte("2W\xff\xff\xff\xff")},
		{"syslog: 10^18 bytes", p.syslog, append([]byte("1000000000000000000 <13>1 - "), rep("x", size)...)},
		{"syslog: a count without end", p.syslog, rep("9", size)},
		{"syslog: a line without end", p.syslog, append([]byte("<13>1 - - - - - - "), rep("x", size)...)},
		{"syslog: structured data without end", p.syslog, append([]byte("<13>1 - - - - - [a "), append(rep(`b="c" `, size), '\n')...)},
		{"syslog: empty lines", p.syslog, rep("\n", size)},
		{"gelf: a message without end", p.gelf, rep("x", size)},
		{"gelf: nothings", p.gelf, make([]byte, size)},
		{"gelf: deep", p.gelf, append(rep(`{"a":`, size), 0)},
		{"http: a head without end", p.http, append([]byte("POST /_bulk HTTP/1.1\r\nX: "), rep("x", size)...)},
		{"http: lines without end", p.http, append([]byte("POST /_bulk HTTP/1.1\r\n"), rep("a: b\r\n", size)...)},
		{"http: ten thousand requests at once", p.http, rep("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 10_000*34)},
		{"http: a chunk of 2^60", p.http, []byte("POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + p.sender + "\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\nxx")},
		{"http: chunks of one byte", p.http, append([]byte("POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+p.sender+"\r\nTransfer-Encoding: chunked\r\n\r\n"), rep("1\r\nx\r\n", size)...)},
		{"http: chunk extensions", p.http, append([]byte("POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+p.sender+"\r\nTransfer-Encoding: chunked\r\n\r\n1"), rep(";a=b", size)...)},
	}
	for _, c := range cases {
		p.forget()
		began := time.Now()
		nc, err := net.DialTimeout("tcp", c.addr, patient)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		nc.SetDeadline(time.Now().Add(5 * time.Second))
		n, werr := nc.Write(c.say)
		nc.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(io.LimitReader(nc, 300))
		nc.(*net.TCPConn).SetLinger(0)
		nc.Close()
		times, failed := g.reset()
		t.Logf("%-50s %4d MiB, %v, %d of %d bytes taken (%v), answer %.60q; healthy %v", c.name, p.rss(), time.Since(began).Round(time.Millisecond), n, len(c.say), werr, answer, times)
		for who, d := range times {
			if d > worstAck {
				t.Errorf("%s: %s waited %v", c.name, who, d)
			}
		}
		for _, f := range failed {
			t.Errorf("%s: %s", c.name, f)
		}
		if n := p.rss(); n > 700 {
			t.Errorf("%s: peak memory %d MiB", c.name, n)
		}
	}
	g.end()
	p.accounted(t, g)
	if strings.Contains(p.Log.String(), "panic") {
		t.Errorf("a panic:\n%s", p.Log)
	}
}
