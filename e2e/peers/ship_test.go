package peers

import (
	"debug/buildinfo"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// shipRecords is how many numbered records each shipper sends.
const shipRecords = 12_000

// A shipper is someone else's program that sends records from a file (or that
// makes them itself), and what is expected of it.
type shipper struct {
	client   string // its name in the table
	protocol string // as the list of receivers names it
	binary   string
	version  []string // the arguments that make it print its version
	// receivers is what the server's configuration has below receivers:.
	receivers func(sc *scene) string
	// setup writes the shipper's configuration and returns its arguments.
	setup func(sc *scene) []string
	// env is added to the shipper's environment.
	env []string
	// repeats is set where a request whose answer was lost is sent again and
	// nothing in it says so: what is shown twice is counted and no failure.
	repeats string
	// loses is set where nothing tells the sender what arrived: what is missing is
	// counted and no failure.
	loses string
	// feed hands the shipper lines where it follows no file.
	feed func(sc *scene, lines string) error
	// alike is set where all records are the same: they are counted in all.
	alike bool
	// makes is set for a program that makes its records itself, and then ends.
	makes bool
}

// scene is one server, one shipper and the file between them.
type scene struct {
	t     *testing.T
	dir   string
	alike bool
	feed  func(sc *scene, lines string) error
	file  string // the shipper reads records from it, one JSON object a line
	data  string
	s     *harness.Server

	shipping *program
	wires    map[string]*wire // to the server's ports: "" is the one port
}

// listener is where the server has to listen for a protocol that has a port of
// its own; shippers find it as ${NAME}.
func (sc *scene) listener(name string) string {
	if sc.wires[name] == nil {
		sc.wires[name] = newWire(sc.t)
	}
	return sc.wires[name].far
}

// write writes a file of the shipper's and returns its path.
func (sc *scene) write(name, content string) string {
	sc.t.Helper()
	path := filepath.Join(sc.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		sc.t.Fatal(err)
	}
	return path
}

// expand fills in what configurations of shippers name: ${FILE}, ${DIR}, ${ADDR},
// ${PORT} and ${TOKEN} of the scene, and ${forward} for the port of a listener.
func (sc *scene) expand(text string) string {
	return os.Expand(text, func(name string) string {
		switch name {
		case "FILE":
			return sc.file
		case "DIR":
			return sc.dir
		case "ADDR":
			return sc.wires[""].near
		case "TOKEN":
			return sc.s.Token
		case "PORT":
			name = ""
		}
		if w := sc.wires[name]; w != nil {
			_, port, _ := net.SplitHostPort(w.near)
			return port
		}
		return "${" + name + "}"
	})
}

// serve starts the server of the scene where it was before.
func (sc *scene) serve() {
	sc.s = harness.Serve(sc.t, sc.data, "--listen", sc.listener(""))
	for _, w := range sc.wires {
		w.join()
	}
}

// kill ends the server with kill -9, and lets shippers find nobody for a while.
func (sc *scene) kill() {
	sc.s.Kill()
	for _, w := range sc.wires {
		w.cut()
	}
	<-time.After(1500 * time.Millisecond)
}

// program is a running shipper.
type program struct {
	cmd  *exec.Cmd
	log  harness.Log
	done chan error
}

func (sc *scene) run(path string, args, env []string) *program {
	sc.t.Helper()
	p := &program{cmd: exec.Command(path, args...), done: make(chan error, 1)}
	p.cmd.Dir = sc.dir
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		sc.t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	sc.t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGKILL)
		p.done <- <-p.done
	})
	return p
}

// lines writes numbered records into the shipper's file, n of them over some
// seconds, and closes the channel when all are written.
func (sc *scene) lines(n int) <-chan struct{} {
	sc.t.Helper()
	f, err := os.OpenFile(sc.file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		sc.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.Close()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; i < n; {
			<-tick.C
			var b strings.Builder
			for range min(20, n-i) {
				fmt.Fprintf(&b, `{"n":%d,"message":"peer-%06d- took %d ms","app":"peers"}`+"\n", i, i, i%97)
				i++
			}
			_, err := f.WriteString(b.String())
			if sc.feed != nil && err == nil {
				err = sc.feed(sc, b.String())
			}
			if err != nil {
				sc.t.Errorf("write: %v", err)
				return
			}
		}
	}()
	return done
}

// tally is what became of the records.
type tally struct {
	seen      int // different records
	missing   int
	repeated  int // shown more often than once, each repetition counted
	unordered int // behind a record with a higher number, by event time
	dead      int // refused, and kept in the class deadletter
	sample    []string
}

var number = regexp.MustCompile(`peer-(\d{6})-`)

// count asks the server for all records, the oldest first.
func (sc *scene) count(n int) tally {
	sc.t.Helper()
	var out tally
	times := make([]int, n)
	highest := -1
	for at, f := range sc.s.Ask(`{} |= "peer-"`, "order", "oldest") {
		m := number.FindStringSubmatch(f.Line)
		if m == nil {
			sc.t.Errorf("a record that nobody sent: %.300q", f.Line)
			continue
		}
		i, _ := strconv.Atoi(m[1])
		if sc.alike {
			i = min(at, n-1)
		}
		if i >= n {
			sc.t.Errorf("record %d was never sent", i)
			continue
		}
		if f.Class == "deadletter" {
			out.dead++
		}
		if times[i]++; times[i] > 1 {
			out.repeated++
			continue
		}
		if i < highest {
			out.unordered++
		}
		highest = max(highest, i)
		out.seen++
	}
	for i, c := range times {
		if c == 0 {
			if out.missing++; len(out.sample) < 10 {
				out.sample = append(out.sample, strconv.Itoa(i))
			}
		}
	}
	return out
}

// await asks until n different records are there, or nothing new has come for
// patience, or the shipper has ended and nothing new has come for a second.
func (sc *scene) await(n, of int, patience time.Duration) tally {
	sc.t.Helper()
	last, at := -1, time.Now()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		got := sc.count(of)
		select {
		case err := <-sc.shipping.done:
			sc.shipping.done <- err
			patience = min(patience, time.Second)
		default:
		}
		if got.seen >= n || time.Since(at) > patience {
			return got
		}
		if got.seen != last {
			last, at = got.seen, time.Now()
		}
		<-tick.C
	}
}

// ship lets a shipper send shipRecords records to a server that is killed and
// restarted twice, and counts what arrived. What it logs is a line of the table.
func ship(t *testing.T, sh shipper) {
	path := peer(t, sh.binary)
	sc := &scene{t: t, dir: t.TempDir(), data: harness.Init(t), alike: sh.alike, feed: sh.feed, wires: map[string]*wire{}}
	sc.file = sc.write("records.log", "")
	if sh.receivers != nil {
		config := "receivers:\n" + sh.receivers(sc)
		if err := os.WriteFile(filepath.Join(sc.data, "meshtrail.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sc.serve()
	sc.shipping = sc.run(path, sh.setup(sc), sh.env)
	const n = shipRecords
	written := make(<-chan struct{})
	if !sh.makes {
		written = sc.lines(n)
	}
	patience := 45 * time.Second
	if harness.Long() {
		patience *= 2
	}
	arrived := func(want int) {
		got := sc.await(want, n, patience)
		if got.seen < want {
			t.Fatalf("only %d records came; the shipper said:\n%s\nthe server:\n%.3000s", got.seen, tail(sc.shipping.log.String(), 6000), sc.s.Log)
		}
	}
	arrived(n / 4)
	sc.kill()
	sc.serve()
	// The second time the server dies after records were durable, and before their
	// sender knows.
	arrived(n / 2)
	for _, w := range sc.wires {
		w.lose()
	}
	sc.await(sc.count(n).seen+1, n, 3*time.Second) // or all connections wait for answers
	for name, w := range sc.wires {
		t.Logf("%d bytes of answers are lost (%s)", w.losses(), name)
	}
	sc.kill()
	sc.serve()
	if !sh.makes {
		<-written
	}
	end := patience
	if sh.loses != "" {
		end = 5 * time.Second
	}
	got := sc.await(n, n, end)
	for quiet := 0; quiet < 16; quiet++ { // what has no answer yet is sent again some seconds later
		<-time.After(500 * time.Millisecond)
		now := sc.count(n)
		if now.seen != got.seen || now.repeated != got.repeated {
			quiet = 0
		}
		got = now
	}
	t.Logf("| %s | %s | %s | %d | 2 | %d | %d | %d |", sh.client, version(path, sh.version, sh.env...), sh.protocol, n, got.missing, got.repeated, got.unordered)
	if os.Getenv("PEERS_LOG") != "" {
		t.Logf("the shipper said:\n%s", tail(sc.shipping.log.String(), 20_000))
	}
	if got.missing > 0 && sh.loses == "" || got.dead > 0 {
		t.Errorf("missing %d (%s …), refused %d; the shipper said:\n%s\nthe server:\n%.3000s", got.missing, strings.Join(got.sample, ", "), got.dead, tail(sc.shipping.log.String(), 6000), sc.s.Log)
	}
	if got.repeated > 0 && sh.repeats == "" {
		t.Errorf("%d records are shown twice; the shipper said:\n%s", got.repeated, tail(sc.shipping.log.String(), 6000))
	}
	sc.s.Stop()
	harness.Run(t, 0, "verify", sc.data)
}

// tail returns the last n bytes of a text.
func tail(text string, n int) string { return text[max(0, len(text)-n):] }

var dotted = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// version is what a program says of itself.
func version(path string, args []string, env ...string) string {
	if args == nil {
		args = []string{"--version"}
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, _ := cmd.CombinedOutput() // one that fails says it, too
	if v := dotted.FindString(string(out)); v != "" {
		return v
	}
	if info, err := buildinfo.ReadFile(path); err == nil { // a Go program that does not
		return info.Main.Version
	}
	return "?"
}
