package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report is everything that one run found; -o writes it as JSON.
type report struct {
	Machine machineInfo `json:"machine"`
	Options string      `json:"options"`
	Missing []string    `json:"notMeasured,omitempty"`
	Results []*result   `json:"results"`
}

type machineInfo struct {
	Date   string  `json:"date"`
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memoryGiB"`
	Kernel string  `json:"kernel"`
	Go     string  `json:"goOfBench"`
	Sync   float64 `json:"syncMedianMs"` // 4 KiB and fsync in the folder of the data
}

// result is one load of one store. Times are in ms unless named otherwise, sizes
// of memory in MiB, others in bytes.
type result struct {
	Part        string `json:"part"`
	Target      string `json:"target"`
	Failed      string `json:"failed,omitempty"`
	Streams     int    `json:"streams"`
	Batch       int    `json:"batch"`
	Connections int    `json:"connections"`
	Records     int    `json:"records"`
	Raw         int64  `json:"rawBytes"` // as JSON lines

	Load    loaded  `json:"load"`
	CPU     float64 `json:"cpuSeconds"` // until settled
	Peak    float64 `json:"peakMiB"`    // until settled
	RSS     float64 `json:"rssMiB"`     // when settled
	Disk    int64   `json:"diskBytes"`
	Written int64   `json:"writtenBytes"` // to the device, until settled

	Queries   []queried     `json:"queries,omitempty"`
	QueryPeak float64       `json:"peakWithQueriesMiB,omitempty"`
	QueryRSS  float64       `json:"rssAfterQueriesMiB,omitempty"`
	Reopen    *reopened     `json:"reopen,omitempty"`
	Heavy     *underQueries `json:"underHeavyQueries,omitempty"`
	Kill      *afterKill    `json:"afterKill,omitempty"`
}

type queried struct {
	Name    string  `json:"name"`
	First   float64 `json:"firstMs"`
	Median  float64 `json:"medianMs"` // of the ones after the first
	Worst   float64 `json:"worstMs"`
	CPU     float64 `json:"cpuMs"` // mean of all
	Asked   int     `json:"asked"`
	Records int     `json:"records"`
	Wrong   string  `json:"wrong,omitempty"`
}

type reopened struct {
	Ready float64 `json:"readyMs"`
	RSS   float64 `json:"rssMiB"`
	Wrong string  `json:"wrong,omitempty"`
}

type underQueries struct {
	Alone       loaded  `json:"alone"`
	Beside      loaded  `json:"besideQueries"`
	Answered    int     `json:"answered"`
	Failed      int     `json:"failed"`
	QueryMedian float64 `json:"queryMedianMs"`
	Query99     float64 `json:"query99Ms"`
}

type afterKill struct {
	Acknowledged int     `json:"acknowledged"`
	Found        int     `json:"found"`
	Lost         int     `json:"lost"`
	Ready        float64 `json:"readyMs"`
}

func (o *options) String() string {
	return fmt.Sprintf("-n %d -pods %d -batch %d -c %d -seed %d -day %s -quiet %s -only %q", o.n, o.pods, o.batch, o.conns, o.seed, o.day.Format(time.DateOnly), o.quiet, o.only)
}

func machine(dir string) machineInfo {
	m := machineInfo{Date: time.Now().UTC().Format(time.RFC3339), Cores: runtime.NumCPU(), Go: runtime.Version()}
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(cpu)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			m.CPU = strings.TrimSpace(v)
		}
	}
	m.Memory = float64(procFields("/proc/meminfo")["MemTotal"]) / (1 << 20)
	if out, err := exec.Command("uname", "-sr").Output(); err == nil {
		m.Kernel = strings.TrimSpace(string(out))
	}
	if d, err := syncTime(dir); err == nil {
		m.Sync = d.Seconds() * 1000
	}
	return m
}

// verdict is an error when one of our own answers is wrong or a record is lost.
func (rep *report) verdict() error {
	var errs []error
	for _, r := range rep.Results {
		if r.Target != "meshtrail" && r.Part != inWays {
			continue
		}
		if r.Failed != "" {
			errs = append(errs, fmt.Errorf("%s: %s: %s", r.Part, r.Target, r.Failed))
		}
		for _, q := range r.Queries {
			if q.Wrong != "" {
				errs = append(errs, fmt.Errorf("%s: %s: %s: %s", r.Part, r.Target, q.Name, q.Wrong))
			}
		}
		if r.Reopen != nil && r.Reopen.Wrong != "" {
			errs = append(errs, fmt.Errorf("%s: after reopening: %s", r.Part, r.Reopen.Wrong))
		}
		if r.Kill != nil && r.Kill.Lost > 0 {
			errs = append(errs, fmt.Errorf("%s: %d acknowledged records are lost", r.Part, r.Kill.Lost))
		}
		if r.Heavy != nil && r.Heavy.Failed > 0 {
			errs = append(errs, fmt.Errorf("%s: %d queries failed", r.Part, r.Heavy.Failed))
		}
	}
	return errors.Join(errs...)
}
