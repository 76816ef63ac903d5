package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// A prey is a server with every receiver that has a port, and senders who do
// nothing wrong beside those who do.
type prey struct {
	*harness.Server
	http, fluent, lumberjack, syslog, gelf string // addresses
	sender, reader                         string // tokens
}

// newPrey starts a prey, which may have so many files open, if that is said.
func newPrey(t *testing.T, files ...int) *prey {
	t.Helper()
	data := harness.Init(t)
	p := &prey{}
	var config strings.Builder
	config.WriteString("\ntokens:\n")
	for _, role := range []string{"sender", "reader"} {
		out := strings.Fields(harness.Run(t, 0, "token", "new"))
		token := ""
		for _, word := range out {
			if strings.HasPrefix(word, "mt_") {
				token = word
			}
		}
		file := filepath.Join(t.TempDir(), role+".token")
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "  - {name: %s-1, role: %s, file: %s}\n", role, role, file)
		if role == "sender" {
			p.sender = token
		} else {
			p.reader = token
		}
	}
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	p.fluent, p.lumberjack, p.syslog, p.gelf = port(), port(), port(), port()
	// Attackers and healthy senders have one address here.
	const shared = "connections: 11000, connections_per_address: 11000"
	fmt.Fprintf(&config, "receivers:\n  fluent: {listen: %q, "+shared+"}\n  lumberjack: {listen: %q, "+shared+"}\n  syslog:\n    tcp: {listen: %q, "+shared+"}\n    udp: {listen: %q}\n  gelf:\n    tcp: {listen: %q, "+shared+"}\n    udp: {listen: %q}\n",
		p.fluent, p.lumberjack, p.syslog, p.syslog, p.gelf, p.gelf)
	f, err := os.OpenFile(filepath.Join(data, "meshtrail.yaml"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(config.String()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 {
		binary, limited := harness.Binary, filepath.Join(t.TempDir(), "limited")
		script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec %s \"$@\"\n", files[0], binary)
		if err := os.WriteFile(limited, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		harness.Binary = limited
		defer func() { harness.Binary = binary }()
	}
	p.Server = harness.Serve(t, data)
	p.http = strings.TrimPrefix(p.Base, "http://")
	return p
}

// rss returns the server's peak resident memory since forget, in MiB.
func (p *prey) rss() int { return peakMiB(p.Server) }

// files returns how many files the server has open, 0 where /proc is missing.
func (p *prey) files() int {
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	return len(open)
}

// forget makes the kernel count the peak anew.
func (p *prey) forget() {
	os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0)
}

// good is what the healthy senders saw.
type good struct {
	mu     sync.Mutex
	worst  map[string]time.Duration
	sent   map[string]int
	failed []string
	stop   chan struct{}
	wg     sync.WaitGroup
}

func (g *good) took(who string, d time.Duration, records int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.worst[who] = max(g.worst[who], d)
	if err != nil {
		if len(g.failed) < 5 {
			g.failed = append(g.failed, fmt.Sprintf("%s after %v: %v", who, d, err))
		}
		return
	}
	g.sent[who] += records
}

// reset returns the worst times since the last one.
func (g *good) reset() (worst map[string]time.Duration, failed []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	worst, failed = g.worst, g.failed
	g.worst, g.failed = map[string]time.Duration{}, nil
	return worst, failed
}

// every calls f until the healthy senders stop.
func (g *good) every(d time.Duration, f func(i int)) {
	g.wg.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-g.stop:
				return
			case <-tick.C:
				f(i)
			}
		}
	})
}

// patient is how long a healthy sender waits, so that a hang is an error.
const patient = 20 * time.Second

// healthy starts three senders: 200 records a second by bulk, ten chunks a second
// by forward, twenty messages a second by syslog. Now and then each begins a new
// connection.
func (p *prey) healthy(t *testing.T) *good {
	g := &good{worst: map[string]time.Duration{}, sent: map[string]int{}, stop: make(chan struct{})}
	tr := &http.Transport{}
	cl := &http.Client{Transport: tr, Timeout: patient}
	g.every(50*time.Millisecond, func(i int) {
		if i%20 == 0 {
			tr.CloseIdleConnections()
		}
		docs := make([]string, 10)
		for k := range docs {
			docs[k] = fmt.Sprintf(`{"app":"good","way":"bulk","n":%d}`, 10*i+k)
		}
		req, _ := http.NewRequest("POST", p.Base+"/_bulk", bytes.NewReader(harness.BulkBody(docs)))
		req.Header.Set("Authorization", "Bearer "+p.sender)
		req.Header.Set("Content-Type", "application/x-ndjson")
		began := time.Now()
		resp, err := cl.Do(req)
		if err == nil {
			var b []byte
			b, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && (resp.StatusCode != 200 || !bytes.Contains(b, []byte(`"errors":false`))) {
				err = fmt.Errorf("%d %.200s", resp.StatusCode, b)
			}
		}
		g.took("bulk", time.Since(began), 10, err)
	})
	var forward, lines net.Conn
	again := func(c net.Conn, addr string, anew bool) (net.Conn, error) {
		if c != nil && !anew {
			return c, nil
		}
		if c != nil {
			c.Close()
		}
		return net.DialTimeout("tcp", addr, patient)
	}
	g.every(100*time.Millisecond, func(i int) {
		began := time.Now()
		var err error
		if forward, err = again(forward, p.fluent, i%20 == 0); err == nil {
			err = sendChunk(forward, i)
		}
		if err != nil && forward != nil {
			forward.Close()
			forward = nil
		}
		g.took("forward", time.Since(began), 1, err)
	})
	g.every(50*time.Millisecond, func(i int) {
		began := time.Now()
		var err error
		if lines, err = again(lines, p.syslog, i%40 == 0); err == nil {
			lines.SetDeadline(began.Add(patient))
			_, err = fmt.Fprintf(lines, "<13>1 2026-01-01T00:00:00Z h good %d - - way=syslog n=%d\n", i, i)
		}
		if err != nil && lines != nil {
			lines.Close()
			lines = nil
		}
		g.took("syslog", time.Since(began), 1, err)
	})
	t.Cleanup(func() { g.end() })
	return g
}

func (g *good) end() {
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	g.wg.Wait()
}

// sendChunk sends one record and waits for its acknowledgement.
func sendChunk(c net.Conn, i int) error {
	c.SetDeadline(time.Now().Add(patient))
	str := func(b []byte, s string) []byte { return append(append(b, 0xd9, byte(len(s))), s...) }
	chunk := fmt.Sprintf("chunk-%d-%s", i, c.LocalAddr())
	b := str([]byte{0x94}, "good")
	b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(time.Now().Unix()))
	b = str(str(append(b, 0x83), "app"), "good")
	b = str(str(b, "way"), "forward")
	b = str(str(b, "n"), fmt.Sprint(i))
	b = str(str(append(b, 0x81), "chunk"), chunk)
	if _, err := c.Write(b); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := c.Read(answer)
	if err == nil && !bytes.Contains(answer[:n], []byte(chunk)) {
		err = fmt.Errorf("answer %q", answer[:n])
	}
	return err
}

// hold opens n connections to addr, each of which begins with head, and then one
// byte of more in turn every pace, for as long as it says. It returns how many the
// server has closed before.
func hold(t *testing.T, addr string, n int, head, more []byte, pace, long time.Duration) (closed int) {
	t.Helper()
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	for range n {
		c, err := net.DialTimeout("tcp", addr, patient)
		if errors.Is(err, syscall.ECONNRESET) { // there is no place
			closed++
			continue
		}
		if err != nil {
			t.Errorf("connection %d to %s: %v", len(conns), addr, err)
			return
		}
		conns = append(conns, c)
		c.Write(head)
	}
	end := time.Now().Add(long)
	gone := make([]bool, n)
	for i := 0; time.Now().Before(end); i++ {
		began := time.Now()
		for k, c := range conns {
			if gone[k] || len(more) == 0 {
				continue
			}
			c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := c.Write(more[i%len(more) : i%len(more)+1]); err != nil {
				gone[k] = true
				closed++
			}
		}
		if rest := pace - time.Since(began); rest > 0 {
			<-time.After(rest)
		}
	}
	return closed
}

// judge requires that the healthy senders came through an attack, and that the
// server did in bounded memory.
func (p *prey) judge(t *testing.T, g *good, most int) {
	t.Helper()
	worst, failed := g.reset()
	t.Logf("peak %d MiB, worst %v", p.rss(), worst)
	for who, d := range worst {
		if d > worstAck {
			t.Errorf("%s waited %v", who, d)
		}
	}
	for _, f := range failed {
		t.Error(f)
	}
	if n := p.rss(); n > most {
		t.Errorf("peak memory %d MiB, more than %d", n, most)
	}
	p.forget()
}

// worstAck is what a healthy sender may wait, on a machine that runs other tests
// beside.
const worstAck = 5 * time.Second

// TestSlowSenders opens connections that say a byte a second, everywhere.
func TestSlowSenders(t *testing.T) {
	n, long := 300, time.Second
	if harness.Long() {
		n, long = 10_000, 12*time.Second
		var files syscall.Rlimit // of them the server gives five eighths to connections
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && int(min(files.Cur, 1<<20))*5/8 < n+100 {
			t.Fatalf("the process may have %d files open: too few for %d connections", files.Cur, n)
		}
	}
	p := newPrey(t)
	g := p.healthy(t)
	request := func(path, header string) []byte {
		return []byte("POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + p.sender + "\r\n" + header + "\r\n")
	}
	gz := gzipped(t, bytes.Repeat([]byte(`{"app":"slow"}`+"\n"), 4096))
	zst := []byte("\x28\xb5\x2f\xfd\x00\x68\x00\x80\x00") // a window of 8 MiB
	cases := []struct {
		name, addr string
		head, more []byte
	}{
		{"forward", p.fluent, []byte{0x93, 0xa1, 'x', 0xdd, 0x00, 0x01, 0, 0}, []byte{0x92, 0x01, 0x81}},
		{"forward, a large one begun", p.fluent, append([]byte{0x93, 0xa1, 'x', 0xc6, 0x01, 0, 0, 0}, make([]byte, 3000)...), []byte{0}},
		{"lumberjack", p.lumberjack, []byte("2W\x00\x00\x00\x102J\x00\x00\x00\x01\x00\x10\x00\x00"), []byte("x")},
		{"lumberjack, compressed", p.lumberjack, []byte("2W\x00\x00\x00\x102C\x00\x10\x00\x00"), []byte("x")},
		{"syslog", p.syslog, []byte("1000000 <13>1 - "), []byte("x")},
		{"gelf", p.gelf, []byte(`{"version":"1.1","host":"`), []byte("x")},
		{"nothing said", p.fluent, nil, nil},
		{"http head", p.http, []byte("POST /_bulk HTTP/1.1\r\nHost: x\r\nX: "), []byte("x")},
		{"http body", p.http, request("/_bulk", "Content-Length: 30000000\r\n"), []byte("x")},
		{"http body, chunked gzip", p.http, append(request("/_bulk", "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), fmt.Sprintf("%x\r\n%s", 1<<20, gz[:len(gz)/2])...), gz[len(gz)/2:]},
		{"http body, zstd", p.http, append(request("/api/v1/ingest", "Content-Encoding: zstd\r\nContent-Length: 1000000\r\n"), zst...), []byte{0}},
		{"journal", p.http, request("/upload", "Content-Type: application/vnd.fdo.journal\r\nContent-Length: 1000000\r\n"), []byte("x")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p.forget()
			most, watched := 0, make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer close(watched)
				for tick := time.Tick(200 * time.Millisecond); ctx.Err() == nil; <-tick {
					most = max(most, p.files())
				}
			}()
			closed := hold(t, c.addr, n, c.head, c.more, time.Second, long)
			cancel()
			<-watched
			t.Logf("%d connections, %d closed; %d files open at once", n, closed, most)
			if most > 0 && most < n {
				t.Errorf("the server never had %d connections open", n)
			}
			p.judge(t, g, 700)
			// What is closed has its place until the server has seen it.
			for end := time.Now().Add(10 * time.Second); p.files() > 200 && time.Now().Before(end); {
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	g.end()
	p.accounted(t, g)
}

// accounted requires that every record of the healthy senders is there once.
func (p *prey) accounted(t *testing.T, g *good) {
	t.Helper()
	for _, way := range []string{"bulk", "forward"} {
		if n := len(p.Ask(`{app="good"} | way = "` + way + `"`)); n != g.sent[way] {
			t.Errorf("%s: %d records are there, %d were acknowledged", way, n, g.sent[way])
		}
	}
}
