package listen

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/receive"
)

// TestSlowSendersHarmNobody opens many connections that send a byte a second and
// never end their message, beside a few that do as they should. MESHTRAIL_LONG
// opens 10,000, or
// as many as the process may have.
func TestSlowSendersHarmNobody(t *testing.T) {
	n := 2000
	if os.Getenv("MESHTRAIL_LONG") != "" {
		n = 10_000
		var files syscall.Rlimit // both ends are in this process
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
			n = min(n, int(files.Cur)/2-100)
		}
	}
	bodies := receive.NewBodies(receive.Limits{})
	l, addr, stop := run(t, Config{Message: 3 * time.Second, Connections: n + 10, ConnectionsPerAddress: n + 10}, receive.Shared{Bodies: bodies}, Streams(upper))
	before := memory()
	slow := make([]net.Conn, n)
	for i := range slow {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		slow[i] = c
	}
	end := make(chan bool)
	var dripping sync.WaitGroup
	dripping.Go(func() {
		for tick := time.Tick(time.Second); ; {
			for _, c := range slow {
				c.Write([]byte("x")) // fails once the connection is closed
			}
			select {
			case <-tick:
			case <-end:
				return
			}
		}
	})
	eventually(t, "the slow connections are not open", func() bool { return l.openNow() == n })

	// Those who do as they should are answered as if nothing else was there.
	worst := time.Duration(0)
	var mu sync.Mutex
	var healthy sync.WaitGroup
	for i := range 4 {
		c := dial(t, "tcp", addr)
		healthy.Go(func() {
			for j := range 100 {
				started := time.Now()
				if got, want := say(t, c, fmt.Sprintf("line %d of %d", j, i)), fmt.Sprintf("test/tcp LINE %d OF %d", j, i); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				mu.Lock()
				worst = max(worst, time.Since(started))
				mu.Unlock()
			}
		})
	}
	healthy.Wait()
	each := int64(memory()-before) / int64(n)
	t.Logf("%d slow connections: %d bytes each on both sides, %d held; the worst answer took %v", n, each, bodies.Held(), worst)
	if worst > 2*time.Second {
		t.Errorf("an answer took %v", worst)
	}
	if each > 24<<10 {
		t.Errorf("a slow connection costs %d bytes", each)
	}
	if held := bodies.Held(); held > 4*busyBuffer {
		t.Errorf("%d bytes are held for messages of three bytes", held)
	}
	eventually(t, "slow connections are not closed", func() bool { return count(l, "closed", "slow") == float64(n) })
	close(end)
	dripping.Wait()
	stop()
}

// TestStoppedSendersHoldLittle: a connection holds eight times what came at most,
// however much its sender says is to come.
func TestStoppedSendersHoldLittle(t *testing.T) {
	bodies := receive.NewBodies(receive.Limits{})
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := NewConn(ours, receive.Sender{}, Config{}, receive.Shared{Bodies: bodies})
	done := make(chan error, 1)
	go func() {
		_, err := c.Peek(1 << 20)
		done <- err
	}()
	sent := 0
	for _, n := range []int{100, 3000, 4000, 20_000} {
		theirs.Write(make([]byte, n))
		theirs.Write(make([]byte, 1)) // is read when there is room for it
		if sent += n + 1; bodies.Held() > int64(growth*sent) {
			t.Errorf("%d bytes hold %d", sent, bodies.Held())
		}
	}
	theirs.Close()
	if err := <-done; err == nil {
		t.Error("a message that did not come")
	}
	if c.Release(); bodies.Held() != 0 {
		t.Errorf("%d bytes are held after all", bodies.Held())
	}
}

// TestBuffersOfBusySenders holds the buffer of one who sends on without a pause to
// what there is memory for.
func TestBuffersOfBusySenders(t *testing.T) {
	for memory, want := range map[int64]int{8 << 20: wideBuffer, 512 << 10: busyBuffer, 32 << 10: growth * firstBuffer, 8 << 10: firstBuffer} {
		bodies := receive.NewBodies(receive.Limits{Memory: memory, Body: 1 << 20})
		a, b := net.Pipe()
		c := NewConn(b, receive.Sender{}, Config{}, receive.Shared{Bodies: bodies})
		go func() {
			a.Write(make([]byte, 2<<20))
			a.Close()
		}()
		most, read := 0, 0
		for c.Await() == nil {
			read += len(c.Buffered())
			most = max(most, len(c.buf))
			c.Discard(len(c.Buffered()))
		}
		c.Release()
		b.Close()
		if most != want || read != 2<<20 || bodies.Held() != 0 {
			t.Errorf("of %d bytes of memory: a buffer of %d, want %d; %d bytes read, %d still held", memory, most, want, read, bodies.Held())
		}
	}
}

func (l *Listener) openNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// memory returns the bytes of heap and stacks in use.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
