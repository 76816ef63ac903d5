package e2e

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// h2 writes frames of HTTP/2 as no library would.
type h2 struct{ b []byte }

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func (h *h2) frame(kind, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	h.b = append(h.b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	h.b = binary.BigEndian.AppendUint32(h.b, stream)
	h.b = append(h.b, payload...)
}

// head is the block of a call's headers, none of them indexed.
func head(path, token string) (b []byte) {
	for _, p := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "x"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"authorization", "Bearer " + token}} {
		b = append(append(b, 0, byte(len(p[0]))), p[0]...)
		b = append(append(b, byte(len(p[1]))), p[1]...)
	}
	return b
}

// begin is what a client says first.
func begin() *h2 {
	h := &h2{b: []byte(preface)}
	h.frame(4, 0, 0, nil)
	return h
}

const alsMethod = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"

// TestHostileHTTP2 floods the one port with frames that cost little to send.
func TestHostileHTTP2(t *testing.T) {
	n, patience := 5_000, 500*time.Millisecond
	if harness.Long() {
		n, patience = 300_000, 3*time.Second
	}
	p := newPrey(t)
	g := p.healthy(t)
	block := head(alsMethod, p.sender)
	flood := func(f func(h *h2, i int)) []byte {
		h := begin()
		for i := range n {
			f(h, i)
		}
		return h.b
	}
	reset := binary.BigEndian.AppendUint32(nil, 8)
	cases := map[string][]byte{
		"rapid reset": flood(func(h *h2, i int) {
			h.frame(1, 4, uint32(2*i+1), block)
			h.frame(3, 0, uint32(2*i+1), reset)
		}),
		"streams": flood(func(h *h2, i int) { h.frame(1, 4, uint32(2*i+1), block) }),
		"continuation": flood(func(h *h2, i int) {
			if i == 0 {
				h.frame(1, 0, 1, block)
			}
			h.frame(9, 0, 1, []byte("\x00\x01a\x40"+strings.Repeat("b", 64)))
		}),
		"empty continuation": flood(func(h *h2, i int) {
			if i == 0 {
				h.frame(1, 0, 1, block)
			}
			h.frame(9, 0, 1, nil)
		}),
		"settings": flood(func(h *h2, i int) { h.frame(4, 0, 0, nil) }),
		"ping":     flood(func(h *h2, i int) { h.frame(6, 0, 0, make([]byte, 8)) }),
		"empty data": flood(func(h *h2, i int) {
			if i == 0 {
				h.frame(1, 4, 1, block)
			}
			h.frame(0, 0, 1, nil)
		}),
		"windows": flood(func(h *h2, i int) { h.frame(8, 0, 0, []byte{0, 0, 0, 1}) }),
		"indexed": flood(func(h *h2, i int) {
			h.frame(1, 5, uint32(2*i+1), append([]byte{0x40, 1, 'a', 0x7f, 0x81, 0x1e}, make([]byte, 4000)...))
		}),
	}
	for name, say := range cases {
		p.forget()
		began := time.Now()
		for range 4 {
			nc, err := net.DialTimeout("tcp", p.http, patient)
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(patience))
			nc.Write(say) // and nothing is read of what it answers
			nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		}
		t.Logf("%s: %v", name, time.Since(began).Round(time.Millisecond))
		p.judge(t, g, 400)
	}
	g.end()
	p.accounted(t, g)
}

// TestHostileCalls holds calls open that say nothing, and one that says nothing
// very often.
func TestHostileCalls(t *testing.T) {
	conns, messages, long := 4, 50_000, time.Second
	if harness.Long() {
		conns, messages, long = 40, 1_000_000, 5*time.Second
	}
	p := newPrey(t)
	g := p.healthy(t)
	open := begin()
	for i := range 240 {
		open.frame(1, 4, uint32(2*i+1), head(alsMethod, p.sender))
	}
	hold(t, p.http, conns, open.b, nil, time.Second, long)
	t.Logf("%d calls", 240*conns)
	p.judge(t, g, 500)
	for i := range 240 { // and a message of 16 MiB begun on each
		open.frame(0, 0, uint32(2*i+1), []byte{0, 1, 0, 0, 0, 'x'})
	}
	hold(t, p.http, conns, open.b, nil, time.Second, long)
	t.Logf("%d calls, each with a message begun", 240*conns)
	p.judge(t, g, 500)

	cl, err := grpc.NewClient(p.http, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+p.sender), 60*time.Second)
	defer cancel()
	began := time.Now()
	s, err := cl.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, alsMethod)
	for i := 0; i < messages && err == nil; i++ {
		err = s.SendMsg(&emptypb.Empty{})
	}
	if err == nil {
		err = s.CloseSend()
	}
	if err == nil {
		err = s.RecvMsg(&emptypb.Empty{})
	}
	t.Logf("%d empty messages in %v: %v", messages, time.Since(began).Round(time.Millisecond), err)
	p.judge(t, g, 400)
	g.end()
	p.accounted(t, g)
}

// TestChurn connects and closes, in every way that there is.
func TestChurn(t *testing.T) {
	long, workers := 400*time.Millisecond, 4
	if harness.Long() {
		long = 5 * time.Second
	}
	p := newPrey(t)
	g := p.healthy(t)
	for name, addr := range map[string]string{"http": p.http, "forward": p.fluent, "lumberjack": p.lumberjack, "syslog": p.syslog, "gelf": p.gelf} {
		p.forget()
		var n atomic.Int64
		end := time.Now().Add(long)
		done := make(chan struct{}, workers)
		for w := range workers {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := w; time.Now().Before(end); i++ {
					c, err := net.DialTimeout("tcp", addr, patient)
					if err != nil {
						<-time.After(time.Millisecond)
						continue
					}
					n.Add(1)
					switch i % 3 {
					case 1:
						io.WriteString(c, "2W\x00\x00")
					case 2:
						c.(*net.TCPConn).CloseWrite()
					}
					c.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
			}()
		}
		for range workers {
			<-done
		}
		t.Logf("%s: %.0f connections a second", name, float64(n.Load())/long.Seconds())
		p.judge(t, g, 400)
	}
	g.end()
	p.accounted(t, g)
}

// TestDescriptorsRunOut opens more connections than the process may have files: who
// sends over HTTP is not harmed by what is opened elsewhere, nor the other way
// round, and the store gets its files.
func TestDescriptorsRunOut(t *testing.T) {
	p := newPrey(t, 600)
	g := p.healthy(t)
	for name, other := range map[string][]string{p.http: {"forward", "syslog"}, p.fluent: {"bulk"}} {
		<-time.After(time.Second)
		g.reset()
		hold(t, name, 700, []byte("\x93"), nil, time.Second, 2*time.Second)
		worst, failed := g.reset()
		t.Logf("%v, %q", worst, failed)
		for _, who := range other {
			if d, ok := worst[who]; !ok || d > worstAck {
				t.Errorf("%s waited %v, %v", who, d, ok)
			}
			for _, f := range failed {
				if strings.HasPrefix(f, who) {
					t.Error(f)
				}
			}
		}
		p.Must("POST", "/api/v1/seal", nil, nil)
	}
	<-time.After(time.Second)
	g.end()
	p.accounted(t, g)
}
