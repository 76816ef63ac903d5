package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a server that this program started. It is ended by its own process
// id, and by no other means.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   tailBuffer
	ready time.Duration // from start to the first sign of being ready
}

// tailBuffer keeps the last bytes written, to tell why a server ended.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	if t.b = append(t.b, p...); len(t.b) > 4096 {
		t.b = t.b[len(t.b)-2048:]
	}
	return len(p), nil
}

// startChild starts a server in dir and waits until isReady says so. A line of its
// standard output is handed to isReady; "" when a moment passed without one.
func startChild(ctx context.Context, dir, bin string, args []string, isReady func(line string) bool) (*child, error) {
	c := &child{cmd: exec.Command(bin, args...), ended: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stderr = dir, &c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan string, 64)
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			select {
			case lines <- sc.Text():
			default: // nobody listens any more
			}
		}
		io.Copy(io.Discard, out) // so that the server never blocks
		c.cmd.Wait()
		close(c.ended)
	}()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(2 * time.Minute)
	for {
		line := ""
		select {
		case line = <-lines:
		case <-poll.C:
		case <-c.ended:
			return nil, fmt.Errorf("%s ended before it was ready: %s", filepath.Base(bin), c.log.b)
		case <-ctx.Done():
			c.kill()
			return nil, ctx.Err()
		case <-limit:
			c.kill()
			return nil, fmt.Errorf("%s was not ready in 2 minutes", filepath.Base(bin))
		}
		if isReady(line) {
			c.ready = time.Since(began)
			return c, nil
		}
	}
}

// stop asks the server to end, and kills it when it does not. A server that was
// never started, or has ended, is as good.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		c.kill()
	}
}

// kill ends the server as a power cut would end the process.
func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.ended
}

// use is what a process has cost so far.
type use struct {
	cpu       float64 // seconds, user and system
	rss, peak float64 // MiB
	written   int64   // bytes that it caused to be written to the disk
}

// usage reads /proc; on systems without it every figure is 0.
func (c *child) usage() (u use) {
	pid := c.cmd.Process.Pid
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(stat, ')')
	if err != nil || i < 0 {
		return u
	}
	f := strings.Fields(string(stat[i+2:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	u.cpu = (user + system) / 100
	status := procFields(fmt.Sprintf("/proc/%d/status", pid))
	u.rss, u.peak = float64(status["VmRSS"])/1024, float64(status["VmHWM"])/1024
	u.written = procFields(fmt.Sprintf("/proc/%d/io", pid))["write_bytes"]
	return u
}

// procFields reads the numbers of lines like "name: 123 kB".
func procFields(file string) map[string]int64 {
	out := map[string]int64{}
	b, _ := os.ReadFile(file) // absent: no figures
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if w := strings.Fields(rest); len(w) > 0 {
			if n, err := strconv.ParseInt(w[0], 10, 64); err == nil {
				out[name] = n
			}
		}
	}
	return out
}

// idle waits until the process has done next to nothing for quiet, at most for
// three minutes: then merges, flushes and compactions are over.
func (c *child) idle(ctx context.Context, quiet time.Duration) error {
	const look = 250 * time.Millisecond
	tick := time.NewTicker(look)
	defer tick.Stop()
	deadline := time.Now().Add(3 * time.Minute)
	since, last := time.Now(), c.usage().cpu
	for time.Since(since) < quiet && time.Now().Before(deadline) {
		select {
		case <-tick.C:
		case <-c.ended:
			return fmt.Errorf("%s ended: %s", filepath.Base(c.cmd.Path), c.log.b)
		case <-ctx.Done():
			return ctx.Err()
		}
		now := c.usage().cpu
		if now-last > 0.04*look.Seconds()+0.01 { // more than one tick of the clock
			since = time.Now()
		}
		last = now
	}
	return nil
}

func diskUse(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if i, e := d.Info(); e == nil {
				n += i.Size()
			}
		}
		return nil // files come and go while a server runs
	})
	return n
}

// freePort returns a port of the loopback address that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// answers reports whether a GET of url succeeds.
func answers(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// syncTime measures what one small write and fdatasync take in dir.
func syncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var all []float64
	block := make([]byte, 4096)
	for range 100 {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began).Seconds())
	}
	return time.Duration(quantile(all, 0.5) * 1e9), nil
}
