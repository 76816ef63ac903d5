// Package filetail reads log files as they grow, through rotation and
// truncation, and hands their lines to pipeline.Intake.
//
// It knows files and the two wrappers that container runtimes put around a line
// (CRI and Docker's json-file); what a line means is for the pipeline. It reads
// other programs' files with package os and writes only its checkpoint, through
// vfs.
//
// What survives a crash: the checkpoint (checkpoint.go). A batch of lines has an
// identity (origin of this input's lane, epoch of this run, number of its first
// record), and before the batch is handed in, that identity and the exact byte
// ranges it was made of are synced as an intent. After a crash between "kept" and
// "checkpoint advanced" the same ranges are read again, make the same records
// under the same identity, and whoever keeps them (spool or store) sees a
// repetition. Every start is a new epoch, so lines that are read again for any
// other reason (a lost checkpoint) are kept twice rather than mistaken for a
// repetition: duplicates are possible where memory was lost, loss is not.
//
// A file is identified by device, inode, birth time where the file system tells
// it, and fingerprints: of its head, which grows to 1 KiB, and of the last bytes
// read before the checkpoint. While a file is open its inode can not be reused,
// so a renamed file is followed by its descriptor until it was unlinked, read to
// its end and still for Config.CloseAfter. A file that became shorter than what
// was read of it, or whose bytes before the checkpoint changed, was truncated or
// replaced: it is read again from its start, and what is known to be lost is
// counted (meshtrail_tail_unread_bytes_total).
//
// Memory: one buffer per lane of about Config.Batch + 2×Config.Record, whatever
// the number of files. Raw records alias it until Ingest returned.
package filetail

import (
	"context"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Format says what is around a line.
type Format string

// The formats. Auto decides for each line.
const (
	Auto   Format = "auto"
	CRI    Format = "cri"
	Docker Format = "docker"
	None   Format = "none"
)

// Config of one input. A zero field takes its default.
type Config struct {
	// Name of the input, part of the source "file/NAME" (default "logs").
	Name string `yaml:"name"`
	// Paths are globs of the files to read, absolute.
	Paths []string `yaml:"paths"`
	// Exclude are globs of files to leave out, matched against the whole path and
	// the file name. Compressed files are left out always.
	Exclude []string `yaml:"exclude"`
	// Start says where to begin in files that exist when the input runs for the
	// first time: "start" (default) or "end". Later files are read from their start.
	Start string `yaml:"start"`
	// Format of the lines: auto (default), cri, docker or none.
	Format Format `yaml:"format"`
	// Multiline says which lines are joined to one record: auto (default), the lines
	// of a stack trace of the JVM, .NET, Node.js, Python, Go, Ruby, PHP or Rust with
	// the line before it, as far as they are provably of one; or off. Lines of the two
	// streams of a container are told apart.
	Multiline string `yaml:"multiline"`
	// MultilineStart is a regular expression (RE2) instead: a line that it matches
	// begins a record, all others go on with the one before.
	MultilineStart string `yaml:"multiline_start"`
	// MultilineWait is how long a record of several lines at the end of a file may go
	// on (default 1 s). Other lines never wait.
	MultilineWait time.Duration `yaml:"multiline_wait"`
	// Platform of the lines, when they are all of one; "" detects it.
	Platform string `yaml:"platform"`
	// Attributes are fields that every record gets.
	Attributes map[string]string `yaml:"attributes"`
	// SymlinkRoots are folders that a symbolic link may lead into. Without any, a
	// link is not followed: whoever may write logs could make us read other files.
	SymlinkRoots []string `yaml:"symlink_roots"`
	// Record is the longest line that is kept whole, in bytes (default 1 MiB less
	// 16 KiB for its fields); longer ones are split, every piece but the last with
	// the field log.partial.
	Record int `yaml:"record_bytes"`
	// Batch is how many bytes of lines one batch holds (default 1 MiB).
	Batch int `yaml:"batch_bytes"`
	// Lanes is how many batches are under way at once (default 2). Lines of one
	// file stay in order.
	Lanes int `yaml:"lanes"`
	// Poll is how often growing files are looked at (default 100 ms).
	Poll time.Duration `yaml:"poll"`
	// Rescan is how often the globs are expanded and idle files are looked at
	// (default 1 s). Where the system tells of new and renamed files, they are
	// noticed at once.
	Rescan time.Duration `yaml:"rescan"`
	// Flush is how long a line without an end waits for it (default 5 s).
	Flush time.Duration `yaml:"flush"`
	// CloseAfter is how long an unlinked file that was read to its end is kept
	// open for more (default 30 s).
	CloseAfter time.Duration `yaml:"close_after"`
}

// WithDefaults returns c with its zero fields filled in.
func (c Config) WithDefaults() Config {
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	num := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Name == "" {
		c.Name = "logs"
	}
	if c.Start == "" {
		c.Start = "start"
	}
	if c.Format == "" {
		c.Format = Auto
	}
	if c.Multiline == "" {
		c.Multiline = "auto"
	}
	num(&c.Record, 1<<20-16<<10)
	num(&c.Batch, 1<<20)
	num(&c.Lanes, 2)
	dur(&c.Poll, 100*time.Millisecond)
	dur(&c.Rescan, time.Second)
	dur(&c.Flush, 5*time.Second)
	dur(&c.MultilineWait, time.Second)
	dur(&c.CloseAfter, 30*time.Second)
	return c
}

// Validate reports what would keep the input from working.
func (c Config) Validate() error {
	if len(c.Paths) == 0 {
		return fault.WithHint(fault.Errorf(fault.Invalid, "file input %q has no paths", c.Name), "give globs, for example /var/log/pods/*/*/*.log")
	}
	for _, p := range c.Paths {
		if !filepath.IsAbs(p) {
			return fault.Errorf(fault.Invalid, "path %q is not absolute", p)
		}
	}
	for _, p := range slices.Concat(c.Paths, c.Exclude) {
		if _, err := filepath.Match(p, ""); err != nil {
			return fault.Errorf(fault.Invalid, "path %q: %w", p, err)
		}
	}
	if c.Start != "" && c.Start != "start" && c.Start != "end" {
		return fault.Errorf(fault.Invalid, "start %q is neither start nor end", c.Start)
	}
	switch c.Format {
	case "", Auto, CRI, Docker, None:
	default:
		return fault.Errorf(fault.Invalid, "format %q is not auto, cri, docker or none", c.Format)
	}
	if c.Multiline != "" && c.Multiline != "auto" && c.Multiline != "off" {
		return fault.Errorf(fault.Invalid, "multiline %q is neither auto nor off", c.Multiline)
	}
	if c.MultilineStart != "" {
		if c.Multiline == "off" {
			return fault.Errorf(fault.Invalid, "multiline is off and multiline_start says how to join")
		}
		if _, err := regexp.Compile(c.MultilineStart); err != nil || len(c.MultilineStart) > 1024 {
			return fault.WithHint(fault.Errorf(fault.Invalid, "multiline_start %.60q is no regular expression of at most 1024 bytes", c.MultilineStart), `for example ^\d{4}-\d\d-\d\d`)
		}
	}
	if c.Record > 16<<20 || c.Batch > 16<<20 || c.Lanes > 64 {
		return fault.Errorf(fault.Invalid, "record_bytes and batch_bytes are at most 16 MiB, lanes at most 64")
	}
	if len(c.Name) > 40 || strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return fault.Errorf(fault.Invalid, "input name %q is not 1 to 40 printable bytes without a slash", c.Name)
	}
	return nil
}

// Options of a Tailer.
type Options struct {
	Config
	// Agent names this agent in origins, 1 to 40 printable bytes.
	Agent  string
	Tenant record.TenantID // of the requests; the upstream's credential decides in the end
	Intake pipeline.Intake
	// FS is the folder of this input's checkpoint. No other input may use it.
	FS      vfs.FS
	Metrics *telemetry.Metrics
	Logger  *slog.Logger
}

// A Tailer reads the files of one input.
type Tailer struct {
	o     Options
	log   *slog.Logger
	point *checkpoint
	count *counters
	set   *fileSet
	lanes []*lane
	start *regexp.Regexp // of Config.MultilineStart
}

// joiner returns the joiner of a parser.
func (t *Tailer) joiner() joiner { return joiner{off: t.o.Multiline == "off", start: t.start} }

// New opens the checkpoint, making one if there is none. It reads no log yet.
func New(o Options) (*Tailer, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	o.Config = o.Config.WithDefaults()
	if o.Intake == nil || o.FS == nil || o.Agent == "" || len(o.Agent) > 40 {
		return nil, fault.Errorf(fault.Internal, "file input without an intake, a folder or an agent name of 1 to 40 bytes")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	log := o.Logger.With("input", o.Name)
	point, err := openCheckpoint(o.FS, log)
	if err != nil {
		return nil, err
	}
	t := &Tailer{o: o, log: log, point: point, count: newCounters(o.Metrics, o.Name)}
	if o.MultilineStart != "" {
		t.start = regexp.MustCompile(o.MultilineStart) // which Validate compiled
	}
	t.set = newFileSet(t)
	for i := range o.Lanes {
		t.lanes = append(t.lanes, newLane(t, i))
	}
	return t, nil
}

// Run reads until ctx ends; it then returns nil. It returns an error when the
// checkpoint can not be written. Run may be called once, and closes the Tailer.
func (t *Tailer) Run(ctx context.Context) error {
	defer t.Close()
	if err := t.redo(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range t.lanes {
		g.Go(func() error { return l.run(gctx) })
	}
	g.Go(func() error { return t.set.run(gctx) })
	err := g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Close closes the files and the checkpoint. It is idempotent.
func (t *Tailer) Close() error {
	t.set.close()
	return t.point.close()
}

// source is the counted name of the input's records.
func (t *Tailer) source() string { return "file/" + t.o.Name }
