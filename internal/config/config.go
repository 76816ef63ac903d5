// Package config is the whole configuration tree of a server. Every package owns
// its own Config struct, with its defaults and its Validate; this package puts
// them under one roof and reads them strictly.
//
// Strictly means: an unknown key is an error with its line and column, and so is
// a value of the wrong type; all problems are reported at once, each as
// {Path, Value, Problem, Hint}. An empty file is a whole configuration: every
// key has a default that suits one machine. No secret is ever a value here;
// secrets are paths of files.
//
// The configuration is trusted: whoever edits it can weaken policy. Its SHA-256
// is therefore a leaf of the ledger at every start.
package config

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/store"
)

// FileName is the name of the configuration below the data folder.
const FileName = "meshtrail.yaml"

// Config is everything that can be configured about a server.
type Config struct {
	// Server is the one port: UI, APIs and HTTP intake.
	Server httpd.Config `yaml:"server"`
	// Log is the server's own log, on standard error.
	Log Log `yaml:"log"`
	// Receive bounds what one intake request may cost.
	Receive receive.Limits `yaml:"receive"`
	// Receivers are the protocols in which records come in.
	Receivers Receivers `yaml:"receivers"`
	// Tokens and Certificates are the credentials beside the administrator's token.
	Tokens       []identity.TokenConfig       `yaml:"tokens"`
	Certificates []identity.CertificateConfig `yaml:"certificates"`
	// Sources says of which sources silence is told.
	Sources []sources.Expectation `yaml:"sources"`
	// Formats are access log formats of Envoy or NGINX that operators wrote themselves.
	Formats []pipeline.Format `yaml:"formats"`
	// Policy decides what is kept of a record, and for how long.
	Policy policy.Config `yaml:"policy"`
	// Holds keep records from being destroyed when their retention ends.
	Holds []policy.Hold `yaml:"holds"`
	// Store says when records are sealed and what may be held in memory.
	Store Store `yaml:"store"`
	// Query bounds what one question may cost.
	Query query.Limits `yaml:"query"`
	// Report names what reports are about.
	Report Report `yaml:"report"`

	sum [sha256.Size]byte // of the file's bytes
}

// Log says how the server logs about itself. It never logs record content.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text or json
}

// Validate reports a value that the logger does not know.
func (l Log) Validate() error {
	switch l.Level {
	case "debug", "info", "warn", "error":
	default:
		return fault.WithHint(fault.Errorf(fault.Invalid, "unknown log level %q", l.Level), "use debug, info, warn or error")
	}
	if l.Format != "text" && l.Format != "json" {
		return fault.WithHint(fault.Errorf(fault.Invalid, "unknown log format %q", l.Format), "use text or json")
	}
	return nil
}

// Store is the part of the store's limits that a person may want to change.
type Store struct {
	SealBytes  int64         `yaml:"seal_bytes"`     // of records, as JSON: seal then
	SealAge    time.Duration `yaml:"seal_age"`       // of the oldest record: seal then
	Unsealed   int64         `yaml:"unsealed_bytes"` // from here on intake waits
	CacheBytes int64         `yaml:"cache_bytes"`    // decoded columns kept in memory
	Reserve    int64         `yaml:"reserve_bytes"`  // of the disk, for audit records and seals
}

// Limits returns the store's own form.
func (s Store) Limits() store.Limits {
	return store.Limits{SealBytes: s.SealBytes, SealAge: s.SealAge, Unsealed: s.Unsealed, CacheBytes: s.CacheBytes, Reserve: s.Reserve}
}

// Validate reports limits that would keep the store from working.
func (s Store) Validate() error {
	var errs []error
	if s.SealBytes < 1<<20 {
		errs = append(errs, fault.Errorf(fault.Invalid, "seal_bytes %d is less than 1MiB", s.SealBytes))
	}
	if s.SealAge < time.Second {
		errs = append(errs, fault.Errorf(fault.Invalid, "seal_age %v is less than 1s", s.SealAge))
	}
	if s.Unsealed < 2*s.SealBytes {
		errs = append(errs, fault.WithHint(fault.Errorf(fault.Invalid, "unsealed_bytes %d is less than twice seal_bytes", s.Unsealed), "intake must go on while a seal runs"))
	}
	if s.CacheBytes < 0 {
		errs = append(errs, fault.Errorf(fault.Invalid, "cache_bytes %d is negative", s.CacheBytes))
	}
	if s.Reserve < 0 {
		errs = append(errs, fault.Errorf(fault.Invalid, "reserve_bytes %d is negative", s.Reserve))
	}
	return errors.Join(errs...)
}

// Report names what a report is about. It is printed on the first page.
type Report struct {
	Entity string `yaml:"entity"` // who is examined
	System string `yaml:"system"` // the boundary of the system, in words
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Server:  httpd.DefaultConfig(),
		Log:     Log{Level: "info", Format: "text"},
		Receive: receive.Limits{}.WithDefaults(),
		Store:   Store{SealBytes: 192 << 20, SealAge: 2 * time.Minute, Unsealed: 512 << 20, CacheBytes: 128 << 20, Reserve: 128 << 20},
		Query:   query.Limits{MaxEntries: 5000, MaxPoints: 11_000, MaxSeries: 10_000, Timeout: time.Minute, StreamTimeout: time.Hour, ResultCacheBytes: 32 << 20, MemoryBytes: 1 << 30},
		Policy:  policy.Config{Language: query.Selectors{}},
		sum:     sha256.Sum256(nil),
	}
}

//go:embed meshtrail.yaml
var example []byte

// Example returns the commented file that init writes. It changes no default.
func Example() []byte { return append([]byte(nil), example...) }

// Load reads a configuration file. Its problems are Problems, found with
// errors.As; a file that cannot be read is of kind fault.NotFound.
func Load(path string) (*Config, error) { return load(path, Parse) }

// load reads a file of at most MaxSize bytes and parses it.
func load[T any](path string, parse func([]byte) (*T, error)) (*T, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fault.Errorf(fault.NotFound, "read configuration: %w", err)
	}
	if st.Size() > MaxSize {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "read configuration %s: %d bytes, more than %d", path, st.Size(), MaxSize), "is this the configuration file?")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Errorf(fault.NotFound, "read configuration: %w", err)
	}
	c, err := parse(data)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "configuration %s:\n%w", path, err)
	}
	return c, nil
}

// Parse reads a configuration from its bytes.
func Parse(data []byte) (*Config, error) {
	c := Default()
	places, problems := decode(data, c)
	problems = problems.with(c.validate(places))
	if err := problems.orNil(); err != nil {
		return nil, err
	}
	c.sum = sha256.Sum256(data)
	return c, nil
}

// Validate checks the configuration as a whole, as after a change by flags.
func (c *Config) Validate() error { return Problems(c.validate(nil)).orNil() }

// validate asks every part. Places say where a path stands in the file.
func (c *Config) validate(places map[string]place) []Problem {
	var out []Problem
	parts := []part{
		{"server", c.Server.Validate()},
		{"log", c.Log.Validate()},
		{"policy", c.Policy.Validate()},
		{"store", c.Store.Validate()},
		// The paths of these begin at the root.
		{"", policy.ValidateHolds(c.Holds)},
		{"", identity.ValidateConfig(c.Tokens, c.Certificates)},
		{"", c.platforms()},
		{"", checkFormats(c.Formats)},
		{"", sources.Validate(c.Sources)},
	}
	for _, part := range append(parts, c.Receivers.validate()...) {
		for _, err := range flatten(part.err) {
			out = append(out, problemOf(part.path, err, places))
		}
	}
	return out
}

// checkFormats reports formats that cannot be compiled.
func checkFormats(list []pipeline.Format) error {
	_, err := pipeline.CompileFormats(list)
	return err
}

// platforms reports platforms that credentials declare and nobody knows: package
// identity knows nothing of them.
func (c *Config) platforms() error {
	var errs []error
	check := func(list string, i int, platform string) {
		if !pipeline.KnownPlatform(platform) {
			errs = append(errs, fault.WithHint(fault.Errorf(fault.Invalid, "%s[%d].platform: unknown platform %q", list, i, platform), "leave it out to detect by shape"))
		}
	}
	for i, t := range c.Tokens {
		check("tokens", i, t.Platform)
	}
	for i, t := range c.Certificates {
		check("certificates", i, t.Platform)
	}
	return errors.Join(errs...)
}

// problemOf places an error of a part. An error that begins with a path below
// the part ("rules[0].id: …") is placed there.
func problemOf(part string, err error, places map[string]place) Problem {
	p := Problem{Path: part, Problem: err.Error(), Hint: fault.HintOf(err)}
	below, rest, ok := strings.Cut(p.Problem, ": ")
	for at := below; ok && at != "" && !strings.Contains(at, " "); at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if where, known := places[join(part, at)]; known {
			p.Path, p.Problem, p.Line, p.Column = join(part, below), rest, where.line, where.column
			return p
		}
	}
	where := places[part]
	p.Line, p.Column = where.line, where.column
	return p
}

// flatten returns the errors that errors.Join put together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		if parts := many.Unwrap(); len(parts) > 1 {
			var out []error
			for _, e := range parts {
				out = append(out, flatten(e)...)
			}
			return out
		}
	}
	return []error{err}
}

// SHA256 returns the hash of the file's bytes in hex, for the ledger.
func (c *Config) SHA256() string { return hex.EncodeToString(c.sum[:]) }
