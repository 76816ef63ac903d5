// Command bench measures a Meshtrail binary on drawn mesh logs, and beside it
// VictoriaLogs and Loki when the folder that PEERS_BIN names holds the programs
// victoria-logs and loki: rate, CPU per GB, time to the acknowledgement, memory,
// disk, bytes written, reopening, a table of queries whose every answer is held
// against brute force, what many streams, small batches, wide and late records
// cost, what ten heavy queries do to intake, and what kill -9 loses.
//
//	go run ./e2e/bench -bin bin/meshtrail -n 1000000 -o result.json
//	PEERS_BIN=/opt/peers go run ./e2e/bench -only main,heavy
//
// It starts servers of its own on loopback, over a temporary folder, one at a
// time; it ends each by its process id and removes the folder. It knows nothing
// of a store: it speaks HTTP, as a shipper and a reader do. Its records are
// drawn from a seed while they are sent and are kept nowhere.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	bin, only, targets, out, show string
	ways                          string
	markdown                      bool
	n, pods, batch, conns         int
	seed                          uint64
	quiet, limit                  time.Duration
	day                           time.Time
}

func (o *options) chosen(part string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), part)
}

func (o *options) parse(args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&o.bin, "bin", "bin/meshtrail", "the binary to measure")
	fs.IntVar(&o.n, "n", 200_000, "records of the main load")
	fs.IntVar(&o.pods, "pods", 240, "pods that write: streams")
	fs.IntVar(&o.batch, "batch", 2000, "records a request")
	fs.IntVar(&o.conns, "c", 8, "connections")
	fs.Uint64Var(&o.seed, "seed", 1, "what records are drawn from")
	fs.StringVar(&o.only, "only", "", "parts to run, of "+strings.Join(parts, ",")+" (default all)")
	fs.StringVar(&o.targets, "targets", "", "stores to measure, of meshtrail,victoria-logs,loki (default all that are there)")
	fs.StringVar(&o.ways, "ways", "", "protocols to measure in the part "+inWays+" (default all)")
	fs.StringVar(&o.show, "show", "", "measure nothing: print the results in this file, which -o wrote")
	fs.BoolVar(&o.markdown, "md", false, "print tables of Markdown")
	fs.StringVar(&o.out, "o", "", "file for the results as JSON")
	fs.DurationVar(&o.quiet, "quiet", 5*time.Second, "how long a store must rest to count as settled")
	fs.DurationVar(&o.limit, "limit", time.Hour, "end everything after this time")
	day := fs.String("day", "", "the day of the records (default yesterday)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.n < 1000 || o.pods < 1 || o.batch < 1 || o.conns < 1 {
		return errors.New("-n is at least 1000; -pods, -batch and -c at least 1")
	}
	for p := range strings.SplitSeq(o.only, ",") {
		if p != "" && !slices.Contains(parts, p) {
			return fmt.Errorf("-only: there is no part %q, only %s", p, strings.Join(parts, ", "))
		}
	}
	for t := range strings.SplitSeq(o.targets, ",") {
		if t != "" && !slices.Contains([]string{"meshtrail", "victoria-logs", "loki"}, t) {
			return fmt.Errorf("-targets: there is no store %q", t)
		}
	}
	o.day = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	if *day != "" {
		var err error
		if o.day, err = time.Parse(time.DateOnly, *day); err != nil {
			return fmt.Errorf("-day: %w", err)
		}
	}
	return nil
}

// bench is one run of this program.
type bench struct {
	o   options
	dir string // everything is below it
	p   *progress
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{p: &progress{began: time.Now()}}
	err := b.o.parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// show prints what an earlier run found.
func show(file string, markdown bool) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var rep report
	if err := json.Unmarshal(b, &rep); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	rep.print(os.Stdout, markdown)
	return nil
}

func (b *bench) run(ctx context.Context) error {
	if b.o.show != "" {
		return show(b.o.show, b.o.markdown)
	}
	ctx, cancel := context.WithTimeout(ctx, b.o.limit)
	defer cancel()
	var err error
	if b.dir, err = os.MkdirTemp("", "meshtrail-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	targets, missing, err := peers(b.o.bin, b.o.targets)
	if err != nil {
		return err
	}
	rep := &report{Machine: machine(b.dir), Options: b.o.String(), Missing: missing}
	for _, m := range missing {
		b.p.note("not measured: %s", m)
	}
	for _, s := range b.scenarios() {
		if err := b.measure(ctx, s, targets, rep); err != nil {
			return err
		}
	}
	rep.print(os.Stdout, b.o.markdown)
	if b.o.out != "" {
		j, err := json.MarshalIndent(rep, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.o.out, append(j, '\n'), 0o644); err != nil {
			return err
		}
	}
	return rep.verdict()
}

// measure runs one scenario on each store.
func (b *bench) measure(ctx context.Context, s *scenario, targets []target, rep *report) error {
	b.p.note("%s: %d records, brute force first", s.part, s.work.n)
	s.expect(b.p)
	if s.targets != nil {
		targets = s.targets(targets, b.o.ways)
	}
	for _, t := range targets {
		b.p.note("%s: %s", s.part, t.name())
		err := b.folder(t.name(), func(dir string) error {
			r, err := s.run(ctx, b, t, s, dir)
			if err != nil {
				return err
			}
			r.Part, r.Target, r.Streams, r.Batch, r.Connections = s.part, t.name(), len(s.work.pods), s.work.batch, b.o.conns
			rep.Results = append(rep.Results, r)
			return nil
		})
		switch {
		case err != nil && (t.name() == "meshtrail" || ctx.Err() != nil):
			return fmt.Errorf("%s: %s: %w", s.part, t.name(), err)
		case err != nil: // a rival's failure is a finding, not the end
			rep.Results = append(rep.Results, &result{Part: s.part, Target: t.name(), Failed: err.Error()})
			b.p.note("%s: %s failed: %v", s.part, t.name(), err)
		}
	}
	return nil
}

// progress tells what is going on: notes at once, reports every five seconds.
type progress struct {
	began time.Time

	mu   sync.Mutex
	last time.Time
}

func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	fmt.Fprintf(os.Stderr, "%5.0fs %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

func (p *progress) report(format string, args ...any) {
	p.mu.Lock()
	recent := time.Since(p.last) < 5*time.Second
	p.mu.Unlock()
	if !recent {
		p.note(format, args...)
	}
}
