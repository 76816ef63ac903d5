package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// use is what a process has cost so far: CPU seconds, resident and peak MiB.
type use struct{ cpu, rss, peak float64 }

// usage reads /proc; on systems without it every figure is 0.
func usage(pid int) use {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(b, ')')
	if err != nil || i < 0 {
		return use{}
	}
	f := strings.Fields(string(b[i+2:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	u := use{cpu: (user + system) / 100}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if w := strings.Fields(line); len(w) > 1 {
			kb, _ := strconv.ParseFloat(w[1], 64)
			switch w[0] {
			case "VmRSS:":
				u.rss = kb / 1024
			case "VmHWM:":
				u.peak = kb / 1024
			}
		}
	}
	return u
}

func diskUse(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if i, e := d.Info(); e == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}

func do(req *http.Request, token string) ([]byte, error) {
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s answered %d: %.300s", req.URL.Path, resp.StatusCode, body)
	}
	return body, err
}

// bulkBodies cuts the file into _bulk bodies of batch records each.
func bulkBodies(file string, batch int) (bodies [][]byte, records int, raw int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, 0, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 1<<20), 1<<20)
	var b []byte
	for sc.Scan() {
		raw += int64(len(sc.Bytes())) + 1
		b = append(b, "{\"create\":{}}\n"...)
		b = append(append(b, sc.Bytes()...), '\n')
		if records++; records%batch == 0 {
			bodies, b = append(bodies, b), nil
		}
	}
	if len(b) > 0 {
		bodies = append(bodies, b)
	}
	return bodies, records, raw, sc.Err()
}

// load posts the whole file over conns connections and prints the rates. A
// refused batch is sent again, as a shipper does.
func load(base, token, file string, batch, conns, pid int) (raw int64, err error) {
	bodies, records, raw, err := bulkBodies(file, batch)
	if err != nil {
		return 0, err
	}
	before, start := usage(pid), time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, conns)
	for range conns {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return
				}
				if err := post(base, token, bodies[i]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	wall, after := time.Since(start).Seconds(), usage(pid)
	select {
	case err := <-errs:
		return 0, err
	default:
	}
	mb := float64(raw) / 1e6
	fmt.Printf("load records=%d raw_MB=%.0f batch=%d conns=%d wall_s=%.2f MB_per_s=%.1f rec_per_s=%.0f cpu_s_per_GB=%.2f rss_MiB=%.0f peak_MiB=%.0f\n",
		records, mb, batch, conns, wall, mb/wall, float64(records)/wall, (after.cpu-before.cpu)/mb*1000, after.rss, after.peak)
	return raw, nil
}

func post(base, token string, body []byte) error {
	var last error
	for try := range 50 {
		req, err := http.NewRequest("POST", base+"/_bulk", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		answer, err := do(req, token)
		if err == nil && !bytes.Contains(answer, []byte(`"errors":true`)) {
			return nil
		}
		if last = err; err == nil {
			return fmt.Errorf("bulk answered an item error: %.300s", answer)
		}
		time.Sleep(time.Duration(try+1) * 20 * time.Millisecond)
	}
	return last
}
