package listen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// box keeps what datagrams said.
type box struct {
	mu   sync.Mutex
	got  []string
	from receive.Sender
}

func (b *box) take(_ context.Context, from receive.Sender, batch []Packet) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from = from
	for _, p := range batch {
		if !p.Remote.Addr().IsLoopback() {
			return errors.New("not from loopback")
		}
		b.got = append(b.got, string(p.Data))
	}
	return nil
}

func (b *box) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

func TestDatagrams(t *testing.T) {
	b := &box{}
	_, addr, stop := run(t, Config{Tenant: "shop"}, receive.Shared{}, Datagrams(b.take))
	c := dial(t, "udp", addr)
	const n = 2000
	for i := range n {
		fmt.Fprintf(c, "datagram %d", i)
		if i%100 == 99 { // no faster than they are taken: the kernel's buffer is not in question
			eventually(t, "datagrams do not arrive", func() bool { return b.len() == i+1 })
		}
	}
	stop()
	for i, s := range b.got {
		if s != fmt.Sprintf("datagram %d", i) {
			t.Fatalf("datagram %d is %q", i, s)
		}
	}
	if b.from.Tenant != "shop" || b.from.Source != "test/udp" || !b.from.Lossy {
		t.Errorf("%+v", b.from)
	}
}

// TestWhatTheQueueHasNoRoomForIsCounted holds the receiver up.
func TestWhatTheQueueHasNoRoomForIsCounted(t *testing.T) {
	b := &box{}
	hold, held := make(chan bool), make(chan bool, 1)
	sources := sources.New(nil, nil)
	l, addr, stop := run(t, Config{}, receive.Shared{Sources: sources}, Datagrams(func(ctx context.Context, from receive.Sender, batch []Packet) error {
		select {
		case held <- true:
		default:
		}
		<-hold
		return b.take(ctx, from, batch)
	}))
	c := dial(t, "udp", addr)
	c.Write([]byte("first"))
	<-held
	large := make([]byte, 32<<10)
	sent := 1
	eventually(t, "nothing is dropped", func() bool {
		c.Write(large)
		sent++
		return count(l, "dropped", "queue_full") > 0
	})
	close(hold)
	eventually(t, "datagrams are neither there nor dropped", func() bool {
		c.Write([]byte("x")) // the kernel says with the next one what it has dropped
		sent++
		return b.len()+int(count(l, "dropped", "queue_full")+count(l, "dropped", "kernel_queue_full")) == sent
	})
	stop()
	list := sources.List()
	if len(list) != 1 || !list[0].Lossy || len(list[0].Rejected) == 0 || list[0].Rejected[0].Name != "queue_full" {
		t.Errorf("%+v", list)
	}
}

func TestDatagramsOfStrangersAndFailures(t *testing.T) {
	l, addr, _ := run(t, Config{Allow: []string{"10.0.0.0/8"}}, receive.Shared{}, Datagrams((&box{}).take))
	dial(t, "udp", addr).Write([]byte("x"))
	eventually(t, "a stranger is not counted", func() bool { return count(l, "dropped", "not_allowed") == 1 })

	calls := 0
	l, addr, _ = run(t, Config{}, receive.Shared{}, Datagrams(func(context.Context, receive.Sender, []Packet) error {
		if calls++; calls == 1 {
			panic("bug")
		}
		return refuse("lost", errors.New("full"))
	}))
	c := dial(t, "udp", addr)
	c.Write([]byte("x"))
	eventually(t, "a panic is not counted", func() bool { return count(l, "dropped", "panic") == 1 })
	c.Write([]byte("x"))
	eventually(t, "a failure is not counted", func() bool { return count(l, "dropped", "lost") == 1 })
}

func TestUnixDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.sock")
	got := make(chan string, 1)
	run(t, Config{Listen: "unix:" + path}, receive.Shared{}, Datagrams(func(_ context.Context, from receive.Sender, batch []Packet) error {
		got <- from.Source + " " + string(batch[0].Data)
		return nil
	}))
	dial(t, "unixgram", path).Write([]byte("x"))
	select {
	case s := <-got:
		if s != "test/unix x" {
			t.Errorf("%q", s)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing arrives")
	}
}

func TestQueueAllocatesNothingPerDatagram(t *testing.T) {
	q, from, data := newQueue(), netip.MustParseAddrPort("127.0.0.1:1"), make([]byte, 300)
	fill := func() {
		for range 1000 {
			if !q.put(from, data) {
				t.Fatal("no room")
			}
		}
		if n := len(q.take()); n != 1000 {
			t.Fatalf("%d datagrams", n)
		}
	}
	fill()
	fill()
	if n := testing.AllocsPerRun(10, fill); n > 1 {
		t.Errorf("%v allocations for 1,000 datagrams", n)
	}
	for range queuePackets {
		q.put(from, nil)
	}
	if q.put(from, nil) {
		t.Error("the number of datagrams is not bounded")
	}
}

// TestWhatTheKernelDropsIsCounted fills the socket's buffer before anybody reads.
func TestWhatTheKernelDropsIsCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says what it drops")
	}
	b := &box{}
	l, err := New("test", Config{Listen: "127.0.0.1:0"}, receive.Shared{Metrics: telemetry.New()}, Datagrams(b.take))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, "udp", l.Addr().String())
	sent, large := 0, make([]byte, 60<<10)
	for ; sent < 300; sent++ { // 18 MB: more than twice what is asked of the kernel
		c.Write(large)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	eventually(t, "datagrams are neither there nor dropped", func() bool {
		// It is said with the next datagram.
		c.Write([]byte("x"))
		sent++
		return b.len()+int(count(l, "dropped", "kernel_queue_full")+count(l, "dropped", "queue_full")) == sent
	})
	if count(l, "dropped", "kernel_queue_full") == 0 {
		t.Error("the kernel dropped nothing")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
