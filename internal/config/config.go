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

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
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

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Server:  httpd.DefaultConfig(),
		Log:     Log{Level: "info", Format: "text"},
		Receive: receive.Limits{}.WithDefaults(),
		sum:     sha256.Sum256(nil),
	}
}

//go:embed meshtrail.yaml
var example []byte

// Example returns the commented file that init writes. It changes no default.
func Example() []byte { return append([]byte(nil), example...) }

// Load reads a configuration file. Its problems are Problems, found with
// errors.As; a file that cannot be read is of kind fault.NotFound.
func Load(path string) (*Config, error) {
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
	c, err := Parse(data)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "configuration %s:\n%w", path, err)
	}
	return c, nil
}

// Parse reads a configuration from its bytes.
func Parse(data []byte) (*Config, error) {
	c := Default()
	places, problems := decode(data, c)
	problems = append(problems, c.validate(places)...)
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
	for _, part := range []struct {
		path string
		err  error
	}{
		{"server", c.Server.Validate()},
		{"log", c.Log.Validate()},
	} {
		at := places[part.path]
		for _, err := range flatten(part.err) {
			out = append(out, Problem{Path: part.path, Problem: err.Error(), Hint: fault.HintOf(err), Line: at.line, Column: at.column})
		}
	}
	return out
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
