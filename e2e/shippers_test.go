package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	lumber "github.com/elastic/go-lumber/client/v2"
	"github.com/fluent/fluent-logger-golang/fluent"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// A journey is records on their way while the server dies: senders work on until
// all are acknowledged, and the server is killed and started again twice.
type journey struct {
	t     *testing.T
	data  string
	addr  string // of the receiver
	acked atomic.Int64
}

const travellers = 10_000

// travel starts a server with a receiver of this name on a port of its own. send
// sends its share of the records, an id each, and counts them in acked as they
// are acknowledged; it repeats what failed until it is.
func travel(t *testing.T, receiver string, senders int, send func(j *journey, ids []string) error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j := &journey{t: t, data: harness.Init(t), addr: l.Addr().String()}
	l.Close()
	config := filepath.Join(j.data, "meshtrail.yaml")
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "\nreceivers:\n  %s:\n    listen: %s\n", receiver, j.addr)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, j.data)
	errs := make(chan error, senders)
	share := travellers / senders
	for w := range senders {
		ids := make([]string, share)
		for i := range ids {
			ids[i] = fmt.Sprintf("%d-%d", w, i)
		}
		go func() { errs <- send(j, ids) }()
	}
	for _, at := range []int64{travellers / 4, travellers * 3 / 5} {
		for end := time.Now().Add(60 * time.Second); j.acked.Load() < at; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("only %d records were acknowledged\n%s", j.acked.Load(), s.Log)
			}
		}
		s.Kill()
		s = harness.Serve(t, j.data)
	}
	for range senders {
		if err := <-errs; err != nil {
			t.Fatalf("%v\n%s", err, s.Log)
		}
	}
	seen := map[string]int{}
	for _, f := range s.Ask(`{app="journey"}`) {
		id, _ := f.Fields["id"].(string)
		seen[id]++
	}
	lost, twice := 0, 0
	for w := range senders {
		for i := range share {
			switch n := seen[fmt.Sprintf("%d-%d", w, i)]; {
			case n == 0:
				lost++
			case n > 1:
				twice++
			}
		}
	}
	if lost > 0 || twice > 0 || len(seen) != share*senders {
		t.Errorf("%s: of %d acknowledged records %d are lost and %d are shown twice; %d were found", receiver, travellers, lost, twice, len(seen))
	}
	s.Stop()
	harness.Run(t, 0, "verify", j.data)
}

// TestForwardJourney sends with Fluent's own library, which asks for an
// acknowledgement of each record and sends it again on a new connection.
func TestForwardJourney(t *testing.T) {
	t.Parallel()
	travel(t, "fluent", 40, func(j *journey, ids []string) error {
		host, port, _ := net.SplitHostPort(j.addr)
		n, _ := strconv.Atoi(port)
		logger, err := fluent.New(fluent.Config{
			FluentHost: host, FluentPort: n, RequestAck: true, SubSecondPrecision: true,
			MaxRetry: 1000, RetryWait: 20, MaxRetryWait: 200, WriteTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		})
		if err != nil {
			return err
		}
		defer logger.Close()
		for _, id := range ids {
			if err := logger.Post("journey", map[string]string{"app": "journey", "id": id, "log": "record " + id}); err != nil {
				return err
			}
			j.acked.Add(1)
		}
		return nil
	})
}

// TestLumberjackJourney sends with the library of Beats and does as they do: a
// window whose acknowledgement did not come is sent again, whole, on another
// connection, the members of its records in another order.
func TestLumberjackJourney(t *testing.T) {
	t.Parallel()
	var stamp atomic.Int64
	travel(t, "lumberjack", 8, func(j *journey, ids []string) error {
		const size = 25
		var cl *lumber.SyncClient
		for ; len(ids) > 0; ids = ids[size:] {
			window := make([]any, size)
			for i := range window {
				at := time.Unix(1_770_000_000, stamp.Add(1)*1e6).UTC().Format(time.RFC3339Nano)
				window[i] = map[string]string{"@timestamp": at, "app": "journey", "id": ids[i], "message": "record " + ids[i]}
			}
			for try := 0; ; try++ {
				var err error
				if cl == nil {
					cl, err = lumber.SyncDial(j.addr, lumber.CompressionLevel(3), lumber.JSONEncoder(shuffled), lumber.Timeout(20*time.Second))
				}
				if err == nil {
					if _, err = cl.Send(window); err == nil {
						break
					}
					cl.Close()
				}
				if cl = nil; try == 1000 {
					return err
				}
				<-time.After(20 * time.Millisecond)
			}
			j.acked.Add(size)
		}
		return cl.Close()
	})
}

// shuffled encodes an object as Beats do: its members in any order.
func shuffled(v any) ([]byte, error) {
	m := v.(map[string]string)
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	rand.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	var b bytes.Buffer
	for i, name := range names {
		key, _ := json.Marshal(name)
		value, err := json.Marshal(m[name])
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
