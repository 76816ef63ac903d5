// Command bench measures a Meshtrail binary on generated mesh logs: ingest
// rate, CPU per GB, disk ratio, memory and a table of queries, each answer
// checked against brute force over the generated file. It starts a server of
// its own on loopback, in a temporary folder, and removes both.
//
//	go run ./e2e/bench -bin bin/meshtrail -n 200000
//
// It knows nothing of the store: it speaks HTTP, as a shipper and a reader do.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	bin := flag.String("bin", "bin/meshtrail", "the binary to measure")
	n := flag.Int("n", 200_000, "records")
	seed := flag.Uint64("seed", 1, "seed of the generator")
	streams := flag.Int("streams", 240, "pods that write")
	batch := flag.Int("batch", 2000, "records a request")
	conns := flag.Int("c", 8, "connections")
	flag.Parse()
	if err := run(*bin, *n, *seed, *streams, *batch, *conns); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(bin string, n int, seed uint64, streams, batch, conns int) error {
	dir, err := os.MkdirTemp("", "meshtrail-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, data := filepath.Join(dir, "logs.jsonl"), filepath.Join(dir, "data")
	if err := generate(n, seed, streams, file); err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	srv, err := start(bin, data)
	if err != nil {
		return err
	}
	defer srv.stop()
	raw, err := load(srv.base, srv.token, file, batch, conns, srv.cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := srv.seal(); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // let the journal files be released
	u, disk := usage(srv.cmd.Process.Pid), diskUse(data)
	fmt.Printf("settled cpu_s=%.2f cpu_s_per_GB=%.2f rss_MiB=%.0f peak_MiB=%.0f disk_MB=%.1f ratio=%.1fx\n",
		u.cpu, u.cpu/float64(raw)*1e9, u.rss, u.peak, float64(disk)/1e6, float64(raw)/float64(disk))
	return runQueries(srv.base, srv.token, file, srv.cmd.Process.Pid)
}

// server is a child process that serves one data folder.
type server struct {
	cmd         *exec.Cmd
	base, token string
}

func start(bin, data string) (*server, error) {
	if out, err := exec.Command(bin, "init", "--data", data).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("init: %w\n%s", err, out)
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, "serve", "--data", data, "--listen", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, token: strings.TrimSpace(string(token))}
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if i := strings.Index(sc.Text(), "http://"); i >= 0 && strings.Contains(sc.Text(), "ready") {
			s.base = strings.Fields(sc.Text()[i:])[0]
			go func() {
				for sc.Scan() { // drain, so that the server never blocks
				}
			}()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("the server ended without saying ready")
}

func (s *server) seal() error {
	req, err := http.NewRequest("POST", s.base+"/api/v1/seal", nil)
	if err != nil {
		return err
	}
	_, err = do(req, s.token)
	return err
}

func (s *server) stop() {
	s.cmd.Process.Signal(os.Interrupt)
	s.cmd.Wait()
}
